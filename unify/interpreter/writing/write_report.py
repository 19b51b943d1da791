"""Plans and outcomes of writes in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from unify.adapters.base import TableWriter
from unify.adapters.spec.write import WriteOperation
from unify.model import PlannedRow, RowState, TableName
from unify.text import excerpt, format_count
from unify.writes.records import Write

SHOWN_REQUESTS = 3
MAX_REQUEST_CHARS = 400
_VERBS = {"insert": "insert into", "update": "update in", "delete": "delete from", "upsert": "upsert into"}
_SUCCESSES = (RowState.CREATED, RowState.UPDATED, RowState.DELETED, RowState.UNCHANGED)


def plan_text(
    target: TableName, operation: str, rows: Sequence[PlannedRow], writer: TableWriter, note: str
) -> str:
    """``3 rows to insert into github.issues``, and the first requests."""
    age = f" (chosen from rows {note})" if note and operation != "insert" else ""
    lines = [f"{format_count(len(rows), 'row')} to {_VERBS[operation]} {target}{age}"]
    rest: Sequence[PlannedRow] = rows
    for _ in range(SHOWN_REQUESTS):
        if not rest:
            break
        action = cast("WriteOperation", rest[0].action)
        batch = writer.fit(action, rest)
        lines.append(f"  {excerpt(writer.describe(action, batch), MAX_REQUEST_CHARS)}")
        rest = rest[len(batch) :]
    if rest:
        lines.append(f"  and requests for {format_count(len(rest), 'more row')}")
    return "\n".join(lines)


def outcome_text(write: Write, counts: Mapping[RowState, int]) -> str:
    """``github.issues: 2 rows created, 1 rejected (write 7)``."""
    parts = [f"{count:,} {state}" for state, count in counts.items() if count]
    rows = ", ".join(parts) or "no rows"
    return f"{write.table}: {rows} (write {write.id})"


def has_failures(counts: Mapping[RowState, int]) -> bool:
    """Whether some rows were not written, or nobody knows."""
    return any(count for state, count in counts.items() if state not in _SUCCESSES)
