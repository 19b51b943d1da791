"""What the terminal on the other side can do, and how large it is.

The person at the terminal, who may be asked to sign in somewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from threading import Thread
from typing import TYPE_CHECKING, TextIO

from unify.text import escape_text

if TYPE_CHECKING:
    from unify.render.messages import Messages


def supports_cursor(environment: Mapping[str, str]) -> bool:
    """Whether lines on it can be drawn anew and text have looks."""
    return environment.get("TERM") != "dumb"


def supports_colours(environment: Mapping[str, str]) -> bool:
    """Whether colours are welcome: NO_COLOR says no."""
    return not environment.get("NO_COLOR") and supports_cursor(environment)


def is_interactive() -> bool:
    """Whether somebody can be asked; stdout may go elsewhere."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Columns and lines, asked anew each time: people resize it. 80 and 24 where there is no terminal."""
    try:
        found = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return found.columns or 80, found.lines or 24


class TerminalPrompt:
    """Reads stderr, and may have a browser on this machine."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def show_message(self, text: str) -> None:
        """Said with -q too: nothing goes on before it is read."""
        self._messages.write(escape_text(text))

    def open_browser(self, url: str) -> None:
        """A thread waits for it, which some browsers take their time with."""
        if _has_browser():
            Thread(target=_open_browser, args=(url,), daemon=True).start()


def terminal_prompt(messages: Messages) -> TerminalPrompt | None:
    """Whoever is in front; None where stdin and stderr are no terminal: a script is never asked."""
    return TerminalPrompt(messages) if is_interactive() else None


def _open_browser(address: str) -> None:
    """In a process of its own: what a browser writes is no rows of ours, and Ctrl-C is not meant for it."""
    nothing = subprocess.DEVNULL
    command = [sys.executable, "-I", "-m", "webbrowser", address]  # -I: no module of the folder we are in
    try:
        subprocess.run(
            command, check=False, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
        )
    except OSError:
        return  # the address is on the screen


def _has_browser() -> bool:
    """One with a window: a browser in this terminal would take it away from us."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))
