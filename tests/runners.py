"""What tests let worker processes do instead of loading: each is one way a task can go."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import duckdb

from unify.errors import RateLimited, Unauthorized
from unify.loading.task import Ending, Outcome, Task
from unify.loading.worker import Reporter
from unify.model import Column, TableName
from unify.settings import Settings
from unify.store import catalog
from unify.store.lake import Lake
from unify.store.staging import Manifest, seal


class AsTheTableSays:
    """Do what the table is called after."""

    def prepare(self) -> None:
        """Nothing to get ready."""

    def __call__(self, task: Task, reporter: Reporter) -> Outcome:
        does = task.table.table.rstrip("0123456789")  # rows7 does as rows does
        return globals()[f"do_{does}"](task, reporter)  # type: ignore[no-any-return]


def do_count(task: Task, reporter: Reporter) -> Outcome:
    """Report a thousand rows, one by one, then end well."""
    for rows in range(1, 1001):
        reporter.update(lambda progress, rows=rows: replace(progress, rows=rows))  # type: ignore[misc]
    return Outcome(task.job, task.attempt, Ending.SEALED, reporter.progress)


def do_pid(task: Task, reporter: Reporter) -> Outcome:
    """Tell the process id as the number of rows."""
    reporter.update(lambda progress: replace(progress, rows=os.getpid()))
    return Outcome(task.job, task.attempt, Ending.SEALED, reporter.progress)


def do_environment(task: Task, reporter: Reporter) -> Outcome:
    """Tell how many variables came with the task."""
    reporter.update(lambda progress: replace(progress, rows=len(task.environment)))
    return Outcome(task.job, task.attempt, Ending.SEALED, reporter.progress)


def do_hang(task: Task, reporter: Reporter) -> Outcome:
    """Say who hangs, then never come back."""
    reporter.update(lambda progress: replace(progress, rows=os.getpid()), urgent=True)
    threading.Event().wait()
    raise AssertionError("unreachable")


def do_grow(task: Task, reporter: Reporter) -> Outcome:
    """Take half a gigabyte and keep it."""
    held = bytearray(os.urandom(1024)) * (500 * 1024)
    outcome = do_hang(task, reporter)
    assert held
    return outcome


def do_ignore(task: Task, reporter: Reporter) -> Outcome:
    """Hang, deaf to the polite signal."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return do_hang(task, reporter)


def do_crash(task: Task, reporter: Reporter) -> Outcome:
    """End as a process that touched memory it does not own."""
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)
    return do_hang(task, reporter)


def do_exit(task: Task, reporter: Reporter) -> Outcome:
    os._exit(7)


def do_limit(task: Task, reporter: Reporter) -> Outcome:
    raise RateLimited("api: 429 Too Many Requests", retry_after_s=2.5)


def do_bug(task: Task, reporter: Reporter) -> Outcome:
    raise ZeroDivisionError(f"a mistake of ours, {Path(__file__).name}")


def do_rows(task: Task, reporter: Reporter) -> Outcome:
    """Stage a hundred rows and seal them."""
    return _staged(task, reporter, 100)


def do_gated(task: Task, reporter: Reporter) -> Outcome:
    """Say that we are here, wait until somebody opens the gate (a named pipe), then stage a hundred rows."""
    reporter.update(lambda progress: replace(progress, rows=os.getpid(), pages=1, pages_total=2), urgent=True)
    with open(Path(task.home) / "gate", "rb") as gate:
        gate.read()
    return _staged(task, reporter, 100)


def do_flaky(task: Task, reporter: Reporter) -> Outcome:
    """Die the first time."""
    return do_crash(task, reporter) if task.attempt == 1 else do_rows(task, reporter)


def do_unwell(task: Task, reporter: Reporter) -> Outcome:
    """Have the source busy the first time."""
    if task.attempt == 1:
        raise RateLimited("api: 429 Too Many Requests", retry_after_s=0.3)
    return do_rows(task, reporter)


def do_refused(task: Task, reporter: Reporter) -> Outcome:
    """Have credentials that the source refuses, and say them, as a careless source does."""
    raise Unauthorized(f"api: 401 for {', '.join(task.environment.values())}")


def do_child(task: Task, reporter: Reporter) -> Outcome:
    """Need the table ``rows`` of the same connection first."""
    return _child_of("rows", task, reporter)


def do_orphaned(task: Task, reporter: Reporter) -> Outcome:
    """Need a table first that cannot be loaded."""
    return _child_of("refused", task, reporter)


def _child_of(name: str, task: Task, reporter: Reporter) -> Outcome:
    parent = TableName(task.table.schema, name)
    home = Path(task.home)
    with Lake(Settings(home, home / "connections.yaml"), read_only=True) as lake:
        if parent not in catalog.stored_tables(lake):
            return Outcome(task.job, task.attempt, Ending.MISSING, reporter.progress, missing=(parent,))
    return _staged(task, reporter, 10)


def _staged(task: Task, reporter: Reporter, rows: int) -> Outcome:
    folder = Path(task.folder)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT range AS id, {task.attempt} AS attempt FROM range({rows})) "
            f"TO '{folder / 'rows.parquet'}' (FORMAT parquet)"
        )
    columns = (Column("id", "BIGINT"), Column("attempt", "INTEGER"))
    seal(folder, Manifest(("rows.parquet",), columns, rows, key=("id",)))
    reporter.update(lambda progress: replace(progress, rows=rows), urgent=True)
    return Outcome(task.job, task.attempt, Ending.SEALED, reporter.progress, every_s=3600.0)
