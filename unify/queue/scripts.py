"""Scripts on a schedule and what came of their runs: tables of the queue's file.

A run is written down in the transaction that moves its schedule on: no crash runs a script twice for
one due time. One that was under way when its daemon ended is ``interrupted``, and not begun again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain, count
from pathlib import Path

from unify.model import ConfigPaths
from unify.queue.rows import (
    decode_origin,
    encode_origin,
    from_micros,
    from_micros_or_none,
    to_micros,
    to_micros_or_none,
)
from unify.queue.sqlite import QueueDatabase
from unify.queue.timing import Timing, advance_timing, is_due

MAX_RUNS_PER_SCRIPT = 100  # of each script; with 80 kB at most of each run, 8 MB
RUN_RETENTION = timedelta(days=30)


class RunStatus(StrEnum):
    """How a run is, or how it ended."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"  # a statement failed, the file was gone, it took too long
    INTERRUPTED = "interrupted"  # the daemon ended, or the script was unscheduled


@dataclass(frozen=True, slots=True)
class ScheduledScript:
    """A script the daemon runs: ``path`` and ``folder``, where its relative paths start, are absolute."""

    tenant: str
    name: str
    path: str
    folder: str
    origin: ConfigPaths
    timing: Timing


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """One run. ``output`` is what it wrote to stdout, ``error`` what to stderr or what else went wrong."""

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


@dataclass(frozen=True, slots=True)
class ScriptRunResult:
    """How a run ended. ``exit_status`` is None where no process came to its own end."""

    status: RunStatus
    exit_status: int | None = None
    output: str = ""
    error: str = ""


class ScriptSchedules:
    """The scripts of one queue. ``queue.Queue.scripts`` is the way to them."""

    def __init__(self, database: QueueDatabase) -> None:
        self._database = database

    def set_script(
        self, tenant: str, path: Path, folder: Path, origin: ConfigPaths, timing: Timing
    ) -> ScheduledScript:
        """Schedule a file, or schedule it anew. Its name is the file's, with a number where that is taken."""
        with self._database.transaction():
            taken = {one.name.lower() for one in self.list_scripts() if one.tenant == tenant}
            names = chain([path.stem], (f"{path.stem}_{number}" for number in count(2)))
            row = self._database.fetch_one(
                "put_script",
                {
                    "tenant": tenant,
                    "name": next(name for name in names if name.lower() not in taken),
                    "path": str(path),
                    "folder": str(folder),
                    "origin": encode_origin(origin),
                    "every_s": timing.every_s,
                    "next_at": to_micros_or_none(timing.next_at),
                    "starting": timing.starting,
                    "zone": timing.zone,
                    "first": timing.first,
                },
            )
        assert row is not None
        return _script_from_row(row)

    def delete_script(self, tenant: str, name: str) -> bool:
        """Run a script no more; the daemon ends the run that is under way. False: there is none such."""
        with self._database.transaction():
            return self._database.fetch_one("drop_script", {"tenant": tenant, "name": name}) is not None

    def list_scripts(self) -> Sequence[ScheduledScript]:
        return [_script_from_row(row) for row in self._database.fetch_all("scripts")]

    def list_runs(self) -> Sequence[ScriptRun]:
        """Every run that is kept, the oldest first."""
        return [_run_from_row(row) for row in self._database.fetch_all("script_runs")]

    def latest_runs(self) -> Sequence[ScriptRun]:
        """The youngest run of each script."""
        return [_run_from_row(row) for row in self._database.fetch_all("last_runs")]

    # For the daemon

    def start_due_runs(
        self, epoch: int, now: datetime, limit: int
    ) -> Sequence[tuple[ScheduledScript, ScriptRun]]:
        """Begin a run of each script that is due, ``room`` at most; the others stay due.

        One that is still running from before is not begun beside itself: that run is told of it.
        """
        begun: list[tuple[ScheduledScript, ScriptRun]] = []
        with self._database.transaction():
            for script in map(
                _script_from_row, self._database.fetch_all("due_scripts", {"now": to_micros(now)})
            ):
                due = is_due(script.timing, now)
                going = self._database.fetch_one("script_going", _script_key(script))
                if due and going is not None and script.timing.every_s is None:
                    continue  # it was asked to run once more while it runs: when it has ended
                if due and going is None:
                    if len(begun) == limit:
                        continue
                    begun.append((script, self._start_run(script, epoch, now)))
                elif due and going is not None:
                    self._record_skipped_run(_run_from_row(going), now)
                self._advance_schedule(script, now)
        return begun

    def finish_run(self, run: ScriptRun, result: ScriptRunResult, now: datetime) -> None:
        """Write down how a run ended, after what was remarked on it, and forget its oldest predecessors."""
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
        """End the runs that an older daemon left behind, and give them."""
        with self._database.transaction():
            left = [_run_from_row(row) for row in self._database.fetch_all("orphaned_runs", {"epoch": epoch})]
            for run in left:
                self.finish_run(
                    run, ScriptRunResult(RunStatus.INTERRUPTED, error="the daemon ended while it ran"), now
                )
        return left

    def next_due_at(self, now: datetime) -> datetime | None:
        """When the next script is due that is not due already."""
        row = self._database.fetch_one("next_script", {"now": to_micros(now)})
        return from_micros_or_none(row[0]) if row is not None else None

    def _start_run(self, script: ScheduledScript, epoch: int, now: datetime) -> ScriptRun:
        due_at = to_micros(script.timing.next_at or now)
        values = {"path": script.path, "epoch": epoch, "due_at": due_at, "now": to_micros(now)}
        row = self._database.fetch_one("begin_run", _script_key(script) | values)
        assert row is not None
        return _run_from_row(row)

    def _record_skipped_run(self, run: ScriptRun, now: datetime) -> None:
        """Say on a run that goes on that its script was due again; the last such time is kept."""
        said = f"still running when it was due again ({now:%Y-%m-%d %H:%M} UTC): not begun beside itself"
        self._database.fetch_all("remark_run", {"id": run.id, "error": said})

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
