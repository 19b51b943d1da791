"""Paths and patterns within a connection: checked, matched, and taken apart into partitions.

A path is relative to the folder or prefix of its connection, with ``/`` between names. Nothing outside is
reached: addresses, absolute paths and ``..`` are refused before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from urllib.parse import unquote

from unify.errors import FileError

_MAGIC = re.compile(r"[*?\[]")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(?:\.\d{1,6})?")
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def check_path(path: str, root: str) -> str:
    """Return a path or pattern without a leading ``./``.

    ``root``  what the connection reads, for the message.
    Raises FileError for what is outside of it or cannot be a path.
    """
    names = path.removeprefix("./").split("/")
    if _ADDRESS.match(path) or path.startswith(("/", "\\", "~")):
        raise FileError(f"{path}: write the path within {root}; a connection reads nothing else")
    if ".." in names:
        raise FileError(f"{path}: leads out of {root}; a connection reads nothing else")
    if "." in names or "" in names[:-1] or any(ord(char) < 32 for char in path):
        raise FileError(f"{path!r} is not a path")
    return "/".join(names)


def has_magic(pattern: str) -> bool:
    """Whether a pattern can match more than one path."""
    return _MAGIC.search(pattern) is not None


def fixed_folder(pattern: str) -> str:
    """Return the folder that has every match: ``events/`` of ``events/dt=*/*.json``."""
    found = _MAGIC.search(pattern)
    fixed = pattern[: found.start()] if found else pattern
    return fixed[: fixed.rfind("/") + 1]


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a glob: ``*`` and ``?`` do not match ``/``, ``**/`` matches any folders.

    Names that start with a dot match only if the pattern has the dot.
    """
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        at_start = position == 0 or pattern[position - 1] == "/"
        visible = r"(?!\.)" if at_start else ""
        if at_start and pattern.startswith("**/", position):
            parts.append(r"(?:(?!\.)[^/]+/)*")
            position += 3
        elif at_start and pattern[position:] == "**":
            parts.append(r"(?:(?!\.)[^/]+/)*(?!\.)[^/]+")
            position += 2
        else:
            text, position = _translate(pattern, position)
            parts.append(visible + text)
    return re.compile("".join(parts), re.DOTALL)


def _translate(pattern: str, position: int) -> tuple[str, int]:
    """Return the regular expression of one character or set, and the position after it."""
    char = pattern[position]
    if char == "*":
        return "[^/]*", position + 1
    if char == "?":
        return "[^/]", position + 1
    end = pattern.find("]", position + 2) if char == "[" else -1
    if end < 0:
        return re.escape(char), position + 1
    body = pattern[position + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
    negated = body[:1] in "!^"
    return f"(?!/)[{'^' if negated else ''}{body[negated:]}]", end + 1


def partition_values(path: str) -> dict[str, str]:
    """Return the values of the folders ``NAME=VALUE`` of a path."""
    pairs = (name.partition("=") for name in path.split("/")[:-1])
    return {name: unquote(value) for name, equals, value in pairs if equals and name}


def partition_types(paths: Sequence[str]) -> Mapping[str, str] | None:
    """Return the types of the partitions; None if the paths do not all have the same ones.

    A type is chosen only if it keeps every value as it is written: ``01`` stays text.
    """
    values = [partition_values(path) for path in paths]
    names = {tuple(each) for each in values}
    if len(names) != 1:
        return None if any(names) else {}
    return {name: _partition_type({each[name] for each in values}) for name in names.pop()}


def _partition_type(values: set[str]) -> str:
    present = values - {_NULL_PARTITION}
    if not present:
        return "VARCHAR"
    if all(map(_INTEGER.fullmatch, present)):
        return "BIGINT"
    if all(_DATE.fullmatch(value) and _parses(date, value) for value in present):
        return "DATE"
    if all(_TIMESTAMP.fullmatch(value) and _parses(datetime, value) for value in present):
        return "TIMESTAMP"
    return "VARCHAR"


def _parses(type: type[date], value: str) -> bool:
    try:
        type.fromisoformat(value)
    except ValueError:
        return False
    return True
