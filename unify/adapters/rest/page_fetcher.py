"""Fetches pages of several scopes in parallel, and returns them in the order of each scope.

A few threads fetch pages of a bounded number of open scopes: first pages before later ones, so that the
number of pages is known soon. Pages in flight and pages not yet taken are bounded as well: a slow reader
holds the threads back, and memory does not grow.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from unify.adapters.paging.base import PageInfo, PageRequest, Paginator, known_page_count

P_co = TypeVar("P_co", covariant=True)
T = TypeVar("T")

MAX_PAGES_AHEAD = 4  # finished pages not yet taken, besides one per thread
MAX_BYTES_AHEAD = 48_000_000  # of all pages held, each counted as large as the largest one so far
MAX_OPEN_SCOPES = 200  # with later pages waiting while first pages are fetched
JOIN_TIMEOUT_S = 5.0  # a DNS lookup cannot be cancelled; its daemon thread ends later


class PagedScope(Protocol[P_co]):
    """A source of the pages of one scope."""

    def paginate(self) -> Paginator: ...
    def fetch_page(self, page_request: PageRequest, number: int) -> tuple[P_co, PageInfo]: ...
    def finish(self) -> None: ...  # after the last page; an error ends the read


class FetchedPage(Struct, Generic[T], frozen=True):
    """A page; ``is_last`` of its scope."""

    page: T
    is_last: bool


class _ScopeTask(Generic[T]):
    """An open scope: its pending requests, and pages that wait for an earlier one."""

    def __init__(self, scope: PagedScope[T]) -> None:
        self.scope = scope
        self.paginator = scope.paginate()
        self.pending: deque[tuple[int, PageRequest]] = deque()
        self.finished_pages: dict[int, T] = {}
        self.requests_made = 0
        self.next_number = 0  # of the page that the reader gets next
        self.in_flight = 0
        self.page_count = 0  # known so far
        self.page_count_known = False

    def add_requests(self, page_requests: Sequence[PageRequest]) -> None:
        """Add requests. After a single one, the number of further pages is unknown."""
        self.page_count_known = len(page_requests) != 1
        self.page_count = self.requests_made + known_page_count(page_requests)
        self.pending.extend(enumerate(page_requests, self.requests_made))
        self.requests_made += len(page_requests)

    @property
    def is_done(self) -> bool:
        return not self.pending and not self.in_flight


class PageFetcher(Generic[T]):
    """Fetches every page of every scope. ``cancel_requests`` ends requests in flight."""

    def __init__(
        self, scopes: Iterator[PagedScope[T]], max_workers: int, cancel_requests: Callable[[], None]
    ) -> None:
        self._scopes: Iterator[PagedScope[T]] | None = scopes
        self._max_workers = max_workers
        self._cancel_requests = cancel_requests
        self._lock = threading.Lock()
        self._page_ready = threading.Condition(self._lock)  # for the reader
        self._work_available = threading.Condition(self._lock)  # for the threads
        self._scope_tasks: list[_ScopeTask[T]] = []
        self._pages_done = 0  # of finished scopes
        self._ready: deque[FetchedPage[T]] = deque()
        self._buffered_pages = 0  # in flight or not yet taken
        self._largest_page_bytes = 0
        self._idle_threads = 0
        self._threads: list[threading.Thread] = []
        self._error: BaseException | None = None
        self._stopped = False

    def pages(self) -> Generator[FetchedPage[T], None, None]:
        """Yield every page. The first error is raised after the pages that came before it.

        Closing stops all threads.
        """
        try:
            with self._lock:
                self._start_thread()
            while (page := self._next_page()) is not None:
                yield page
        finally:
            self._stop()

    @property
    def pages_total(self) -> int | None:
        """The number of pages of all scopes; None while it is unknown for one of them."""
        with self._lock:
            if self._scopes is not None or not all(task.page_count_known for task in self._scope_tasks):
                return None
            return self._pages_done + sum(task.page_count for task in self._scope_tasks)

    def _next_page(self) -> FetchedPage[T] | None:
        with self._lock:
            while True:
                if self._ready:
                    self._buffered_pages -= 1
                    self._work_available.notify()
                    return self._ready.popleft()
                if self._error is not None:
                    raise self._error
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
        for task in self._scope_tasks:
            task.paginator.close()

    def _start_thread(self) -> None:
        """Start a thread if all are busy. Each thread starts the next one."""
        if self._idle_threads == 0 and len(self._threads) < self._max_workers and not self._stopped:
            thread = threading.Thread(target=self._run_worker, name="unify-fetch", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run_worker(self) -> None:
        try:
            while (claimed := self._claim_request()) is not None:
                task, number, page_request = claimed
                page, page_info = task.scope.fetch_page(page_request, number)
                following = self._following_requests(task, number, page_info)
                self._finish_page(task, number, page, following, page_info.body_bytes)
                del page, page_info
        except BaseException as error:  # noqa: BLE001 - the reader raises it
            with self._lock:
                self._error = self._error or error
                self._stopped = True
                self._notify_all()
            self._cancel_requests()

    def _claim_request(self) -> tuple[_ScopeTask[T], int, PageRequest] | None:
        with self._lock:
            while not self._stopped:
                if self._has_capacity() and (picked := self._pick_request()) is not None:
                    self._buffered_pages += 1
                    if self._scopes is not None or any(task.pending for task in self._scope_tasks):
                        self._start_thread()
                    return picked
                if self._scopes is None and not self._scope_tasks:
                    return None
                self._idle_threads += 1
                self._work_available.wait()
                self._idle_threads -= 1
            return None

    def _has_capacity(self) -> bool:
        """Whether one more page may be fetched before the reader takes one."""
        if self._buffered_pages and (self._buffered_pages + 1) * self._largest_page_bytes > MAX_BYTES_AHEAD:
            return False
        return self._buffered_pages < self._max_workers + MAX_PAGES_AHEAD

    def _pick_request(self) -> tuple[_ScopeTask[T], int, PageRequest] | None:
        """Pick the first request of the next scope, or one of the open scopes if there are many.

        A single thread reads its scope to the end; switching has no benefit.
        """
        pending = next((task for task in self._scope_tasks if task.pending), None)
        open_next = self._max_workers > 1 and len(self._scope_tasks) < MAX_OPEN_SCOPES
        task = (self._open_scope() or pending) if open_next or pending is None else pending
        if task is None:
            return None
        number, page_request = task.pending.popleft()
        task.in_flight += 1
        return task, number, page_request

    def _open_scope(self) -> _ScopeTask[T] | None:
        while self._scopes is not None:
            scope = next(self._scopes, None)
            if scope is None:
                self._scopes = None
                self._notify_all()
                return None
            task = _ScopeTask(scope)
            task.add_requests(next(task.paginator, ()))
            if task.pending:
                self._scope_tasks.append(task)
                return task
        return None

    def _following_requests(
        self, scope_task: _ScopeTask[T], number: int, page_info: PageInfo
    ) -> Sequence[PageRequest]:
        """The next requests. Only the last page of a batch continues the paginator: one thread at a time."""
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
            if scope_task.is_done:
                scope_task.scope.finish()
            while scope_task.next_number in scope_task.finished_pages:
                following_page = scope_task.finished_pages.pop(scope_task.next_number)
                scope_task.next_number += 1
                is_last = scope_task.is_done and scope_task.next_number == scope_task.requests_made
                self._ready.append(FetchedPage(following_page, is_last))
            if scope_task.is_done:
                self._scope_tasks.remove(scope_task)
                self._pages_done += scope_task.requests_made
                self._notify_all()
            elif following:
                self._work_available.notify(len(following))
            if self._ready:
                self._page_ready.notify()

    def _notify_all(self) -> None:
        """Wake the reader and all threads."""
        self._page_ready.notify()
        self._work_available.notify_all()
