"""Loads, failures and schedules in a home, written as the daemon would."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.jobs import ORIGIN
from unify.config.settings import Settings
from unify.lake import ledger
from unify.lake.lake import Lake
from unify.model import Action, JobState, LoadRecord, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob, Schedule
from unify.queue.scripts import RunStatus, ScriptRunResult
from unify.queue.timing import Timing

NOW = datetime.now(UTC).replace(microsecond=0)


def record_loads(settings: Settings, *loads: LoadRecord) -> None:
    """Write rows of the ledger."""
    with Lake(settings) as lake, lake.write_transaction() as connection:
        for load in loads:
            ledger.insert_load(connection, load)


def record_many_loads(settings: Settings, tables: int) -> None:
    """Write a row of the ledger for each of so many tables of twenty connections."""
    with Lake(settings) as lake, lake.write_transaction() as connection:
        connection.execute(
            f"INSERT INTO {ledger.TABLE} (position, job, uid, connection, table_name, action, status, "
            "rows_written, rows_discarded, rows_total, requests, bytes, seconds, cursor, finished_at) "
            "SELECT range + 1, range, 'u', 'c' || range % 20, 't' || range, 'load', 'success', "
            "1, 0, 1, 1, 1, 3.0, '{}', now() FROM range(?)",
            [tables],
        )


def load_record(
    table: str, status: str = "success", *, age: timedelta = timedelta(), **more: object
) -> LoadRecord:
    """A load that ended ``age`` ago."""
    name = TableName(*table.split("."))
    at = NOW - age
    values: dict[str, object] = {"action": "load", "finished_at": at, "started_at": at, **more}
    return LoadRecord(job=1, uid="u", table=name, status=status, **values)  # type: ignore[arg-type]


def end_jobs(queue: Queue, state: JobState, tables: Sequence[str], *, held: bool = False) -> None:
    """Run a job of each table to its end."""
    for table in tables:
        queue.enqueue(NewJob("default", Action.REFRESH, TableName(*table.split(".")), ORIGIN), NOW)
        job = queue.claim(1, NOW)
        assert job is not None
        if held:
            queue.hold(job, "it has no rows", NOW)
        else:
            queue.finish(job, state, "refused: token=s3cret-canary", NOW)


def fill_home(settings: Settings, queue: Queue) -> None:
    """Write something of everything that has a metric."""
    record_loads(settings, load_record("github.pulls", requests=1))
    queue.set_schedule(Schedule("default", TableName("github", "pulls"), ORIGIN, 900.0, NOW))
    timing = Timing(60.0, NOW, None, "", "", "")
    queue.scripts.set_script("default", Path("/daily.sql"), Path("/"), ORIGIN, timing)
    [(_, run)] = queue.scripts.start_due_runs(1, NOW, 1)
    queue.scripts.finish_run(run, ScriptRunResult(RunStatus.SUCCESS, 0), NOW)
