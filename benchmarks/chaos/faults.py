"""The faults, drawn from a seed; each returns a line that describes it."""

from __future__ import annotations

import random
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.chaos import disk, processes
from benchmarks.chaos.clock import JumpingClock
from tests.support.command import UnifyCommand
from unify.config.settings import Settings
from unify.errors import DaemonUnreachable, StoreError, UnifyError
from unify.model import Action, ConfigPaths, TableName
from unify.queue.queue import Queue
from unify.queue.rows import NewJob
from unify.queue.scripts import RunStatus
from unify.queue.timing import Timing
from unify.status.client import StatusClient
from unify.status.launch import ensure_daemon, is_daemon_running, stop_daemon

CONNECTIONS = ("alpha", "beta", "gamma")
TABLES = ("orgs", "repos", "pulls")
DISKS_FILLED = "disks filled"
SCRIPT_S = 5.0  # interval of the script that runs during the campaign
MAX_SHELLS = 2  # at a time; each is a Python process
MAX_PAUSE_S = 0.5
QUIET_S = 180.0  # limit for the end of all work after the faults

_JOB_PATTERN = re.compile(r" as job (\d+) ")


class Campaign:
    """A home in which faults are injected. ``accepted_jobs`` are the jobs that the queue has accepted."""

    def __init__(
        self, unify: UnifyCommand, specs: Path, rng: random.Random, small: Path | None = None
    ) -> None:
        self.settings = Settings(unify.home, unify.home / "connections.yaml", (specs,), workers=3)
        self.settings.create_folders()
        self.queue = Queue(self.settings.queue)
        self.fault_counts: Counter[str] = Counter()
        self.accepted_jobs: set[int] = set()
        self.seen_workers: set[int] = set()
        self.max_daemons = 0
        self.refused_faults: list[str] = []
        self.clock = JumpingClock(unify.home, rng)
        self._unify = unify
        self._specs = specs
        self._rng = rng
        self._shells: dict[subprocess.Popen[bytes], float] = {}
        self._faults: tuple[tuple[str, int, Callable[[], str]], ...] = (
            ("loads requested", 10, self._enqueue_load),
            ("shells started", 3, self._start_shell),
            ("shells killed", 2, self._kill_shell),
            ("daemons killed", 3, self._kill_daemon),
            ("workers killed", 3, self._kill_worker),
            ("cancellations", 3, self._cancel_job),
            ("clean stops", 4, self._stop_daemon),
            ("daemon starts", 8, self._start_daemon),
            ("clock jumps", 2, self._jump_clock),
            *(((DISKS_FILLED, 2, self._fill_disk),) if small else ()),
        )
        self._disk = small

    def first_load(self) -> str:
        """Run one load without faults, which creates the lake."""
        self._start_daemon()
        description = self._enqueue_load()
        self.wait_until_quiet()
        self._schedule_script()
        return description

    def inject_fault(self) -> str:
        """Inject one random fault; return its description, or "" if it was not applicable."""
        weights = [weight for _, weight, _ in self._faults]
        [(name, _, act)] = self._rng.choices(self._faults, weights)
        self._collect_shells()
        try:
            description = act()
        except UnifyError as error:
            self.refused_faults.append(f"{name}: {error.message}")
            return f"{name}: REFUSED: {error.message}"
        self.fault_counts[name] += bool(description)
        self._observe_processes()
        return description

    def pause_s(self) -> float:
        return self._rng.uniform(0, MAX_PAUSE_S)

    def wait_until_quiet(self) -> float:
        """Wait until all work has ended; return the seconds."""
        began = time.monotonic()
        for shell in list(self._shells):
            with suppress(subprocess.TimeoutExpired):
                shell.wait(QUIET_S)
        self._collect_shells()
        for script in self.queue.scripts.list_scripts():
            self.queue.scripts.delete_script(script.tenant, script.name)
        while self._is_busy() and time.monotonic() - began < QUIET_S:
            self._start_daemon()
            self._observe_processes()
            time.sleep(0.2)  # the queue sends no event
        return time.monotonic() - began

    def _is_busy(self) -> bool:
        going = [run for run in self.queue.scripts.latest_runs() if run.status is RunStatus.RUNNING]
        return bool(going or self.queue.active_jobs())

    def close(self) -> None:
        for shell in self._shells:
            shell.kill()
            shell.communicate()
        stop_daemon(self.settings)
        self.clock.close()
        self.queue.close()

    def _enqueue_load(self) -> str:
        table = TableName(self._rng.choice(CONNECTIONS), self._rng.choice(TABLES))
        action = self._rng.choice(list(Action))
        origin = ConfigPaths(str(self.settings.connections), (str(self._specs),))
        job = self.queue.enqueue(NewJob(self.settings.tenant, action, table, origin))
        self.accepted_jobs.add(job.id)
        if is_daemon_running(self.settings):
            with StatusClient(self.settings.socket_folder, 1.0) as client, suppress(DaemonUnreachable):
                client.poll_queue()
        return f"{action} table {table} is job {job.id}"

    def _start_shell(self) -> str:
        if len(self._shells) >= MAX_SHELLS:
            return ""
        table = f"{self._rng.choice(CONNECTIONS)}.{self._rng.choice(TABLES)}"
        words = ["--specs", str(self._specs), "--no-wait", "-c", f"reload table {table}"]
        if self._rng.random() < 0.3:
            words.remove("--no-wait")
        shell = subprocess.Popen(
            [*self._unify.command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self._unify.environment,
            cwd=self._unify.home,
        )
        self._shells[shell] = time.monotonic()
        return f"a shell: {' '.join(words[2:])}"

    def _kill_shell(self) -> str:
        if not self._shells:
            return ""
        shell = self._rng.choice(list(self._shells))
        shell.kill()
        shell.communicate()
        lived_s = time.monotonic() - self._shells.pop(shell)
        return f"kill -9 of a shell after {lived_s:.2f} s"

    def _collect_shells(self) -> None:
        """Remember the jobs that ended shells reported."""
        for shell in [shell for shell in self._shells if shell.poll() is not None]:
            _, stderr = shell.communicate()
            del self._shells[shell]
            if found := _JOB_PATTERN.search(stderr.decode("utf-8", errors="replace")):
                self.accepted_jobs.add(int(found[1]))

    def _kill_daemon(self) -> str:
        living = processes.find_daemons(self.settings.home)
        for one in living:
            processes.kill_process(one.pid)
        return f"kill -9 of the daemon ({living[0].pid})" if living else ""

    def _kill_worker(self) -> str:
        found = [
            worker
            for one in processes.find_daemons(self.settings.home)
            for worker in processes.find_workers(one.pid)
        ]
        if not found:
            return ""
        worker = self._rng.choice(found)
        processes.kill_process(worker.pid)
        return f"kill -9 of a worker ({worker.pid})"

    def _cancel_job(self) -> str:
        active = self.queue.active_jobs()
        if not active:
            return ""
        job = self._rng.choice(active)
        self.queue.cancel(job.id)
        if is_daemon_running(self.settings):
            with StatusClient(self.settings.socket_folder, 1.0) as client, suppress(DaemonUnreachable):
                client.cancel(job.id)
        return f"cancel job {job.id} ({job.state} {job.table})"

    def _stop_daemon(self) -> str:
        return "system stop daemon" if stop_daemon(self.settings) else ""

    def _start_daemon(self) -> str:
        if is_daemon_running(self.settings):
            return ""
        return f"a daemon is started ({ensure_daemon(self.settings).pid})"

    def _jump_clock(self) -> str:
        return self.clock.jump()

    def _fill_disk(self) -> str:
        """Fill the disk for a moment while work continues; a job that is not accepted then is not lost.

        A running daemon survives.
        """
        assert self._disk is not None
        before = {
            one.pid for one in processes.find_daemons(self.settings.home) if processes.find_workers(one.pid)
        }
        bytes = disk.fill_disk(self._disk)
        description = ""
        try:
            for _ in range(3):
                time.sleep(self._rng.uniform(0, 0.7))
                with suppress(StoreError):
                    description = self._enqueue_load()
        finally:
            disk.free_disk(self._disk)
        if before and not before & {one.pid for one in processes.find_daemons(self.settings.home)}:
            self.refused_faults.append(f"{DISKS_FILLED}: the daemon ended on the full disk")
        return f"the disk was full for a moment ({bytes:,} bytes); {description or 'nothing was accepted'}"

    def _schedule_script(self) -> None:
        """Schedule a script, which has to run once for each due time."""
        path = self.settings.home / "script.sql"
        path.write_text("select count(*) as jobs from unify.jobs;")
        timing = Timing(SCRIPT_S, datetime.now(UTC) + timedelta(seconds=SCRIPT_S))
        origin = ConfigPaths(str(self.settings.connections), (str(self._specs),))
        self.queue.scripts.set_script(self.settings.tenant, path, self.settings.home, origin, timing)

    def _observe_processes(self) -> None:
        living = processes.find_daemons(self.settings.home)
        holders = [one for one in living if processes.find_workers(one.pid)]
        self.max_daemons = max(self.max_daemons, len(holders))
        self.seen_workers |= {worker.pid for one in living for worker in processes.find_workers(one.pid)}


def temporary_home() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="unify-chaos-")
