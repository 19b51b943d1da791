"""Paginators: the request of the next page from the page before; decisions only, no network.

A paginator is a generator. It yields the requests of the next pages, which may run in parallel, and is sent
the page information of the last of them. It stops where the data ends:

    page, offset   a flag, totals or links that say where the end is; without them an empty page, or a short
                   one that is followed by no rows, if the server is known to honour the requested size
    cursor         no cursor, a flag that says so, a repeated cursor without new rows, or 0 if the API begins
                   again with it
    link_header, next_url   no link, or a repeated link without new rows

Anything else that repeats is an error naming the paging type: it would never end.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from unify.adapters.paging.base import (
    ALL_MEMBERS,
    PageInfo,
    PageRequest,
    Paginator,
    PagingStart,
    PagingState,
    page_size_params,
    record_seen_paths,
    says_more,
)
from unify.adapters.paging.hints import has_value
from unify.adapters.paging.links import RepeatCheck, follow_links, paginate_by_link_header
from unify.adapters.paging.numbered import OffsetPaginator, PageNumberPaginator, paginate_numbered
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse


def make_paginator(
    paging: Paging,
    paging_state: PagingState | None = None,
    *,
    sequential: bool = False,
    begin: PagingStart | None = None,
) -> Paginator:
    """The paginator for ``paging``; ``sequential`` requests one page after the other in every case.

    ``begin``  the page to start with; not for ``auto``.
    """
    state = paging_state or PagingState()
    max_pages = paging.max_pages
    if begin is not None and max_pages is not None:
        max_pages -= begin.number
    match paging.type:
        case "none":
            paginator = _paginate_single()
        case "page":
            paginator = paginate_numbered(PageNumberPaginator(paging), state, sequential, begin)
        case "offset":
            paginator = paginate_numbered(OffsetPaginator(paging), state, sequential, begin)
        case "cursor":
            paginator = _paginate_by_cursor(paging, state, begin)
        case "link_header":
            paginator = paginate_by_link_header(paging, state, sequential)
        case "next_url":
            paginator = _paginate_by_next_url(paging, state)
        case "auto":
            from unify.adapters.paging.detect import paginate_detected

            paginator = paginate_detected(paging, state, sequential, make_paginator)
    if begin is not None and paging.type not in ("page", "offset"):
        paginator = _begin_at(paginator, begin.page_request)
    return _limit_pages(_watch_pages(paginator, paging, state), max_pages)


def _begin_at(paginator: Paginator, page_request: PageRequest) -> Paginator:
    """``paginator`` with another first request; what follows depends on the page that comes."""
    next(paginator, ())
    page_info = yield (page_request,)
    while True:
        try:
            page_requests = paginator.send(page_info)
        except StopIteration:
            return
        page_info = yield page_requests


def _paginate_single() -> Paginator:
    yield (PageRequest(),)


def _watch_pages(paginator: Paginator, paging: Paging, paging_state: PagingState) -> Paginator:
    """``paginator``, with a record of the paths that occur in its pages."""
    page_requests = next(paginator, ())
    while page_requests:
        page_info = yield page_requests
        record_seen_paths(paging, page_info, paging_state)
        try:
            page_requests = paginator.send(page_info)
        except StopIteration:
            return


def _limit_pages(paginator: Paginator, max_pages: int | None) -> Paginator:
    if max_pages is None:
        yield from paginator
        return
    left = max_pages
    page_requests = next(paginator, ())
    while page_requests and left > 0:
        requested = page_requests[:left]
        left -= len(requested)
        page_info = yield requested
        try:
            page_requests = paginator.send(page_info)
        except StopIteration:
            return


def _paginate_by_cursor(
    paging: Paging, paging_state: PagingState, begin: PagingStart | None = None
) -> Paginator:
    repeats = RepeatCheck("cursor", "cursor", paging_state)
    page_info = yield (PageRequest(page_size_params(paging)),)
    first_page = page_info if begin is None else None
    while True:
        more = says_more(paging, page_info, paging_state)
        if more is False or (paging.until_empty and not page_info.row_count):
            return
        cursor = next_cursor(paging, page_info)
        if cursor in (None, ""):
            if more:
                flag = paging.more_path or paging.last_path
                raise BadResponse(
                    f"paging.type cursor: {flag} indicates more pages, and the response has no cursor"
                )
            if paging.cursor_column is not None and page_info.rows:
                raise BadResponse(f"paging.type cursor: the last row of a page has no {paging.cursor_column}")
            return
        is_zero = str(cursor) == "0" and paging.cursor_column is None and not more
        if is_zero and (yield from _zero_is_end(paging, paging_state, page_info, first_page)):
            return
        if repeats.is_end(str(cursor), page_info):
            return
        params = cursor if isinstance(cursor, dict) else {paging.cursor_param: cursor}
        page_info = yield (PageRequest({**page_size_params(paging), **params}),)


def _zero_is_end(
    paging: Paging, paging_state: PagingState, page_info: PageInfo, first_page: PageInfo | None
) -> Generator[Sequence[PageRequest], PageInfo, bool]:
    """Whether a next cursor of 0 means that there is none: requested with it, the API begins again.

    ``first_page``  None if reading did not begin with it.
    """
    if not page_info.row_count or paging_state.zero_is_end:
        return True
    size = page_size_params(paging)
    after = yield (PageRequest({**size, paging.cursor_param: 0}, end_statuses=_BAD_CURSOR, is_probe=True),)
    if after.is_end or not after.rows:
        return True
    if first_page is None:
        first_page = yield (PageRequest(size, is_probe=True),)
    known = frozenset(first_page.rows)
    same_rows = sum(row in known for row in after.rows)
    leads_on_alike = next_cursor(paging, after) == next_cursor(paging, first_page)
    if page_info is first_page and not leads_on_alike:
        return False  # the API may not know the parameter
    paging_state.zero_is_end = same_rows > 0 and (leads_on_alike or 2 * same_rows >= len(after.rows))
    return paging_state.zero_is_end


_BAD_CURSOR = (400, 404, 410, 416, 422)  # statuses of a cursor that does not exist


def next_cursor(
    paging: Paging, page_info: PageInfo
) -> str | int | float | dict[str, str | int | float] | None:
    """The cursor of the next page; a dict if each member of an object is a parameter.

    Raises:
        BadResponse: the value cannot be sent as a parameter, and so may be a way on.
    """
    if paging.cursor_path is not None:
        value = page_info.value(paging.cursor_path)
        if value in _EMPTY_VALUES or _is_end_text(value):
            return None
        if paging.cursor_param == ALL_MEMBERS and isinstance(value, dict):
            return {name: item for name, item in value.items() if isinstance(item, str | int | float)}
        if value is True or not isinstance(value, str | int | float):
            raise _wrong_type_error("cursor", "a cursor", paging.cursor_path, value)
        return value
    if paging.cursor_header is not None:
        text = page_info.headers.get(paging.cursor_header)
        return None if _is_end_text(text) else text
    if paging.cursor_column is not None:
        return page_info.last_value(paging.cursor_column)
    return None


def _is_end_text(value: Any) -> bool:
    """Other ways to write that there is none: ``false``, -1, ``"null"``. For 0 see ``_zero_is_end``."""
    return not isinstance(value, dict | list) and str(value) != "0" and not has_value(value)


_EMPTY_VALUES: tuple[object, ...] = (None, "", [], {})  # ways to write that there is none


def next_page_token(paging: Paging, page_info: PageInfo) -> object:
    """Return a page's reference to the next one; None if it has none, and for numbered pages."""
    match paging.type:
        case "cursor":
            return next_cursor(paging, page_info)
        case "next_url":
            return _next_url(paging, page_info)
        case "link_header":
            return page_info.links().get("next")
        case _:
            return None


def _paginate_by_next_url(paging: Paging, paging_state: PagingState) -> Paginator:
    page_info = yield (PageRequest(page_size_params(paging)),)
    yield from follow_links(
        page_info,
        "next_url",
        paging_state,
        lambda page: _link_after(paging, page, paging_state),
        until_empty=paging.until_empty,
    )


def _link_after(paging: Paging, page_info: PageInfo, paging_state: PagingState) -> str | None:
    """The link to the next page unless a flag says that this is the last one.

    Raises:
        BadResponse: the flag indicates more pages, and there is no link.
    """
    more = says_more(paging, page_info, paging_state)
    if more is False:
        return None
    link = _next_url(paging, page_info)
    if more and link is None:
        raise BadResponse(
            f"paging.type next_url: {paging.more_path or paging.last_path} indicates more pages, and the "
            f"response has no link at {paging.header or paging.path}"
        )
    return link


def _next_url(paging: Paging, page_info: PageInfo) -> str | None:
    if paging.header is not None:
        link = page_info.headers.get(paging.header)
        return link if has_value(link) else None
    path = paging.path or "next"
    value = page_info.value(path)
    if value in _EMPTY_VALUES or (not isinstance(value, dict | list) and not has_value(value)):
        return None
    if isinstance(value, str):
        return value
    raise _wrong_type_error("next_url", "an address", path, value)


def _wrong_type_error(paging_type: str, expected: str, path: str, value: Any) -> BadResponse:
    return BadResponse(f"paging.type {paging_type}: the value at {path} is not {expected}: {str(value)[:80]}")
