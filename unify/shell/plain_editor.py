"""The prompt on a terminal that knows no cursor (TERM=dumb): lines in, text out, and not one escape."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from unify.errors import UsageError
from unify.shell.editor import PROMPT, InputCleared

if TYPE_CHECKING:
    from prompt_toolkit.history import History

    from unify.config.preferences import Keys

_CONTINUATION_PROMPT = "-> ".rjust(len(PROMPT))


class PlainEditor:
    """Reads what ``Editor`` reads, edited by the terminal's own line discipline.

    ``on_paint``  called before each prompt.
    """

    def __init__(self, history: History) -> None:
        self.on_paint: Callable[[], None] = lambda: None
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # a byte of another encoding is no reason to leave
        self._history = history

    def read(self) -> str:
        """What somebody typed, up to its end. Raises Cleared (Ctrl-C), EOFError (Ctrl-D)."""
        from unify.language.statements import is_complete
        from unify.shell.meta_commands import is_meta_command

        self.on_paint()
        try:
            text = self._read_line(PROMPT)
            while not is_meta_command(text) and not is_complete(text):
                text += "\n" + self._read_line(_CONTINUATION_PROMPT)
        except KeyboardInterrupt:
            self.write_above("")
            raise InputCleared from None
        if text.strip():
            self._history.append_string(text)
        return text

    def write_above(self, text: str) -> None:
        """Show ``text`` below what is being typed, for lack of a way above."""
        _terminal_stream().write(f"\n{text}" if text else "\n")
        _terminal_stream().flush()

    def edit_next(self, _text: str) -> None:
        raise UsageError("there is no editing on this terminal (TERM=dumb)")

    def discard_accepted(self) -> None:
        """What was read needs no keeping: it is not typed again."""

    def set_keys(self, _keys: Keys) -> None:
        """The terminal's own keys stay."""

    def refresh(self) -> None:
        """There is no line at the bottom."""

    def close(self) -> None:
        """Nothing is held."""

    def _read_line(self, prompt: str) -> str:
        screen = _terminal_stream()
        screen.write(prompt)
        screen.flush()
        line = sys.stdin.readline()
        if not line:
            screen.write("\n")
            raise EOFError
        return line.rstrip("\r\n")


def _terminal_stream() -> TextIO:
    """stdout, or stderr where the rows go elsewhere."""
    return sys.stdout if sys.stdout is not None and sys.stdout.isatty() else sys.stderr
