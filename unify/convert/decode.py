"""A decoder that accepts a row only if it brings nothing new: proof, at the speed of C, and nothing kept.

msgspec checks each value against the exact kinds seen so far. What it refuses is learned from by the
slow way and is then part of the next guard; what it accepts cannot change any column's type.

Rows without the members no column wants, so that those are neither stored nor parsed.

msgspec steps over an unwanted value without reading it, and what is kept stays byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Union

import msgspec

from unify.convert import infer
from unify.convert.infer import InferredSchema, SchemaNode

_EXACT_INT = Annotated[int, msgspec.Meta(ge=-infer.MAX_EXACT_INT, le=infer.MAX_EXACT_INT)]
_INT64 = Annotated[int, msgspec.Meta(ge=-infer.INT64_LIMIT, le=infer.INT64_LIMIT - 1)]
_EMPTY_LIST = Annotated[list[None], msgspec.Meta(max_length=0)]
_TIMESTAMP = Annotated[datetime, msgspec.Meta(tz=False)]
_TIMESTAMP_WITH_ZONE = Annotated[datetime, msgspec.Meta(tz=True)]
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class RowValidator:
    """Accepts rows of one version of the structure."""

    def __init__(self, schema: InferredSchema) -> None:
        self.version = schema.version
        self._decode: Callable[[bytes], Any] | None
        try:
            found = _decoder_types(schema.non_object_row) + (
                _decoder_types(schema.row) if schema.row.type_flags else []
            )
            self._decode = msgspec.json.Decoder(_union_type(found)).decode
        except (UnsupportedByDecoder, TypeError, ValueError):
            self._decode = None

    def find_unknown_row(self, rows: Sequence[bytes], start: int) -> int:
        """How far the rows from ``start`` on bring nothing new: the index of the first refused one."""
        decode = self._decode
        if decode is None:
            return start
        at = start
        try:
            for at in range(start, len(rows)):
                decode(rows[at])
        except _DECODE_ERRORS:
            return at
        return len(rows)


class UnsupportedByDecoder(Exception):
    """msgspec has no type for this place; every row is looked at the slow way."""


def _decoder_type(node: SchemaNode) -> Any:
    if node.field_selection.skip or (node.is_mixed and not _has_source_column(node)):
        return msgspec.Raw
    return _union_type(_decoder_types(node))


def _union_type(types: list[Any]) -> Any:
    return Union[(None, *types)]


def _decoder_types(node: SchemaNode) -> list[Any]:
    """What a value here may be beside null."""
    found: list[Any] = []
    if node.type_flags & infer.OBJECT:
        found.append(make_struct(_member_types(node)))
    if node.type_flags & infer.LIST:
        found.append(_EMPTY_LIST if node.item is None else list[_decoder_type(node.item)])  # type: ignore[misc]
    return found + _scalar_types(node.type_flags)


def _has_source_column(node: SchemaNode) -> bool:
    """A declared column takes its value from below here, so that members matter even in a mixed place."""
    return any(
        member.field_selection.is_column_source or _has_source_column(member)
        for member in node.members.values()
    )


def _scalar_types(type_flags: int) -> list[Any]:
    types: list[Any] = []
    if type_flags & infer.BOOL:
        types.append(bool)
    if type_flags & (infer.INT | infer.REAL):  # alone, float would take any integer
        types.append(_INT64 if type_flags & infer.INEXACT_INT else _EXACT_INT)
    if type_flags & infer.REAL:
        types.append(float)
    if texts := type_flags & infer.TEXTS:
        types.append(
            {
                infer.DATE: date,
                infer.TIMESTAMP: _TIMESTAMP,
                infer.TIMESTAMP_WITH_ZONE: _TIMESTAMP_WITH_ZONE,
            }.get(texts, str)
        )
    return types


def _member_types(node: SchemaNode) -> dict[str, Any]:
    return {key: _decoder_type(member) for key, member in node.members.items()}


def make_struct(members: dict[str, Any], *, default: object = None, forbid_unknown: bool = True) -> Any:
    """A class with these members, each of which may be missing; ``closed``: and with no others."""
    if any('"' in key or "\\" in key or any(char < " " for char in key) for key in members):
        raise UnsupportedByDecoder
    names = {f"f{index}": key for index, key in enumerate(members)}
    fields = [(name, members[key], default) for name, key in names.items()]
    return msgspec.defstruct("Known", fields, rename=names, forbid_unknown_fields=forbid_unknown, gc=False)


class Trimmer:
    """Takes unwanted members out of rows of one version of the structure."""

    def __init__(self, schema: InferredSchema) -> None:
        self.version = schema.version
        self._decode = None
        members = schema.row.members
        wanted = {
            key: msgspec.Raw | msgspec.UnsetType
            for key, node in members.items()
            if not node.field_selection.skip
        }
        if wanted and len(wanted) < len(members):
            try:
                kept = make_struct(wanted, default=msgspec.UNSET, forbid_unknown=False)
            except (UnsupportedByDecoder, ValueError):
                return
            self._decode = msgspec.json.Decoder(kept).decode

    def trim(self, rows: Sequence[bytes]) -> Sequence[bytes]:
        """The rows with what is wanted of them; all as they are where one is no object."""
        if self._decode is None:
            return rows
        try:
            kept = list(map(self._decode, rows))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return rows
        return list(map(msgspec.json.encode, kept))
