"""Charts as text: fitted to the terminal. render_chart() selects the drawing of a chart kind.

    style    colours and characters of series, bars and axes
    axes     axes with labels; round numbers and times as ticks; ChartArea and ChartDrawing
    columns  `bar_chart`: vertical bars
    bars     `hbar_chart` and `pie_chart`: horizontal bars, one per line
    plane    `line_chart`, `area_chart` and `scatter_chart`: points and lines in braille dots

Start with render_chart() in this file.
May import: render.formats; packages below render: interpreter, load, convert, adapters, lake, queue, status,
language, config, engine, fs and the top-level modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap

from unify.interpreter.results import Chart
from unify.render.charts import bars, columns
from unify.render.charts.axes import ChartArea, ChartDrawing
from unify.render.charts.style import MAX_SERIES, ChartStyle
from unify.render.formats.layout import text_width, truncate_text
from unify.render.formats.options import FormatOptions
from unify.text import escape_text

__all__ = ["render_chart"]

_MIN_WIDTH, _MIN_HEIGHT = 20, 4  # below, nothing could be read
_PROMPT_LINES = 2  # of the statement above and of the next prompt below
_MIN_NOTE_WIDTH = 40  # columns of a terminal


def render_chart(chart: Chart, options: FormatOptions) -> str:
    """The chart as lines of text, no wider than ``look`` says, and on a terminal no taller."""
    width = max(_MIN_WIDTH, options.width - 1)  # a full last column makes some terminals wrap
    shown, told = _limit_series(chart)
    ink = ChartStyle.from_options(options, len(shown.series))
    head = _header_lines(shown, width, ink)
    note = [chart.note] if options.terminal and chart.note and width >= _MIN_NOTE_WIDTH else []
    foot = _footer_lines([*chart.row_notes, *told, *note], width, ink)
    height = max(_MIN_HEIGHT, options.height - len(head) - len(foot) - _PROMPT_LINES)
    drawing = _draw_plot(shown, ChartArea(width, height, has_unlimited_height=not options.terminal), ink)
    foot = _footer_lines([*chart.row_notes, *told, *drawing.notes, *note], width, ink)
    return "\n".join([*head, *drawing.lines, *map(ink.dim, foot)]) + "\n"


def _footer_lines(notes: Sequence[str], width: int, style: ChartStyle) -> list[str]:
    return wrap(escape_text(style.axis_characters().separator.join(notes)), width)


def _draw_plot(chart: Chart, area: ChartArea, style: ChartStyle) -> ChartDrawing:
    match chart.kind:
        case "bar_chart":
            return columns.draw_columns(chart, area, style) or bars.draw_bars(chart, area, style)
        case "hbar_chart":
            return bars.draw_bars(chart, area, style)
        case "pie_chart":
            return bars.draw_pie(chart, area, style)
        case "line_chart" | "area_chart" | "scatter_chart":
            from unify.render.charts import plane  # and with it the plotting library

            return plane.draw_plane(chart, area, style)


def _limit_series(chart: Chart) -> tuple[Chart, Sequence[str]]:
    """The chart with as many series as can be told apart, those with the largest values."""
    if len(chart.series) <= MAX_SERIES:
        return chart, ()
    largest = sorted(chart.series, key=lambda one: -sum(abs(y) for _, y in one.points))[:MAX_SERIES]
    kept = tuple(one for one in chart.series if one in largest)
    there = {x for one in kept for x, _ in one.points}
    shown = replace(chart, series=kept, x_values=tuple(x for x in chart.x_values if x in there))
    return shown, [f"{len(kept):,} of {len(chart.series):,} series"]


def _header_lines(chart: Chart, width: int, style: ChartStyle) -> list[str]:
    ellipsis = style.axis_characters().ellipsis
    head = [style.bold(truncate_text(escape_text(chart.title), width, ellipsis))] if chart.title else []
    head.append(style.dim(truncate_text(escape_text(chart.caption), width, ellipsis)))
    return head + (_legend_lines(chart, width, style) if style.has_several_series else [])


def _legend_lines(chart: Chart, width: int, style: ChartStyle) -> list[str]:
    """Which series is which, in as many lines as that takes."""
    with_bars = chart.kind in ("bar_chart", "hbar_chart")
    lines, used = [""], 0
    for number, one in enumerate(chart.series):
        name = truncate_text(escape_text(one.name), width - 2, style.axis_characters().ellipsis)
        taken = text_width(name) + 2
        if used and used + 2 + taken > width:
            lines.append("")
            used = 0
        lines[-1] += (
            "  " if used else ""
        ) + f"{style.colour_series(number, style.legend_symbol(number, with_bars))} {name}"
        used += taken + (2 if used else 0)
    return lines
