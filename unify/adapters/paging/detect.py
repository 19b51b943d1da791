"""``paging: auto``: finds out from the first response how an API pages.

The question is whether anything outside the rows hints at more: see ``hints``. A hint is followed where the
way on is known (``ways``); where it is not, the load fails and names the hint: never a shorter table.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from unify.adapters.paging.base import (
    PageInfo,
    PageRequest,
    Paginator,
    PaginatorFactory,
    PagingState,
    page_size_params,
)
from unify.adapters.paging.hint_names import collect_hints
from unify.adapters.paging.hints import COUNTS_OF_PAGE, Hint, HintKind, Hints
from unify.adapters.paging.links import has_page_links
from unify.adapters.paging.numbered import numbered_paginator, page_request_at
from unify.adapters.paging.ways import find_way
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse

NO_HINT = "nothing in the response indicates more pages"
# The keys of a paging that a person would write into a spec.
_DESCRIBED_KEYS = (
    "page_param",
    "first",
    "offset_param",
    "size_param",
    "size",
    "cursor_param",
    "cursor_path",
    "cursor_column",
    "cursor_header",
    "more_path",
    "last_path",
    "path",
    "header",
    "total_path",
    "total_header",
    "pages_path",
)


def paginate_detected(
    paging: Paging, paging_state: PagingState, sequential: bool, make_paginator: PaginatorFactory
) -> Paginator:
    """Request the first page, then follow the paging style it shows.

    If the second numbered page is empty after a full first one, the first page is requested once more by its
    number: a parameter that the API reads returns the same rows.
    """
    first = yield (PageRequest(page_size_params(paging)),)
    found = detect_paging(paging, first, paging_state)
    if found is None:
        paging_state.detected = paging_state.detected or Paging("none")
        return
    paging_state.detected = found
    paginator = make_paginator(found, paging_state, sequential=sequential)
    next(paginator)  # its first request is the one just sent
    page_info, page_number = first, 0
    while True:
        try:
            page_requests = paginator.send(page_info)
        except StopIteration:
            break
        except BadResponse as error:
            error.message += (
                f"; paging was detected as {describe_paging(found)}; if the API expects something else, set "
                "paging for this table"
            )
            raise
        page_info = yield page_requests
        page_number += len(page_requests)
        if page_number == 1 and not page_info.row_count and first.row_count:
            yield from _prove_param(found, first)


def _prove_param(paging: Paging, first: PageInfo) -> Paginator:
    positions = numbered_paginator(paging)
    if positions is None:
        return
    request = page_request_at(positions, positions.start)
    again = yield (PageRequest(request.params, is_probe=True),)
    if list(again.rows) != list(first.rows):
        raise BadResponse(
            f"paging.type auto: the second page is empty, and the request with {positions.param}="
            f"{positions.start} does not return the first page; set paging for this table"
        )


def describe_paging(paging: Paging) -> str:
    """The detected paging as a spec would say it: ``{type: next_url, path: next}``."""
    if paging.type == "none":
        return NO_HINT
    default = Paging(paging.type)
    values = {name: getattr(paging, name) for name in _DESCRIBED_KEYS}
    own_param = f"{paging.type}_param"  # of cursor, page and offset: shown even if it is the default
    keys = [
        f"{name}: {value}"
        for name, value in values.items()
        if (name == own_param and paging.cursor_column != "") or value != getattr(default, name)
    ]
    if paging.location != "query":
        keys.append(f"in: {paging.location}")
    return f"{{{', '.join([f'type: {paging.type}', *keys])}}}"


def detect_paging(
    paging: Paging, page_info: PageInfo, paging_state: PagingState | None = None
) -> Paging | None:
    """Return the pagination that the first page shows; None if nothing indicates more pages.

    Raises:
        BadResponse: a hint indicates more pages, and no way on is known.
    """
    state = paging_state or PagingState()
    links = page_info.links()
    if has_page_links(links):
        return replace(paging, type="link_header") if "next" in links else None
    params = {} if paging.size_param is not None else state.request.params
    hints = collect_hints(page_info, params, state.request.rows_name)
    strong = hints.strong()
    if hints.more is False and not hints.has_weak_end():
        if strong is not None and strong.kind is HintKind.TOTAL:
            state.notes[
                f"the response has {strong}, {hints.rows} rows, and a flag that says that no more follow"
            ] = None
        return None
    hint = strong or hints.full_page()
    if hint is not None:
        found = find_way(paging, hints, page_info, state.request)
        if found is not None:
            state.total_path = _certain_total(hints)
            return found[0]
    size_given = paging.size_param is not None and hints.rows > 0 and hints.rows == paging.size
    if size_given and not _ways_on_are_empty(hints):
        total = next((each for each in hints.of(HintKind.TOTAL) if not each.in_header), None)
        counts_all = total is not None and (total.number or 0) > hints.rows
        return replace(paging, type="page", total_path=total.path if total and counts_all else None)
    if hint is None:
        _note_possible_hints(hints, state)
        return None
    raise _unknown_way(hint, hints.rows)


def _note_possible_hints(hints: Hints, state: PagingState) -> None:
    """Note what may indicate that the only page is not the whole table."""
    if hints.rows >= _LEAST_ROUND and any(hints.rows % each == 0 for each in (10, 25)):
        state.notes[f"the only page has exactly {hints.rows} rows, which may be a page size"] = None
    for possible in hints.of(HintKind.POSSIBLE):
        if possible.number is None or possible.number > hints.rows > 0 or "id" in possible.key:
            state.notes[f"the response has {possible}, which may indicate more pages"] = None


def _unknown_way(hint: Hint, rows: int) -> BadResponse:
    is_count = hint.kind in (HintKind.TOTAL, HintKind.SIZE, HintKind.REMAINING)
    reason = f"and {rows} rows came" if is_count else "which indicates more pages"
    numbering = "; are pages counted from 0 or from 1?" if hint.kind is HintKind.PAGES else ""
    return BadResponse(
        f"paging.type auto: the response has {hint}, {reason}, but how to request them is not known"
        f"{numbering}; set paging.type for this table"
    )


def _certain_total(hints: Hints) -> str | None:
    """Where the number of all rows is, if its name leaves no doubt."""
    totals = [
        hint for hint in hints.of(HintKind.TOTAL) if not hint.in_header and hint.key not in COUNTS_OF_PAGE
    ]
    certain = (hint for hint in totals if re.search("total|found|hits|matches", hint.key))
    return next((hint.path for hint in certain if (hint.number or 0) > hints.rows), None)


_LEAST_ROUND = 10  # rows; smaller numbers are no page sizes


def _ways_on_are_empty(hints: Hints) -> bool:
    return next(hints.of(HintKind.NEXT), None) is not None and hints.strong() is None
