"""Axes with labels, and round numbers and times as ticks; ChartArea and ChartDrawing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from unify.interpreter.results import datetime_of_x
from unify.render.charts.style import ChartStyle
from unify.render.formats.layout import pad_text, text_width, truncate_text
from unify.text import escape_text

FRAME_LINES = 2  # below the plot: the axis and its labels
_MAX_LABEL_WIDTH = 20  # terminal columns


@dataclass(frozen=True, slots=True)
class AxisLabel:
    """A text below the x axis; ``column`` is its middle, counted from the left end of the plot."""

    column: int
    text: str


def draw_axes(
    plot_lines: Sequence[str],
    width: int,
    y_labels: Mapping[int, str],
    x_labels: Sequence[AxisLabel],
    style: ChartStyle,
) -> list[str]:
    """Return ``plot_lines``, each ``width`` wide, with both axes.

    ``y_labels``  labels by the number of their line, from the top.
    """
    lines = style.axis_characters()
    left = labels_width(y_labels.values())
    framed = []
    for number, line in enumerate(plot_lines):
        text = pad_text(y_labels.get(number, ""), left, right=True)
        framed.append(
            f"{style.dim(f'{text} {lines.y_tick if number in y_labels else lines.vertical}')}{line}".rstrip()
        )
    placed = place_labels(x_labels, width, lines.ellipsis)
    marks = {label.column for label in x_labels if label in placed}
    axis = "".join(lines.x_tick if column in marks else lines.horizontal for column in range(width))
    framed.append(style.dim(" " * (left + 1) + lines.corner + axis))
    framed.append(" " * (left + 2) + style.dim(_labels_line(placed, width)))
    return framed


def labels_width(texts: Iterable[str]) -> int:
    """Return the width of the labels of the y axis."""
    return max((text_width(text) for text in texts), default=0)


def place_labels(labels: Sequence[AxisLabel], width: int, ellipsis: str) -> dict[AxisLabel, tuple[int, str]]:
    """Return start column and text of each label, of every n-th label if they would overlap."""
    for step in range(1, len(labels)):
        placed = _try_place_labels(labels[::step], width, ellipsis)
        if placed is not None:
            return placed
    return _try_place_labels(labels[:1], width, ellipsis) or {}


def _try_place_labels(
    labels: Sequence[AxisLabel], width: int, ellipsis: str
) -> dict[AxisLabel, tuple[int, str]] | None:
    placed: dict[AxisLabel, tuple[int, str]] = {}
    end = -1
    for label in labels:
        text = truncate_text(escape_text(label.text), min(width, _MAX_LABEL_WIDTH), ellipsis)
        begin = max(0, min(label.column - text_width(text) // 2, width - text_width(text)))
        if begin <= end:
            return None
        placed[label] = begin, text
        end = begin + text_width(text)
    return placed


def _labels_line(positions: Mapping[AxisLabel, tuple[int, str]], width: int) -> str:
    line = ""
    for begin, text in sorted(positions.values()):
        line = pad_text(line, begin) + text
    return truncate_text(line, width).rstrip()


@dataclass(frozen=True, slots=True)
class ChartArea:
    """The columns and lines available for a plot; ``has_unlimited_height``: more lines are allowed."""

    width: int
    height: int
    has_unlimited_height: bool = False


@dataclass(frozen=True, slots=True)
class ChartDrawing:
    """The lines of a plot; ``notes`` say which parts of the chart are omitted."""

    lines: Sequence[str]
    notes: Sequence[str] = ()


_SI_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))  # by smallest value: k from 10,000 on
_SI_FACTORS = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3}
_EXPONENT_FROM, _EXPONENT_BELOW = 1e15, 1e-4
_DAY_S = 86_400
_SECOND_STEPS = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
_DAY_STEPS = (1, 2, 7, 14)
_MONTH_STEPS = (1, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000, 12_000)
_FIRST_MONDAY_S = 4 * _DAY_S  # the first Monday after the beginning of 1970


@dataclass(frozen=True, slots=True)
class AxisTick:
    """A position on an axis and its label."""

    position: float
    label: str


def number_ticks(low: float, high: float, max_ticks: int) -> list[AxisTick]:
    """Return about ``max_ticks`` round numbers from ``low`` to ``high``, which must differ."""
    step = _round_step((high - low) / max(1, max_ticks))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    write = _number_formatter(max(abs(low), abs(high)), step)
    return [AxisTick(value, write(value)) for value in values]


def round_range(low: float, high: float, max_ticks: int) -> tuple[float, float]:
    """Return the smallest range of round numbers that includes ``low`` and ``high``."""
    if low == high:
        low, high = low - abs(low or 1) / 2, high + abs(high or 1) / 2
    step = _round_step((high - low) / max(1, max_ticks))
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def split_at_zero(low: float, high: float, cells: int) -> tuple[int, float]:
    """Return the cells below 0 and the value of a cell, for a scale from ``low <= 0`` to ``high >= 0``."""
    below = min(cells - (high > 0), max(round(cells * -low / (high - low)), low < 0))
    return below, max(part / count for part, count in ((-low, below), (high, cells - below)) if part)


def short_number(value: float) -> str:
    """Write a number in about six characters."""
    if value == int(value) and abs(value) < 1000:
        return str(int(value))
    return _number_formatter(abs(value), 10 ** (math.floor(math.log10(abs(value))) - 2))(value)


def time_ticks(low: float, high: float, max_width: int) -> list[AxisTick]:
    """Return times from ``low`` to ``high`` (seconds since 1970) whose labels fit ``max_width`` columns."""
    for count, positions, write in _time_divisions(low, high):
        ticks = [AxisTick(at, write(datetime_of_x(at))) for at in positions()] if count <= max_width else []
        if ticks and sum(len(tick.label) + 2 for tick in ticks) <= max_width + 2:
            return ticks
    return []


def _round_step(min_step: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, 50 … that is at least ``min_step``."""
    power = float(10 ** math.floor(math.log10(min_step)))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= min_step * 0.999), 10 * power)


def _number_formatter(largest: float, step: float) -> Callable[[float], str]:
    if not _EXPONENT_BELOW <= largest < _EXPONENT_FROM:
        return lambda value: f"{value:.3g}"
    sign = next((sign for least, sign in _SI_UNITS if largest >= least), "")
    unit = _SI_FACTORS.get(sign, 1.0)
    decimals = min(6, max(0, -math.floor(math.log10(step / unit) + 1e-9)))

    def write(value: float) -> str:
        text = f"{value / unit:,.{decimals}f}"
        return text + sign if float(text.replace(",", "")) else "0"

    return write


_TimeDivision = tuple[float, Callable[[], Sequence[float]], Callable[[datetime], str]]


def _time_divisions(low: float, high: float) -> Iterator[_TimeDivision]:
    """Yield divisions of a time span from fine to coarse: approximate count, positions, label format."""
    span = high - low
    for step in _SECOND_STEPS:
        yield span / step, _step_positions(low, high, step), _clock_formatter(step, span)
    for days in _DAY_STEPS:
        step = days * _DAY_S
        offset = _FIRST_MONDAY_S if days >= 7 else 0
        yield span / step, _step_positions(low, high, step, offset), lambda time: time.isoformat()[5:10]
    for months in _MONTH_STEPS:
        size = 4 if months >= 12 else 7
        yield (
            span / (months * 30 * _DAY_S),
            _month_positions(low, high, months),
            lambda time, size=size: time.isoformat()[:size],  # type: ignore[misc]
        )


def _step_positions(low: float, high: float, step: int, offset: int = 0) -> Callable[[], Sequence[float]]:
    first = math.ceil((low - offset) / step)
    last = math.floor((high - offset) / step)
    return lambda: [number * step + offset for number in range(first, last + 1)]


def _clock_formatter(step: int, span: float) -> Callable[[datetime], str]:
    def write(time: datetime) -> str:
        if span > _DAY_S and not (time.hour or time.minute or time.second):
            return time.isoformat()[5:10]
        return time.isoformat()[11 : 19 if step < 60 else 16]

    return write


def _month_positions(low: float, high: float, step: int) -> Callable[[], Sequence[float]]:
    def positions() -> Sequence[float]:
        first, last = datetime_of_x(low), datetime_of_x(high)
        months = [month for month in range(first.year * 12, last.year * 12 + 12) if month % step == 0]
        epoch = datetime(1970, 1, 1)
        starts = [(datetime(month // 12, month % 12 + 1, 1) - epoch).total_seconds() for month in months]
        return [start for start in starts if low <= start <= high]

    return positions
