"""A runner of writes that settles lost rows without waiting.

It names its process in HOME/worker.pid when it begins a task.
"""

from __future__ import annotations

import os
from pathlib import Path

from unify.config.settings import Settings
from unify.fs import durable
from unify.load.protocol import LoadTask, TaskResult
from unify.load.worker import Reporter
from unify.model import Action
from unify.sender.attempt import WriteTiming
from unify.sender.runner import JobRunner

PID_FILE = "worker.pid"
TIMING = WriteTiming(send_again_delays_s=(0.0, 0.0, 0.01), look_delays_s=(0.0,))


class QuickWriteRunner(JobRunner):
    """Sends writes in a worker; loads as in the daemon."""

    def __init__(self, home: Path, tenant: str) -> None:
        super().__init__(home, tenant)
        self._home = home
        self._tenant = tenant

    def __call__(self, task: LoadTask, reporter: Reporter) -> TaskResult:
        if task.action is not Action.WRITE:
            return super().__call__(task, reporter)
        from unify.sender.writes import run_writes

        durable.atomic_write(self._home / PID_FILE, str(os.getpid()).encode())
        settings = Settings(self._home, self._home / "connections.yaml", tenant=self._tenant)
        return run_writes(task, reporter, settings, TIMING)
