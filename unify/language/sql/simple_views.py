"""Views of one table, row by row: what a statement needs of them is known of the table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from unify.language.sql import parse, rewrite
from unify.language.sql.refs import Condition, TableRef
from unify.language.sql.rewrite import StatementMentions, TableMention

_CLAUSES = frozenset({"expressions", "from_", "where"})


@dataclass(frozen=True, slots=True)
class SimpleView:
    """A view that is SELECT … FROM table, perhaps with WHERE.

    ``columns``      columns of the table by the names of the view's columns, in lower case; those that are
                     expressions are missing. None: the view has the columns of the table (``*``).
    ``where_names``  every name in its WHERE, in lower case.
    """

    select: StatementMentions
    columns: Mapping[str, str] | None
    where_names: frozenset[str]

    @property
    def table(self) -> TableRef:
        """The table."""
        return self.select.mentions[0].ref

    def column_names(self, table_columns: Collection[str]) -> Collection[str]:
        """Return the columns of the view that are columns of the table."""
        return table_columns if self.columns is None else self.columns.keys()

    def merge(self, outer: TableMention) -> TableMention:
        """Return what a statement needs of the table; ``outer`` is what it needs of the view."""
        inner = self.select.mentions[0]
        conditions = [
            Condition(name, one.operator, one.values)
            for one in outer.conditions
            if (name := self._column(one.column)) is not None
        ]
        order_by = [
            replace(term, column=name)
            for term in outer.order_by
            if (name := self._column(term.column)) is not None
        ]
        is_whole = len(conditions) == len(outer.conditions) and len(order_by) == len(outer.order_by)
        is_complete = inner.is_complete and outer.is_complete and is_whole
        return replace(
            inner,
            conditions=(*inner.conditions, *conditions),
            joins=tuple(
                replace(link, column=name)
                for link in outer.joins
                if (name := self._column(link.column)) is not None
            ),
            limit=None,
            is_complete=is_complete,
            order_by=tuple(order_by) if is_complete else (),
            first_rows=outer.first_rows if is_complete else None,
            is_counted=is_complete and outer.is_counted,
            aggregates=outer.aggregates if is_complete and self.columns is None else None,
            used_names=self._used_names(outer),
        )

    def _used_names(self, outer: TableMention) -> frozenset[str] | None:
        if self.columns is not None:
            return self.select.mentions[0].used_names
        return None if outer.used_names is None else outer.used_names | self.where_names

    def _column(self, name: str) -> str | None:
        return name if self.columns is None else self.columns.get(name)


def find_simple_view(sql: str) -> SimpleView | None:
    """Return the view of a SELECT, or of CREATE VIEW … AS without names of columns; None for other views."""
    sql = sql.strip().removesuffix(";")
    tree = parse.parse_sql(sql)
    if isinstance(tree, exp.Create):
        if not isinstance(tree.this, exp.Table) or not isinstance(tree.expression, exp.Select):
            return None
        begin = sql.upper().find(" AS SELECT ")  # as DuckDB writes it
        return find_simple_view(sql[begin + len(" AS ") :]) if begin > 0 else None
    if not isinstance(tree, exp.Select) or not rewrite.is_row_by_row(tree):
        return None
    if any(value for clause, value in tree.args.items() if clause not in _CLAUSES):
        return None
    mentions = rewrite.find_mentions(sql, lambda _ref: ())
    if mentions is None or len(mentions.mentions) != 1 or not isinstance(tree.args.get("from_"), exp.From):
        return None
    where = tree.args.get("where")
    names = {one.name.lower() for one in where.find_all(exp.Identifier)} if where is not None else set()
    columns = _columns(tree)
    return None if columns == {} else SimpleView(mentions, columns, frozenset(names))


def _columns(select: exp.Select) -> Mapping[str, str] | None:
    """Return the columns of the table by those of the view; None for ``*``; empty if they are not certain."""
    if len(select.expressions) == 1 and isinstance(select.expressions[0], exp.Star):
        return None if not any(select.expressions[0].args.values()) else {}
    if next(select.find_all(exp.Star, exp.Columns), None) is not None:
        return {}
    names = [one.alias_or_name.lower() for one in select.expressions]
    found = {
        name: one.unalias().name.lower()
        for name, one in zip(names, select.expressions, strict=True)
        if isinstance(one.unalias(), exp.Column) and isinstance(one.unalias().this, exp.Identifier)
    }
    return found if len(set(names)) == len(names) else {}
