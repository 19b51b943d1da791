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

from unify.config.preferences import read_keys
from unify.config.settings import Settings
from unify.durations import format_elapsed
from unify.errors import UnifyError
from unify.render.formats.options import Format
from unify.render.messages import Messages
from unify.render.output import Output, OutputClosed, open_output
from unify.render.progress import load_summary
from unify.shell import meta_commands
from unify.shell.activity import ActivityMonitor, ActivityProbe
from unify.shell.editor import Editor, InputCleared
from unify.shell.history import PrivateHistory
from unify.shell.invocation import CANCEL_WITHIN_S, Invocation
from unify.shell.plain_editor import PlainEditor
from unify.shell.startup import BackgroundSession, OpenSession

WELCOME = (
    "There are no connections yet: connect makes one, and unify demo needs none. "
    "help lists what can be typed."
)


def run_repl(
    open_session: OpenSession,
    *,
    output: Output,
    messages: Messages,
    settings: Settings,
    invocation: Invocation,
    probe: ActivityProbe,
    plain: bool = False,
) -> int:
    """Read and run statements until somebody leaves; a statement that fails ends nothing.

    ``plain``  the terminal knows no cursor, and nothing but text is sent to it.
    """
    background = BackgroundSession(open_session, messages.internal_error)
    history = _open_history(settings, messages)
    editor: Editor | PlainEditor
    if plain:
        editor = PlainEditor(history)
    else:
        editor = Editor(
            history=history,
            names=lambda: background.names,
            activity=lambda: watch.activity,
            colour=messages.colour,
            keys=read_keys(settings.home),
        )
    watch = ActivityMonitor(
        probe,
        on_ended=lambda status: messages.notice(load_summary(status)),
        on_changed=editor.refresh,
        on_internal_error=messages.internal_error,
    )
    conversation = Repl(editor, background, watch, output=output, messages=messages, invocation=invocation)
    if not settings.connections.exists():
        messages.notice(WELCOME)
    try:
        conversation.run()
        conversation.close_file()
    finally:
        watch.close()
        background.close()
        editor.close()
    return 0


class Repl:
    """Reads a text, runs it, and so on."""

    def __init__(
        self,
        editor: Editor | PlainEditor,
        background: BackgroundSession,
        monitor: ActivityMonitor,
        *,
        output: Output,
        messages: Messages,
        invocation: Invocation,
    ) -> None:
        self.editor = editor
        self.background = background
        self.monitor = monitor
        editor.on_paint = self._after_paint
        self.output = output
        self.messages = messages
        self.invocation = invocation
        self.has_exited = False
        self.timing = False
        self._default_output = output  # where rows go unless \o says otherwise
        self._format_before_expanded: Format = "box"
        self._last_text = ""
        self._stopped_waiting_at: float | None = None

    def run(self) -> None:
        while not self.has_exited:
            try:
                text = self._read()
                if not text.strip():
                    self._stopped_waiting_at = None
                    self.editor.discard_accepted()
                elif meta_commands.is_meta_command(text):
                    self._run_meta_command(text)
                else:
                    self._last_text = text
                    self._run_text(text)
            except EOFError:
                return
            except (InputCleared, KeyboardInterrupt):  # a key while typing; a signal in between
                self._cancel_on_second_interrupt()

    def _after_paint(self) -> None:
        """The prompt is on screen: the moment for work nobody should wait for, and the first for a key."""
        if self._stopped_waiting_at is not None:
            self._stopped_waiting_at = time.monotonic()
        self.background.start()
        self.monitor.resume()

    def _read(self) -> str:
        self.messages.write_above = self.editor.write_above
        try:
            return self.editor.read()
        finally:
            self.messages.write_above = None
            self.monitor.pause()

    def _run_meta_command(self, text: str) -> None:
        """One of the short commands of psql and DuckDB's shell."""
        self._stopped_waiting_at = None
        self.editor.discard_accepted()
        try:
            asked = meta_commands.parse_meta_command(text)
            if asked.action is None:
                self._run_text(asked.statement)
            else:
                self._run_action(asked.action, asked.argument)
        except UnifyError as error:
            self.messages.error(error)

    def _run_action(self, action: meta_commands.ShellAction, argument: str) -> None:
        """Raises UsageError where the argument means nothing."""
        match action:
            case "help":
                self.output.write_text(meta_commands.meta_command_help())
            case "edit":
                self.editor.edit_next(self._last_text)
            case "timing":
                self.timing = meta_commands.parse_switch(argument, self.timing)
                self.messages.notice(f"timing is {'on' if self.timing else 'off'}")
            case "expanded":
                expanded = meta_commands.parse_switch(argument, self.output.format == "vertical")
                before = (
                    self._format_before_expanded if self.output.format == "vertical" else self.output.format
                )
                self._set_format("vertical" if expanded else before)
            case "mode" if argument:
                self._set_format(meta_commands.parse_format(argument))
            case "mode":
                self.messages.notice(f"rows are shown as {self.output.format}")
            case "rows":
                self._set_row_limit(argument)
            case "output":
                self._redirect_output(argument)
            case unknown:
                assert_never(unknown)

    def _set_format(self, format: Format) -> None:
        if self.output.format != "vertical":
            self._format_before_expanded = self.output.format
        self.output.format = format
        self.messages.notice(f"rows are shown as {format}")

    def _set_row_limit(self, argument: str) -> None:
        """So many rows in a box from now on; all; or as many as fit. Raises UsageError."""
        limit = meta_commands.parse_row_limit(argument)
        self.output.all_rows = limit == "all"
        self.output.max_rows = None if isinstance(limit, str) else limit
        self.messages.notice(f"rows in a box: {limit if isinstance(limit, str) else f'at most {limit:,}'}")

    def _redirect_output(self, path: str) -> None:
        """Rows go into a file from now on, or to where they went at first."""
        opened = self._default_output
        if path:
            file = os.fspath(Path(path).expanduser())
            opened = open_output(replace(self.invocation.output_options(), path=file, format=None), {})
        self.close_file()
        self.output = opened
        self.messages.notice(f"rows go into {opened.name}" if path else "rows are shown here")

    def close_file(self) -> None:
        r"""Raises UnifyError if the file of ``\o`` could not be written to its end."""
        file, self.output = self.output, self._default_output
        if file is not self._default_output:
            file.close()

    def _run_text(self, text: str) -> None:
        from unify.shell.script_runner import ScriptRunner, ScriptText

        self._stopped_waiting_at = None
        try:
            session = self.background.wait_for_session()
        except UnifyError as error:
            self.editor.discard_accepted()
            self.messages.error(error)
            return
        began = time.monotonic()
        try:
            self.editor.discard_accepted()
            runner = ScriptRunner(
                session,
                self.output,
                self.messages,
                echo=self.invocation.echo,
                keep_going=self.invocation.keep_going,
            )
            runner.run(ScriptText(text))
        except KeyboardInterrupt:
            self.messages.write("interrupted")
        except OutputClosed:
            raise
        except Exception as error:  # noqa: BLE001 — a fault of ours ends the statement, not the shell
            self.messages.internal_error(error)
        else:
            self.has_exited = runner.has_exited
            if runner.keys is not None:
                self.editor.set_keys(runner.keys)
            if runner.stopped_waiting:
                self._stopped_waiting_at = time.monotonic()
            if self.timing:
                self.messages.notice(f"Time: {format_elapsed(time.monotonic() - began)}")

    def _cancel_on_second_interrupt(self) -> None:
        """The second Ctrl-C soon after one that stopped waiting for a load."""
        stopped_at, self._stopped_waiting_at = self._stopped_waiting_at, None
        if stopped_at is None or time.monotonic() - stopped_at > CANCEL_WITHIN_S:
            return
        try:
            told = self.background.wait_for_session().cancel_awaited_loads()
        except UnifyError as error:
            self.messages.error(error)
        else:
            if told:
                self.messages.notice(told)


def _open_history(settings: Settings, messages: Messages) -> History:
    """The history file, or one for this session alone where there cannot be a file."""
    try:
        return PrivateHistory(settings.shell_history)
    except OSError as error:
        messages.notice(f"{settings.shell_history}: no history is kept: {error.strerror}")
        return InMemoryHistory()
