"""CSV by RFC 4180, with line feeds, or with tabs for commas. NULL is nothing, an empty text ``""``."""

from __future__ import annotations

from typing import TextIO

from unify.interpreter.results import Rows
from unify.shell.display.look import Look
from unify.shell.display.values import Cells, cells
from unify.text import safe_text


def display(rows: Rows, out: TextIO, look: Look) -> None:
    """Write ``rows`` as they come; a text that reads like the NULL text is put in quotes."""
    null = look.null or ""
    if look.header:
        out.write(_line([column.name for column in rows.columns], null, look))
    for row in cells(rows):
        out.write(_line(row, null, look))


def _line(row: Cells, null: str, look: Look) -> str:
    if look.terminal:
        row = [None if cell is None else safe_text(cell) for cell in row]
    between = look.delimiter
    return between.join([null if cell is None else _field(cell, null, between) for cell in row]) + "\n"


def _field(cell: str, null: str, between: str) -> str:
    if cell == null or '"' in cell or between in cell or "\n" in cell or "\r" in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell
