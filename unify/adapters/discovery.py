"""``paging: auto``: how an API pages, found out from its first answer.

Links in headers first, then an address of the next page in the body, a cursor, numbers of pages or rows.
An answer that says there is more, without a way on that we know, is an error: never a shorter table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from unify.adapters.links import tell_of_pages
from unify.adapters.paging import pager
from unify.adapters.spec import Paging
from unify.adapters.turns import Evidence, Facts, Pager, Turn, size_of
from unify.errors import BadResponse

# Where APIs keep what they say of paging: the body itself, or one of these members.
_PLACES = (
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
_ADDRESSES = (
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
_CURSORS = {
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
_MORE = ("has_more", "hasMore", "has_next", "hasNext", "has_next_page", "hasNextPage", "more")
_LAST = ("isLast", "is_last", "isLastPage", "is_last_page", "lastPage", "last_page", "last")
# A member that would lead on, under whatever name: nextRecordsUrl, next_page_uri, next-marker, next.
_LEADS_ON = re.compile(
    r"next([-_]?((page|link|url|uri|href|token|cursor|marker|offset|contin|records?[-_]?(url|uri|link)).*"
    r"|start|start[-_]?(at|index|key)|key|index|records?|batch))?",
    re.IGNORECASE,
)
_NEXT_NUMBERS = ("next_page", "nextPage", "next")
_TOTALS = (
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
_PAGES = ("total_pages", "totalPages", "page_count", "pageCount", "pages", "last_page", "lastPage")
_SURELY_PAGES = ("total_pages", "totalPages", "page_count", "pageCount")  # what else could these mean?
# What a person would write down of what was found out.
_TOLD = (
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
_OFFSETS = (
    ("offset", "limit"),
    ("startAt", "maxResults"),
    ("skip", "limit"),
    ("start", "limit"),
    ("skip", "take"),
)
_NUMBERS = ("page", "current_page", "currentPage", "page_number", "pageNumber", "number")


def discovered(paging: Paging, evidence: Evidence, alone: bool) -> Pager:
    """Ask for the first page, then go on in the way it shows."""
    facts = yield (Turn(size_of(paging)),)
    found = discover(paging, facts)
    if found is None:
        evidence.found = evidence.found or Paging("none")
        return
    evidence.found = found
    inner = pager(found, evidence, alone=alone)
    next(inner)  # its first turn is the one just taken
    while True:
        try:
            turns = inner.send(facts)
        except StopIteration:
            return
        facts = yield turns


def told(found: Paging) -> str:
    """What was found out, as a spec would say it: ``{type: next_url, path: next}``."""
    if found.type == "none":
        return "one page is all there is"
    usual = Paging(found.type)
    said = {name: getattr(found, name) for name in _TOLD}
    own = f"{found.type}_param"  # of cursor, page and offset: told even where it is the usual one
    keys = [
        f"{name}: {value}" for name, value in said.items() if name == own or value != getattr(usual, name)
    ]
    return f"{{{', '.join([f'type: {found.type}', *keys])}}}"


def discover(paging: Paging, facts: Facts) -> Paging | None:
    """How to go on from this first page; None where it is the only one.

    Raises  BadResponse where the API says there is more and no way on is found.
    """
    links = facts.links()
    if tell_of_pages(links):
        return replace(paging, type="link_header") if "next" in links else None
    body = _Body(facts)
    flag = body.find(_MORE, _is_flag)
    found = (
        _by_address(paging, body)
        or _by_cursor(paging, body, flag)
        or _by_next_number(paging, body)
        or _by_pages(paging, body)
        or _by_offset(paging, body)
    )
    more, told_by = _told_of_more(body, flag)
    if more is False:
        return None
    if found is not None:
        return found
    leads_on = told_by or body.leading_on()
    if leads_on:
        raise BadResponse(
            f"paging.type auto: the answer says {leads_on}, but not how to go on; "
            "set paging.type for this table"
        )
    return _by_size(paging, facts, body, ended=leads_on == "")


def _told_of_more(body: _Body, flag: str | None) -> tuple[bool | None, str | None]:
    """Does a flag of the answer say that there is more, and which? None, None: it has no such flag."""
    if flag is not None:
        more = bool(body.facts.value(flag))
        return more, flag if more else None
    last = body.find(_LAST, _is_flag)
    if last is not None:
        more = not body.facts.value(last)
        return more, f"{last}: false" if more else None
    return None, None


class _Body:
    """Looks for members by their usual names in their usual places."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def find(self, names: tuple[str, ...], fits: Any) -> str | None:
        """The path of the first member with one of these names whose value fits."""
        return next((path for path, value in self._candidates(names) if fits(value)), None)

    def leading_on(self) -> str | None:
        """The path of a member that leads to another page; "" where there are such, and none has a value."""
        paths = [
            place + name
            for place in _PLACES
            for name in self.facts.names(place.rstrip("."))
            if _LEADS_ON.fullmatch(name)
        ]
        return next((path for path in paths if _has_value(self.facts.value(path))), "" if paths else None)

    def _candidates(self, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        for place in _PLACES:
            if place and self.facts.value(place.partition(".")[0]) is None:
                continue
            for name in names:
                value = self.facts.value(place + name)
                if value is not None:
                    yield place + name, value


def _has_value(value: Any) -> bool:
    """``{"href": null}`` has none."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


def _by_address(paging: Paging, body: _Body) -> Paging | None:
    path = body.find(_ADDRESSES, _is_address)
    return None if path is None else replace(paging, type="next_url", path=path)


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://", "/", "?"))


def _by_cursor(paging: Paging, body: _Body, flag: str | None) -> Paging | None:
    path = body.find(tuple(_CURSORS), lambda value: isinstance(value, str) and value != "")
    if path is None:
        return None
    usual = _CURSORS[path.rpartition(".")[2]]
    param = paging.cursor_param if paging.cursor_param != Paging().cursor_param else usual
    return replace(paging, type="cursor", cursor_path=path, cursor_param=param, more_path=flag)


def _by_next_number(paging: Paging, body: _Body) -> Paging | None:
    """``next_page: 2``: the number of the next page is what a cursor is elsewhere."""
    path = body.find(_NEXT_NUMBERS, _is_count)
    if path is None:
        return None
    return replace(paging, type="cursor", cursor_path=path, cursor_param=paging.page_param, more_path=None)


def _by_pages(paging: Paging, body: _Body) -> Paging | None:
    """``page: 1, total_pages: 7``. Raises BadResponse where there are more, and this one has no number."""
    pages, number = body.find(_PAGES, _is_count), body.find(_NUMBERS, _is_first)
    if pages is not None and number is not None:
        return replace(paging, type="page", first=body.facts.value(number), pages_path=pages)
    many = body.find(_SURELY_PAGES, lambda value: _is_count(value) and value > 1)
    if many is not None:
        raise BadResponse(
            f"paging.type auto: the answer says {many}: {body.facts.value(many)}, but not whether pages are "
            "counted from 0 or from 1; set paging.type for this table"
        )
    return None


def _is_first(value: Any) -> bool:
    """The number of a first page; any other is a count, and of something else."""
    return _is_count(value) and value <= 1


def _by_offset(paging: Paging, body: _Body) -> Paging | None:
    """``startAt: 0, maxResults: 50, total: 120``: the API names its own parameters."""
    total = body.find(_TOTALS, _is_count)
    if total is None:
        return None
    for offset, size in _OFFSETS:
        start, most = body.find((offset,), _is_count), body.find((size,), _is_count)
        if start is not None and most is not None and body.facts.value(start) == 0:
            known = None if _may_count_the_page(body, total, body.facts.value(most)) else total
            return replace(paging, type="offset", offset_param=offset, total_path=known)
    return None


def _by_size(paging: Paging, facts: Facts, body: _Body, *, ended: bool) -> Paging | None:
    """A list and nothing else: one page, unless it has exactly as many rows as were asked for.

    ``ended``  it has a place for the way on, such as ``next``, and nothing there.
    """
    total = body.find(_TOTALS, _is_count)
    rows = len(facts.rows)
    if paging.size_param is not None and rows and rows == paging.size and not ended:
        if total is not None and _may_count_the_page(body, total, rows):
            total = None
        return replace(paging, type="page", total_path=total)
    if total is not None and rows and facts.value(total) > rows:
        raise BadResponse(
            f"paging.type auto: the answer has {rows} of {facts.value(total)} rows, but does not say how to "
            "go on; set paging.type for this table"
        )
    return None


def _may_count_the_page(body: _Body, total: str, size: int) -> bool:
    """``count: 10`` on a full page of ten may be the number of rows there, and no total."""
    rows = len(body.facts.rows)
    return total.rpartition(".")[2] == "count" and body.facts.value(total) == rows >= size


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
