"""What EXPLAIN says, as it is drawn: in a box, a tree of boxes would be one long line."""

from __future__ import annotations

from typing import TextIO

from unify.interpreter.results import Rows
from unify.shell.display import footer
from unify.shell.display.look import Elapsed, Look
from unify.shell.display.values import cells
from unify.text import safe_text

_COLUMNS = ("explain_key", "explain_value")
_DRAWN = frozenset({"physical_plan", "logical_plan", "logical_opt", "analyzed_plan"})


def is_plan(rows: Rows) -> bool:
    """Whether ``rows`` have the columns of EXPLAIN."""
    return tuple(column.name for column in rows.columns) == _COLUMNS


def display(rows: Rows, out: TextIO, look: Look, elapsed: Elapsed) -> None:
    """Write each part of the plan; what is no drawing has its name before it."""
    for name, part in cells(rows):
        text = safe_text((part or "").strip("\n"), keep="\n")
        out.write(f"{text}\n" if name in _DRAWN else f"{safe_text(name or '')}: {text}\n")
    if look.terminal:
        out.write(footer.line(footer.took(elapsed, rows.note), look) + "\n")
