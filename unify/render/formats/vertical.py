"""The ``vertical`` format: one line per value, one block per row."""

from __future__ import annotations

import re
from typing import TextIO

from unify.interpreter.results import Rows
from unify.render.formats import box
from unify.render.formats.layout import pad_text, text_width
from unify.render.formats.options import ElapsedSeconds, FormatOptions
from unify.render.formats.values import TextRow, text_rows
from unify.text import escape_text, format_count

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_RULE_WIDTH = 40  # terminal columns


def write_vertical(rows: Rows, out: TextIO, options: FormatOptions, elapsed: ElapsedSeconds) -> None:
    """Write ``rows``; further lines of a value are indented below its first."""
    number = 0
    names = [escape_text(column.name) for column in rows.columns]
    width = max(map(text_width, names), default=0)
    for number, row in enumerate(text_rows(rows), start=1):
        if options.header:
            out.write(_row_separator(number, options))
        out.write(_row_block(names, width, row, options))
    if options.terminal:
        parts = [format_count(number, "row"), *box.footer_parts(elapsed, rows.note)]
        out.write(box.footer_text(parts, options) + "\n")


def _row_separator(number: int, options: FormatOptions) -> str:
    dash = "-" if options.ascii_only else "─"
    return f"{dash * 2} {number} ".ljust(_RULE_WIDTH, dash) + "\n"


def _row_block(names: list[str], width: int, row: TextRow, options: FormatOptions) -> str:
    bar = " | " if options.ascii_only else " │ "
    null = "NULL" if options.null is None else options.null
    lines = []
    for name, cell in zip(names, row, strict=True):
        head = name
        for line in _LINE_BREAK.split(null if cell is None else cell):
            lines.append(f"{pad_text(head, width)}{bar if line else bar.rstrip()}{escape_text(line)}\n")
            head = ""
    return "".join(lines)
