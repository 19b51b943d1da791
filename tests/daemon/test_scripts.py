"""Scheduled scripts: when they run, what is recorded, and an end-to-end test with a daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.command import UnifyCommand
from unify.config.settings import Settings
from unify.daemon.log import DaemonLog
from unify.daemon.script_process import OutputCapture, ScriptProcess, command_arguments
from unify.daemon.scripts import MAX_RUNNING_SCRIPTS, ScriptSupervisor
from unify.load.environment import Environment
from unify.model import ConfigPaths
from unify.queue.queue import Queue
from unify.queue.scripts import (
    MAX_RUNS_PER_SCRIPT,
    RunStatus,
    ScheduledScript,
    ScriptRun,
    ScriptRunResult,
    ScriptSchedules,
)
from unify.queue.timing import Timing, daily_timing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TIMEOUT_S = 30.0


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Queue(tmp_path / "queue.db") as queue:
        yield queue


@pytest.fixture
def scripts(queue: Queue) -> ScriptSchedules:
    return queue.scripts


def put(scripts: ScriptSchedules, timing: Timing, path: str = "/jobs/report.sql") -> ScheduledScript:
    return scripts.set_script(
        "default", Path(path), Path("/jobs"), ConfigPaths("/c.yaml", ("/specs",)), timing
    )


def every(minutes: float, next_at: datetime = NOON) -> Timing:
    return Timing(minutes * 60, next_at)


def start_due(scripts: ScriptSchedules, now: datetime, slots: int = 9, epoch: int = 1) -> list[str]:
    return [run.name for _, run in scripts.start_due_runs(epoch, now, slots)]


def end_all(scripts: ScriptSchedules, now: datetime) -> None:
    for run in scripts.list_runs():
        if run.status is RunStatus.RUNNING:
            scripts.finish_run(run, ScriptRunResult(RunStatus.SUCCESS, 0, "rows"), now)


class TestDue:
    def test_a_script_runs_at_each_due_time(self, scripts: ScriptSchedules) -> None:
        put(scripts, every(15))
        assert start_due(scripts, NOON - MINUTE) == []
        assert start_due(scripts, NOON) == ["report"]
        assert start_due(scripts, NOON) == []
        end_all(scripts, NOON + MINUTE)
        [script] = scripts.list_scripts()
        assert (script.timing.next_at, script.timing.last_at) == (NOON + 15 * MINUTE, NOON)
        assert scripts.next_due_at(NOON) == NOON + 15 * MINUTE
        [run] = scripts.list_runs()
        assert (run.status, run.due_at, run.started_at, run.ended_at) == (
            RunStatus.SUCCESS,
            NOON,
            NOON,
            NOON + MINUTE,
        )

    def test_after_three_days_of_sleep_a_script_runs_once(self, scripts: ScriptSchedules) -> None:
        put(scripts, every(15))
        woken = NOON + timedelta(days=3, minutes=7)
        assert start_due(scripts, woken) == ["report"]
        end_all(scripts, woken)
        assert start_due(scripts, woken) == []
        assert scripts.list_scripts()[0].timing.next_at == woken + 8 * MINUTE

    @pytest.mark.parametrize("change", ["2026-03-28T12:00+01:00", "2026-10-24T12:00+02:00"])
    def test_a_time_of_day_is_kept_across_daylight_saving_changes(
        self, scripts: ScriptSchedules, change: str
    ) -> None:
        put(
            scripts,
            daily_timing("08:00", 86400, "Europe/Berlin", datetime.fromisoformat(change).astimezone(UTC)),
        )
        hours = []
        for _ in range(3):
            now = scripts.list_scripts()[0].timing.next_at
            assert now is not None
            hours.append(now.hour)
            assert start_due(scripts, now) == ["report"]
            end_all(scripts, now)
        assert hours in ([6, 6, 6], [7, 7, 7])  # in UTC; all three are after the change

    def test_a_script_with_one_due_time_runs_once_and_is_removed(self, scripts: ScriptSchedules) -> None:
        put(scripts, Timing(None, NOON))
        assert start_due(scripts, NOON + timedelta(days=2)) == ["report"]
        assert start_due(scripts, NOON + timedelta(days=9)) == []
        [script] = scripts.list_scripts()  # listed while it runs, so that it can be unscheduled
        assert script.timing.next_at is None
        end_all(scripts, NOON)
        assert scripts.list_scripts() == []
        assert len(scripts.list_runs()) == 1

    def test_a_script_that_still_runs_is_skipped_with_a_message(self, scripts: ScriptSchedules) -> None:
        put(scripts, every(15))
        assert start_due(scripts, NOON) == ["report"]
        assert start_due(scripts, NOON + 15 * MINUTE) == []
        assert start_due(scripts, NOON + 30 * MINUTE) == []
        [run] = scripts.list_runs()
        assert run.error == "skipped at 2026-03-01 12:30 UTC: the previous run was still running"
        scripts.finish_run(
            run, ScriptRunResult(RunStatus.FAILED, 1, error="no such table"), NOON + 31 * MINUTE
        )
        assert scripts.list_runs()[0].error.splitlines()[1:] == ["no such table"]
        assert start_due(scripts, NOON + 45 * MINUTE) == ["report"]

    def test_without_a_free_slot_a_script_stays_due(self, scripts: ScriptSchedules) -> None:
        for number in range(3):
            put(scripts, every(15), f"/jobs/{number}.sql")
        assert start_due(scripts, NOON, slots=2) == ["0", "1"]
        assert start_due(scripts, NOON + MINUTE, slots=0) == []
        assert start_due(scripts, NOON + 2 * MINUTE, slots=1) == ["2"]

    def test_a_clock_set_forward_and_back_neither_skips_nor_doubles(self, scripts: ScriptSchedules) -> None:
        put(scripts, every(15))
        ahead = NOON + timedelta(days=1)
        assert start_due(scripts, ahead) == ["report"]
        end_all(scripts, ahead)
        assert start_due(scripts, NOON) == []
        assert start_due(scripts, NOON + 15 * MINUTE) == ["report"]

    def test_a_killed_daemon_causes_no_second_run_for_a_due_time(self, scripts: ScriptSchedules) -> None:
        put(scripts, every(15))
        assert start_due(scripts, NOON, epoch=1) == ["report"]
        [left] = scripts.interrupt_orphaned_runs(
            2, NOON + MINUTE
        )  # the daemon was killed before or during the run
        assert left.name == "report"
        assert start_due(scripts, NOON + MINUTE, epoch=2) == []
        [run] = scripts.list_runs()
        assert (run.status, run.error) == (RunStatus.INTERRUPTED, "the daemon ended during the run")
        assert scripts.interrupt_orphaned_runs(2, NOON + MINUTE) == []
        assert start_due(scripts, NOON + 15 * MINUTE, epoch=2) == ["report"]


class TestHistory:
    def test_a_schedule_is_named_like_its_file_with_a_number_if_taken(self, scripts: ScriptSchedules) -> None:
        assert put(scripts, every(15)).name == "report"
        assert put(scripts, every(15), "/other/Report.sql").name == "Report_2"
        again = put(scripts, every(30))
        assert (again.name, again.timing.every_s) == ("report", 1800)
        assert [one.name for one in scripts.list_scripts()] == ["Report_2", "report"]
        assert scripts.delete_script("default", "report")
        assert not scripts.delete_script("default", "report")

    def test_the_last_hundred_runs_of_each_script_are_kept_for_a_month(
        self, scripts: ScriptSchedules
    ) -> None:
        put(scripts, every(1))
        put(scripts, Timing(None, NOON), "/jobs/once.sql")
        now = NOON
        for _ in range(MAX_RUNS_PER_SCRIPT + 5):
            start_due(scripts, now)
            end_all(scripts, now)
            now += MINUTE
        names = [run.name for run in scripts.list_runs()]
        assert (names.count("report"), names.count("once")) == (MAX_RUNS_PER_SCRIPT, 1)
        assert [run.name for run in scripts.latest_runs()] == ["once", "report"]
        later = now + timedelta(days=31)
        start_due(scripts, later)
        end_all(scripts, later)
        assert [run.started_at for run in scripts.list_runs() if run.name == "report"] == [later]

    def test_schedules_survive_a_restart(self, tmp_path: Path) -> None:
        with Queue(tmp_path / "queue.db") as queue:
            script = put(queue.scripts, daily_timing("08:00", 86400, "Europe/Berlin", NOON))
        with Queue(tmp_path / "queue.db") as queue:
            assert queue.scripts.list_scripts() == [script]

    def test_long_output_keeps_its_first_and_last_lines(self) -> None:
        capture = OutputCapture(100)
        capture.feed(b"first\n")
        for number in range(100_000):
            capture.feed(f"line {number}\n".encode())
        lines = capture.text.splitlines()
        assert (lines[0], lines[1], lines[-1]) == ("first", "line 0", "line 99999")
        assert sum("bytes omitted" in line for line in lines) == 1
        assert len(capture.text) < 300
        whole = OutputCapture(100)
        whole.feed(b"a" * 150 + b"\xff")
        assert whole.text == "a" * 150 + "\ufffd"


class Stage:
    """The script supervisor of a daemon, with a fake clock and Python programs as scripts."""

    def __init__(self, folder: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "scripted.py").write_text("import sys; exec(open(sys.argv[-1]).read())")
        monkeypatch.setenv("PYTHONPATH", str(folder))
        self.folder = folder
        self.scripts = queue.scripts
        self.settings = Settings(folder, folder / "connections.yaml")
        self.log = DaemonLog(folder, 1)
        self.woken = threading.Event()
        self.environment = Environment(os.environ)
        self.now = NOON
        self.scripting = self.with_settings(self.settings)

    def with_settings(self, settings: Settings) -> ScriptSupervisor:
        self.scripting = ScriptSupervisor(
            settings,
            1,
            self.scripts,
            self.log,
            environment=self.environment,
            wake=self.woken.set,
            make_process=self.start,
        )
        return self.scripting

    def start(
        self, settings: Settings, script: ScheduledScript, environment: Mapping[str, str], wake: object
    ) -> ScriptProcess:
        return ScriptProcess(settings, script, environment, self.woken.set, "scripted")

    def put(self, program: str, name: str = "a") -> Path:
        path = self.folder / f"{name}.sql"
        path.write_text(program)
        origin = ConfigPaths(str(self.settings.connections), ("/specs/one", "/specs/two"))
        self.scripts.set_script("default", path, self.folder, origin, every(15))
        return path

    def until_ended(self) -> ScriptRun:
        deadline = time.monotonic() + TIMEOUT_S
        while self.scripting.running_count:
            assert time.monotonic() < deadline
            self.woken.wait(min(self.scripting.wait_s() or 0.5, 0.5))
            self.woken.clear()
            self.scripting.collect_ended(self.now)
        return self.scripts.list_runs()[-1]

    def run(self, program: str) -> ScriptRun:
        self.put(program)
        self.scripting.start_due_runs(self.now)
        return self.until_ended()


@pytest.fixture
def stage(tmp_path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(tmp_path, queue, monkeypatch)
    yield stage
    stage.scripting.close(NOON)
    stage.log.close()


@pytest.mark.process
class TestProcess:
    def test_output_is_recorded_and_the_process_has_no_terminal(self, stage: Stage) -> None:
        run = stage.run(
            "import os, sys\n"
            "print(sys.stdin.read() + 'rows', os.isatty(1), os.getsid(0) == os.getpid(), os.getcwd())\n"
            "print('a notice', file=sys.stderr)"
        )
        assert (run.status, run.exit_status) == (RunStatus.SUCCESS, 0)
        assert run.output == f"rows False True {os.path.realpath(stage.folder)}\n"
        assert run.error == "a notice"

    def test_a_script_uses_the_settings_of_its_schedule(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("UNIFY_HOME", "UNIFY_TENANT", "UNIFY_SPECS", "UNIFY_CONNECTIONS"):
            stage.environment.process_values[name] = "/other/value"
        run = stage.run("import os, sys; print(sys.argv[1:], sorted(n for n in os.environ if 'UNIFY' in n))")
        assert f"'--home', '{stage.folder}', '--tenant', 'default'" in run.output
        assert "'--specs', '/specs/one', '--specs', '/specs/two', '--quiet', '-f'" in run.output
        assert "['UNIFY_CONNECTIONS', 'UNIFY_LIFELINE']" in run.output

    def test_a_script_of_a_tenant_receives_the_parent_home(self, stage: Stage) -> None:
        settings = replace(stage.settings, home=Path("/unify/tenants/acme"), tenant="acme")
        script = replace(put(stage.scripts, every(15)), tenant="acme")
        words = command_arguments(settings, script)
        assert words[:4] == ["--home", "/unify", "--tenant", "acme"]

    def test_environment_values_of_a_shell_reach_a_script_and_no_file(self, stage: Stage) -> None:
        stage.settings.connections.write_text("vault: {adapter: x, options: {token: '${CANARY}'}}\n")
        stage.settings.connections.chmod(0o600)
        stage.environment.update({"CANARY": "canary-4711-secret", "OTHER": "not for us"})
        run = stage.run(
            "import os; print(os.environ['CANARY'], len(os.environ['CANARY']), 'OTHER' in os.environ)"
        )
        assert run.output == "*** 18 False\n"
        kept = b"".join(path.read_bytes() for path in stage.folder.iterdir() if path.is_file())
        assert b"canary" not in kept

    def test_a_failed_run_records_the_message_or_the_exit_status(self, stage: Stage) -> None:
        run = stage.run("import sys; sys.exit('no such table')")
        assert (run.status, run.exit_status, run.error) == (RunStatus.FAILED, 1, "no such table")
        silent = stage.with_settings(stage.settings)
        stage.now += timedelta(minutes=15)
        stage.put("raise SystemExit(7)")
        silent.start_due_runs(stage.now + timedelta(days=1))
        assert stage.until_ended().error == "the script exited with status 7 without a message"

    def test_a_killed_run_records_the_signal(self, stage: Stage) -> None:
        run = stage.run("import os; os.kill(os.getpid(), 9)")
        assert (run.status, run.exit_status) == (RunStatus.FAILED, None)
        assert run.error == "the script was killed by SIGKILL (out of memory?)"

    def test_a_missing_file_is_a_failed_run(self, stage: Stage) -> None:
        path = stage.put("print(1)")
        path.unlink()
        stage.scripting.start_due_runs(NOON)
        [run] = stage.scripts.list_runs()
        assert (run.status, run.exit_status) == (RunStatus.FAILED, None)
        assert run.error == f"{path}: the script cannot be read: No such file or directory"
        assert (
            stage.scripts.list_scripts()[0].timing.next_at == NOON + 15 * MINUTE
        )  # the file may be back by then

    def test_a_missing_working_folder_is_a_failed_run(self, stage: Stage) -> None:
        path = stage.folder / "a.sql"
        path.write_text("print(1)")
        gone = stage.folder / "gone"
        stage.scripts.set_script("default", path, gone, ConfigPaths("/nothing.yaml"), every(15))
        stage.scripting.start_due_runs(NOON)
        assert (
            stage.scripts.list_runs()[0].error == f"{gone}: the working folder of the script does not exist"
        )

    def test_a_script_over_its_time_limit_is_killed(self, stage: Stage) -> None:
        stage.with_settings(replace(stage.settings, script_timeout_s=0.5))
        run = stage.run(
            "import signal, threading\n"
            "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "print('before', flush=True)\n"
            "threading.Event().wait()"
        )
        assert (run.status, run.exit_status, run.output) == (RunStatus.FAILED, None, "before\n")
        assert run.error == "stopped: it ran longer than 0.5 seconds (UNIFY_SCRIPT_TIME)"

    def test_unscheduling_ends_a_running_script(self, stage: Stage) -> None:
        stage.put("import threading; threading.Event().wait()")
        stage.scripting.start_due_runs(NOON)
        assert stage.scripting.running_count == 1
        stage.scripts.delete_script("default", "a")
        stage.scripting.start_due_runs(NOON)
        run = stage.until_ended()
        assert (run.status, run.error.splitlines()[-1]) == (
            RunStatus.INTERRUPTED,
            "the script was unscheduled during the run",
        )

    def test_closing_ends_every_running_script(self, stage: Stage) -> None:
        for name in "abcdef":
            stage.put("import threading; threading.Event().wait()", name)
        stage.scripting.start_due_runs(NOON)
        assert stage.scripting.running_count == MAX_RUNNING_SCRIPTS
        pids = [process.pid for _, process in stage.scripting._running.values()]
        started = time.monotonic()
        stage.scripting.close(NOON)
        assert time.monotonic() - started < 5
        assert stage.scripting.running_count == 0
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)
        assert [run.status for run in stage.scripts.list_runs()] == [
            RunStatus.INTERRUPTED
        ] * MAX_RUNNING_SCRIPTS
        assert all("the daemon was stopped during the run" in run.error for run in stage.scripts.list_runs())


class TestEndToEnd:
    def test_a_scheduled_script_runs_and_is_listed_with_its_runs(self, unify: UnifyCommand) -> None:
        jobs = unify.home.parent / "jobs"
        jobs.mkdir()
        (jobs / "part.sql").write_text("insert into runs values (now());")
        (jobs / "report.sql").write_text("run 'part.sql';\nselect 42 as answer;\nexport runs to 'runs.csv';")
        result = unify(
            "create table runs (moment timestamptz)",
            "run '../jobs/report.sql' every 1 day starting 06:00",
            "run '../jobs/report.sql' every 1 second",
            "run '../jobs/report.sql' at '2020-01-01 08:00'",
            "run 'gone.sql' at 08:00",
            args=["--keep-going"],
        )
        assert "report runs every 1 second, next at " in result.stderr
        assert "(replaces every 1 day starting 06:00)" in result.stderr
        assert "2020-01-01 08:00 is in the past" in result.stderr
        assert f"{unify.home / 'gone.sql'}: cannot be read: No such file or directory" in result.stderr
        assert _wait_for_row(unify, f"select status, exit_status, output, error {ENDED}") == [
            *("success", "0", "answer\n42\n", "")
        ]
        assert (
            unify.home / "runs.csv"
        ).exists()  # relative paths in a script start in the folder of its schedule
        shown = unify("show schedules", "select name, kind, script, last_at is not null from unify.schedules")
        assert shown.rows[1][:3] == ["report", "script", "1 second"]
        assert shown.rows[3] == ["report", "script", str(jobs / "report.sql"), "true"]
        ends = unify(
            "unschedule reprot",
            "unschedule report",
            "select count(*) - count(distinct due_at) as doubled from unify.script_runs",
            args=["--keep-going"],
        )
        assert "did you mean report?" in ends.stderr
        assert "schedule report removed" in ends.stderr
        assert ends.stdout == "doubled\n0\n"

    def test_a_killed_daemon_ends_its_script_and_the_next_daemon_runs_it_again(
        self, unify: UnifyCommand
    ) -> None:
        (unify.home / "hang.sql").write_text("set threads = 1; select count(*) from range(99_999_999_999);")
        assert unify("run 'hang.sql' every 1 second").exit_status == 0
        with Queue(unify.home / "queue.db") as queue:
            first = _wait_for_run(queue.scripts, RunStatus.RUNNING)
            assert "Running script: hang" in unify("system status").stdout
            daemon = int(unify.run("daemon", "status").stdout.partition("(pid ")[2].partition(",")[0])
            script = _script_of(daemon)
            os.kill(daemon, signal.SIGKILL)
            assert _is_gone(script)
            assert unify.run("daemon", "start").exit_status == 0
            left = _wait_for_run(queue.scripts, RunStatus.INTERRUPTED)
            assert (left.id, left.error.splitlines()[-1]) == (first.id, "the daemon ended during the run")
            again = _wait_for_run(queue.scripts, RunStatus.RUNNING)  # by the new daemon, at the next due time
            assert again.due_at > first.due_at
            assert unify("unschedule hang").exit_status == 0
            last = _wait_for_run(queue.scripts, RunStatus.INTERRUPTED, since=again.id)
            assert last.error.splitlines()[-1] == "the script was unscheduled during the run"


ENDED = "from unify.script_runs where status <> 'running'"


def _wait_for_row(unify: UnifyCommand, sql: str) -> list[str]:
    """Run a query until it returns a row; return the row."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        result = unify(sql)
        assert result.exit_status == 0, result
        if len(result.rows) > 1:
            return result.rows[1]
        assert time.monotonic() < deadline, result


def _wait_for_run(scripts: ScriptSchedules, status: RunStatus, since: int = 0) -> ScriptRun:
    """Poll the queue for a run in this state; return the first one."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (found := [run for run in scripts.list_runs() if run.status is status and run.id >= since]):
        assert time.monotonic() < deadline, scripts.list_runs()
        threading.Event().wait(0.05)
    return found[0]


def _script_of(daemon: int) -> int:
    output = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True
    ).stdout
    found = [line.split() for line in output.splitlines() if " -f " in line and "hang.sql" in line]
    [pid] = [int(words[0]) for words in found if int(words[1]) == daemon]
    return pid


def _is_gone(pid: int) -> bool:
    deadline = time.monotonic() + TIMEOUT_S
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            threading.Event().wait(0.05)
        return False
    return True
