"""Two versions of Unify on one home: an old shell with a new daemon, and a new shell with an old daemon."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tests.support.daemon_home import DaemonHome
from unify import version
from unify.config.settings import Settings
from unify.errors import NewerVersion
from unify.fs.sqlite import read_sql_sections
from unify.interpreter.commands.system import SystemCommands
from unify.load.protocol import LoadProgress, LoadTask, RequestBatch, TaskResult
from unify.load.staging import Manifest
from unify.model import Action, ConfigPaths, JobState, LoaderStatus, TableName
from unify.queue.queue import Queue
from unify.queue.rows import decode_origin
from unify.queue.sqlite import SCHEMA_FILE
from unify.status import launch
from unify.status.launch import ensure_daemon
from unify.status.messages import (
    DaemonInfo,
    DaemonReply,
    DaemonRequest,
    StatusEvent,
    StatusSnapshot,
    SubscriptionWelcome,
)

SCHEMA = read_sql_sections(SCHEMA_FILE)
NEWEST = int(list(SCHEMA)[-1])
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSERT_JOB = """
INSERT INTO job (uid, tenant, action, connection, table_name, origin, priority, state, created_at, start_at)
VALUES (?, 'default', 'load', 'c', ?, '{"connections":"/c"}', 0, ?, 0, 0)
"""  # as the first version did
# The fields that the first version of a message had. A later field needs a default.
FIRST_FIELDS: dict[type, dict[str, object]] = {
    DaemonInfo: {"version": "0.0.1", "epoch": 1, "pid": 2, "started_at": NOON},
    DaemonReply: {"id": 1},
    DaemonRequest: {"id": 1, "ask": "ping"},
    StatusSnapshot: {"epoch": 1, "sequence": 1},
    StatusEvent: {
        "epoch": 1,
        "sequence": 1,
        "status": {
            "job": 1,
            "table": {"schema": "a", "table": "b"},
            "action": "load",
            "state": "running",
        },
    },
    SubscriptionWelcome: {"epoch": 1, "sequence": 1},
    LoaderStatus: {
        "job": 1,
        "table": {"schema": "a", "table": "b"},
        "action": "load",
        "state": "running",
    },
    ConfigPaths: {"connections": "/c.yaml"},
    Manifest: {"files": [], "columns": [], "rows": 0},
    LoadProgress: {"job": 1, "attempt": 1},
    RequestBatch: {"job": 1, "attempt": 1, "requests": []},
    TaskResult: {"job": 1, "attempt": 1, "ending": "sealed", "progress": {"job": 1, "attempt": 1}},
    LoadTask: {
        "job": 1,
        "uid": "u",
        "attempt": 1,
        "tenant": "default",
        "action": "load",
        "table": {"schema": "a", "table": "b"},
        "origin": {"connections": "/c.yaml"},
        "home": "/h",
        "folder": "/f",
    },
}


@pytest.mark.parametrize("kind", FIRST_FIELDS, ids=lambda kind: kind.__name__)
def test_a_message_of_an_older_or_newer_version_is_understood(kind: type) -> None:
    older = msgspec.json.encode(FIRST_FIELDS[kind])
    newer = msgspec.json.encode({**FIRST_FIELDS[kind], "of_a_later_version": [1]})
    assert msgspec.json.decode(older, type=kind) == msgspec.json.decode(newer, type=kind)


def make_queue(path: Path, schema: int) -> None:
    """Create a queue as a version with this schema did, with a job in each state."""
    with closing(sqlite3.connect(path)) as old, old:
        for number in range(1, schema + 1):
            for statement in SCHEMA[str(number)].split(";\n"):
                old.execute(statement)
        old.executemany(INSERT_JOB, [(state.value, state.value, state.value) for state in JobState])
        old.execute(f"PRAGMA user_version = {schema}")


@pytest.mark.parametrize("schema", range(1, NEWEST))
def test_a_queue_of_an_older_version_is_migrated_and_keeps_its_jobs(tmp_path: Path, schema: int) -> None:
    make_queue(tmp_path / "queue.db", schema)
    with Queue(tmp_path / "queue.db") as queue:
        jobs = {job.uid: job.state for job in queue.recent_jobs(100)}
        assert jobs == {state.value: state for state in JobState}
        claimed = queue.claim(1, NOON)
        assert claimed is not None
        assert queue.finish(claimed, JobState.FAILED, "no", NOON) is not None


def test_a_daemon_of_an_older_version_goes_on_with_a_queue_that_was_migrated(tmp_path: Path) -> None:
    """Its statements name none of the columns that later versions have added."""
    make_queue(tmp_path / "queue.db", 1)
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as daemon:
        with Queue(tmp_path / "queue.db") as queue:
            queue.recent_jobs(1)
        daemon.execute(INSERT_JOB, ["new", "n", "queued"])
        daemon.execute("UPDATE job SET state = 'running', attempt = 1, epoch = 1 WHERE uid = 'new'")
        daemon.execute("UPDATE job SET state = 'done', finished_at = 1 WHERE uid = 'new'")
        daemon.execute(
            "INSERT INTO schedule (tenant, connection, table_name, origin, every_s, next_at) "
            "VALUES ('default', 'c', 'n', '{\"connections\":\"/c\"}', 60, 1)"
        )
        with Queue(tmp_path / "queue.db") as queue:
            [job] = [job for job in queue.recent_jobs(100) if job.uid == "new"]
            assert (job.state, job.deaths, job.boot) == (JobState.DONE, 0, "")
            assert [schedule.table for schedule in queue.schedules()] == [TableName("c", "n")]


def test_the_origin_of_a_job_of_a_newer_version_is_read() -> None:
    assert decode_origin('{"connections": "/c", "specs": ["/s"], "later": {}}') == ConfigPaths("/c", ("/s",))


@pytest.fixture
def newer_home(daemon_home: DaemonHome) -> Iterator[DaemonHome]:
    """A home whose daemon runs and whose queue a newer version has migrated."""
    pid = daemon_home.start_daemon()
    with closing(sqlite3.connect(daemon_home.settings.queue)) as queue, queue:
        queue.execute(f"PRAGMA user_version = {NEWEST + 1}")
    yield daemon_home
    with closing(sqlite3.connect(daemon_home.settings.queue)) as queue, queue:
        queue.execute(f"PRAGMA user_version = {NEWEST}")
    assert daemon_home.start_daemon() == pid


def test_an_old_shell_says_so_and_leaves_the_daemon_of_a_newer_home_running(newer_home: DaemonHome) -> None:
    settings: Settings = newer_home.settings
    with Queue(settings.queue) as queue:
        commands = SystemCommands.__new__(SystemCommands)
        commands.settings, commands.queue = settings, queue
        with pytest.raises(NewerVersion, match=r"created by a newer version of Unify .*; update Unify"):
            commands.restart()


@pytest.mark.parametrize(
    ("other", "is_replaced"),
    [("0.0.9", True), ("0.1", True), ("0.1.0", False), ("0.1.1", False), ("0.10.0", False), ("x", True)],
)
def test_a_shell_replaces_an_idle_daemon_of_an_older_version_only(
    daemon_home: DaemonHome, monkeypatch: pytest.MonkeyPatch, other: str, is_replaced: bool
) -> None:
    monkeypatch.setattr(version, "VERSION", "0.1.0")
    stopped: list[Settings] = []
    told = [DaemonInfo(other, 1, 1, NOON), DaemonInfo("0.1.0", 2, 2, NOON)]
    monkeypatch.setattr(launch, "is_daemon_running", lambda _settings: True)
    monkeypatch.setattr(launch, "_wait_for_reply", lambda *_: told.pop(0))
    monkeypatch.setattr(launch, "stop_daemon", stopped.append)
    assert ensure_daemon(daemon_home.settings).epoch == (2 if is_replaced else 1)
    assert bool(stopped) is is_replaced


def test_every_action_and_state_of_the_first_version_is_known() -> None:
    assert {"load", "refresh", "reload"} <= {action.value for action in Action}
    assert {"queued", "running", "publishing", "done", "failed", "cancelled", "dead"} <= {*JobState}
