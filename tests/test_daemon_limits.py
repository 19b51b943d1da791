"""What a daemon does when nobody asks: end when idle, tend the lake, count crashes, watch memory."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support import wait_until
from tests.test_daemon import Home
from unify.errors import UsageError
from unify.loading import memory
from unify.loading.memory import resident_bytes
from unify.loading.upkeep import EVERY_S, LATEST_S, PAUSE_S, QUIET_S, Upkeep
from unify.model import Action, JobState, Origin, TableName
from unify.settings import Settings
from unify.shell.limits import with_limits
from unify.status.launch import daemon_running
from unify.store.queue import NewJob, Queue
from unify.store.sqlfile import sections


class TestIdleExit:
    def test_a_daemon_without_work_ends_and_says_so(self, place: Home) -> None:
        place.settings = replace(place.settings, idle_exit_s=0.5)
        place.start()
        wait_until(lambda: not daemon_running(place.settings))
        assert "nothing to do for_s=0.5" in place.log()
        assert place.log().rstrip().endswith("daemon stopped")

    def test_it_does_not_end_under_a_load(self, place: Home) -> None:
        place.settings = replace(place.settings, idle_exit_s=0.5)
        place.start()
        job = place.ask("gated")
        place.progress(job)
        time.sleep(1.2)  # twice the time it would need to end
        assert daemon_running(place.settings)
        place.open_gate()
        assert place.ended(job).state is JobState.DONE
        wait_until(lambda: not daemon_running(place.settings))

    def test_without_the_setting_it_stays(self, place: Home) -> None:
        place.start()
        assert place.settings.idle_exit_s is None
        time.sleep(1.0)
        assert daemon_running(place.settings)


class TestMemory:
    def test_the_kernel_tells_what_we_hold(self) -> None:
        before = resident_bytes([os.getpid()])[os.getpid()]
        held = bytearray(os.urandom(1024)) * (100 * 1024)
        assert resident_bytes([os.getpid()])[os.getpid()] - before > 0.9 * len(held)

    def test_where_there_is_no_proc_ps_tells_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        here = os.getpid()
        by_proc = resident_bytes([here])[here]
        monkeypatch.setattr(memory, "_PROC", Path("/no/proc"))
        assert resident_bytes([here, 2**22 + 1]) == {here: pytest.approx(by_proc, rel=0.2)}
        assert resident_bytes([]) == {}

    def test_who_has_ended_is_left_out(self) -> None:
        assert resident_bytes([2**22 + 1]) == {}

    def test_a_load_that_takes_too_much_ends_with_the_reason_and_the_others_go_on(self, place: Home) -> None:
        place.settings = replace(place.settings, worker_memory_bytes=400 * 1024**2)
        place.start()
        neighbour = place.ask("gated")
        pid = place.progress(neighbour).rows
        greedy = place.ended(place.ask("grow"))
        assert greedy.state is JobState.DEAD
        assert "MiB of memory, more than the 400 MiB it may" in greedy.error
        assert place.progress(neighbour).rows == pid
        place.open_gate()
        assert place.ended(neighbour).state is JobState.DONE


class TestCrashes:
    def test_are_counted_over_a_restart_of_the_daemon(self, place: Home) -> None:
        pid = place.start()
        job = place.ask("crash")
        wait_until(lambda: place.queue.get(job.id).crashes == 1)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not daemon_running(place.settings))
        place.start()
        ended = place.ended(job)
        assert (ended.state, ended.crashes) == (JobState.DEAD, 2), ended  # the third one ended it
        assert "3 times" in ended.error

    def test_are_forgotten_by_a_retry(self, place: Home) -> None:
        origin = Origin(str(place.settings.connections))
        table = TableName("test", "rows")
        job = place.queue.enqueue(NewJob("default", Action.LOAD, table, origin))
        claimed = place.queue.claim(1, datetime.now(UTC))
        assert claimed is not None
        back = place.queue.requeue(claimed, datetime.now(UTC), "killed", crashed=True)
        assert back is not None
        assert (back.crashes, back.failures) == (1, 1)
        place.queue.cancel(job.id)
        again = place.queue.retry(job.id)
        assert again is not None
        assert (again.crashes, again.failures) == (0, 0)

    def test_a_queue_of_the_version_before_is_taken_over(self, tmp_path: Path) -> None:
        with sqlite3.connect(tmp_path / "queue.db") as old:
            for statement in sections("queue_schema.sql")["1"].split(";\n"):
                old.execute(statement)
            old.execute(
                "INSERT INTO job (uid, tenant, action, connection, table_name, origin, priority, state, "
                "created_at, start_at) VALUES ('u', 't', 'load', 'c', 'n', '{\"connections\":\"/c\"}', 0, "
                "'queued', 0, 0)"
            )
            old.execute("PRAGMA user_version = 1")
        old.close()
        with Queue(tmp_path / "queue.db") as queue:
            [job] = queue.active()
        assert (job.uid, job.crashes) == ("u", 0)


class TestUpkeep:
    class Clock:
        def __init__(self) -> None:
            self.now = 1_000_000_000.0

        def __call__(self) -> float:
            return self.now

    @pytest.fixture
    def clock(self) -> TestUpkeep.Clock:
        return self.Clock()

    @pytest.fixture
    def upkeep(self, tmp_path: Path, clock: TestUpkeep.Clock) -> Upkeep:
        return Upkeep(tmp_path, clock, clock)

    def test_waits_for_a_quiet_minute(self, upkeep: Upkeep, clock: TestUpkeep.Clock) -> None:
        assert not upkeep.due(quiet_s=3600)
        clock.now += QUIET_S
        assert not upkeep.due(quiet_s=QUIET_S - 1)
        assert upkeep.due(quiet_s=QUIET_S)

    def test_once_an_hour_is_enough(self, upkeep: Upkeep, clock: TestUpkeep.Clock) -> None:
        clock.now += QUIET_S
        upkeep.began()
        upkeep.ended()
        clock.now += EVERY_S - 1
        assert not upkeep.due(quiet_s=EVERY_S)
        assert upkeep.wait_s(quiet_s=EVERY_S) == pytest.approx(1)
        clock.now += 1
        assert upkeep.due(quiet_s=EVERY_S)

    def test_a_daemon_that_is_never_quiet_does_it_once_a_day(
        self, upkeep: Upkeep, clock: TestUpkeep.Clock
    ) -> None:
        upkeep.ended()
        clock.now += LATEST_S - 1
        assert not upkeep.due(quiet_s=0)
        assert not upkeep.overdue
        clock.now += 1
        assert upkeep.due(quiet_s=0)
        assert upkeep.overdue

    def test_after_one_cut_short_there_is_a_pause(self, upkeep: Upkeep, clock: TestUpkeep.Clock) -> None:
        clock.now += QUIET_S
        upkeep.began()
        assert not upkeep.due(quiet_s=QUIET_S)
        clock.now += PAUSE_S
        assert upkeep.due(quiet_s=QUIET_S)

    def test_another_start_of_the_daemon_remembers(self, tmp_path: Path, clock: TestUpkeep.Clock) -> None:
        Upkeep(tmp_path, clock, clock).ended()
        second = Upkeep(tmp_path, clock, clock)
        clock.now += QUIET_S
        assert not second.due(quiet_s=QUIET_S)

    def test_the_daemon_does_it_when_it_is_quiet(self, place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("unify.status.launch.COMMAND", "tests.tending_daemon")
        place.start()
        assert place.ended(place.ask("rows")).state is JobState.DONE
        wait_until((place.settings.lake / "tended").exists)
        wait_until(lambda: "lake tended " in place.log())
        assert place.rows("rows") == 100
        assert place.ended(place.ask("rows", Action.RELOAD)).state is JobState.DONE


class TestTheEnvironment:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(tmp_path, tmp_path / "connections.yaml")

    def test_sets_the_limits(self, settings: Settings) -> None:
        said = {"UNIFY_WORKERS": "8", "UNIFY_WORKER_MEMORY": "1.5 GB", "UNIFY_IDLE_EXIT": "30 minutes"}
        limited = with_limits(settings, {**said, "UNIFY_HISTORY": "2 days"})
        assert limited.kept_history_s == 2 * 86_400
        assert (limited.workers, limited.worker_memory_bytes, limited.idle_exit_s) == (
            8,
            1536 * 1024**2,
            1800,
        )

    @pytest.mark.parametrize("said", [{}, {"UNIFY_IDLE_EXIT": "never"}, {"UNIFY_WORKERS": ""}])
    def test_or_leaves_them(self, settings: Settings, said: Mapping[str, str]) -> None:
        assert with_limits(settings, said) == settings

    @pytest.mark.parametrize(
        "said",
        [
            {"UNIFY_WORKERS": "0"},
            {"UNIFY_WORKERS": "many"},
            {"UNIFY_WORKERS": "1000"},
            {"UNIFY_WORKER_MEMORY": "2"},
            {"UNIFY_WORKER_MEMORY": "10 MB"},
            {"UNIFY_IDLE_EXIT": "soon"},
            {"UNIFY_HISTORY": "for ever"},
        ],
    )
    def test_or_says_what_is_wrong(self, settings: Settings, said: Mapping[str, str]) -> None:
        [(name, text)] = said.items()
        with pytest.raises(UsageError, match=f"{name}={text}"):
            with_limits(settings, said)
