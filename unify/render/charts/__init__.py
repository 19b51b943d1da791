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
from textwrap import wrap

from msgspec.structs import replace

from unify.interpreter.results import Chart
from unify.render.charts import bars, columns
from unify.render.charts.axes import ChartArea, ChartDrawing
from unify.render.charts.style import MAX_SERIES, ChartStyle
from unify.render.formats.layout import text_width, truncate_text
from unify.render.formats.options import FormatOptions
from unify.text import escape_text

__all__ = ["render_chart"]

_MIN_WIDTH, _MIN_HEIGHT = 20, 4  # a smaller chart is not readable
_PROMPT_LINES = 2  # the statement above the chart and the prompt below it
_MIN_NOTE_WIDTH = 40  # terminal columns


def render_chart(chart: Chart, options: FormatOptions) -> str:
    """Return the chart as text, at most as wide as ``options``, and on a terminal at most as tall."""
    width = max(_MIN_WIDTH, options.width - 1)  # some terminals wrap after a character in the last column
    shown, series_notes = _limit_series(chart)
    style = ChartStyle.from_options(options, len(shown.series))
    header = _header_lines(shown, width, style)
    note = [chart.note] if options.terminal and chart.note and width >= _MIN_NOTE_WIDTH else []
    footer = _footer_lines([*chart.row_notes, *series_notes, *note], width, style)
    height = max(_MIN_HEIGHT, options.height - len(header) - len(footer) - _PROMPT_LINES)
    drawing = _draw_plot(shown, ChartArea(width, height, has_unlimited_height=not options.terminal), style)
    footer = _footer_lines([*chart.row_notes, *series_notes, *drawing.notes, *note], width, style)
    return "\n".join([*header, *drawing.lines, *map(style.dim, footer)]) + "\n"


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
            from unify.render.charts import plane  # deferred: imports the plotting library

            return plane.draw_plane(chart, area, style)


def _limit_series(chart: Chart) -> tuple[Chart, Sequence[str]]:
    """Limit the chart to the MAX_SERIES series with the largest values, and return notes on it."""
    if len(chart.series) <= MAX_SERIES:
        return chart, ()
    largest = sorted(chart.series, key=lambda series: -sum(abs(y) for _, y in series.points))[:MAX_SERIES]
    shown = tuple(series for series in chart.series if series in largest)
    x_values = {x for series in shown for x, _ in series.points}
    limited = replace(chart, series=shown, x_values=tuple(x for x in chart.x_values if x in x_values))
    return limited, [f"{len(shown):,} of {len(chart.series):,} series"]


def _header_lines(chart: Chart, width: int, style: ChartStyle) -> list[str]:
    ellipsis = style.axis_characters().ellipsis
    lines = [style.bold(truncate_text(escape_text(chart.title), width, ellipsis))] if chart.title else []
    lines.append(style.dim(truncate_text(escape_text(chart.caption), width, ellipsis)))
    return lines + (_legend_lines(chart, width, style) if style.has_several_series else [])


def _legend_lines(chart: Chart, width: int, style: ChartStyle) -> list[str]:
    has_bars = chart.kind in ("bar_chart", "hbar_chart")
    lines, used = [""], 0
    for number, series in enumerate(chart.series):
        name = truncate_text(escape_text(series.name), width - 2, style.axis_characters().ellipsis)
        entry_width = text_width(name) + 2
        if used and used + 2 + entry_width > width:
            lines.append("")
            used = 0
        symbol = style.colour_series(number, style.legend_symbol(number, has_bars))
        lines[-1] += f"{'  ' if used else ''}{symbol} {name}"
        used += entry_width + (2 if used else 0)
    return lines
