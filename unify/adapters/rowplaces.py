"""Where the rows are in a body whose spec does not say."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

OPEN_OBJECT, OPEN_LIST = ord("{"), ord("[")
WHITE = b" \t\r\n"
# Members that hold the rows of some API or other; they decide only where lists are empty.
USUAL_MEMBERS = (
    "data",
    "items",
    "results",
    "result",
    "records",
    "rows",
    "values",
    "value",
    "entries",
    "elements",
    "objects",
    "list",
    "nodes",
    "resources",
    "content",
)

_list_of_raw = msgspec.json.Decoder(list[msgspec.Raw])
_members_of_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


def find_rows(members: Mapping[str, msgspec.Raw], table: str) -> tuple[str, bool]:
    """Where the rows are: the longest list of objects, else the only list; "" for the object itself.

    The second is False where lists are empty and another page may show more.
    """
    prefix = ""
    while len(members) == 1 and first_char(next(iter(members.values()))) == OPEN_OBJECT:
        name, inner = next(iter(members.items()))
        prefix += f"{name}."
        members = _members_of_raw.decode(inner)
    lists = {name: _list_of_raw.decode(raw) for name, raw in members.items() if first_char(raw) == OPEN_LIST}
    full = {name: rows for name, rows in lists.items() if rows and first_char(rows[0]) == OPEN_OBJECT}
    if full:
        return prefix + max(full, key=lambda name: len(full[name])), True
    empty = [name for name, rows in lists.items() if not rows]
    usual = next((name for name in (table, *USUAL_MEMBERS) if name in lists), None)
    if usual is not None:
        return prefix + usual, bool(lists[usual])
    if len(empty) == 1 and len(lists) == 1 and "id" not in members:
        return prefix + empty[0], False
    return prefix.rstrip("."), not empty


def first_char(raw: msgspec.Raw | bytes) -> int:
    """The first character that is no white space; 0 for none."""
    view = memoryview(raw)
    for char in view[:64]:
        if char not in WHITE:
            return char
    rest = bytes(view[64:]).lstrip(WHITE)
    return rest[0] if rest else 0
