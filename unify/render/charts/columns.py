"""Vertical bars with a y axis."""

from __future__ import annotations

from dataclasses import dataclass

from unify.interpreter.results import Chart, x_labels, y_by_x
from unify.render.charts import axes
from unify.render.charts.axes import FRAME_LINES, AxisLabel, ChartArea, ChartDrawing, draw_axes, labels_width
from unify.render.charts.bars import omitted_bars_notes
from unify.render.charts.style import ChartStyle
from unify.render.formats.layout import text_width, truncate_text
from unify.text import escape_text

_EIGHTHS = "▁▂▃▄▅▆▇"  # of a character's height
_MAX_BAR_WIDTH = 10  # terminal columns
_MAX_HEIGHT = 20  # lines
_MIN_LABEL_WIDTH = 12  # terminal columns; longer labels are truncated to this at most
_LINES_PER_TICK = 3


def draw_columns(chart: Chart, area: ChartArea, style: ChartStyle) -> ChartDrawing | None:
    """Draw a bar for each x and series; None if text labels do not fit below the bars."""
    height = max(3, min(_MAX_HEIGHT, area.height - FRAME_LINES))
    values = [y for one in chart.series for _, y in one.points]
    levels = ColumnScale.from_range(min(0.0, *values), max(0.0, *values), height)
    heights = levels.line_labels()
    width = area.width - labels_width(heights.values()) - 2
    plan = BarGroupLayout.for_chart(chart, width)
    if plan is None:
        return None
    drawing = _draw_lines(chart, plan, levels, style)
    labels = [
        AxisLabel(at * plan.slot_width + plan.group_width // 2, plan.fit_label(chart, text, style))
        for at, text in enumerate(x_labels(chart, chart.x_values[: plan.group_count]))
    ]
    used = plan.group_count * plan.slot_width
    notes = omitted_bars_notes(plan.group_count, len(chart.x_values))
    return ChartDrawing(draw_axes(drawing, used, heights, labels, style), notes)


@dataclass(frozen=True, slots=True)
class BarGroupLayout:
    """The widths of bars: each of ``group_count`` groups has ``slot_width`` columns."""

    group_count: int
    slot_width: int
    bar_width: int
    group_width: int

    @classmethod
    def for_chart(cls, chart: Chart, width: int) -> BarGroupLayout | None:
        series = len(chart.series)
        shown = min(len(chart.x_values), max(1, width // series))
        slot = min(width // shown, _MAX_BAR_WIDTH * series + 1)
        if chart.x_kind == "text":
            longest = max(text_width(escape_text(text)) for text in x_labels(chart, chart.x_values))
            slot = max(slot, min(longest + 1, width // shown))
            if shown < len(chart.x_values) or slot < min(longest, _MIN_LABEL_WIDTH) + 1:
                return None
        bar = max(1, (slot - 1) // series)
        return cls(shown, slot, bar, bar * series)

    def fit_label(self, chart: Chart, text: str, style: ChartStyle) -> str:
        """Truncate a text label to its slot; labels of numbers and times are placed by draw_axes."""
        if chart.x_kind != "text":
            return text
        return truncate_text(escape_text(text), self.slot_width - 1, style.axis_characters().ellipsis)


@dataclass(frozen=True, slots=True)
class ColumnScale:
    """The scale of vertical bars."""

    lines_above: int
    lines_below: int
    value_per_line: float

    @classmethod
    def from_range(cls, low: float, high: float, height: int) -> ColumnScale:
        most = max(2, height // _LINES_PER_TICK)
        bottom, top = axes.round_range(low, high, most) if low < high else (0.0, 1.0)
        below, value_per_line = axes.split_at_zero(bottom, top, height)
        return cls(height - below, below, value_per_line)

    def line_labels(self) -> dict[int, str]:
        """Return labels by line from the top; a value is at the upper edge of its line."""
        height = self.lines_above + self.lines_below
        low, high = -self.lines_below * self.value_per_line, self.lines_above * self.value_per_line
        labels: dict[int, str] = {}
        for tick in axes.number_ticks(low, high, max(2, height // _LINES_PER_TICK)):
            line = self.lines_above - round(tick.position / self.value_per_line)
            if tick.position or self.lines_below:  # without negative values, 0 is the axis itself
                labels.setdefault(max(0, min(line, height - 1)), tick.label)
        return labels

    def draw_cell(self, value: float, line: int, series_number: int, style: ChartStyle) -> str:
        """Return the character of a bar in a line, counted from the top."""
        solid = style.fill_character(series_number)
        if value < 0:
            deep = max(1, round(-value / self.value_per_line))
            return solid if 0 <= line - self.lines_above < deep else " "
        above = value / self.value_per_line - (self.lines_above - 1 - line)
        if line >= self.lines_above or above <= 0:
            return " "
        is_lowest = line == self.lines_above - 1  # a positive value is always visible
        if not (parts := style.partial_fills(series_number, _EIGHTHS)):
            return solid if above >= 0.5 or is_lowest else " "
        eighths = max(round(above * 8), is_lowest)
        return solid if eighths >= 8 else parts[eighths - 1] if eighths else " "


def _draw_lines(chart: Chart, layout: BarGroupLayout, scale: ColumnScale, style: ChartStyle) -> list[str]:
    values = y_by_x(chart.series)
    lines = []
    for line in range(scale.lines_above + scale.lines_below):
        text = ""
        for x in chart.x_values[: layout.group_count]:
            for number, y_values in enumerate(values):
                cell = scale.draw_cell(y_values[x], line, number, style) if x in y_values else " "
                bar = cell * layout.bar_width
                text += style.colour_series(number, bar) if cell != " " else bar
            text += " " * (layout.slot_width - layout.group_width)
        lines.append(text.rstrip())
    return lines
