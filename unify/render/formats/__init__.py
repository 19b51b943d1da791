"""Result formats: rows as text. write_rows() selects the module of a format and imports it.

    options    FormatOptions: format, width, limits; ResultLimiter and RowSpool
    projection FormatProjection: SQL with which DuckDB writes the lines of a large result
    values     the text of a value, as DuckDB's cast to VARCHAR writes it
    layout     which columns and rows fit the terminal; width of text, truncation, wrapping
    box        `box` and `table`: a frame with column names and types, and a footer
    plan       the output of EXPLAIN, without a frame
    vertical   `vertical`: one line per value, one block per row
    delimited  `csv`: RFC 4180, with commas or another delimiter
    json       `json` and `jsonl`: an array of objects, or one object per line
    markup     `markdown` and `html`: tables

Start with write_rows() in this file, then options.
May import: packages below render: interpreter, load, convert, adapters, lake, queue, status, language,
config, engine, fs and the top-level modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO, assert_never

from unify.render.formats.options import FORMATS, ElapsedSeconds, Format, FormatOptions, WriteResult

if TYPE_CHECKING:
    from unify.interpreter.results import Rows

__all__ = ["FORMATS", "ElapsedSeconds", "Format", "FormatOptions", "WriteResult", "write_rows"]


def write_rows(
    rows: Rows, out: TextIO, options: FormatOptions, elapsed: ElapsedSeconds = lambda: 0.0
) -> WriteResult:
    """Write ``rows`` to ``out``, reading them once.

    Memory: one batch; a box keeps the rows it shows, or 16 MB with the rest on disk.
    Raises errors of reading the rows, and OSError of ``out``.
    """
    from unify.render.formats.options import ResultLimiter

    boxed = options.format in ("box", "table")
    limit = ResultLimiter(rows, None if boxed else options.max_rows)
    try:
        _write_format(limit.limit_rows(), out, options, elapsed)
    finally:
        if isinstance(rows.batches, Iterator) and hasattr(rows.batches, "close"):
            rows.batches.close()
    return WriteResult(limit.row_count, limit.is_truncated)


def _write_format(rows: Rows, out: TextIO, options: FormatOptions, elapsed: ElapsedSeconds) -> None:
    match options.format:
        case "box" | "table":
            from unify.render.formats import box, plan

            show = plan.write_plan if plan.is_plan(rows) else box.write_box
            show(rows, out, options, elapsed)
        case "csv":
            from unify.render.formats import delimited

            delimited.write_delimited(rows, out, options)
        case "json":
            from unify.render.formats import json

            json.write_json_array(rows, out, options)
        case "jsonl":
            from unify.render.formats import json

            json.write_json_lines(rows, out, options)
        case "markdown":
            from unify.render.formats import markup

            markup.write_markdown(rows, out, options)
        case "html":
            from unify.render.formats import markup

            markup.write_html(rows, out, options)
        case "vertical":
            from unify.render.formats import vertical

            vertical.write_vertical(rows, out, options, elapsed)
        case unknown:
            assert_never(unknown)
