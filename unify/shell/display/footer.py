"""What stands below rows for people: how long it took, and where the rows came from."""

from __future__ import annotations

from collections.abc import Sequence

from unify.shell.display.look import Elapsed, Look
from unify.shell.display.width import wrapped
from unify.text import safe_text


def line(parts: Sequence[str], look: Look, between: str = " · ") -> str:
    """The parts as one line; on a terminal as many as they need, broken between words."""
    text = (", " if look.ascii else between).join(parts)
    return wrapped(text, look.width) if look.terminal else text


def took(elapsed: Elapsed, note: str) -> list[str]:
    """The parts of a footer for people: how long it took, and where the rows came from."""
    return [duration(elapsed()), *([safe_text(note)] if note else [])]


def duration(seconds: float) -> str:
    """``4 ms``, ``0.35 s``, ``12.1 s``, ``2 min 5 s``."""
    if seconds < 0.1:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
