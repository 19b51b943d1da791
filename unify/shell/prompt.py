"""The prompt: reads statements and runs them, while the session opens behind the first paint.

Ctrl-C clears the line; a second one soon after waiting was stopped cancels the load. Ctrl-D leaves.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from prompt_toolkit.history import History, InMemoryHistory

from unify.errors import UnifyError
from unify.interpreter.preferences import kept_keys
from unify.settings import Settings
from unify.shell import habits
from unify.shell.background import Background, Open
from unify.shell.cli import Invocation
from unify.shell.composition import CANCEL_WITHIN_S
from unify.shell.display.footer import duration
from unify.shell.display.look import Format
from unify.shell.editor import Cleared, Editor
from unify.shell.history import PrivateHistory
from unify.shell.messages import Messages
from unify.shell.output import Output, OutputClosed, open_output
from unify.shell.plaineditor import PlainEditor
from unify.shell.progress import summary
from unify.shell.watching import Look, Watch

WELCOME = (
    "There are no connections yet: connect makes one, and unify demo needs none. "
    "help lists what can be typed."
)


def run_prompt(
    open_session: Open,
    *,
    output: Output,
    messages: Messages,
    settings: Settings,
    invocation: Invocation,
    look: Look,
    plain: bool = False,
) -> int:
    """Read and run statements until somebody leaves; a statement that fails ends nothing.

    ``plain``  the terminal knows no cursor, and nothing but text is sent to it.
    """
    background = Background(open_session, messages.mistake)
    history = _history(settings, messages)
    editor: Editor | PlainEditor
    if plain:
        editor = PlainEditor(history)
    else:
        editor = Editor(
            history=history,
            names=lambda: background.names,
            activity=lambda: watch.activity,
            colour=messages.colour,
            keys=kept_keys(settings.home),
        )
    watch = Watch(
        look,
        ended=lambda status: messages.notice(summary(status)),
        changed=editor.refresh,
        mistake=messages.mistake,
    )
    conversation = Conversation(
        editor, background, watch, output=output, messages=messages, invocation=invocation
    )
    if not settings.connections.exists():
        messages.notice(WELCOME)
    try:
        conversation.hold()
        conversation.close_file()
    finally:
        watch.close()
        background.close()
        editor.close()
    return 0


class Conversation:
    """Reads a text, runs it, and so on."""

    def __init__(
        self,
        editor: Editor | PlainEditor,
        background: Background,
        watch: Watch,
        *,
        output: Output,
        messages: Messages,
        invocation: Invocation,
    ) -> None:
        self.editor = editor
        self.background = background
        self.watch = watch
        editor.painted = self._painted
        self.output = output
        self.messages = messages
        self.invocation = invocation
        self.left = False
        self.timing = False
        self._screen = output  # where rows go unless \o says otherwise
        self._unexpanded: Format = "box"
        self._last = ""
        self._stopped_waiting_at: float | None = None

    def hold(self) -> None:
        while not self.left:
            try:
                text = self._read()
                if not text.strip():
                    self._stopped_waiting_at = None
                    self.editor.begin()
                elif habits.is_habit(text):
                    self._obey(text)
                else:
                    self._last = text
                    self._run(text)
            except EOFError:
                return
            except (Cleared, KeyboardInterrupt):  # a key while typing; a signal in between
                self._cancel_if_meant()

    def _painted(self) -> None:
        """The prompt is on screen: the moment for work nobody should wait for, and the first for a key."""
        if self._stopped_waiting_at is not None:
            self._stopped_waiting_at = time.monotonic()
        self.background.start()
        self.watch.resume()

    def _read(self) -> str:
        self.messages.above = self.editor.say_above
        try:
            return self.editor.read()
        finally:
            self.messages.above = None
            self.watch.pause()

    def _obey(self, text: str) -> None:
        """One of the short commands of psql and DuckDB's shell."""
        self._stopped_waiting_at = None
        self.editor.begin()
        try:
            asked = habits.parse(text)
            if asked.deed is None:
                self._run(asked.statement)
            else:
                self._do(asked.deed, asked.argument)
        except UnifyError as error:
            self.messages.error(error)

    def _do(self, deed: habits.Deed, argument: str) -> None:
        """Raises UsageError where the argument means nothing."""
        match deed:
            case "help":
                self.output.text(habits.help_text())
            case "edit":
                self.editor.edit_next(self._last)
            case "timing":
                self.timing = habits.switched(argument, self.timing)
                self.messages.notice(f"timing is {'on' if self.timing else 'off'}")
            case "expanded":
                expanded = habits.switched(argument, self.output.format == "vertical")
                before = self._unexpanded if self.output.format == "vertical" else self.output.format
                self._show_as("vertical" if expanded else before)
            case "mode" if argument:
                self._show_as(habits.format_named(argument))
            case "mode":
                self.messages.notice(f"rows are shown as {self.output.format}")
            case "rows":
                self._show_rows(argument)
            case "output":
                self._redirect(argument)
            case unknown:
                assert_never(unknown)

    def _show_as(self, format: Format) -> None:
        if self.output.format != "vertical":
            self._unexpanded = self.output.format
        self.output.format = format
        self.messages.notice(f"rows are shown as {format}")

    def _show_rows(self, argument: str) -> None:
        """So many rows in a box from now on; all; or as many as fit. Raises UsageError."""
        limit = habits.row_limit(argument)
        self.output.all_rows = limit == "all"
        self.output.max_rows = None if isinstance(limit, str) else limit
        self.messages.notice(f"rows in a box: {limit if isinstance(limit, str) else f'at most {limit:,}'}")

    def _redirect(self, path: str) -> None:
        """Rows go into a file from now on, or to where they went at first."""
        opened = self._screen
        if path:
            file = os.fspath(Path(path).expanduser())
            opened = open_output(replace(self.invocation, output=file, format=None), {})
        self.close_file()
        self.output = opened
        self.messages.notice(f"rows go into {opened.name}" if path else "rows are shown here")

    def close_file(self) -> None:
        r"""Raises UnifyError if the file of ``\o`` could not be written to its end."""
        file, self.output = self.output, self._screen
        if file is not self._screen:
            file.close()

    def _run(self, text: str) -> None:
        from unify.shell.script import Runner, Script

        self._stopped_waiting_at = None
        try:
            session = self.background.session()
        except UnifyError as error:
            self.editor.begin()
            self.messages.error(error)
            return
        began = time.monotonic()
        try:
            self.editor.begin()
            runner = Runner(
                session,
                self.output,
                self.messages,
                echo=self.invocation.echo,
                keep_going=self.invocation.keep_going,
            )
            runner.run(Script(text))
        except KeyboardInterrupt:
            self.messages.write("interrupted")
        except OutputClosed:
            raise
        except Exception as error:  # noqa: BLE001 — a fault of ours ends the statement, not the shell
            self.messages.mistake(error)
        else:
            self.left = runner.left
            if runner.keys is not None:
                self.editor.use(runner.keys)
            if runner.stopped_waiting:
                self._stopped_waiting_at = time.monotonic()
            if self.timing:
                self.messages.notice(f"Time: {duration(time.monotonic() - began)}")

    def _cancel_if_meant(self) -> None:
        """The second Ctrl-C soon after one that stopped waiting for a load."""
        stopped_at, self._stopped_waiting_at = self._stopped_waiting_at, None
        if stopped_at is None or time.monotonic() - stopped_at > CANCEL_WITHIN_S:
            return
        try:
            told = self.background.session().cancel_waited()
        except UnifyError as error:
            self.messages.error(error)
        else:
            if told:
                self.messages.notice(told)


def _history(settings: Settings, messages: Messages) -> History:
    """The history file, or one for this session alone where there cannot be a file."""
    try:
        return PrivateHistory(settings.history)
    except OSError as error:
        messages.notice(f"{settings.history}: no history is kept: {error.strerror}")
        return InMemoryHistory()
