"""Runs scheduled scripts: starts those that are due, watches them, records how they ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec.structs import replace

from unify.config.settings import Settings
from unify.config.trust import require_trusted_origin
from unify.daemon.log import DaemonLog
from unify.daemon.notifier import Notifier
from unify.daemon.script_process import KILL_AFTER_S, ScriptProcess, missing_reason
from unify.durations import format_duration
from unify.errors import UnifyError
from unify.load.environment import Environment
from unify.queue.scripts import RunStatus, ScheduledScript, ScriptRun, ScriptRunResult, ScriptSchedules

MAX_RUNNING_SCRIPTS = 4  # each is a Python process with a DuckDB; further scripts wait

ScriptProcessFactory = Callable[
    [Settings, ScheduledScript, Mapping[str, str], Callable[[], None]], ScriptProcess
]


class ScriptSupervisor:
    """Never blocks; the dispatcher calls it, and sleeps for at most ``wait_s`` in between.

    ``wake``  ends the daemon's sleep when a script has ended.
    """

    def __init__(
        self,
        settings: Settings,
        epoch: int,
        scripts: ScriptSchedules,
        log: DaemonLog,
        *,
        environment: Environment,
        notifier: Notifier | None = None,
        wake: Callable[[], None],
        make_process: ScriptProcessFactory = ScriptProcess,
    ) -> None:
        self._settings = settings
        self._epoch = epoch
        self._scripts = scripts
        self._log = log
        self._environment = environment
        self._notifier = notifier
        self._wake = wake
        self._make_process = make_process
        self._running: dict[int, tuple[ScriptRun, ScriptProcess]] = {}
        self._unrecorded: list[tuple[ScriptRun, ScriptRunResult]] = []  # ended

    @property
    def running_count(self) -> int:
        return len(self._running)

    def interrupt_orphans(self, now: datetime) -> None:
        """Record the runs of an older daemon as interrupted: no script runs twice for one due time."""
        for run in self._scripts.interrupt_orphaned_runs(self._epoch, now):
            self._log.write_event(
                "script.interrupted", **_run_log_fields(run), reason="the daemon ended during the run"
            )

    def start_due_runs(self, now: datetime) -> None:
        """Start due scripts, up to MAX_RUNNING_SCRIPTS, and end the runs of unscheduled ones."""
        if self._running:
            self._terminate_unscheduled()
        for script, run in self._scripts.start_due_runs(
            self._epoch, now, MAX_RUNNING_SCRIPTS - self.running_count
        ):
            self._start_run(script, run)
        self._record_ended(now)

    def collect_ended(self, now: datetime) -> bool:
        """Record the runs that have ended; return whether any has."""
        for _, process in self._running.values():
            if process.elapsed_s > self._settings.script_timeout_s:
                process.terminate(RunStatus.FAILED, self._timeout_message())
            process.kill_if_due()
        ended = [run for run, process in self._running.values() if process.has_ended]
        for run in ended:
            _, process = self._running.pop(run.id)
            self._unrecorded.append((run, process.take_result()))
        self._record_ended(now)
        return bool(ended)

    def wait_s(self) -> float | None:
        """Seconds until ``collect_ended`` has to kill a script; None: no script is ending."""
        waits = [wait for _, process in self._running.values() if (wait := process.wait_s()) is not None]
        return min(waits) if waits else None

    def terminate_all(self) -> None:
        """Send every script SIGTERM; ``close`` waits for them."""
        for _, process in self._running.values():
            process.terminate(RunStatus.INTERRUPTED, "the daemon was stopped during the run")

    def close(self, now: datetime) -> None:
        """End every script; takes a little more than KILL_AFTER_S if one ignores SIGINT."""
        self.terminate_all()
        for _, process in self._running.values():
            process.wait(process.wait_s() or KILL_AFTER_S)
            process.kill_if_due()
            process.wait(KILL_AFTER_S)
        self.collect_ended(now)

    def _start_run(self, script: ScheduledScript, run: ScriptRun) -> None:
        try:
            process = self._start_process(script)
        except Exception as error:  # noqa: BLE001 - whatever it is, it fails this run and not the daemon
            text = (
                error.message if isinstance(error, UnifyError) else f"the script cannot be started: {error}"
            )
            self._unrecorded.append((run, ScriptRunResult(RunStatus.FAILED, error=text)))
            return
        self._running[run.id] = run, process
        self._log.write_event("script.started", **_run_log_fields(run), pid=process.pid)

    def _start_process(self, script: ScheduledScript) -> ScriptProcess:
        if reason := missing_reason(script):
            raise UnifyError(reason)
        require_trusted_origin(self._settings, script.origin)
        variables = dict(self._environment.values_for_origin(script.origin))
        own = self._environment.all_values().get(script.variable)
        if own is not None:
            variables[script.variable] = own
        self._log.add_secrets(variables.values())
        environment = {**self._environment.process_values, **variables}
        return self._make_process(self._settings, script, environment, self._wake)

    def _record_ended(self, now: datetime) -> None:
        """Record ended runs in order; one that cannot be written stays, and those behind it."""
        while self._unrecorded:
            self._record_end(*self._unrecorded[0], now)
            del self._unrecorded[0]

    def _record_end(self, run: ScriptRun, ending: ScriptRunResult, now: datetime) -> None:
        redact = self._log.redact
        result = replace(ending, output=redact(ending.output), error=redact(ending.error))
        self._scripts.finish_run(run, result, now)
        error = result.error.partition("\n")[0]
        self._log.write_event(
            f"script.{result.status}", **_run_log_fields(run), status=result.exit_status, error=error
        )
        if self._notifier is not None and result.status is RunStatus.SUCCESS:
            self._notifier.report_success(run.name, now)
        elif self._notifier is not None and result.status is RunStatus.FAILED:
            self._notifier.report_failure("script.failed", run.name, error, now)

    def _terminate_unscheduled(self) -> None:
        scheduled = {(script.tenant, script.name) for script in self._scripts.list_scripts()}
        for run, process in self._running.values():
            if (run.tenant, run.name) not in scheduled:
                process.terminate(RunStatus.INTERRUPTED, "the script was unscheduled during the run")

    def _timeout_message(self) -> str:
        allowed = format_duration(self._settings.script_timeout_s)
        return f"stopped: it ran longer than {allowed} (UNIFY_SCRIPT_TIME)"


def _run_log_fields(run: ScriptRun) -> Mapping[str, object]:
    return {"run": run.id, "script": run.name}
