"""The known ways on: how hints of a response become a ``Paging``.

APIs whose parameters their responses do not name are in ``envelopes``; the general rules take addresses,
cursors and numbers whose parameter follows from the member's name. A wrong guess is found out:
a server that ignores the parameter sends the first page again, which is an error (``loop_guard``).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec.structs import replace

from unify.adapters.paging.base import PageInfo, RequestTraits
from unify.adapters.paging.envelopes import is_url, match_envelope
from unify.adapters.paging.hints import Hint, HintKind, Hints, has_value, is_set
from unify.adapters.spec.paging import Paging
from unify.patterns import LazyPattern

# Member that holds a cursor, and the parameter that takes it where that is not the name without "next".
_CURSOR_PARAMS = {
    "end_cursor": "after",
    "endCursor": "after",
    "after": "after",
    "nextPageId": "pageId",
    "NextMarker": "Marker",
    "NextToken": "NextToken",
    "nextToken": "nextToken",
    "next_token": "next_token",
    "NextContinuationToken": "continuation-token",
    "nextForwardToken": "nextToken",
    "next_stream_position": "stream_position",
    "x-ms-continuation": "continuationToken",
    "x-ms-continuationtoken": "continuationToken",
    "Next-Range": "Range",
    "nextRecordPosition": "startRecord",
    "Sforce-Locator": "locator",
    "CB-AFTER": "after",
    "_scroll_id": "scroll_id",
    "nextPageCursor": "pageCursor",
    "LastEvaluatedKey": "ExclusiveStartKey",
}
# Members that are sent back under their own name.
_SAME_NAME = LazyPattern(
    r"(cursor|offset|bookmark|scroll[_-]?id|page[_-]?token|continuation[_-]?token|pagination[_-]?token|continue|"
    r"continuation|marker|token|cursor[_-]?mark|resumption[_-]?token|starting[_-]?after|page[_-]?cursor|"
    r"start[_-]?key|search[_-]?after|scroll[_-]?param|resume[_-]?token|pointer)",
    re.IGNORECASE,
)
_STRIPPED = LazyPattern(
    r"next[-_]?(?P<rest>((page|batch|result|record|item|start)[-_]?)?(token|cursor|id|offset|start|skip|index|continuation|"
    r"continuation[-_]?token|key|position|hash)|marker|continuation[-_]?token|cursor[-_]?mark|scroll[-_]?id|bookmark|from|"
    r"starting[-_]?after|pagination[-_]?token|start[-_]?(at|key|index|time))",
    re.IGNORECASE,
)
_NEXT_PAGE_KEYS = frozenset(
    ["next", "nextpage", "nextpagenumber", "nextpageindex", "pagenext", "page", "nextpageno"]
)
_PAGE_IS_PAGE = frozenset(
    ["page", "currentpage", "number", "current", "curpage", "thispage", "currentpagenumber"]
)
_ONE_BASED_OFFSETS = frozenset(
    ["startindex", "startposition", "firstindex", "startrecord", "firstresult", "startrow"]
)
_GRAPHQL_VARIABLES = ("after", "cursor", "endCursor", "afterCursor", "nextCursor", "pageCursor")


def find_way(
    paging: Paging, hints: Hints, page_info: PageInfo, request: RequestTraits
) -> tuple[Paging, Hint | None] | None:
    """How to go on, with the hint it follows from; None if no way is known. The hints indicate more pages."""
    base = replace(paging, location="body") if request.sends_body and paging.location == "query" else paging
    for hint in hints.of(HintKind.NEXT):
        if hint.name in ("next", "next_url") and (found := _next_url(hint, base, hints, request)) is not None:
            return found, hint  # an address needs no knowledge of the API
    envelope = match_envelope(page_info, base)
    if envelope is not None:
        return envelope, None
    rules: tuple[Callable[[Hint, Paging, Hints, RequestTraits], Paging | None], ...] = (
        _next_url,
        _graphql_cursor,
        _cursor,
        _next_number,
    )
    for rule in rules:
        for hint in hints.of(HintKind.NEXT):
            if has_value(hint.value) and (found := rule(hint, base, hints, request)) is not None:
                return found, hint
    return _page_numbers(base, hints) or _offset(base, hints)


def _next_url(hint: Hint, paging: Paging, hints: Hints, _request: RequestTraits) -> Paging | None:
    if not is_url(hint.value):
        return None
    if hint.in_header:
        return replace(paging, type="next_url", header=hint.path, location="query")
    return replace(paging, type="next_url", path=hint.path, location="query", **_flag_paths(hints))


def _flag_paths(hints: Hints) -> dict[str, str]:
    for hint in hints.of(HintKind.MORE, HintKind.LAST):
        if not hint.in_header and is_set(hint.value) == (hint.kind is HintKind.MORE):
            return {"more_path" if hint.kind is HintKind.MORE else "last_path": hint.path}
    return {}


def _graphql_cursor(hint: Hint, paging: Paging, hints: Hints, request: RequestTraits) -> Paging | None:
    """``pageInfo {hasNextPage, endCursor}``: the variable is one that the query declares."""
    variable = next((name for name in _GRAPHQL_VARIABLES if name in request.graphql_variables), None)
    if variable is None or not re.fullmatch(r".*cursor", hint.key):
        return None
    return _cursor_paging(hint, replace(paging, location="body"), f"variables.{variable}", hints)


def _cursor(hint: Hint, paging: Paging, hints: Hints, request: RequestTraits) -> Paging | None:
    if is_url(hint.value) or request.graphql_variables:
        return None
    if hint.key == "next" and hint.parent.lower() in ("cursor", "cursors", "token", "tokens"):
        return _cursor_paging(hint, paging, hint.parent.lower().rstrip("s"), hints)
    if hint.key in _NEXT_PAGE_KEYS:
        return None
    if hint.number is not None and not re.search(
        r"offset|start|skip|index|from|token|cursor|after|id|key|mark|page|value|scroll|position|max|min|since|until|batch",
        hint.key,
    ):
        return None
    param = _cursor_param(hint, paging)
    return None if param is None else _cursor_paging(hint, paging, param, hints)


def _cursor_paging(hint: Hint, paging: Paging, param: str, hints: Hints) -> Paging:
    if hint.in_header:
        location = "header" if param == "Range" else paging.location
        return replace(paging, type="cursor", cursor_header=hint.path, cursor_param=param, location=location)
    return replace(paging, type="cursor", cursor_path=hint.path, cursor_param=param, **_flag_paths(hints))


def _cursor_param(hint: Hint, paging: Paging) -> str | None:
    if paging.cursor_param != Paging().cursor_param:
        return paging.cursor_param
    name = re.sub(r"^[Xx]-", "", hint.name) if hint.in_header else hint.name
    if name in ("text", "value") and _SAME_NAME.fullmatch(hint.parent):
        return hint.parent  # of an XML element with attributes
    if hint.in_header and hint.name.lower() in (
        known := {key.lower(): value for key, value in _CURSOR_PARAMS.items()}
    ):
        return known[hint.name.lower()]
    if name in _CURSOR_PARAMS:
        return _CURSOR_PARAMS[name]
    if hint.in_header:
        name = name.lower().replace("-", "_")
    if _SAME_NAME.fullmatch(name):
        return name
    stripped = _STRIPPED.fullmatch(name[:1].lower() + name[1:])
    if stripped is not None:
        rest = stripped["rest"]
        return rest[:1].lower() + rest[1:] if name[:1].islower() else rest
    if re.fullmatch(
        r"(cursor|token|marker|offset|page)[-_]?next|(cursor|token)s?[-_]next", name, re.IGNORECASE
    ):
        return re.split(r"[-_]", name)[0].lower()
    return name if hint.parent.lower().lstrip("_") in ("next", "next_page", "nextpage") else None


def _next_number(hint: Hint, paging: Paging, hints: Hints, _request: RequestTraits) -> Paging | None:
    """``next_page: 2``: the number of the next page takes the part of a cursor."""
    if hint.key not in _NEXT_PAGE_KEYS or hint.number is None:
        return None
    if hint.number in (1, 2):
        return _cursor_paging(hint, paging, paging.page_param, hints)
    if hint.number == hints.rows and hint.key == "next":
        return _cursor_paging(hint, paging, paging.offset_param, hints)
    return None


def _page_numbers(paging: Paging, hints: Hints) -> tuple[Paging, Hint | None] | None:
    numbers = [hint for hint in hints.of(HintKind.PAGE) if hint.number in (0, 1)]
    number = next((hint for hint in numbers if hint.key in ("page", "currentpage")), None) or next(
        iter(numbers), None
    )
    if number is None:
        return None
    param = paging.page_param if number.key in _PAGE_IS_PAGE or number.in_header else number.name
    found = replace(paging, type="page", first=number.number, page_param=param)
    pages = next((hint for hint in hints.of(HintKind.PAGES) if not hint.in_header), None)
    if pages is not None:
        return replace(found, pages_path=pages.path), pages
    if (
        next(hints.of(HintKind.PAGES), None) is None
        and next(hints.of(HintKind.TOTAL, HintKind.SIZE), None) is None
        and not _flag_paths(hints)
    ):
        return None
    return replace(found, **_total_or_flag(hints)), hints.strong() or number


def _total_or_flag(hints: Hints) -> dict[str, str]:
    flag = _flag_paths(hints)
    total = next((hint for hint in hints.of(HintKind.TOTAL) if (hint.number or 0) > hints.rows), None)
    if total is None or flag:
        return flag
    return {"total_header" if total.in_header else "total_path": total.path}


def _offset(paging: Paging, hints: Hints) -> tuple[Paging, Hint | None] | None:
    """``startAt: 0, maxResults: 50, total: 120``: the API names its own parameters."""
    for hint in hints.of(HintKind.OFFSET):
        first = hint.number
        if first == 0 or (first == 1 and hint.key in _ONE_BASED_OFFSETS):
            param = hint.name if not hint.in_header else paging.offset_param
            found = replace(paging, type="offset", offset_param=param, first=first or None)
            return replace(found, **_total_or_flag(hints)), hints.strong() or hint
    return None
