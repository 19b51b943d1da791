"""Lines, areas and points on a plane, in braille dots: four lines and two columns of them in a character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from plotille import Canvas

from unify.interpreter.results import Chart, XValue, datetime_of_x, y_by_x
from unify.render.charts import axes
from unify.render.charts.axes import (
    FRAME_LINES,
    AxisLabel,
    AxisTick,
    ChartArea,
    ChartDrawing,
    draw_axes,
    labels_width,
)
from unify.render.charts.style import ChartStyle, braille_dots

_LINES_PER_TICK = 3
_DOT_COLUMNS, _DOT_ROWS = 2, 4  # dots of a character
_DAY_S = 86_400

DotPosition = tuple[float, float]  # in dots from the lower left corner


@dataclass(frozen=True, slots=True)
class AxisRange:
    """A part of an axis, from ``low`` to a ``high`` above it."""

    low: float
    high: float

    def dot_position(self, value: float, max_dots: int) -> float:
        """Where ``value`` is, of dots from 0 to ``most``."""
        return (value - self.low) / (self.high - self.low) * max_dots


def draw_plane(chart: Chart, area: ChartArea, style: ChartStyle) -> ChartDrawing:
    """All points of the chart in ``room``."""
    height = max(3, min(area.height - FRAME_LINES, area.width // 2))
    layers = _series_layers(chart)
    y = _y_range(chart, layers, height)
    y_ticks = axes.number_ticks(y.low, y.high, _tick_count(height))
    width = max(4, area.width - labels_width([tick.label for tick in y_ticks]) - 2)
    x = _x_range(chart)
    canvases = [_draw_layer(chart, layer, (x, y), (width, height)) for layer in layers]
    heights = {
        height - 1 - int(y.dot_position(tick.position, height * _DOT_ROWS - 1)) // _DOT_ROWS: tick.label
        for tick in y_ticks
    }
    labels = [
        AxisLabel(int(x.dot_position(tick.position, width * _DOT_COLUMNS - 1)) // _DOT_COLUMNS, tick.label)
        for tick in _x_ticks(chart, x, width)
    ]
    return ChartDrawing(
        draw_axes(_merge_layers(canvases, style), width, heights, labels, style), _date_range_notes(chart)
    )


@dataclass(frozen=True, slots=True)
class PlotLayer:
    """The points of one series by their place on the x axis; an area lies on ``baseline``."""

    points: Sequence[tuple[float, float]]
    baseline: Sequence[tuple[float, float]] = ()


def _series_layers(chart: Chart) -> list[PlotLayer]:
    place = {x: float(at) for at, x in enumerate(chart.x_values)} if chart.x_kind == "text" else {}

    def at(x: XValue) -> float:
        return place[x] if isinstance(x, str) else x

    if chart.kind != "area_chart":
        return [PlotLayer([(at(x), y) for x, y in one.points]) for one in chart.series]
    layers = []
    floor = dict.fromkeys(chart.x_values, 0.0)
    for of in y_by_x(chart.series):
        top = {x: floor[x] + of.get(x, 0.0) for x in chart.x_values}
        layers.append(
            PlotLayer([(at(x), top[x]) for x in chart.x_values], [(at(x), floor[x]) for x in chart.x_values])
        )
        floor = top
    return layers


def _y_range(chart: Chart, layers: Sequence[PlotLayer], height: int) -> AxisRange:
    values = [y for layer in layers for _, y in layer.points]
    if chart.kind == "area_chart":
        values.append(0.0)
    return AxisRange(*axes.round_range(min(values), max(values), _tick_count(height)))


def _tick_count(height: int) -> int:
    return max(2, height // _LINES_PER_TICK)


def _x_range(chart: Chart) -> AxisRange:
    if chart.x_kind == "text":
        return AxisRange(0, len(chart.x_values) - 1) if len(chart.x_values) > 1 else AxisRange(-1, 1)
    numbers = [x for x in chart.x_values if isinstance(x, float)]
    low, high = numbers[0], numbers[-1]
    if low < high:
        return AxisRange(low, high)
    around = _DAY_S if chart.x_kind == "time" else abs(low or 1) / 2
    return AxisRange(low - around, high + around)


def _x_ticks(chart: Chart, x: AxisRange, width: int) -> Sequence[AxisTick]:
    match chart.x_kind:
        case "text":
            return [AxisTick(at, str(label)) for at, label in enumerate(chart.x_values)]
        case "time":
            return axes.time_ticks(x.low, x.high, width)
        case _:
            return axes.number_ticks(x.low, x.high, max(1, width // 12))


def _date_range_notes(chart: Chart) -> list[str]:
    """From when to when, since the labels of a time axis are short."""
    if chart.x_kind != "time":
        return []
    first, last = (
        datetime_of_x(x).isoformat(" ", "minutes")
        for x in (chart.x_values[0], chart.x_values[-1])
        if isinstance(x, float)
    )
    if first[:10] != last[:10]:
        return [f"{first[:10]} to {last[:10]}"]
    return [f"{first} to {last[11:]}"]


def _draw_layer(
    chart: Chart, layer: PlotLayer, ranges: tuple[AxisRange, AxisRange], size: tuple[int, int]
) -> list[str]:
    """One series as lines of braille."""
    width, height = size[0] * _DOT_COLUMNS, size[1] * _DOT_ROWS
    canvas = Canvas(*size, 0, 0, width, height)

    def spot(point: tuple[float, float]) -> DotPosition:
        return ranges[0].dot_position(point[0], width - 1), ranges[1].dot_position(point[1], height - 1)

    spots = [spot(point) for point in layer.points]
    match chart.kind:
        case "scatter_chart":
            for across, up in spots:
                canvas.point(across, up)
        case "area_chart":
            for (across, up), (_, down) in zip(
                _interpolate_dots(spots),
                _interpolate_dots([spot(one) for one in layer.baseline]),
                strict=True,
            ):
                canvas.line(across, down, across, up)
        case _:
            _draw_line(canvas, spots)
    return str(canvas.plot(linesep="\n")).split("\n")


def _draw_line(canvas: Canvas, dot_positions: Sequence[DotPosition]) -> None:
    canvas.point(*dot_positions[0])
    for (left, low), (right, high) in pairwise(dot_positions):
        canvas.line(left, low, right, high)


def _interpolate_dots(dot_positions: Sequence[DotPosition]) -> list[DotPosition]:
    """A height for every column of dots between the first and the last."""
    filled = [(float(round(dot_positions[0][0])), dot_positions[0][1])]
    for (left, low), (right, high) in pairwise(dot_positions):
        first, last = round(left), round(right)
        for across in range(first + 1, last + 1):
            part = (across - first) / (last - first)
            filled.append((float(across), low + (high - low) * part))
    return filled


def _merge_layers(canvases: Sequence[Sequence[str]], style: ChartStyle) -> list[str]:
    """The series over each other; where several have dots, the character has the looks of the last."""
    lines = []
    for cells in zip(*canvases, strict=True):
        looks = []
        for column in range(max(map(len, cells))):
            dots, top = 0, 0
            for number, line in enumerate(cells):
                mine = braille_dots(line[column]) if column < len(line) else 0
                dots, top = dots | mine, number if mine else top
            looks.append((top, style.plot_character(top, dots)))
        lines.append("".join(_style_run(number, text, style) for number, text in _group_runs(looks)).rstrip())
    return lines


def _group_runs(cells: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Neighbours of one series as one text, so that a colour is set once."""
    return [
        (number, "".join(text for _, text in run)) for number, run in groupby(cells, key=lambda look: look[0])
    ]


def _style_run(series_number: int, text: str, style: ChartStyle) -> str:
    return style.colour_series(series_number, text) if text.strip() else text
