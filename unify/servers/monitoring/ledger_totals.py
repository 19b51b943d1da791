"""Totals of all loads, from the ledger: counters that survive restarts of daemon and server.

Each row of the ledger is read once: a position, once assigned, never changes. What is kept grows with the
number of tables only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from unify.lake import ledger
from unify.lake.protocols import Reader
from unify.model import TableName

STATUSES = ("success", "partial", "failed")
DURATION_BUCKETS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0)

_PUBLISHED = "status IN ('success', 'partial')"
_STATUS_COUNTS = ", ".join(f"count(*) FILTER (is_load AND status = '{status}')" for status in STATUSES)
_BUCKET_COUNTS = ", ".join(
    f"count(*) FILTER (is_load AND seconds <= {bound})" for bound in DURATION_BUCKETS_S
)
_SUMS = ", ".join(
    f"coalesce(sum({name}) FILTER (is_load), 0)"
    for name in ("seconds", "rows_written", "rows_discarded", "requests", "bytes")
)
_LATEST = ", ".join(
    f"arg_max({value}, position) FILTER ({_PUBLISHED})"
    for value in ("is_load", "rows_total", "epoch(finished_at)", "coalesce(seconds, 0)")
)
_NEW_ROWS_SQL = (
    f"SELECT connection, table_name, max(position), {_STATUS_COUNTS}, {_BUCKET_COUNTS}, {_SUMS}, {_LATEST} "
    f"FROM (SELECT *, action <> '{ledger.CLEAR_ACTION}' AS is_load FROM {ledger.TABLE} WHERE position > ?) "
    "GROUP BY connection, table_name"
)


class StoredVersion(Struct, frozen=True):
    """The stored version of a table.

    ``loaded_at_s`` is in seconds since 1970; ``seconds`` is the duration of the load.
    """

    rows: int
    loaded_at_s: float
    seconds: float


@dataclass(slots=True)
class LoadTotals:
    """Totals of the loads of one table or connection.

    ``buckets`` counts the loads of at most DURATION_BUCKETS_S; ``stored`` is None if no rows are stored.
    """

    loads: list[int] = field(default_factory=lambda: [0] * len(STATUSES))
    buckets: list[int] = field(default_factory=lambda: [0] * len(DURATION_BUCKETS_S))
    seconds: float = 0.0
    rows_written: int = 0
    rows_discarded: int = 0
    requests: int = 0
    bytes: int = 0
    stored: StoredVersion | None = None

    def add(self, other: LoadTotals) -> None:
        """Add the totals of later loads."""
        self.loads = [mine + more for mine, more in zip(self.loads, other.loads, strict=True)]
        self.buckets = [mine + more for mine, more in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds
        self.rows_written += other.rows_written
        self.rows_discarded += other.rows_discarded
        self.requests += other.requests
        self.bytes += other.bytes


class LedgerTotals:
    """The totals of each table, brought up to date by ``update``."""

    def __init__(self) -> None:
        self.tables: dict[TableName, LoadTotals] = {}
        self._position = 0

    def update(self, lake: Reader) -> Mapping[TableName, LoadTotals]:
        """Add the loads that were recorded since the last call. Raises StoreError."""
        for row in lake.read(_NEW_ROWS_SQL, [self._position]):
            self._position = max(self._position, row[2])
            new, has_version = _read_row(row[3:])
            known = self.tables.setdefault(TableName(row[0], row[1]), LoadTotals())
            known.add(new)
            if has_version:
                known.stored = new.stored
        return self.tables


def _read_row(values: Sequence[Any]) -> tuple[LoadTotals, bool]:
    """Return the totals in the columns from the fourth on, and whether a version was stored or cleared."""
    statuses, buckets = len(STATUSES), len(DURATION_BUCKETS_S)
    counts, rest = values[: statuses + buckets], values[statuses + buckets :]
    seconds, rows_written, rows_discarded, requests, size, is_load, rows, loaded_at_s, duration_s = rest
    totals = LoadTotals(
        loads=list(counts[:statuses]),
        buckets=list(counts[statuses:]),
        seconds=seconds,
        rows_written=int(rows_written),
        rows_discarded=int(rows_discarded),
        requests=int(requests),
        bytes=int(size),
        stored=StoredVersion(rows or 0, loaded_at_s, duration_s) if is_load and loaded_at_s else None,
    )
    return totals, is_load is not None
