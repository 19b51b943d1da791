"""Statements on databases: one row a statement, recorded when it has ended.

Each was one transaction of the database, so that nothing of it waits, is sent or is retried.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime

from unify.fs.sqlite import to_micros
from unify.model import RowState, WriteState
from unify.writes.database import WriteDatabase
from unify.writes.records import EndedWrite, decode_counts, encode_counts, encode_origin


class EndedWrites:
    """The ended statements in one writes.db."""

    def __init__(self, database: WriteDatabase) -> None:
        self._database = database

    def record(self, ended: EndedWrite, now: datetime) -> int:
        """Record a statement; return its number. Nobody can approve, retry or undo it."""
        values = {
            "uid": uuid.uuid4().hex,
            "tenant": ended.tenant,
            "connection": ended.table.schema,
            "table_name": ended.table.table,
            "mode": ended.mode,
            "origin": encode_origin(ended.origin),
            "state": (WriteState.FAILED if ended.error else WriteState.DONE).value,
            "rows": ended.rows,
            "requested_by": ended.requested_by,
            "error": ended.error,
            "counts": encode_counts(ended.counts),
            "started": to_micros(ended.started_at),
            "now": to_micros(now),
        }
        with self._database.transaction():
            return int(self._database.fetch_one("insert_ended", values)["id"])

    def counts(self, id: int) -> Mapping[RowState, int]:
        """Return the numbers of rows of a recorded statement by state; nothing for other writes."""
        own = self._database.fetch_all("own_counts", {"write": id})
        return decode_counts(own[0]["counts"]) if own else {}
