"""The ``markdown`` and ``html`` formats: tables with escaped cells."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TextIO

from unify.engine.types import parse_type
from unify.interpreter.results import Rows
from unify.render.formats.options import FormatOptions, projected_texts
from unify.render.formats.values import TextRow, text_rows
from unify.text import escape_text

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
# Markup of GitHub's Markdown within a line; an underscore inside a word is plain text.
_MARKDOWN_SYNTAX = re.compile(r"[\\|`*~\[\]]|(?<!\w)_|_(?!\w)")


def write_markdown(rows: Rows, out: TextIO, options: FormatOptions) -> None:
    """Write a table of GitHub Flavored Markdown, with numbers aligned to the right."""
    if options.header:
        out.write(_markdown_line([column.name for column in rows.columns], options) + "\n")
        rules = ["--:" if right else ":--" for right in _numeric_columns(rows)]
        out.write(f"| {' | '.join(rules)} |\n")
    lines = projected_texts(rows, "\n") or (_markdown_line(row, options) for row in text_rows(rows))
    for line in lines:
        out.write(line + "\n")


def write_html(rows: Rows, out: TextIO, options: FormatOptions) -> None:
    """Write a ``<table>`` element; NULL cells have the class ``null``."""
    numeric = _numeric_columns(rows)
    out.write("<table>\n")
    if options.header:
        heads = "".join(f"<th>{_html_text(column.name, options)}</th>" for column in rows.columns)
        out.write(f"<thead>\n<tr>{heads}</tr>\n</thead>\n")
    out.write("<tbody>\n")
    lines = projected_texts(rows, "\n") or (_html_line(row, numeric, options) for row in text_rows(rows))
    for line in lines:
        out.write(line + "\n")
    out.write("</tbody>\n</table>\n")


def _numeric_columns(rows: Rows) -> list[bool]:
    return [parse_type(column.type).numeric for column in rows.columns]


def _markdown_line(row: TextRow, options: FormatOptions) -> str:
    null = "NULL" if options.null is None else options.null
    return f"| {' | '.join(markdown_text(null if cell is None else cell, options) for cell in row)} |"


def markdown_text(cell: str, options: FormatOptions) -> str:
    """Return the text of a cell with Markdown's characters escaped."""
    escaped = _MARKDOWN_SYNTAX.sub(lambda match: "\\" + match.group(), cell)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;")
    return _break_lines(escaped, options)


def _html_line(row: TextRow, numeric: Sequence[bool], options: FormatOptions) -> str:
    data = [_html_cell(cell, right, options) for cell, right in zip(row, numeric, strict=True)]
    return f"<tr>{''.join(data)}</tr>"


def _html_cell(cell: str | None, right: bool, options: FormatOptions) -> str:
    if cell is None:
        return html_null_cell(options)
    return f"{html_cell_start(right)}{_html_text(cell, options)}</td>"


def html_null_cell(options: FormatOptions) -> str:
    """Return the cell of NULL."""
    null = "NULL" if options.null is None else options.null
    return f'<td class="null">{_html_text(null, options)}</td>'


def html_cell_start(right: bool) -> str:
    """Return the start tag of a cell; ``right`` aligns it to the right."""
    return '<td style="text-align: right">' if right else "<td>"


def _html_text(text: str, options: FormatOptions) -> str:
    return _break_lines(html.escape(text, quote=False), options)


def _break_lines(text: str, options: FormatOptions) -> str:
    broken = _LINE_BREAK.sub("<br>", text)
    return escape_text(broken) if options.terminal else broken
