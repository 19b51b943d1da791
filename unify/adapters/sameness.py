"""A server that answers every page with the first one: it would never end, or fill a table with copies."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from unify.errors import BadResponse


class Sameness:
    """Looks at the pages of one scope, in whatever order they come; the first comes first.

    Two equal pages may be chance, three are a server that does not know the parameter. Pages are told apart
    by how many rows and bytes they have, and by their first and last row.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: tuple[int, int, bytes, bytes] | None = None
        self._same = 0

    def see(self, number: int, rows: Sequence[bytes], paging: str) -> None:
        """Raises BadResponse, naming the type of ``paging``, at the third page of the same rows."""
        if not rows:
            return
        with self._lock:
            if number == 0:
                self._first = _look(rows)
            elif self._first is not None and rows[0] == self._first[2] and _look(rows) == self._first:
                self._same += 1
            if self._same < 2:
                return
        raise BadResponse(
            f"paging.type {paging}: three pages with the same rows; "
            "the API does not seem to know the parameter"
        )


def _look(rows: Sequence[bytes]) -> tuple[int, int, bytes, bytes]:
    return len(rows), sum(map(len, rows)), rows[0], rows[-1]
