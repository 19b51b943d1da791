"""A second copy of schedules, scheduled scripts and pauses, restored when the queue's file is lost.

``schedules.json`` is written beside the queue when one of them is set, changed or deleted. Loads can be
requested again; a schedule that is lost is noticed when its table is already out of date.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from unify.fs import durable
from unify.fs.sqlite import from_micros_or_none, to_micros_or_none
from unify.queue.timing import Timing, advance_timing
from unify.text import format_count

BACKUP_FILE = "schedules.json"


class _Row(Struct, kw_only=True):
    """The columns that tables ``schedule`` and ``script`` share."""

    tenant: str
    origin: str
    every_s: float | None
    next_at: int | None
    starting: str
    zone: str
    first: str

    def is_over(self, now: datetime) -> bool:
        """Whether it was due once, at a time that has passed: it may have run, and must not run twice."""
        due_at = from_micros_or_none(self.next_at)
        return self.every_s is None and due_at is not None and due_at <= now

    def parameters(self, now: datetime) -> dict[str, object]:
        """Return the statement's parameters, with the first due time after ``now``."""
        due_at = from_micros_or_none(self.next_at)
        timing = Timing(self.every_s, due_at, None, self.starting, self.zone, self.first)
        if self.every_s is not None:
            timing = advance_timing(timing, now)
        return msgspec.structs.asdict(self) | {"next_at": to_micros_or_none(timing.next_at)}


class ScheduleRow(_Row, kw_only=True):
    connection: str
    table_name: str

    @property
    def label(self) -> str:
        return f"{self.connection}.{self.table_name}"


class ScriptRow(_Row, kw_only=True):
    """``statement`` and the others are missing in copies that older versions wrote."""

    name: str
    path: str
    folder: str
    statement: str = ""
    after_connection: str = ""
    after_table: str = ""
    variable: str = ""
    on_demand: int = 0

    @property
    def label(self) -> str:
        return self.path


class PauseRow(Struct, kw_only=True):
    tenant: str
    connection: str
    table_name: str
    paused_at: int

    def parameters(self) -> dict[str, object]:
        return {**msgspec.structs.asdict(self), "now": self.paused_at}


class SyncRow(Struct, kw_only=True):
    tenant: str
    name: str
    definition: str
    cursor: str

    def parameters(self) -> dict[str, object]:
        return msgspec.structs.asdict(self)


class WatchRow(Struct, kw_only=True):
    tenant: str
    name: str
    uid: str
    definition: str
    version: int
    sequence: int
    snapshot: int
    rows: int
    result_of: int
    looked_at: int | None
    changed_at: int | None

    def parameters(self) -> dict[str, object]:
        return msgspec.structs.asdict(self)


Row = ScheduleRow | ScriptRow
Definition = PauseRow | SyncRow | WatchRow
RowT = TypeVar("RowT", ScheduleRow, ScriptRow, PauseRow, SyncRow, WatchRow)


class _Content(Struct):
    schedules: list[ScheduleRow] = []
    scripts: list[ScriptRow] = []
    pauses: list[PauseRow] = []
    syncs: list[SyncRow] = []
    watches: list[WatchRow] = []

    @property
    def rows(self) -> list[Row]:
        return [*self.schedules, *self.scripts]

    @property
    def definitions(self) -> list[Row | Definition]:
        """The rows as they were set: without the due times that each run of a repeating one moves."""
        return [
            *(
                msgspec.structs.replace(row, next_at=None) if row.every_s is not None else row
                for row in self.rows
            ),
            *self.pauses,
            *self.syncs,
            *self.watches,
        ]


class RestoreResult(Struct, frozen=True):
    """The result of a restore; ``skipped`` were due once, at a time that has passed."""

    schedules: int
    scripts: int
    pauses: int = 0
    syncs: int = 0
    watches: int = 0
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"restored {self.schedules} schedules of tables and {self.scripts} of scripts"
        text += f", and {format_count(self.pauses, 'pause')}" if self.pauses else ""
        text += f", and {format_count(self.syncs, 'sync')}" if self.syncs else ""
        text += f", and {self.watches} {'watch' if self.watches == 1 else 'watches'}" if self.watches else ""
        return text + (
            f"; not restored, because due once and past: {', '.join(self.skipped)}" if self.skipped else ""
        )


class ScheduleBackup:
    """The copy of one queue. Use it only while holding the queue's write lock."""

    def __init__(self, path: Path, statements: Mapping[str, str]) -> None:
        self.path = path
        self._statements = statements
        self._saved: list[Row | Definition] | None = None

    def save(self, connection: sqlite3.Connection) -> None:
        """Write the current schedules, unless only their due times have moved. Raises OSError."""
        content = _read_content(connection, self._statements)
        if content.definitions != self._saved:
            durable.atomic_write(self.path, _encode(content))
            self._saved = content.definitions

    def restore(self, connection: sqlite3.Connection, now: datetime) -> RestoreResult | None:
        """Insert what the copy holds into an empty queue. None: there is no copy that can be read."""
        try:
            content = msgspec.json.decode(durable.read_regular_file(self.path), type=_Content)
        except (OSError, ValueError):
            return None
        skipped = [row.label for row in content.rows if row.is_over(now)]
        for schedule in (schedules := [row for row in content.schedules if not row.is_over(now)]):
            connection.execute(self._statements["put_schedule"], schedule.parameters(now)).fetchall()
        for script in (scripts := [row for row in content.scripts if not row.is_over(now)]):
            connection.execute(self._statements["put_script"], script.parameters(now)).fetchall()
        for pause in content.pauses:
            connection.execute(self._statements["put_pause"], pause.parameters()).fetchall()
        for sync in content.syncs:
            connection.execute(self._statements["put_sync"], sync.parameters()).fetchall()
        for watch in content.watches:
            connection.execute(self._statements["put_watch"], watch.parameters()).fetchall()
        return RestoreResult(
            schedules=len(schedules),
            scripts=len(scripts),
            pauses=len(content.pauses),
            syncs=len(content.syncs),
            watches=len(content.watches),
            skipped=tuple(skipped),
        )


def encode_schedules(connection: sqlite3.Connection, statements: Mapping[str, str]) -> bytes:
    """Return the content of BACKUP_FILE for a copy of the home; the rows of the queue have names.

    A copy runs no sync by itself: the original does, and what both of them send would be doubled.
    """
    content = _read_content(connection, statements)
    content.scripts = [script for script in content.scripts if not script.statement]
    return _encode(content)


def _read_content(connection: sqlite3.Connection, statements: Mapping[str, str]) -> _Content:
    return _Content(
        [_parse(ScheduleRow, row) for row in connection.execute(statements["schedules"])],
        [_parse(ScriptRow, row) for row in connection.execute(statements["scripts"])],
        [_parse(PauseRow, row) for row in connection.execute(statements["all_pauses"])],
        [_parse(SyncRow, row) for row in connection.execute(statements["syncs"])],
        [_parse(WatchRow, row) for row in connection.execute(statements["watches"])],
    )


def _encode(content: _Content) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=1)


def _parse(kind: type[RowT], row: sqlite3.Row) -> RowT:
    return msgspec.convert({name: row[name] for name in kind.__struct_fields__}, kind)
