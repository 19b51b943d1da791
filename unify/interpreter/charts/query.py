"""``create chart``: the rows of a table, a variable or a SELECT as the points of a chart.

Bars, pies and areas show one y for an x, so rows that share an x are added up, by DuckDB, however many
there are. Lines and scatter charts show every row.

The SELECT that makes points of the rows of another: x, series, y, and whether they can be shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unify.engine.connection import quote_literal
from unify.engine.types import DuckDBType, parse_type
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError, UnknownName
from unify.interpreter.results import Chart, ChartSeries, XKind, XValue
from unify.interpreter.variables import BoundQuery
from unify.lake.lake import Lake
from unify.language.commands import ChartKind, ChartSettings, CreateChart
from unify.text import did_you_mean

MAX_POINTS = 20_000  # far beyond what an eye tells apart; a picture of them takes a few seconds
_SUMMED_KINDS = frozenset[ChartKind]({"area_chart", "bar_chart", "hbar_chart", "pie_chart"})
_MIN_MAGNITUDE = 1e-300
_MAX_LISTED_COLUMNS = 20  # names in a message


class ChartBuilder:
    """Reads what charts show."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def build(self, command: CreateChart, bound: BoundQuery, note: str) -> Chart:
        """The chart of a SELECT's rows.

        Raises UnknownName for a column that is not there; QueryError for rows that make no chart.
        """
        with self.lake.repeatable(bound.sql, bound.parameters, bound.definitions) as (sql, parameters):
            return self._build(command, sql, parameters, note)

    def _build(self, command: CreateChart, sql: str, parameters: object, note: str) -> Chart:
        settings = command.settings
        columns = _select_columns(settings, self._describe_columns(sql, parameters))
        adds_up = command.kind in _SUMMED_KINDS
        points = self._fetch_points(sql, parameters, columns, summed=adds_up)
        if len(points) > MAX_POINTS:
            raise QueryError(_too_many_points_message(columns, summed=adds_up))
        good = [point for point in points if point.is_drawable]
        rows = sum(point.count for point in points) // len(columns.y)
        if not good:
            raise QueryError(_no_points_message(columns, rows))
        if command.kind == "pie_chart":
            _refuse_negative(good, columns)
        series = _build_series(good, columns, summed=adds_up)
        return Chart(
            kind=command.kind,
            title=settings.title or "",
            x_title=settings.x_title or columns.x.name,
            y_title=settings.y_title or " and ".join(column.name for column in columns.y),
            x_kind=columns.x.kind,
            x_values=_distinct_x_values(good, columns.x.kind),
            series=series,
            rows=rows,
            skipped_points=sum(point.count for point in points if not point.is_drawable),
            is_summed=adds_up and any(point.count > 1 for point in good),
            note=note,
        )

    def _describe_columns(self, sql: str, parameters: object) -> dict[str, ChartColumn]:
        """The columns there are, by their names in lower case."""
        described = self.lake.execute(f"DESCRIBE SELECT * FROM (\n{sql}\n) AS source", parameters)
        rows = [row for batch in described.batches() for row in batch]
        return {str(row[0]).lower(): ChartColumn(str(row[0]), parse_type(str(row[1]))) for row in rows}

    def _fetch_points(
        self, sql: str, parameters: object, columns: ChartColumns, *, summed: bool
    ) -> list[ChartPoint]:
        """All points, or one more than the most that are shown."""
        query = summed_points_sql(columns, sql) if summed else points_sql(columns, sql)
        outcome = self.lake.execute(f"{query}\nLIMIT {MAX_POINTS + 1:d}", parameters)
        return [_parse_point(row) for batch in outcome.batches() for row in batch]


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """One point as DuckDB gives it, made of ``count`` values; x and y mean nothing unless it ``is_drawable``."""

    x: XValue
    series: str
    y: float
    is_drawable: bool
    count: int


def _parse_point(row: Sequence[object]) -> ChartPoint:
    x, series, y, fits, count = row
    good = bool(fits) and isinstance(y, float) and abs(y) <= MAX_MAGNITUDE
    return ChartPoint(
        x=x if isinstance(x, str) else _round_tiny_to_zero(x),
        series=str(series),
        y=_round_tiny_to_zero(y),
        is_drawable=good,
        count=int(str(count)),
    )


def _round_tiny_to_zero(value: object) -> float:
    """A number that can be divided and still be one: what is next to nothing is 0."""
    return value if isinstance(value, float) and abs(value) > _MIN_MAGNITUDE else 0.0


def _select_columns(settings: ChartSettings, known: Mapping[str, ChartColumn]) -> ChartColumns:
    def found(setting: str, name: str) -> ChartColumn:
        if name.lower() not in known:
            names = [column.name for column in known.values()]
            near = did_you_mean(name, names) or f"; the columns are {_join_names(names)}"
            raise UnknownName(f"{setting} = {name}: there is no such column{near}")
        return known[name.lower()]

    x = found("x", settings.x)
    y = [found("y", name) for name in settings.y]
    for column in y:
        if not column.type.numeric:
            raise QueryError(_not_numeric_message(x, column))
    return ChartColumns(x, y, found("series", settings.series) if settings.series is not None else None)


def _join_names(names: Sequence[str]) -> str:
    return ", ".join([*names[:_MAX_LISTED_COLUMNS], *(["…"] if len(names) > _MAX_LISTED_COLUMNS else [])])


def _build_series(
    points: Sequence[ChartPoint], columns: ChartColumns, *, summed: bool
) -> tuple[ChartSeries, ...]:
    """Those that are columns in the order they were named; values of a column by name, NULL last: a series
    has the same colour tomorrow, whatever order its rows come in."""
    by_name: dict[str, list[tuple[XValue, float]]] = {}
    if columns.series is None:
        by_name = {column.name: [] for column in columns.y}
    for point in points:
        by_name.setdefault(point.series, []).append((point.x, point.y))
    if columns.x.kind != "text":
        for found in by_name.values():
            found.sort(key=lambda one: (one[0],) if summed else one)
    names = (
        list(by_name)
        if columns.series is None
        else sorted(by_name, key=lambda name: (name == NULL_SERIES, name))
    )
    return tuple(ChartSeries(name, tuple(by_name[name])) for name in names if by_name[name])


def _distinct_x_values(points: Sequence[ChartPoint], kind: XKind) -> tuple[XValue, ...]:
    xs = list(dict.fromkeys(point.x for point in points))
    return tuple(xs) if kind == "text" else tuple(sorted(x for x in xs if isinstance(x, float)))


def _refuse_negative(points: Sequence[ChartPoint], columns: ChartColumns) -> None:
    if any(point.y < 0 for point in points):
        raise QueryError(f"a pie has no negative parts, and {columns.y[0].name} has; a bar_chart shows them")
    if not any(point.y for point in points):
        raise QueryError(f"every {columns.y[0].name} is 0: a pie has no parts then")


def _not_numeric_message(x: ChartColumn, y: ChartColumn) -> str:
    return (
        f"y = {y.name}: a chart needs numbers there, and this is {y.type.label}; count the rows for example: "
        f"create chart from (select {x.name}, count(*) as n from … group by all) as … "
        f"where x = {x.name} and y = n"
    )


def _no_points_message(columns: ChartColumns, rows: int) -> str:
    if not rows:
        return "there are no rows, so there is nothing to draw"
    names = ", ".join(column.name for column in [columns.x, *columns.y])
    return f"there is nothing to draw: no row has both x and y ({names} are NULL or infinite)"


def _too_many_points_message(columns: ChartColumns, *, summed: bool) -> str:
    if summed:
        return (
            f"{columns.x.name} has more than {MAX_POINTS:,} different values, too many for a chart; draw a "
            "SELECT that groups them, or that ends with a limit"
        )
    return (
        f"there are more than {MAX_POINTS:,} points, too many for a chart; draw a SELECT that aggregates "
        f"them (group by), or takes some (using sample 10000 rows)"
    )


MAX_MAGNITUDE = 1e300  # beyond it, distances between values overflow
_TIME_TYPES = frozenset(
    {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}
)
NULL_SERIES = "NULL"  # the name of the series of rows that have none
_X_IS_VALID_SQL: Mapping[XKind, str] = {
    "number": f"abs(CAST(x AS DOUBLE)) <= {MAX_MAGNITUDE}",
    "time": "year(x) BETWEEN 2 AND 9998",  # what Python's calendar has, with room around it
    "text": "x IS NOT NULL",
}
_X_SQL: Mapping[XKind, str] = {
    "number": "CAST(x AS DOUBLE)",
    "time": f"if({_X_IS_VALID_SQL['time']}, epoch(CAST(x AS TIMESTAMP)), NULL)",
    "text": "CAST(x AS VARCHAR)",
}


@dataclass(frozen=True, slots=True)
class ChartColumn:
    """A column of what is drawn, spelled as it is there."""

    name: str
    type: DuckDBType

    @property
    def kind(self) -> XKind:
        if self.type.numeric:
            return "number"
        return "time" if self.type.name in _TIME_TYPES else "text"


@dataclass(frozen=True, slots=True)
class ChartColumns:
    """The columns that a chart shows."""

    x: ChartColumn
    y: Sequence[ChartColumn]
    series: ChartColumn | None


def points_sql(columns: ChartColumns, sql: str) -> str:
    """A point for each y of each row, in the order of the rows."""
    return f"SELECT x, series, y, fits, 1 AS count FROM (\n{_unpivoted_sql(columns, sql)}\n) AS points"


def summed_points_sql(columns: ChartColumns, sql: str) -> str:
    """A point for each x and series in the order of their first rows, and one for all that do not fit."""
    return (
        "SELECT if(fits, x, NULL), if(fits, series, NULL), sum(y), fits, count(*) "
        f"FROM (\n{_unpivoted_sql(columns, sql)}\n) AS points "
        "GROUP BY if(fits, x, NULL), if(fits, series, NULL), fits ORDER BY min(place)"
    )


def _unpivoted_sql(columns: ChartColumns, sql: str) -> str:
    """A row for every y of every row: x, series, y, and whether they can be shown."""
    y = ", ".join(f"CAST(y{number} AS DOUBLE)" for number in range(len(columns.y)))
    names = ", ".join(quote_literal(column.name.replace("\0", "")) for column in columns.y)
    series = f"unnest([{names}])"
    if columns.series is not None:
        series = f"coalesce(CAST(series AS VARCHAR), '{NULL_SERIES}')"
    return (
        f"SELECT x, series, y, place, coalesce(x_fits AND abs(y) <= {MAX_MAGNITUDE}, false) AS fits FROM (\n"
        f"SELECT {_X_SQL[columns.x.kind]} AS x, {_X_IS_VALID_SQL[columns.x.kind]} AS x_fits, "
        f"{series} AS series, unnest([{y}]) AS y, place\n"
        f"FROM (\n{_renamed_columns_sql(columns, sql)}\n) AS named) AS long"
    )


def _renamed_columns_sql(columns: ChartColumns, sql: str) -> str:
    """The columns that matter under names of ours, and the place of each row."""
    taken = [(columns.x.name, "x"), *((column.name, f"y{number}") for number, column in enumerate(columns.y))]
    if columns.series is not None:
        taken.append((columns.series.name, "series"))
    names = ", ".join(f"{quoted(name)} AS {ours}" for name, ours in taken)
    return f"SELECT {names}, row_number() OVER () AS place FROM (\n{sql}\n) AS source"
