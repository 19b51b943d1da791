"""Horizontal bars, one per line: label, bar, value. A pie chart is drawn as bars with shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unify.interpreter.results import Chart, PieSlice, pie_slices, x_labels, y_by_x
from unify.render.charts.axes import ChartArea, ChartDrawing, short_number, split_at_zero
from unify.render.charts.style import ChartStyle
from unify.render.formats.layout import pad_text, text_width, truncate_text
from unify.text import escape_text

_EIGHTHS = "▏▎▍▌▋▊▉"  # of a character's width
_MIN_LABEL_WIDTH, _MIN_BAR_WIDTH = 5, 4  # terminal columns
_SHORT_VALUES_BELOW = 48  # terminal columns; narrower charts abbreviate values
_SHARES_ONLY_BELOW = 32  # terminal columns; narrower charts omit values beside shares
_MAX_PIE_SLICES = 12  # smaller slices are joined into one


@dataclass(frozen=True, slots=True)
class HorizontalBar:
    """One line of a chart."""

    label: str
    series_number: int
    value: float
    value_text: str


def draw_bars(chart: Chart, area: ChartArea, style: ChartStyle) -> ChartDrawing:
    """Draw a bar for each x and series; x values that do not fit are omitted and counted."""
    fitting = len(chart.x_values) if area.has_unlimited_height else max(1, area.height // len(chart.series))
    shown = chart.x_values[:fitting]
    values = y_by_x(chart.series)
    bars: list[HorizontalBar] = []
    for x, label in zip(shown, x_labels(chart, shown), strict=True):
        group = [(number, of[x]) for number, of in enumerate(values) if x in of]
        bars += [
            HorizontalBar(label if at == 0 else "", number, y, _value_text(y, area))
            for at, (number, y) in enumerate(group)
        ]
    return ChartDrawing(_bar_lines(bars, area, style), omitted_bars_notes(len(shown), len(chart.x_values)))


def omitted_bars_notes(shown: int, total: int) -> list[str]:
    return [f"the first {shown:,} of {total:,} bars"] if shown < total else []


def draw_pie(chart: Chart, area: ChartArea, style: ChartStyle) -> ChartDrawing:
    """Draw a bar for each slice, the largest first."""
    most = _MAX_PIE_SLICES if area.has_unlimited_height else min(_MAX_PIE_SLICES, max(2, area.height))
    parts = pie_slices(chart, most)
    values = [_value_text(part.value, area) for part in parts]
    widest = max(map(len, values))
    bars = [
        HorizontalBar(
            part.label,
            number if style.colour else 0,
            part.value,
            _share_text(part, value.rjust(widest), area),
        )
        for number, (part, value) in enumerate(zip(parts, values, strict=True))
    ]
    return ChartDrawing(_bar_lines(bars, area, style))


def _bar_lines(bars: Sequence[HorizontalBar], area: ChartArea, style: ChartStyle) -> list[str]:
    labels = [escape_text(bar.label) for bar in bars]
    value_width = max(len(bar.value_text) for bar in bars)
    space = area.width - value_width - 2
    label_width = min(
        max(map(text_width, labels)),
        max(_MIN_LABEL_WIDTH, area.width * 2 // 5),
        max(1, space - _MIN_BAR_WIDTH),
    )
    scale = BarScale.from_values([bar.value for bar in bars], max(1, space - label_width))
    ellipsis = style.axis_characters().ellipsis
    return [
        f"{pad_text(truncate_text(label, label_width, ellipsis), label_width)} {scale.draw_bar(bar, style)} "
        f"{bar.value_text.rjust(value_width)}"
        for label, bar in zip(labels, bars, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class BarScale:
    """The scale of bars: ``width`` columns, of which ``zero_column`` are left of 0."""

    width: int
    zero_column: int
    value_per_column: float

    @classmethod
    def from_values(cls, values: Sequence[float], width: int) -> BarScale:
        low, high = min(0.0, *values), max(0.0, *values)
        if low == high:
            return cls(width, 0, 1.0)
        return cls(width, *split_at_zero(low, high, width))

    def draw_bar(self, bar: HorizontalBar, style: ChartStyle) -> str:
        """Return the bar, padded to the width of the scale."""
        solid = style.fill_character(bar.series_number)
        length = abs(bar.value) / self.value_per_column
        if bar.value < 0:
            body = solid * max(1, round(length))
            start = self.zero_column - len(body)
        else:
            body = _bar_text(length, solid, style.partial_fills(bar.series_number, _EIGHTHS))
            start = self.zero_column
        padding = " " * (self.width - start - len(body))
        return f"{' ' * start}{style.colour_series(bar.series_number, body)}{padding}"


def _bar_text(length: float, fill: str, partial_fills: str) -> str:
    """Return a bar of ``length`` characters, the last one partial; a positive length is always visible."""
    if not partial_fills:
        return fill * (max(1, round(length)) if length else 0)
    eighths = max(1, round(length * 8)) if length else 0
    whole, rest = divmod(eighths, 8)
    return fill * whole + (partial_fills[rest - 1] if rest else "")


def _share_text(part: PieSlice, value: str, area: ChartArea) -> str:
    share = f"{part.fraction:6.1%}"
    return share if area.width < _SHARES_ONLY_BELOW else f"{share}  {value}"


def _value_text(value: float, area: ChartArea) -> str:
    if area.width < _SHORT_VALUES_BELOW:
        return short_number(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.2f}" if 0.01 <= abs(value) < 1e15 else f"{value:.3g}"
