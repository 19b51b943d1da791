"""The prompt on a terminal that knows no cursor (TERM=dumb): lines in, text out, and not one escape."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from unify.errors import UsageError
from unify.shell.editor import PROMPT, Cleared

if TYPE_CHECKING:
    from prompt_toolkit.history import History

    from unify.interpreter.preferences import Keys

_FURTHER = "-> ".rjust(len(PROMPT))


class PlainEditor:
    """Reads what ``Editor`` reads, edited by the terminal's own line discipline.

    ``painted``  called before each prompt.
    """

    def __init__(self, history: History) -> None:
        self.painted: Callable[[], None] = lambda: None
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")  # a byte of another encoding is no reason to leave
        self._history = history

    def read(self) -> str:
        """What somebody typed, up to its end. Raises Cleared (Ctrl-C), EOFError (Ctrl-D)."""
        from unify.language.statements import is_complete
        from unify.shell.habits import is_habit

        self.painted()
        try:
            text = self._line(PROMPT)
            while not is_habit(text) and not is_complete(text):
                text += "\n" + self._line(_FURTHER)
        except KeyboardInterrupt:
            self.say_above("")
            raise Cleared from None
        if text.strip():
            self._history.append_string(text)
        return text

    def say_above(self, text: str) -> None:
        """Show ``text`` below what is being typed, for lack of a way above."""
        _screen().write(f"\n{text}" if text else "\n")
        _screen().flush()

    def edit_next(self, _text: str) -> None:
        raise UsageError("there is no editing on this terminal (TERM=dumb)")

    def begin(self) -> None:
        """What was read needs no keeping: it is not typed again."""

    def use(self, _keys: Keys) -> None:
        """The terminal's own keys stay."""

    def refresh(self) -> None:
        """There is no line at the bottom."""

    def close(self) -> None:
        """Nothing is held."""

    def _line(self, prompt: str) -> str:
        screen = _screen()
        screen.write(prompt)
        screen.flush()
        line = sys.stdin.readline()
        if not line:
            screen.write("\n")
            raise EOFError
        return line.rstrip("\r\n")


def _screen() -> TextIO:
    """stdout, or stderr where the rows go elsewhere."""
    return sys.stdout if sys.stdout is not None and sys.stdout.isatty() else sys.stderr
