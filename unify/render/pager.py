"""The pager: output that is taller than the terminal goes through $PAGER."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

# S: cut long lines; R: keep colours; F: quit if the text fits one screen; X: leave the text on the screen.
LESS_OPTIONS = "SRFX"
MAX_KEPT_CHARS = 256 * 1024  # of text; more than a pipe holds (64 KiB), so a pager that took it has read some


def pager_command(environment: Mapping[str, str]) -> Sequence[str]:
    """Return $PAGER as a command of the shell, or ``less``; () if PAGER is empty or less is missing."""
    if "PAGER" in environment:
        command = environment["PAGER"].strip()
        return ("sh", "-c", command) if command else ()
    return ("less",) if shutil.which("less") else ()


@contextmanager
def open_pager(terminal: TextIO, command: Sequence[str], max_lines: int) -> Iterator[TextIO]:
    """Open a stream that writes to ``terminal``, or to the pager from ``max_lines`` lines on.

    If the user leaves the pager, the block ends early without an error. If the pager fails, the text goes
    to the terminal.
    """
    stream = _PagerStream(terminal, command, max_lines)
    try:
        yield stream
    except BrokenPipeError:
        if stream.process is None:
            raise
    finally:
        stream.finish()


class _PagerStream(io.StringIO):
    """Keeps text until it has ``max_lines`` lines, then starts the pager and writes to it."""

    def __init__(self, terminal: TextIO, command: Sequence[str], max_lines: int) -> None:
        super().__init__()
        self.terminal = terminal
        self.command = command
        self.lines_left = max_lines
        self.process: subprocess.Popen[str] | None = None
        self._has_failed = False
        self._kept_chars = 0

    def write(self, text: str) -> int:
        if self._has_failed:
            return self.terminal.write(text)
        if self._kept_chars <= MAX_KEPT_CHARS:
            super().write(text)
            self._kept_chars += len(text)
        if self.process is not None:
            return self._write_to_pager(text)
        self.lines_left -= text.count("\n")
        if self.lines_left <= 0:
            self._start_pager()
        return len(text)

    def finish(self) -> None:
        """Write the kept text, or wait until the user leaves the pager, which receives Ctrl-C."""
        if self.process is None:
            if not self._has_failed:
                self.terminal.write(self.getvalue())
            return
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with suppress(BrokenPipeError), self.process:
                self.process.communicate()
        finally:
            signal.signal(signal.SIGINT, before)
        if self._pager_has_failed():
            self.terminal.write(self.getvalue())

    def _start_pager(self) -> None:
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={"LESS": LESS_OPTIONS, **os.environ},
            )
        except OSError:
            self._write_kept_text()
        else:
            self._write_to_pager(self.getvalue())

    def _write_to_pager(self, text: str) -> int:
        """Raises BrokenPipeError if the user has left the pager."""
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            return self.process.stdin.write(text)
        except BrokenPipeError:
            with suppress(BrokenPipeError):
                self.process.communicate()
            if not self._pager_has_failed():
                raise
            self.process = None
            self._write_kept_text()
            return len(text)

    def _pager_has_failed(self) -> bool:
        """Whether the pager exited with an error before it can have read all of the text."""
        return bool(self.process and self.process.returncode) and self._kept_chars <= MAX_KEPT_CHARS

    def _write_kept_text(self) -> None:
        self._has_failed = True
        self.terminal.write(self.getvalue())
