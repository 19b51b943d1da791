"""What an answer is made of: its members with their types, as a tree of lines for whoever writes a spec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Json = Any  # a JSON value: dict, list, str, int, float, bool or None

MOST_DEPTH = 6
MOST_MEMBERS = 60  # of one object
MOST_ITEMS = 50  # of a list, looked at to know its items


def shape_lines(value: Json) -> Iterator[str]:
    """``items: list of 30, each``, and indented below it what each is made of."""
    yield from _lines("answer", [value], 0)


def _lines(name: str, values: Sequence[Json], depth: int) -> Iterator[str]:
    """``values`` are what stands under ``name`` in several objects of one kind."""
    indent = "  " * depth
    objects = [value for value in values if isinstance(value, dict)]
    lists = [value for value in values if isinstance(value, list)]
    items = [item for each in lists for item in each[:MOST_ITEMS]]
    yield f"{indent}{name}: {_kinds(values, lists, items)}"
    if depth >= MOST_DEPTH:
        return
    inside = objects or [item for item in items if isinstance(item, dict)]
    members = list(dict.fromkeys(key for each in inside for key in each))
    for key in members[:MOST_MEMBERS]:
        yield from _lines(key, [each[key] for each in inside if key in each], depth + 1)
    if len(members) > MOST_MEMBERS:
        yield f"{indent}  … and {len(members) - MOST_MEMBERS} more members"


def _kinds(values: Sequence[Json], lists: Sequence[list[Json]], items: Sequence[Json]) -> str:
    """``text or null``, ``list of 30 objects``."""
    kinds = dict.fromkeys(_kind(value) for value in values if not isinstance(value, list))
    if lists:
        each = " or ".join(dict.fromkeys(_kind(item) for item in items)) or "nothing"
        longest = max(len(found) for found in lists)
        kinds[f"list of {longest:,}, each {each}" if longest else "empty list"] = None
    return " or ".join(kinds)


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case _:
            return "object"
