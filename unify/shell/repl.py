"""The prompt: reads statements and runs them. The session opens in the background after the first paint.

Ctrl-C clears the line; a second Ctrl-C soon after one that stopped waiting cancels the load. Ctrl-D exits.
"""

from __future__ import annotations

import os
import time
from typing import assert_never

from msgspec.structs import replace
from prompt_toolkit.history import History, InMemoryHistory

from unify.config.preferences import read_keys
from unify.config.settings import Settings
from unify.durations import format_elapsed
from unify.errors import UnifyError, UsageError
from unify.fs.paths import expand_home
from unify.render.formats.options import Format
from unify.render.messages import Messages
from unify.render.output import Output, OutputClosed, open_output
from unify.render.progress import load_summary
from unify.shell import meta_commands
from unify.shell.activity import ActivityMonitor, ActivityProbe
from unify.shell.editor import Editor, InputCleared
from unify.shell.history import invalid_byte, open_history
from unify.shell.invocation import CANCEL_WITHIN_S, Invocation
from unify.shell.plain_editor import PlainEditor
from unify.shell.startup import BackgroundSession, OpenSession

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
            repl.close_file()
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
        self.output = output
        self.messages = messages
        self.invocation = invocation
        self.has_exited = False
        self.timing = False
        self._default_output = output  # the destination of rows unless \o selects a file
        self._format_before_expanded: Format = "box"
        self._last_text = ""
        self._stopped_waiting_at: float | None = None

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
            elif split := meta_commands.split_run_suffix(text):
                self._last_text, command = split
                self._run_meta_command(command)
            else:
                self._last_text = text
                self._run_text(text)
        except UnifyError as error:
            self.editor.discard_accepted()
            self.messages.error(error)

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
        argument = command.argument
        match command.action:
            case None:
                self._run_text(command.statement)
            case "help":
                self.output.write_text(meta_commands.meta_command_help())
            case "edit":
                self.editor.edit_next(self._last_text)
            case "run" | "run expanded":
                self._run_last_text(argument, expanded=command.action == "run expanded")
            case "timing":
                self.timing = meta_commands.parse_switch(argument, self.timing)
                self.messages.notice(f"timing: {'on' if self.timing else 'off'}")
            case "expanded":
                is_expanded = self.output.format == "vertical"
                before = self._format_before_expanded if is_expanded else self.output.format
                expanded = meta_commands.parse_switch(argument, is_expanded)
                self._set_format("vertical" if expanded else before)
            case "mode" if argument:
                self._set_format(meta_commands.parse_format(argument))
            case "mode":
                self.messages.notice(f"format: {self.output.format}")
            case "rows":
                self._set_row_limit(argument)
            case "output":
                self._redirect_output(argument)
            case unknown:
                assert_never(unknown)

    def _run_last_text(self, path: str, *, expanded: bool) -> None:
        r"""``\g`` and ``\gx``: run the last statement once with this destination and format."""
        if not self._last_text:
            raise UsageError("no statement has been run yet")
        output, format = self.output, self.output.format
        if path:
            self.output = self._open_file(path)
        if expanded:
            self.output.format = "vertical"
        try:
            self._run_text(self._last_text)
        finally:
            file, self.output = self.output, output
            self.output.format = format
            if file is not output:
                file.close()

    def _set_format(self, format: Format) -> None:
        if self.output.format != "vertical":
            self._format_before_expanded = self.output.format
        self.output.format = format
        self.messages.notice(f"format: {format}")

    def _set_row_limit(self, argument: str) -> None:
        limit = meta_commands.parse_row_limit(argument)
        self.output.all_rows = limit == "all"
        self.output.max_rows = None if isinstance(limit, str) else limit
        self.messages.notice(f"rows in a box: {limit if isinstance(limit, str) else f'at most {limit:,}'}")

    def _redirect_output(self, path: str) -> None:
        r"""``\o``: write rows to a file from now on; "" selects the default output again."""
        opened = self._open_file(path) if path else self._default_output
        self.close_file()
        self.output = opened
        self.messages.notice(f"rows are written to {opened.name}" if path else "rows are shown here")

    def _open_file(self, path: str) -> Output:
        options = replace(self.invocation.output_options(), path=os.fspath(expand_home(path)), format=None)
        return open_output(options, {}, save_each_result=True)

    def close_file(self) -> None:
        r"""Close the file of ``\o``. Raises UnifyError if it cannot be written completely."""
        file, self.output = self.output, self._default_output
        if file is not self._default_output:
            file.close()

    def _run_text(self, text: str) -> None:
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
