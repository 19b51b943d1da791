"""What is worth knowing of how a source was read, beside its rows: for the reason of a load."""

from __future__ import annotations

import threading
from collections import Counter

from unify.model import FOUND_OUT
from unify.text import counted

MOST = 3  # ways of paging told; parents may differ


class Remarks:
    """Gathers what an adapter tells while it reads. Called from any of its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._skipped: Counter[int] = Counter()
        self._found: dict[str, None] = {}
        self._cursorless = ""

    def skipped(self, status: int) -> None:
        """A request had no rows because the spec says so."""
        with self._lock:
            self._skipped[status] += 1

    def found(self, paging: str) -> None:
        """``paging: auto`` has found this out."""
        with self._lock:
            self._found[paging] = None

    def cursorless(self, rows: int, column: str) -> None:
        """So many rows have nothing in ``column`` that says where the next load begins."""
        if rows:
            self._cursorless = f"{counted(rows, 'row')} without a usable {column}"

    def told(self) -> tuple[str, ...]:
        """``2 requests skipped (status 404)``, most frequent first."""
        with self._lock:
            skipped = [
                f"{counted(number, 'request')} skipped (status {status})"
                for status, number in self._skipped.most_common()
            ]
            found = [f"{FOUND_OUT}: {paging}" for paging in list(self._found)[:MOST]]
            return (*skipped, *filter(None, [self._cursorless]), *found)
