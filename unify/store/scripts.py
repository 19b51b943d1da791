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

from unify.model import Origin
from unify.store.duetimes import Timing, is_due, moved_on
from unify.store.jobs import known_moment, micros, micros_or_none, moment, origin_of, origin_text
from unify.store.queuefile import QueueFile

KEPT_RUNS = 100  # of each script; with 80 kB at most of each run, 8 MB
KEPT_TIME = timedelta(days=30)


class RunStatus(StrEnum):
    """How a run is, or how it ended."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"  # a statement failed, the file was gone, it took too long
    INTERRUPTED = "interrupted"  # the daemon ended, or the script was unscheduled


@dataclass(frozen=True, slots=True)
class Script:
    """A script the daemon runs: ``path`` and ``folder``, where its relative paths start, are absolute."""

    tenant: str
    name: str
    path: str
    folder: str
    origin: Origin
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
class Ending:
    """How a run ended. ``exit_status`` is None where no process came to its own end."""

    status: RunStatus
    exit_status: int | None = None
    output: str = ""
    error: str = ""


class Scripts:
    """The scripts of one queue. ``queue.Queue.scripts`` is the way to them."""

    def __init__(self, file: QueueFile) -> None:
        self._file = file

    def put(self, tenant: str, path: Path, folder: Path, origin: Origin, timing: Timing) -> Script:
        """Schedule a file, or schedule it anew. Its name is the file's, with a number where that is taken."""
        with self._file.transaction():
            taken = {one.name.lower() for one in self.all() if one.tenant == tenant}
            names = chain([path.stem], (f"{path.stem}_{number}" for number in count(2)))
            row = self._file.row(
                "put_script",
                {
                    "tenant": tenant,
                    "name": next(name for name in names if name.lower() not in taken),
                    "path": str(path),
                    "folder": str(folder),
                    "origin": origin_text(origin),
                    "every_s": timing.every_s,
                    "next_at": micros_or_none(timing.next_at),
                    "starting": timing.starting,
                    "zone": timing.zone,
                    "first": timing.first,
                },
            )
        assert row is not None
        return _script_of(row)

    def drop(self, tenant: str, name: str) -> bool:
        """Run a script no more; the daemon ends the run that is under way. False: there is none such."""
        with self._file.transaction():
            return self._file.row("drop_script", {"tenant": tenant, "name": name}) is not None

    def all(self) -> Sequence[Script]:
        return [_script_of(row) for row in self._file.rows("scripts")]

    def runs(self) -> Sequence[ScriptRun]:
        """Every run that is kept, the oldest first."""
        return [_run_of(row) for row in self._file.rows("script_runs")]

    def last_runs(self) -> Sequence[ScriptRun]:
        """The youngest run of each script."""
        return [_run_of(row) for row in self._file.rows("last_runs")]

    # For the daemon

    def begin_due(self, epoch: int, now: datetime, room: int) -> Sequence[tuple[Script, ScriptRun]]:
        """Begin a run of each script that is due, ``room`` at most; the others stay due.

        One that is still running from before is not begun beside itself: that run is told of it.
        """
        begun: list[tuple[Script, ScriptRun]] = []
        with self._file.transaction():
            for script in map(_script_of, self._file.rows("due_scripts", {"now": micros(now)})):
                due = is_due(script.timing, now)
                going = self._file.row("script_going", _key(script))
                if due and going is not None and script.timing.every_s is None:
                    continue  # it was asked to run once more while it runs: when it has ended
                if due and going is None:
                    if len(begun) == room:
                        continue
                    begun.append((script, self._begin(script, epoch, now)))
                elif due and going is not None:
                    self._remark(_run_of(going), now)
                self._move(script, now)
        return begun

    def end(self, run: ScriptRun, ending: Ending, now: datetime) -> None:
        """Write down how a run ended, after what was remarked on it, and forget its oldest predecessors."""
        with self._file.transaction():
            self._file.row(
                "end_run",
                {
                    "id": run.id,
                    "status": ending.status,
                    "exit_status": ending.exit_status,
                    "output": ending.output,
                    "error": ending.error,
                    "now": micros(now),
                },
            )
            key: dict[str, object] = {"tenant": run.tenant, "name": run.name}
            self._file.rows("drop_done_script", key)
            kept: dict[str, object] = {"before": micros(now - KEPT_TIME), "keep": KEPT_RUNS}
            self._file.rows("forget_runs", key | kept)

    def interrupt_orphans(self, epoch: int, now: datetime) -> Sequence[ScriptRun]:
        """End the runs that an older daemon left behind, and give them."""
        with self._file.transaction():
            left = [_run_of(row) for row in self._file.rows("orphaned_runs", {"epoch": epoch})]
            for run in left:
                self.end(run, Ending(RunStatus.INTERRUPTED, error="the daemon ended while it ran"), now)
        return left

    def next_due(self, now: datetime) -> datetime | None:
        """When the next script is due that is not due already."""
        row = self._file.row("next_script", {"now": micros(now)})
        return moment(row[0]) if row is not None else None

    def _begin(self, script: Script, epoch: int, now: datetime) -> ScriptRun:
        due_at = micros(script.timing.next_at or now)
        values = {"path": script.path, "epoch": epoch, "due_at": due_at, "now": micros(now)}
        row = self._file.row("begin_run", _key(script) | values)
        assert row is not None
        return _run_of(row)

    def _remark(self, run: ScriptRun, now: datetime) -> None:
        """Say on a run that goes on that its script was due again; the last such time is kept."""
        said = f"still running when it was due again ({now:%Y-%m-%d %H:%M} UTC): not begun beside itself"
        self._file.rows("remark_run", {"id": run.id, "error": said})

    def _move(self, script: Script, now: datetime) -> None:
        moved = moved_on(script.timing, now)
        times = {"next_at": micros_or_none(moved.next_at), "last_at": micros_or_none(moved.last_at)}
        self._file.rows("move_script", _key(script) | times)


def _key(script: Script) -> dict[str, object]:
    return {"tenant": script.tenant, "name": script.name}


def _script_of(row: sqlite3.Row) -> Script:
    return Script(
        tenant=row["tenant"],
        name=row["name"],
        path=row["path"],
        folder=row["folder"],
        origin=origin_of(row["origin"]),
        timing=Timing(
            every_s=row["every_s"],
            next_at=moment(row["next_at"]),
            last_at=moment(row["last_at"]),
            starting=row["starting"],
            zone=row["zone"],
            first=row["first"],
        ),
    )


def _run_of(row: sqlite3.Row) -> ScriptRun:
    return ScriptRun(
        id=row["id"],
        tenant=row["tenant"],
        name=row["name"],
        path=row["path"],
        status=RunStatus(row["status"]),
        due_at=known_moment(row["due_at"]),
        started_at=known_moment(row["started_at"]),
        ended_at=moment(row["ended_at"]),
        exit_status=row["exit_status"],
        output=row["output"],
        error=row["error"],
    )
