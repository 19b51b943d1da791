"""Lines, areas and points on a plane, in braille dots: four lines and two columns of them in a character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from plotille import Canvas

from unify.interpreter.chart import Chart, X, by_x, moment
from unify.shell.charts import ticks
from unify.shell.charts.axes import FRAME_LINES, Label, framed, gutter
from unify.shell.charts.drawing import Drawing, Room
from unify.shell.charts.ink import Ink, dots_of
from unify.shell.charts.ticks import Tick

_LINES_A_TICK = 3
_ACROSS, _DOWN = 2, 4  # dots of a character
_DAY_S = 86_400

Spot = tuple[float, float]  # in dots from the lower left corner


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an axis, from ``low`` to a ``high`` above it."""

    low: float
    high: float

    def dots(self, value: float, most: int) -> float:
        """Where ``value`` is, of dots from 0 to ``most``."""
        return (value - self.low) / (self.high - self.low) * most


def draw(chart: Chart, room: Room, ink: Ink) -> Drawing:
    """All points of the chart in ``room``."""
    height = max(3, min(room.height - FRAME_LINES, room.width // 2))
    layers = _layers(chart)
    y = _y_span(chart, layers, height)
    y_ticks = ticks.numbers(y.low, y.high, _tick_count(height))
    width = max(4, room.width - gutter([tick.text for tick in y_ticks]) - 2)
    x = _x_span(chart)
    canvases = [_canvas(chart, layer, (x, y), (width, height)) for layer in layers]
    heights = {height - 1 - int(y.dots(tick.at, height * _DOWN - 1)) // _DOWN: tick.text for tick in y_ticks}
    labels = [
        Label(int(x.dots(tick.at, width * _ACROSS - 1)) // _ACROSS, tick.text)
        for tick in _x_ticks(chart, x, width)
    ]
    return Drawing(framed(_merged(canvases, ink), width, heights, labels, ink), _days(chart))


@dataclass(frozen=True, slots=True)
class Layer:
    """The points of one series by their place on the x axis; an area lies on ``floor``."""

    points: Sequence[tuple[float, float]]
    floor: Sequence[tuple[float, float]] = ()


def _layers(chart: Chart) -> list[Layer]:
    place = {x: float(at) for at, x in enumerate(chart.xs)} if chart.x_kind == "text" else {}

    def at(x: X) -> float:
        return place[x] if isinstance(x, str) else x

    if chart.kind != "area_chart":
        return [Layer([(at(x), y) for x, y in one.points]) for one in chart.series]
    layers = []
    floor = dict.fromkeys(chart.xs, 0.0)
    for of in by_x(chart.series):
        top = {x: floor[x] + of.get(x, 0.0) for x in chart.xs}
        layers.append(Layer([(at(x), top[x]) for x in chart.xs], [(at(x), floor[x]) for x in chart.xs]))
        floor = top
    return layers


def _y_span(chart: Chart, layers: Sequence[Layer], height: int) -> Span:
    values = [y for layer in layers for _, y in layer.points]
    if chart.kind == "area_chart":
        values.append(0.0)
    return Span(*ticks.widened(min(values), max(values), _tick_count(height)))


def _tick_count(height: int) -> int:
    return max(2, height // _LINES_A_TICK)


def _x_span(chart: Chart) -> Span:
    if chart.x_kind == "text":
        return Span(0, len(chart.xs) - 1) if len(chart.xs) > 1 else Span(-1, 1)
    numbers = [x for x in chart.xs if isinstance(x, float)]
    low, high = numbers[0], numbers[-1]
    if low < high:
        return Span(low, high)
    around = _DAY_S if chart.x_kind == "time" else abs(low or 1) / 2
    return Span(low - around, high + around)


def _x_ticks(chart: Chart, x: Span, width: int) -> Sequence[Tick]:
    match chart.x_kind:
        case "text":
            return [Tick(at, str(label)) for at, label in enumerate(chart.xs)]
        case "time":
            return ticks.moments(x.low, x.high, width)
        case _:
            return ticks.numbers(x.low, x.high, max(1, width // 12))


def _days(chart: Chart) -> list[str]:
    """From when to when, since the labels of a time axis are short."""
    if chart.x_kind != "time":
        return []
    first, last = (
        moment(x).isoformat(" ", "minutes") for x in (chart.xs[0], chart.xs[-1]) if isinstance(x, float)
    )
    if first[:10] != last[:10]:
        return [f"{first[:10]} to {last[:10]}"]
    return [f"{first} to {last[11:]}"]


def _canvas(chart: Chart, layer: Layer, spans: tuple[Span, Span], size: tuple[int, int]) -> list[str]:
    """One series as lines of braille."""
    width, height = size[0] * _ACROSS, size[1] * _DOWN
    canvas = Canvas(*size, 0, 0, width, height)

    def spot(point: tuple[float, float]) -> Spot:
        return spans[0].dots(point[0], width - 1), spans[1].dots(point[1], height - 1)

    spots = [spot(point) for point in layer.points]
    match chart.kind:
        case "scatter_chart":
            for across, up in spots:
                canvas.point(across, up)
        case "area_chart":
            for (across, up), (_, down) in zip(
                _filled(spots), _filled([spot(one) for one in layer.floor]), strict=True
            ):
                canvas.line(across, down, across, up)
        case _:
            _trace(canvas, spots)
    return str(canvas.plot(linesep="\n")).split("\n")


def _trace(canvas: Canvas, spots: Sequence[Spot]) -> None:
    canvas.point(*spots[0])
    for (left, low), (right, high) in pairwise(spots):
        canvas.line(left, low, right, high)


def _filled(spots: Sequence[Spot]) -> list[Spot]:
    """A height for every column of dots between the first and the last."""
    filled = [(float(round(spots[0][0])), spots[0][1])]
    for (left, low), (right, high) in pairwise(spots):
        first, last = round(left), round(right)
        for across in range(first + 1, last + 1):
            part = (across - first) / (last - first)
            filled.append((float(across), low + (high - low) * part))
    return filled


def _merged(canvases: Sequence[Sequence[str]], ink: Ink) -> list[str]:
    """The series over each other; where several have dots, the character has the looks of the last."""
    lines = []
    for cells in zip(*canvases, strict=True):
        looks = []
        for column in range(max(map(len, cells))):
            dots, top = 0, 0
            for number, line in enumerate(cells):
                mine = dots_of(line[column]) if column < len(line) else 0
                dots, top = dots | mine, number if mine else top
            looks.append((top, ink.mark(top, dots)))
        lines.append("".join(_run(number, text, ink) for number, text in _runs(looks)).rstrip())
    return lines


def _runs(looks: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Neighbours of one series as one text, so that a colour is set once."""
    return [
        (number, "".join(text for _, text in run)) for number, run in groupby(looks, key=lambda look: look[0])
    ]


def _run(number: int, text: str, ink: Ink) -> str:
    return ink.series(number, text) if text.strip() else text
