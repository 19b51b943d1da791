"""The output of EXPLAIN: written as it is drawn, without a frame."""

from __future__ import annotations

from typing import TextIO

from unify.interpreter.results import Rows
from unify.render.formats import box
from unify.render.formats.options import ElapsedSeconds, FormatOptions
from unify.render.formats.values import text_rows
from unify.text import escape_text

_EXPLAIN_COLUMNS = ("explain_key", "explain_value")
_DRAWN_PARTS = frozenset({"physical_plan", "logical_plan", "logical_opt", "analyzed_plan"})


def is_plan(rows: Rows) -> bool:
    """Whether ``rows`` have the columns of EXPLAIN."""
    return tuple(column.name for column in rows.columns) == _EXPLAIN_COLUMNS


def write_plan(rows: Rows, out: TextIO, options: FormatOptions, elapsed: ElapsedSeconds) -> None:
    """Write each part of the plan; parts that are no drawings are prefixed with their name."""
    for name, part in text_rows(rows):
        text = escape_text((part or "").strip("\n"), allow="\n")
        out.write(f"{text}\n" if name in _DRAWN_PARTS else f"{escape_text(name or '')}: {text}\n")
    if options.terminal:
        out.write(box.footer_text(box.footer_parts(elapsed, rows.note), options) + "\n")
