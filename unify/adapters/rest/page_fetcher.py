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

from unify.adapters.paging.base import PageInfo, PageRequest, Paginator, known_page_count

P_co = TypeVar("P_co", covariant=True)
T = TypeVar("T")

MAX_PAGES_AHEAD = 4  # finished pages that may wait for the reader, beside one for each thread
MAX_BYTES_AHEAD = 48_000_000  # of pages held at once, each taken for as large as the largest so far
MAX_OPEN_SCOPES = 200  # scopes whose later pages may wait while first pages are fetched
JOIN_TIMEOUT_S = 5.0  # a thread that looks a name up cannot be woken; it is a daemon and ends by itself


class PagedScope(Protocol[P_co]):
    """The pages of one scope."""

    def paginate(self) -> Paginator: ...
    def fetch_page(self, page_request: PageRequest, number: int) -> tuple[P_co, PageInfo]: ...


class _ScopeTask(Generic[T]):
    """One open scope: its turns to take, its pages waiting for an earlier one."""

    def __init__(self, scope: PagedScope[T]) -> None:
        self.scope = scope
        self.paginator = scope.paginate()
        self.pending: deque[tuple[int, PageRequest]] = deque()
        self.finished_pages: dict[int, T] = {}
        self.requests_made = 0  # turns so far
        self.next_number = 0  # the page the reader gets next
        self.in_flight = 0
        self.page_count = 0  # pages there will be, as far as anybody knows
        self.page_count_known = False  # does somebody know?

    def add_requests(self, page_requests: Sequence[PageRequest]) -> None:
        """Add turns. One at a time they say nothing of how many follow; none, or many, are the rest."""
        self.page_count_known = len(page_requests) != 1
        self.page_count = self.requests_made + known_page_count(page_requests)
        self.pending.extend(enumerate(page_requests, self.requests_made))
        self.requests_made += len(page_requests)

    @property
    def is_done(self) -> bool:
        return not self.pending and not self.in_flight


class PageFetcher(Generic[T]):
    """Fetches every page of every series. ``halt`` is called to wake threads that wait on the network."""

    def __init__(
        self, scopes: Iterator[PagedScope[T]], max_workers: int, cancel_requests: Callable[[], None]
    ) -> None:
        self._scopes: Iterator[PagedScope[T]] | None = scopes
        self._max_workers = max_workers
        self._cancel_requests = cancel_requests
        self._lock = threading.Lock()
        self._page_ready = threading.Condition(self._lock)  # for the reader
        self._work_available = threading.Condition(
            self._lock
        )  # for the hands: a turn to take, room for a page
        self._scope_tasks: list[_ScopeTask[T]] = []
        self._pages_done = 0  # of scopes that are over
        self._ready: deque[T] = deque()
        self._buffered_pages = 0  # pages under way or not yet taken
        self._largest_page_bytes = 0  # bytes
        self._idle_threads = 0
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None
        self._stopped = False

    def pages(self) -> Generator[T, None, None]:
        """Every page; the first error ends it, with no page after. Leaving early stops all threads."""
        try:
            with self._lock:
                self._start_thread()
            while (page := self._next_page()) is not None:
                yield page[0]
        finally:
            self._stop()

    @property
    def pages_total(self) -> int | None:
        """How many pages there are in all scopes, as soon as every one has told."""
        with self._lock:
            if self._scopes is not None or not all(strand.page_count_known for strand in self._scope_tasks):
                return None
            return self._pages_done + sum(strand.page_count for strand in self._scope_tasks)

    def _next_page(self) -> tuple[T] | None:
        with self._lock:
            while True:
                if self._error is not None:
                    raise self._error
                if self._ready:
                    self._buffered_pages -= 1
                    self._work_available.notify()
                    return (self._ready.popleft(),)
                if self._scopes is None and not self._scope_tasks:
                    return None
                self._page_ready.wait()

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            self._notify_all()
            busy = bool(self._scope_tasks)
        if busy:
            self._cancel_requests()
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_S)
        for strand in self._scope_tasks:
            strand.paginator.close()

    def _start_thread(self) -> None:
        """One more thread, if all are busy and there may be work for it; each calls the next."""
        if self._idle_threads == 0 and len(self._threads) < self._max_workers and not self._stopped:
            thread = threading.Thread(target=self._run_worker, name="unify-fetch", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run_worker(self) -> None:
        try:
            while (task := self._claim_request()) is not None:
                strand, number, turn = task
                page, facts = strand.scope.fetch_page(turn, number)
                more = self._following_requests(strand, number, facts)
                self._finish_page(strand, number, page, more, facts.body_bytes)
                del page, facts
        except BaseException as error:  # noqa: BLE001  # raised again where the pages are taken
            with self._lock:
                self._error = self._error or error
                self._stopped = True
                self._notify_all()
            self._cancel_requests()

    def _claim_request(self) -> tuple[_ScopeTask[T], int, PageRequest] | None:
        with self._lock:
            while not self._stopped:
                if self._has_capacity() and (task := self._pick_request()) is not None:
                    self._buffered_pages += 1
                    if self._scopes is not None or any(strand.pending for strand in self._scope_tasks):
                        self._start_thread()
                    return task
                if self._scopes is None and not self._scope_tasks:
                    return None
                self._idle_threads += 1
                self._work_available.wait()
                self._idle_threads -= 1
            return None

    def _has_capacity(self) -> bool:
        """May one more page be fetched before the reader takes another?"""
        if self._buffered_pages and (self._buffered_pages + 1) * self._largest_page_bytes > MAX_BYTES_AHEAD:
            return False
        return self._buffered_pages < self._max_workers + MAX_PAGES_AHEAD

    def _pick_request(self) -> tuple[_ScopeTask[T], int, PageRequest] | None:
        """The first turn of the next scope, as long as not too many are open; else one of those.

        A single thread stays with its scope to the end: nobody gains by its going to and fro.
        """
        waiting = next((strand for strand in self._scope_tasks if strand.pending), None)
        first = self._max_workers > 1 and len(self._scope_tasks) < MAX_OPEN_SCOPES
        strand = (self._open_scope() or waiting) if first or waiting is None else waiting
        if strand is None:
            return None
        number, turn = strand.pending.popleft()
        strand.in_flight += 1
        return strand, number, turn

    def _open_scope(self) -> _ScopeTask[T] | None:
        while self._scopes is not None:
            series = next(self._scopes, None)
            if series is None:
                self._scopes = None
                self._notify_all()
                return None
            strand = _ScopeTask(series)
            strand.add_requests(next(strand.paginator, ()))
            if strand.pending:
                self._scope_tasks.append(strand)
                return strand
        return None

    def _following_requests(
        self, scope_task: _ScopeTask[T], number: int, page_info: PageInfo
    ) -> Sequence[PageRequest]:
        """The pager is asked by whoever had the last of its turns, so by one thread at a time."""
        if number != scope_task.requests_made - 1:
            return ()
        try:
            return scope_task.paginator.send(page_info)
        except StopIteration:
            return ()

    def _finish_page(
        self,
        scope_task: _ScopeTask[T],
        number: int,
        page: T,
        following: Sequence[PageRequest],
        page_bytes: int,
    ) -> None:
        with self._lock:
            self._largest_page_bytes = max(self._largest_page_bytes, page_bytes)
            scope_task.in_flight -= 1
            if number == scope_task.requests_made - 1:
                scope_task.add_requests(following)
            scope_task.finished_pages[number] = page
            while scope_task.next_number in scope_task.finished_pages:
                self._ready.append(scope_task.finished_pages.pop(scope_task.next_number))
                scope_task.next_number += 1
            if scope_task.is_done:
                self._scope_tasks.remove(scope_task)
                self._pages_done += scope_task.requests_made
                self._notify_all()
            elif following:
                self._work_available.notify(len(following))
            if self._ready:
                self._page_ready.notify()

    def _notify_all(self) -> None:
        """Something has come to an end: everybody looks again."""
        self._page_ready.notify()
        self._work_available.notify_all()
