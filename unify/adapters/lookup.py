"""A column's value in a row that is otherwise left undecoded: for cursors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


def last_value(rows: Sequence[bytes], column: str) -> str | None:
    """The text of ``column`` in the last row: a member, a dotted path, or a flattened name (``user_login``).

    Decodes that one row. None where it is missing or null.
    """
    if not rows:
        return None
    return text_of(_look_up(msgspec.json.decode(rows[-1]), column))


def text_of(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _look_up(row: Any, column: str) -> Any:
    if not isinstance(row, dict):
        return None
    if column in row:
        return row[column]
    for name, inner in row.items():
        if isinstance(inner, dict) and column.startswith((f"{name}_", f"{name}.")):
            found = _look_up(inner, column[len(name) + 1 :])
            if found is not None:
                return found
    return next((value for name, value in row.items() if name.lower() == column.lower()), None)
