"""The ``markdown`` and ``html`` formats: tables with escaped cells."""

from __future__ import annotations

import html
import re
from typing import TextIO

from unify.engine.types import parse_type
from unify.interpreter.results import Rows
from unify.render.formats.options import FormatOptions
from unify.render.formats.values import TextRow, text_rows
from unify.text import escape_text

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
# Markup of GitHub's Markdown within a line; an underscore inside a word is plain text.
_MARKDOWN_SYNTAX = re.compile(r"[\\|`*~\[\]]|(?<!\w)_|_(?!\w)")


def write_markdown(rows: Rows, out: TextIO, options: FormatOptions) -> None:
    """Write a table of GitHub Flavored Markdown, with numbers aligned to the right."""
    if options.header:
        out.write(_markdown_line([column.name for column in rows.columns], options))
        rules = ["--:" if right else ":--" for right in _numeric_columns(rows)]
        out.write(f"| {' | '.join(rules)} |\n")
    for row in text_rows(rows):
        out.write(_markdown_line(row, options))


def write_html(rows: Rows, out: TextIO, options: FormatOptions) -> None:
    """Write a ``<table>`` element; NULL cells have the class ``null``."""
    numeric = _numeric_columns(rows)
    out.write("<table>\n")
    if options.header:
        heads = "".join(f"<th>{_html_text(column.name, options)}</th>" for column in rows.columns)
        out.write(f"<thead>\n<tr>{heads}</tr>\n</thead>\n")
    out.write("<tbody>\n")
    for row in text_rows(rows):
        data = [_html_cell(cell, right, options) for cell, right in zip(row, numeric, strict=True)]
        out.write(f"<tr>{''.join(data)}</tr>\n")
    out.write("</tbody>\n</table>\n")


def _numeric_columns(rows: Rows) -> list[bool]:
    return [parse_type(column.type).numeric for column in rows.columns]


def _markdown_line(row: TextRow, options: FormatOptions) -> str:
    null = "NULL" if options.null is None else options.null
    return f"| {' | '.join(_markdown_cell(null if cell is None else cell, options) for cell in row)} |\n"


def _markdown_cell(cell: str, options: FormatOptions) -> str:
    escaped = _MARKDOWN_SYNTAX.sub(lambda match: "\\" + match.group(), cell)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;")
    return _break_lines(escaped, options)


def _html_cell(cell: str | None, right: bool, options: FormatOptions) -> str:
    if cell is None:
        null = "NULL" if options.null is None else options.null
        return f'<td class="null">{_html_text(null, options)}</td>'
    style = ' style="text-align: right"' if right else ""
    return f"<td{style}>{_html_text(cell, options)}</td>"


def _html_text(text: str, options: FormatOptions) -> str:
    return _break_lines(html.escape(text, quote=False), options)


def _break_lines(text: str, options: FormatOptions) -> str:
    broken = _LINE_BREAK.sub("<br>", text)
    return escape_text(broken) if options.terminal else broken
