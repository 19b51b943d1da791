"""A short fault campaign loses nothing, and a loss would be detected."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.chaos import verdict
from benchmarks.chaos.__main__ import main, print_report
from benchmarks.chaos.clock import JumpingClock
from benchmarks.chaos.verdict import ReportLine
from unify.model import Action, ConfigPaths, JobState, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_minute_of_faults_loses_nothing() -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    assert main(["--minutes", "1", "--seed", str(seed)]) == 0


def test_a_jumping_clock_neither_skips_nor_doubles_a_refresh(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    clock = JumpingClock(tmp_path, random.Random(seed))
    for _ in range(40):
        clock.jump()
    clock.close()
    assert (clock.checked, clock.lost) == (560, 0)


def test_a_lost_job_is_detected(tmp_path: Path) -> None:
    def new_job(table: str) -> NewJob:
        return NewJob("default", Action.LOAD, TableName("api", table), ConfigPaths("/nowhere"))

    with Queue(tmp_path / "queue.db") as queue:
        stuck = queue.enqueue(new_job("stuck"), NOW)
        failed = queue.enqueue(new_job("failed"), NOW)
        for state in (JobState.DONE, JobState.FAILED):
            claimed = queue.claim(1, NOW)
            assert claimed is not None
            if state is JobState.FAILED:
                queue.finish(claimed, state, "out of luck", NOW)
        accepted, ended = verdict.check_jobs(queue, [stuck.id, failed.id, 4711])
    assert (accepted.checked, accepted.lost) == (3, 2)  # one did not end, one does not exist
    assert (ended.checked, ended.lost) == (2, 1)
    assert "out of luck" in ended.example


def test_the_report_and_its_exit_status_show_losses(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_report([ReportLine("jobs", 12, 0)]) == 0
    assert "nothing was lost" in capsys.readouterr().out
    assert print_report([ReportLine("jobs", 12, 1, "job 7 is gone")]) == 1
    assert "1 LOST" in capsys.readouterr().out
