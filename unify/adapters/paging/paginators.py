"""How the pages of a table follow each other: decisions only, no network.

A pager is a generator. It yields the turns to take next, which may be taken side by side, and is sent the
facts of the last of them. It stops where the data ends:

    page, offset   an empty page; a short one where the server is known to honour the size asked for;
                   a more-flag that says no; totals or links that say where the end is
    cursor         no cursor, or a more-flag that says no
    link_header, next_url   no link

A cursor, link or page that comes again is an error naming the paging type: it would never end.
"""

from __future__ import annotations

from typing import Any

from unify.adapters.paging.base import (
    PageInfo,
    PageRequest,
    Paginator,
    PagingState,
    is_truthy,
    page_size_params,
)
from unify.adapters.paging.links import follow_links, paginate_by_link_header
from unify.adapters.paging.numbered import OffsetPaginator, PageNumberPaginator, paginate_numbered
from unify.adapters.spec.model import Paging
from unify.errors import BadResponse


def make_paginator(
    paging: Paging, paging_state: PagingState | None = None, *, sequential: bool = False
) -> Paginator:
    """The pager for ``paging``. ``alone``: one page after another, even where all could be asked for."""
    known = paging_state or PagingState()
    match paging.type:
        case "none":
            found = _paginate_single()
        case "page":
            found = paginate_numbered(PageNumberPaginator(paging), known, sequential)
        case "offset":
            found = paginate_numbered(OffsetPaginator(paging), known, sequential)
        case "cursor":
            found = _paginate_by_cursor(paging)
        case "link_header":
            found = paginate_by_link_header(paging, sequential)
        case "next_url":
            found = _paginate_by_next_url(paging)
        case "auto":
            from unify.adapters.paging.detect import paginate_detected

            found = paginate_detected(paging, known, sequential, make_paginator)
    return _limit_pages(found, paging.max_pages)


def _paginate_single() -> Paginator:
    yield (PageRequest(),)


def _limit_pages(inner: Paginator, max_pages: int | None) -> Paginator:
    """No more than ``max_pages``: what comes after that, the spec does not want."""
    if max_pages is None:
        yield from inner
        return
    left = max_pages
    turns = next(inner, ())
    while turns and left > 0:
        wanted = turns[:left]
        left -= len(wanted)
        facts = yield wanted
        try:
            turns = inner.send(facts)
        except StopIteration:
            return


def _paginate_by_cursor(paging: Paging) -> Paginator:
    seen: set[str] = set()
    facts = yield (PageRequest(page_size_params(paging)),)
    while True:
        if paging.more_path is not None and not is_truthy(facts.value(paging.more_path)):
            return
        cursor = _next_cursor(paging, facts)
        if cursor in (None, ""):
            if paging.more_path is not None and facts.rows:
                raise BadResponse("paging.type cursor: the API says there is more, and gives no cursor")
            if paging.cursor_column is not None and facts.rows:
                raise BadResponse(f"paging.type cursor: the last row of a page has no {paging.cursor_column}")
            return
        if str(cursor) in seen:
            raise BadResponse(f"paging.type cursor: the cursor {str(cursor)[:80]!r} came a second time")
        seen.add(str(cursor))
        facts = yield (PageRequest({**page_size_params(paging), paging.cursor_param: cursor}),)


def _next_cursor(paging: Paging, page_info: PageInfo) -> str | int | float | None:
    """Raises BadResponse where there is something that no parameter can carry: it may well be the way on."""
    if paging.cursor_path is not None:
        value = page_info.value(paging.cursor_path)
        if value is False or value in _EMPTY_VALUES:
            return None
        if value is True or not isinstance(value, str | int | float):
            raise _wrong_type_error("cursor", "cursor", paging.cursor_path, value)
        return value
    if paging.cursor_header is not None:
        return page_info.header(paging.cursor_header)
    if paging.cursor_column is not None:
        return page_info.last_value(paging.cursor_column)
    return None


_EMPTY_VALUES: tuple[object, ...] = (None, "", [], {})  # ways to write that there is none


def next_page_token(paging: Paging, page_info: PageInfo) -> object:
    """What a page says of the next one; None for nothing, and where pages are numbered."""
    match paging.type:
        case "cursor":
            return _next_cursor(paging, page_info)
        case "next_url":
            return page_info.value(paging.path or "next")
        case "link_header":
            return page_info.links().get("next")
        case _:
            return None


def _paginate_by_next_url(paging: Paging) -> Paginator:
    path = paging.path or "next"
    facts = yield (PageRequest(page_size_params(paging)),)
    yield from follow_links(facts, "next_url", lambda page: _next_url(page.value(path), path))


def _next_url(value: Any, path: str) -> str | None:
    if value is False or value in _EMPTY_VALUES:
        return None
    if isinstance(value, str):
        return value
    raise _wrong_type_error("next_url", "address", path, value)


def _wrong_type_error(paging_type: str, expected: str, path: str, value: Any) -> BadResponse:
    return BadResponse(f"paging.type {paging_type}: what is at {path} is no {expected}: {str(value)[:80]}")
