"""JobRunner: what a worker does with a task: load a table, or send writes."""

from __future__ import annotations

from pathlib import Path

from unify.config.settings import Settings
from unify.load.loader import LoadRunner
from unify.load.protocol import LoadTask, TaskResult
from unify.load.worker import Reporter
from unify.model import Action


class JobRunner:
    """Runs the tasks of a worker; sent to it at its start."""

    def __init__(self, home: Path, tenant: str) -> None:
        self._settings = Settings(home, home / "connections.yaml", tenant=tenant)
        self._loads = LoadRunner(home, tenant)

    def prepare(self) -> None:
        """Prepare for a load, which people wait for more often."""
        self._loads.prepare()

    def __call__(self, task: LoadTask, reporter: Reporter) -> TaskResult:
        if task.action is not Action.WRITE:
            return self._loads(task, reporter)
        from unify.sender.writes import run_writes

        return run_writes(task, reporter, self._settings)
