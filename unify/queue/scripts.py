"""Scheduled scripts and their runs, in the queue's file.

A run is inserted in the transaction that advances its schedule, so no crash runs a script twice for one due
time. A run that was active when the daemon ended is ``interrupted`` and is not repeated.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain, count
from pathlib import Path

from msgspec import Struct

from unify.fs.sqlite import from_micros, from_micros_or_none, to_micros, to_micros_or_none
from unify.model import ConfigPaths, TableName
from unify.queue.rows import (
    decode_origin,
    encode_origin,
)
from unify.queue.sqlite import QueueDatabase
from unify.queue.timing import Timing, advance_timing, is_due

MAX_RUNS_PER_SCRIPT = 100  # at most 80 kB each: 8 MB a script
RUN_RETENTION = timedelta(days=30)


class RunStatus(StrEnum):
    """State of a run."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"  # a statement failed, the file was gone, it took too long
    INTERRUPTED = "interrupted"  # the daemon ended, or the script was unscheduled


class ScheduledScript(Struct, frozen=True):
    """A script the daemon runs: ``path`` and ``folder``, its working directory, are absolute.

    ``statement``  what runs instead of the file, whose path is then a label; "" for a file.
    ``after``      it runs after each load of this table.
    ``on_demand``  it stays scheduled without a due time, and runs when it is triggered.
    ``variable``   an environment variable that it reads, besides those of connections; "" for none.
    """

    tenant: str
    name: str
    path: str
    folder: str
    origin: ConfigPaths
    timing: Timing
    statement: str = ""
    after: TableName | None = None
    variable: str = ""
    on_demand: bool = False


class ScriptRun(Struct, frozen=True):
    """One run. ``output`` is its stdout; ``error`` its stderr, and why it failed."""

    id: int
    tenant: str
    name: str
    path: str
    status: RunStatus
    due_at: datetime
    started_at: datetime
    ended_at: datetime | None = None
    exit_status: int | None = None
    output: str = ""
    error: str = ""


class ScriptRunResult(Struct, frozen=True):
    """The result of a run. ``exit_status`` is None if the process did not exit by itself."""

    status: RunStatus
    exit_status: int | None = None
    output: str = ""
    error: str = ""


class ScriptSchedules:
    """The scripts of one queue; ``Queue.scripts``."""

    def __init__(self, database: QueueDatabase) -> None:
        self._database = database

    def set_script(
        self,
        tenant: str,
        path: Path,
        folder: Path,
        origin: ConfigPaths,
        timing: Timing,
        *,
        statement: str = "",
    ) -> ScheduledScript:
        """Schedule a file, or replace its schedule. Its name is the file's, numbered where taken.

        ``statement``  runs the file, which is no script of statements itself.
        """
        with self._database.transaction():
            name = self._free_name(tenant, path.stem)
            return self.put_script(
                ScheduledScript(tenant, name, str(path), str(folder), origin, timing, statement)
            )

    def put_script(self, script: ScheduledScript) -> ScheduledScript:
        """Insert a script, or replace that of the same path, which keeps its name."""
        after = script.after or TableName("", "")
        values = {
            **_script_key(script),
            "path": script.path,
            "folder": script.folder,
            "origin": encode_origin(script.origin),
            "every_s": script.timing.every_s,
            "next_at": to_micros_or_none(script.timing.next_at),
            "starting": script.timing.starting,
            "zone": script.timing.zone,
            "first": script.timing.first,
            "statement": script.statement,
            "after_connection": after.schema,
            "after_table": after.table,
            "variable": script.variable,
            "on_demand": script.on_demand,
        }
        with self._database.transaction():
            row = self._database.fetch_one("put_script", values)
        assert row is not None
        return _script_from_row(row)

    def _free_name(self, tenant: str, name: str) -> str:
        taken = {one.name.lower() for one in self.list_scripts() if one.tenant == tenant}
        names = chain([name], (f"{name}_{number}" for number in count(2)))
        return next(free for free in names if free.lower() not in taken)

    def trigger_after_load(self, tenant: str, table: TableName, now: datetime) -> bool:
        """Let the scripts that run after loads of ``table`` be due; return whether there are any."""
        values = {
            "tenant": tenant,
            "connection": table.schema,
            "table_name": table.table,
            "now": to_micros(now),
        }
        if not any(one.after == table for one in self.list_scripts()):
            return False
        with self._database.transaction():
            return bool(self._database.fetch_all("trigger_scripts", values))

    def trigger(self, tenant: str, name: str, at: datetime) -> bool:
        """Let a script be due at ``at``, or earlier if it is so already. False: no such script."""
        values = {"tenant": tenant, "name": name, "at": to_micros(at)}
        with self._database.transaction():
            return self._database.fetch_one("trigger_script", values) is not None

    def delete_script(self, tenant: str, name: str) -> bool:
        """Delete a script's schedule; the daemon ends its current run. False: no such script."""
        with self._database.transaction():
            return self._database.fetch_one("drop_script", {"tenant": tenant, "name": name}) is not None

    def list_scripts(self) -> Sequence[ScheduledScript]:
        return [_script_from_row(row) for row in self._database.fetch_all("scripts")]

    def list_runs(self) -> Sequence[ScriptRun]:
        """Return all stored runs, oldest first."""
        return [_run_from_row(row) for row in self._database.fetch_all("script_runs")]

    def latest_runs(self) -> Sequence[ScriptRun]:
        """Return the latest run of each script."""
        return [_run_from_row(row) for row in self._database.fetch_all("last_runs")]

    # For the daemon

    def start_due_runs(
        self, epoch: int, now: datetime, limit: int
    ) -> Sequence[tuple[ScheduledScript, ScriptRun]]:
        """Start a run of each script that is due, at most ``limit``; the others stay due.

        A script that is still running is not started a second time; its run records the skip.
        """
        started: list[tuple[ScheduledScript, ScriptRun]] = []
        with self._database.transaction():
            for script in map(
                _script_from_row, self._database.fetch_all("due_scripts", {"now": to_micros(now)})
            ):
                due = is_due(script.timing, now)
                running = self._database.fetch_one("script_going", _script_key(script))
                if due and running is not None and script.timing.every_s is None:
                    continue  # due once, and still running: it starts when that run has ended
                if due and running is None:
                    if len(started) == limit:
                        continue
                    started.append((script, self._start_run(script, epoch, now)))
                elif due and running is not None:
                    self._record_skipped_run(_run_from_row(running), now)
                self._advance_schedule(script, now)
        return started

    def finish_run(self, run: ScriptRun, result: ScriptRunResult, now: datetime) -> None:
        """Record how a run ended, and delete the script's oldest runs."""
        with self._database.transaction():
            self._database.fetch_one(
                "end_run",
                {
                    "id": run.id,
                    "status": result.status,
                    "exit_status": result.exit_status,
                    "output": result.output,
                    "error": result.error,
                    "now": to_micros(now),
                },
            )
            key: dict[str, object] = {"tenant": run.tenant, "name": run.name}
            self._database.fetch_all("drop_done_script", key)
            kept: dict[str, object] = {"before": to_micros(now - RUN_RETENTION), "keep": MAX_RUNS_PER_SCRIPT}
            self._database.fetch_all("forget_runs", key | kept)

    def interrupt_orphaned_runs(self, epoch: int, now: datetime) -> Sequence[ScriptRun]:
        """End the runs that an older daemon left running, and return them."""
        with self._database.transaction():
            left = [_run_from_row(row) for row in self._database.fetch_all("orphaned_runs", {"epoch": epoch})]
            for run in left:
                self.finish_run(
                    run, ScriptRunResult(RunStatus.INTERRUPTED, error="the daemon ended during the run"), now
                )
        return left

    def next_due_at(self, now: datetime) -> datetime | None:
        """Return when the next script that is not due yet will be."""
        row = self._database.fetch_one("next_script", {"now": to_micros(now)})
        return from_micros_or_none(row[0]) if row is not None else None

    def _start_run(self, script: ScheduledScript, epoch: int, now: datetime) -> ScriptRun:
        due_at = to_micros(script.timing.next_at or now)
        values = {"path": script.path, "epoch": epoch, "due_at": due_at, "now": to_micros(now)}
        row = self._database.fetch_one("begin_run", _script_key(script) | values)
        assert row is not None
        return _run_from_row(row)

    def _record_skipped_run(self, run: ScriptRun, now: datetime) -> None:
        """Record on the current run the last time its script was due again."""
        error = f"skipped at {now:%Y-%m-%d %H:%M} UTC: the previous run was still running"
        self._database.fetch_all("remark_run", {"id": run.id, "error": error})

    def _advance_schedule(self, script: ScheduledScript, now: datetime) -> None:
        moved = advance_timing(script.timing, now)
        times = {"next_at": to_micros_or_none(moved.next_at), "last_at": to_micros_or_none(moved.last_at)}
        self._database.fetch_all("move_script", _script_key(script) | times)


def _script_key(script: ScheduledScript) -> dict[str, object]:
    return {"tenant": script.tenant, "name": script.name}


def _script_from_row(row: sqlite3.Row) -> ScheduledScript:
    return ScheduledScript(
        tenant=row["tenant"],
        name=row["name"],
        path=row["path"],
        folder=row["folder"],
        origin=decode_origin(row["origin"]),
        timing=Timing(
            every_s=row["every_s"],
            next_at=from_micros_or_none(row["next_at"]),
            last_at=from_micros_or_none(row["last_at"]),
            starting=row["starting"],
            zone=row["zone"],
            first=row["first"],
        ),
        statement=row["statement"],
        after=TableName(row["after_connection"], row["after_table"]) if row["after_table"] else None,
        variable=row["variable"],
        on_demand=bool(row["on_demand"]),
    )


def _run_from_row(row: sqlite3.Row) -> ScriptRun:
    return ScriptRun(
        id=row["id"],
        tenant=row["tenant"],
        name=row["name"],
        path=row["path"],
        status=RunStatus(row["status"]),
        due_at=from_micros(row["due_at"]),
        started_at=from_micros(row["started_at"]),
        ended_at=from_micros_or_none(row["ended_at"]),
        exit_status=row["exit_status"],
        output=row["output"],
        error=row["error"],
    )
