"""Text on its way to a person: made safe for a terminal, compared, counted."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# C0, DEL and C1 controls; soft hyphen; zero-width and bidi controls; line and paragraph separators;
# BOM; interlinear and tag characters; lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e", "\x00": "\\0"}


def safe_text(text: str, keep: str = "") -> str:
    """``text`` with every character that could steer a terminal shown as an escape.

    ``keep``  controls to let through, for text of our own making ("\\n" in a message).
    """

    def escape(match: re.Match[str]) -> str:
        char = match.group()
        if char in keep:
            return char
        code = ord(char)
        return _NAMED.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}")

    return _UNSAFE.sub(escape, text)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name somebody most likely meant by ``name``, or None if nothing is close."""
    by_folded = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), list(by_folded), n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The words `` — did you mean X?`` for the nearest known name, or nothing."""
    found = nearest(name, known)
    return f" — did you mean {found}?" if found else ""


def counted(number: int, noun: str) -> str:
    """``1 row``, ``1,300 rows``: a number with its noun in the right form."""
    plural = noun if number == 1 else noun[:-1] + "ies" if noun.endswith("ry") else noun + "s"
    return f"{number:,} {plural}"


def ago(seconds: float) -> str:
    """``just now``, ``12 min ago``, ``3 h ago``, ``5 days ago``."""
    if seconds < 60:
        return "just now" if seconds < 5 else f"{int(seconds)} s ago"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h ago"
    return f"{int(seconds // 86400)} days ago"
