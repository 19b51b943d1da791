"""The record of statements on databases in ``unify.writes``: one row a statement, when it has ended."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from unify.adapters.table_writes import WriteCounts
from unify.errors import StoreError, UnifyError
from unify.interpreter.connections import ConnectionCatalog
from unify.model import RowState, TableName
from unify.writes.records import EndedWrite
from unify.writes.store import WriteStore


class RecordedStatement:
    """What a statement does. ``is_sent``: it has not been refused before the database got it."""

    def __init__(self, table: TableName, mode: str, rows: int) -> None:
        self.table = table
        self.mode = mode
        self.rows = rows
        self.is_sent = True
        self.counts = WriteCounts()


class StatementHistory:
    """Records the statements of one session."""

    def __init__(self, store: WriteStore, connections: ConnectionCatalog) -> None:
        self._store = store
        self._connections = connections

    @contextmanager
    def record(self, table: TableName, mode: str, rows: int = 0) -> Iterator[RecordedStatement]:
        """Record the statement of the block with its outcome, also if it fails."""
        record, started_at = RecordedStatement(table, mode, rows), datetime.now(UTC)
        try:
            yield record
        except BaseException as error:
            if record.is_sent:
                self._save(record, started_at, _error_text(error))
            raise
        self._save(record, started_at, "")

    def _save(self, record: RecordedStatement, started_at: datetime, error: str) -> None:
        settings = self._connections.settings
        ended = EndedWrite(
            settings.tenant,
            record.table,
            record.mode,
            self._connections.origin,
            getpass.getuser(),
            started_at,
            {} if error else _states(record.counts),
            record.rows,
            self._connections.redactor.redact(error),
        )
        with suppress(StoreError):  # what the database has committed stays so, whatever is recorded
            self._store.ended.record(ended, datetime.now(UTC))


def _states(counts: WriteCounts) -> Mapping[RowState, int]:
    return {
        RowState.CREATED: counts.inserted,
        RowState.UPDATED: counts.updated,
        RowState.DELETED: counts.deleted,
        RowState.REJECTED: counts.unmatched,
    }


def _error_text(error: BaseException) -> str:
    return error.message if isinstance(error, UnifyError) else "the statement was interrupted"
