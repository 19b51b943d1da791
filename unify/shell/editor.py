"""The editor of the prompt: keys, colours and completion.

Enter runs complete text and inserts a line break in incomplete text; Alt-Enter always runs. A paste never
runs. Modules that are not needed to paint an empty prompt are imported on first use.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app, run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.cursor_shapes import CursorShapeConfig, DynamicCursorShapeConfig, ModalCursorShapeConfig
from prompt_toolkit.data_structures import Point
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
from prompt_toolkit.renderer import Renderer
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
_COMPLETION_TRIGGER = re.compile(r"[\w$./\"'\\]\Z")  # completion starts while typing after these characters
_CONTINUATION_SIGNS = {";": "-", "quote": "'", "comment": "*", "bracket": "("}
# Set by terminals that move text to other lines when their width changes. xterm, GNU screen and the Linux
# console do not reflow.
_REFLOW_VARIABLES = (
    *("TMUX", "VTE_VERSION", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "ALACRITTY_WINDOW_ID", "WT_SESSION"),
    *("WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR"),
)
_REFLOW_PROGRAMS = frozenset({"iTerm.app", "Apple_Terminal", "WezTerm", "ghostty", "vscode", "WarpTerminal"})


class InputCleared(Exception):
    """The user has pressed Ctrl-C at the prompt."""


def is_ready_to_run(text: str) -> bool:
    """Whether Enter runs ``text``: a meta command, or complete statements."""
    from unify.language.statements import is_complete
    from unify.shell.meta_commands import is_meta_command, split_suffix

    return is_meta_command(text) or is_complete(text) or split_suffix(text) is not None


class Editor:
    """A prompt_toolkit session with the keys, colours and completion of the prompt.

    ``on_paint``  called each time the prompt is on screen, to start background work.
    ``activity``  the content of the toolbar; None: no toolbar.
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
        self._accepted_text = ""  # accepted by Enter, not running yet
        # One event loop for all prompts: loops of asyncio.run would be garbage-collected while a statement
        # runs, and Python loses a Ctrl-C that arrives in their __del__.
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
            enable_suspend=True,
            tempfile_suffix=".sql",
            bottom_toolbar=_ActivityToolbar(activity) if activity is not None else None,
            interrupt_exception=InputCleared,
            editing_mode=_EDITING_MODES[keys],
            cursor=DynamicCursorShapeConfig(_cursor_shape),
            input=input,
            output=output or create_output(always_prefer_tty=True),
        )
        self.session.app.after_render += self._after_render
        if _reflows_text(os.environ):
            _erase_reflowed_text(self.session.app.renderer, self.session.output)

    def read(self) -> str:
        """Read the text that the user accepts. Raises InputCleared (Ctrl-C), EOFError (Ctrl-D).

        A Ctrl-C while the prompt closes raises KeyboardInterrupt; the accepted text is the default of the
        next prompt unless discard_accepted() was called.
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
        """Open ``text`` in $VISUAL or $EDITOR at the next prompt, which shows the edited text."""
        self._accepted_text = text
        self._editor_requested = True

    def type_next(self, text: str) -> None:
        """Show ``text`` at the next prompt, as if it had been typed."""
        self._accepted_text = text

    def discard_accepted(self) -> None:
        """Forget the accepted text, because it runs or will not run."""
        self._accepted_text = ""

    def set_keys(self, keys: Keys) -> None:
        self.session.editing_mode = _EDITING_MODES[keys]

    def refresh(self) -> None:
        """Repaint after a change of the activity. Thread-safe."""
        self.session.app.invalidate()

    def close(self) -> None:
        self._loop.close()

    def write_above(self, text: str) -> None:
        """Show ``text`` above the prompt. Thread-safe."""
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
        """Record SIGINT from before the prompt is up until after it has closed.

        prompt_toolkit's own handler schedules a callback on the loop, which is lost if the loop ends first.
        """
        before = signal.signal(signal.SIGINT, lambda _number, _frame: self.interrupt())
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def interrupt(self) -> None:
        """Handle SIGINT: close the prompt, or keep the interrupt for read()."""
        self._interrupt_pending = True
        self._loop.get_loop().call_soon_threadsafe(self._stop_if_interrupted)

    def _stop_if_interrupted(self) -> None:
        future = self.session.app.future
        if self._interrupt_pending and future is not None and not future.done():
            self._interrupt_pending = False
            self.session.app.exit(exception=InputCleared(), style="class:aborting")

    def _take_late_interrupt(self) -> bool:
        """Return whether Ctrl-C arrived while the prompt closed, as a signal or as a key read ahead."""
        read_ahead = get_typeahead(self.session.input)
        typed = [press for press in read_ahead if press.key is not Pressed.ControlC]
        store_typeahead(self.session.input, typed)
        interrupted, self._interrupt_pending = self._interrupt_pending, False
        return interrupted or len(typed) < len(read_ahead)

    def _accept(self, buffer: Buffer) -> None:
        self._accepted_text = buffer.text
        buffer.validate_and_handle()


def _cursor_shape() -> CursorShapeConfig | None:
    """Show the mode of vi keys by the cursor; leave the cursor unchanged with other keys."""
    return ModalCursorShapeConfig() if get_app().editing_mode is EditingMode.VI else None


def _reflows_text(environment: Mapping[str, str]) -> bool:
    """Whether the terminal wraps lines again when its width changes."""
    return environment.get("TERM_PROGRAM") in _REFLOW_PROGRAMS or any(map(environment.get, _REFLOW_VARIABLES))


def _erase_reflowed_text(renderer: Renderer, output: Terminal) -> None:
    """Make ``renderer`` erase the whole prompt after a resize; otherwise each resize leaves copies of it.

    prompt_toolkit moves up by the lines it painted, but the terminal may have wrapped them into more. And
    tmux moves a screen that is erased from its upper left corner to its history (scroll-on-clear), so the
    first line is erased on its own.
    """
    erase = renderer.erase

    def erase_all_lines(leave_alternate_screen: bool = True) -> None:
        screen, cursor, width = renderer.last_rendered_screen, renderer._cursor_pos, output.get_size().columns
        if screen is not None:
            lengths = [
                max((x for x, cell in screen.data_buffer[y].items() if cell.char != " "), default=0) + 1
                for y in range(cursor.y)
            ]
            lines_above = sum(-(-length // width) for length in lengths) + cursor.x // width
            renderer._cursor_pos = Point(cursor.x, lines_above)
        erase(leave_alternate_screen)

    def erase_down() -> None:
        output.erase_end_of_line()
        output.write_raw("\x1b7\x1b[B\x1b[J\x1b8")  # save cursor, down, erase below, restore cursor

    renderer.erase = erase_all_lines  # type: ignore[method-assign]
    output.erase_down = erase_down  # type: ignore[method-assign]


def _open_in_editor() -> None:
    buffer = get_app().current_buffer
    buffer.cursor_position = len(buffer.text)
    buffer.open_in_editor()


class _StatementLexer(Lexer):
    """Colours SQL and commands."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        if not document.text:
            return lambda _number: []
        from unify.shell.highlight import highlight_lines

        lines = highlight_lines(document.text)
        return lambda number: lines[number] if number < len(lines) else []


class _ActivityToolbar:
    """The toolbar; its module is imported after the first paint."""

    def __init__(self, activity: Callable[[], Activity]) -> None:
        self.activity = activity

    def __call__(self) -> StyleAndTextTuples:
        from unify.shell.activity import render_toolbar

        app = get_app()
        keys = "emacs keys" if app.editing_mode is EditingMode.VI else "vi keys"
        return render_toolbar(self.activity(), app.output.get_size().columns, keys)


class _StatementCompleter(Completer):
    """Adapts ``completer.find_completions`` to prompt_toolkit."""

    def __init__(self, names: Callable[[], CompletionNames]) -> None:
        self.names = names

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        """Yield completions at the cursor; before the first character of a word only on Tab."""
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
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None  # Enter accepts the selected completion
        elif is_ready_to_run(buffer.text):
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
    """Tab: insert the only completion, or select the next one, or list all if nothing is typed.

    Completions are computed here: those of typing come from a thread and may not have arrived.
    """
    state = buffer.complete_state
    if state is not None and len(state.completions) > 1:
        buffer.complete_next()
        return
    buffer.complete_state = None
    event = CompleteEvent(completion_requested=True)
    completions = list(buffer.completer.get_completions(buffer.document, event))
    if len(completions) == 1:
        buffer.apply_completion(completions[0])
    elif completions:
        buffer.complete_state = CompletionState(buffer.document, completions)
        if completions[0].start_position:
            buffer.go_to_completion(0)


def _continuation_prompt(width: int, number: int, _wraps: int) -> StyleAndTextTuples:
    """Return the prompt of a further line, such as ``     '> ``: its sign shows what the text above lacks."""
    signs = _continuation_signs(get_app().current_buffer.text)
    sign = signs[number - 1] if 0 < number <= len(signs) else "-"
    return [("class:waiting", f"{sign}> ".rjust(width))]


@lru_cache(maxsize=1)
def _continuation_signs(text: str) -> Sequence[str]:
    """Return the sign of each line but the first; () for a text too long to scan at each key."""
    from unify.language.statements import incomplete_reasons_by_line
    from unify.shell.highlight import MAX_HIGHLIGHT_CHARS

    if len(text) > MAX_HIGHLIGHT_CHARS:
        return ()
    return [_CONTINUATION_SIGNS[reason or ";"] for reason in incomplete_reasons_by_line(text)]
