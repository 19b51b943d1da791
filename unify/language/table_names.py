"""Names of tables of a source that has schemas: ``orders`` of the first schema, ``sales.orders`` of another.

A part that contains a dot or a double quote is in double quotes: ``"my.schema".orders``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_PART = re.compile(r'"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^".]+)')


def join_table_name(schema: str, table: str) -> str:
    """Return the canonical name of a table; ``schema`` is "" for the first one."""
    return ".".join(_quote_part(part) for part in (schema, table) if part)


def split_table_name(name: str) -> tuple[str, str]:
    """Return schema ("" for the first one) and table of a canonical name. Raises ValueError for others."""
    match _split_parts(name):
        case [table]:
            return "", table
        case [schema, table]:
            return schema, table
        case _:
            raise ValueError(f"{name} is not TABLE or SCHEMA.TABLE")


def schema_within(name: str) -> str:
    """Return the schema of a canonical name; "" without one, and for what is no canonical name."""
    try:
        return split_table_name(name)[0]
    except ValueError:
        return ""


def _quote_part(part: str) -> str:
    return '"' + part.replace('"', '""') + '"' if "." in part or '"' in part else part


def _split_parts(name: str) -> Sequence[str]:
    """Return the parts between dots, without quotes; nothing if ``name`` is not well formed."""
    parts: list[str] = []
    position = 0
    while (found := _PART.match(name, position)) is not None:
        parts.append(found["quoted"].replace('""', '"') if found["plain"] is None else found["plain"])
        if found.end() == len(name):
            return parts
        if name[found.end()] != ".":
            break
        position = found.end() + 1
    return ()
