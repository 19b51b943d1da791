"""The prompt: reads statements and runs them. The session opens in the background after the first paint.

Ctrl-C clears the line; a second Ctrl-C soon after one that stopped waiting cancels the load. Ctrl-D exits.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property

from prompt_toolkit.history import History, InMemoryHistory

from unify.config.preferences import read_keys
from unify.config.settings import Settings
from unify.durations import format_elapsed
from unify.errors import UnifyError, UsageError
from unify.render.messages import Messages
from unify.render.output import Output
from unify.render.progress import load_summary
from unify.render.stdout import OutputClosed
from unify.shell import meta_commands
from unify.shell.activity import ActivityMonitor, ActivityProbe
from unify.shell.editor import Editor, InputCleared
from unify.shell.history import invalid_byte, open_history
from unify.shell.invocation import CANCEL_WITHIN_S, Invocation
from unify.shell.meta_command_list import ShellAction
from unify.shell.output_commands import OutputCommands
from unify.shell.plain_editor import PlainEditor
from unify.shell.startup import BackgroundSession, OpenSession
from unify.text import escape_text

WELCOME = (
    "No connections are configured. Type connect to add one, or help for a list of statements. "
    "unify demo runs on a sample API."
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
    """Read and run statements until the user exits; an error ends its statement only.

    ``plain``  the terminal has no cursor control; write text only.
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
            activity=lambda: monitor.activity,
            colour=messages.colour,
            keys=read_keys(settings.home),
        )
    monitor = ActivityMonitor(
        probe,
        on_ended=lambda status: messages.notice(load_summary(status)),
        on_changed=editor.refresh,
        on_internal_error=messages.internal_error,
    )
    repl = Repl(editor, background, monitor, output=output, messages=messages, invocation=invocation)
    if not settings.connections.exists():
        messages.notice(WELCOME)
    try:
        repl.run()
    finally:
        try:
            repl.display.close_file()
        finally:
            monitor.close()
            background.close()
            editor.close()
    return 0


class Repl:
    """Reads a text, runs it, and repeats."""

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
        self.display = OutputCommands(output, messages, invocation)
        self.messages = messages
        self.invocation = invocation
        self.has_exited = False
        self.timing = False
        self._last_text = ""
        self._stopped_waiting_at: float | None = None

    @property
    def output(self) -> Output:
        return self.display.current

    def run(self) -> None:
        while not self.has_exited:
            try:
                text = self._read()
                self._run_input(text)
            except EOFError:
                return
            except (InputCleared, KeyboardInterrupt):  # Ctrl-C as a key of the prompt, or as a signal
                self._cancel_on_second_interrupt()

    def _run_input(self, text: str) -> None:
        try:
            if (byte := invalid_byte(text)) is not None:
                raise UsageError(f"not UTF-8 (byte {byte:#04x}); check the encoding of the terminal")
            if not text.strip():
                self._stopped_waiting_at = None
                self.editor.discard_accepted()
            elif meta_commands.is_meta_command(text):
                self._stopped_waiting_at = None
                self.editor.discard_accepted()
                self._run_meta_command(meta_commands.parse_meta_command(text))
            elif split := meta_commands.split_suffix(text):
                self._run_with_suffix(*split)
            else:
                self._last_text = text
                self._run_text(text)
        except UnifyError as error:
            self.editor.discard_accepted()
            self.messages.error(error)

    def _run_with_suffix(self, text: str, suffix: str) -> None:
        r"""Run a text with a command at its end: ``select 1 \gx``, ``select 1; \dt``.

        A command that is not about the statement leaves an unfinished one at the prompt.
        """
        from unify.language.statements import is_complete

        command = meta_commands.parse_meta_command(suffix)
        is_about_it = meta_commands.is_about_statement(command)
        is_unfinished = not is_about_it and not is_complete(text)
        if command.action == "reset" or is_unfinished:
            self.editor.discard_accepted()
        else:
            self._last_text = text
        if is_about_it or is_unfinished or self._run_text(text):
            self._run_meta_command(command)
        if is_unfinished:
            self.editor.type_next(text)

    def _after_paint(self) -> None:
        """Start background work after the prompt is on screen."""
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

    def _run_meta_command(self, command: meta_commands.ParsedMetaCommand) -> None:
        """Run the statement or the action of a meta command. Raises UnifyError."""
        if command.action is None:
            self._run_text(command.statement)
        else:
            self._actions[command.action](command.argument)

    @cached_property
    def _actions(self) -> Mapping[ShellAction, Callable[[str], object]]:
        """What each action does with its argument."""
        display = self.display
        return {
            "help": lambda _: self.output.write_text(meta_commands.meta_command_help()),
            "edit": lambda _: self.editor.edit_next(self._last_text),
            "run": self._run_last_text,
            "run expanded": lambda path: self._run_last_text(path, expanded=True),
            "describe": lambda _: self._run_text(f"describe {self._require_last_text()}"),
            "watch": self._watch,
            "print": lambda _: self.output.write_text(self._require_last_text()),
            "reset": lambda _: self.messages.notice("what was typed is forgotten"),
            "echo": self.output.write_text,
            "warn": lambda text: self.messages.write(escape_text(text)),
            "shell": self._run_command_of_system,
            "set": self._set_variable,
            "timing": self._set_timing,
            "expanded": display.expand,
            "mode": display.mode,
            "rows": display.limit_rows,
            "header": display.show_header,
            "null": display.set_null,
            "option": display.set_option,
            "output": display.redirect,
        }

    def _set_timing(self, word: str) -> None:
        self.timing = meta_commands.parse_switch(word, self.timing)
        self.messages.notice(f"timing: {'on' if self.timing else 'off'}")

    def _run_last_text(self, path: str = "", *, expanded: bool = False) -> bool:
        r"""``\g`` and ``\gx``: run the last statement once; return whether it ended without an error."""
        text = self._require_last_text()
        with self.display.used_once(path, expanded=expanded):
            return self._run_text(text)

    def _require_last_text(self) -> str:
        if not self._last_text:
            raise UsageError("no statement has been run yet")
        return self._last_text

    def _watch(self, argument: str) -> None:
        r"""``\watch``: run the last statement until Ctrl-C or an error."""
        text, seconds = self._require_last_text(), meta_commands.parse_seconds(argument)
        pause = threading.Event()
        try:
            while self._run_text(text):
                pause.wait(seconds)
        except KeyboardInterrupt:
            return

    def _set_variable(self, argument: str) -> None:
        r"""``\set``: list variables, or set one."""
        self._run_text(meta_commands.assignment(argument) if argument else "show variables")

    def _run_command_of_system(self, command: str) -> None:
        r"""``\!``: run a command line with the user's shell, or that shell alone."""
        import subprocess

        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            status = subprocess.run([shell, *(["-c", command] if command else [])], check=False).returncode
        except OSError as error:
            raise UsageError(f"{shell}: cannot be run: {error.strerror}") from error
        if status:
            self.messages.notice(f"exit status {status}")

    def _run_text(self, text: str) -> bool:
        """Run statements; return whether all of them ended without an error."""
        from unify.shell.script_runner import ScriptRunner, ScriptText

        self._stopped_waiting_at = None
        session = self.background.wait_for_session()
        started_at = time.monotonic()
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
        except Exception as error:  # noqa: BLE001 — an unexpected error ends the statement, not the shell
            self.messages.internal_error(error)
        else:
            self.has_exited = runner.has_exited
            if runner.keys is not None:
                self.editor.set_keys(runner.keys)
            if runner.stopped_waiting:
                self._stopped_waiting_at = time.monotonic()
            if self.timing:
                self.messages.notice(f"Time: {format_elapsed(time.monotonic() - started_at)}")
            return not runner.exit_status
        return False

    def _cancel_on_second_interrupt(self) -> None:
        """Cancel the awaited loads if Ctrl-C stopped waiting for them less than CANCEL_WITHIN_S ago."""
        stopped_at, self._stopped_waiting_at = self._stopped_waiting_at, None
        if stopped_at is None or time.monotonic() - stopped_at > CANCEL_WITHIN_S:
            return
        try:
            notice = self.background.wait_for_session().cancel_awaited_loads()
        except UnifyError as error:
            self.messages.error(error)
        else:
            if notice:
                self.messages.notice(notice)


def _open_history(settings: Settings, messages: Messages) -> History:
    """Open the history file, or a history in memory if there cannot be a file."""
    try:
        return open_history(settings.shell_history)
    except OSError as error:
        messages.notice(f"{settings.shell_history}: the history is not saved: {error.strerror}")
        return InMemoryHistory()
