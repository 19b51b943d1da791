"""SELECTs that need of each group of rows no more than counts, sums, minima and maxima.

Their table can be replaced by one with fewer rows: see adapters.database.aggregates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp

AggregateFunction = Literal["count", "sum", "avg", "min", "max"]

_FUNCTIONS: dict[type[exp.Expr], AggregateFunction] = {
    exp.Count: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
}
_CLAUSES = frozenset(
    ["expressions", "from_", "where", "group", "having", "order", "limit", "offset", "distinct"]
)
_READ_CLAUSES = ("expressions", "group", "having", "order", "distinct", "limit", "offset")
# Expressions whose value depends on the values within them only. No other function is certain to be none
# that aggregates.
_PLAIN = (
    *(exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Distinct),
    *(exp.GroupingSets, exp.Rollup, exp.Cube, exp.Tuple, exp.Paren, exp.Alias, exp.Identifier),
    *(exp.Literal, exp.Null, exp.Boolean, exp.Placeholder, exp.Parameter, exp.DataType),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe),
    *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between),
    *(exp.And, exp.Or, exp.Not, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Round, exp.Cast, exp.TryCast),
)


@dataclass(frozen=True, slots=True)
class AggregateUse:
    """How a SELECT with one table uses its columns, in lower case, apart from WHERE.

    ``keys``         columns that it uses outside of aggregate functions; some may be names of its results.
    ``functions``    the functions of which a column is the only argument, by column.
    ``counts_rows``  it has count(*).
    ``aliases``      names of its results.
    """

    keys: frozenset[str]
    functions: tuple[tuple[str, frozenset[AggregateFunction]], ...]
    counts_rows: bool
    aliases: frozenset[str]


def find_aggregate_use(node: exp.Table) -> AggregateUse | None:
    """Return how the SELECT of ``node`` uses it; None if it may need its rows one by one."""
    select = node.parent.parent if isinstance(node.parent, exp.From) else None
    if not isinstance(select, exp.Select) or any(
        value for clause, value in select.args.items() if clause not in _CLAUSES
    ):
        return None
    reader = _UseReader(select, node.alias_or_name.lower())
    if not all(map(reader.read, _read_parts(select))):
        return None
    if not (
        reader.functions or reader.counts_rows or select.args.get("group") or select.args.get("distinct")
    ):
        return None
    functions = tuple((column, frozenset(names)) for column, names in reader.functions.items())
    return AggregateUse(frozenset(reader.keys), functions, reader.counts_rows, reader.aliases)


def _read_parts(select: exp.Select) -> Iterator[exp.Expr]:
    for clause in _READ_CLAUSES:
        part = select.args.get(clause)
        yield from part if isinstance(part, list) else [part] if isinstance(part, exp.Expr) else []


class _UseReader:
    """Collects the columns of one SELECT."""

    def __init__(self, select: exp.Select, table: str) -> None:
        self._table = table
        self.aliases = frozenset(
            one.alias.lower() for one in select.expressions if isinstance(one, exp.Alias)
        )
        self.keys: set[str] = set()
        self.functions: dict[str, set[AggregateFunction]] = {}
        self.counts_rows = False

    def read(self, node: exp.Expr, *, sorts: bool = False) -> bool:
        """Read an expression; return whether all of it is understood. ``sorts``: it is of ORDER BY."""
        if isinstance(node, exp.Column):
            return self._read_column(node, self.keys, sorts=sorts)
        if type(node) in _FUNCTIONS:
            return self._read_function(node, _FUNCTIONS[type(node)])
        if not isinstance(node, _PLAIN) or isinstance(node, exp.AggFunc):
            return False
        sorts = sorts or isinstance(node, exp.Order)
        return all(self.read(child, sorts=sorts) for child in node.iter_expressions())

    def _read_function(self, node: exp.Expr, name: AggregateFunction) -> bool:
        argument = node.this
        if any(value for key, value in node.args.items() if key not in ("this", "big_int")):
            return False
        if name == "count" and (argument is None or isinstance(argument, exp.Star)):
            self.counts_rows = True
            return True
        columns: set[str] = set()
        if not isinstance(argument, exp.Column) or not self._read_column(argument, columns):
            return False
        for column in columns:
            self.functions.setdefault(column, set()).add(name)
        return True

    def _read_column(self, node: exp.Column, columns: set[str], *, sorts: bool = False) -> bool:
        if not isinstance(node.this, exp.Identifier) or node.table.lower() not in ("", self._table):
            return False
        name = node.name.lower()
        if not (sorts and not node.table and name in self.aliases):  # ORDER BY means the result of that name
            columns.add(name)
        return True


def table_columns(use: AggregateUse, known: Collection[str]) -> frozenset[str] | None:
    """Return the ``keys`` that are columns of the table; None if a name is neither one nor of a result."""
    used = {column for column, _ in use.functions}
    if not used.issubset(known) or not use.keys.issubset({*known, *use.aliases}):
        return None
    return use.keys.intersection(known)
