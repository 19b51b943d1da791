"""The scripts this daemon runs: begun when they are due, watched, and written down when they have ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from unify.durations import duration_text
from unify.errors import UnifyError
from unify.loading.environment import Environment
from unify.loading.log import Log
from unify.loading.scriptprocess import KILL_S, ScriptProcess, missing
from unify.settings import Settings
from unify.store.scripts import Ending, RunStatus, Script, ScriptRun, Scripts

MOST = 4  # scripts at a time; each is a Python and a DuckDB of its own. Others wait for their turn

Start = Callable[[Settings, Script, Mapping[str, str], Callable[[], None]], ScriptProcess]


class Scripting:
    """Never waits; the foreman calls ``turn`` and ``look``, and sleeps for at most ``wait_s`` in between.

    ``wake``   ends the daemon's sleep, when a script has ended.
    ``start``  makes the process of a run.
    """

    def __init__(
        self,
        settings: Settings,
        epoch: int,
        scripts: Scripts,
        log: Log,
        *,
        environment: Environment,
        wake: Callable[[], None],
        start: Start = ScriptProcess,
    ) -> None:
        self._settings = settings
        self._epoch = epoch
        self._scripts = scripts
        self._log = log
        self._environment = environment
        self._wake = wake
        self._start = start
        self._running: dict[int, tuple[ScriptRun, ScriptProcess]] = {}
        self._over: list[tuple[ScriptRun, Ending]] = []  # ended, and not yet written down

    @property
    def busy(self) -> int:
        """How many scripts are under way."""
        return len(self._running)

    def start(self, now: datetime) -> None:
        """Write down as interrupted what an older daemon left behind: nothing runs twice for one time."""
        for run in self._scripts.interrupt_orphans(self._epoch, now):
            self._log.fact("script interrupted", **_about(run), reason="the daemon ended while it ran")

    def look(self, now: datetime) -> None:
        """Begin what is due, as far as there is room, and end what nobody wants any more."""
        if self._running:
            self._end_unscheduled()
        for script, run in self._scripts.begin_due(self._epoch, now, MOST - self.busy):
            self._begin(script, run)
        self._write_down(now)

    def turn(self, now: datetime) -> bool:
        """Write down what has ended; whether anything has."""
        for _, process in self._running.values():
            if process.seconds > self._settings.script_time_s:
                process.end(RunStatus.FAILED, self._too_long())
            process.press()
        over = [run for run, process in self._running.values() if process.has_ended]
        for run in over:
            _, process = self._running.pop(run.id)
            self._over.append((run, process.ending()))
        self._write_down(now)
        return bool(over)

    def wait_s(self) -> float | None:
        """In how many seconds ``turn`` has something to do, unless a script ends before."""
        waits = [wait for _, process in self._running.values() if (wait := process.wait_s()) is not None]
        return min(waits) if waits else None

    def ask_to_end(self) -> None:
        """Tell every script that the daemon stops; ``close`` waits for them."""
        for _, process in self._running.values():
            process.end(RunStatus.INTERRUPTED, "the daemon was stopped while it ran")

    def close(self, now: datetime) -> None:
        """Let no script outlive us; a little more than ``KILL_S`` where one does not want to end."""
        self.ask_to_end()
        for _, process in self._running.values():
            process.wait(process.wait_s() or KILL_S)
            process.press()
            process.wait(KILL_S)
        self.turn(now)

    def _begin(self, script: Script, run: ScriptRun) -> None:
        try:
            process = self._process(script)
        except (UnifyError, OSError) as error:
            said = error.message if isinstance(error, UnifyError) else f"it cannot be started: {error}"
            self._over.append((run, Ending(RunStatus.FAILED, error=said)))
            return
        self._running[run.id] = run, process
        self._log.fact("script started", **_about(run), pid=process.pid)

    def _process(self, script: Script) -> ScriptProcess:
        if why := missing(script):
            raise UnifyError(why)
        named = self._environment.named_in(script.origin)
        self._log.hide(named.values())
        return self._start(self._settings, script, {**self._environment.own, **named}, self._wake)

    def _write_down(self, now: datetime) -> None:
        """What has ended, one after the other: where one cannot be written, it and the rest wait."""
        while self._over:
            self._ended(*self._over[0], now)
            del self._over[0]

    def _ended(self, run: ScriptRun, ending: Ending, now: datetime) -> None:
        redacted = self._log.redacted
        shown = replace(ending, output=redacted(ending.output), error=redacted(ending.error))
        self._scripts.end(run, shown, now)
        status = ending.exit_status
        self._log.fact(
            f"script {ending.status}", **_about(run), status=status, error=shown.error.partition("\n")[0]
        )

    def _end_unscheduled(self) -> None:
        wanted = {(script.tenant, script.name) for script in self._scripts.all()}
        for run, process in self._running.values():
            if (run.tenant, run.name) not in wanted:
                process.end(RunStatus.INTERRUPTED, "it was unscheduled while it ran")

    def _too_long(self) -> str:
        allowed = duration_text(self._settings.script_time_s)
        return f"it hung, or needs longer than the {allowed} it may run (UNIFY_SCRIPT_TIME)"


def _about(run: ScriptRun) -> Mapping[str, object]:
    return {"run": run.id, "script": run.name}
