"""The prompt: reads statements and runs them, while the session opens behind the first paint.

Ctrl-C clears the line; a second one soon after waiting was stopped cancels the load. Ctrl-D leaves.
"""

from __future__ import annotations

import time

from prompt_toolkit.history import History, InMemoryHistory

from unify.errors import UnifyError
from unify.settings import Settings
from unify.shell.background import Background, Open
from unify.shell.cli import Invocation
from unify.shell.composition import CANCEL_WITHIN_S
from unify.shell.editor import Cleared, Editor
from unify.shell.history import PrivateHistory
from unify.shell.messages import Messages
from unify.shell.output import Output, OutputClosed
from unify.shell.progress import summary
from unify.shell.watching import Look, Watch


def run_prompt(
    open_session: Open,
    *,
    output: Output,
    messages: Messages,
    settings: Settings,
    invocation: Invocation,
    look: Look,
) -> int:
    """Read and run statements until somebody leaves; a statement that fails ends nothing."""
    background = Background(open_session, messages.mistake)
    editor = Editor(
        history=_history(settings, messages),
        names=lambda: background.names,
        activity=lambda: watch.activity,
        colour=messages.colour,
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
    try:
        conversation.hold()
    finally:
        watch.close()
        background.close()
        editor.close()
    return 0


class Conversation:
    """Reads a text, runs it, and so on."""

    def __init__(
        self,
        editor: Editor,
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
        self._stopped_waiting_at: float | None = None

    def hold(self) -> None:
        while not self.left:
            try:
                text = self._read()
                if text.strip():
                    self._run(text)
                else:
                    self.editor.begin()
            except EOFError:
                return
            except (Cleared, KeyboardInterrupt):  # a key while typing; a signal in between
                self._cancel_if_meant()

    def _painted(self) -> None:
        """The prompt is on screen: the moment for work nobody should wait for."""
        self.background.start()
        self.watch.resume()

    def _read(self) -> str:
        self.messages.above = self.editor.say_above
        try:
            return self.editor.read()
        finally:
            self.messages.above = None
            self.watch.pause()

    def _run(self, text: str) -> None:
        from unify.shell.script import Runner, Script

        self._stopped_waiting_at = None
        try:
            session = self.background.session()
        except UnifyError as error:
            self.editor.begin()
            self.messages.error(error)
            return
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
            if runner.stopped_waiting:
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
