"""SQL kept in files of its own: sections that begin with ``-- name: NAME``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

_MARK = "-- name: "


@cache
def sections(file: str) -> Mapping[str, str]:
    """The sections of ``unify/store/FILE``, in its order. Text before the first one is a comment."""
    text = resources.files("unify.store").joinpath(file).read_text("utf-8")
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith(_MARK):
            current = found.setdefault(line.removeprefix(_MARK).strip(), [])
        else:
            current.append(line)
    return {name: "\n".join(lines).strip() for name, lines in found.items()}
