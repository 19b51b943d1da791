"""``create chart``: the rows of a table, a variable or a SELECT as the points of a chart.

Bars, pies and areas show one y for an x, so rows that share an x are added up, by DuckDB, however many
there are. Lines and scatter charts show every row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unify.duckdb_types import parse_type
from unify.errors import QueryError, UnknownName
from unify.interpreter import chartsql
from unify.interpreter.chart import Chart, Series, X, XKind
from unify.interpreter.chartsql import LARGEST, NO_SERIES, Column, Columns
from unify.interpreter.variables import Bound
from unify.language.commands import ChartKind, ChartSettings, CreateChart
from unify.store.lake import Lake
from unify.text import did_you_mean

MOST_POINTS = 20_000  # far beyond what an eye tells apart; a picture of them takes a few seconds
_ADDED_UP = frozenset[ChartKind]({"area_chart", "bar_chart", "hbar_chart", "pie_chart"})
_SMALLEST = 1e-300
_LISTED = 20  # names in a message


class Charting:
    """Reads what charts show."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def chart(self, command: CreateChart, bound: Bound, note: str) -> Chart:
        """The chart of a SELECT's rows.

        Raises UnknownName for a column that is not there; QueryError for rows that make no chart.
        """
        settings = command.settings
        columns = _chosen(settings, self._columns(bound))
        adds_up = command.kind in _ADDED_UP
        points = self._points(bound, columns, adds_up=adds_up)
        if len(points) > MOST_POINTS:
            raise QueryError(_too_many(columns, adds_up=adds_up))
        good = [point for point in points if point.fits]
        rows = sum(point.count for point in points) // len(columns.y)
        if not good:
            raise QueryError(_nothing(columns, rows))
        if command.kind == "pie_chart":
            _refuse_negative(good, columns)
        series = _series(good, columns, adds_up=adds_up)
        return Chart(
            kind=command.kind,
            title=settings.title or "",
            x_title=settings.x_title or columns.x.name,
            y_title=settings.y_title or " and ".join(column.name for column in columns.y),
            x_kind=columns.x.kind,
            xs=_xs(good, columns.x.kind),
            series=series,
            rows=rows,
            left_out=sum(point.count for point in points if not point.fits),
            added_up=adds_up and any(point.count > 1 for point in good),
            note=note,
        )

    def _columns(self, bound: Bound) -> dict[str, Column]:
        """The columns there are, by their names in lower case."""
        described = self.lake.execute(f"DESCRIBE SELECT * FROM (\n{bound.sql}\n) AS source", bound.parameters)
        rows = [row for batch in described.batches() for row in batch]
        return {str(row[0]).lower(): Column(str(row[0]), parse_type(str(row[1]))) for row in rows}

    def _points(self, bound: Bound, columns: Columns, *, adds_up: bool) -> list[Point]:
        """All points, or one more than the most that are shown."""
        query = chartsql.added_up(columns, bound.sql) if adds_up else chartsql.one_by_one(columns, bound.sql)
        outcome = self.lake.execute(f"{query}\nLIMIT {MOST_POINTS + 1:d}", bound.parameters)
        return [_point(row) for batch in outcome.batches() for row in batch]


@dataclass(frozen=True, slots=True)
class Point:
    """One point as DuckDB gives it, made of ``count`` values; x and y mean nothing unless it ``fits``."""

    x: X
    series: str
    y: float
    fits: bool
    count: int


def _point(row: Sequence[object]) -> Point:
    x, series, y, fits, count = row
    good = bool(fits) and isinstance(y, float) and abs(y) <= LARGEST
    return Point(
        x=x if isinstance(x, str) else _drawable(x),
        series=str(series),
        y=_drawable(y),
        fits=good,
        count=int(str(count)),
    )


def _drawable(value: object) -> float:
    """A number that can be divided and still be one: what is next to nothing is 0."""
    return value if isinstance(value, float) and abs(value) > _SMALLEST else 0.0


def _chosen(settings: ChartSettings, known: Mapping[str, Column]) -> Columns:
    def found(setting: str, name: str) -> Column:
        if name.lower() not in known:
            names = [column.name for column in known.values()]
            near = did_you_mean(name, names) or f"; the columns are {_listed(names)}"
            raise UnknownName(f"{setting} = {name}: there is no such column{near}")
        return known[name.lower()]

    x = found("x", settings.x)
    y = [found("y", name) for name in settings.y]
    for column in y:
        if not column.type.numeric:
            raise QueryError(_no_number(x, column))
    return Columns(x, y, found("series", settings.series) if settings.series is not None else None)


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:_LISTED], *(["…"] if len(names) > _LISTED else [])])


def _series(points: Sequence[Point], columns: Columns, *, adds_up: bool) -> tuple[Series, ...]:
    """Those that are columns in the order they were named; values of a column by name, NULL last: a series
    has the same colour tomorrow, whatever order its rows come in."""
    by_name: dict[str, list[tuple[X, float]]] = {}
    if columns.series is None:
        by_name = {column.name: [] for column in columns.y}
    for point in points:
        by_name.setdefault(point.series, []).append((point.x, point.y))
    if columns.x.kind != "text":
        for found in by_name.values():
            found.sort(key=lambda one: (one[0],) if adds_up else one)
    names = (
        list(by_name)
        if columns.series is None
        else sorted(by_name, key=lambda name: (name == NO_SERIES, name))
    )
    return tuple(Series(name, tuple(by_name[name])) for name in names if by_name[name])


def _xs(points: Sequence[Point], kind: XKind) -> tuple[X, ...]:
    xs = list(dict.fromkeys(point.x for point in points))
    return tuple(xs) if kind == "text" else tuple(sorted(x for x in xs if isinstance(x, float)))


def _refuse_negative(points: Sequence[Point], columns: Columns) -> None:
    if any(point.y < 0 for point in points):
        raise QueryError(f"a pie has no negative parts, and {columns.y[0].name} has; a bar_chart shows them")
    if not any(point.y for point in points):
        raise QueryError(f"every {columns.y[0].name} is 0: a pie has no parts then")


def _no_number(x: Column, y: Column) -> str:
    return (
        f"y = {y.name}: a chart needs numbers there, and this is {y.type.label}; count the rows for example: "
        f"create chart from (select {x.name}, count(*) as n from … group by all) as … "
        f"where x = {x.name} and y = n"
    )


def _nothing(columns: Columns, rows: int) -> str:
    if not rows:
        return "there are no rows, so there is nothing to draw"
    names = ", ".join(column.name for column in [columns.x, *columns.y])
    return f"there is nothing to draw: no row has both x and y ({names} are NULL or infinite)"


def _too_many(columns: Columns, *, adds_up: bool) -> str:
    if adds_up:
        return (
            f"{columns.x.name} has more than {MOST_POINTS:,} different values, too many for a chart; draw a "
            "SELECT that groups them, or that ends with a limit"
        )
    return (
        f"there are more than {MOST_POINTS:,} points, too many for a chart; draw a SELECT that aggregates "
        f"them (group by), or takes some (using sample 10000 rows)"
    )
