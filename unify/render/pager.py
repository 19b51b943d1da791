"""What is too tall for the terminal goes through $PAGER; what is not, straight to the terminal."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

LESS_OPTIONS = (
    "SRFX"  # long lines are cut, colours stay, one screen needs no key, the text stays when it ends
)


def pager_command(environment: Mapping[str, str]) -> Sequence[str]:
    """The words of $PAGER, else of ``less`` where there is one; none where PAGER is set and empty."""
    if "PAGER" in environment:
        try:
            return shlex.split(environment["PAGER"])
        except ValueError:
            return ()
    return ("less",) if shutil.which("less") else ()


@contextmanager
def open_pager(terminal: TextIO, command: Sequence[str], max_lines: int) -> Iterator[TextIO]:
    """A stream whose text is shown whole if it has fewer than ``lines`` lines, else by the pager.

    Somebody who leaves the pager early ends the block early, and that is no error.
    """
    stream = _PagerStream(terminal, command, max_lines)
    try:
        yield stream
    except BrokenPipeError:
        if not stream.is_paging:
            raise
    finally:
        stream.finish()


class _PagerStream(io.StringIO):
    """Keeps text until it is too tall, then hands it on to the pager."""

    def __init__(self, terminal: TextIO, command: Sequence[str], max_lines: int) -> None:
        super().__init__()
        self.terminal = terminal
        self.command = command
        self.lines_left = max_lines
        self.process: subprocess.Popen[str] | None = None
        self._failed = False

    @property
    def is_paging(self) -> bool:
        return self.process is not None

    def write(self, text: str) -> int:
        if self.process is not None and self.process.stdin is not None:
            return self.process.stdin.write(text)
        if self._failed:
            return self.terminal.write(text)
        self.lines_left -= text.count("\n")
        written = super().write(text)
        if self.lines_left <= 0:
            self._start_pager()
        return written

    def finish(self) -> None:
        """Show what was kept, or wait until the pager is left; Ctrl-C is the pager's meanwhile."""
        if self.process is None:
            self.terminal.write(self._take_text())
            return
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with suppress(BrokenPipeError), self.process:
                self.process.communicate()
        finally:
            signal.signal(signal.SIGINT, before)

    def _start_pager(self) -> None:
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={"LESS": LESS_OPTIONS, **os.environ},
            )
        except OSError:  # no such pager: the rows are what matters
            self._failed = True
        self.write(self._take_text())

    def _take_text(self) -> str:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text
