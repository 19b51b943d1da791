"""Compares the rows of a scope with the total that the API reports: the pages may end too early."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from unify.adapters.paging.base import PageInfo, PagingState, parse_count, total_rows
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse


class RowTally:
    """Counts the rows of the pages of one scope; pages may come in any order, from several threads.

    Pages that end one page or more before the total are an error if every page before the end is full. Short
    pages mean that the API leaves rows out after it has cut the pages, and its total may count those.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[int, int] = {}
        self._total: tuple[int, int] | None = None  # of the last page that has one: its number and the total

    def add_page(self, number: int, page_info: PageInfo, paging: Paging, state: PagingState) -> None:
        step = self._counts.get(0, page_info.row_count)
        total = _reported_rows(page_info, paging, state, step)
        with self._lock:
            self._counts[number] = page_info.row_count
            if total is not None and (self._total is None or self._total[0] < number):
                self._total = (number, total)

    def add_counts(self, counts: Sequence[int]) -> None:
        """Add the first pages, which an earlier read had, by their row counts."""
        self._counts.update(enumerate(counts))

    def check(self, paging: Paging, state: PagingState) -> None:
        """Raises BadResponse if the pages end too early."""
        step, read = max(self._counts.values(), default=0), sum(self._counts.values())
        last = max((number for number, count in self._counts.items() if count), default=0)
        is_short = any(count < step for number, count in self._counts.items() if number < last)
        if self._total is None or not step or is_short or self._total[1] - read < step:
            return
        source = paging.total_path or paging.total_header or paging.pages_path or state.total_path
        raise BadResponse(
            f"paging.type {paging.type}: the API reports {self._total[1]:,} rows ({source}), and its pages "
            f"end after {read:,}; request fewer rows at a time, with for_each, incremental.window or other "
            f"params, or set paging without {source} if the number means something else"
        )


def _reported_rows(page_info: PageInfo, paging: Paging, state: PagingState, step: int) -> int | None:
    if paging.total_path is not None or paging.total_header is not None:
        return total_rows(paging, page_info)
    if paging.pages_path is not None:
        pages = parse_count(page_info.value(paging.pages_path))
        return None if pages is None else pages * step
    return None if state.total_path is None else parse_count(page_info.value(state.total_path))
