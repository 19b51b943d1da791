"""The person at the terminal, who may be asked to sign in somewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread
from typing import TYPE_CHECKING

from unify.shell import terminal
from unify.text import safe_text

if TYPE_CHECKING:
    from unify.shell.messages import Messages


class AtTerminal:
    """Reads stderr, and may have a browser on this machine."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    def tell(self, text: str) -> None:
        """Said with -q too: nothing goes on before it is read."""
        self._messages.write(safe_text(text))

    def browse(self, address: str) -> None:
        """A thread waits for it, which some browsers take their time with."""
        if _has_browser():
            Thread(target=_open, args=(address,), daemon=True).start()


def person(messages: Messages) -> AtTerminal | None:
    """Whoever is in front; None where stdin and stderr are no terminal: a script is never asked."""
    return AtTerminal(messages) if terminal.is_attended() else None


def _open(address: str) -> None:
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
