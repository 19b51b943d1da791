"""Plans and outcomes of writes to databases in words."""

from __future__ import annotations

from collections.abc import Sequence

from unify.adapters.table_writes import TableWrite, WriteCounts
from unify.model import TableName
from unify.text import format_count

_VERBS = {
    "insert": "insert into",
    "update": "update in",
    "delete": "delete from",
    "upsert": "upsert into",
    "mirror": "mirror in",
    "replace": "replace those of",
}
_OUTCOMES = {
    "insert": "inserted",
    "replace": "inserted",
    "update": "updated",
    "upsert": "written",
    "mirror": "written",
    "delete": "deleted",
}


def plan_text(target: TableName, write: TableWrite, statements: Sequence[str]) -> str:
    """``3 rows to insert into shop.orders``, and the statements that the database would receive."""
    verb = f"create {target} with" if not write.target.exists else _VERBS[write.operation]
    place = "" if not write.target.exists else f" {target}"
    count = format_count(write.row_count, "row")
    head = f"{verb} {count}" if not write.target.exists else f"{count} to {verb}{place}"
    return "\n".join([head, "  begin", *(f"  {statement}" for statement in statements), "  commit"])


def counts_text(target: TableName, write: TableWrite, counts: WriteCounts) -> str:
    """``shop.orders: 3 rows inserted, 2 updated``."""
    if not write.target.exists:
        verb = "replaced" if write.target.replaces else "created"
        return f"{target} was {verb} with {format_count(counts.inserted, 'row')}"
    parts = [
        (counts.inserted, "inserted"),
        (counts.updated, "updated"),
        (counts.deleted, "deleted"),
        (counts.unmatched, "not found"),
    ]
    shown = [(count, word) for count, word in parts if count] or [(0, _OUTCOMES[write.operation])]
    first, *rest = shown
    text = ", ".join([f"{format_count(first[0], 'row')} {first[1]}", *(f"{n:,} {word}" for n, word in rest)])
    return f"{target}: {text}"
