"""Charts as text: fitted to the terminal, in colour where it has any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap

from unify.interpreter.chart import Chart
from unify.shell.charts import bars, columns
from unify.shell.charts.drawing import Drawing, Room
from unify.shell.charts.ink import MOST_SERIES, Ink
from unify.shell.display.look import Look
from unify.shell.display.width import clipped, text_width
from unify.text import safe_text

__all__ = ["drawn"]

_LEAST_WIDTH, _LEAST_HEIGHT = 20, 4  # below, nothing could be read
_PROMPT_LINES = 2  # of the statement above and of the next prompt below
_WITH_NOTE = 40  # columns of a terminal


def drawn(chart: Chart, look: Look) -> str:
    """The chart as lines of text, no wider than ``look`` says, and on a terminal no taller."""
    width = max(_LEAST_WIDTH, look.width - 1)  # a full last column makes some terminals wrap
    shown, told = _few_series(chart)
    ink = Ink.of(look, len(shown.series))
    head = _head(shown, width, ink)
    note = [chart.note] if look.terminal and chart.note and width >= _WITH_NOTE else []
    foot = _foot([*chart.remarks, *told, *note], width, ink)
    height = max(_LEAST_HEIGHT, look.height - len(head) - len(foot) - _PROMPT_LINES)
    drawing = _draw(shown, Room(width, height, endless=not look.terminal), ink)
    foot = _foot([*chart.remarks, *told, *drawing.remarks, *note], width, ink)
    return "\n".join([*head, *drawing.lines, *map(ink.dim, foot)]) + "\n"


def _foot(remarks: Sequence[str], width: int, ink: Ink) -> list[str]:
    return wrap(safe_text(ink.lines().between.join(remarks)), width)


def _draw(chart: Chart, room: Room, ink: Ink) -> Drawing:
    match chart.kind:
        case "bar_chart":
            return columns.draw(chart, room, ink) or bars.draw(chart, room, ink)
        case "hbar_chart":
            return bars.draw(chart, room, ink)
        case "pie_chart":
            return bars.draw_pie(chart, room, ink)
        case "line_chart" | "area_chart" | "scatter_chart":
            from unify.shell.charts import plane  # and with it the plotting library

            return plane.draw(chart, room, ink)


def _few_series(chart: Chart) -> tuple[Chart, Sequence[str]]:
    """The chart with as many series as can be told apart, those with the largest values."""
    if len(chart.series) <= MOST_SERIES:
        return chart, ()
    largest = sorted(chart.series, key=lambda one: -sum(abs(y) for _, y in one.points))[:MOST_SERIES]
    kept = tuple(one for one in chart.series if one in largest)
    there = {x for one in kept for x, _ in one.points}
    shown = replace(chart, series=kept, xs=tuple(x for x in chart.xs if x in there))
    return shown, [f"{len(kept):,} of {len(chart.series):,} series"]


def _head(chart: Chart, width: int, ink: Ink) -> list[str]:
    ellipsis = ink.lines().ellipsis
    head = [ink.bold(clipped(safe_text(chart.title), width, ellipsis))] if chart.title else []
    head.append(ink.dim(clipped(safe_text(chart.caption), width, ellipsis)))
    return head + (_legend(chart, width, ink) if ink.several else [])


def _legend(chart: Chart, width: int, ink: Ink) -> list[str]:
    """Which series is which, in as many lines as that takes."""
    with_bars = chart.kind in ("bar_chart", "hbar_chart")
    lines, used = [""], 0
    for number, one in enumerate(chart.series):
        name = clipped(safe_text(one.name), width - 2, ink.lines().ellipsis)
        taken = text_width(name) + 2
        if used and used + 2 + taken > width:
            lines.append("")
            used = 0
        lines[-1] += ("  " if used else "") + f"{ink.series(number, ink.sample(number, with_bars))} {name}"
        used += taken + (2 if used else 0)
    return lines
