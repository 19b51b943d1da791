"""The faults, one after the other, drawn from a seed; each says in a line what it did."""

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
from tests.support import Unify
from unify.errors import DaemonUnreachable, StoreError, UnifyError
from unify.model import Action, Origin, TableName
from unify.settings import Settings
from unify.status.client import StatusClient
from unify.status.launch import daemon_running, ensure_daemon, stop_daemon
from unify.store.duetimes import Timing
from unify.store.queue import NewJob, Queue
from unify.store.scripts import RunStatus

CONNECTIONS = ("alpha", "beta", "gamma")
TABLES = ("orgs", "repos", "pulls")
FILLED = "disks filled"
SCRIPT_S = 5.0  # how often a script runs beside it all
SHELLS = 2  # at a time; each is a Python of its own
LONGEST_PAUSE_S = 0.5
QUIET_S = 180.0  # within which everything has to have ended when the faults are over

_JOB = re.compile(r" as job (\d+) ")


class Campaign:
    """One home under fire. ``accepted`` are the jobs we were told are in the queue."""

    def __init__(self, unify: Unify, specs: Path, rng: random.Random, small: Path | None = None) -> None:
        self.settings = Settings(unify.home, unify.home / "connections.yaml", (specs,), workers=3)
        self.settings.prepare()
        self.queue = Queue(self.settings.queue)
        self.tried: Counter[str] = Counter()
        self.accepted: set[int] = set()
        self.seen_workers: set[int] = set()
        self.most_daemons = 0
        self.refusals: list[str] = []
        self.clock = JumpingClock(unify.home, rng)
        self._unify = unify
        self._specs = specs
        self._rng = rng
        self._shells: dict[subprocess.Popen[bytes], float] = {}
        self._faults: tuple[tuple[str, int, Callable[[], str]], ...] = (
            ("loads asked for", 10, self._ask),
            ("shells started", 3, self._start_shell),
            ("shells killed", 2, self._kill_shell),
            ("daemons killed", 3, self._kill_daemon),
            ("workers killed", 3, self._kill_worker),
            ("cancellations", 3, self._cancel),
            ("clean stops", 4, self._stop),
            ("daemon starts", 8, self._start_daemon),
            ("clock jumps", 2, self._jump),
            *(((FILLED, 2, self._fill_disk),) if small else ()),
        )
        self._small = small

    def first_load(self) -> str:
        """One load without faults, so that there is a lake to read from."""
        self._start_daemon()
        said = self._ask()
        self.settle()
        self._schedule_script()
        return said

    def strike(self) -> str:
        """Do one thing, chosen by the seed; gives what it was. "": there was nothing to do it to."""
        weights = [weight for _, weight, _ in self._faults]
        [(name, _, act)] = self._rng.choices(self._faults, weights)
        self._collect_shells()
        try:
            said = act()
        except UnifyError as error:
            self.refusals.append(f"{name}: {error.message}")
            return f"{name}: REFUSED: {error.message}"
        self.tried[name] += bool(said)
        self._look_around()
        return said

    def pause_s(self) -> float:
        return self._rng.uniform(0, LONGEST_PAUSE_S)

    def settle(self) -> float:
        """End the faults: let everything that was asked for come to its end. Gives the seconds it took."""
        began = time.monotonic()
        for shell in list(self._shells):
            with suppress(subprocess.TimeoutExpired):
                shell.wait(QUIET_S)
        self._collect_shells()
        for script in self.queue.scripts.all():
            self.queue.scripts.drop(script.tenant, script.name)
        while self._goes_on() and time.monotonic() - began < QUIET_S:
            self._start_daemon()
            self._look_around()
            time.sleep(0.2)  # a row in the queue: nobody tells us
        return time.monotonic() - began

    def _goes_on(self) -> bool:
        going = [run for run in self.queue.scripts.last_runs() if run.status is RunStatus.RUNNING]
        return bool(going or self.queue.active())

    def close(self) -> None:
        for shell in self._shells:
            shell.kill()
            shell.communicate()
        stop_daemon(self.settings)
        self.clock.close()
        self.queue.close()

    def _ask(self) -> str:
        table = TableName(self._rng.choice(CONNECTIONS), self._rng.choice(TABLES))
        action = self._rng.choice(list(Action))
        origin = Origin(str(self.settings.connections), (str(self._specs),))
        job = self.queue.enqueue(NewJob(self.settings.tenant, action, table, origin))
        self.accepted.add(job.id)
        if daemon_running(self.settings):
            with StatusClient(self.settings.run, 1.0) as client, suppress(DaemonUnreachable):
                client.kick()
        return f"{action} table {table} is job {job.id}"

    def _start_shell(self) -> str:
        if len(self._shells) >= SHELLS:
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
        """Of shells that ended well, remember the job they told of."""
        for shell in [shell for shell in self._shells if shell.poll() is not None]:
            _, told = shell.communicate()
            del self._shells[shell]
            if found := _JOB.search(told.decode("utf-8", errors="replace")):
                self.accepted.add(int(found[1]))

    def _kill_daemon(self) -> str:
        living = processes.daemons(self.settings.home)
        for one in living:
            processes.kill(one.pid)
        return f"kill -9 of the daemon ({living[0].pid})" if living else ""

    def _kill_worker(self) -> str:
        found = [
            worker for one in processes.daemons(self.settings.home) for worker in processes.workers(one.pid)
        ]
        if not found:
            return ""
        worker = self._rng.choice(found)
        processes.kill(worker.pid)
        return f"kill -9 of a worker ({worker.pid})"

    def _cancel(self) -> str:
        active = self.queue.active()
        if not active:
            return ""
        job = self._rng.choice(active)
        self.queue.cancel(job.id)
        if daemon_running(self.settings):
            with StatusClient(self.settings.run, 1.0) as client, suppress(DaemonUnreachable):
                client.cancel(job.id)
        return f"cancel job {job.id} ({job.state} {job.table})"

    def _stop(self) -> str:
        return "system stop daemon" if stop_daemon(self.settings) else ""

    def _start_daemon(self) -> str:
        if daemon_running(self.settings):
            return ""
        return f"a daemon is started ({ensure_daemon(self.settings).pid})"

    def _jump(self) -> str:
        return self.clock.jump()

    def _fill_disk(self) -> str:
        """No byte is free for a moment, while work goes on. What is not accepted then is not lost.

        A daemon that was there before lives through it.
        """
        assert self._small is not None
        before = {one.pid for one in processes.daemons(self.settings.home) if processes.workers(one.pid)}
        bytes = disk.fill(self._small)
        said = ""
        try:
            for _ in range(3):
                time.sleep(self._rng.uniform(0, 0.7))
                with suppress(StoreError):
                    said = self._ask()
        finally:
            disk.relieve(self._small)
        if before and not before & {one.pid for one in processes.daemons(self.settings.home)}:
            self.refusals.append(f"{FILLED}: the daemon ended on the full disk")
        return f"the disk was full for a moment ({bytes:,} bytes); {said or 'nothing was accepted'}"

    def _schedule_script(self) -> None:
        """A script beside the loads: what runs by itself runs once for each due time, whatever happens."""
        path = self.settings.home / "script.sql"
        path.write_text("select count(*) as jobs from unify.jobs;")
        timing = Timing(SCRIPT_S, datetime.now(UTC) + timedelta(seconds=SCRIPT_S))
        origin = Origin(str(self.settings.connections), (str(self._specs),))
        self.queue.scripts.put(self.settings.tenant, path, self.settings.home, origin, timing)

    def _look_around(self) -> None:
        living = processes.daemons(self.settings.home)
        holders = [one for one in living if processes.workers(one.pid)]
        self.most_daemons = max(self.most_daemons, len(holders))
        self.seen_workers |= {worker.pid for one in living for worker in processes.workers(one.pid)}


def temporary_home() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="unify-chaos-")
