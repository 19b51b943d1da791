"""What tests let worker processes do instead of loading: each is one way a task can go."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

from unify.errors import RateLimited
from unify.loading.task import Ending, Outcome, Task
from unify.loading.worker import Reporter


def as_the_table_says(task: Task, reporter: Reporter) -> Outcome:
    """Do what the table is called after."""
    return globals()[f"do_{task.table.table}"](task, reporter)  # type: ignore[no-any-return]


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
