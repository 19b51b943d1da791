"""The log of statements and calls."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from unify.activity.records import AgentCall, NewStatement
from unify.activity.store import ActivityStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def activity(tmp_path: Path) -> Iterator[ActivityStore]:
    with ActivityStore(tmp_path / "activity.db") as opened:
        yield opened


def new(pid: int | None = None) -> NewStatement:
    return NewStatement("ann", "curl", "127.0.0.1", "http", "select 1", os.getpid() if pid is None else pid)


def test_nothing_is_made_by_reading(activity: ActivityStore) -> None:
    assert (activity.recent(), activity.running(), activity.recent_calls()) == ([], [], [])
    assert activity.ask_cancel(1) is None
    assert not activity.path.exists()


def test_a_statement_has_a_state_and_an_end(activity: ActivityStore) -> None:
    first, second = activity.begin(new(), NOW), activity.begin(new(), NOW)
    assert stat.S_IMODE(activity.path.stat().st_mode) == 0o600
    activity.end(first, "failed", NOW + timedelta(seconds=2), rows=3, loads=1, error="no")
    assert [one.id for one in activity.running()] == [second]
    [_, ended] = activity.recent()
    assert (ended.state, ended.rows, ended.loads, ended.error, ended.seconds) == ("failed", 3, 1, "no", 2.0)


def test_only_a_running_statement_can_be_cancelled(activity: ActivityStore) -> None:
    id = activity.begin(new(), NOW)
    assert activity.ask_cancel(id + 1) is None
    found = activity.ask_cancel(id)
    assert found is not None
    assert activity.cancel_asked(os.getpid()) == [id]
    activity.end(id, "cancelled", NOW)
    assert activity.cancel_asked(os.getpid()) == []
    assert activity.ask_cancel(id) is None


@pytest.mark.process
def test_statements_of_a_killed_server_are_lost(activity: ActivityStore) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], stdout=subprocess.PIPE)
    activity.begin(new(int(ended.stdout)), NOW)
    assert activity.running() == []
    [lost] = activity.recent()
    assert lost.state == "lost"


def test_old_calls_are_forgotten(activity: ActivityStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unify.activity.store.KEPT", 2)
    for number in range(4):
        activity.add_call(AgentCall("a", "query", f"select {number}", "allowed", 1, 0, 0.1, "", NOW))
    assert [one.statement for one in activity.recent_calls()] == ["select 3", "select 2"]
