"""Task runners for worker processes: the name of the table says what the worker does."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import duckdb
from msgspec.structs import replace

from unify.config.settings import Settings
from unify.errors import RateLimited, Unauthorized
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.load.protocol import LoadTask, TaskResult, TaskStatus
from unify.load.staging import Manifest, commit_staged_load
from unify.load.worker import Reporter
from unify.model import Column, TableName


class TableNameRunner:
    """Runs the function ``do_NAME`` for a table named NAME; digits at the end are ignored."""

    def prepare(self) -> None:
        """Do nothing."""

    def __call__(self, task: LoadTask, reporter: Reporter) -> TaskResult:
        does = task.table.table.rstrip("0123456789")
        return globals()[f"do_{does}"](task, reporter)  # type: ignore[no-any-return]


def do_count(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Report a thousand rows, one by one, and succeed without staging any."""
    for rows in range(1, 1001):
        reporter.update(lambda progress, rows=rows: replace(progress, rows=rows))  # type: ignore[misc]
    return TaskResult(task.job, task.attempt, TaskStatus.STAGED, reporter.progress)


def do_pid(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Report the process id as the number of rows."""
    reporter.update(lambda progress: replace(progress, rows=os.getpid()))
    return TaskResult(task.job, task.attempt, TaskStatus.STAGED, reporter.progress)


def do_environment(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Report the number of environment variables of the task as the number of rows."""
    reporter.update(lambda progress: replace(progress, rows=len(task.environment)))
    return TaskResult(task.job, task.attempt, TaskStatus.STAGED, reporter.progress)


def do_hang(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Report the process id as the number of rows, then hang."""
    reporter.update(lambda progress: replace(progress, rows=os.getpid()), urgent=True)
    threading.Event().wait()
    raise AssertionError("unreachable")


def do_grow(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Allocate half a gigabyte, then hang."""
    block = bytearray(os.urandom(1024)) * (500 * 1024)
    outcome = do_hang(task, reporter)
    assert block
    return outcome


def do_ignore(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Hang and ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return do_hang(task, reporter)


def do_crash(task: LoadTask, reporter: Reporter) -> TaskResult:
    """End by SIGSEGV."""
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)
    return do_hang(task, reporter)


def do_exit(task: LoadTask, reporter: Reporter) -> TaskResult:
    os._exit(7)


def do_limit(task: LoadTask, reporter: Reporter) -> TaskResult:
    raise RateLimited("api: 429 Too Many Requests", retry_after_s=2.5)


def do_bug(task: LoadTask, reporter: Reporter) -> TaskResult:
    raise ZeroDivisionError(f"a mistake of ours, {Path(__file__).name}")


def do_rows(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Stage a hundred rows."""
    return _stage_rows(task, reporter, 100)


def do_slow(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Stage a hundred rows after a quarter of a second, as long as an API takes to respond."""
    threading.Event().wait(0.25)
    return _stage_rows(task, reporter, 100)


def do_gated(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Report the process id, wait until the named pipe ``gate`` is opened, then stage a hundred rows."""
    reporter.update(lambda progress: replace(progress, rows=os.getpid(), pages=1, pages_total=2), urgent=True)
    with open(Path(task.home) / "gate", "rb") as gate:
        gate.read()
    return _stage_rows(task, reporter, 100)


def do_flaky(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Crash at the first attempt, then stage a hundred rows."""
    return do_crash(task, reporter) if task.attempt == 1 else do_rows(task, reporter)


def do_unwell(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Fail with RateLimited at the first attempt, then stage a hundred rows."""
    if task.attempt == 1:
        raise RateLimited("api: 429 Too Many Requests", retry_after_s=0.3)
    return do_rows(task, reporter)


def do_refused(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Fail with Unauthorized and a message that contains the credentials."""
    raise Unauthorized(f"api: 401 for {', '.join(task.environment.values())}")


def do_child(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Require the table ``rows`` of the same connection."""
    return _load_child("rows", task, reporter)


def do_orphaned(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Require the table ``refused`` of the same connection, whose load fails."""
    return _load_child("refused", task, reporter)


def _load_child(name: str, task: LoadTask, reporter: Reporter) -> TaskResult:
    parent = TableName(task.table.schema, name)
    home = Path(task.home)
    with Lake(Settings(home, home / "connections.yaml"), read_only=True) as lake:
        if parent not in catalog.stored_tables(lake):
            return TaskResult(
                task.job, task.attempt, TaskStatus.MISSING_PARENTS, reporter.progress, missing=(parent,)
            )
    return _stage_rows(task, reporter, 10)


def _stage_rows(task: LoadTask, reporter: Reporter, rows: int) -> TaskResult:
    folder = Path(task.folder)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT range AS id, {task.attempt} AS attempt FROM range({rows})) "
            f"TO '{folder / 'rows.parquet'}' (FORMAT parquet)"
        )
    columns = (Column("id", "BIGINT"), Column("attempt", "INTEGER"))
    commit_staged_load(folder, Manifest(("rows.parquet",), columns, rows, key=("id",)))
    reporter.update(lambda progress: replace(progress, rows=rows), urgent=True)
    return TaskResult(task.job, task.attempt, TaskStatus.STAGED, reporter.progress, every_s=3600.0)


def do_far(task: LoadTask, reporter: Reporter) -> TaskResult:
    """Fail with RateLimited and a delay of thirty million years."""
    raise RateLimited("api: 429 Too Many Requests", retry_after_s=999_999_999_999_999)
