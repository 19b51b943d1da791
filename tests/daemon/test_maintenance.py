"""The schedule of lake maintenance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.daemon_home import DaemonHome
from tests.support.waiting import wait_until
from unify.daemon.maintenance import (
    IDLE_BEFORE_S,
    INTERVAL_S,
    LAST_RUN_FILE,
    MAX_DEFERRAL_S,
    RETRY_DELAY_S,
    SLICE_INTERVAL_S,
    SLICE_S,
    MaintenanceSchedule,
)
from unify.model import Action, JobState


class TestMaintenanceSchedule:
    class Clock:
        def __init__(self) -> None:
            self.now = 1_000_000_000.0

        def __call__(self) -> float:
            return self.now

    @pytest.fixture
    def clock(self) -> TestMaintenanceSchedule.Clock:
        return self.Clock()

    @pytest.fixture
    def maintenance(self, tmp_path: Path, clock: TestMaintenanceSchedule.Clock) -> MaintenanceSchedule:
        return MaintenanceSchedule(tmp_path, clock, clock)

    def test_maintenance_waits_for_an_idle_minute(
        self, maintenance: MaintenanceSchedule, clock: TestMaintenanceSchedule.Clock
    ) -> None:
        assert not maintenance.is_due(idle_s=3600)
        clock.now += IDLE_BEFORE_S
        assert not maintenance.is_due(idle_s=IDLE_BEFORE_S - 1)
        assert maintenance.is_due(idle_s=IDLE_BEFORE_S)

    def test_maintenance_is_due_once_an_hour(
        self, maintenance: MaintenanceSchedule, clock: TestMaintenanceSchedule.Clock
    ) -> None:
        clock.now += IDLE_BEFORE_S
        assert maintenance.start() is None
        maintenance.mark_completed()
        clock.now += INTERVAL_S - 1
        assert not maintenance.is_due(idle_s=INTERVAL_S)
        assert maintenance.wait_s(idle_s=INTERVAL_S) == pytest.approx(1)
        clock.now += 1
        assert maintenance.is_due(idle_s=INTERVAL_S)

    def test_maintenance_under_steady_load_runs_in_slices_after_ten_minutes(
        self, maintenance: MaintenanceSchedule, clock: TestMaintenanceSchedule.Clock
    ) -> None:
        maintenance.mark_completed()
        clock.now += INTERVAL_S + MAX_DEFERRAL_S - 1
        assert not maintenance.is_due(idle_s=0)
        assert maintenance.wait_s(idle_s=0) == pytest.approx(1)
        clock.now += 1
        assert maintenance.is_due(idle_s=0)
        should_continue = maintenance.start()
        assert should_continue is not None
        clock.now += 5  # the publisher was busy: the slice starts with its first step
        assert should_continue()
        clock.now += SLICE_S
        assert should_continue()
        clock.now += 0.1
        assert not should_continue()
        clock.now += SLICE_INTERVAL_S
        assert maintenance.is_due(idle_s=0)

    def test_the_first_maintenance_of_a_busy_daemon_starts_after_ten_minutes(
        self, maintenance: MaintenanceSchedule, clock: TestMaintenanceSchedule.Clock
    ) -> None:
        clock.now += MAX_DEFERRAL_S - 1
        assert not maintenance.is_due(idle_s=0)
        clock.now += 1
        assert maintenance.is_due(idle_s=0)

    def test_interrupted_maintenance_is_retried_after_a_delay(
        self, maintenance: MaintenanceSchedule, clock: TestMaintenanceSchedule.Clock
    ) -> None:
        clock.now += IDLE_BEFORE_S
        assert maintenance.start() is None
        assert not maintenance.is_due(idle_s=IDLE_BEFORE_S)
        clock.now += RETRY_DELAY_S
        assert maintenance.is_due(idle_s=IDLE_BEFORE_S)

    def test_a_restarted_daemon_knows_the_last_maintenance(
        self, tmp_path: Path, clock: TestMaintenanceSchedule.Clock
    ) -> None:
        MaintenanceSchedule(tmp_path, clock, clock).mark_completed()
        second = MaintenanceSchedule(tmp_path, clock, clock)
        clock.now += IDLE_BEFORE_S
        assert not second.is_due(idle_s=IDLE_BEFORE_S)

    def test_an_idle_daemon_maintains_the_lake(
        self, daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("unify.status.launch.DAEMON_MODULE", "tests.support.daemon_early_maintenance")
        daemon_home.start_daemon()
        assert daemon_home.wait_for_end(daemon_home.enqueue_load("rows")).state is JobState.DONE
        wait_until((daemon_home.settings.lake / LAST_RUN_FILE).exists)
        wait_until(lambda: "lake.maintenance_completed" in daemon_home.log_text())
        assert daemon_home.count_rows("rows") == 100
        assert (
            daemon_home.wait_for_end(daemon_home.enqueue_load("rows", Action.RELOAD)).state is JobState.DONE
        )
