"""The status channel over sockets: every subscriber receives each status once, in order."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zmq
from msgspec.structs import replace

from unify.config.settings import Settings
from unify.errors import DaemonUnreachable, UnifyError
from unify.model import Action, JobState, LoaderStatus, TableName
from unify.status import instance, messages
from unify.status.client import StatusClient
from unify.status.launch import ensure_daemon, is_daemon_running, stop_daemon
from unify.status.messages import DaemonInfo
from unify.status.server import MAX_KEPT_STATUSES, StatusServer

STATUS = LoaderStatus(1, TableName("github", "pulls"), Action.LOAD, JobState.RUNNING)


class Daemon:
    """A status server on a thread, as in the daemon; it records the requests."""

    def __init__(self, folder: Path, epoch: int = 1, interval_s: float = 0.0) -> None:
        self.folder = folder
        self.epoch = epoch
        self.interval_s = interval_s
        self.requests: list[str] = []
        self.environment: dict[str, str] = {}
        self.faults: list[Exception] = []
        self._todo: list[Callable[[StatusServer], None]] = []
        self._over = threading.Event()
        self._bound = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Daemon:
        self._thread.start()
        assert self._bound.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def publish(self, *statuses: LoaderStatus) -> None:
        """Publish on the thread of the server and wait until that is done."""
        done = threading.Event()

        def act(server: StatusServer) -> None:
            for status in statuses:
                server.publish(status)
            done.set()

        self._todo.append(act)
        assert done.wait(5)

    def daemon_info(self) -> DaemonInfo:
        return DaemonInfo("0.0.0", self.epoch, os.getpid(), datetime(2026, 1, 1, tzinfo=UTC))

    def poll_queue(self) -> None:
        self.requests.append("kick")

    def cancel(self, job: int) -> None:
        if job == 404:
            raise UnifyError("there is no job 404")
        self.requests.append(f"cancel {job}")

    def stop(self) -> None:
        self.requests.append("stop")

    def offer_environment(self, values: dict[str, str]) -> None:
        self.environment.update(values)

    def report_fault(self, error: Exception) -> None:
        self.faults.append(error)

    def _run(self) -> None:
        with StatusServer(self.folder, self.epoch, interval_s=self.interval_s) as server:
            poller = zmq.Poller()
            for socket in server.sockets:
                poller.register(socket, zmq.POLLIN)
            self._bound.set()
            while not self._over.is_set():
                while self._todo:
                    self._todo.pop(0)(server)
                poller.poll(2)
                server.handle_requests(self)
                server.flush()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def client(folder: Path) -> Iterator[StatusClient]:
    with StatusClient(folder) as client:
        yield client


def finished(job: int) -> LoaderStatus:
    return replace(STATUS, job=job, state=JobState.DONE)


def receive(client: StatusClient, count: int, within_s: float = 5.0) -> list[LoaderStatus]:
    """Return the next ``count`` statuses, or those received in time."""
    received: list[LoaderStatus] = []
    deadline = time.monotonic() + within_s
    while len(received) < count and time.monotonic() < deadline:
        received.extend(client.events(deadline - time.monotonic()))
    return received


def test_a_subscriber_receives_later_events(folder: Path, client: StatusClient) -> None:
    with Daemon(folder) as daemon:
        assert list(client.subscribe()) == []
        daemon.publish(finished(1), finished(2))
        assert receive(client, 2) == [finished(1), finished(2)]
        assert client.events(0.01) == []


def test_a_late_subscriber_receives_a_snapshot_and_then_events(folder: Path, client: StatusClient) -> None:
    with Daemon(folder) as daemon:
        daemon.publish(finished(1), STATUS)
        assert list(client.subscribe()) == [STATUS]
        daemon.publish(replace(STATUS, rows=7))
        assert [status.rows for status in receive(client, 1)] == [7]


def test_no_event_is_lost_or_doubled_for_concurrent_subscribers(folder: Path) -> None:
    jobs = range(1, MAX_KEPT_STATUSES + 1)
    results: list[list[int]] = []

    def listen() -> None:
        with StatusClient(folder) as listener:
            seen = [status.job for status in listener.subscribe()]
            while jobs[-1] not in seen:
                seen.extend(status.job for status in listener.events(5))
            results.append(seen)

    with Daemon(folder) as daemon:
        listeners = [threading.Thread(target=listen) for _ in range(8)]
        for job in jobs:
            if job % 100 == 50 and job < 800:
                listeners[job // 100].start()
            daemon.publish(finished(job))
        for listener in listeners:
            listener.join(20)
    assert results == [list(jobs)] * 8


def test_a_subscriber_that_lost_events_receives_a_new_snapshot(folder: Path, client: StatusClient) -> None:
    with Daemon(folder) as daemon:
        client.subscribe()
        many = [replace(STATUS, rows=rows) for rows in range(30_000)]
        for start in range(0, len(many), 1000):
            daemon.publish(*many[start : start + 1000])
        rows = [status.rows for status in client.events(5)]
        while rows[-1] != many[-1].rows:
            rows.extend(status.rows for status in client.events(1))
    assert rows == sorted(set(rows))


def test_progress_is_published_at_most_ten_times_a_second_and_at_the_end(folder: Path) -> None:
    now = 0.0
    with StatusServer(folder, 1, clock=lambda: now) as server:
        for step in range(1000):
            now = step / 1000
            server.publish(replace(STATUS, rows=step))
            server.flush()
        published = server.sequence
        assert server.wait_s() == pytest.approx(0.0, abs=0.1)
        now += 0.1
        server.flush()
        assert (published, server.sequence, server.wait_s()) == (10, 11, None)


def test_a_change_of_state_is_published_at_once(folder: Path) -> None:
    with StatusServer(folder, 1, interval_s=60) as server:
        server.publish(STATUS)
        server.publish(replace(STATUS, rows=5))
        server.publish(replace(STATUS, rows=9, state=JobState.DONE))
        assert (server.sequence, server.wait_s()) == (2, None)


def test_a_snapshot_contains_every_active_job(folder: Path, client: StatusClient) -> None:
    with Daemon(folder) as daemon:
        daemon.publish(STATUS, *(finished(job) for job in range(2, 2 * MAX_KEPT_STATUSES)))
        snapshot = client.snapshot()
    assert len(snapshot) == MAX_KEPT_STATUSES
    assert snapshot[0] == STATUS


def test_the_client_follows_a_restarted_daemon(folder: Path, client: StatusClient) -> None:
    with Daemon(folder, epoch=1) as daemon:
        client.subscribe()
        daemon.publish(finished(1))
        assert receive(client, 1) == [finished(1)]
    assert client.events(0.05) == []
    with Daemon(folder, epoch=2) as daemon:
        assert client.ping().epoch == 2
        daemon.publish(finished(2))
        assert receive(client, 1) == [finished(2)]


def test_commands_reach_the_daemon_and_refusals_are_returned(folder: Path, client: StatusClient) -> None:
    with Daemon(folder) as daemon:
        client.offer_environment({"GITHUB_TOKEN": "canary"})
        client.poll_queue()
        client.cancel(7)
        client.stop()
        with pytest.raises(UnifyError, match="there is no job 404"):
            client.cancel(404)
        assert daemon.requests == ["kick", "cancel 7", "stop"]
        assert daemon.environment == {"GITHUB_TOKEN": "canary"}


def test_a_timed_out_request_does_not_reach_a_later_daemon(folder: Path) -> None:
    with StatusClient(folder, timeout_s=0.05) as client:
        for send in (client.stop, client.poll_queue, client.ping, client.subscribe):
            with pytest.raises(DaemonUnreachable, match="does not respond"):
                send()
        with Daemon(folder) as daemon, StatusClient(folder) as other:
            other.ping()
            assert daemon.requests == []


def test_the_sockets_are_private(folder: Path) -> None:
    before = os.umask(0)
    try:
        with StatusServer(folder, 1):
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        os.umask(before)
    assert modes == {"events.sock": 0o600, "commands.sock": 0o600}
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "junk",
    [b"", b"{}", b"\x80\x04.", b'{"id":1,"ask":"format"}', b"[" * 100_000, b'{"id":1,"ask":"ping"}x'],
)
def test_an_invalid_message_gets_no_reply_and_causes_no_error(
    folder: Path, client: StatusClient, junk: bytes
) -> None:
    with Daemon(folder), zmq.Context() as context, context.socket(zmq.DEALER) as rogue:
        rogue.set(zmq.LINGER, 0)
        rogue.connect(f"ipc://{folder / instance.COMMANDS_SOCKET}")
        rogue.send(junk)
        assert client.ping().epoch == 1
        assert not rogue.poll(10)


def test_an_oversized_message_is_refused() -> None:
    with pytest.raises(messages.BadMessage, match="the limit is"):
        messages.decode(b" " * (messages.MAX_MESSAGE_BYTES + 1), messages.DaemonRequest)


def test_a_status_is_decoded_from_json_as_encoded() -> None:
    status = replace(STATUS, pages_total=40, waiting_until=datetime(2026, 1, 1, tzinfo=UTC), error="é")
    assert messages.status_from_dict(messages.status_to_dict(status)) == status


def test_the_repr_of_a_request_contains_no_offered_value() -> None:
    request = messages.DaemonRequest(
        1, messages.DaemonRequestType.ENVIRONMENT, environment={"TOKEN": "canary"}
    )
    assert "canary" not in repr(request)


@contextmanager
def another_process_holding(lock: Path) -> Iterator[subprocess.Popen[bytes]]:
    code = (
        "import sys; from pathlib import Path; from unify.status import instance\n"
        "with instance.hold_lock(Path(sys.argv[1])) as acquired:\n"
        "    print(acquired, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        yield process
        process.kill()


def test_a_lock_has_one_holder_and_is_released_when_it_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "daemon.lock"
    assert not instance.is_locked(lock)
    with another_process_holding(lock) as other:
        assert instance.is_locked(lock)
        with instance.hold_lock(lock, within_s=0.01) as ours:
            assert not ours
        assert not instance.wait_until_free(lock, 0.01)
        other.kill()
        assert instance.wait_until_free(lock, 5)
    with instance.hold_lock(lock) as ours:
        assert ours


def test_leftover_files_are_not_taken_for_a_daemon(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path / "connections.yaml")
    settings.create_folders()
    settings.daemon_lock.write_text("4711")
    (settings.socket_folder / "commands.sock").write_text("")
    assert not is_daemon_running(settings)
    assert not stop_daemon(settings)


def test_the_error_of_a_daemon_that_cannot_start_contains_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.status.launch.DAEMON_MODULE", "unify.no_such_module")
    settings = Settings(tmp_path, tmp_path / "connections.yaml")
    with pytest.raises(DaemonUnreachable, match=r"did not start: .*no_such_module"):
        ensure_daemon(settings)


class TestStopping:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        settings = Settings(tmp_path / "home", tmp_path / "c")
        settings.create_folders()
        return settings

    def test_a_daemon_that_ends_without_a_reply_causes_no_wait(self, settings: Settings) -> None:
        """The lock is free when the daemon has ended; waiting for the reply would take 2 s."""
        with ExitStack() as running:
            running.enter_context(instance.hold_lock(settings.daemon_lock))
            threading.Timer(0.2, running.pop_all().close).start()
            started = time.monotonic()
            assert stop_daemon(settings)
        assert time.monotonic() - started < 1.0

    @pytest.mark.process
    def test_a_suspended_daemon_is_named_with_a_remedy(self, settings: Settings) -> None:
        holder = subprocess.Popen(
            [sys.executable, "-c", _LOCK_HOLDER, str(settings.daemon_lock)], stdout=subprocess.PIPE, text=True
        )
        with holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            assert instance.holder_pid(settings.daemon_lock) == holder.pid
            os.kill(holder.pid, signal.SIGSTOP)
            os.waitpid(holder.pid, os.WUNTRACED)
            advice = rf"pid {holder.pid}\) is suspended; resume it with kill -CONT {holder.pid}"
            with pytest.raises(DaemonUnreachable, match=advice):
                ensure_daemon(settings)
            with pytest.raises(DaemonUnreachable, match=advice):
                stop_daemon(settings)
            holder.kill()


_LOCK_HOLDER = """
import sys, time
from pathlib import Path
from unify.status import instance
with instance.hold_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("job", [2**63, 2**70, -1])
def test_a_request_that_raises_is_refused_and_the_daemon_continues(folder: Path, job: int) -> None:
    class Raising(Daemon):
        def cancel(self, job: int) -> None:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")

    with Raising(folder) as daemon, StatusClient(folder, timeout_s=1.0) as client:
        with pytest.raises(UnifyError, match=r"internal error: OverflowError|does not respond"):
            client.cancel(job)
        assert client.ping().epoch == 1
        assert daemon.faults
