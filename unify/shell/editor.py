"""What keys do at the prompt, and how the text looks while it is typed.

Enter runs finished text and opens a new line in unfinished text; Alt-Enter runs in any case. A paste is
only typed. What is not needed to paint an empty prompt is imported when it is.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.cursor_shapes import CursorShapeConfig, DynamicCursorShapeConfig, ModalCursorShapeConfig
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import has_focus
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys as Pressed
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.output import ColorDepth, create_output
from prompt_toolkit.output import Output as Terminal
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.styles import Style

if TYPE_CHECKING:
    from unify.config.preferences import Keys
    from unify.interpreter.results import CompletionNames
    from unify.shell.activity import Activity

PROMPT = "unify> "
STYLE = {
    "keyword": "ansiblue bold",
    "command": "ansimagenta bold",
    "string": "ansigreen",
    "number": "ansicyan",
    "comment": "ansibrightblack",
    "open": "ansigreen underline",
    "prompt": "bold",
    "waiting": "ansibrightblack",
    "bottom-toolbar": "noreverse ansibrightblack",
    "toolbar.load": "ansiblue",
    "toolbar.problem": "ansired",
}
_EDITING_MODES = {"emacs": EditingMode.EMACS, "vi": EditingMode.VI}
_COMPLETION_TRIGGER = re.compile(r"[\w$./\"'\\]\Z")  # what a completion may come after unasked
_CONTINUATION_SIGNS = {";": "-", "quote": "'", "comment": "*", "bracket": "("}


class InputCleared(Exception):
    """Ctrl-C: what was typed is not wanted."""


class Editor:
    """One prompt_toolkit session: what keys do, how text looks.

    ``on_paint``   called each time the prompt has come up: the moment for work nobody should wait for.
    ``activity``  what the line at the bottom tells of; None: there is no such line.
    """

    def __init__(
        self,
        *,
        history: History,
        names: Callable[[], CompletionNames],
        on_paint: Callable[[], None] = lambda: None,
        activity: Callable[[], Activity] | None = None,
        colour: bool = True,
        keys: Keys = "emacs",
        input: Input | None = None,
        output: Terminal | None = None,
    ) -> None:
        self.on_paint = on_paint
        self._first_render_pending = False
        self._editor_requested = False
        self._interrupt_pending = False
        self._accepted_text = ""  # asked to be run, and not begun
        # One event loop for all prompts: those that asyncio.run would leave behind are collected while a
        # statement runs, and a Ctrl-C that meets Python in their __del__ is lost.
        self._loop = asyncio.Runner()
        self.session: PromptSession[str] = PromptSession(
            [("class:prompt", PROMPT)],
            multiline=True,
            prompt_continuation=_continuation_prompt,
            key_bindings=_key_bindings(self._accept),
            history=history,
            auto_suggest=AutoSuggestFromHistory(),
            lexer=_StatementLexer(),
            style=Style.from_dict(STYLE),
            include_default_pygments_style=False,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            completer=_StatementCompleter(names),
            complete_in_thread=True,
            complete_while_typing=True,
            reserve_space_for_menu=6,
            search_ignore_case=True,
            enable_open_in_editor=True,
            tempfile_suffix=".sql",
            bottom_toolbar=_ActivityToolbar(activity) if activity is not None else None,
            interrupt_exception=InputCleared,
            editing_mode=_EDITING_MODES[keys],
            cursor=DynamicCursorShapeConfig(_cursor_shape),
            input=input,
            output=output or create_output(always_prefer_tty=True),
        )
        self.session.app.after_render += self._after_render

    def read(self) -> str:
        """What somebody typed and asked to run. Raises Cleared (Ctrl-C), EOFError (Ctrl-D).

        A Ctrl-C that comes while the prompt closes is a KeyboardInterrupt, as it will be from then on.
        Until ``begin`` is called the text is not begun: met by a Ctrl-C, it stands at the next prompt again.
        """
        self._first_render_pending = True
        typed, self._accepted_text = self._accepted_text, ""
        edit, self._editor_requested = self._editor_requested, False
        with self._record_interrupts():
            text = self._loop.run(
                self.session.prompt_async(
                    default=typed,
                    pre_run=_open_in_editor if edit else self._stop_if_interrupted,
                    handle_sigint=False,
                )
            )
        if self._take_late_interrupt():
            raise KeyboardInterrupt
        return text

    def edit_next(self, text: str) -> None:
        """Open ``text`` in $VISUAL or $EDITOR at the next prompt; what comes back stands there."""
        self._accepted_text = text
        self._editor_requested = True

    def discard_accepted(self) -> None:
        """What was read is being run, or will not be: it is not to be typed again."""
        self._accepted_text = ""

    def set_keys(self, keys: Keys) -> None:
        """From now on; F4 does it for the moment."""
        self.session.editing_mode = _EDITING_MODES[keys]

    def refresh(self) -> None:
        """Paint again, because the activity has changed; from any thread."""
        self.session.app.invalidate()

    def close(self) -> None:
        self._loop.close()

    def write_above(self, text: str) -> None:
        """Show ``text`` above the prompt; from any thread."""
        loop = self.session.app.loop
        if loop is None:
            print_formatted_text(ANSI(text), output=self.session.output)
        else:
            loop.call_soon_threadsafe(self._print_above, text)

    def _print_above(self, text: str) -> None:
        run_in_terminal(lambda: print_formatted_text(ANSI(text), output=self.session.output))

    def _after_render(self, _app: object) -> None:
        if self._first_render_pending:
            self._first_render_pending = False
            self.on_paint()

    @contextmanager
    def _record_interrupts(self) -> Generator[None]:
        """A Ctrl-C that comes as a signal, before the prompt has come up or while it closes, is noted.

        From the first moment to the last: prompt_toolkit's own handler asks the loop to tell it later,
        and a loop that ends first tells it never.
        """
        before = signal.signal(signal.SIGINT, lambda _number, _frame: self.interrupt())
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def interrupt(self) -> None:
        """A Ctrl-C that came as a signal: it closes the prompt that is up, or is kept for ``read``."""
        self._interrupt_pending = True
        self._loop.get_loop().call_soon_threadsafe(self._stop_if_interrupted)

    def _stop_if_interrupted(self) -> None:
        future = self.session.app.future
        if self._interrupt_pending and future is not None and not future.done():
            self._interrupt_pending = False
            self.session.app.exit(exception=InputCleared(), style="class:aborting")

    def _take_late_interrupt(self) -> bool:
        """Whether a Ctrl-C came while the prompt closed: as a signal, or as a key that was read too late."""
        kept = get_typeahead(self.session.input)
        typed = [press for press in kept if press.key is not Pressed.ControlC]
        store_typeahead(self.session.input, typed)
        interrupted, self._interrupt_pending = self._interrupt_pending, False
        return interrupted or len(typed) < len(kept)

    def _accept(self, buffer: Buffer) -> None:
        self._accepted_text = buffer.text
        buffer.validate_and_handle()


def _cursor_shape() -> CursorShapeConfig | None:
    """vi's modes are told apart by the cursor; with other keys it stays as the terminal has it."""
    return ModalCursorShapeConfig() if get_app().editing_mode is EditingMode.VI else None


def _open_in_editor() -> None:
    buffer = get_app().current_buffer
    buffer.cursor_position = len(buffer.text)
    buffer.open_in_editor()


class _StatementLexer(Lexer):
    """Colours statements, ours and SQL."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        if not document.text:
            return lambda _number: []
        from unify.shell.highlight import highlight_lines

        lines = highlight_lines(document.text)
        return lambda number: lines[number] if number < len(lines) else []


class _ActivityToolbar:
    """The line at the bottom as it is now; its module is imported after the first paint."""

    def __init__(self, activity: Callable[[], Activity]) -> None:
        self.activity = activity

    def __call__(self) -> StyleAndTextTuples:
        from unify.shell.activity import render_toolbar

        app = get_app()
        keys = "emacs keys" if app.editing_mode is EditingMode.VI else "vi keys"
        return render_toolbar(self.activity(), app.output.get_size().columns, keys)


class _StatementCompleter(Completer):
    """Offers of ``completing`` as prompt_toolkit shows them."""

    def __init__(self, names: Callable[[], CompletionNames]) -> None:
        self.names = names

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        """Offers for what is being typed; where nothing is yet, only if somebody asks (Tab)."""
        from unify.language.parser import expected_next
        from unify.shell import completer, completion_scope

        before = document.text_before_cursor
        if not event.completion_requested and not _COMPLETION_TRIGGER.search(before):
            return
        found = completer.find_completions(
            before,
            document.text_after_cursor,
            self.names(),
            expected_next,
            function_names=completion_scope.list_functions(),
            list_files=completion_scope.list_files,
        )
        for offer in found:
            yield Completion(offer.text, -offer.replace_length, display_meta=offer.kind)


def _key_bindings(accept: Callable[[Buffer], None]) -> KeyBindings:
    bindings = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)

    @bindings.add("tab", filter=typing)
    def _(event: KeyPressEvent) -> None:
        _complete_at_cursor(event.current_buffer)

    @bindings.add("enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        from unify.language.statements import is_complete
        from unify.shell.meta_commands import is_meta_command

        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None  # Enter takes the completion that is marked
        elif is_meta_command(buffer.text) or is_complete(buffer.text):
            accept(buffer)
        else:
            buffer.newline(copy_margin=False)

    @bindings.add("escape", "enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        accept(event.current_buffer)

    @bindings.add("f4")
    def _(event: KeyPressEvent) -> None:
        vi = event.app.editing_mode is EditingMode.VI
        event.app.editing_mode = EditingMode.EMACS if vi else EditingMode.VI

    return bindings


def _complete_at_cursor(buffer: Buffer) -> None:
    """Tab: the only completion, else the next of several; where nothing is typed yet, what there is.

    It finds them itself: those that are being looked for while somebody types may not be there yet.
    """
    state = buffer.complete_state
    if state is not None and len(state.completions) > 1:
        buffer.complete_next()
        return
    buffer.complete_state = None
    asked = CompleteEvent(completion_requested=True)
    found = list(buffer.completer.get_completions(buffer.document, asked))
    if len(found) == 1:
        buffer.apply_completion(found[0])
    elif found:
        buffer.complete_state = CompletionState(buffer.document, found)
        if found[0].start_position:
            buffer.go_to_completion(0)


def _continuation_prompt(width: int, number: int, _wraps: int) -> StyleAndTextTuples:
    """``     '> ``: the prompt of a further line says what the text above it still needs."""
    signs = _continuation_signs(get_app().current_buffer.text)
    sign = signs[number - 1] if 0 < number <= len(signs) else "-"
    return [("class:waiting", f"{sign}> ".rjust(width))]


@lru_cache(maxsize=1)
def _continuation_signs(text: str) -> Sequence[str]:
    """The sign of each line but the first; none for a text so long that typing would wait for them."""
    from unify.language.statements import incomplete_reasons_by_line
    from unify.shell.highlight import MAX_HIGHLIGHT_CHARS

    if len(text) > MAX_HIGHLIGHT_CHARS:
        return ()
    return [_CONTINUATION_SIGNS[waiting or ";"] for waiting in incomplete_reasons_by_line(text)]
