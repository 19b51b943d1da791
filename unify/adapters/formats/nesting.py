"""Columns from the objects around a row: ``$.groups.name`` for ``rows: groups.items`` is the row's own group.

The value becomes a member of the row, under the name of the column. Rows stay undecoded; the objects around
them are decoded once more, for tables with such columns only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from unify.adapters.formats.locate import OPEN_LIST, OPEN_OBJECT, WHITESPACE, first_char
from unify.adapters.spec.table_keys import InheritedColumn

RawMembers = Mapping[str, msgspec.Raw]
EnclosingObjects = tuple[RawMembers, ...]

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def with_inherited_columns(
    rows: Sequence[bytes],
    body: bytes,
    rows_path: str,
    inherited: Sequence[InheritedColumn],
    *,
    is_map: bool = False,
    has_header: bool = False,
) -> list[bytes]:
    """``rows``, as they lie at ``path`` of ``body``, each with what is lifted into it.

    ``is_map``      the rows are the members of the objects at the path.
    ``has_header``  the first item of each list has the names of the columns, and is no row.
    """
    levels = _iter_enclosing(msgspec.Raw(body), rows_path.split("."), ())
    found = [each for each, raw in levels for _ in range(_row_count(raw, is_map) - has_header)]
    return [_add_members(row, levels, inherited) for row, levels in zip(rows, found, strict=True)]


def _row_count(raw: msgspec.Raw, is_map: bool) -> int:
    if first_char(raw) == OPEN_LIST:
        return len(_list_decoder.decode(raw))
    return len(_object_decoder.decode(raw)) if is_map else 1


def _iter_enclosing(
    raw: msgspec.Raw, steps: Sequence[str], levels: tuple[RawMembers, ...]
) -> Iterator[tuple[EnclosingObjects, msgspec.Raw]]:
    """For each list or object at the path, in order, the objects on the way to it, the body first; and it."""
    start = first_char(raw)
    if steps and start == OPEN_LIST:
        for item in _list_decoder.decode(raw):
            yield from _iter_enclosing(item, steps, levels)
    elif steps and start == OPEN_OBJECT:
        members = _object_decoder.decode(raw)
        if steps[0] in members:
            yield from _iter_enclosing(members[steps[0]], steps[1:], (*levels, members))
    elif not steps and start in (OPEN_LIST, OPEN_OBJECT):
        yield levels, raw


def _add_members(row: bytes, levels: EnclosingObjects, inherited: Sequence[InheritedColumn]) -> bytes:
    """The row with further members; the last of two members with one name counts."""
    added = b",".join(
        msgspec.json.encode(one.column) + b":" + _member_json(levels[one.depth], one.path)
        for one in inherited
    )
    inside = row.rstrip(WHITESPACE)[:-1]
    comma = b"" if first_char(inside[1:]) == 0 else b","
    return inside + comma + added + b"}"


def _member_json(members: RawMembers, path: Sequence[str]) -> bytes:
    raw = members.get(path[0])
    for name in path[1:]:
        inner = _object_decoder.decode(raw) if raw is not None and first_char(raw) == OPEN_OBJECT else {}
        raw = inner.get(name)
    return b"null" if raw is None else bytes(raw).replace(b"\n", b" ").replace(b"\r", b" ")
