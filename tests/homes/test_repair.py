"""Repairs of a home: nothing that can be read is lost."""

from __future__ import annotations

import os
from pathlib import Path

from tests.homes.conftest import ROWS, data_file
from tests.support.publishing import KEYED
from tests.support.stores import make_job, stage_rows
from unify.config.settings import Settings
from unify.homes.check import check_home
from unify.homes.repair import repair_home
from unify.model import Action, ConfigPaths, JobState, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob, Schedule


def repair(settings: Settings) -> list[str]:
    return list(repair_home(settings, check_home(settings)))


def all_data_files(settings: Settings) -> set[Path]:
    return {path for path in settings.data_path.rglob("*") if path.is_file()}


def test_modes_are_restored_and_files_of_the_user_stay(filled: Settings) -> None:
    path = data_file(filled, "github", "pulls")
    path.chmod(0o666)
    filled.lake.chmod(0o777)
    mine = filled.home / "notes.txt"
    mine.write_text("mine")
    mine.chmod(0o644)
    assert len(repair(filled)) == 2
    assert (path.stat().st_mode & 0o777, filled.lake.stat().st_mode & 0o777) == (0o600, 0o700)
    assert mine.stat().st_mode & 0o777 == 0o644
    assert check_home(filled).findings == ()


def test_staged_rows_are_removed_unless_a_job_needs_them(filled: Settings) -> None:
    origin = ConfigPaths(str(filled.connections))
    with Queue(filled.queue) as queue:
        job = queue.enqueue(NewJob("default", Action.LOAD, TableName("github", "pulls"), origin))
    for uid in (job.uid, "leftover"):
        stage_rows(filled, make_job(uid=uid), KEYED, ROWS[:10])
    repair(filled)
    assert [path.name for path in filled.staging.iterdir()] == [job.uid]


def test_a_damaged_table_is_requested_again_and_no_data_file_is_deleted(filled: Settings) -> None:
    damaged = [data_file(filled, "github", "pulls"), data_file(filled, "main", "words")]
    for path in damaged:
        os.truncate(path, 10)
    orphan = filled.data_path / "unknown.parquet"
    orphan.touch(mode=0o600)
    before = all_data_files(filled)
    [line] = repair(filled)
    assert line.startswith("github.pulls: reload requested as job ")
    with Queue(filled.queue) as queue:
        [job] = queue.active_jobs()
    assert (job.action, job.table, job.state) == (
        Action.RELOAD,
        TableName("github", "pulls"),
        JobState.QUEUED,
    )
    assert all_data_files(filled) == before


def test_a_damaged_queue_is_set_aside_and_its_schedules_are_restored(filled: Settings) -> None:
    origin = ConfigPaths(str(filled.connections))
    with Queue(filled.queue) as queue:
        queue.set_schedule(Schedule("default", TableName("github", "pulls"), origin, 3600.0, None))
    filled.queue.write_bytes(os.urandom(8192))
    [line] = repair(filled)
    assert "restored 1 schedules of tables" in line
    assert len(list(filled.home.glob("queue.db.damaged-*"))) == 1
    with Queue(filled.queue) as queue:
        assert [schedule.table.table for schedule in queue.schedules()] == ["pulls"]


def test_an_intact_home_needs_no_repair(filled: Settings) -> None:
    assert repair(filled) == []
