"""The SELECT that makes points of the rows of another: x, series, y, and whether they can be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unify.duckdb_types import Type
from unify.interpreter.chart import XKind
from unify.store.duck import literal, quoted

LARGEST = 1e300  # beyond it, distances between values overflow
_TIMES = frozenset(
    {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}
)
NO_SERIES = "NULL"  # the name of the series of rows that have none
_X_FITS: Mapping[XKind, str] = {
    "number": f"abs(CAST(x AS DOUBLE)) <= {LARGEST}",
    "time": "year(x) BETWEEN 2 AND 9998",  # what Python's calendar has, with room around it
    "text": "x IS NOT NULL",
}
_X: Mapping[XKind, str] = {
    "number": "CAST(x AS DOUBLE)",
    "time": f"if({_X_FITS['time']}, epoch(CAST(x AS TIMESTAMP)), NULL)",
    "text": "CAST(x AS VARCHAR)",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of what is drawn, spelled as it is there."""

    name: str
    type: Type

    @property
    def kind(self) -> XKind:
        if self.type.numeric:
            return "number"
        return "time" if self.type.name in _TIMES else "text"


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a chart shows."""

    x: Column
    y: Sequence[Column]
    series: Column | None


def one_by_one(columns: Columns, sql: str) -> str:
    """A point for each y of each row, in the order of the rows."""
    return f"SELECT x, series, y, fits, 1 AS count FROM (\n{_long(columns, sql)}\n) AS points"


def added_up(columns: Columns, sql: str) -> str:
    """A point for each x and series in the order of their first rows, and one for all that do not fit."""
    return (
        "SELECT if(fits, x, NULL), if(fits, series, NULL), sum(y), fits, count(*) "
        f"FROM (\n{_long(columns, sql)}\n) AS points "
        "GROUP BY if(fits, x, NULL), if(fits, series, NULL), fits ORDER BY min(place)"
    )


def _long(columns: Columns, sql: str) -> str:
    """A row for every y of every row: x, series, y, and whether they can be shown."""
    y = ", ".join(f"CAST(y{number} AS DOUBLE)" for number in range(len(columns.y)))
    names = ", ".join(literal(column.name.replace("\0", "")) for column in columns.y)
    series = f"unnest([{names}])"
    if columns.series is not None:
        series = f"coalesce(CAST(series AS VARCHAR), '{NO_SERIES}')"
    return (
        f"SELECT x, series, y, place, coalesce(x_fits AND abs(y) <= {LARGEST}, false) AS fits FROM (\n"
        f"SELECT {_X[columns.x.kind]} AS x, {_X_FITS[columns.x.kind]} AS x_fits, "
        f"{series} AS series, unnest([{y}]) AS y, place\n"
        f"FROM (\n{_named(columns, sql)}\n) AS named) AS long"
    )


def _named(columns: Columns, sql: str) -> str:
    """The columns that matter under names of ours, and the place of each row."""
    taken = [(columns.x.name, "x"), *((column.name, f"y{number}") for number, column in enumerate(columns.y))]
    if columns.series is not None:
        taken.append((columns.series.name, "series"))
    names = ", ".join(f"{quoted(name)} AS {ours}" for name, ours in taken)
    return f"SELECT {names}, row_number() OVER () AS place FROM (\n{sql}\n) AS source"
