"""The scripts this daemon runs: begun when they are due, watched, and written down when they have ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from unify.config.settings import Settings
from unify.daemon.log import DaemonLog
from unify.daemon.script_process import KILL_AFTER_S, ScriptProcess, missing_reason
from unify.durations import format_duration
from unify.errors import UnifyError
from unify.load.environment import Environment
from unify.queue.scripts import RunStatus, ScheduledScript, ScriptRun, ScriptRunResult, ScriptSchedules

MAX_RUNNING_SCRIPTS = (
    4  # scripts at a time; each is a Python and a DuckDB of its own. Others wait for their turn
)

ScriptProcessFactory = Callable[
    [Settings, ScheduledScript, Mapping[str, str], Callable[[], None]], ScriptProcess
]


class ScriptSupervisor:
    """Never waits; the foreman calls ``turn`` and ``look``, and sleeps for at most ``wait_s`` in between.

    ``wake``   ends the daemon's sleep, when a script has ended.
    ``interrupt_orphans``  makes the process of a run.
    """

    def __init__(
        self,
        settings: Settings,
        epoch: int,
        scripts: ScriptSchedules,
        log: DaemonLog,
        *,
        environment: Environment,
        wake: Callable[[], None],
        make_process: ScriptProcessFactory = ScriptProcess,
    ) -> None:
        self._settings = settings
        self._epoch = epoch
        self._scripts = scripts
        self._log = log
        self._environment = environment
        self._wake = wake
        self._make_process = make_process
        self._running: dict[int, tuple[ScriptRun, ScriptProcess]] = {}
        self._unrecorded: list[tuple[ScriptRun, ScriptRunResult]] = []  # ended, and not yet written down

    @property
    def running_count(self) -> int:
        """How many scripts are under way."""
        return len(self._running)

    def interrupt_orphans(self, now: datetime) -> None:
        """Write down as interrupted what an older daemon left behind: nothing runs twice for one time."""
        for run in self._scripts.interrupt_orphaned_runs(self._epoch, now):
            self._log.write_event(
                "script interrupted", **_run_log_fields(run), reason="the daemon ended while it ran"
            )

    def start_due_runs(self, now: datetime) -> None:
        """Begin what is due, as far as there is room, and end what nobody wants any more."""
        if self._running:
            self._terminate_unscheduled()
        for script, run in self._scripts.start_due_runs(
            self._epoch, now, MAX_RUNNING_SCRIPTS - self.running_count
        ):
            self._start_run(script, run)
        self._record_ended(now)

    def collect_ended(self, now: datetime) -> bool:
        """Write down what has ended; whether anything has."""
        for _, process in self._running.values():
            if process.elapsed_s > self._settings.script_timeout_s:
                process.terminate(RunStatus.FAILED, self._timeout_message())
            process.kill_if_due()
        over = [run for run, process in self._running.values() if process.has_ended]
        for run in over:
            _, process = self._running.pop(run.id)
            self._unrecorded.append((run, process.take_result()))
        self._record_ended(now)
        return bool(over)

    def wait_s(self) -> float | None:
        """In how many seconds ``turn`` has something to do, unless a script ends before."""
        waits = [wait for _, process in self._running.values() if (wait := process.wait_s()) is not None]
        return min(waits) if waits else None

    def terminate_all(self) -> None:
        """Tell every script that the daemon stops; ``close`` waits for them."""
        for _, process in self._running.values():
            process.terminate(RunStatus.INTERRUPTED, "the daemon was stopped while it ran")

    def close(self, now: datetime) -> None:
        """Let no script outlive us; a little more than ``KILL_AFTER_S`` where one does not want to end."""
        self.terminate_all()
        for _, process in self._running.values():
            process.wait(process.wait_s() or KILL_AFTER_S)
            process.kill_if_due()
            process.wait(KILL_AFTER_S)
        self.collect_ended(now)

    def _start_run(self, script: ScheduledScript, run: ScriptRun) -> None:
        try:
            process = self._start_process(script)
        except (UnifyError, OSError) as error:
            said = error.message if isinstance(error, UnifyError) else f"it cannot be started: {error}"
            self._unrecorded.append((run, ScriptRunResult(RunStatus.FAILED, error=said)))
            return
        self._running[run.id] = run, process
        self._log.write_event("script started", **_run_log_fields(run), pid=process.pid)

    def _start_process(self, script: ScheduledScript) -> ScriptProcess:
        if why := missing_reason(script):
            raise UnifyError(why)
        named = self._environment.values_for_origin(script.origin)
        self._log.add_secrets(named.values())
        return self._make_process(
            self._settings, script, {**self._environment.process_values, **named}, self._wake
        )

    def _record_ended(self, now: datetime) -> None:
        """What has ended, one after the other: where one cannot be written, it and the rest wait."""
        while self._unrecorded:
            self._record_end(*self._unrecorded[0], now)
            del self._unrecorded[0]

    def _record_end(self, run: ScriptRun, ending: ScriptRunResult, now: datetime) -> None:
        redacted = self._log.redact
        shown = replace(ending, output=redacted(ending.output), error=redacted(ending.error))
        self._scripts.finish_run(run, shown, now)
        status = ending.exit_status
        self._log.write_event(
            f"script {ending.status}",
            **_run_log_fields(run),
            status=status,
            error=shown.error.partition("\n")[0],
        )

    def _terminate_unscheduled(self) -> None:
        wanted = {(script.tenant, script.name) for script in self._scripts.list_scripts()}
        for run, process in self._running.values():
            if (run.tenant, run.name) not in wanted:
                process.terminate(RunStatus.INTERRUPTED, "it was unscheduled while it ran")

    def _timeout_message(self) -> str:
        allowed = format_duration(self._settings.script_timeout_s)
        return f"it hung, or needs longer than the {allowed} it may run (UNIFY_SCRIPT_TIME)"


def _run_log_fields(run: ScriptRun) -> Mapping[str, object]:
    return {"run": run.id, "script": run.name}
