"""How many requests of a connection are under way at once, all worker processes together.

A place is a small file under ``flock``: whoever holds it may ask, and a process that dies gives it back. Who
waits for a place holds the door meanwhile, so that whoever had one before comes after them.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from threading import Lock

from unify.errors import StoreError


class Places:
    """``count`` places of every process that names the same files."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        self._door = folder / f"{name}.door"
        self._paths = [folder / f"{name}.{number}.place" for number in range(count)]
        self._lock = Lock()  # flock tells processes apart, not threads
        self._open: dict[Path, int] = {}
        self._ours: set[int] = set()
        self._at_door: object | None = None

    def enter(self, who: object) -> int | None:
        """A place for ``who``, to be given back with ``leave``; None: none is free, ask again soon."""
        with self._lock:
            if self._at_door not in (None, who) or (self._at_door is None and not self._held(self._door)):
                return None
            self._at_door = who
            for number, path in enumerate(self._paths):
                if number not in self._ours and self._held(path):
                    self._ours.add(number)
                    self._leave_door()
                    return number
            return None

    def give_up(self, who: object) -> None:
        """``who`` waits no longer."""
        with self._lock:
            if self._at_door is who:
                self._leave_door()

    def leave(self, number: int) -> None:
        with self._lock:
            self._ours.discard(number)
            self._release(self._paths[number])

    def close(self) -> None:
        with self._lock:
            for file in self._open.values():
                os.close(file)
            self._open.clear()

    def _leave_door(self) -> None:
        self._at_door = None
        self._release(self._door)

    def _held(self, path: Path) -> bool:
        try:
            if path not in self._open:
                self._open[path] = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._open[path], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened ({error.strerror})") from error
        return True

    def _release(self, path: Path) -> None:
        if path in self._open:
            fcntl.flock(self._open[path], fcntl.LOCK_UN)
