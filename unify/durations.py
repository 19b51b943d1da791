"""Parsing and formatting of durations: ``5 minutes``, ``15m``, ``1h 30m``, ``2 days``, ``0``."""

from __future__ import annotations

import re

_SECONDS_PER_UNIT = {
    "ms": 0.001,
    "millisecond": 0.001,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
    "w": 604800.0,
    "week": 604800.0,
}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*([a-z]*)", re.IGNORECASE)
_MAX_DURATION_S = 100 * 366 * 86400.0  # a century; longer values are typing errors


def parse_duration(text: str | int) -> float:
    """Return seconds; a number without a unit is in seconds.

    Raises:
        ValueError: the message shows valid forms.
    """
    wanted = f"{text!r} is not a duration; write it like 30s, 15 minutes, 1 hour or 2 days"
    if isinstance(text, bool):
        raise ValueError(wanted)
    words = str(text).strip()
    total, position = 0.0, 0
    while position < len(words):
        part = _PART.match(words, position)
        if part is None:
            raise ValueError(wanted)
        total += float(part[1]) * _unit_seconds(part[2], wanted)
        position = part.end()
        position += len(words[position:]) - len(words[position:].lstrip(" ,"))
    if not words:
        raise ValueError(wanted)
    if total > _MAX_DURATION_S:
        raise ValueError(f"{text!r} is longer than a century")
    return total


def format_duration(seconds: float) -> str:
    """Format seconds as ``parse_duration`` reads them: ``1 hour 30 minutes``."""
    parts, left = [], seconds
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number:.0f} {name}{'' if number == 1 else 's'}")
    if left or not parts:
        parts.append(f"{left:g} second{'' if left == 1 else 's'}")
    return " ".join(parts)


def _unit_seconds(name: str, message: str) -> float:
    folded = name.lower()
    seconds = _SECONDS_PER_UNIT.get(folded or "s") or _SECONDS_PER_UNIT.get(folded.removesuffix("s"))
    if seconds is None:
        raise ValueError(message)
    return seconds


def format_elapsed(seconds: float) -> str:
    """Format a measured time: ``4 ms``, ``0.35 s``, ``12.1 s``, ``2 min 5 s``."""
    if seconds < 0.1:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
