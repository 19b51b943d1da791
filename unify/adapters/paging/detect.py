"""``paging: auto``: how an API pages, found out from its first answer.

Links in headers first, then an address of the next page in the body, a cursor, numbers of pages or rows.
An answer that says there is more, without a way on that we know, is an error: never a shorter table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from unify.adapters.paging.base import (
    PageInfo,
    PageRequest,
    Paginator,
    PaginatorFactory,
    PagingState,
    page_size_params,
)
from unify.adapters.paging.links import has_page_links
from unify.adapters.spec.model import Paging
from unify.errors import BadResponse

# Where APIs keep what they say of paging: the body itself, or one of these members.
_PAGING_PREFIXES = (
    "",
    "paging.",
    "paging.next.",
    "paging.cursors.",
    "pagination.",
    "meta.",
    "meta.pagination.",
    "metadata.",
    "page_info.",
    "pageInfo.",
    "response_metadata.",
    "links.",
    "_links.",
    "info.",
    "page.",
)
_NEXT_URL_NAMES = (
    "next",
    "next.href",
    "next_url",
    "nextUrl",
    "next_page_url",
    "nextPageUrl",
    "next_link",
    "nextLink",
    "@odata.nextLink",
    "next_page",
    "nextPage",
)
# Member that holds a cursor, and the parameter that takes it.
_CURSOR_PARAMS = {
    "next_cursor": "cursor",
    "nextCursor": "cursor",
    "next_page_token": "page_token",
    "nextPageToken": "pageToken",
    "next_token": "next_token",
    "nextToken": "nextToken",
    "continuation_token": "continuation_token",
    "continuationToken": "continuationToken",
    "pagination_token": "pagination_token",
    "end_cursor": "after",
    "endCursor": "after",
    "after": "after",
    "bookmark": "bookmark",
    "scroll_id": "scroll_id",
    "cursor": "cursor",
    "offset": "offset",
}
_MORE_FLAG_NAMES = ("has_more", "hasMore", "has_next", "hasNext", "has_next_page", "hasNextPage", "more")
_LAST_FLAG_NAMES = ("isLast", "is_last", "isLastPage", "is_last_page", "lastPage", "last_page", "last")
# A member that would lead on, under whatever name: nextRecordsUrl, next_page_uri, next-marker, next.
_NEXT_MEMBER = re.compile(
    r"next([-_]?((page|link|url|uri|href|token|cursor|marker|offset|contin|records?[-_]?(url|uri|link)).*"
    r"|start|start[-_]?(at|index|key)|key|index|records?|batch))?",
    re.IGNORECASE,
)
_NEXT_NUMBER_NAMES = ("next_page", "nextPage", "next")
_TOTAL_NAMES = (
    "total",
    "total_count",
    "totalCount",
    "totalResults",
    "total_results",
    "totalSize",
    "totalElements",
    "total_elements",
    "count",
)
_PAGE_COUNT_NAMES = ("total_pages", "totalPages", "page_count", "pageCount", "pages", "last_page", "lastPage")
_CERTAIN_PAGE_COUNT_NAMES = (
    "total_pages",
    "totalPages",
    "page_count",
    "pageCount",
)  # what else could these mean?
# What a person would write down of what was found out.
_DESCRIBED_KEYS = (
    "page_param",
    "first",
    "offset_param",
    "size_param",
    "size",
    "cursor_param",
    "cursor_path",
    "more_path",
    "path",
    "total_path",
    "pages_path",
)
# Members that repeat what was asked for, and so name the parameters: where, and how many.
_OFFSET_NAMES = (
    ("offset", "limit"),
    ("startAt", "maxResults"),
    ("skip", "limit"),
    ("start", "limit"),
    ("skip", "take"),
)
_PAGE_NUMBER_NAMES = ("page", "current_page", "currentPage", "page_number", "pageNumber", "number")


def paginate_detected(
    paging: Paging, paging_state: PagingState, sequential: bool, make_paginator: PaginatorFactory
) -> Paginator:
    """Request the first page, then follow the paging style it shows, with a paginator from ``make_paginator``."""
    facts = yield (PageRequest(page_size_params(paging)),)
    found = detect_paging(paging, facts)
    if found is None:
        paging_state.detected = paging_state.detected or Paging("none")
        return
    paging_state.detected = found
    inner = make_paginator(found, paging_state, sequential=sequential)
    next(inner)  # its first turn is the one just taken
    while True:
        try:
            turns = inner.send(facts)
        except StopIteration:
            return
        facts = yield turns


def describe_paging(paging: Paging) -> str:
    """What was found out, as a spec would say it: ``{type: next_url, path: next}``."""
    if paging.type == "none":
        return "one page is all there is"
    usual = Paging(paging.type)
    said = {name: getattr(paging, name) for name in _DESCRIBED_KEYS}
    own = f"{paging.type}_param"  # of cursor, page and offset: told even where it is the usual one
    keys = [
        f"{name}: {value}" for name, value in said.items() if name == own or value != getattr(usual, name)
    ]
    return f"{{{', '.join([f'type: {paging.type}', *keys])}}}"


def detect_paging(paging: Paging, page_info: PageInfo) -> Paging | None:
    """How to go on from this first page; None where it is the only one.

    Raises  BadResponse where the API says there is more and no way on is found.
    """
    links = page_info.links()
    if has_page_links(links):
        return replace(paging, type="link_header") if "next" in links else None
    body = _MemberFinder(page_info)
    flag = body.find(_MORE_FLAG_NAMES, _is_flag)
    found = (
        _detect_next_url(paging, body)
        or _detect_cursor(paging, body, flag)
        or _detect_next_number(paging, body)
        or _detect_page_numbers(paging, body)
        or _detect_offset(paging, body)
    )
    more, told_by = _find_more_flag(body, flag)
    if more is False:
        return None
    if found is not None:
        return found
    leads_on = told_by or body.find_next_member()
    if leads_on:
        raise BadResponse(
            f"paging.type auto: the answer says {leads_on}, but not how to go on; "
            "set paging.type for this table"
        )
    return _detect_full_page(paging, page_info, body, next_is_empty=leads_on == "")


def _find_more_flag(body: _MemberFinder, flag: str | None) -> tuple[bool | None, str | None]:
    """Does a flag of the answer say that there is more, and which? None, None: it has no such flag."""
    if flag is not None:
        more = bool(body.page_info.value(flag))
        return more, flag if more else None
    last = body.find(_LAST_FLAG_NAMES, _is_flag)
    if last is not None:
        more = not body.page_info.value(last)
        return more, f"{last}: false" if more else None
    return None, None


class _MemberFinder:
    """Looks for members by their usual names in their usual places."""

    def __init__(self, page_info: PageInfo) -> None:
        self.page_info = page_info

    def find(self, names: tuple[str, ...], predicate: Any) -> str | None:
        """The path of the first member with one of these names whose value fits."""
        return next((path for path, value in self._iter_candidates(names) if predicate(value)), None)

    def find_next_member(self) -> str | None:
        """The path of a member that leads to another page; "" where there are such, and none has a value."""
        paths = [
            place + name
            for place in _PAGING_PREFIXES
            for name in self.page_info.member_names(place.rstrip("."))
            if _NEXT_MEMBER.fullmatch(name)
        ]
        return next((path for path in paths if _has_value(self.page_info.value(path))), "" if paths else None)

    def _iter_candidates(self, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for place in _PAGING_PREFIXES:
            if place and self.page_info.value(place.partition(".")[0]) is None:
                continue
            for name in names:
                value = self.page_info.value(place + name)
                if value is not None:
                    yield place + name, value


def _has_value(value: Any) -> bool:
    """``{"href": null}`` has none."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


def _detect_next_url(paging: Paging, body: _MemberFinder) -> Paging | None:
    path = body.find(_NEXT_URL_NAMES, _is_url)
    return None if path is None else replace(paging, type="next_url", path=path)


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://", "/", "?"))


def _detect_cursor(paging: Paging, body: _MemberFinder, flag: str | None) -> Paging | None:
    path = body.find(tuple(_CURSOR_PARAMS), lambda value: isinstance(value, str) and value != "")
    if path is None:
        return None
    usual = _CURSOR_PARAMS[path.rpartition(".")[2]]
    param = paging.cursor_param if paging.cursor_param != Paging().cursor_param else usual
    return replace(paging, type="cursor", cursor_path=path, cursor_param=param, more_path=flag)


def _detect_next_number(paging: Paging, body: _MemberFinder) -> Paging | None:
    """``next_page: 2``: the number of the next page is what a cursor is elsewhere."""
    path = body.find(_NEXT_NUMBER_NAMES, _is_count)
    if path is None:
        return None
    return replace(paging, type="cursor", cursor_path=path, cursor_param=paging.page_param, more_path=None)


def _detect_page_numbers(paging: Paging, body: _MemberFinder) -> Paging | None:
    """``page: 1, total_pages: 7``. Raises BadResponse where there are more, and this one has no number."""
    pages, number = (
        body.find(_PAGE_COUNT_NAMES, _is_count),
        body.find(_PAGE_NUMBER_NAMES, _is_first_page_number),
    )
    if pages is not None and number is not None:
        return replace(paging, type="page", first=body.page_info.value(number), pages_path=pages)
    many = body.find(_CERTAIN_PAGE_COUNT_NAMES, lambda value: _is_count(value) and value > 1)
    if many is not None:
        raise BadResponse(
            f"paging.type auto: the answer says {many}: {body.page_info.value(many)}, but not whether pages are "
            "counted from 0 or from 1; set paging.type for this table"
        )
    return None


def _is_first_page_number(value: Any) -> bool:
    """The number of a first page; any other is a count, and of something else."""
    return _is_count(value) and value <= 1


def _detect_offset(paging: Paging, body: _MemberFinder) -> Paging | None:
    """``startAt: 0, maxResults: 50, total: 120``: the API names its own parameters."""
    total = body.find(_TOTAL_NAMES, _is_count)
    if total is None:
        return None
    for offset, size in _OFFSET_NAMES:
        start, most = body.find((offset,), _is_count), body.find((size,), _is_count)
        if start is not None and most is not None and body.page_info.value(start) == 0:
            known = None if _may_be_page_row_count(body, total, body.page_info.value(most)) else total
            return replace(paging, type="offset", offset_param=offset, total_path=known)
    return None


def _detect_full_page(
    paging: Paging, page_info: PageInfo, body: _MemberFinder, *, next_is_empty: bool
) -> Paging | None:
    """A list and nothing else: one page, unless it has exactly as many rows as were asked for.

    ``ended``  it has a place for the way on, such as ``next``, and nothing there.
    """
    total = body.find(_TOTAL_NAMES, _is_count)
    rows = len(page_info.rows)
    if paging.size_param is not None and rows and rows == paging.size and not next_is_empty:
        if total is not None and _may_be_page_row_count(body, total, rows):
            total = None
        return replace(paging, type="page", total_path=total)
    if total is not None and rows and page_info.value(total) > rows:
        raise BadResponse(
            f"paging.type auto: the answer has {rows} of {page_info.value(total)} rows, but does not say how to "
            "go on; set paging.type for this table"
        )
    return None


def _may_be_page_row_count(body: _MemberFinder, total: str, size: int) -> bool:
    """``count: 10`` on a full page of ten may be the number of rows there, and no total."""
    rows = len(body.page_info.rows)
    return total.rpartition(".")[2] == "count" and body.page_info.value(total) == rows >= size


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
