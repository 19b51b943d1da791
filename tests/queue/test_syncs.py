"""Syncs and their runs in the queue's file, and the scripts that run them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.jobs import MINUTE, NOON, ORIGIN
from unify.fs.sqlite import read_sql_sections
from unify.model import TableName
from unify.queue.backup import encode_schedules
from unify.queue.queue import Queue
from unify.queue.scripts import RunStatus, ScheduledScript, ScriptRunResult
from unify.queue.sqlite import STATEMENTS_FILE
from unify.queue.syncs import Sync, SyncCounts, SyncDefinition, SyncResult, SyncStatus
from unify.queue.timing import Timing

PEOPLE = TableName("crm", "people")
SYNC = Sync("default", "people", SyncDefinition(source="select 1", table=PEOPLE, origin=ORIGIN, folder="/f"))
NOTES = TableName("crm", "notes")
RUNNING = ScheduledScript(
    "default",
    "people",
    "sync people",
    "/f",
    ORIGIN,
    Timing(None, None),
    statement="run sync people",
    after=NOTES,
    variable="SECRET",
)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue(tmp_path / "queue.db") as opened:
        yield opened


def test_a_sync_keeps_its_definition_and_its_cursor(queue: Queue) -> None:
    queue.syncs.put(SYNC)
    begun = queue.syncs.begin_run(SYNC, NOON)
    assert begun is not None
    _, run = begun
    counts = SyncCounts(5, 1, 4, 3, 1)
    ended = SyncResult(SyncStatus.SUCCESS_WITH_FAILURES, "row 2: no", counts, 7, "2026", "delivered")

    queue.syncs.end_run(SYNC, run, ended, NOON + MINUTE)

    assert queue.syncs.find("default", "PEOPLE") == replace(SYNC, cursor="2026")
    assert queue.syncs.find("other", "people") is None
    assert [(one.result, one.ended_at) for one in queue.syncs.runs("default")] == [(ended, NOON + MINUTE)]


def test_a_run_starts_from_the_cursor_of_the_run_before(queue: Queue) -> None:
    queue.syncs.put(replace(SYNC, cursor="100"))
    begun = queue.syncs.begin_run(SYNC, NOON)
    assert begun is not None
    assert begun[0].cursor == "100"


def test_a_sync_that_was_replaced_during_a_run_keeps_its_own_cursor(queue: Queue) -> None:
    queue.syncs.put(SYNC)
    begun = queue.syncs.begin_run(SYNC, NOON)
    assert begun is not None
    replaced = replace(SYNC, definition=replace(SYNC.definition, source="select 2"))
    queue.syncs.put(replaced)

    queue.syncs.end_run(*begun, SyncResult(SyncStatus.SUCCESS, cursor="999"), NOON + MINUTE)

    assert queue.syncs.find("default", "people") == replaced


@pytest.mark.parametrize("adds_rows", [False, True])
def test_one_run_of_a_sync_is_under_way_until_it_ends_or_its_process_does(
    queue: Queue, tmp_path: Path, adds_rows: bool
) -> None:
    queue.syncs.put(SYNC)
    begun = queue.syncs.begin_run(SYNC, NOON)
    assert begun is not None
    with Queue(tmp_path / "queue.db") as other:
        assert other.syncs.begin_run(SYNC, NOON) is None

        queue.syncs._locks.pop(begun[1].id).release()  # as the kernel does for a process that was killed
        again = other.syncs.begin_run(SYNC, NOON, adds_rows=adds_rows)

        assert again is not None
        assert queue.syncs.begin_run(SYNC, NOON) is None
        other.syncs.end_run(*again, SyncResult(SyncStatus.SUCCESS), NOON)
    assert queue.syncs.begin_run(SYNC, NOON) is not None
    first, second, third = queue.syncs.runs("default")
    assert first.result.status is SyncStatus.FATAL
    assert first.result.reason == "the process ended during the run"
    assert first.result.is_unknown is adds_rows
    assert (second.result.status, third.result.status) == (SyncStatus.SUCCESS, SyncStatus.RUNNING)


def test_a_sync_that_is_created_again_resolves_its_unknown_runs(queue: Queue) -> None:
    queue.syncs.put(SYNC)
    begun = queue.syncs.begin_run(SYNC, NOON)
    assert begun is not None
    queue.syncs.end_run(*begun, SyncResult(SyncStatus.FATAL, is_unknown=True), NOON)
    assert is_unknown(queue)

    queue.syncs.put(SYNC)

    assert not is_unknown(queue)


def is_unknown(queue: Queue) -> bool:
    run = queue.syncs.last_run(SYNC)
    return run is not None and run.result.is_unknown


def test_a_script_runs_after_each_load_of_its_table_and_stays(queue: Queue) -> None:
    scripts = queue.scripts
    scripts.put_script(RUNNING)
    assert not scripts.start_due_runs(1, NOON, 4)
    assert not scripts.trigger_after_load("default", PEOPLE, NOON)

    for moment in (NOON, NOON + MINUTE):
        assert scripts.trigger_after_load("default", NOTES, moment)
        [(script, run)] = scripts.start_due_runs(1, moment, 4)
        assert script.statement == "run sync people"
        scripts.finish_run(run, ScriptRunResult(RunStatus.SUCCESS), moment)

    assert [replace(one, timing=RUNNING.timing) for one in scripts.list_scripts()] == [RUNNING]


def test_a_lost_queue_gets_its_syncs_back_and_a_copy_of_the_home_runs_none(
    queue: Queue, tmp_path: Path
) -> None:
    queue.syncs.put(replace(SYNC, cursor="9"))
    queue.scripts.put_script(RUNNING)
    with closing(sqlite3.connect(tmp_path / "queue.db")) as connection:
        connection.row_factory = sqlite3.Row
        copied = json.loads(encode_schedules(connection, read_sql_sections(STATEMENTS_FILE)))
    queue.close()
    for path in tmp_path.glob("queue.db*"):
        path.unlink()

    with Queue(tmp_path / "queue.db") as restored:
        assert restored.syncs.list("default") == [replace(SYNC, cursor="9")]
        assert [one.name for one in restored.scripts.list_scripts()] == ["people"]
    assert [one["name"] for one in copied["syncs"]] == ["people"]
    assert copied["scripts"] == []
