"""A server that answers every page with the first one: it would never end, or fill a table with copies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unify.adapters.numbering import positions_of
from unify.adapters.paging import way_on
from unify.adapters.spec import Paging
from unify.adapters.turns import Evidence, Facts, Turn
from unify.errors import BadResponse

Ask = Callable[[Turn], Facts | None]  # asks for one page more; None: the API says that there is no such page


@dataclass(frozen=True, slots=True)
class _First:
    """The first page: how it was asked for, what it looked like, and where it said to go on.

    ``asked_before``  False: nobody knew then where to look for the way on (``paging: auto``).
    """

    turn: Turn
    look: tuple[int, int, bytes, bytes]
    way_on: object
    asked_before: bool


class Sameness:
    """Looks at the pages of one scope, in whatever order they come; the first comes first.

    Pages that look like the first may hold rows that are all alike, or come from a server that does not know
    the parameter. One more request tells:

    page, offset   a place behind the end is asked for: who knows the parameter has no rows there
    all others     the first page is asked for again: if it leads on to where it did before, and this page
                   leads elsewhere, then the server knew what it was asked for

    Pages are told apart by how many rows and bytes they have, and by their first and last row.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._lock = threading.Lock()
        self._evidence = evidence
        self._first: _First | None = None
        self._same = 0

    def see(self, number: int, turn: Turn, facts: Facts, paging: Paging, ask: Ask) -> None:
        """Raises BadResponse, naming the type of ``paging``, where the pages do not get anywhere."""
        if not facts.rows or self._evidence.moves:
            return
        with self._lock:
            if number == 0:
                found_out = paging.type != "auto"
                self._first = _First(turn, _look(facts.rows), way_on(paging, facts), found_out)
                return
            first = self._first
            if first is None or facts.rows[0] != first.look[2] or _look(facts.rows) != first.look:
                return
            self._same += 1
            if self._same < 2 and positions_of(paging) is None:
                return  # links and cursors of the server's own making: two may be chance
            if self._evidence.moves or _knows(paging, turn, facts, first, ask):
                self._evidence.moves = True
                return
        raise BadResponse(
            f"paging.type {paging.type}: pages with the same rows as the first; "
            "the API does not seem to know the parameter"
        )


def _knows(paging: Paging, turn: Turn, facts: Facts, first: _First, ask: Ask) -> bool:
    """Does the API know the parameter that ``turn`` asked with?"""
    positions = positions_of(paging)
    if positions is not None:
        behind = ask(positions.behind_the_end(turn, facts))
        return behind is None or not behind.rows
    before = first.way_on if first.asked_before else _way_on_again(paging, first, ask)
    return before is not None and before == _way_on_again(paging, first, ask) != way_on(paging, facts)


def _way_on_again(paging: Paging, first: _First, ask: Ask) -> object:
    """Where the first page leads when it is asked for once more; None where it is another page now."""
    again = ask(first.turn)
    return way_on(paging, again) if again is not None and _look(again.rows) == first.look else None


def _look(rows: Sequence[bytes]) -> tuple[int, int, bytes, bytes]:
    return len(rows), sum(map(len, rows)), rows[0] if rows else b"", rows[-1] if rows else b""
