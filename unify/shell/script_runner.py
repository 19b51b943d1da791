"""Runs the statements of ``-c``, ``-f``, stdin and the prompt, one after the other."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, assert_never

from msgspec import Struct
from msgspec.structs import replace

from unify.errors import FileError, QueryError, StoppedWaiting, UnifyError, UsageError
from unify.fs.paths import absolute_path, expand_home
from unify.interpreter.results import (
    Chart,
    CompletionNames,
    ExitShell,
    KeysChanged,
    LineProjection,
    Message,
    Result,
    Rows,
    RunNotebook,
    RunScript,
    ScheduleScript,
    TextLines,
    TextOutput,
)
from unify.language.statements import Statement, split_statements
from unify.render.messages import Messages
from unify.render.output import Output
from unify.shell.invocation import CANCEL_WITHIN_S, Invocation, Step
from unify.text import escape_text, format_count

if TYPE_CHECKING:
    from unify.config.preferences import Keys

MAX_SCRIPT_DEPTH = 20  # nested `run` statements; more indicates a script that runs itself


class ShellSession(Protocol):
    """The part of the interpreter that the shell uses."""

    def run(self, statement: str, line: int = 1, projection: LineProjection | None = None) -> Result: ...

    def names(self) -> CompletionNames: ...

    def cancel_awaited_loads(self) -> str | None: ...

    def close(self) -> None: ...


class ScriptText(Struct, frozen=True):
    """Statements to run. ``name`` starts the position of an error; "" for statements typed or given by -c."""

    text: str
    name: str = ""


def run_scripts(
    invocation: Invocation,
    open_session: Callable[[], ShellSession],
    output: Output,
    messages: Messages,
) -> int:
    """Run the scripts of the command line, or stdin, and return the exit status."""
    watch_parent()
    scripts = read_scripts(invocation.steps or [Step("file", "-")])
    session = open_session()
    try:
        runner = ScriptRunner(
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
    """Cancel the awaited loads if a second Ctrl-C follows within CANCEL_WITHIN_S."""
    try:
        messages.notice(f"Ctrl-C within {CANCEL_WITHIN_S:.0f} s cancels it")
        threading.Event().wait(CANCEL_WITHIN_S)
    except KeyboardInterrupt:
        if notice := session.cancel_awaited_loads():
            messages.notice(notice)


class ScriptRunner:
    """Runs statements on one session and writes their results.

    ``exit_status``      0 until a statement fails, then the status of the first error.
    ``has_exited``       an ``exit`` statement has run.
    ``stopped_waiting``  Ctrl-C has stopped waiting for loads, which continue.
    ``keys``             the key bindings selected by ``set keys``, if any.
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
        self._script_stack: list[ScriptText] = []  # innermost script last

    def run(self, script: ScriptText) -> None:
        """Run a script to its end, to ``exit``, or to the first error unless ``keep_going``."""
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
                self.messages.error(_explain_meta_command(error, statement), script.name, statement.line)
                self.exit_status = self.exit_status or error.exit_status
                self.stopped_waiting |= isinstance(error, StoppedWaiting)
            if self.has_exited or (self.exit_status and not self.keep_going):
                return

    def _run_file(self, path: str) -> None:
        """Run the script of a ``run`` statement. Raises FileError."""
        if len(self._script_stack) > MAX_SCRIPT_DEPTH:
            raise FileError(f"{path}: scripts are nested more than {MAX_SCRIPT_DEPTH} levels deep")
        resolved = self._resolve_path(path)
        self.run(_read_named_script(absolute_path(resolved) if path == "-" else resolved))

    def _schedule_script(self, request: ScheduleScript) -> Message:
        """Schedule the script of ``run … every …``, which must be readable now. Raises FileError."""
        path = absolute_path(self._resolve_path(request.path))
        _read_named_script(path)
        options = request.notebook
        if options.html is not None:
            options = replace(options, html=str(absolute_path(self._resolve_path(options.html))))
        return request.schedule(Path(os.path.normpath(path)), options)

    def _run_notebook(self, request: RunNotebook) -> str:
        """Run a notebook and return what was done. Raises FileError, QueryError, UsageError."""
        from unify.notebooks.runner import NotebookRequest, run_notebook

        html = request.options.html
        return run_notebook(
            NotebookRequest(
                absolute_path(self._resolve_path(request.path)),
                request.copies,
                dict(request.options.values),
                None if html is None else absolute_path(self._resolve_path(html)),
                request.environment,
            )
        )

    def _resolve_path(self, path: str) -> Path:
        """Resolve a relative path against the folder of the script that contains the statement."""
        expanded = expand_home(path)
        script = self._script_stack[-1].name if self._script_stack else ""
        if script not in ("", "stdin") and not expanded.is_absolute():
            return Path(script).parent / expanded
        return expanded

    def _write_text(self, result: TextOutput | TextLines) -> None:
        if isinstance(result, TextOutput):
            self.output.write_text(result.text, prose=result.prose)
            return
        for line in result.lines:
            self.output.write_text(line)
            self.output.stream.flush()

    def run_statement(self, statement: Statement) -> None:
        """Run one statement and write its result. Raises UnifyError, OutputClosed."""
        started_at = time.monotonic()
        text = self.output.rewrite_statement(statement.text)
        result = self.session.run(text, statement.line, self.output.line_projection())
        match result:
            case Rows():
                written = self.output.write_rows(result, lambda: time.monotonic() - started_at)
                if written.is_truncated:
                    rows = format_count(written.row_count, "row")
                    self.messages.notice(f"{rows} shown; there are more (--max-rows)")
            case Chart():
                self.output.write_chart(result)
            case TextOutput() | TextLines():
                self._write_text(result)
            case Message(text):
                if shown := self.output.rewrite_message(text):
                    self._write_message(shown)
            case RunScript(path):
                self._run_file(path)
            case RunNotebook():
                self._write_message(self._run_notebook(result))
            case ScheduleScript():
                self._write_message(self._schedule_script(result).text)
            case KeysChanged(keys):
                self.keys = keys
                self.messages.notice(f"keys: {keys}")
            case ExitShell():
                self.has_exited = True
            case unknown:
                assert_never(unknown)

    def _write_message(self, text: str) -> None:
        if self.output.shows_messages and not self.messages.quiet:
            self.output.write_text(text)
        else:
            self.messages.notice(text)


def _explain_meta_command(error: UnifyError, statement: Statement) -> UnifyError:
    """Return an error that names what a script uses instead, if ``error`` is about a meta command."""
    if isinstance(error, QueryError) and "syntax error" in error.message:
        from unify.shell.meta_commands import script_replacement

        if (replacement := script_replacement(statement.text)) is not None:
            return QueryError(replacement)
    return error


def _read_named_script(path: Path) -> ScriptText:
    """Read the script that a statement names. Raises FileError."""
    try:
        return read_script(os.fspath(path))
    except UsageError as error:
        raise FileError(error.message.removeprefix("-f ")) from error


def read_scripts(steps: Sequence[Step]) -> list[ScriptText]:
    """Read the texts of all ``-c`` and ``-f``, before the first one runs."""
    return [ScriptText(step.text) if step.kind == "statements" else read_script(step.text) for step in steps]


def read_script(path: str) -> ScriptText:
    """Read a script file, or stdin for "-". Raises UsageError if it cannot be read as UTF-8."""
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


PARENT_PIPE_VARIABLE = "UNIFY_LIFELINE"  # the descriptor of a pipe that the daemon holds open
EXIT_GRACE_S = 2.0  # to close the session after the daemon's end
EXIT_INTERRUPTED = 130


def watch_parent() -> None:
    """End this process when the daemon that started it ends, if the environment names its pipe."""
    descriptor_text = os.environ.pop(PARENT_PIPE_VARIABLE, "")
    if not descriptor_text.isdecimal():
        return
    descriptor = int(descriptor_text)
    try:
        os.set_inheritable(descriptor, False)
    except OSError:
        return  # the variable was inherited from another process
    threading.Thread(target=_wait_for_parent_exit, args=(descriptor,), name="lifeline", daemon=True).start()


def _wait_for_parent_exit(descriptor: int) -> None:
    try:
        os.read(descriptor, 1)  # returns when the daemon's end of the pipe is closed
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(EXIT_GRACE_S)
    os._exit(EXIT_INTERRUPTED)
