"""Statements one after the other: from ``-c``, ``-f``, stdin, and what the prompt reads."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, assert_never

from unify.errors import FileError, StoppedWaiting, UnifyError, UsageError
from unify.interpreter.chart import Chart
from unify.interpreter.results import (
    Leave,
    Message,
    Names,
    PlanScript,
    Result,
    Rows,
    RunScript,
    Text,
    UseKeys,
)
from unify.language.statements import Statement, split
from unify.shell.cli import Step
from unify.shell.messages import Messages
from unify.shell.output import Output
from unify.text import counted, safe_text

if TYPE_CHECKING:
    from unify.interpreter.preferences import Keys

DEEPEST = 20  # scripts that run scripts; more is a script that runs itself


class Session(Protocol):
    """What the shell needs of an interpreter."""

    def run(self, statement: str, line: int = 1) -> Result: ...

    def names(self) -> Names: ...

    def cancel_waited(self) -> str | None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Script:
    """Text to run; ``name`` is what an error's place starts with, "" for what was typed on the spot."""

    text: str
    name: str = ""


class Runner:
    """Runs statements on one session and shows what they give.

    ``status`` is 0 until a statement fails; then what the process ends with.
    ``keys`` are those that were chosen, if any.
    ``left`` is true once a statement said ``exit``; ``stopped_waiting`` once Ctrl-C left loads to themselves.
    """

    def __init__(
        self,
        session: Session,
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
        self.status = 0
        self.left = False
        self.stopped_waiting = False
        self.keys: Keys | None = None
        self._running: list[Script] = []  # the script that runs now is the last

    def run(self, script: Script) -> None:
        """Run a script up to its end, to ``exit``, or to the first error unless ``keep_going``."""
        self._running.append(script)
        try:
            self._run(script)
        finally:
            self._running.pop()

    def _run(self, script: Script) -> None:
        for statement in split(script.text):
            if self.echo:
                self.messages.write(safe_text(statement.text, keep="\n"))
            try:
                self.show(statement)
            except UnifyError as error:
                self.messages.error(error, script.name, statement.line)
                self.status = self.status or error.exit_status
                self.stopped_waiting |= isinstance(error, StoppedWaiting)
            if self.left or (self.status and not self.keep_going):
                return

    def _run_file(self, path: str) -> None:
        """``run``: raises FileError."""
        if len(self._running) > DEEPEST:
            raise FileError(f"{path}: scripts run each other more than {DEEPEST} deep")
        place = self._place(path)
        self.run(_named_script(place.absolute() if path == "-" else place))

    def _planned(self, planned: PlanScript) -> Message:
        """``run … every …``: the file has to be there already, and readable. Raises FileError."""
        place = self._place(planned.path).absolute()
        _named_script(place)
        return planned.plan(Path(os.path.normpath(place)))

    def _place(self, path: str) -> Path:
        """A relative path starts where the script is that says so."""
        place = Path(path).expanduser()
        here = self._running[-1].name if self._running else ""
        if here not in ("", "stdin") and not place.is_absolute():
            return Path(here).parent / place
        return place

    def show(self, statement: Statement) -> None:
        """Run one statement and show what it gives. Raises UnifyError, OutputClosed."""
        began = time.monotonic()
        result = self.session.run(self.output.statement(statement.text), statement.line)
        match result:
            case Rows():
                shown = self.output.rows(result, lambda: time.monotonic() - began)
                if shown.left_out:
                    self.messages.notice(f"{counted(shown.rows, 'row')} shown; there are more (--max-rows)")
            case Chart():
                self.output.chart(result)
            case Text(text, prose):
                self.output.text(text, prose=prose)
            case Message(text):
                self._show_message(text)
            case RunScript(path):
                self._run_file(path)
            case PlanScript():
                self._show_message(self._planned(result).text)
            case UseKeys(keys):
                self.keys = keys
                self.messages.notice(f"the keys of the prompt are those of {keys}")
            case Leave():
                self.left = True
            case unknown:
                assert_never(unknown)

    def _show_message(self, text: str) -> None:
        if self.output.shows_messages and not self.messages.quiet:
            self.output.text(text)
        else:
            self.messages.notice(text)


def _named_script(place: Path) -> Script:
    """The script that a statement names. Raises FileError."""
    try:
        return read_file(os.fspath(place))
    except UsageError as error:
        raise FileError(error.message.removeprefix("-f ")) from error


def read_scripts(steps: Sequence[Step]) -> list[Script]:
    """The texts of ``-c`` and ``-f``, all read before the first runs: a missing file undoes nothing."""
    return [Script(step.text) if step.kind == "statements" else read_file(step.text) for step in steps]


def read_file(path: str) -> Script:
    """A script file, or stdin for "-". Raises UsageError if it cannot be read as UTF-8."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read() if sys.stdin is not None else b""
        else:
            data = Path(path).read_bytes()
        return Script(data.decode("utf-8-sig"), "stdin" if path == "-" else path)
    except OSError as error:
        raise UsageError(f"-f {path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8 (byte {data[error.start]:#04x})") from error
