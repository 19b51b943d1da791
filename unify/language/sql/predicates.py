"""Conditions of one SELECT on each table in its FROM: comparisons with constants, and equality joins.

Only conditions that are certain. A condition is used if a row that fails it can neither appear in the
result nor change another row: conjuncts of WHERE, and of ON for tables whose unmatched rows the join
drops. Each condition fails on NULL, so rows that an outer join adds fail as well. Syntax that is not
understood yields no condition: more rows are fetched than needed, never fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from sqlglot import exp

from unify.language.sql.refs import Condition, Constant, Operator, TableRef

Parameters = Mapping[str, Constant | None]

_COMPARISONS: Mapping[type[exp.Expr], Operator] = {
    exp.EQ: "=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.Like: "like",
}
_FLIPPED_OPERATORS: Mapping[Operator, Operator] = {"=": "=", ">": "<", ">=": "<=", "<": ">", "<=": ">="}
_TEMPORAL_TYPES = {"DATE": "DATE", "TIMESTAMPNTZ": "TIMESTAMP", "TIMESTAMP": "TIMESTAMP"} | {
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"
}
_SUPPORTED_JOINS = frozenset({"", "INNER", "CROSS", "OUTER"})


@dataclass(frozen=True, slots=True)
class EquiJoin:
    """``column`` equals ``other_column`` of the table at node ``other_table``."""

    column: str
    other_table: exp.Table
    other_column: str


@dataclass(slots=True)
class TablePredicates:
    """The conditions and joins of one table.

    ``is_complete``  it is the only table, and the conditions are the whole WHERE.
    """

    conditions: list[Condition] = field(default_factory=list)
    joins: list[EquiJoin] = field(default_factory=list)
    is_complete: bool = False


@dataclass(slots=True)
class _FromClause:
    """The FROM of a SELECT: its tables by alias; None for anything but a plain table."""

    tables: dict[str, exp.Table | None] = field(default_factory=dict)
    using_columns: set[str] = field(default_factory=set)  # columns of USING belong to several tables
    is_supported: bool = True

    def add(self, node: exp.Expr) -> None:
        name = node.alias_or_name.lower()
        if not name or name in self.tables or node.args.get("joins") or node.args.get("pivots"):
            self.is_supported = False
        plain = isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier)
        renamed = isinstance(node.args.get("alias"), exp.TableAlias) and node.args["alias"].args.get(
            "columns"
        )
        sampled = node.args.get("sample") or node.args.get("when") or node.args.get("laterals")
        self.tables[name] = cast("exp.Table", node) if plain and not renamed and not sampled else None


class PredicateCollector:
    """Extracts conditions. ``own`` returns the known columns of a table, in lower case."""

    def __init__(self, known_columns: Callable[[TableRef], Collection[str]], parameters: Parameters) -> None:
        self._known_columns = known_columns
        self._parameters = parameters

    def collect(self, select: exp.Select) -> Mapping[int, TablePredicates]:
        """Return the conditions of the tables in the FROM of ``select`` by the ``id`` of their nodes."""
        start = select.args.get("from_")
        if not isinstance(start, exp.From) or select.args.get("sample"):
            return {}
        joins = select.args.get("joins") or []
        source = _FromClause()
        source.add(start.this)
        for join in joins:
            source.add(join.this)
            source.using_columns |= {one.name.lower() for one in join.args.get("using") or []}
            if (join.method or "") or (join.kind or "") not in _SUPPORTED_JOINS:
                source.is_supported = False  # natural, asof, positional, semi, anti
        if not source.is_supported:
            return {}
        return self._collect_from_clause(select, source, joins)

    def _collect_from_clause(
        self, select: exp.Select, from_clause: _FromClause, joins: list[exp.Join]
    ) -> Mapping[int, TablePredicates]:
        found: dict[int, TablePredicates] = {
            id(node): TablePredicates() for node in from_clause.tables.values() if node is not None
        }
        names = list(from_clause.tables)
        for place, join in enumerate(joins, 1):
            narrowed = _filtered_tables(join, names[:place], names[place])
            condition = join.args.get("on")
            if isinstance(condition, exp.Expr):
                self._collect_condition(condition, from_clause, narrowed, found)
            if len(names) == 2:
                self._collect_using(join, from_clause, narrowed, found)
        where = select.args.get("where")
        if isinstance(where, exp.Where):
            self._collect_condition(where.this, from_clause, frozenset(names), found)
        if len(names) == 1 and not joins:
            for one in found.values():
                one.is_complete = not where or self._is_represented(where.this, from_clause)
        return found

    def _is_represented(self, condition: exp.Expr, from_clause: _FromClause) -> bool:
        """Whether the conditions that are collected say all that ``condition`` says."""
        return all(
            len(list(self._parse_conditions(conjunct, from_clause)))
            == (2 if isinstance(conjunct, exp.Between) else 1)
            for conjunct in _split_conjuncts(condition)
        )

    def _collect_condition(
        self,
        condition: exp.Expr,
        from_clause: _FromClause,
        filtered: Collection[str],
        found: Mapping[int, TablePredicates],
    ) -> None:
        for conjunct in _split_conjuncts(condition):
            for name, one in self._parse_conditions(conjunct, from_clause):
                node = from_clause.tables[name]
                if name in filtered and node is not None:
                    found[id(node)].conditions.append(one)
            for name, link in self._parse_joins(conjunct, from_clause):
                node = from_clause.tables[name]
                if name in filtered and node is not None:
                    found[id(node)].joins.append(link)

    def _collect_using(
        self,
        join: exp.Join,
        from_clause: _FromClause,
        filtered: Collection[str],
        found: Mapping[int, TablePredicates],
    ) -> None:
        first, second = from_clause.tables.items()
        for name, node, other in ((first[0], first[1], second[1]), (second[0], second[1], first[1])):
            if name in filtered and node is not None and other is not None:
                for column in join.args.get("using") or []:
                    found[id(node)].joins.append(EquiJoin(column.name.lower(), other, column.name))

    def _parse_conditions(
        self, conjunct: exp.Expr, from_clause: _FromClause
    ) -> Iterator[tuple[str, Condition]]:
        match conjunct:
            case exp.Between() if not conjunct.args.get("symmetric"):
                yield from self._parse_comparison(from_clause, conjunct.this, ">=", [conjunct.args["low"]])
                yield from self._parse_comparison(from_clause, conjunct.this, "<=", [conjunct.args["high"]])
            case exp.In() if conjunct.args.get("expressions") and not conjunct.args.get("query"):
                yield from self._parse_comparison(from_clause, conjunct.this, "in", conjunct.expressions)
            case exp.Or():
                yield from self._parse_alternatives(conjunct, from_clause)
            case exp.Expr() if type(conjunct) in _COMPARISONS and not conjunct.args.get("negate"):
                operator = _COMPARISONS[type(conjunct)]
                left, right = conjunct.this, conjunct.expression
                yield from self._parse_comparison(from_clause, left, operator, [right])
                if operator in _FLIPPED_OPERATORS:
                    yield from self._parse_comparison(
                        from_clause, right, _FLIPPED_OPERATORS[operator], [left]
                    )

    def _parse_alternatives(
        self, conjunct: exp.Or, from_clause: _FromClause
    ) -> Iterator[tuple[str, Condition]]:
        """Turn ``q = 'a' or q = 'b'`` into ``q in ('a', 'b')``."""
        found = [
            one
            for part in conjunct.flatten()
            for one in (
                [*self._parse_conditions(part.unnest(), from_clause)] or [("", Condition("", "like", ()))]
            )
        ]
        places = {(name, one.column) for name, one in found}
        if len(places) == 1 and all(one.operator in ("=", "in") for _, one in found):
            [(name, column)] = places
            yield name, Condition(column, "in", tuple(value for _, one in found for value in one.values))

    def _parse_comparison(
        self, from_clause: _FromClause, column: exp.Expr, operator: Operator, values: list[exp.Expr]
    ) -> Iterator[tuple[str, Condition]]:
        name = self._owning_table(column, from_clause)
        constants = [self._parse_constant(value) for value in values]
        if name is not None and all(constants):
            known = tuple(dict.fromkeys(one for one in constants if one is not None))
            yield name, Condition(column.name.lower(), operator, known)

    def _parse_joins(self, conjunct: exp.Expr, from_clause: _FromClause) -> Iterator[tuple[str, EquiJoin]]:
        if not isinstance(conjunct, exp.EQ):
            return
        sides = (conjunct.this, conjunct.expression)
        for column, other in (sides, sides[::-1]):
            name, other_name = self._owning_table(column, from_clause), self._owning_table(other, from_clause)
            if name is None or other_name is None or name == other_name:
                continue
            node = from_clause.tables[other_name]
            if node is not None:
                yield name, EquiJoin(column.name.lower(), node, other.name)

    def _owning_table(self, column: exp.Expr, from_clause: _FromClause) -> str | None:
        """Return the table a column certainly belongs to."""
        if not isinstance(column, exp.Column) or not isinstance(column.this, exp.Identifier):
            return None
        if column.table:
            return self._qualified_owner(column, from_clause)
        if column.name.lower() in from_clause.using_columns:
            return None
        if len(from_clause.tables) == 1:
            return next(iter(from_clause.tables))
        owners = [
            name
            for name, node in from_clause.tables.items()
            if node is not None and column.name.lower() in self._known_columns(_table_ref(node))
        ]
        return owners[0] if len(owners) == 1 else None

    def _qualified_owner(self, column: exp.Column, from_clause: _FromClause) -> str | None:
        name = column.table.lower()
        node = from_clause.tables.get(name)
        if node is None or (column.db and (node.alias or column.db.lower() != node.db.lower())):
            return None
        return name

    def _parse_constant(self, value: exp.Expr) -> Constant | None:
        """Return a literal or the value of a variable. NULL yields None: nothing equals it."""
        match value.unnest():
            case exp.Literal() as literal if literal.is_string:
                return Constant(literal.name)
            case exp.Literal() as literal:
                return _parse_number(literal.name)
            case exp.Neg() as negative if isinstance(negative.this, exp.Literal):
                return None if negative.this.is_string else _parse_number(f"-{negative.this.name}")
            case exp.Boolean() as truth:
                return Constant("true" if truth.this else "false", "BOOLEAN")
            case exp.Placeholder() as placeholder:
                return self._parameters.get(placeholder.name)
            case exp.Cast() as moment if isinstance(moment.this, exp.Literal) and moment.this.is_string:
                kind = _TEMPORAL_TYPES.get(moment.to.this.name)
                return Constant(moment.this.name, kind) if kind else None
            case _:
                return None


def _filtered_tables(join: exp.Join, before: Collection[str], added: str) -> frozenset[str]:
    """Return the tables whose rows a join drops unless they meet its ON."""
    match (join.side or "").upper():
        case "":
            return frozenset([*before, added])
        case "LEFT":
            return frozenset([added])
        case "RIGHT":
            return frozenset(before)
        case _:
            return frozenset()


def _split_conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    plain = condition.unnest()
    if isinstance(plain, exp.And):
        yield from _split_conjuncts(plain.this)
        yield from _split_conjuncts(plain.expression)
    else:
        yield plain


def _parse_number(text: str) -> Constant | None:
    try:
        int(text)
    except ValueError:
        try:
            float(text)
        except ValueError:
            return None
        return Constant(text, "DOUBLE")
    return Constant(text, "BIGINT")


def _table_ref(node: exp.Table) -> TableRef:
    return TableRef(node.db, node.name, node.catalog)
