"""Pages that can be asked for by a number: of the page, or of rows to pass over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from unify.adapters.paging.base import (
    MAX_BATCH_PAGES,
    PageBatch,
    PageInfo,
    PageRequest,
    Paginator,
    PagingState,
    is_truthy,
    page_size_params,
)
from unify.adapters.paging.links import has_page_links
from unify.adapters.spec.model import Paging
from unify.errors import BadResponse

FAR_BEYOND_END = 1_000_000  # pages or rows further on than any real end, where nobody says where that is


def numbered_paginator(paging: Paging) -> PageNumberPaginator | OffsetPaginator | None:
    """What the pages are numbered by; None where they are not."""
    match paging.type:
        case "page":
            return PageNumberPaginator(paging)
        case "offset":
            return OffsetPaginator(paging)
        case _:
            return None


class PageNumberPaginator:
    """Positions of ``paging: {type: page}``: page after page."""

    paging_type = "page"

    def __init__(self, paging: Paging) -> None:
        self.paging = paging
        self.start = paging.first

    def page_request(self, position: int) -> PageRequest:
        return PageRequest({**page_size_params(self.paging), self.paging.page_param: position})

    def next_position(self, position: int, _rows: int, _honours_size: bool) -> int:
        return position + 1

    def last_position(self, page_info: PageInfo, step: int) -> int | None:
        """The number of the last page, where the API tells; ``step`` is how many rows the first one had."""
        paging = self.paging
        if paging.pages_path is not None:
            pages = _parse_integer(page_info.value(paging.pages_path))
            return None if pages is None else pages + paging.first - 1
        if paging.total_path is not None:
            total = _parse_integer(page_info.value(paging.total_path))
            return None if total is None or not step else paging.first + (total - 1) // step
        link = page_info.links().get("last")
        return (
            None
            if link is None
            else _parse_integer(dict(parse_qsl(urlsplit(link).query)).get(paging.page_param))
        )

    def request_beyond_end(self, page_request: PageRequest, page_info: PageInfo) -> PageRequest:
        """A page behind the last one; ``page_info`` are those of ``turn``, which looks like the first."""
        last = self.last_position(page_info, len(page_info.rows))
        here = _parse_integer(page_request.params[self.paging.page_param]) or 0
        return self.page_request(here + FAR_BEYOND_END if last is None else max(here, last) + 1)

    def rows_before(self, position: int, step: int) -> int:
        """How many rows there were before this page."""
        return (position - self.start) * step

    def positions_between(self, position: int, last: int, _step: int) -> range:
        return range(position + 1, last + 1)


class OffsetPaginator:
    """Positions of ``paging: {type: offset}``: rows already had."""

    paging_type = "offset"

    def __init__(self, paging: Paging) -> None:
        self.paging = paging
        self.start = 0

    def page_request(self, position: int) -> PageRequest:
        return PageRequest({**page_size_params(self.paging), self.paging.offset_param: position})

    def next_position(self, position: int, rows: int, honours_size: bool) -> int:
        """Where a server is known to honour the size, it counts by it; else by what it sent."""
        size = self.paging.size
        return position + (size if honours_size and size else rows)

    def last_position(self, page_info: PageInfo, step: int) -> int | None:
        if self.paging.total_path is None or not step:
            return None
        total = _parse_integer(page_info.value(self.paging.total_path))
        return None if total is None else max(total - 1, 0) // step * step

    def request_beyond_end(self, page_request: PageRequest, page_info: PageInfo) -> PageRequest:
        """A place behind the last row; ``page_info`` are those of ``turn``, which looks like the first."""
        last = self.last_position(page_info, len(page_info.rows))
        here = _parse_integer(page_request.params[self.paging.offset_param]) or 0
        return self.page_request(
            here + FAR_BEYOND_END if last is None else max(here, last) + len(page_info.rows)
        )

    def rows_before(self, position: int, _step: int) -> int:
        return position

    def positions_between(self, position: int, last: int, step: int) -> range:
        return range(position + step, last + 1, step)


def paginate_numbered(
    positions: PageNumberPaginator | OffsetPaginator, paging_state: PagingState, sequential: bool
) -> Paginator:
    """Pages that can be asked for by a number: one by one, or side by side once the end is known."""
    paging, position, sameness = (
        positions.paging,
        positions.start,
        _RepeatGuard(positions.paging_type, paging_state),
    )
    facts = yield (positions.page_request(position),)
    step, believed = len(facts.rows), True
    while True:
        believed = believed and not _exceeds_total(positions, facts, position, step)
        last = positions.last_position(facts, step) if believed else None
        if _is_last_page(paging, facts, paging_state, last, position):
            return
        if last is not None and last > position and not sequential:
            every = positions.positions_between(position, last, step)
            numbers = every[:MAX_BATCH_PAGES]
            rest = (last - position) // every.step
            position = numbers[-1]
            facts = yield PageBatch.of(map(positions.page_request, numbers), rest)
            continue
        position = positions.next_position(position, len(facts.rows), paging_state.honours_size)
        before = facts.rows
        facts = yield (positions.page_request(position),)
        sameness.check_repeat(before, facts.rows)


def _exceeds_total(
    positions: PageNumberPaginator | OffsetPaginator, page_info: PageInfo, position: int, step: int
) -> bool:
    """Are there more rows already than the API says there are in all? Then its total says nothing."""
    path = positions.paging.total_path
    total = None if path is None else _parse_integer(page_info.value(path))
    return (
        total is not None
        and bool(page_info.rows)
        and positions.rows_before(position, step) + len(page_info.rows) > total
    )


class _RepeatGuard:
    """Counts pages that bring nothing new. Two in a row may be chance, three are a server that never ends."""

    def __init__(self, paging_type: str, paging_state: PagingState) -> None:
        self._paging_type = paging_type
        self._paging_state = paging_state
        self._repeats = 0

    def check_repeat(self, previous_rows: Sequence[bytes], rows: Sequence[bytes]) -> None:
        self._repeats = self._repeats + 1 if previous_rows == rows else 0
        if self._repeats < 2 or (rows and self._paging_state.knows_param):
            return
        if rows:
            raise BadResponse(
                f"paging.type {self._paging_type}: three pages with the same rows; "
                "the API does not seem to know the parameter"
            )
        raise BadResponse(
            f"paging.type {self._paging_type}: the API says there is more, and sends three empty pages"
        )


def _is_last_page(
    paging: Paging, page_info: PageInfo, paging_state: PagingState, last: int | None, position: int
) -> bool:
    """Was that the last page? What the API says counts more than what the number of rows suggests."""
    rows = len(page_info.rows)
    if paging.size is not None and paging.size_param is not None and rows == paging.size:
        paging_state.honours_size = True
    links = page_info.links()
    if has_page_links(links):
        return "next" not in links
    if paging.more_path is not None:
        return not is_truthy(page_info.value(paging.more_path))
    if rows == 0 or (last is not None and position >= last):
        return True
    return last is None and paging_state.honours_size and paging.size is not None and rows < paging.size


def _parse_integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
