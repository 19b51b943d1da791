"""A line of somebody's text with a caret under the place that is meant, in the form of DuckDB's errors."""

from __future__ import annotations

from unify.text import safe_text

_BEFORE = 60  # characters kept left of the caret, and ...
_AFTER = 40  # ... right of it: together with the label they fit a terminal of 110 columns


def pointed(source: str, line: int, column: int) -> str:
    """Two lines: ``LINE 2: …`` and the caret under ``column``; both count from 1.

    Long lines are cut around the place; what could steer a terminal is shown as an escape.
    """
    text = (source.split("\n")[line - 1 : line] or [""])[0].rstrip("\r")
    before, after = text[: column - 1], text[column - 1 :]
    shown = safe_text(before if len(before) <= _BEFORE else "…" + before[1 - _BEFORE :])
    rest = safe_text(after if len(after) <= _AFTER else after[: _AFTER - 1] + "…")
    label = f"LINE {line}: "
    return f"{label}{shown}{rest}\n{' ' * (len(label) + _width(shown))}^"


def _width(text: str) -> int:
    from wcwidth import wcswidth

    return max(wcswidth(text), 0) if not text.isascii() else len(text)
