"""When the daemon maintains the lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon_home import DaemonHome
from tests.support.waiting import wait_until
from unify.daemon.maintenance import (
    IDLE_BEFORE_S,
    INTERVAL_S,
    MAX_DEFERRAL_S,
    RETRY_DELAY_S,
    SLICE_INTERVAL_S,
    SLICE_S,
    MaintenanceSchedule,
)
from unify.model import Action, JobState


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
    def upkeep(self, tmp_path: Path, clock: TestUpkeep.Clock) -> MaintenanceSchedule:
        return MaintenanceSchedule(tmp_path, clock, clock)

    def test_waits_for_a_quiet_minute(self, upkeep: MaintenanceSchedule, clock: TestUpkeep.Clock) -> None:
        assert not upkeep.is_due(idle_s=3600)
        clock.now += IDLE_BEFORE_S
        assert not upkeep.is_due(idle_s=IDLE_BEFORE_S - 1)
        assert upkeep.is_due(idle_s=IDLE_BEFORE_S)

    def test_once_an_hour_is_enough(self, upkeep: MaintenanceSchedule, clock: TestUpkeep.Clock) -> None:
        clock.now += IDLE_BEFORE_S
        assert upkeep.start() is None
        upkeep.mark_completed()
        clock.now += INTERVAL_S - 1
        assert not upkeep.is_due(idle_s=INTERVAL_S)
        assert upkeep.wait_s(idle_s=INTERVAL_S) == pytest.approx(1)
        clock.now += 1
        assert upkeep.is_due(idle_s=INTERVAL_S)

    def test_under_steady_load_it_runs_in_slices_ten_minutes_after_it_is_due(
        self, upkeep: MaintenanceSchedule, clock: TestUpkeep.Clock
    ) -> None:
        upkeep.mark_completed()
        clock.now += INTERVAL_S + MAX_DEFERRAL_S - 1
        assert not upkeep.is_due(idle_s=0)
        assert upkeep.wait_s(idle_s=0) == pytest.approx(1)
        clock.now += 1
        assert upkeep.is_due(idle_s=0)
        should_continue = upkeep.start()
        assert should_continue is not None
        clock.now += 5  # the publisher was busy: the slice begins when it is carried out
        assert should_continue()
        clock.now += SLICE_S
        assert should_continue()
        clock.now += 0.1
        assert not should_continue()
        clock.now += SLICE_INTERVAL_S
        assert upkeep.is_due(idle_s=0)

    def test_a_busy_daemon_whose_lake_was_never_maintained_begins_after_ten_minutes(
        self, upkeep: MaintenanceSchedule, clock: TestUpkeep.Clock
    ) -> None:
        clock.now += MAX_DEFERRAL_S - 1
        assert not upkeep.is_due(idle_s=0)
        clock.now += 1
        assert upkeep.is_due(idle_s=0)

    def test_after_one_cut_short_there_is_a_pause(
        self, upkeep: MaintenanceSchedule, clock: TestUpkeep.Clock
    ) -> None:
        clock.now += IDLE_BEFORE_S
        assert upkeep.start() is None
        assert not upkeep.is_due(idle_s=IDLE_BEFORE_S)
        clock.now += RETRY_DELAY_S
        assert upkeep.is_due(idle_s=IDLE_BEFORE_S)

    def test_another_start_of_the_daemon_remembers(self, tmp_path: Path, clock: TestUpkeep.Clock) -> None:
        MaintenanceSchedule(tmp_path, clock, clock).mark_completed()
        second = MaintenanceSchedule(tmp_path, clock, clock)
        clock.now += IDLE_BEFORE_S
        assert not second.is_due(idle_s=IDLE_BEFORE_S)

    def test_the_daemon_does_it_when_it_is_quiet(
        self, daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("unify.status.launch.DAEMON_MODULE", "tests.support.daemon_early_maintenance")
        daemon_home.start_daemon()
        assert daemon_home.wait_for_end(daemon_home.enqueue_load("rows")).state is JobState.DONE
        wait_until((daemon_home.settings.lake / "tended").exists)
        wait_until(lambda: "lake.maintenance_completed" in daemon_home.log_text())
        assert daemon_home.count_rows("rows") == 100
        assert (
            daemon_home.wait_for_end(daemon_home.enqueue_load("rows", Action.RELOAD)).state is JobState.DONE
        )
