"""The prompt: typing with history, colours and completion, and what Enter does.

Enter runs finished text and opens a new line in unfinished text; Alt-Enter runs in any case. A paste is
only typed. Ctrl-C clears the line, and a second one soon after waiting was stopped cancels the load.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples
from prompt_toolkit.history import History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth, create_output
from prompt_toolkit.output import Output as Terminal
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.styles import Style

from unify.errors import Interrupted, UnifyError
from unify.interpreter.results import Names
from unify.language.statements import is_complete, waiting_for
from unify.settings import Settings
from unify.shell import completing
from unify.shell.background import Background, Open
from unify.shell.cli import Invocation
from unify.shell.highlight import STYLE, StatementLexer
from unify.shell.history import PrivateHistory
from unify.shell.messages import Messages
from unify.shell.output import Output
from unify.shell.script import Runner, Script

PROMPT = "unify> "
CANCEL_WITHIN_S = 2.0  # of the Ctrl-C that stopped waiting; interfaces.md, "Statements"
_WAITING = {";": "-", "quote": "'", "comment": "*", "bracket": "("}


def run_prompt(
    open_session: Open, output: Output, messages: Messages, settings: Settings, invocation: Invocation
) -> int:
    """Read and run statements until somebody leaves; a statement that fails ends nothing."""
    background = Background(open_session)
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
            except KeyboardInterrupt:
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


class Editor:
    """One prompt_toolkit session: what keys do, how text looks.

    ``painted``  called each time the prompt has come up: the moment for work nobody should wait for.
    """

    def __init__(
        self,
        *,
        history: History,
        names: Callable[[], Names],
        painted: Callable[[], None] = lambda: None,
        colour: bool = True,
        input: Input | None = None,
        output: Terminal | None = None,
    ) -> None:
        self._painted = painted
        self._fresh = False
        self.session: PromptSession[str] = PromptSession(
            [("class:prompt", PROMPT)],
            multiline=True,
            prompt_continuation=_continuation,
            key_bindings=_bindings(),
            history=history,
            auto_suggest=AutoSuggestFromHistory(),
            lexer=StatementLexer(),
            style=Style.from_dict(STYLE),
            include_default_pygments_style=False,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            completer=_Completer(names),
            complete_in_thread=True,
            complete_while_typing=True,
            reserve_space_for_menu=6,
            search_ignore_case=True,
            enable_open_in_editor=True,
            tempfile_suffix=".sql",
            input=input,
            output=output or create_output(always_prefer_tty=True),
        )
        self.session.app.after_render += self._after_render

    def read(self) -> str:
        """What somebody typed and asked to run. Raises KeyboardInterrupt (Ctrl-C), EOFError (Ctrl-D)."""
        self._fresh = True
        return self.session.prompt()

    def say_above(self, text: str) -> None:
        """Show ``text`` above the prompt; from any thread."""
        loop = self.session.app.loop
        if loop is None:
            print_formatted_text(ANSI(text), output=self.session.output)
        else:
            loop.call_soon_threadsafe(self._print_above, text)

    def _print_above(self, text: str) -> None:
        run_in_terminal(lambda: print_formatted_text(ANSI(text), output=self.session.output))

    def _after_render(self, _app: object) -> None:
        if self._fresh:
            self._fresh = False
            self._painted()


class _Completer(Completer):
    """Offers of ``completing`` as prompt_toolkit shows them."""

    def __init__(self, names: Callable[[], Names]) -> None:
        self.names = names

    def get_completions(self, document: Document, _event: CompleteEvent) -> Iterable[Completion]:
        from unify.language.parser import following

        found = completing.offers(
            document.text_before_cursor, document.text_after_cursor, self.names(), following
        )
        for offer in found:
            yield Completion(offer.text, -offer.replaces, display_meta=offer.kind)


def _bindings() -> KeyBindings:
    bindings = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)

    @bindings.add("enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None  # Enter takes the completion that is marked
        elif is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    @bindings.add("escape", "enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return bindings


def _continuation(width: int, number: int, _wraps: int) -> StyleAndTextTuples:
    """``     '> ``: the prompt of a further line says what the text above it still needs."""
    above = "\n".join(get_app().current_buffer.document.lines[:number])
    sign = _WAITING.get(waiting_for(above) or ";", "-")
    return [("class:waiting", f"{sign}> ".rjust(width))]


def _history(settings: Settings, messages: Messages) -> History:
    """The history file, or one for this session alone where there cannot be a file."""
    try:
        return PrivateHistory(settings.history)
    except OSError as error:
        messages.notice(f"{settings.history}: no history is kept: {error.strerror}")
        return InMemoryHistory()
