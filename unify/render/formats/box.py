"""The ``box`` and ``table`` formats: a frame with column names and types, and a footer.

On a terminal, middle columns and rows that do not fit are omitted, and the footer counts them. Elsewhere
every row and column is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

from unify.durations import format_elapsed
from unify.engine.types import parse_type
from unify.interpreter.results import Rows
from unify.render.formats.layout import (
    GAP_WIDTH,
    BoxLayout,
    RowExcerpt,
    fit_columns,
    pad_text,
    read_excerpt,
    text_width,
    truncate_text,
    wrap_text,
)
from unify.render.formats.options import ElapsedSeconds, FormatOptions, RowSpool
from unify.render.formats.values import TextRow, text_rows
from unify.text import escape_text, format_count

_CHROME_LINES = 9  # borders, header, the line of dots, footer, and the next prompt
_MIN_ROWS = 4
_MAX_TYPE_WIDTH = 30  # terminal columns; longer types, such as a large STRUCT, are truncated
_MAX_CELL_CHARS = 4_000  # longer cells cannot be shown on a terminal
_BOLD, _DIM, _RESET = "\x1b[1m", "\x1b[2m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class BoxCharacters:
    """The characters of a frame: corners and crossings from left to right, top to bottom."""

    horizontal: str = "─"
    vertical: str = "│"
    top: str = "┌┬┐"
    middle: str = "├┼┤"
    bottom: str = "└┴┘"
    omitted: str = "·"
    ellipsis: str = "…"
    separator: str = " · "  # between the parts of the footer


ASCII_BOX_CHARACTERS = BoxCharacters("-", "|", "+++", "+++", "+++", ".", ".", ", ")


def write_box(rows: Rows, out: TextIO, options: FormatOptions, elapsed: ElapsedSeconds) -> None:
    """Write ``rows``. Memory: the rows shown on a terminal; elsewhere 16 MB, the rest on disk."""
    frame = BoxWriter(rows, options)
    if options.max_rows is not None or (options.terminal and not options.all_rows and not rows.show_all):
        frame.write_excerpt(rows, out, elapsed)
    else:
        frame.write_all(rows, out, elapsed)


def max_visible_rows(options: FormatOptions) -> int:
    """Return the maximum number of rows of a box: ``max_rows``, or what fits the terminal's height."""
    if options.max_rows is not None:
        return options.max_rows
    return max(_MIN_ROWS, options.height - _CHROME_LINES)


class BoxWriter:
    """Writes the box of one result."""

    def __init__(self, rows: Rows, options: FormatOptions) -> None:
        types = [parse_type(column.type) for column in rows.columns]
        self.options = options
        self.characters = (
            ASCII_BOX_CHARACTERS if options.ascii_only or options.format == "table" else BoxCharacters()
        )
        self.null_text = "NULL" if options.null is None else options.null
        self.names = [escape_text(column.name) for column in rows.columns]
        self.types = [
            truncate_text(escape_text(type.label), _MAX_TYPE_WIDTH, self.characters.ellipsis)
            for type in types
        ]
        self.right_aligned = [type.numeric for type in types]
        self.widths = [self._head_width(column) for column in range(len(types))]

    def write_excerpt(self, rows: Rows, out: TextIO, elapsed: ElapsedSeconds) -> None:
        excerpt = read_excerpt(rows, max_visible_rows(self.options))
        head, tail = self._cell_texts(rows, excerpt.head), self._cell_texts(rows, excerpt.tail)
        for row in (*head, *tail):
            self._widen_columns(row)
        layout = self._fit_columns()
        self._write_header(layout, out)
        self._write_body(head, layout, out)
        if excerpt.shown_count < excerpt.total or excerpt.has_more:
            dots = [self.characters.omitted] * len(self.names)
            out.write(self._row_line(dots, layout, _DIM, is_centred=True))
        self._write_body(tail, layout, out)
        self._write_footer(_row_count_text(excerpt), layout, rows.note, elapsed, out)

    def write_all(self, rows: Rows, out: TextIO, elapsed: ElapsedSeconds) -> None:
        with RowSpool() as spool:
            for row in text_rows(rows):
                safe = [None if cell is None else escape_text(cell) for cell in row]
                self._widen_columns(safe)
                spool.add(safe)
            layout = self._fit_columns()
            self._write_header(layout, out)
            self._write_body(spool, layout, out)
            self._write_footer(format_count(spool.count, "row"), layout, rows.note, elapsed, out)

    def _fit_columns(self) -> BoxLayout:
        return fit_columns(self.widths, self.options.width if self.options.terminal else None)

    def _head_width(self, column: int) -> int:
        if not self.options.header:
            return 1
        return max(text_width(self.names[column]), text_width(self.types[column]), 1)

    def _cell_texts(self, rows: Rows, part_rows: Sequence[tuple[object, ...]]) -> list[TextRow]:
        """Return the cells of ``part_rows`` as escaped text, truncated to what a terminal can show."""
        longest = _MAX_CELL_CHARS if self.options.terminal else None
        part = Rows(rows.columns, iter([part_rows] if part_rows else []))
        return [
            [None if cell is None else escape_text(cell[:longest]) for cell in row] for row in text_rows(part)
        ]

    def _widen_columns(self, row: TextRow) -> None:
        for column, cell in enumerate(row):
            width = text_width(self.null_text if cell is None else cell)
            self.widths[column] = max(self.widths[column], width)

    def _write_header(self, layout: BoxLayout, out: TextIO) -> None:
        out.write(self._border_line(self.characters.top, layout))
        if self.options.header:
            out.write(self._row_line(self.names, layout, _BOLD))
            out.write(self._row_line(self.types, layout, _DIM))
            out.write(self._border_line(self.characters.middle, layout))

    def _write_body(self, rows: Iterable[TextRow], layout: BoxLayout, out: TextIO) -> None:
        for row in rows:
            out.write(self._row_line(row, layout))

    def _border_line(self, corners: str, layout: BoxLayout) -> str:
        widths = list(layout.widths)
        if layout.gap is not None:
            widths.insert(layout.gap, GAP_WIDTH)
        spans = [self.characters.horizontal * (width + 2) for width in widths]
        return corners[0] + corners[1].join(spans) + corners[2] + "\n"

    def _row_line(
        self, row: Sequence[str | None], layout: BoxLayout, style: str = "", *, is_centred: bool = False
    ) -> str:
        cells = []
        for column, width in zip(layout.columns, layout.widths, strict=True):
            cell = row[column]
            text = truncate_text(self.null_text if cell is None else cell, width, self.characters.ellipsis)
            text = text.center(width) if is_centred else pad_text(text, width, self.right_aligned[column])
            cells.append(self._apply_style(text, _DIM if cell is None else style))
        if layout.gap is not None:
            cells.insert(layout.gap, self._apply_style(self.characters.ellipsis, _DIM))
        line = self.characters.vertical
        return f"{line} {f' {line} '.join(cells)} {line}\n"

    def _write_footer(
        self, row_text: str, layout: BoxLayout, note: str, elapsed: ElapsedSeconds, out: TextIO
    ) -> None:
        parts = [row_text]
        if layout.gap is not None:
            parts.append(f"{format_count(len(self.names), 'column')} ({len(layout.columns):,} shown)")
        if self.options.terminal:
            parts += footer_parts(elapsed, note)
        footer = footer_text(parts, self.options, self.characters.separator)
        out.write(self._border_line(self.characters.bottom, layout))
        out.write(self._apply_style(footer, _DIM) + "\n")

    def _apply_style(self, text: str, style: str) -> str:
        return f"{style}{text}{_RESET}" if style and self.options.colour else text


def _row_count_text(excerpt: RowExcerpt) -> str:
    rows = ("more than " if excerpt.has_more else "") + format_count(excerpt.total, "row")
    is_partial = excerpt.shown_count < excerpt.total or excerpt.has_more
    return rows + (f" ({excerpt.shown_count:,} shown)" if is_partial else "")


def footer_text(parts: Sequence[str], options: FormatOptions, separator: str = " · ") -> str:
    """Join the parts of a footer, wrapped between words on a terminal."""
    text = (", " if options.ascii_only else separator).join(parts)
    return wrap_text(text, options.width) if options.terminal else text


def footer_parts(elapsed: ElapsedSeconds, note: str) -> list[str]:
    """Return the elapsed time, and the note on the origin of the rows."""
    return [format_elapsed(elapsed()), *([escape_text(note)] if note else [])]
