"""Many scopes are read by few threads: each page once, in the order of its scope, within the limits."""

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


class Nothing:
    """Facts nobody asks for."""

    rows: Sequence[bytes] = ()
    row_count = 0
    is_end = False
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


class Watch:
    """How many pages are under way or waiting for the reader, and the most there ever were."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held = 0
        self.most = 0

    def add(self, change: int) -> None:
        with self.lock:
            self.held += change
            self.most = max(self.most, self.held)


@dataclass
class Fake:
    """A scope whose pager yields these batches; a fetch takes a moment of chance."""

    name: int
    batches: Sequence[int]
    watch: Watch
    seed: int
    fails_at: int | None = None
    slow_s: float = 0.002
    size: int = 100

    def paginate(self) -> Paginator:
        for size in self.batches:
            yield tuple(PageRequest() for _ in range(size))

    def fetch_page(self, page_request: PageRequest, number: int) -> tuple[tuple[int, int], PageInfo]:
        self.watch.add(1)
        time.sleep(random.Random(self.seed * 1000 + number).random() * self.slow_s)
        if number == self.fails_at:
            raise ValueError(f"page {number} of {self.name}")
        return (self.name, number), Nothing(self.size)


def crew_of(fakes: Sequence[Fake], hands: int) -> PageFetcher[tuple[int, int]]:
    def one_by_one() -> Iterator[Fake]:
        yield from fakes

    return PageFetcher(one_by_one(), hands, lambda: None)


@pytest.mark.parametrize("seed", range(8))
def test_every_page_comes_once_and_in_the_order_of_its_scope(seed: int) -> None:
    chance = random.Random(seed)
    watch = Watch()
    scopes = [
        Fake(name, [chance.choice([1, 1, 1, 5, 12]) for _ in range(chance.randint(0, 4))], watch, seed)
        for name in range(chance.randint(1, 30))
    ]
    hands = chance.randint(1, 8)

    came: dict[int, list[int]] = {}
    for name, number in crew_of(scopes, hands).pages():
        came.setdefault(name, []).append(number)
        watch.add(-1)
    assert came == {fake.name: list(range(sum(fake.batches))) for fake in scopes if sum(fake.batches)}
    assert watch.most <= hands + MAX_PAGES_AHEAD + 1


def test_large_pages_are_held_one_or_two_at_a_time() -> None:
    watch = Watch()
    scopes = [Fake(1, [1, 20], watch, 1, size=MAX_BYTES_AHEAD // 2)]
    for _page in crew_of(scopes, 8).pages():
        watch.add(-1)
    assert watch.most <= 3


def test_a_total_is_told_once_every_scope_has_told_its_own() -> None:
    scopes = [Fake(name, [1, 9], Watch(), 1) for name in range(5)]
    crew = crew_of(scopes, 3)
    totals = [crew.pages_total for _ in crew.pages()]
    assert totals[0] is None
    assert set(totals[20:]) == {50}


def test_pages_that_come_one_by_one_tell_no_total_before_the_end() -> None:
    crew = crew_of([Fake(1, [1] * 6, Watch(), 1)], 2)
    assert [crew.pages_total for _ in crew.pages()][:4] == [None] * 4


def test_one_hand_finishes_a_scope_before_the_next() -> None:
    crew = crew_of([Fake(name, [1, 2], Watch(), 1) for name in range(3)], 1)
    assert list(crew.pages()) == [(name, number) for name in range(3) for number in range(3)]


@pytest.mark.parametrize("hands", [1, 4])
def test_an_error_ends_it_with_no_page_after(hands: int) -> None:
    scopes = [Fake(name, [1, 5], Watch(), 2, fails_at=3 if name == 2 else None) for name in range(50)]
    came: list[tuple[int, int]] = []
    with pytest.raises(ValueError, match="page 3 of 2"):
        came.extend(crew_of(scopes, hands).pages())
    assert (2, 3) not in came
    assert not any(thread.name == "unify-fetch" for thread in threading.enumerate())


def test_an_error_of_the_series_themselves_is_raised_too() -> None:
    def broken() -> Iterator[Fake]:
        yield Fake(1, [1], Watch(), 1)
        raise ValueError("no more parents")

    with pytest.raises(ValueError, match="no more parents"):
        list(PageFetcher(broken(), 2, lambda: None).pages())


def test_leaving_early_ends_the_threads() -> None:
    pages = crew_of([Fake(name, [20], Watch(), 3) for name in range(20)], 4).pages()
    next(pages)
    pages.close()
    assert not any(thread.name == "unify-fetch" for thread in threading.enumerate())


def test_no_series_are_no_pages_and_no_threads() -> None:
    before = threading.active_count()
    assert list(crew_of([], 4).pages()) == []
    assert threading.active_count() == before
