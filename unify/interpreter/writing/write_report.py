"""Plans and outcomes of writes in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from unify.adapters.base import TableWriter
from unify.adapters.spec.write import RowOperation
from unify.interpreter.writing.plan import WritePlan
from unify.model import PlannedRow, RowState
from unify.text import excerpt, format_count
from unify.writes.records import Write

SHOWN_REQUESTS = 3
MAX_REQUEST_CHARS = 400
_VERBS: Mapping[str, str] = {
    "insert": "insert into",
    "update": "update in",
    "delete": "delete from",
    "upsert": "upsert into",
    "restore": "restore in",
}
_SUCCESSES = (RowState.CREATED, RowState.UPDATED, RowState.DELETED, RowState.UNCHANGED)


def plan_text(plan: WritePlan, writer: TableWriter) -> str:
    """``3 rows to insert into github.issues``, and the first requests of each operation."""
    by_action: dict[str, list[PlannedRow]] = {}
    for row in plan.rows:
        by_action.setdefault(row.action, []).append(row)
    counts = [
        f"{format_count(len(rows), 'row')} to {_VERBS[action]} {plan.target}"
        for action, rows in by_action.items()
    ]
    has_age = plan.note and any(action != "insert" for action in by_action)
    age = f" (chosen from rows {plan.note})" if has_age else ""
    lines = [", ".join(counts) + age]
    for action, rows in by_action.items():
        lines += _request_lines(cast("RowOperation", action), rows, writer)
    return "\n".join([*lines, *(f"  {remark}" for remark in plan.remarks)])


def _request_lines(operation: RowOperation, rows: Sequence[PlannedRow], writer: TableWriter) -> Iterator[str]:
    rest = rows
    for _ in range(SHOWN_REQUESTS):
        if not rest:
            return
        batch = writer.fit(operation, rest)
        yield f"  {excerpt(writer.describe(operation, batch), MAX_REQUEST_CHARS)}"
        rest = rest[len(batch) :]
    if rest:
        yield f"  and requests for {format_count(len(rest), 'more row')}"


def outcome_text(write: Write, counts: Mapping[RowState, int]) -> str:
    """``github.issues: 2 rows created, 1 rejected (write 7)``."""
    parts = [f"{count:,} {state}" for state, count in counts.items() if count]
    rows = ", ".join(parts) or "no rows"
    return f"{write.table}: {rows} (write {write.id})"


def has_failures(counts: Mapping[RowState, int]) -> bool:
    """Whether some rows were not written, or nobody knows."""
    return any(count for state, count in counts.items() if state not in _SUCCESSES)
