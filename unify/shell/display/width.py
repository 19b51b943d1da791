"""How wide text stands on a terminal, and text made to a width."""

from __future__ import annotations

import re

_POINTING = re.compile(r"LINE \d+: |\s*\^\s*\Z")  # a line of a statement, and the caret below it
_PLACE = re.compile(r"^(LINE \d+: )(.*)\n( *)\^$", re.MULTILINE)
_READABLE = 12  # characters of a statement that show a place; a terminal with less room has to break the line
_HEAD = re.compile(r" *\S.*?\S {2,}(?=\S)")  # what stands in a column of its own at the left


def text_width(text: str) -> int:
    """The columns ``text`` takes; a wide character takes two, a combining one none."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # only where somebody writes more than ASCII

    width: int = wcswidth(text)
    return width if width >= 0 else len(text)


def padded(text: str, width: int, right: bool = False) -> str:
    """``text`` filled with spaces to ``width``, on its left if ``right``."""
    fill = " " * (width - text_width(text))
    return fill + text if right else text + fill


def clipped(text: str, width: int, ellipsis: str = "…") -> str:
    """``text``, or as much of its beginning as ``width`` has room for with an ellipsis behind it."""
    if len(text) <= width and text_width(text) <= width:
        return text
    room = width - len(ellipsis)
    if room < 0:
        return ellipsis[:width]
    if text.isascii():
        return text[:room] + ellipsis
    return _beginning(text, room) + ellipsis


def wrapped(text: str, width: int) -> str:
    """``text`` with lines of less than ``width``, broken between words; each goes on below its beginning.

    A line of a statement with a caret below it is cut around the place instead.
    """
    text = _PLACE.sub(lambda place: _around(*place.groups(), width=width), text)
    return "\n".join(part for line in text.split("\n") for part in _broken(line, width))


def _broken(line: str, width: int) -> list[str]:
    if len(line) < width or _POINTING.match(line):
        return [line]
    from textwrap import wrap

    indent = " " * _beginning_of_text(line, width)
    room = max(1, width - 1)
    kept = wrap(line, room, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return kept or [""]


def _beginning_of_text(line: str, width: int) -> int:
    """The column below which a line goes on: that of its second column, if it has one in the left half."""
    head = _HEAD.match(line)
    if head and head.end() <= width // 2:
        return head.end()
    return len(line) - len(line.lstrip(" "))


def _around(label: str, line: str, before_caret: str, *, width: int) -> str:
    room, at = width - 1 - len(label), len(before_caret) - len(label)
    if len(line) > room >= _READABLE and line.isascii():
        before, after = line[:at], line[at:]
        most = room - min(len(after), room // 3)
        before = before if len(before) <= most else "…" + before[len(before) - most + 1 :]
        rest = room - len(before)
        line = before + (after if len(after) <= rest else after[: rest - 1] + "…")
        before_caret = " " * (len(label) + len(before))
    return f"{label}{line}\n{before_caret}^"


def _beginning(text: str, room: int) -> str:
    from wcwidth import wcwidth

    used = 0
    for at, char in enumerate(text):
        used += max(0, wcwidth(char))
        if used > room:
            return text[:at]
    return text
