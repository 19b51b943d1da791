"""One statement of a client, and one call of a tool by an agent."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from msgspec import Struct

from unify.fs.sqlite import from_micros, from_micros_or_none


class NewStatement(Struct, frozen=True):
    """A statement that begins. ``protocol``: http or mcp; ``pid``: the process of the server."""

    user: str
    application: str
    address: str
    protocol: str
    sql: str
    pid: int


class StatementRecord(Struct, frozen=True):
    """A statement. ``state``: running, done, failed, cancelled or lost (its server was killed)."""

    id: int
    user: str
    application: str
    address: str
    protocol: str
    sql: str
    pid: int
    state: str
    rows: int
    loads: int
    error: str
    started_at: datetime
    finished_at: datetime | None

    @property
    def seconds(self) -> float | None:
        if self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


class AgentCall(Struct, frozen=True):
    """A call of a tool. ``decision``: allowed, refused or failed; ``calls``: API requests that it caused."""

    agent: str
    tool: str
    statement: str
    decision: str
    rows: int
    calls: int
    seconds: float
    error: str
    at: datetime


def statement_from_row(row: sqlite3.Row) -> StatementRecord:
    return StatementRecord(
        row["id"],
        row["user"],
        row["application"],
        row["address"],
        row["protocol"],
        row["sql"],
        row["pid"],
        row["state"],
        row["rows"],
        row["loads"],
        row["error"],
        from_micros(row["started_at"]),
        from_micros_or_none(row["finished_at"]),
    )


def call_from_row(row: sqlite3.Row) -> AgentCall:
    return AgentCall(
        row["agent"],
        row["tool"],
        row["statement"],
        row["decision"],
        row["rows"],
        row["calls"],
        row["seconds"],
        row["error"],
        from_micros(row["at"]),
    )
