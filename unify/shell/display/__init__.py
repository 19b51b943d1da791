"""How results look: a module a family of formats, loaded when it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO, assert_never

from unify.shell.display.look import FORMATS, Elapsed, Format, Look, Shown

if TYPE_CHECKING:
    from unify.interpreter.results import Rows

__all__ = ["FORMATS", "Elapsed", "Format", "Look", "Shown", "display"]


def display(rows: Rows, out: TextIO, look: Look, elapsed: Elapsed = lambda: 0.0) -> Shown:
    """Write ``rows`` to ``out`` as ``look`` says, reading them once.

    Memory  a batch; a box keeps what it shows, or a bounded part with the rest on disk.
    Raises  what reading the rows raises, and OSError of ``out``; what was written stays written.
    """
    from unify.shell.display.limit import Limit

    boxed = look.format in ("box", "table")
    limit = Limit(rows, None if boxed else look.max_rows)
    try:
        _write(limit.limited(), out, look, elapsed)
    finally:
        if isinstance(rows.batches, Iterator) and hasattr(rows.batches, "close"):
            rows.batches.close()
    return Shown(limit.passed, limit.reached)


def _write(rows: Rows, out: TextIO, look: Look, elapsed: Elapsed) -> None:
    match look.format:
        case "box" | "table":
            from unify.shell.display import box, plan

            show = plan.display if plan.is_plan(rows) else box.display
            show(rows, out, look, elapsed)
        case "csv":
            from unify.shell.display import delimited

            delimited.display(rows, out, look)
        case "json":
            from unify.shell.display import jsonout

            jsonout.display_array(rows, out, look)
        case "jsonl":
            from unify.shell.display import jsonout

            jsonout.display_lines(rows, out, look)
        case "markdown":
            from unify.shell.display import markup

            markup.display_markdown(rows, out, look)
        case "html":
            from unify.shell.display import markup

            markup.display_html(rows, out, look)
        case "vertical":
            from unify.shell.display import vertical

            vertical.display(rows, out, look, elapsed)
        case unknown:
            assert_never(unknown)
