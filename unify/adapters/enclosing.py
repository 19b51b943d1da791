"""Columns from around a row: ``$.groups.name`` for ``rows: groups.items`` is the name of the row's own group.

A value found on the way to a row becomes a member of it, under its column's name. Rows stay undecoded; only
what lies around them is read a second time, and only for tables that have such columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from unify.adapters.rowplaces import OPEN_LIST, OPEN_OBJECT, WHITE, first_char
from unify.adapters.spec import ColumnDef, Lifted

Members = Mapping[str, msgspec.Raw]
Levels = tuple[Members, ...]

_list_of_raw = msgspec.json.Decoder(list[msgspec.Raw])
_members_of_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Parted:
    """The columns of a table: as its rows will have them, and what has to be lifted into the rows."""

    columns: tuple[ColumnDef, ...]
    lifted: tuple[Lifted, ...]


def parted(columns: Sequence[ColumnDef], rows: str | None) -> Parted:
    """Tell columns apart that come from an object on the way to the rows, the body itself aside."""
    way = (rows or "").removeprefix("$").removeprefix(".").split(".")
    kept: list[ColumnDef] = []
    lifted: list[Lifted] = []
    for column in columns:
        steps = (column.source or "").split(".")
        depth = _shared(way, steps[1:]) if steps[0] == "$" else 0
        if depth:
            lifted.append(Lifted(column.name, depth, tuple(steps[1 + depth :])))
            kept.append(replace(column, source=None))
        else:
            kept.append(column)
    return Parted(tuple(kept), tuple(lifted))


def with_surroundings(rows: Sequence[bytes], body: bytes, path: str, lifted: Sequence[Lifted]) -> list[bytes]:
    """``rows``, as they lie at ``path`` of ``body``, each with what is lifted into it."""
    found = list(_around(msgspec.Raw(body), path.split("."), ()))
    return [_joined(row, levels, lifted) for row, levels in zip(rows, found, strict=True)]


def _shared(way: Sequence[str], steps: Sequence[str]) -> int:
    """How many steps a column's path has in common with that of the rows, and still is not in them."""
    if list(steps[: len(way)]) == list(way):
        return 0
    depth = 0
    while depth < min(len(way), len(steps)) - 1 and way[depth] == steps[depth]:
        depth += 1
    return depth


def _around(
    raw: msgspec.Raw, steps: Sequence[str], levels: tuple[Members, ...]
) -> Iterator[tuple[Members, ...]]:
    """For each row, in its order, the objects on the way to it, the body first."""
    start = first_char(raw)
    if steps and start == OPEN_LIST:
        for item in _list_of_raw.decode(raw):
            yield from _around(item, steps, levels)
    elif steps and start == OPEN_OBJECT:
        members = _members_of_raw.decode(raw)
        if steps[0] in members:
            yield from _around(members[steps[0]], steps[1:], (*levels, members))
    elif start == OPEN_LIST:
        yield from [levels] * len(_list_of_raw.decode(raw))
    elif start == OPEN_OBJECT:
        yield levels


def _joined(row: bytes, levels: Levels, lifted: Sequence[Lifted]) -> bytes:
    """Last, so that it counts before a member of the row with the same name."""
    added = b",".join(
        msgspec.json.encode(one.column) + b":" + _value(levels[one.depth], one.path) for one in lifted
    )
    inside = row.rstrip(WHITE)[:-1]
    comma = b"" if first_char(inside[1:]) == 0 else b","
    return inside + comma + added + b"}"


def _value(members: Members, path: Sequence[str]) -> bytes:
    raw = members.get(path[0])
    for name in path[1:]:
        inner = _members_of_raw.decode(raw) if raw is not None and first_char(raw) == OPEN_OBJECT else {}
        raw = inner.get(name)
    return b"null" if raw is None else bytes(raw).replace(b"\n", b" ").replace(b"\r", b" ")
