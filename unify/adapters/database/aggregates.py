"""Groups of rows in place of rows: a server counts and sums, and DuckDB computes the same result.

The statement of the user stays as it is. Its table is replaced by one with fewer rows that have the same
groups: of each group as many rows as it has if they are counted, one that has the sums, and else NULL or 0.
Then count(*), count(x), sum(x), avg(x), min(x) and max(x) of DuckDB are those of all rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from unify.adapters.database.columns import DatabaseColumn, DatabaseTable, ValueKind
from unify.adapters.database.conditions import SentConditions
from unify.adapters.relation import RelationRead
from unify.engine.types import parse_type
from unify.engine.types import quote_identifier as quoted
from unify.language.sql.aggregates import AggregateFunction, table_columns

_BLOCK_ROWS = 65536  # a list of the numbers of all rows could take too much memory
MIN_GROUP_ROWS = 10  # on average, else the server has more work than it saves

_SUMMED = frozenset([ValueKind.INTEGER, ValueKind.DECIMAL])
_ORDERED = _SUMMED | {ValueKind.DATE, ValueKind.TIMESTAMP, ValueKind.TIMESTAMPTZ}
_KEYS = _ORDERED | {ValueKind.TEXT, ValueKind.LABEL, ValueKind.BOOLEAN, ValueKind.UUID}
_REPRESENTED = _ORDERED | {ValueKind.TEXT}  # have a minimum, which is one of the values
_FEW_VALUES = frozenset([ValueKind.BOOLEAN, ValueKind.LABEL])


class GroupColumn(Struct, frozen=True):
    """A column of the table in place of the source's.

    ``fetched``  expressions of the server, outside of GROUP BY.
    ``value``    of DuckDB; ``{0}``, ``{1}`` stand for what is fetched, ``i`` is the number of the row in its
                 group.
    """

    column: DatabaseColumn
    fetched: tuple[str, ...]
    value: str


class GroupRead(Struct, frozen=True):
    """A table that is read in groups. ``rows`` of a group is an expression of DuckDB; ``n`` are all rows."""

    table: DatabaseTable
    keys: tuple[DatabaseColumn, ...]
    columns: tuple[GroupColumn, ...]
    conditions: tuple[str, ...]
    rows: str

    @property
    def source_sql(self) -> str:
        """The statement of the server."""
        values = [f"{column.fetch} AS c{number}" for number, column in enumerate(self.keys)]
        fetched = [one for column in self.columns for one in column.fetched]
        values += [f"{one} AS a{number}" for number, one in enumerate(fetched)]
        sql = f"SELECT {', '.join(['count(*) AS n', *values])} FROM {self.table.sql_name}"
        if self.conditions:
            sql += " WHERE " + " AND ".join(f"({condition})" for condition in self.conditions)
        if self.keys:
            sql += " GROUP BY " + ", ".join(str(number + 2) for number in range(len(self.keys)))
        return sql

    def duckdb_sql(self, call: str) -> str:
        """Return the SELECT of DuckDB over ``call``, which sends ``source_sql``."""
        values = [key.value_sql(f"c{number}") for number, key in enumerate(self.keys)]
        number = 0
        for one in self.columns:
            names = [f"a{number + position}" for position in range(len(one.fetched))]
            number += len(names)
            values.append(f"{one.value.format(*names)} AS {quoted(one.column.name)}")
        blocks = f"SELECT *, {self.rows} AS n_rows FROM {call}"
        blocks = f"SELECT *, unnest(range(0, n_rows, {_BLOCK_ROWS})) AS first_row FROM ({blocks})"
        numbers = f"range(first_row, least(first_row + {_BLOCK_ROWS}, n_rows))"
        rows = f"SELECT *, unnest({numbers}) AS i FROM ({blocks})"
        return f"SELECT {', '.join(values) or 'NULL'} FROM ({rows})"


def plan_groups(table: DatabaseTable, read: RelationRead, sent: SentConditions) -> GroupRead | None:
    """Return how the server may group the rows that a statement reads; None if it needs them one by one."""
    use, columns = read.aggregates, table.fields_by_name()
    names = table_columns(use, columns) if use is not None else None
    if use is None or names is None or not sent.is_exact:
        return None
    functions = dict(use.functions)
    conditions = {condition.column for condition in read.conditions}
    names |= {name for name in conditions - functions.keys() if columns[name].kind in _FEW_VALUES}
    keys = [columns[name] for name in sorted(names)]
    if names & functions.keys() or not _are_few(table, keys):
        return None
    found = [_plan_column(columns[name], functions[name], name in conditions) for name in functions]
    found += [_represent(columns[name]) for name in sorted(conditions - functions.keys() - names)]
    planned = tuple(one for one in found if one is not None)
    if len(planned) < len(found):
        return None
    rows = "n" if use.counts_rows or _counts_values(functions) else "least(n, 2)"
    return GroupRead(table, tuple(keys), planned, sent.sql, rows)


def _counts_values(functions: Mapping[str, Collection[AggregateFunction]]) -> bool:
    return any({"count", "avg"}.intersection(names) for names in functions.values())


def _are_few(table: DatabaseTable, keys: Sequence[DatabaseColumn]) -> bool:
    """Whether the keys are comparable, and have far fewer values than the table has rows."""
    if any(key.kind not in _KEYS or (key.kind is ValueKind.TEXT and not key.same_text) for key in keys):
        return False
    if table.key and set(table.key) <= {key.name for key in keys}:
        return False
    groups = 1.0
    for key in keys:
        groups *= key.distinct_values or 1.0
    return not table.approximate_rows or groups * MIN_GROUP_ROWS <= table.approximate_rows


def _plan_column(
    column: DatabaseColumn, functions: Collection[AggregateFunction], is_condition: bool
) -> GroupColumn | None:
    """Return the column that gives the functions the same result; None if there is none.

    ``is_condition``  DuckDB applies conditions to it again, so that each of its values must be one of the
                      source's.
    """
    match sorted(functions):
        case ["count"] if not is_condition:
            return GroupColumn(column, (f"count({column.fetch})",), "CASE WHEN i < {0} THEN true END")
        case ["max"] | ["min"] if _is_fetched_as_it_is(column, _ORDERED):
            return GroupColumn(column, (_extreme(sorted(functions)[0], column),), "{0}")
        case ["max", "min"] if _is_fetched_as_it_is(column, _ORDERED):
            fetched = _extreme("min", column), _extreme("max", column)
            return GroupColumn(column, fetched, "CASE WHEN i = 0 THEN {0} ELSE {1} END")
        case [*names] if not is_condition and not {"min", "max"}.intersection(names):
            return _plan_sum(column, is_counted=names != ["sum"])
        case _:
            return None


def _plan_sum(column: DatabaseColumn, *, is_counted: bool) -> GroupColumn | None:
    """The first row of a group has the sum; if they are counted, the others with a value have 0."""
    if not _is_fetched_as_it_is(column, _SUMMED):
        return None
    type = parse_type(column.type)
    is_decimal = column.kind is ValueKind.DECIMAL
    scale = type.modifiers[1] if is_decimal else 0
    total = f"sum({column.fetch})::numeric(38,{scale})"
    summed = f"DECIMAL(38,{scale})" if is_decimal else "HUGEINT"
    value = f"CASE WHEN i = 0 THEN CAST({{0}} AS {summed})"
    if not is_counted:
        return GroupColumn(column, (total,), f"{value} END")
    return GroupColumn(column, (total, f"count({column.fetch})"), f"{value} WHEN i < {{1}} THEN 0 END")


def _represent(column: DatabaseColumn) -> GroupColumn | None:
    """A column that only WHERE uses: a group has one of its values, which fulfils the conditions."""
    if not _is_fetched_as_it_is(column, _REPRESENTED):
        return None
    return GroupColumn(column, (_extreme("min", column),), "{0}")


def _extreme(function: str, column: DatabaseColumn) -> str:
    """Return the minimum or maximum. DuckDB reads a numeric without precision, which it is, as DOUBLE."""
    value = f"{function}({column.fetch})"
    if column.kind is not ValueKind.DECIMAL:
        return value
    precision, scale = parse_type(column.type).modifiers
    return f"{value}::numeric({precision},{scale})"


def _is_fetched_as_it_is(column: DatabaseColumn, kinds: Collection[ValueKind]) -> bool:
    return column.kind in kinds and not column.cast_to and not column.function
