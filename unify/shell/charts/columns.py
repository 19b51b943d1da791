"""Bars that stand on an axis, with a scale at the left."""

from __future__ import annotations

from dataclasses import dataclass

from unify.interpreter.chart import Chart, by_x, x_texts
from unify.shell.charts import ticks
from unify.shell.charts.axes import FRAME_LINES, Label, framed, gutter
from unify.shell.charts.drawing import Drawing, Room
from unify.shell.charts.ink import Ink
from unify.shell.display.width import clipped, text_width
from unify.text import safe_text

_EIGHTHS = "▁▂▃▄▅▆▇"  # of a character's height
_WIDEST = 10  # columns of a terminal for one bar; more would look like a wall
_TALLEST = 20  # lines
_LEGIBLE = 12  # a label that is longer may be cut to this
_LINES_A_TICK = 3


def draw(chart: Chart, room: Room, ink: Ink) -> Drawing | None:
    """A bar for each x and series; None where labels would not fit below the bars.

    Numbers and times need no label each, so that bars may stand close.
    """
    height = max(3, min(_TALLEST, room.height - FRAME_LINES))
    values = [y for one in chart.series for _, y in one.points]
    levels = Levels.over(min(0.0, *values), max(0.0, *values), height)
    heights = levels.labels()
    width = room.width - gutter(heights.values()) - 2
    plan = Plan.of(chart, width)
    if plan is None:
        return None
    drawing = _bars(chart, plan, levels, ink)
    labels = [
        Label(at * plan.slot + plan.group // 2, plan.label(chart, text, ink))
        for at, text in enumerate(x_texts(chart, chart.xs[: plan.shown]))
    ]
    used = plan.shown * plan.slot
    told = [] if plan.shown == len(chart.xs) else [f"the first {plan.shown:,} of {len(chart.xs):,} bars"]
    return Drawing(framed(drawing, used, heights, labels, ink), told)


@dataclass(frozen=True, slots=True)
class Plan:
    """How bars stand beside each other: ``shown`` groups, ``slot`` columns each, ``bar`` columns a bar."""

    shown: int
    slot: int
    bar: int
    group: int

    @classmethod
    def of(cls, chart: Chart, width: int) -> Plan | None:
        series = len(chart.series)
        shown = min(len(chart.xs), max(1, width // series))
        slot = min(width // shown, _WIDEST * series + 1)
        if chart.x_kind == "text":
            longest = max(text_width(safe_text(text)) for text in x_texts(chart, chart.xs))
            slot = max(slot, min(longest + 1, width // shown))
            if shown < len(chart.xs) or slot < min(longest, _LEGIBLE) + 1:
                return None
        bar = max(1, (slot - 1) // series)
        return cls(shown, slot, bar, bar * series)

    def label(self, chart: Chart, text: str, ink: Ink) -> str:
        """What stands below a group: of a text as much as fits, of anything else all, if perhaps not each."""
        if chart.x_kind != "text":
            return text
        return clipped(safe_text(text), self.slot - 1, ink.lines().ellipsis)


@dataclass(frozen=True, slots=True)
class Levels:
    """Which value is how high: ``up`` lines above 0 and ``down`` below, ``per_line`` each."""

    up: int
    down: int
    per_line: float

    @classmethod
    def over(cls, low: float, high: float, height: int) -> Levels:
        most = max(2, height // _LINES_A_TICK)
        bottom, top = ticks.widened(low, high, most) if low < high else (0.0, 1.0)
        down = min(height - (top > 0), max(round(height * -bottom / (top - bottom)), bottom < 0))
        needed = [part / lines for part, lines in ((top, height - down), (-bottom, down)) if part]
        return cls(height - down, down, max(needed))

    def labels(self) -> dict[int, str]:
        """Labels by the number of their line, from the top; a value is at the upper edge of its line."""
        low, high = -self.down * self.per_line, self.up * self.per_line
        found: dict[int, str] = {}
        for tick in ticks.numbers(low, high, max(2, (self.up + self.down) // _LINES_A_TICK)):
            line = self.up - round(tick.at / self.per_line)
            if tick.at or self.down:  # else 0 is the axis itself
                found.setdefault(max(0, min(line, self.up + self.down - 1)), tick.text)
        return found

    def cell(self, value: float, line: int, number: int, ink: Ink) -> str:
        """The character of a bar in a line, from the top."""
        solid = ink.solid(number)
        if value < 0:
            deep = max(1, round(-value / self.per_line))
            return solid if 0 <= line - self.up < deep else " "
        above = value / self.per_line - (self.up - 1 - line)
        if line >= self.up or above <= 0:
            return " "
        parts = ink.parts(number, _EIGHTHS)
        if above >= 1:
            return solid
        if not parts:
            return solid if above >= 0.5 or (line == self.up - 1 and value > 0) else " "
        eighths = round(above * 8)
        if eighths == 8:
            return solid
        return parts[max(0, eighths - 1)] if eighths or line == self.up - 1 else " "


def _bars(chart: Chart, plan: Plan, levels: Levels, ink: Ink) -> list[str]:
    values = by_x(chart.series)
    lines = []
    for line in range(levels.up + levels.down):
        text = ""
        for x in chart.xs[: plan.shown]:
            for number, of in enumerate(values):
                cell = levels.cell(of[x], line, number, ink) if x in of else " "
                text += ink.series(number, cell * plan.bar) if cell != " " else " " * plan.bar
            text += " " * (plan.slot - plan.group)
        lines.append(text.rstrip())
    return lines
