"""Temporary files that are removed when the process is terminated.

SIGTERM, and SIGHUP when a terminal closes, end a process without running any ``finally``.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_paths: set[Path] = set()


def remove_at_termination(path: Path) -> None:
    """Remove ``path``, a file or a folder, if SIGTERM or SIGHUP ends this process.

    A process that handles or ignores the signal itself does not end by it, and keeps its files.
    """
    _paths.add(path)
    if threading.current_thread() is not threading.main_thread():
        return  # Python sets handlers in the main thread only
    for number in _SIGNALS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _remove_and_end)


def keep_at_termination(path: Path) -> None:
    """Undo ``remove_at_termination``."""
    _paths.discard(path)


@contextmanager
def removed_at_termination(path: Path) -> Iterator[None]:
    """Remove ``path`` if a signal ends the process within the block."""
    remove_at_termination(path)
    try:
        yield
    finally:
        keep_at_termination(path)


def _remove_and_end(number: int, _frame: FrameType | None) -> None:
    for path in tuple(_paths):
        with suppress(OSError):
            if path.is_dir():
                import shutil  # 2 ms at the start of each process

                shutil.rmtree(path)
            else:
                path.unlink()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
