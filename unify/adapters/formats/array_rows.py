"""Rows that are lists: their items become members with the names of a list elsewhere in the body.

InfluxDB and ClickHouse have the names beside the rows, GA4 in a list of objects, Sheets in the first row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from unify.adapters.formats.locate import OPEN_LIST, OPEN_OBJECT, first_char, resolve_path, split_path
from unify.errors import BadResponse

_NAME_MEMBERS = ("name", "title", "displayName", "key", "field", "id", "label")

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_array_rows(
    body: msgspec.Raw | bytes,
    rows_steps: Sequence[str],
    names_path: str | None,
    positions: frozenset[int],
    address: str,
) -> list[msgspec.Raw] | None:
    """The rows at ``rows_steps`` as objects; None if one of them is not a list.

    ``names_path``  where the names are, from the body on. Names in an object around the rows are those of
                    the rows in it; with ``ROWS.0`` they are the first row of each list, which is no row.
    ``positions``   the items whose member is their number, counted from 0, and not their name.

    Raises:
        BadResponse: there is no list of names at ``names_path``.
    """
    steps = split_path((names_path or "").removeprefix("$").removeprefix("."))
    in_first_row = names_path is not None and list(steps) == [*rows_steps, "0"]
    depth = 0 if in_first_row else _shared_depth(rows_steps, steps)
    rows: list[msgspec.Raw] = []
    for levels, items in _iter_lists(msgspec.Raw(body), rows_steps, ()):
        if any(first_char(item) != OPEN_LIST for item in items):
            return None
        values = [_list_decoder.decode(item) for item in items]
        found: Any = None
        if in_first_row and values:
            found, values = msgspec.json.decode(items[0]), values[1:]
        elif names_path is not None and values:
            around = levels[depth] if depth < len(levels) else body
            raw = resolve_path(around, steps[depth:])
            found = None if raw is None else msgspec.json.decode(raw)
        if names_path is not None and values and not isinstance(found, list):
            raise BadResponse(
                f"{address}: expected a list of column names at {names_path}, got {str(found)[:80]!r}"
            )
        names = _member_names(found or [], max(map(len, values), default=0), positions)
        rows += [msgspec.Raw(msgspec.json.encode(dict(zip(names, row, strict=False)))) for row in values]
    return rows


def _iter_lists(
    raw: msgspec.Raw, steps: Sequence[str], levels: tuple[msgspec.Raw, ...]
) -> Iterator[tuple[tuple[msgspec.Raw, ...], list[msgspec.Raw]]]:
    """Each list of rows with the objects on the way to it, the body first."""
    start = first_char(raw)
    if start == OPEN_LIST and not steps:
        yield levels, _list_decoder.decode(raw)
    elif start == OPEN_LIST:
        for item in _list_decoder.decode(raw):
            yield from _iter_lists(item, steps, levels)
    elif start == OPEN_OBJECT and steps:
        inner = _object_decoder.decode(raw).get(steps[0])
        if inner is not None:
            yield from _iter_lists(inner, steps[1:], (*levels, raw))


def _shared_depth(rows_steps: Sequence[str], names_steps: Sequence[str]) -> int:
    depth = 0
    while depth < min(len(rows_steps), len(names_steps)) - 1 and rows_steps[depth] == names_steps[depth]:
        depth += 1
    return depth


def _member_names(found: Sequence[Any], width: int, positions: frozenset[int]) -> list[str]:
    """A name for each item, without duplicates; items without a name have their number."""
    reserved = {str(index) for index in positions}
    taken: set[str] = set()
    names = []
    for index in range(max(width, len(found))):
        own = _column_name(found[index], index) if index < len(found) else str(index)
        name, number = own, 1
        while name in taken or name in reserved:
            number += 1
            name = f"{own}_{number}"
        if index in positions:
            name = str(index)
        taken.add(name)
        names.append(name)
    return names


def _column_name(value: Any, index: int) -> str:
    if isinstance(value, dict):
        value = next((value[key] for key in _NAME_MEMBERS if isinstance(value.get(key), str)), None)
    return value if isinstance(value, str) and value else str(index)
