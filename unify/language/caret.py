"""A line of somebody's text with a caret under the place that is meant, in the form of DuckDB's errors."""

from __future__ import annotations

import re

from unify.text import safe_text

_ERROR_PLACE = re.compile(
    r"\n*^LINE \d+: (?P<line>.*)\n(?P<before> *)\^", re.MULTILINE
)  # in an error of DuckDB's

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


def moved(message: str, source: str) -> str:
    """DuckDB's message about SQL that was made of ``source``: pointing into ``source`` itself, or nowhere."""
    place = _ERROR_PLACE.search(message)
    if place is None:
        return message
    line = place["line"]
    at = len(place["before"]) - (place.start("line") - message.rfind("\n", 0, place.start("line")) - 1)
    cut = 3 if line.startswith("...") else 0  # DuckDB shows part of a long line
    piece = line[cut : len(line) - 3 if line.endswith("...") else None]
    begin = source.find(piece)
    rest = message[: place.start()] + message[place.end() :]
    if not piece.strip() or begin < 0 or source.find(piece, begin + 1) >= 0:
        return rest
    before = source[: begin + at - cut]
    number, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return f"{rest}\n{pointed(source, number, column)}"


def ended(message: str, source: str) -> str:
    """DuckDB's message about a statement that ends too early, which comes without a place: with it."""
    if not message.endswith("syntax error at end of input"):
        return message
    text = source.rstrip()
    return f"{message}\n{pointed(text, text.count(chr(10)) + 1, len(text) - text.rfind(chr(10)))}"


def _width(text: str) -> int:
    from wcwidth import wcswidth

    return max(wcswidth(text), 0) if not text.isascii() else len(text)
