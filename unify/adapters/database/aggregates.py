"""Groups of rows in place of rows: a server counts and sums, and DuckDB computes the same result.

The statement of the user stays as it is. Its table is replaced by one with fewer rows that have the same
groups: of each group as many rows as it has if they are counted, one that has the sums, and else NULL or 0.
Then count(*), count(x), sum(x), avg(x), min(x) and max(x) of DuckDB are those of all rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

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

    ``functions``  of the server, over the values of the column.
    ``value``      of DuckDB; ``{0}``, ``{1}`` stand for their results, ``i`` is the number of the row in its
                   group.
    ``cast``       the type of the results, as ``::type``.
    """

    column: DatabaseColumn
    functions: tuple[str, ...]
    value: str
    cast: str = ""

    @property
    def is_checked(self) -> bool:
        """Whether the first result tells if there are values that are read as NULL."""
        return bool(self.column.raw) and self.functions[0] != "count"


class GroupRead(Struct, frozen=True):
    """A table that is read in groups. ``rows`` of a group is an expression of DuckDB; ``n`` are all rows."""

    table: DatabaseTable
    keys: tuple[DatabaseColumn, ...]
    columns: tuple[GroupColumn, ...]
    conditions: tuple[str, ...]
    rows: str
    null_counter: str = ""  # see RelationRead

    @property
    def null_columns(self) -> tuple[str, ...]:
        """The columns in which values that are read as NULL are noticed."""
        return tuple(one.column.name for one in self.columns if one.is_checked and self.null_counter)

    @property
    def source_sql(self) -> str:
        """The statement of the server."""
        keys = [f"{key.fetch} AS c{number}" for number, key in enumerate(self.keys)]
        values = [
            f"{function}({one.column.raw if one.is_checked else one.column.fetch}){one.cast} AS {name}"
            for one, names in self._named()
            for function, name in zip(one.functions, names, strict=True)
        ]
        sql = f"SELECT {', '.join(['count(*) AS n', *keys, *values])}{self._tail(self.conditions)}"
        if self.keys:
            sql += " GROUP BY " + ", ".join(str(number + 2) for number in range(len(self.keys)))
        return self._without_nan(sql) if any(one.is_checked for one in self.columns) else sql

    def duckdb_sql(self, call: str) -> str:
        """Return the SELECT of DuckDB over ``call``, which sends ``source_sql``."""
        values = [key.value_sql(f"c{number}") for number, key in enumerate(self.keys)]
        for one, names in self._named():
            value = one.value.format(*names)
            if one.is_checked and self.null_counter:
                counted = f"CASE WHEN {self.null_counter} > 0 THEN {value} END"
                value = f"CASE WHEN {names[0]}_is_nan THEN {counted} ELSE {value} END"
            values.append(f"{value} AS {quoted(one.column.name)}")
        blocks = f"SELECT *, {self.rows} AS n_rows FROM {call}"
        blocks = f"SELECT *, unnest(range(0, n_rows, {_BLOCK_ROWS})) AS first_row FROM ({blocks})"
        numbers = f"range(first_row, least(first_row + {_BLOCK_ROWS}, n_rows))"
        rows = f"SELECT *, unnest({numbers}) AS i FROM ({blocks})"
        return f"SELECT {', '.join(values) or 'NULL'} FROM ({rows})"

    def _named(self) -> Iterator[tuple[GroupColumn, Sequence[str]]]:
        """Yield the columns with the names of the results of their functions."""
        number = 0
        for one in self.columns:
            yield one, [f"a{number + position}" for position in range(len(one.functions))]
            number += len(one.functions)

    def _tail(self, conditions: Sequence[str]) -> str:
        where = " WHERE " + " AND ".join(f"({one})" for one in conditions) if conditions else ""
        return f" FROM {self.table.sql_name}{where}"

    def _without_nan(self, groups: str) -> str:
        """Return ``groups`` with the results of NaN computed again over the other values.

        A sum is NaN if one of the values is, so that it need not be looked for in every row.
        """
        keys = [f"c{number}" for number in range(len(self.keys))]
        same = [
            f"{key.fetch} IS NOT DISTINCT FROM g.{name}" for key, name in zip(self.keys, keys, strict=True)
        ]
        tail = self._tail((*self.conditions, *same))
        values: list[str] = []
        for one, names in self._named():
            is_nan = f"{names[0]} = 'NaN'"
            for function, name in zip(one.functions, names, strict=True):
                again = f"(SELECT {function}({one.column.fetch}){one.cast}{tail})"
                chosen = f"(CASE WHEN {is_nan} THEN {again} ELSE {name} END){one.cast} AS {name}"
                values.append(chosen if one.is_checked else name)
            values += [f"{is_nan} AS {names[0]}_is_nan"] if one.is_checked else []
        return f"SELECT {', '.join(['n', *keys, *values])} FROM ({groups}) AS g"


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
    return GroupRead(table, tuple(keys), planned, sent.sql, rows, read.null_counter)


def _counts_values(functions: Mapping[str, Collection[AggregateFunction]]) -> bool:
    return any({"count", "avg"}.intersection(names) for names in functions.values())


def _are_few(table: DatabaseTable, keys: Sequence[DatabaseColumn]) -> bool:
    """Whether the keys are comparable, and have far fewer values than the table has rows."""
    if any(key.kind not in _KEYS or (key.kind is ValueKind.TEXT and not key.same_text) for key in keys):
        return False
    if any(key.raw for key in keys):  # NaN among them would not be noticed
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
        case ["count"] if not is_condition and column.raw:  # the maximum tells whether there is a NaN
            return GroupColumn(column, ("max", "count"), "CASE WHEN i < {1} THEN true END")
        case ["count"] if not is_condition:
            return GroupColumn(column, ("count",), "CASE WHEN i < {0} THEN true END")
        case ["min"] if column.raw and _is_fetched_as_it_is(column, _ORDERED):
            return GroupColumn(column, ("max", "min"), "{1}", _type_cast(column))
        case ["max"] | ["min"] if _is_fetched_as_it_is(column, _ORDERED):
            return GroupColumn(column, tuple(functions), "{0}", _type_cast(column))
        case ["max", "min"] if _is_fetched_as_it_is(column, _ORDERED):
            value = "CASE WHEN i = 0 THEN {1} ELSE {0} END"
            return GroupColumn(column, ("max", "min"), value, _type_cast(column))
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
    cast, summed = f"::numeric(38,{scale})", f"DECIMAL(38,{scale})" if is_decimal else "HUGEINT"
    value = f"CASE WHEN i = 0 THEN CAST({{0}} AS {summed})"
    if not is_counted:
        return GroupColumn(column, ("sum",), f"{value} END", cast)
    return GroupColumn(column, ("sum", "count"), f"{value} WHEN i < {{1}} THEN 0 END", cast)


def _represent(column: DatabaseColumn) -> GroupColumn | None:
    """A column that only WHERE uses: a group has one of its values, which fulfils the conditions."""
    if not _is_fetched_as_it_is(column, _REPRESENTED):
        return None
    return GroupColumn(column, ("min",), "{0}", _type_cast(column))


def _type_cast(column: DatabaseColumn) -> str:
    """Return the cast of a minimum or maximum, a numeric without precision, which DuckDB reads as DOUBLE."""
    if column.kind is not ValueKind.DECIMAL:
        return ""
    precision, scale = parse_type(column.type).modifiers
    return f"::numeric({precision},{scale})"


def _is_fetched_as_it_is(column: DatabaseColumn, kinds: Collection[ValueKind]) -> bool:
    is_plain = not column.cast_to and not column.function and column.raw != column.fetch
    return column.kind in kinds and is_plain
