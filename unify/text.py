"""Text utilities: escaping for terminals, suggestions, counts and ages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime


def glob_from_like(like: str) -> str:
    """Convert a LIKE pattern to a glob; glob characters in it are literal."""
    escaped = "".join(f"[{char}]" if char in "*?[" else char for char in like)
    return escaped.replace("%", "*").replace("_", "?")


# C0, DEL and C1 controls; soft hyphen; zero-width and bidi controls; line and paragraph separators;
# BOM; interlinear and tag characters; lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_NAMED_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e", "\x00": "\\0"}


def escape_text(text: str, allow: str = "") -> str:
    """Escape every character that a terminal could interpret.

    ``allow``  control characters to keep, such as line breaks.
    """

    def escape(match: re.Match[str]) -> str:
        char = match.group()
        if char in allow:
            return char
        code = ord(char)
        return _NAMED_ESCAPES.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}")

    return _UNSAFE.sub(escape, text)


def format_log_time(moment: datetime) -> str:
    """Format the time of an event in a log: ``2026-03-01T12:00:00.123Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_event(name: str, fields: Mapping[str, object]) -> str:
    """Format an event of a log: ``load.started job=12 table=github.pulls``, without empty fields."""
    values = (f"{key}={_quote_spaces(value)}" for key, value in fields.items() if value not in (None, ""))
    return " ".join((name, *values))


def _quote_spaces(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text


_STYLE = re.compile("(\x1b\\[[0-9;]*m)")


def safe_text(text: str) -> str:
    """Escape what a terminal could interpret, except line breaks, tabs and the styles of our own texts."""
    return "".join(
        piece if number % 2 else escape_text(piece, allow="\n\t")
        for number, piece in enumerate(_STYLE.split(text))
    )


def excerpt(text: str, max_chars: int) -> str:
    """Return the start of ``text``. An ellipsis marks a cut; redaction looks for incomplete secrets there."""
    return text if len(text) <= max_chars else text[:max_chars] + "…"


def closest_match(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most similar to ``name``, or None."""
    import difflib

    by_folded = {candidate.lower(): candidate for candidate in candidates if candidate != name}
    matches = difflib.get_close_matches(name.lower(), list(by_folded), n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the most similar candidate, or "". Never suggests ``name`` itself."""
    found = closest_match(name, candidates)
    return f"; did you mean {found}?" if found and found != name else ""


def format_count(count: int, noun: str) -> str:
    """Format a number with its noun: ``1 row``, ``1,300 rows``."""
    plural = noun if count == 1 else noun[:-1] + "ies" if noun.endswith("ry") else noun + "s"
    return f"{count:,} {plural}"


def format_age(seconds: float) -> str:
    """Format an age: ``just now``, ``12 min ago``, ``3 h ago``, ``5 days ago``."""
    if seconds < 60:
        return "just now" if seconds < 5 else f"{int(seconds)} s ago"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h ago"
    return f"{int(seconds // 86400)} days ago"


def unique_names(names: Iterable[str], fold: Callable[[str], str] = str) -> list[str]:
    """The names with ``_2``, ``_3`` … after those that occur before; ``fold=str.lower`` ignores case."""
    names = list(names)
    taken = {fold(name) for name in names}
    seen: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while fold(candidate) in seen or (number > 1 and fold(candidate) in taken):
            number += 1
            candidate = f"{name}_{number}"
        seen.add(fold(candidate))
        unique.append(candidate)
    return unique
