"""Pauses: connections and tables whose loads the daemon does not start."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from unify.fs.sqlite import from_micros, to_micros
from unify.model import TableName
from unify.queue.sqlite import QueueDatabase


class Pause(Struct, frozen=True):
    """A paused connection, or table if ``table`` is not empty."""

    tenant: str
    connection: str
    table: str
    paused_at: datetime

    def __str__(self) -> str:
        return f"{self.connection}.{self.table}" if self.table else self.connection

    def covers(self, name: TableName) -> bool:
        return self.connection == name.schema and self.table in ("", name.table)


class Pauses:
    """The pauses of all tenants. A load in progress ends as it would; queued loads and schedules wait."""

    def __init__(self, database: QueueDatabase) -> None:
        self._database = database

    def pause(self, tenant: str, connection: str, table: str, now: datetime) -> bool:
        """Pause a connection, or one table. False: it was paused already."""
        values = _key(tenant, connection, table) | {"now": to_micros(now)}
        with self._database.transaction():
            return self._database.fetch_one("put_pause", values) is not None

    def resume(self, tenant: str, connection: str, table: str) -> bool:
        """End the pause of exactly this connection or table. False: there was none."""
        with self._database.transaction():
            return self._database.fetch_one("drop_pause", _key(tenant, connection, table)) is not None

    def list(self, tenant: str) -> Sequence[Pause]:
        """Return the pauses by name; a connection before its tables."""
        return [_pause_from_row(row) for row in self._database.fetch_all("pauses", {"tenant": tenant})]

    def find(self, tenant: str, name: TableName) -> Pause | None:
        """Return the pause that covers a table: its connection's, else its own."""
        return next((pause for pause in self.list(tenant) if pause.covers(name)), None)


def _key(tenant: str, connection: str, table: str) -> dict[str, object]:
    return {"tenant": tenant, "connection": connection, "table_name": table}


def _pause_from_row(row: sqlite3.Row) -> Pause:
    return Pause(row["tenant"], row["connection"], row["table_name"], from_micros(row["paused_at"]))
