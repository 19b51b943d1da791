"""How wide text stands on a terminal, and text made to a width."""

from __future__ import annotations


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


def _beginning(text: str, room: int) -> str:
    from wcwidth import wcwidth

    used = 0
    for at, char in enumerate(text):
        used += max(0, wcwidth(char))
        if used > room:
            return text[:at]
    return text
