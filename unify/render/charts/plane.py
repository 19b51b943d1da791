"""Line, area and scatter charts in braille dots: two columns and four rows of dots per character."""

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
_DOT_COLUMNS, _DOT_ROWS = 2, 4  # per character
_DAY_S = 86_400

DotPosition = tuple[float, float]  # in dots from the lower left corner


@dataclass(frozen=True, slots=True)
class AxisRange:
    """The range of an axis; ``low < high``."""

    low: float
    high: float

    def dot_position(self, value: float, max_dots: int) -> float:
        """Return the position of ``value`` in dots, from 0 to ``max_dots``."""
        return (value - self.low) / (self.high - self.low) * max_dots


def draw_plane(chart: Chart, area: ChartArea, style: ChartStyle) -> ChartDrawing:
    """Draw all points of the chart."""
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
    """The points of one series; an area extends down to ``baseline``."""

    points: Sequence[tuple[float, float]]
    baseline: Sequence[tuple[float, float]] = ()


def _series_layers(chart: Chart) -> list[PlotLayer]:
    index = {x: float(number) for number, x in enumerate(chart.x_values)} if chart.x_kind == "text" else {}

    def position(x: XValue) -> float:
        return index[x] if isinstance(x, str) else x

    if chart.kind != "area_chart":
        return [PlotLayer([(position(x), y) for x, y in series.points]) for series in chart.series]
    layers = []
    baseline = dict.fromkeys(chart.x_values, 0.0)
    for values in y_by_x(chart.series):
        top = {x: baseline[x] + values.get(x, 0.0) for x in chart.x_values}
        layers.append(PlotLayer(*([(position(x), ys[x]) for x in chart.x_values] for ys in (top, baseline))))
        baseline = top
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
    """Return the time range as a note: the labels of a time axis omit parts of it."""
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
    """Draw one series as lines of braille characters."""
    width, height = size[0] * _DOT_COLUMNS, size[1] * _DOT_ROWS
    canvas = Canvas(*size, 0, 0, width, height)

    def dots(points: Sequence[tuple[float, float]]) -> list[DotPosition]:
        return [
            (ranges[0].dot_position(x, width - 1), ranges[1].dot_position(y, height - 1)) for x, y in points
        ]

    match chart.kind:
        case "scatter_chart":
            for x, y in dots(layer.points):
                canvas.point(x, y)
        case "area_chart":
            top, bottom = _interpolate_dots(dots(layer.points)), _interpolate_dots(dots(layer.baseline))
            for (x, high), (_, low) in zip(top, bottom, strict=True):
                canvas.line(x, low, x, high)
        case _:
            positions = dots(layer.points)
            canvas.point(*positions[0])
            for start, end in pairwise(positions):
                canvas.line(*start, *end)
    return str(canvas.plot(linesep="\n")).split("\n")


def _interpolate_dots(dot_positions: Sequence[DotPosition]) -> list[DotPosition]:
    """Return a position for every column of dots from the first to the last."""
    filled = [(float(round(dot_positions[0][0])), dot_positions[0][1])]
    for (left, low), (right, high) in pairwise(dot_positions):
        first, last = round(left), round(right)
        for column in range(first + 1, last + 1):
            fraction = (column - first) / (last - first)
            filled.append((float(column), low + (high - low) * fraction))
    return filled


def _merge_layers(canvases: Sequence[Sequence[str]], style: ChartStyle) -> list[str]:
    """Merge the series into one plot; a character with dots of several series has the style of the last."""
    lines = []
    for layer_lines in zip(*canvases, strict=True):
        cells = []
        for column in range(max(map(len, layer_lines))):
            dots, top = 0, 0
            for number, line in enumerate(layer_lines):
                series_dots = braille_dots(line[column]) if column < len(line) else 0
                dots, top = dots | series_dots, number if series_dots else top
            cells.append((top, style.plot_character(top, dots)))
        lines.append(_style_cells(cells, style).rstrip())
    return lines


def _style_cells(cells: Sequence[tuple[int, str]], style: ChartStyle) -> str:
    """Join (series number, character) pairs, setting the colour once per run of a series."""
    runs = [
        (number, "".join(text for _, text in run)) for number, run in groupby(cells, key=lambda cell: cell[0])
    ]
    return "".join(style.colour_series(number, text) if text.strip() else text for number, text in runs)
