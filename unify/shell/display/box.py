"""The result box: names and types in the head, numbers to the right, NULL unlike any text.

On a terminal it is fitted: the middle columns and rows are left out where they have no room, and the
footer says how many. Elsewhere, and in ``table``'s plain ASCII, every row and column is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from unify.duckdb_types import parse_type
from unify.interpreter.results import Rows
from unify.shell.display import footer
from unify.shell.display.fit import GAP_WIDTH, Excerpt, Layout, excerpt, fit_columns
from unify.shell.display.look import Elapsed, Look
from unify.shell.display.spool import Spool
from unify.shell.display.values import Cells, cells
from unify.shell.display.width import clipped, padded, text_width
from unify.text import counted, safe_text

_CHROME_LINES = 9  # rules, head, the line of dots, footer, and the next prompt
_FEWEST_ROWS = 4
_TYPE_WIDTH = 30  # columns of a terminal; the type of a large STRUCT is cut there
_CELL_TEXT = 4_000  # characters looked at where a cell is going to be cut anyway
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Lines:
    """What a frame is drawn with: corners and crossings from left to right, top to bottom."""

    across: str = "─"
    down: str = "│"
    top: str = "┌┬┐"
    middle: str = "├┼┤"
    bottom: str = "└┴┘"
    dots: str = "·"
    ellipsis: str = "…"
    between: str = " · "  # the parts of the footer


ASCII = Lines("-", "|", "+++", "+++", "+++", ".", ".", ", ")


def display(rows: Rows, out: TextIO, look: Look, elapsed: Elapsed) -> None:
    """Draw ``rows``. Memory: those shown on a terminal; elsewhere a bounded part, the rest on disk."""
    frame = Frame(rows, look)
    if look.max_rows is not None or (look.terminal and not look.all_rows and not rows.whole):
        frame.draw_excerpt(rows, out, elapsed)
    else:
        frame.draw_all(rows, out, elapsed)


def rows_that_fit(look: Look) -> int:
    """How many rows a box shows at most, by wish or by the terminal's height."""
    if look.max_rows is not None:
        return look.max_rows
    return max(_FEWEST_ROWS, look.height - _CHROME_LINES)


class Frame:
    """The head of one result, and how to draw rows below it."""

    def __init__(self, rows: Rows, look: Look) -> None:
        types = [parse_type(column.type) for column in rows.columns]
        self.look = look
        self.lines = ASCII if look.ascii or look.format == "table" else Lines()
        self.null = "NULL" if look.null is None else look.null
        self.names = [safe_text(column.name) for column in rows.columns]
        self.types = [clipped(safe_text(type.label), _TYPE_WIDTH, self.lines.ellipsis) for type in types]
        self.right = [type.numeric for type in types]
        self.widths = [self._head_width(column) for column in range(len(types))]

    def draw_excerpt(self, rows: Rows, out: TextIO, elapsed: Elapsed) -> None:
        found = excerpt(rows, rows_that_fit(self.look))
        head, tail = self._texts(rows, found.head), self._texts(rows, found.tail)
        for row in (*head, *tail):
            self._widen(row)
        layout = self._layout()
        self._open(layout, out)
        self._body(head, layout, out)
        if found.shown < found.total or found.more:
            dots = [self.lines.dots] * len(self.names)
            out.write(self._line(dots, layout, _DIM, centred=True))
        self._body(tail, layout, out)
        out.write(self._rule(self.lines.bottom, layout))
        out.write(self._dim(self._footer(_counted(found), layout, rows.note, elapsed)) + "\n")

    def draw_all(self, rows: Rows, out: TextIO, elapsed: Elapsed) -> None:
        with Spool() as spool:
            for row in cells(rows):
                safe = [None if cell is None else safe_text(cell) for cell in row]
                self._widen(safe)
                spool.add(safe)
            layout = self._layout()
            self._open(layout, out)
            self._body(spool, layout, out)
            out.write(self._rule(self.lines.bottom, layout))
            out.write(self._dim(self._footer(counted(spool.count, "row"), layout, rows.note, elapsed)) + "\n")

    def _layout(self) -> Layout:
        return fit_columns(self.widths, self.look.width if self.look.terminal else None)

    def _head_width(self, column: int) -> int:
        if not self.look.header:
            return 1
        return max(text_width(self.names[column]), text_width(self.types[column]), 1)

    def _texts(self, rows: Rows, part: Sequence[tuple[object, ...]]) -> list[Cells]:
        """The cells of some rows, as safe text no longer than could be shown."""
        longest = _CELL_TEXT if self.look.terminal else None
        some = Rows(rows.columns, iter([part] if part else []))
        return [[None if cell is None else safe_text(cell[:longest]) for cell in row] for row in cells(some)]

    def _widen(self, row: Cells) -> None:
        for column, cell in enumerate(row):
            width = text_width(self.null if cell is None else cell)
            self.widths[column] = max(self.widths[column], width)

    def _open(self, layout: Layout, out: TextIO) -> None:
        out.write(self._rule(self.lines.top, layout))
        if self.look.header:
            out.write(self._line(self.names, layout, _BOLD))
            out.write(self._line(self.types, layout, _DIM))
            out.write(self._rule(self.lines.middle, layout))

    def _body(self, rows: Iterable[Cells], layout: Layout, out: TextIO) -> None:
        for row in rows:
            out.write(self._line(row, layout))

    def _rule(self, corners: str, layout: Layout) -> str:
        widths = list(layout.widths)
        if layout.gap is not None:
            widths.insert(layout.gap, GAP_WIDTH)
        spans = [self.lines.across * (width + 2) for width in widths]
        return corners[0] + corners[1].join(spans) + corners[2] + "\n"

    def _line(
        self, row: Sequence[str | None], layout: Layout, style: str = "", *, centred: bool = False
    ) -> str:
        shown = []
        for column, width in zip(layout.columns, layout.widths, strict=True):
            cell = row[column]
            text = clipped(self.null if cell is None else cell, width, self.lines.ellipsis)
            text = text.center(width) if centred else padded(text, width, self.right[column])
            shown.append(self._styled(text, _DIM if cell is None else style))
        if layout.gap is not None:
            shown.insert(layout.gap, self._dim(self.lines.ellipsis))
        down = self.lines.down
        return f"{down} {f' {down} '.join(shown)} {down}\n"

    def _footer(self, rows: str, layout: Layout, note: str, elapsed: Elapsed) -> str:
        parts = [rows]
        if layout.gap is not None:
            parts.append(f"{counted(len(self.names), 'column')} ({len(layout.columns):,} shown)")
        if self.look.terminal:
            parts += footer.took(elapsed, note)
        return footer.line(parts, self.look, self.lines.between)

    def _styled(self, text: str, style: str) -> str:
        return f"{style}{text}{_PLAIN}" if style and self.look.colour else text

    def _dim(self, text: str) -> str:
        return self._styled(text, _DIM)


def _counted(found: Excerpt) -> str:
    rows = ("more than " if found.more else "") + counted(found.total, "row")
    left_out = found.shown < found.total or found.more
    return rows + (f" ({found.shown:,} shown)" if left_out else "")
