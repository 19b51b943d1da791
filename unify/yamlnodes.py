"""What a YAML file holds, as nodes that know their place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")

Place = tuple[str | int, ...]
Plain = Any  # a JSON value: dict, list, str, int, float, bool or None


class Scalar(Struct, frozen=True):
    """One value as written; ``line`` and ``column`` count from 1. ``plain``: it stood without quotes."""

    text: str
    plain: bool
    line: int
    column: int
    size: int = 1

    @property
    def value(self) -> str | int | float | bool | None:
        if not self.plain:
            return self.text
        if self.text in _NULL:
            return None
        if self.text in _BOOLEANS:
            return _BOOLEANS[self.text]
        if _INTEGER.fullmatch(self.text):
            return int(self.text)
        if _FLOAT.fullmatch(self.text):
            return float(self.text)
        return self.text


class List(Struct, frozen=True):
    items: tuple[Node, ...]
    line: int
    column: int
    size: int


class Entry(Struct, frozen=True):
    """A key with its value; the place is the key's."""

    key: str
    value: Node
    line: int
    column: int


class Map(Struct, frozen=True):
    entries: Mapping[str, Entry]
    line: int
    column: int
    size: int


Node = Scalar | List | Map


class Flaw(Struct, frozen=True):
    """Something the file may not contain. ``place`` leads to it, from the root."""

    place: Place
    line: int
    column: int
    text: str


def place_name(place: Place) -> str:
    """``tables[2].columns.name``"""
    name = ""
    for step in place:
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
    return name


def plain(node: Node | None) -> Plain:
    """The JSON value of a node."""
    match node:
        case None:
            return None
        case Scalar():
            return node.value
        case List(items):
            return [plain(item) for item in items]
        case Map(entries):
            return {key: plain(entry.value) for key, entry in entries.items()}
