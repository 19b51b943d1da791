"""Markdown and HTML tables: rendered, every cell reads as the data does."""

from __future__ import annotations

import html
import re
from typing import TextIO

from unify.duckdb_types import parse_type
from unify.interpreter.results import Rows
from unify.shell.display.look import Look
from unify.shell.display.values import Cells, cells
from unify.text import safe_text

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
# What GitHub's Markdown would take for markup within a line; an underscore inside a word is just that.
_MARKDOWN = re.compile(r"[\\|`*~\[\]]|(?<!\w)_|_(?!\w)")


def display_markdown(rows: Rows, out: TextIO, look: Look) -> None:
    """A table as GitHub reads it, numbers aligned to the right."""
    if look.header:
        out.write(_markdown_line([column.name for column in rows.columns], look))
        rules = ["--:" if right else ":--" for right in _numeric(rows)]
        out.write(f"| {' | '.join(rules)} |\n")
    for row in cells(rows):
        out.write(_markdown_line(row, look))


def display_html(rows: Rows, out: TextIO, look: Look) -> None:
    """A ``<table>`` for a page of one's own; NULL cells have the class ``null``."""
    numeric = _numeric(rows)
    out.write("<table>\n")
    if look.header:
        heads = "".join(f"<th>{_html_text(column.name, look)}</th>" for column in rows.columns)
        out.write(f"<thead>\n<tr>{heads}</tr>\n</thead>\n")
    out.write("<tbody>\n")
    for row in cells(rows):
        data = [_html_cell(cell, right, look) for cell, right in zip(row, numeric, strict=True)]
        out.write(f"<tr>{''.join(data)}</tr>\n")
    out.write("</tbody>\n</table>\n")


def _numeric(rows: Rows) -> list[bool]:
    return [parse_type(column.type).numeric for column in rows.columns]


def _markdown_line(row: Cells, look: Look) -> str:
    null = "NULL" if look.null is None else look.null
    return f"| {' | '.join(_markdown_cell(null if cell is None else cell, look) for cell in row)} |\n"


def _markdown_cell(cell: str, look: Look) -> str:
    escaped = _MARKDOWN.sub(lambda match: "\\" + match.group(), cell)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;")
    return _one_line(escaped, look)


def _html_cell(cell: str | None, right: bool, look: Look) -> str:
    if cell is None:
        null = "NULL" if look.null is None else look.null
        return f'<td class="null">{_html_text(null, look)}</td>'
    style = ' style="text-align: right"' if right else ""
    return f"<td{style}>{_html_text(cell, look)}</td>"


def _html_text(text: str, look: Look) -> str:
    return _one_line(html.escape(text, quote=False), look)


def _one_line(text: str, look: Look) -> str:
    broken = _LINE_BREAK.sub("<br>", text)
    return safe_text(broken) if look.terminal else broken
