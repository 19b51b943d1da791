"""A decoder that accepts a row only if it brings nothing new: proof, at the speed of C, and nothing kept.

msgspec checks each value against the exact kinds seen so far. What it refuses is learned from by the
slow way and is then part of the next guard; what it accepts cannot change any column's type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Union

import msgspec

from unify.loading import kinds
from unify.loading.structure import Node, Structure

_NARROW = Annotated[int, msgspec.Meta(ge=-kinds.EXACT_IN_DOUBLE, le=kinds.EXACT_IN_DOUBLE)]
_WIDE = Annotated[int, msgspec.Meta(ge=-kinds.INT64, le=kinds.INT64 - 1)]
_NO_ITEMS = Annotated[list[None], msgspec.Meta(max_length=0)]
_STAMP = Annotated[datetime, msgspec.Meta(tz=False)]
_ZONED = Annotated[datetime, msgspec.Meta(tz=True)]
_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Guard:
    """Accepts rows of one version of the structure."""

    def __init__(self, structure: Structure) -> None:
        self.version = structure.version
        self._decode: Callable[[bytes], Any] | None
        try:
            found = _types(structure.value) + (_types(structure.row) if structure.row.kinds else [])
            self._decode = msgspec.json.Decoder(_union(found)).decode
        except (Unguardable, TypeError, ValueError):
            self._decode = None

    def accepted(self, rows: Sequence[bytes], start: int) -> int:
        """How far the rows from ``start`` on bring nothing new: the index of the first refused one."""
        decode = self._decode
        if decode is None:
            return start
        at = start
        try:
            for at in range(start, len(rows)):
                decode(rows[at])
        except _REFUSALS:
            return at
        return len(rows)


class Unguardable(Exception):
    """msgspec has no type for this place; every row is looked at the slow way."""


def _type(node: Node) -> Any:
    if node.choice.skip or (node.mixed and not _is_followed(node)):
        return msgspec.Raw
    return _union(_types(node))


def _union(types: list[Any]) -> Any:
    return Union[(None, *types)]


def _types(node: Node) -> list[Any]:
    """What a value here may be beside null."""
    found: list[Any] = []
    if node.kinds & kinds.OBJECT:
        found.append(struct(_members(node)))
    if node.kinds & kinds.LIST:
        found.append(_NO_ITEMS if node.item is None else list[_type(node.item)])  # type: ignore[misc]
    return found + _scalars(node.kinds)


def _is_followed(node: Node) -> bool:
    """A declared column takes its value from below here, so that members matter even in a mixed place."""
    return any(member.choice.sourced or _is_followed(member) for member in node.members.values())


def _scalars(found: int) -> list[Any]:
    types: list[Any] = []
    if found & kinds.BOOL:
        types.append(bool)
    if found & (kinds.INT | kinds.REAL):  # alone, float would take any integer
        types.append(_WIDE if found & kinds.INEXACT else _NARROW)
    if found & kinds.REAL:
        types.append(float)
    if texts := found & kinds.TEXTS:
        types.append({kinds.DATE: date, kinds.STAMP: _STAMP, kinds.ZONED: _ZONED}.get(texts, str))
    return types


def _members(node: Node) -> dict[str, Any]:
    return {key: _type(member) for key, member in node.members.items()}


def struct(members: dict[str, Any], *, default: object = None, closed: bool = True) -> Any:
    """A class with these members, each of which may be missing; ``closed``: and with no others."""
    if any('"' in key or "\\" in key or any(char < " " for char in key) for key in members):
        raise Unguardable
    names = {f"f{index}": key for index, key in enumerate(members)}
    fields = [(name, members[key], default) for name, key in names.items()]
    return msgspec.defstruct("Known", fields, rename=names, forbid_unknown_fields=closed, gc=False)
