"""The ``csv`` format: RFC 4180 with line feeds; NULL is an empty field, an empty text is ``""``."""

from __future__ import annotations

from typing import TextIO

from unify.interpreter.results import Rows
from unify.render.formats.options import FormatOptions, projected_texts
from unify.render.formats.values import TextRow, text_rows
from unify.text import escape_text


def write_delimited(rows: Rows, out: TextIO, options: FormatOptions) -> None:
    """Write ``rows``; a text equal to the NULL text is quoted."""
    null = options.null or ""
    if options.header:
        out.write(_row_line([column.name for column in rows.columns], null, options) + "\n")
    lines = projected_texts(rows, "\n") or (_row_line(row, null, options) for row in text_rows(rows))
    for line in lines:
        out.write(line + "\n")


def _row_line(row: TextRow, null: str, options: FormatOptions) -> str:
    if options.terminal:
        row = [None if cell is None else escape_text(cell) for cell in row]
    comma = options.delimiter
    return comma.join([null if cell is None else _quote_field(cell, null, comma) for cell in row])


def _quote_field(cell: str, null: str, delimiter: str) -> str:
    if cell == null or '"' in cell or delimiter in cell or "\n" in cell or "\r" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell
