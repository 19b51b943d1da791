"""Statements one after the other: from ``-c``, ``-f``, stdin, and what the prompt reads.

A scheduled script ends with the daemon that has started it, however that one ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, assert_never

from unify.errors import FileError, StoppedWaiting, UnifyError, UsageError
from unify.interpreter.results import (
    Chart,
    CompletionNames,
    ExitShell,
    KeysChanged,
    Message,
    Result,
    Rows,
    RunScript,
    ScheduleScript,
    TextOutput,
)
from unify.language.statements import Statement, split_statements
from unify.render.messages import Messages
from unify.render.output import Output
from unify.shell.invocation import CANCEL_WITHIN_S, Invocation, Step
from unify.text import escape_text, format_count

if TYPE_CHECKING:
    from unify.config.preferences import Keys


def _run_scripts(
    invocation: Invocation,
    open_session: Callable[[], ShellSession],
    output: Output,
    messages: Messages,
) -> int:
    watch_parent()
    scripts = read_scripts(invocation.steps or [Step("file", "-")])
    session = open_session()
    try:
        runner: ScriptRunner = ScriptRunner(
            session, output, messages, echo=invocation.echo, keep_going=invocation.keep_going
        )
        for script in scripts:
            if not runner.has_exited and (not runner.exit_status or runner.keep_going):
                runner.run(script)
        if runner.stopped_waiting and sys.stdin is not None and sys.stdin.isatty():
            _offer_cancelling(session, messages)
    finally:
        session.close()
    return runner.exit_status


def _offer_cancelling(session: ShellSession, messages: Messages) -> None:
    """Give the second Ctrl-C its two seconds, where somebody can press it and a load goes on."""
    try:
        messages.notice(f"Ctrl-C within {CANCEL_WITHIN_S:.0f} s cancels it")
        threading.Event().wait(CANCEL_WITHIN_S)
    except KeyboardInterrupt:
        if told := session.cancel_awaited_loads():
            messages.notice(told)


MAX_SCRIPT_DEPTH = 20  # scripts that run scripts; more is a script that runs itself


class ShellSession(Protocol):
    """What the shell needs of an interpreter."""

    def run(self, statement: str, line: int = 1) -> Result: ...

    def names(self) -> CompletionNames: ...

    def cancel_awaited_loads(self) -> str | None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ScriptText:
    """Text to run; ``name`` is what an error's place starts with, "" for what was typed on the spot."""

    text: str
    name: str = ""


class ScriptRunner:
    """Runs statements on one session and shows what they give.

    ``status`` is 0 until a statement fails; then what the process ends with.
    ``keys`` are those that were chosen, if any.
    ``left`` is true once a statement said ``exit``; ``stopped_waiting`` once Ctrl-C left loads to themselves.
    """

    def __init__(
        self,
        session: ShellSession,
        output: Output,
        messages: Messages,
        *,
        echo: bool = False,
        keep_going: bool = False,
    ) -> None:
        self.session = session
        self.output = output
        self.messages = messages
        self.echo = echo
        self.keep_going = keep_going
        self.exit_status = 0
        self.has_exited = False
        self.stopped_waiting = False
        self.keys: Keys | None = None
        self._script_stack: list[ScriptText] = []  # the script that runs now is the last

    def run(self, script: ScriptText) -> None:
        """Run a script up to its end, to ``exit``, or to the first error unless ``keep_going``."""
        self._script_stack.append(script)
        try:
            self._run_statements(script)
        finally:
            self._script_stack.pop()

    def _run_statements(self, script: ScriptText) -> None:
        for statement in split_statements(script.text):
            if self.echo:
                self.messages.write(escape_text(statement.text, allow="\n"))
            try:
                self.run_statement(statement)
            except UnifyError as error:
                self.messages.error(error, script.name, statement.line)
                self.exit_status = self.exit_status or error.exit_status
                self.stopped_waiting |= isinstance(error, StoppedWaiting)
            if self.has_exited or (self.exit_status and not self.keep_going):
                return

    def _run_file(self, path: str) -> None:
        """``run``: raises FileError."""
        if len(self._script_stack) > MAX_SCRIPT_DEPTH:
            raise FileError(f"{path}: scripts run each other more than {MAX_SCRIPT_DEPTH} deep")
        place = self._resolve_path(path)
        self.run(_read_named_script(place.absolute() if path == "-" else place))

    def _plan_script(self, request: ScheduleScript) -> Message:
        """``run … every …``: the file has to be there already, and readable. Raises FileError."""
        place = self._resolve_path(request.path).absolute()
        _read_named_script(place)
        return request.schedule(Path(os.path.normpath(place)))

    def _resolve_path(self, path: str) -> Path:
        """A relative path starts where the script is that says so."""
        place = Path(path).expanduser()
        here = self._script_stack[-1].name if self._script_stack else ""
        if here not in ("", "stdin") and not place.is_absolute():
            return Path(here).parent / place
        return place

    def run_statement(self, statement: Statement) -> None:
        """Run one statement and show what it gives. Raises UnifyError, OutputClosed."""
        began = time.monotonic()
        result = self.session.run(self.output.rewrite_statement(statement.text), statement.line)
        match result:
            case Rows():
                shown = self.output.write_rows(result, lambda: time.monotonic() - began)
                if shown.is_truncated:
                    self.messages.notice(
                        f"{format_count(shown.row_count, 'row')} shown; there are more (--max-rows)"
                    )
            case Chart():
                self.output.write_chart(result)
            case TextOutput(text, prose):
                self.output.write_text(text, prose=prose)
            case Message(text):
                self._show_message(text)
            case RunScript(path):
                self._run_file(path)
            case ScheduleScript():
                self._show_message(self._plan_script(result).text)
            case KeysChanged(keys):
                self.keys = keys
                self.messages.notice(f"the keys of the prompt are those of {keys}")
            case ExitShell():
                self.has_exited = True
            case unknown:
                assert_never(unknown)

    def _show_message(self, text: str) -> None:
        if self.output.shows_messages and not self.messages.quiet:
            self.output.write_text(text)
        else:
            self.messages.notice(text)


def _read_named_script(path: Path) -> ScriptText:
    """The script that a statement names. Raises FileError."""
    try:
        return read_script(os.fspath(path))
    except UsageError as error:
        raise FileError(error.message.removeprefix("-f ")) from error


def read_scripts(steps: Sequence[Step]) -> list[ScriptText]:
    """The texts of ``-c`` and ``-f``, all read before the first runs: a missing file undoes nothing."""
    return [ScriptText(step.text) if step.kind == "statements" else read_script(step.text) for step in steps]


def read_script(path: str) -> ScriptText:
    """A script file, or stdin for "-". Raises UsageError if it cannot be read as UTF-8."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read() if sys.stdin is not None else b""
        else:
            data = Path(path).read_bytes()
        return ScriptText(data.decode("utf-8-sig"), "stdin" if path == "-" else path)
    except OSError as error:
        raise UsageError(f"-f {path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8 (byte {data[error.start]:#04x})") from error


PARENT_PIPE_VARIABLE = "UNIFY_LIFELINE"  # the descriptor of a pipe that breaks when the daemon dies
EXIT_GRACE_S = 2.0  # for an orderly end; then without
EXIT_INTERRUPTED = 130


def watch_parent() -> None:
    """Watch the pipe that the environment names, if it does; what we start ourselves does not inherit it."""
    named = os.environ.pop(PARENT_PIPE_VARIABLE, "")
    if not named.isdecimal():
        return
    lifeline = int(named)
    try:
        os.set_inheritable(lifeline, False)
    except OSError:
        return  # a left-over of somebody else's environment
    threading.Thread(target=_wait_for_parent_exit, args=(lifeline,), name="lifeline", daemon=True).start()


def _wait_for_parent_exit(descriptor: int) -> None:
    try:
        os.read(descriptor, 1)  # nobody writes: it returns when the other end is gone
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(EXIT_GRACE_S)
    os._exit(EXIT_INTERRUPTED)
