"""Pages requested by a number: of the page, or of rows to skip."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from urllib.parse import parse_qsl, urlsplit

from msgspec.structs import replace

from unify.adapters.paging.base import (
    MAX_BATCH_PAGES,
    MAX_EMPTY_PAGES,
    PageBatch,
    PageInfo,
    PageRequest,
    Paginator,
    PagingStart,
    PagingState,
    page_size_params,
    parse_count,
    parse_integer,
    says_more,
    total_rows,
)
from unify.adapters.paging.links import has_page_links
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse

EMPTY_PAGES_AT_END = 3  # if short pages came before other pages, an empty one may do so, too
FAR_BEYOND_END = 1_000_000  # pages or rows beyond any real end, for APIs that do not report a total


def numbered_paginator(paging: Paging) -> PageNumberPaginator | OffsetPaginator | None:
    """The positions of numbered pages; None for other paging types."""
    match paging.type:
        case "page":
            return PageNumberPaginator(paging)
        case "offset":
            return OffsetPaginator(paging)
        case _:
            return None


class PageNumberPaginator:
    """Positions of ``paging: {type: page}``: page numbers."""

    paging_type = "page"

    def __init__(self, paging: Paging) -> None:
        self.paging = paging
        self.param = paging.page_param
        self.start = paging.first_number

    def next_position(self, position: int, _rows: int, _honours_size: bool) -> int:
        return position + 1

    def last_position(self, page_info: PageInfo, step: int) -> int | None:
        """The number of the last page, if the API reports it; ``step`` is the row count of the first page."""
        paging = self.paging
        if paging.pages_path is not None:
            pages = parse_count(page_info.value(paging.pages_path))
            return None if pages is None else pages + self.start - 1
        if paging.total_path is not None or paging.total_header is not None:
            total = total_rows(paging, page_info)
            return None if total is None or not step else self.start + (total - 1) // step
        link = page_info.links().get("last")
        return None if link is None else parse_integer(dict(parse_qsl(urlsplit(link).query)).get(self.param))

    def position_beyond(self, position: int, last: int | None, _rows: int) -> int:
        return position + FAR_BEYOND_END if last is None else max(position, last) + 1

    def rows_before(self, position: int, step: int) -> int:
        return (position - self.start) * step

    def positions_between(self, position: int, last: int, _step: int) -> range:
        return range(position + 1, last + 1)


class OffsetPaginator:
    """Positions of ``paging: {type: offset}``: rows to skip."""

    paging_type = "offset"

    def __init__(self, paging: Paging) -> None:
        self.paging = paging
        self.param = paging.offset_param
        self.start = paging.first_number

    def next_position(self, position: int, rows: int, honours_size: bool) -> int:
        """A server known to honour the size counts by it; any other by the rows it sent."""
        size = self.paging.size
        return position + (size if size and honours_size else rows)

    def last_position(self, page_info: PageInfo, step: int) -> int | None:
        total = total_rows(self.paging, page_info) if step else None
        return None if total is None else self.start + max(total - 1, 0) // step * step

    def position_beyond(self, position: int, last: int | None, rows: int) -> int:
        return position + FAR_BEYOND_END if last is None else max(position, last) + rows

    def rows_before(self, position: int, _step: int) -> int:
        return position - self.start

    def positions_between(self, position: int, last: int, step: int) -> range:
        return range(position + step, last + 1, step)


NumberedPaginator = PageNumberPaginator | OffsetPaginator


def page_request_at(
    positions: NumberedPaginator, position: int, end_statuses: tuple[int, ...] = ()
) -> PageRequest:
    """The request of the page at ``position``; that of the first page has no number with ``first_bare``."""
    params = page_size_params(positions.paging)
    if not (positions.paging.first_bare and position == positions.start):
        params[positions.param] = position
    return PageRequest(params, end_statuses=end_statuses)


def request_beyond_end(
    positions: NumberedPaginator, page_request: PageRequest, page_info: PageInfo
) -> PageRequest:
    """The request of a page behind the last one; ``page_info`` belongs to ``page_request``."""
    last = positions.last_position(page_info, page_info.row_count)
    here = parse_integer(page_request.params.get(positions.param)) or 0
    return page_request_at(positions, positions.position_beyond(here, last, page_info.row_count))


def paginate_numbered(
    positions: NumberedPaginator,
    paging_state: PagingState,
    sequential: bool,
    begin: PagingStart | None = None,
) -> Paginator:
    """Pages one by one, or in parallel once the end is known.

    An API may count too few rows or pages (Elasticsearch stops at 10,000): if the last page by its total is
    full, one more page is requested, which need not exist; see ``_has_rows_beyond``. So is the page after a
    short one if nothing else says where the end is: filters that run after paging leave short pages.
    """
    paging, position = positions.paging, positions.start
    repeats = _RepeatGuard(positions.paging_type, paging_state)
    step = begin.first_row_count if begin is not None else 0
    if begin is not None:
        position = parse_integer(begin.page_request.params.get(positions.param)) or position
    page_info = yield (page_request_at(positions, position),)
    first_page = frozenset(page_info.rows) if begin is None else frozenset()
    step = step or page_info.row_count or (paging.size or 0)
    believed, empty_pages = not paging.until_empty, 0
    if believed and not step:
        _check_empty_first_page(positions, page_info)
    while True:
        believed = believed and not _exceeds_total(positions, page_info, position, step)
        last = positions.last_position(page_info, step) if believed else None
        end_statuses: tuple[int, ...] = _BAD_PAGE if _lacks_flag(paging, paging_state) else ()
        empty_pages = 0 if page_info.row_count else empty_pages + 1
        if _is_last_page(paging, page_info, paging_state, last, position):
            if last is not None:
                if not (yield from _has_uncounted_rows(positions, page_info, paging_state, position, step)):
                    return
                believed = False
            elif not paging_state.has_short_pages or empty_pages in (0, EMPTY_PAGES_AT_END):
                return
            end_statuses = _BAD_PAGE if last is None else _NO_PAGE
        elif believed and last is not None and last > position and not sequential:
            batch, position = _batch_between(positions, position, last, step)
            page_info = yield batch
            if not page_info.row_count and position < last:
                return  # empty at the end of a long batch: the reported end is wrong
            continue
        elif last is None and _is_short(paging, page_info, paging_state):
            if not (
                yield from _has_rows_after_short(positions, page_info, paging_state, position, first_page)
            ):
                return
            end_statuses = _BAD_PAGE
        previous_rows, is_second = page_info.rows, position == positions.start
        position = positions.next_position(position, page_info.row_count or step, paging_state.honours_size)
        page_info = yield (page_request_at(positions, position, end_statuses),)
        if repeats.is_end(previous_rows, page_info, is_second=is_second):
            return


def _check_empty_first_page(positions: NumberedPaginator, page_info: PageInfo) -> None:
    total = total_rows(positions.paging, page_info)
    if total is not None and total > 0:
        raise BadResponse(
            f"paging.type {positions.paging_type}: the first page has no rows, and the API reports a total "
            f"of {total}; set paging.size_param and paging.size"
        )


def _batch_between(
    positions: NumberedPaginator, position: int, last: int, step: int
) -> tuple[PageBatch, int]:
    """Requests of the pages after ``position``, not all if there are many, and the position of the last."""
    every = positions.positions_between(position, last, step)
    numbers = every[:MAX_BATCH_PAGES]
    requests = (page_request_at(positions, each) for each in numbers)
    return PageBatch.of(requests, (last - position) // every.step), numbers[-1]


def _lacks_flag(paging: Paging, paging_state: PagingState) -> bool:
    """Whether no page has the flag of the spec."""
    has_flag = paging.more_path is not None or paging.last_path is not None
    return has_flag and not paging_state.seen_paths & {"more_path", "last_path"}


_NO_PAGE = (404, 410, 416)  # statuses of a page behind the last one
_BAD_PAGE = (*_NO_PAGE, 400, 422)  # the same of an API that refuses such a number


def _has_rows_after_short(
    positions: NumberedPaginator,
    page_info: PageInfo,
    paging_state: PagingState,
    position: int,
    first_page: frozenset[bytes],
) -> Generator[Sequence[PageRequest], PageInfo, bool]:
    """Whether the page after a short one has rows that neither this page nor the first one has.

    Pages after further short ones need no such request: reading has to go on to the empty pages.
    """
    if paging_state.has_short_pages:
        return True
    following = positions.next_position(position, page_info.row_count, True)
    request = page_request_at(positions, following, _BAD_PAGE)
    after = yield (replace(request, is_probe=True, error_advice=_SHORT_PAGE_ADVICE),)
    if after.is_end or first_page.union(page_info.rows).issuperset(after.rows):
        return False
    paging_state.note_short_pages()
    return True


_SHORT_PAGE_ADVICE = (
    "; this is the page after a short one; if a page with fewer rows than paging.size is always the last, "
    "set paging.short_page: ends"
)


def _has_uncounted_rows(
    positions: NumberedPaginator,
    page_info: PageInfo,
    paging_state: PagingState,
    position: int,
    step: int,
) -> Generator[Sequence[PageRequest], PageInfo, bool]:
    """Whether rows follow the last page by the total or by the number of pages.

    That page is full, the page after it has rows, and a page far behind it has none: an API that returns rows
    for any number has no end of its own, and its total is right.
    """
    if not _may_be_capped(positions, page_info, paging_state, position, step):
        return False
    following = positions.next_position(position, page_info.row_count, False)
    total = positions.rows_before(position, step) + page_info.row_count
    statuses = _NO_PAGE if total % 1000 == 0 else _BAD_PAGE
    after = yield (replace(page_request_at(positions, following, statuses), is_probe=True),)
    if not after.row_count or list(after.rows) == list(page_info.rows):
        return False
    far = yield (replace(page_request_at(positions, following + FAR_BEYOND_END, _BAD_PAGE), is_probe=True),)
    return not far.row_count


def _may_be_capped(
    positions: NumberedPaginator, page_info: PageInfo, paging_state: PagingState, position: int, step: int
) -> bool:
    """Whether rows may follow the last page by the total: it is full, and no flag or link decides.

    If it is the only page, the total may be that of the page.
    """
    paging, rows = positions.paging, page_info.row_count
    is_round = rows == paging.size or (rows >= 10 and rows % 10 == 0)
    is_only = position == positions.start
    is_full = is_round or (not is_only and rows >= step > (1 if paging.size is not None else 0))
    return (
        is_full
        and says_more(paging, page_info, paging_state) is None
        and not has_page_links(page_info.links())
    )


def _exceeds_total(positions: NumberedPaginator, page_info: PageInfo, position: int, step: int) -> bool:
    """Whether more rows came than the API reports in total: then its total means something else."""
    total = total_rows(positions.paging, page_info)
    return (
        total is not None
        and page_info.row_count > 0
        and positions.rows_before(position, step) + page_info.row_count > total
    )


class _RepeatGuard:
    """Counts pages that bring nothing new.

    Two equal pages may be chance. With a key, a page after the second that equals its predecessor is the
    last page, repeated for every higher number; without a key three equal pages are an error.
    """

    def __init__(self, paging_type: str, paging_state: PagingState) -> None:
        self._paging_type = paging_type
        self._paging_state = paging_state
        self._repeats = 0

    def is_end(self, previous_rows: Sequence[bytes], page_info: PageInfo, *, is_second: bool) -> bool:
        rows = page_info.rows
        self._repeats = self._repeats + 1 if list(previous_rows) == list(rows) else 0
        if not rows:
            if self._repeats >= MAX_EMPTY_PAGES:
                raise BadResponse(
                    f"paging.type {self._paging_type}: the API indicates more pages, and "
                    f"{self._repeats} pages in a row have no rows"
                )
            return False
        if self._repeats == 0 or self._paging_state.knows_param:
            return False
        if self._paging_state.has_key and self._repeats == 1 and not is_second:
            return True
        if self._repeats >= 2:
            raise BadResponse(
                f"paging.type {self._paging_type}: three pages have the same rows; "
                "the API does not seem to know the parameter"
            )
        return False


def _is_last_page(
    paging: Paging, page_info: PageInfo, paging_state: PagingState, last: int | None, position: int
) -> bool:
    """Whether this is the last page. What the API says takes precedence over the number of rows."""
    rows = page_info.row_count
    if paging.size is not None and paging.size_param is not None and rows == paging.size:
        paging_state.honours_size = True
    if paging.until_empty:
        return rows == 0
    links = page_info.links()
    if has_page_links(links):
        return "next" not in links
    more = says_more(paging, page_info, paging_state)
    if more is not None:
        return not more
    if last is not None:
        return position >= last
    if rows == 0:
        return True
    return paging.short_page == "ends" and _is_short(paging, page_info, paging_state)


def _is_short(paging: Paging, page_info: PageInfo, paging_state: PagingState) -> bool:
    """Whether the page has fewer rows than requested, of a server that honours the size."""
    if paging.size is None or not paging_state.honours_size or paging.until_empty:
        return False
    decided = says_more(paging, page_info, paging_state) is not None or has_page_links(page_info.links())
    return not decided and 0 < page_info.row_count < paging.size
