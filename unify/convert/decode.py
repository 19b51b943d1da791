"""Row validation and trimming with msgspec decoders.

The validator accepts a row only if every value is of a kind that the schema has: such a row cannot change
the type of a column. Rejected rows are inferred in Python, and the next validator accepts their kind.

The trimmer removes the fields that no column needs. The others stay byte for byte.
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
    """Accepts rows of one version of the schema."""

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
        """Return the index of the first row from ``start`` on that the schema does not cover."""
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
    """msgspec has no type for the schema; every row is inferred in Python."""


def _decoder_type(node: SchemaNode) -> Any:
    if node.field_selection.skip or (node.is_mixed and not _has_source_column(node)):
        return msgspec.Raw
    return _union_type(_decoder_types(node))


def _union_type(types: list[Any]) -> Any:
    return Union[(None, *types)]


def _decoder_types(node: SchemaNode) -> list[Any]:
    """Return the types of the values of a node, without null."""
    found: list[Any] = []
    if node.type_flags & infer.OBJECT:
        found.append(make_struct(_member_types(node)))
    if node.type_flags & infer.LIST:
        found.append(_EMPTY_LIST if node.item is None else list[_decoder_type(node.item)])  # type: ignore[misc]
    return found + _scalar_types(node.type_flags)


def _has_source_column(node: SchemaNode) -> bool:
    """Return whether a declared column reads a field below, so that its members count even if it is mixed."""
    return any(
        member.field_selection.is_column_source or _has_source_column(member)
        for member in node.members.values()
    )


def _scalar_types(type_flags: int) -> list[Any]:
    types: list[Any] = []
    if type_flags & infer.BOOL:
        types.append(bool)
    if type_flags & (infer.INT | infer.REAL):  # float alone accepts every integer
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
    """Return a struct type with these members, each optional; others are an error if ``forbid_unknown``."""
    if any('"' in key or "\\" in key or any(char < " " for char in key) for key in members):
        raise UnsupportedByDecoder
    names = {f"f{index}": key for index, key in enumerate(members)}
    fields = [(name, members[key], default) for name, key in names.items()]
    return msgspec.defstruct("Known", fields, rename=names, forbid_unknown_fields=forbid_unknown, gc=False)


class Trimmer:
    """Removes unneeded fields from rows of one version of the schema."""

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
        """Return the trimmed rows; all rows unchanged if one is not an object."""
        if self._decode is None:
            return rows
        try:
            trimmed = list(map(self._decode, rows))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return rows
        return list(map(msgspec.json.encode, trimmed))
