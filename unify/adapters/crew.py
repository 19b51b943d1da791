"""Pages of several scopes fetched side by side, and handed over in the order of each scope.

A few threads take turns from a bounded number of open scopes: first pages before later ones, so that it is
soon known how many pages there are. The pages under way and those not yet taken are bounded too: a slow
reader holds the threads back, and memory stays what a few pages need.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from unify.adapters.turns import Facts, Pager, Turn, known_pages

P_co = TypeVar("P_co", covariant=True)
T = TypeVar("T")

PAGES_AHEAD = 4  # finished pages that may wait for the reader, beside one for each thread
BYTES_AHEAD = 48_000_000  # of pages held at once, each taken for as large as the largest so far
SCOPES_OPEN = 200  # scopes whose later pages may wait while first pages are fetched
JOIN_S = 5.0  # a thread that looks a name up cannot be woken; it is a daemon and ends by itself


class Series(Protocol[P_co]):
    """The pages of one scope."""

    def pager(self) -> Pager: ...
    def fetch(self, turn: Turn, number: int) -> tuple[P_co, Facts]: ...


class _Strand(Generic[T]):
    """One open scope: its turns to take, its pages waiting for an earlier one."""

    def __init__(self, series: Series[T]) -> None:
        self.series = series
        self.pager = series.pager()
        self.turns: deque[tuple[int, Turn]] = deque()
        self.pages: dict[int, T] = {}
        self.made = 0  # turns so far
        self.due = 0  # the page the reader gets next
        self.running = 0
        self.known = 0  # pages there will be, as far as anybody knows
        self.in_sight = False  # does somebody know?

    def extend(self, turns: Sequence[Turn]) -> None:
        """Add turns. One at a time they say nothing of how many follow; none, or many, are the rest."""
        self.in_sight = len(turns) != 1
        self.known = self.made + known_pages(turns)
        self.turns.extend(enumerate(turns, self.made))
        self.made += len(turns)

    @property
    def over(self) -> bool:
        return not self.turns and not self.running


class Crew(Generic[T]):
    """Fetches every page of every series. ``halt`` is called to wake threads that wait on the network."""

    def __init__(self, series: Iterator[Series[T]], hands: int, halt: Callable[[], None]) -> None:
        self._series: Iterator[Series[T]] | None = series
        self._hands = hands
        self._halt = halt
        self._lock = threading.Lock()
        self._page_came = threading.Condition(self._lock)  # for the reader
        self._work_came = threading.Condition(self._lock)  # for the hands: a turn to take, room for a page
        self._strands: list[_Strand[T]] = []
        self._pages_done = 0  # of scopes that are over
        self._ready: deque[T] = deque()
        self._held = 0  # pages under way or not yet taken
        self._largest = 0  # bytes
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None
        self._stopped = False

    def pages(self) -> Generator[T, None, None]:
        """Every page; the first error ends it, with no page after. Leaving early stops all threads."""
        try:
            with self._lock:
                self._call_a_hand()
            while (page := self._take()) is not None:
                yield page[0]
        finally:
            self._stop()

    @property
    def pages_total(self) -> int | None:
        """How many pages there are in all scopes, as soon as every one has told."""
        with self._lock:
            if self._series is not None or not all(strand.in_sight for strand in self._strands):
                return None
            return self._pages_done + sum(strand.known for strand in self._strands)

    def _take(self) -> tuple[T] | None:
        with self._lock:
            while True:
                if self._error is not None:
                    raise self._error
                if self._ready:
                    self._held -= 1
                    self._work_came.notify()
                    return (self._ready.popleft(),)
                if self._series is None and not self._strands:
                    return None
                self._page_came.wait()

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._wake_all()
            busy = bool(self._strands)
        if busy:
            self._halt()
        for thread in self._threads:
            thread.join(JOIN_S)
        for strand in self._strands:
            strand.pager.close()

    def _call_a_hand(self) -> None:
        """One more thread, if all are busy and there may be work for it; each calls the next."""
        if self._idle == 0 and len(self._threads) < self._hands and not self._stopped:
            thread = threading.Thread(target=self._work, name="unify-fetch", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        try:
            while (task := self._next_task()) is not None:
                strand, number, turn = task
                page, facts = strand.series.fetch(turn, number)
                more = self._what_follows(strand, number, facts)
                self._deliver(strand, number, page, more, facts.size)
                del page, facts
        except BaseException as error:  # noqa: BLE001  # raised again where the pages are taken
            with self._lock:
                self._error = self._error or error
                self._stopped = True
                self._wake_all()
            self._halt()

    def _next_task(self) -> tuple[_Strand[T], int, Turn] | None:
        with self._lock:
            while not self._stopped:
                if self._has_room() and (task := self._pick()) is not None:
                    self._held += 1
                    if self._series is not None or any(strand.turns for strand in self._strands):
                        self._call_a_hand()
                    return task
                if self._series is None and not self._strands:
                    return None
                self._idle += 1
                self._work_came.wait()
                self._idle -= 1
            return None

    def _has_room(self) -> bool:
        """May one more page be fetched before the reader takes another?"""
        if self._held and (self._held + 1) * self._largest > BYTES_AHEAD:
            return False
        return self._held < self._hands + PAGES_AHEAD

    def _pick(self) -> tuple[_Strand[T], int, Turn] | None:
        """The first turn of the next scope, as long as not too many are open; else one of those.

        A single thread stays with its scope to the end: nobody gains by its going to and fro.
        """
        waiting = next((strand for strand in self._strands if strand.turns), None)
        first = self._hands > 1 and len(self._strands) < SCOPES_OPEN
        strand = (self._open() or waiting) if first or waiting is None else waiting
        if strand is None:
            return None
        number, turn = strand.turns.popleft()
        strand.running += 1
        return strand, number, turn

    def _open(self) -> _Strand[T] | None:
        while self._series is not None:
            series = next(self._series, None)
            if series is None:
                self._series = None
                self._wake_all()
                return None
            strand = _Strand(series)
            strand.extend(next(strand.pager, ()))
            if strand.turns:
                self._strands.append(strand)
                return strand
        return None

    def _what_follows(self, strand: _Strand[T], number: int, facts: Facts) -> Sequence[Turn]:
        """The pager is asked by whoever had the last of its turns, so by one thread at a time."""
        if number != strand.made - 1:
            return ()
        try:
            return strand.pager.send(facts)
        except StopIteration:
            return ()

    def _deliver(self, strand: _Strand[T], number: int, page: T, more: Sequence[Turn], size: int) -> None:
        with self._lock:
            self._largest = max(self._largest, size)
            strand.running -= 1
            if number == strand.made - 1:
                strand.extend(more)
            strand.pages[number] = page
            while strand.due in strand.pages:
                self._ready.append(strand.pages.pop(strand.due))
                strand.due += 1
            if strand.over:
                self._strands.remove(strand)
                self._pages_done += strand.made
                self._wake_all()
            elif more:
                self._work_came.notify(len(more))
            if self._ready:
                self._page_came.notify()

    def _wake_all(self) -> None:
        """Something has come to an end: everybody looks again."""
        self._page_came.notify()
        self._work_came.notify_all()
