"""A program on a pseudoterminal: its screen is read by an emulator, its keys are sent by the test."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests.support.waiting import scaled_limit_s

ENTER = "\r"
ALT_ENTER = "\x1b\r"
CTRL_C = "\x03"
CTRL_D = "\x04"
# Makes stdin the controlling terminal, so that Ctrl-C becomes a signal, and becomes the command.
_CONTROLLING_TERMINAL_SCRIPT = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
TIMEOUT_S = 30.0  # generous for a busy machine; no test waits for it to pass


def bracketed_paste(text: str) -> str:
    """Return ``text`` as a terminal sends a paste: in brackets, with carriage returns."""
    return "\x1b[200~" + text.replace("\n", "\r") + "\x1b[201~"


class Terminal:
    """A program on a pty. ``received`` is its output, ``screen`` the text on the screen."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, columns: int, lines: int) -> None:
        self.process = process
        self.master = master
        self.received = b""
        self._screen = _Screen(columns, lines)
        self._screen.send_reply = lambda text: os.write(master, text.encode())
        self._stream = pyte.ByteStream(self._screen)

    @property
    def screen(self) -> str:
        """The lines on the screen, without trailing spaces."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    @property
    def lines(self) -> int:
        return self._screen.lines

    def row(self, number: int) -> list[pyte.screens.Char]:
        """Return the characters of a line with their styles; dim text is italic here, which pyte knows."""
        return [self._screen.buffer[number][column] for column in range(self._screen.columns)]

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def type_at_prompt(self, keys: str) -> None:
        """Type ``keys`` when the prompt reads them; between prompts the terminal interprets Ctrl-D."""
        self._wait_for_mode(lambda local_modes: not local_modes & termios.ICANON, "the prompt to read keys")
        self.type(keys)

    def expect_text(self, text: str, times: int = 1) -> str:
        """Read until ``text`` is on the screen ``times`` times; return the screen."""
        self.wait_until(lambda: self.screen.count(text) >= times, f"{text!r} {times} times")
        return self.screen

    def wait_until(self, condition: Callable[[], bool], description: str) -> None:
        deadline = time.monotonic() + scaled_limit_s(TIMEOUT_S)
        while not condition():
            if not self._read_output(deadline - time.monotonic()):
                raise AssertionError(f"waited for {description}; the screen is:\n{self.screen}")

    def wait_for_end(self) -> int:
        """Read until the program has ended; return its exit status."""
        deadline = time.monotonic() + scaled_limit_s(TIMEOUT_S)
        while self._read_output(deadline - time.monotonic()):
            continue
        return self.process.wait(timeout=max(0.1, deadline - time.monotonic()))

    def wait_for_signals(self) -> None:
        """Wait until the terminal turns Ctrl-C into a signal."""
        self._wait_for_mode(lambda local_modes: bool(local_modes & termios.ISIG), "Ctrl-C to be a signal")

    def _wait_for_mode(self, is_set: Callable[[int], bool], description: str) -> None:
        deadline = time.monotonic() + scaled_limit_s(TIMEOUT_S)
        while not is_set(termios.tcgetattr(self.master)[3]):
            if time.monotonic() > deadline:
                raise AssertionError(f"waited for {description}; the screen is:\n{self.screen}")
            self._read_output(0.01)

    def resize(self, columns: int, lines: int) -> None:
        _set_size(self.master, columns, lines)
        self._screen.resize(lines, columns)
        self.process.send_signal(signal.SIGWINCH)

    def _read_output(self, within_s: float) -> bool:
        """Feed the next output to the emulator; return False at the end of the output or on timeout."""
        if not select.select([self.master], [], [], max(0.0, within_s))[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # on Linux, the end of a pty is an error
            return False
        self.received += data
        self._stream.feed(data)
        return bool(data)


class _Screen(pyte.Screen):
    """A screen that replies to requests for the position of the cursor."""

    send_reply: Callable[[str], object]

    def select_graphic_rendition(self, *attrs: int, **kwargs: bool) -> None:
        """Keep dim text (2), which pyte ignores, as italics (3)."""
        super().select_graphic_rendition(*(3 if attr == 2 else attr for attr in attrs), **kwargs)

    def write_process_input(self, data: str) -> None:
        self.send_reply(data)


@contextmanager
def run_on_terminal(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    columns: int = 100,
    lines: int = 30,
    stdout: int | None = None,
) -> Iterator[Terminal]:
    """Run ``command`` with a terminal on its three streams, or on stdin and stderr if ``stdout`` is given."""
    master, slave = os.openpty()
    _set_size(slave, columns, lines)
    process = subprocess.Popen(
        [sys.executable, "-c", _CONTROLLING_TERMINAL_SCRIPT, *command],
        stdin=slave,
        stdout=slave if stdout is None else stdout,
        stderr=slave,
        env={**environment, "TERM": environment.get("TERM", "xterm-256color")},
        cwd=folder,
        start_new_session=True,
    )
    os.close(slave)
    with process:
        try:
            yield Terminal(process, master, columns, lines)
        finally:
            process.kill()
            os.close(master)


def _set_size(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
