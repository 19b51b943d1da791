"""The terminal: its abilities and size, and prompts to sign in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from threading import Thread
from typing import TYPE_CHECKING, TextIO

from unify.text import escape_text

if TYPE_CHECKING:
    from unify.render.messages import Messages


def supports_cursor(environment: Mapping[str, str]) -> bool:
    """Whether the terminal understands escape sequences."""
    return environment.get("TERM") != "dumb"


def supports_colours(environment: Mapping[str, str]) -> bool:
    """Whether to write colours; NO_COLOR disables them."""
    return not environment.get("NO_COLOR") and supports_cursor(environment)


def is_interactive() -> bool:
    """Whether questions can be asked: stdin and stderr are terminals."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def confirm(messages: Messages, question: str) -> bool:
    """Ask on stderr, with -q too, and return whether the answer is yes."""
    for line in question.splitlines():
        messages.write(escape_text(line))
    messages.write("[y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Return the current columns and lines; 80 and 24 if ``stream`` is no terminal."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return size.columns or 80, size.lines or 24


class TerminalPrompt:
    """Shows sign-in instructions on stderr and opens the browser."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def show_message(self, text: str) -> None:
        """Write a text, with -q too: signing in needs it."""
        self._messages.write(escape_text(text))

    def open_browser(self, url: str) -> None:
        """Open the browser without waiting for it."""
        if _has_browser():
            Thread(target=_open_browser, args=(url,), daemon=True).start()


def terminal_prompt(messages: Messages) -> TerminalPrompt | None:
    """Return the prompt of this terminal; None in a script."""
    return TerminalPrompt(messages) if is_interactive() else None


def _open_browser(address: str) -> None:
    """Open the browser from its own process, so that its output and Ctrl-C stay apart from ours."""
    import subprocess

    null = subprocess.DEVNULL
    command = [sys.executable, "-I", "-m", "webbrowser", address]  # -I: ignore modules in the current folder
    try:
        subprocess.run(command, check=False, stdin=null, stdout=null, stderr=null, start_new_session=True)
    except OSError:
        return  # the address is on the screen


def _has_browser() -> bool:
    """Whether there is a graphical browser; a text browser would take over the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))
