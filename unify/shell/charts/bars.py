"""Horizontal bars, a line each: label, bar, value. A pie is drawn so too, with shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unify.interpreter.chart import Chart, Slice, by_x, slices, x_texts
from unify.shell.charts.drawing import Drawing, Room
from unify.shell.charts.ink import Ink
from unify.shell.charts.ticks import short_number
from unify.shell.display.width import clipped, padded, text_width
from unify.text import safe_text

_EIGHTHS = "▏▎▍▌▋▊▉"  # of a character's width
_LEAST_LABEL, _LEAST_BAR = 5, 4  # columns of a terminal
_NARROW = 48  # below, values are written short
_NARROWEST = 32  # below, a share has to do without its value
_PIE_SLICES = 12  # at most; what is beyond is too thin to matter


@dataclass(frozen=True, slots=True)
class Bar:
    """One line; ``series`` is its number."""

    label: str
    series: int
    value: float
    text: str


def draw(chart: Chart, room: Room, ink: Ink) -> Drawing:
    """A bar for each x and series; where the lines are too few, the last are left out and counted."""
    fitting = len(chart.xs) if room.endless else max(1, room.height // len(chart.series))
    shown = chart.xs[:fitting]
    values = by_x(chart.series)
    bars: list[Bar] = []
    for x, label in zip(shown, x_texts(chart, shown), strict=True):
        group = [(number, of[x]) for number, of in enumerate(values) if x in of]
        bars += [
            Bar(label if at == 0 else "", number, y, _value_text(y, room))
            for at, (number, y) in enumerate(group)
        ]
    left_out = len(chart.xs) - len(shown)
    told = [f"the first {len(shown):,} of {len(chart.xs):,} bars"] if left_out else []
    return Drawing(_lines(bars, room, ink), told)


def draw_pie(chart: Chart, room: Room, ink: Ink) -> Drawing:
    """A bar for each part of the whole, the largest first."""
    most = _PIE_SLICES if room.endless else min(_PIE_SLICES, max(2, room.height))
    parts = slices(chart, most)
    values = [_value_text(part.value, room) for part in parts]
    widest = max(map(len, values))
    bars = [
        Bar(part.label, number if ink.colour else 0, part.value, _share_text(part, value.rjust(widest), room))
        for number, (part, value) in enumerate(zip(parts, values, strict=True))
    ]
    return Drawing(_lines(bars, room, ink))


def _lines(bars: Sequence[Bar], room: Room, ink: Ink) -> list[str]:
    labels = [safe_text(bar.label) for bar in bars]
    value_width = max(len(bar.text) for bar in bars)
    space = room.width - value_width - 2
    label_width = min(
        max(map(text_width, labels)), max(_LEAST_LABEL, room.width * 2 // 5), max(1, space - _LEAST_BAR)
    )
    scale = Scale.over([bar.value for bar in bars], max(1, space - label_width))
    ellipsis = ink.lines().ellipsis
    return [
        f"{padded(clipped(label, label_width, ellipsis), label_width)} {scale.drawn(bar, ink)} "
        f"{bar.text.rjust(value_width)}"
        for label, bar in zip(labels, bars, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Scale:
    """How long a bar is: ``width`` columns, of which ``zero`` are left of 0."""

    width: int
    zero: int
    per_column: float

    @classmethod
    def over(cls, values: Sequence[float], width: int) -> Scale:
        low, high = min(0.0, *values), max(0.0, *values)
        if low == high:
            return cls(width, 0, 1.0)
        zero = round(width * (-low / (high - low)))
        zero = min(width - (high > 0), max(zero, low < 0))
        needed = [part / room for part, room in ((-low, zero), (high, width - zero)) if part]
        return cls(width, zero, max(needed))

    def drawn(self, bar: Bar, ink: Ink) -> str:
        """The bar, padded to the scale's width."""
        solid = ink.solid(bar.series)
        length = abs(bar.value) / self.per_column
        if bar.value < 0:
            body = solid * max(1, round(length))
            return (
                " " * (self.zero - len(body)) + ink.series(bar.series, body) + " " * (self.width - self.zero)
            )
        body = _partial(length, solid, ink.parts(bar.series, _EIGHTHS))
        return " " * self.zero + ink.series(bar.series, body) + " " * (self.width - self.zero - len(body))


def _partial(length: float, solid: str, parts: str) -> str:
    """``length`` characters, the last one as much of it as there is; what is more than 0 can be seen."""
    if not parts:
        return solid * (max(1, round(length)) if length else 0)
    eighths = max(1, round(length * 8)) if length else 0
    whole, rest = divmod(eighths, 8)
    return solid * whole + (parts[rest - 1] if rest else "")


def _share_text(part: Slice, value: str, room: Room) -> str:
    share = f"{part.share:6.1%}"
    return share if room.width < _NARROWEST else f"{share}  {value}"


def _value_text(value: float, room: Room) -> str:
    if room.width < _NARROW:
        return short_number(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.2f}" if 0.01 <= abs(value) < 1e15 else f"{value:.3g}"
