"""``create chart``: converts the rows of a table, a variable or a SELECT to the points of a chart.

For bars, pies and areas, DuckDB sums y over rows with the same x. Lines and scatter charts show every row.
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

MAX_POINTS = 20_000  # takes a few seconds to render
_SUMMED_KINDS = frozenset[ChartKind]({"area_chart", "bar_chart", "hbar_chart", "pie_chart"})
_MIN_MAGNITUDE = 1e-300
_MAX_LISTED_COLUMNS = 20  # names in a message


class ChartBuilder:
    """Reads the points of charts."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def build(self, command: CreateChart, bound: BoundQuery, note: str) -> Chart:
        """Return the chart of a SELECT's rows.

        Raises UnknownName for an unknown column; QueryError for rows that cannot be drawn.
        """
        with self.lake.repeatable(bound.sql, bound.parameters, bound.definitions) as (sql, parameters):
            return self._build(command, sql, parameters, note)

    def _build(self, command: CreateChart, sql: str, parameters: object, note: str) -> Chart:
        settings = command.settings
        columns = _select_columns(settings, self._describe_columns(sql, parameters))
        summed = command.kind in _SUMMED_KINDS
        points = self._fetch_points(sql, parameters, columns, summed=summed)
        if len(points) > MAX_POINTS:
            raise QueryError(_too_many_points_message(columns, summed=summed))
        drawable = [point for point in points if point.is_drawable]
        rows = sum(point.count for point in points) // len(columns.y)
        if not drawable:
            raise QueryError(_no_points_message(columns, rows))
        if command.kind == "pie_chart":
            _refuse_negative(drawable, columns)
        series = _build_series(drawable, columns, summed=summed)
        return Chart(
            kind=command.kind,
            title=settings.title or "",
            x_title=settings.x_title or columns.x.name,
            y_title=settings.y_title or " and ".join(column.name for column in columns.y),
            x_kind=columns.x.kind,
            x_values=_distinct_x_values(drawable, columns.x.kind),
            series=series,
            rows=rows,
            skipped_points=sum(point.count for point in points if not point.is_drawable),
            is_summed=summed and any(point.count > 1 for point in drawable),
            note=note,
        )

    def _describe_columns(self, sql: str, parameters: object) -> dict[str, ChartColumn]:
        """Return the columns by lower-case name."""
        described = self.lake.execute(f"DESCRIBE SELECT * FROM (\n{sql}\n) AS source", parameters)
        rows = [row for batch in described.batches() for row in batch]
        return {str(row[0]).lower(): ChartColumn(str(row[0]), parse_type(str(row[1]))) for row in rows}

    def _fetch_points(
        self, sql: str, parameters: object, columns: ChartColumns, *, summed: bool
    ) -> list[ChartPoint]:
        """Return all points, or MAX_POINTS + 1 of them."""
        query = summed_points_sql(columns, sql) if summed else points_sql(columns, sql)
        outcome = self.lake.execute(f"{query}\nLIMIT {MAX_POINTS + 1:d}", parameters)
        return [_parse_point(row) for batch in outcome.batches() for row in batch]


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """A point of ``count`` rows; x and y are undefined unless ``is_drawable``."""

    x: XValue
    series: str
    y: float
    is_drawable: bool
    count: int


def _parse_point(row: Sequence[object]) -> ChartPoint:
    x, series, y, fits, count = row
    is_drawable = bool(fits) and isinstance(y, float) and abs(y) <= MAX_MAGNITUDE
    return ChartPoint(
        x=x if isinstance(x, str) else _round_tiny_to_zero(x),
        series=str(series),
        y=_round_tiny_to_zero(y),
        is_drawable=is_drawable,
        count=int(str(count)),
    )


def _round_tiny_to_zero(value: object) -> float:
    """Return 0 for numbers so small that dividing them underflows."""
    return value if isinstance(value, float) and abs(value) > _MIN_MAGNITUDE else 0.0


def _select_columns(settings: ChartSettings, known: Mapping[str, ChartColumn]) -> ChartColumns:
    def find(setting: str, name: str) -> ChartColumn:
        if name.lower() not in known:
            names = [column.name for column in known.values()]
            near = did_you_mean(name, names) or f"; the columns are {_join_names(names)}"
            raise UnknownName(f"{setting} = {name}: no such column{near}")
        return known[name.lower()]

    x = find("x", settings.x)
    y = [find("y", name) for name in settings.y]
    for column in y:
        if not column.type.numeric:
            raise QueryError(_not_numeric_message(x, column))
    return ChartColumns(x, y, find("series", settings.series) if settings.series is not None else None)


def _join_names(names: Sequence[str]) -> str:
    return ", ".join([*names[:_MAX_LISTED_COLUMNS], *(["…"] if len(names) > _MAX_LISTED_COLUMNS else [])])


def _build_series(
    points: Sequence[ChartPoint], columns: ChartColumns, *, summed: bool
) -> tuple[ChartSeries, ...]:
    """Return one series per y column, or per value of the series column, sorted with NULL last.

    Sorting gives a series the same colour independent of the order of rows.
    """
    by_name: dict[str, list[tuple[XValue, float]]] = {}
    if columns.series is None:
        by_name = {column.name: [] for column in columns.y}
    for point in points:
        by_name.setdefault(point.series, []).append((point.x, point.y))
    if columns.x.kind != "text":
        for series_points in by_name.values():
            series_points.sort(key=lambda one: (one[0],) if summed else one)
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
        raise QueryError(f"a pie chart cannot show the negative values of {columns.y[0].name}; use bar_chart")
    if not any(point.y for point in points):
        raise QueryError(f"every {columns.y[0].name} is 0: a pie chart has nothing to show")


def _not_numeric_message(x: ChartColumn, y: ChartColumn) -> str:
    return (
        f"y = {y.name}: y must be a number, not {y.type.label}; count the rows for example: "
        f"create chart from (select {x.name}, count(*) as n from … group by all) as … "
        f"where x = {x.name} and y = n"
    )


def _no_points_message(columns: ChartColumns, rows: int) -> str:
    if not rows:
        return "the query returned no rows to draw"
    names = ", ".join(column.name for column in [columns.x, *columns.y])
    return f"nothing to draw: no row has both x and y ({names} are NULL or infinite)"


def _too_many_points_message(columns: ChartColumns, *, summed: bool) -> str:
    if summed:
        return (
            f"{columns.x.name} has more than {MAX_POINTS:,} different values, too many for a chart; group "
            "them in a SELECT, or add a limit"
        )
    return (
        f"there are more than {MAX_POINTS:,} points, too many for a chart; aggregate them in a SELECT "
        "(group by), or take a sample (using sample 10000 rows)"
    )


MAX_MAGNITUDE = 1e300  # differences of larger values overflow
_TIME_TYPES = frozenset(
    {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}
)
NULL_SERIES = "NULL"  # the name of the series of rows without a value
_X_IS_VALID_SQL: Mapping[XKind, str] = {
    "number": f"abs(CAST(x AS DOUBLE)) <= {MAX_MAGNITUDE}",
    "time": "year(x) BETWEEN 2 AND 9998",  # Python's calendar, with a margin
    "text": "x IS NOT NULL",
}
_X_SQL: Mapping[XKind, str] = {
    "number": "CAST(x AS DOUBLE)",
    "time": f"if({_X_IS_VALID_SQL['time']}, epoch(CAST(x AS TIMESTAMP)), NULL)",
    "text": "CAST(x AS VARCHAR)",
}


@dataclass(frozen=True, slots=True)
class ChartColumn:
    """A column of the query, spelled as there."""

    name: str
    type: DuckDBType

    @property
    def kind(self) -> XKind:
        if self.type.numeric:
            return "number"
        return "time" if self.type.name in _TIME_TYPES else "text"


@dataclass(frozen=True, slots=True)
class ChartColumns:
    """The columns of a chart."""

    x: ChartColumn
    y: Sequence[ChartColumn]
    series: ChartColumn | None


def points_sql(columns: ChartColumns, sql: str) -> str:
    """SQL of a point for each y of each row, in the order of the rows."""
    return f"SELECT x, series, y, fits, 1 AS count FROM (\n{_unpivoted_sql(columns, sql)}\n) AS points"


def summed_points_sql(columns: ChartColumns, sql: str) -> str:
    """SQL of a point for each x and series, ordered by first row, and one for the rows not drawable."""
    return (
        "SELECT if(fits, x, NULL), if(fits, series, NULL), sum(y), fits, count(*) "
        f"FROM (\n{_unpivoted_sql(columns, sql)}\n) AS points "
        "GROUP BY if(fits, x, NULL), if(fits, series, NULL), fits ORDER BY min(place)"
    )


def _unpivoted_sql(columns: ChartColumns, sql: str) -> str:
    """SQL of a row for every y of every row: x, series, y, and whether they are drawable."""
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
    """SQL of the chart's columns renamed to x, y0 …, series, and the number of each row."""
    columns_used = [
        (columns.x.name, "x"),
        *((column.name, f"y{number}") for number, column in enumerate(columns.y)),
    ]
    if columns.series is not None:
        columns_used.append((columns.series.name, "series"))
    names = ", ".join(f"{quoted(name)} AS {alias}" for name, alias in columns_used)
    return f"SELECT {names}, row_number() OVER () AS place FROM (\n{sql}\n) AS source"
