"""The line at the bottom: what loads, which connection has a problem, and what keys do if there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unify.shell.display.width import clipped, text_width
from unify.text import counted, safe_text

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from unify.model import LoaderStatus
    from unify.shell.watching import Activity

MOST_LOADS = 2
HINTS = (
    "Tab completes",
    "Ctrl-R searches",
    "Alt-Enter runs",
    "Ctrl-X Ctrl-E edits",
    "F4 {keys}",
    r"\? helps",
)


def toolbar(activity: Activity, width: int, keys: str) -> StyleAndTextTuples:
    """The pieces of the line, at most ``width`` wide. Hints go first, the last one first; then loads."""
    parts = [("class:toolbar.load", text) for text in _loads(activity.running)]
    if activity.problems:
        parts.append(("class:toolbar.problem", _problem(activity)))
    for hint in HINTS:
        piece = ("class:toolbar.hint", hint.replace("{keys}", keys))
        if _width([*parts, piece]) > width:
            break
        parts.append(piece)
    return _joined(parts, width)


def _loads(running: Sequence[LoaderStatus]) -> list[str]:
    shown = [_load(status) for status in running[:MOST_LOADS]]
    if len(running) > MOST_LOADS:
        shown.append(f"+{len(running) - MOST_LOADS}")
    return shown


def _load(status: LoaderStatus) -> str:
    """``github.pulls 1,300 rows 13/40``."""
    from unify.model import JobState

    if status.state is JobState.QUEUED:
        return safe_text(f"{status.table} queued")
    pages = f" {status.pages}/{status.pages_total}" if status.pages_total else ""
    return safe_text(f"{status.table} {counted(status.rows, 'row')}{pages}")


def _problem(activity: Activity) -> str:
    names = list(activity.problems)
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return safe_text(f"connection {names[0]}{more} cannot be used")


def _width(parts: Sequence[tuple[str, str]]) -> int:
    return sum(text_width(text) for _, text in parts) + 3 * max(0, len(parts) - 1) + 1


def _joined(parts: Sequence[tuple[str, str]], width: int) -> StyleAndTextTuples:
    pieces: StyleAndTextTuples = [("class:toolbar", " ")]
    left = width - 1
    for number, (style, text) in enumerate(parts):
        between = " · " if number else ""
        room = left - len(between)
        if room < 1:
            break
        shown = clipped(text, room)
        pieces += [("class:toolbar", between), (style, shown)]
        left = room - text_width(shown)
    return pieces
