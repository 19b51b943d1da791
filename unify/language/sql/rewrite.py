"""Table references with their positions, conditions and columns, and rewriting of the references."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from unify.engine.types import quote_identifier
from unify.language.sql import parse, predicates
from unify.language.sql.predicates import Condition, Parameters
from unify.language.sql.refs import TableRef
from unify.language.sql.tables import unwrap_statement

KnownColumns = Callable[[TableRef], Collection[str]]


@dataclass(frozen=True, slots=True)
class MentionJoin:
    """``column`` must equal ``other_column`` of mention number ``other_table``."""

    column: str
    other: int
    other_column: str


@dataclass(frozen=True, slots=True)
class TableMention:
    """One reference to a table. ``start`` and ``end`` count characters from 0.

    ``needs_alias``      no alias follows; the rewritten text must keep the table's name as one.
    ``schema_prefixes``  positions of ``schema.`` before this table's name in column references.
    ``columns``          columns that appear to belong to it.
    ``limit``            the statement returns at most this many rows, each from one row of this table.
    """

    ref: TableRef
    start: int
    end: int
    needs_alias: bool
    schema_prefixes: tuple[tuple[int, int], ...] = ()
    conditions: tuple[Condition, ...] = ()
    joins: tuple[MentionJoin, ...] = ()
    limit: int | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatementMentions:
    """The mentions of a statement in order. ``is_stored_definition``: it creates a view or macro."""

    sql: str
    mentions: tuple[TableMention, ...]
    is_stored_definition: bool = False

    def replace_mentions(self, relations: Mapping[int, str]) -> str:
        """Return the statement with the mentions of these numbers replaced by SQL relations."""
        cuts: list[tuple[int, int, str]] = []
        for number, name in relations.items():
            mention = self.mentions[number]
            alias = f" AS {quote_identifier(mention.ref.table)}" if mention.needs_alias else ""
            cuts.append((mention.start, mention.end, name + alias))
            cuts += [(start, end, "") for start, end in mention.schema_prefixes]
        parts, position = [], 0
        for start, end, text in sorted(set(cuts)):
            parts += [self.sql[position:start], text]
            position = end
        return "".join([*parts, self.sql[position:]])


def find_mentions(
    sql: str, known_columns: KnownColumns, parameters: Parameters | None = None
) -> StatementMentions | None:
    """Return the mentions in one statement, or None if it cannot be parsed with certainty.

    ``own``  returns the known columns of a table, in lower case; they resolve unqualified names.
    """
    inner = unwrap_statement(sql)
    if not sql.endswith(inner):
        return None
    tree = parse.parse_sql(inner)
    if tree is None:
        return None
    nodes = parse.table_nodes(tree)
    asking = predicates.PredicateCollector(known_columns, parameters or {})
    asked: dict[int, predicates.TablePredicates] = {}
    for select in tree.find_all(exp.Select):
        asked.update(asking.collect(select))
    numbers = {id(node): number for number, node in enumerate(nodes)}
    offset = len(sql) - len(inner)
    found = [_build_mention(node, asked.get(id(node)), numbers, offset, tree) for node in nodes]
    lasting = isinstance(tree, exp.Create) and str(tree.args.get("kind")).upper() != "TABLE"
    return StatementMentions(sql, tuple(found), lasting)


def _build_mention(
    node: exp.Table,
    predicates: predicates.TablePredicates | None,
    numbers: Mapping[int, int],
    offset: int,
    tree: exp.Expr,
) -> TableMention:
    parts = [part for part in node.parts if isinstance(part, exp.Identifier)]
    links = predicates.joins if predicates else []
    return TableMention(
        ref=TableRef(node.db, node.name, node.catalog, parse.is_write_target(node)),
        start=parts[0].meta["start"] + offset,
        end=parts[-1].meta["end"] + 1 + offset,
        needs_alias=not node.alias and isinstance(node.parent, (exp.From, exp.Join)),
        schema_prefixes=tuple(_schema_prefixes(node, offset)),
        conditions=tuple(predicates.conditions) if predicates else (),
        joins=tuple(
            MentionJoin(link.column, numbers[id(link.other_table)], link.other_column)
            for link in links
            if id(link.other_table) in numbers
        ),
        columns=_column_names(node),
        limit=None if offset else _row_limit(node, tree),
    )


def _schema_prefixes(node: exp.Table, offset: int) -> Sequence[tuple[int, int]]:
    """Yield positions of ``schema.table.column`` in the SELECT of the table."""
    select = node.find_ancestor(exp.Select)
    if not node.db or node.alias or select is None:
        return ()
    columns = [
        column
        for column in select.find_all(exp.Column)
        if column.table.lower() == node.name.lower() and column.db.lower() == node.db.lower()
    ]
    return [
        (_start_position(column.parts[0]) + offset, _start_position(column.args["table"]) + offset)
        for column in columns
    ]


def _column_names(node: exp.Table) -> tuple[str, ...]:
    """Yield columns qualified with this table, or unqualified if it is the only table."""
    select = node.parent.parent if isinstance(node.parent, (exp.From, exp.Join)) else None
    if not isinstance(select, exp.Select):
        return ()
    alone = not select.args.get("joins")
    name = node.alias_or_name.lower()
    found = [
        column.name
        for column in select.find_all(exp.Column)
        if isinstance(column.this, exp.Identifier)
        and (column.table.lower() == name or (alone and not column.table))
    ]
    return tuple(dict.fromkeys(found))


def _row_limit(node: exp.Table, tree: exp.Expr) -> int | None:
    """Return the LIMIT of a statement that is one SELECT over this table, row by row; else None."""
    if (
        not isinstance(tree, exp.Select)
        or not isinstance(node.parent, exp.From)
        or node.parent.parent is not tree
    ):
        return None
    allowed = {"expressions", "from_", "where", "limit", "kind", "hint", "operation_modifiers"}
    if any(value for key, value in tree.args.items() if key not in allowed):
        return None
    parts = (exp.AggFunc, exp.Window, exp.Anonymous, exp.Query, exp.Unnest, exp.Explode, exp.Placeholder)
    if any(one is not tree for one in tree.find_all(*parts)):
        return None
    limit = tree.args.get("limit")
    options = limit.args.get("limit_options") if isinstance(limit, exp.Limit) else None
    if limit is None or options or not isinstance(limit, exp.Limit):
        return None
    rows = limit.expression
    return int(rows.name) if isinstance(rows, exp.Literal) and rows.is_int and not rows.is_string else None


def _start_position(identifier: exp.Expr) -> int:
    return int(identifier.meta["start"])
