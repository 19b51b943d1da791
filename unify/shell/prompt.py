"""The prompt: reads statements and runs them, while the session opens behind the first paint.

Ctrl-C clears the line; a second one soon after waiting was stopped cancels the load. Ctrl-D leaves.
"""

from __future__ import annotations

import time

from prompt_toolkit.history import History, InMemoryHistory

from unify.errors import Interrupted, UnifyError
from unify.settings import Settings
from unify.shell.background import Background, Open
from unify.shell.cli import Invocation
from unify.shell.editor import Cleared, Editor
from unify.shell.history import PrivateHistory
from unify.shell.messages import Messages
from unify.shell.output import Output, OutputClosed

CANCEL_WITHIN_S = 2.0  # of the Ctrl-C that stopped waiting; interfaces.md, "Statements"


def run_prompt(
    open_session: Open, output: Output, messages: Messages, settings: Settings, invocation: Invocation
) -> int:
    """Read and run statements until somebody leaves; a statement that fails ends nothing."""
    background = Background(open_session, messages.mistake)
    editor = Editor(
        history=_history(settings, messages),
        names=lambda: background.names,
        painted=background.start,
        colour=messages.colour,
    )
    conversation = Conversation(editor, background, output, messages, invocation)
    try:
        conversation.hold()
    finally:
        background.close()
        editor.close()
    return 0


class Conversation:
    """Reads a text, runs it, and so on."""

    def __init__(
        self,
        editor: Editor,
        background: Background,
        output: Output,
        messages: Messages,
        invocation: Invocation,
    ) -> None:
        self.editor = editor
        self.background = background
        self.output = output
        self.messages = messages
        self.invocation = invocation
        self.left = False
        self._stopped_waiting_at: float | None = None

    def hold(self) -> None:
        while not self.left:
            try:
                text = self._read()
            except EOFError:
                return
            except (Cleared, KeyboardInterrupt):  # a key while typing; a signal in between
                self._cancel_if_meant()
                continue
            if text.strip():
                self._run(text)

    def _read(self) -> str:
        self.messages.above = self.editor.say_above
        try:
            return self.editor.read()
        finally:
            self.messages.above = None

    def _run(self, text: str) -> None:
        from unify.shell.script import Runner, Script

        self._stopped_waiting_at = None
        try:
            runner = Runner(
                self.background.session(),
                self.output,
                self.messages,
                echo=self.invocation.echo,
                keep_going=self.invocation.keep_going,
            )
            runner.run(Script(text))
        except KeyboardInterrupt:
            self.messages.write("interrupted")
        except UnifyError as error:  # the session could not be opened
            self.messages.error(error)
        except OutputClosed:
            raise
        except Exception as error:  # noqa: BLE001 — a fault of ours ends the statement, not the shell
            self.messages.mistake(error)
        else:
            self.left = runner.left
            if runner.status == Interrupted.exit_status:
                self._stopped_waiting_at = time.monotonic()

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
