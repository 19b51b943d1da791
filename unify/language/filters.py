"""What one SELECT asks of each table in its FROM: conditions with constants, and columns it is joined by.

Only what is certain. A condition counts where a row that does not meet it can appear nowhere in the
SELECT's result, nor change another row of it: every conjunct of WHERE, and of a join's ON for the tables
that the join does not keep whatever ON says. All of them fail on NULL, so that rows which an outer join
fills up fail too. Whatever is not understood asks nothing: then more is fetched than needed, never less.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from sqlglot import exp

from unify.language.constants import Constant
from unify.language.tableref import TableRef

Operator = Literal["=", "in", ">", ">=", "<", "<=", "like"]
Parameters = Mapping[str, Constant | None]

_COMPARISONS: Mapping[type[exp.Expr], Operator] = {
    exp.EQ: "=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.Like: "like",
}
_TURNED: Mapping[Operator, Operator] = {"=": "=", ">": "<", ">=": "<=", "<": ">", "<=": ">="}
_MOMENTS = {"DATE": "DATE", "TIMESTAMPNTZ": "TIMESTAMP", "TIMESTAMP": "TIMESTAMP"} | {
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"
}
_PLAIN_JOINS = frozenset({"", "INNER", "CROSS", "OUTER"})


@dataclass(frozen=True, slots=True)
class Condition:
    """``column`` in lower case; several ``values`` for ``in`` only."""

    column: str
    operator: Operator
    values: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """``column`` equals ``other_column`` of another table of the FROM, whose node is ``other``."""

    column: str
    other: exp.Table
    other_column: str


@dataclass(slots=True)
class Asked:
    """What is asked of one table."""

    conditions: list[Condition] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)


@dataclass(slots=True)
class _From:
    """The FROM of a SELECT: its tables by the name they go under; None for what is no plain table."""

    tables: dict[str, exp.Table | None] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)  # columns of USING, which belong to no single table
    certain: bool = True

    def add(self, node: exp.Expr) -> None:
        name = node.alias_or_name.lower()
        if not name or name in self.tables or node.args.get("joins") or node.args.get("pivots"):
            self.certain = False
        plain = isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier)
        renamed = isinstance(node.args.get("alias"), exp.TableAlias) and node.args["alias"].args.get(
            "columns"
        )
        sampled = node.args.get("sample") or node.args.get("when") or node.args.get("laterals")
        self.tables[name] = cast(exp.Table, node) if plain and not renamed and not sampled else None


class Asking:
    """Reads SELECTs. ``own`` gives the columns, in lower case, that a table is known to have."""

    def __init__(self, own: Callable[[TableRef], Collection[str]], parameters: Parameters) -> None:
        self._own = own
        self._parameters = parameters

    def of(self, select: exp.Select) -> Mapping[int, Asked]:
        """What is asked of the tables in the FROM of ``select``, by the ``id`` of their nodes."""
        start = select.args.get("from_")
        if not isinstance(start, exp.From) or select.args.get("sample"):
            return {}
        joins = select.args.get("joins") or []
        source = _From()
        source.add(start.this)
        for join in joins:
            source.add(join.this)
            source.merged |= {one.name.lower() for one in join.args.get("using") or []}
            if (join.method or "") or (join.kind or "") not in _PLAIN_JOINS:
                source.certain = False  # natural, asof, positional, semi, anti
        if not source.certain:
            return {}
        return self._collected(select, source, joins)

    def _collected(self, select: exp.Select, source: _From, joins: list[exp.Join]) -> Mapping[int, Asked]:
        found: dict[int, Asked] = {id(node): Asked() for node in source.tables.values() if node is not None}
        names = list(source.tables)
        for place, join in enumerate(joins, 1):
            narrowed = _narrowed(join, names[:place], names[place])
            condition = join.args.get("on")
            if isinstance(condition, exp.Expr):
                self._collect(condition, source, narrowed, found)
            if len(names) == 2:
                self._collect_using(join, source, narrowed, found)
        where = select.args.get("where")
        if isinstance(where, exp.Where):
            self._collect(where.this, source, frozenset(names), found)
        return found

    def _collect(
        self, condition: exp.Expr, source: _From, narrowed: Collection[str], found: Mapping[int, Asked]
    ) -> None:
        for conjunct in _conjuncts(condition):
            for name, one in self._conditions(conjunct, source):
                node = source.tables[name]
                if name in narrowed and node is not None:
                    found[id(node)].conditions.append(one)
            for name, link in self._links(conjunct, source):
                node = source.tables[name]
                if name in narrowed and node is not None:
                    found[id(node)].links.append(link)

    def _collect_using(
        self, join: exp.Join, source: _From, narrowed: Collection[str], found: Mapping[int, Asked]
    ) -> None:
        first, second = source.tables.items()
        for name, node, other in ((first[0], first[1], second[1]), (second[0], second[1], first[1])):
            if name in narrowed and node is not None and other is not None:
                for column in join.args.get("using") or []:
                    found[id(node)].links.append(Link(column.name.lower(), other, column.name))

    def _conditions(self, conjunct: exp.Expr, source: _From) -> Iterator[tuple[str, Condition]]:
        match conjunct:
            case exp.Between() if not conjunct.args.get("symmetric"):
                yield from self._one(source, conjunct.this, ">=", [conjunct.args["low"]])
                yield from self._one(source, conjunct.this, "<=", [conjunct.args["high"]])
            case exp.In() if conjunct.args.get("expressions") and not conjunct.args.get("query"):
                yield from self._one(source, conjunct.this, "in", conjunct.expressions)
            case exp.Or():
                yield from self._alternatives(conjunct, source)
            case exp.Expr() if type(conjunct) in _COMPARISONS and not conjunct.args.get("negate"):
                operator = _COMPARISONS[type(conjunct)]
                left, right = conjunct.this, conjunct.expression
                yield from self._one(source, left, operator, [right])
                if operator in _TURNED:
                    yield from self._one(source, right, _TURNED[operator], [left])

    def _alternatives(self, conjunct: exp.Or, source: _From) -> Iterator[tuple[str, Condition]]:
        """``q = 'a' or q = 'b'`` is ``q in ('a', 'b')``."""
        found = [
            one
            for part in conjunct.flatten()
            for one in ([*self._conditions(part.unnest(), source)] or [("", Condition("", "like", ()))])
        ]
        places = {(name, one.column) for name, one in found}
        if len(places) == 1 and all(one.operator in ("=", "in") for _, one in found):
            [(name, column)] = places
            yield name, Condition(column, "in", tuple(value for _, one in found for value in one.values))

    def _one(
        self, source: _From, column: exp.Expr, operator: Operator, values: list[exp.Expr]
    ) -> Iterator[tuple[str, Condition]]:
        name = self._table_of(column, source)
        constants = [self._constant(value) for value in values]
        if name is not None and all(constants):
            known = tuple(dict.fromkeys(one for one in constants if one is not None))
            yield name, Condition(column.name.lower(), operator, known)

    def _links(self, conjunct: exp.Expr, source: _From) -> Iterator[tuple[str, Link]]:
        if not isinstance(conjunct, exp.EQ):
            return
        sides = (conjunct.this, conjunct.expression)
        for column, other in (sides, sides[::-1]):
            name, other_name = self._table_of(column, source), self._table_of(other, source)
            if name is None or other_name is None or name == other_name:
                continue
            node = source.tables[other_name]
            if node is not None:
                yield name, Link(column.name.lower(), node, other.name)

    def _table_of(self, column: exp.Expr, source: _From) -> str | None:
        """The name of the table a column certainly belongs to."""
        if not isinstance(column, exp.Column) or not isinstance(column.this, exp.Identifier):
            return None
        if column.table:
            return self._qualified(column, source)
        if column.name.lower() in source.merged:
            return None
        if len(source.tables) == 1:
            return next(iter(source.tables))
        owners = [
            name
            for name, node in source.tables.items()
            if node is not None and column.name.lower() in self._own(_ref(node))
        ]
        return owners[0] if len(owners) == 1 else None

    def _qualified(self, column: exp.Column, source: _From) -> str | None:
        name = column.table.lower()
        node = source.tables.get(name)
        if node is None or (column.db and (node.alias or column.db.lower() != node.db.lower())):
            return None
        return name

    def _constant(self, value: exp.Expr) -> Constant | None:
        """A value written out, or a variable's. NULL is none: nothing is ever equal to it."""
        match value.unnest():
            case exp.Literal() as literal if literal.is_string:
                return Constant(literal.name)
            case exp.Literal() as literal:
                return _number(literal.name)
            case exp.Neg() as negative if isinstance(negative.this, exp.Literal):
                return None if negative.this.is_string else _number(f"-{negative.this.name}")
            case exp.Boolean() as truth:
                return Constant("true" if truth.this else "false", "BOOLEAN")
            case exp.Placeholder() as placeholder:
                return self._parameters.get(placeholder.name)
            case exp.Cast() as moment if isinstance(moment.this, exp.Literal) and moment.this.is_string:
                kind = _MOMENTS.get(moment.to.this.name)
                return Constant(moment.this.name, kind) if kind else None
            case _:
                return None


def _narrowed(join: exp.Join, before: Collection[str], added: str) -> frozenset[str]:
    """The tables of whose rows a join keeps only those that meet its ON."""
    match (join.side or "").upper():
        case "":
            return frozenset([*before, added])
        case "LEFT":
            return frozenset([added])
        case "RIGHT":
            return frozenset(before)
        case _:
            return frozenset()


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    plain = condition.unnest()
    if isinstance(plain, exp.And):
        yield from _conjuncts(plain.this)
        yield from _conjuncts(plain.expression)
    else:
        yield plain


def _number(text: str) -> Constant | None:
    try:
        int(text)
    except ValueError:
        try:
            float(text)
        except ValueError:
            return None
        return Constant(text, "DOUBLE")
    return Constant(text, "BIGINT")


def _ref(node: exp.Table) -> TableRef:
    return TableRef(node.db, node.name, node.catalog)
