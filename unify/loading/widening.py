"""The type of a stored column as a place in the rows, so that it adds up with what new rows show.

A load's column then gets the type one load of all rows together would have given it, as far as the
stored type still tells.
"""

from __future__ import annotations

from unify.duckdb_types import Type
from unify.loading import kinds
from unify.loading.selection import KNOWN
from unify.loading.structure import Node

_KINDS = {
    "BOOLEAN": kinds.BOOL,
    "TINYINT": kinds.INT,
    "UTINYINT": kinds.INT,
    "SMALLINT": kinds.INT,
    "USMALLINT": kinds.INT,
    "INTEGER": kinds.INT,
    "UINTEGER": kinds.INT,
    "BIGINT": kinds.INT,  # whether all are exact as doubles is for the publisher to see; see evolution
    "UBIGINT": kinds.INT | kinds.INEXACT | kinds.BIG,
    "FLOAT": kinds.REAL,
    "DOUBLE": kinds.REAL,
    "DATE": kinds.DATE,
    "TIMESTAMP": kinds.STAMP,
    kinds.TIMESTAMPTZ: kinds.ZONED,
    "VARCHAR": kinds.TEXT,
    "JSON": kinds.OBJECT | kinds.DEEP,
}


def widened(found: Node, stored: Type) -> str:
    """The type that keeps what was found and what is stored."""
    old = _stored(stored)
    if old is None:
        held = not found.kinds & (kinds.OBJECT | kinds.LIST | kinds.MISFIT)
        if held:
            return stored.text
        return "JSON" if stored.nested or found.kinds & (kinds.OBJECT | kinds.LIST) else "VARCHAR"
    return merged(old, found).duck_type() if found.kinds else stored.text


def is_unusual(stored: Type) -> bool:
    """A type no rows lead to by themselves: new values have to be tried one by one."""
    return _stored(stored) is None


def merged(one: Node, other: Node) -> Node:
    """Both places in one; the members of ``one`` come first."""
    result = Node(other.path, inside=other.inside)
    result.kinds = one.kinds | other.kinds
    for key in [*one.members, *(key for key in other.members if key not in one.members)]:
        pair = [node.members[key] for node in (one, other) if key in node.members]
        member = merged(*pair) if len(pair) == 2 else pair[0]
        member.choice = KNOWN if key in one.members else member.choice
        result.members[key] = member
    items = [node.item for node in (one, other) if node.item is not None]
    result.item = merged(*items) if len(items) == 2 else items[0] if items else None
    return result


def _stored(stored: Type) -> Node | None:
    """The place a stored type stands for, or None if it stands for none."""
    node = Node()
    if stored.text == kinds.DECIMAL:
        node.kinds = kinds.INT | kinds.INEXACT | kinds.BIG
    elif stored.name == "LIST":
        node.kinds = kinds.LIST
        node.item = _stored(stored.parts[0])
        return node if node.item is not None else None
    elif stored.name == "STRUCT" and stored.names:
        node.kinds = kinds.OBJECT
        for name, part in zip(stored.names, stored.parts, strict=True):
            member = _stored(part)
            if member is None:
                return None
            member.choice = KNOWN
            node.members[name] = member
    elif stored.name in _KINDS:
        node.kinds = _KINDS[stored.name]
    else:
        return None
    return node
