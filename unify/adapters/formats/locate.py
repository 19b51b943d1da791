"""Where the rows are in a body whose spec does not say.

A column's value in a row that is otherwise left undecoded: for cursors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

OPEN_OBJECT, OPEN_LIST = ord("{"), ord("[")
WHITESPACE = b" \t\r\n"
# Members that hold the rows of some API or other; they decide only where lists are empty.
COMMON_ROW_MEMBERS = (
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

_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def find_rows_path(members: Mapping[str, msgspec.Raw], table: str) -> tuple[str, bool]:
    """Where the rows are: the longest list of objects, else the only list; "" for the object itself.

    The second is False where lists are empty and another page may show more.
    """
    prefix = ""
    while len(members) == 1 and first_char(next(iter(members.values()))) == OPEN_OBJECT:
        name, inner = next(iter(members.items()))
        prefix += f"{name}."
        members = _object_decoder.decode(inner)
    lists = {name: _list_decoder.decode(raw) for name, raw in members.items() if first_char(raw) == OPEN_LIST}
    full = {name: rows for name, rows in lists.items() if rows and first_char(rows[0]) == OPEN_OBJECT}
    if full:
        return prefix + max(full, key=lambda name: len(full[name])), True
    empty = [name for name, rows in lists.items() if not rows]
    usual = next((name for name in (table, *COMMON_ROW_MEMBERS) if name in lists), None)
    if usual is not None:
        return prefix + usual, bool(lists[usual])
    if len(empty) == 1 and len(lists) == 1 and "id" not in members:
        return prefix + empty[0], False
    return prefix.rstrip("."), not empty


def first_char(raw: msgspec.Raw | bytes) -> int:
    """The first character that is no white space; 0 for none."""
    view = memoryview(raw)
    for char in view[:64]:
        if char not in WHITESPACE:
            return char
    rest = bytes(view[64:]).lstrip(WHITESPACE)
    return rest[0] if rest else 0


def last_value(rows: Sequence[bytes], column: str) -> str | None:
    """The text of ``column`` in the last row: a member, a dotted path, or a flattened name (``user_login``).

    Decodes that one row. None where it is missing or null.
    """
    if not rows:
        return None
    return scalar_text(_column_value(msgspec.json.decode(rows[-1]), column))


def scalar_text(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _column_value(row: Any, column: str) -> Any:
    if not isinstance(row, dict):
        return None
    if column in row:
        return row[column]
    for name, inner in row.items():
        if isinstance(inner, dict) and column.startswith((f"{name}_", f"{name}.")):
            found = _column_value(inner, column[len(name) + 1 :])
            if found is not None:
                return found
    return next((value for name, value in row.items() if name.lower() == column.lower()), None)
