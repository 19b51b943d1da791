"""The editor for terminals without cursor control (TERM=dumb): writes no escape sequences."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from unify.errors import UsageError
from unify.shell.editor import PROMPT, InputCleared, is_ready_to_run

if TYPE_CHECKING:
    from prompt_toolkit.history import History

    from unify.config.preferences import Keys

_CONTINUATION_PROMPT = "-> ".rjust(len(PROMPT))


class PlainEditor:
    """Reads what Editor reads; the terminal's line discipline edits the text.

    ``on_paint``  called before each prompt.
    """

    def __init__(self, history: History) -> None:
        self.on_paint: Callable[[], None] = lambda: None
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")  # as prompt_toolkit delivers invalid UTF-8
        self._history = history
        self._unfinished_text = ""

    def read(self) -> str:
        """Read one complete text. Raises InputCleared (Ctrl-C), EOFError (Ctrl-D)."""
        self.on_paint()
        text, self._unfinished_text = self._unfinished_text, ""
        try:
            if text:
                self._show(text)
            else:
                text = self._read_line(PROMPT)
            while not is_ready_to_run(text):
                text += "\n" + self._read_line(_CONTINUATION_PROMPT)
        except KeyboardInterrupt:
            self.write_above("")
            raise InputCleared from None
        if text.strip():
            self._history.append_string(text)
        return text

    def write_above(self, text: str) -> None:
        """Write ``text`` below the line being typed; the terminal cannot insert it above."""
        _terminal_stream().write(f"\n{text}" if text else "\n")
        _terminal_stream().flush()

    def edit_next(self, _text: str) -> None:
        raise UsageError("editing is not available on this terminal (TERM=dumb)")

    def type_next(self, text: str) -> None:
        """Show ``text``, which is not complete, and let the next lines continue it."""
        self._unfinished_text = text

    def discard_accepted(self) -> None:
        """No text is kept."""

    def set_keys(self, _keys: Keys) -> None:
        """The terminal's own keys apply."""

    def refresh(self) -> None:
        """There is no toolbar."""

    def close(self) -> None:
        """There is nothing to close."""

    def _show(self, text: str) -> None:
        prompts = (PROMPT, *[_CONTINUATION_PROMPT] * text.count("\n"))
        lines = (f"{prompt}{line}\n" for prompt, line in zip(prompts, text.split("\n"), strict=True))
        _terminal_stream().write("".join(lines))

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
    """Return stdout, or stderr if rows go elsewhere."""
    return sys.stdout if sys.stdout is not None and sys.stdout.isatty() else sys.stderr
