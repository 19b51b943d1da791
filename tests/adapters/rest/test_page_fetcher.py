"""A few threads read many scopes: each page once, in the order of its scope, within the limits."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from unify.adapters.paging.base import Member, PageInfo, PageRequest, Paginator
from unify.adapters.rest.page_fetcher import MAX_BYTES_AHEAD, MAX_PAGES_AHEAD, PageFetcher


class UnusedPageInfo:
    """Page info of which only the size is used."""

    rows: Sequence[bytes] = ()
    row_count = 0
    is_end = False
    is_partial = False
    rows_path = ""
    headers: Mapping[str, str] = {}

    def __init__(self, size: int = 0) -> None:
        self.body_bytes = size

    def value(self, path: str) -> Any:
        raise AssertionError(path)

    def outside(self) -> Sequence[Member]:
        raise AssertionError

    def links(self) -> dict[str, str]:
        raise AssertionError

    def last_value(self, column: str) -> str | None:
        raise AssertionError(column)

    def absolute_url(self, link: str) -> str:
        raise AssertionError(link)


class PageCounter:
    """Counts the pages that are being fetched or wait for the reader, and their maximum."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held = 0
        self.most = 0

    def add(self, change: int) -> None:
        with self.lock:
            self.held += change
            self.most = max(self.most, self.held)


@dataclass
class FakeScope:
    """A scope whose paginator yields these batches; a fetch takes a random time."""

    name: int
    batches: Sequence[int]
    counter: PageCounter
    seed: int
    fails_at: int | None = None
    slow_s: float = 0.002
    size: int = 100

    def paginate(self) -> Paginator:
        for size in self.batches:
            yield tuple(PageRequest() for _ in range(size))

    def finish(self) -> None:
        pass

    def fetch_page(self, page_request: PageRequest, number: int) -> tuple[tuple[int, int], PageInfo]:
        self.counter.add(1)
        time.sleep(random.Random(self.seed * 1000 + number).random() * self.slow_s)
        if number == self.fails_at:
            raise ValueError(f"page {number} of {self.name}")
        return (self.name, number), UnusedPageInfo(self.size)


def make_fetcher(scopes: Sequence[FakeScope], max_workers: int) -> PageFetcher[tuple[int, int]]:
    def one_by_one() -> Iterator[FakeScope]:
        yield from scopes

    return PageFetcher(one_by_one(), max_workers, lambda: None)


@pytest.mark.parametrize("seed", range(8))
def test_every_page_is_returned_once_in_the_order_of_its_scope(seed: int) -> None:
    chance = random.Random(seed)
    counter = PageCounter()
    scopes = [
        FakeScope(name, [chance.choice([1, 1, 1, 5, 12]) for _ in range(chance.randint(0, 4))], counter, seed)
        for name in range(chance.randint(1, 30))
    ]
    max_workers = chance.randint(1, 8)

    pages: dict[int, list[int]] = {}
    ended: list[int] = []
    for fetched in make_fetcher(scopes, max_workers).pages():
        name, number = fetched.page
        assert name not in ended
        pages.setdefault(name, []).append(number)
        ended += [name] if fetched.is_last else []
        counter.add(-1)
    assert sorted(ended) == sorted(pages)
    assert pages == {scope.name: list(range(sum(scope.batches))) for scope in scopes if sum(scope.batches)}
    assert counter.most <= max_workers + MAX_PAGES_AHEAD + 1


def test_few_large_pages_are_fetched_ahead() -> None:
    counter = PageCounter()
    scopes = [FakeScope(1, [1, 20], counter, 1, size=MAX_BYTES_AHEAD // 2)]
    for _page in make_fetcher(scopes, 8).pages():
        counter.add(-1)
    assert counter.most <= 3


def test_the_total_is_known_when_every_scope_knows_its_own() -> None:
    scopes = [FakeScope(name, [1, 9], PageCounter(), 1) for name in range(5)]
    fetcher = make_fetcher(scopes, 3)
    totals = [fetcher.pages_total for _ in fetcher.pages()]
    assert totals[0] is None
    assert set(totals[20:]) == {50}


def test_sequential_pages_have_no_total_before_the_end() -> None:
    fetcher = make_fetcher([FakeScope(1, [1] * 6, PageCounter(), 1)], 2)
    assert [fetcher.pages_total for _ in fetcher.pages()][:4] == [None] * 4


def test_one_worker_finishes_a_scope_before_the_next() -> None:
    fetcher = make_fetcher([FakeScope(name, [1, 2], PageCounter(), 1) for name in range(3)], 1)
    assert [fetched.page for fetched in fetcher.pages()] == [
        (name, number) for name in range(3) for number in range(3)
    ]


@pytest.mark.parametrize("max_workers", [1, 4])
def test_an_error_ends_the_read_without_later_pages(max_workers: int) -> None:
    scopes = [
        FakeScope(name, [1, 5], PageCounter(), 2, fails_at=3 if name == 2 else None) for name in range(50)
    ]
    pages: list[tuple[int, int]] = []
    with pytest.raises(ValueError, match="page 3 of 2"):
        pages.extend(fetched.page for fetched in make_fetcher(scopes, max_workers).pages())
    assert (2, 3) not in pages
    assert not any(thread.name == "unify-fetch" for thread in threading.enumerate())


def test_an_error_of_the_scope_iterator_is_raised() -> None:
    def broken() -> Iterator[FakeScope]:
        yield FakeScope(1, [1], PageCounter(), 1)
        raise ValueError("no more parents")

    with pytest.raises(ValueError, match="no more parents"):
        list(PageFetcher(broken(), 2, lambda: None).pages())


def test_closing_the_iterator_ends_the_threads() -> None:
    pages = make_fetcher([FakeScope(name, [20], PageCounter(), 3) for name in range(20)], 4).pages()
    next(pages)
    pages.close()
    assert not any(thread.name == "unify-fetch" for thread in threading.enumerate())


def test_without_scopes_no_thread_is_started() -> None:
    before = threading.active_count()
    assert list(make_fetcher([], 4).pages()) == []
    assert threading.active_count() == before
