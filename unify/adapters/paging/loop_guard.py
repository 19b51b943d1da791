"""Detects a server that answers every page with the first one: it would fill a table with copies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from msgspec import Struct

from unify.adapters.paging.base import PageInfo, PageRequest, PagingState
from unify.adapters.paging.detect import describe_paging
from unify.adapters.paging.numbered import numbered_paginator, request_beyond_end
from unify.adapters.paging.paginators import next_page_token
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse

PageProbe = Callable[[PageRequest], PageInfo | None]  # requests one more page; None: there is no such page


class _FirstPage(Struct, frozen=True):
    """The first page: its request, its fingerprint, and how it refers to the next.

    ``token_was_read``  False with ``paging: auto``, when it was not known yet where that is.
    """

    page_request: PageRequest
    fingerprint: tuple[int, int, bytes, bytes]
    next_token: object
    token_was_read: bool


class LoopGuard:
    """Checks the pages of one scope, in whatever order they come; the first comes first.

    Pages that look like the first may hold equal rows, or come from a server that does not read the
    parameter. One more request tells:

    page, offset   a page behind the end: a server that reads the parameter has no rows there
    all others     the first page again: if it leads on to where it did before, and this page leads
                   elsewhere, the server reads the cursor

    Pages are compared by the number of their rows and bytes, and by their first and last row.
    """

    def __init__(self, paging_state: PagingState) -> None:
        self._lock = threading.Lock()
        self._paging_state = paging_state
        self._first: _FirstPage | None = None
        self._repeat_count = 0

    def check_page(
        self, number: int, page_request: PageRequest, page_info: PageInfo, paging: Paging, probe: PageProbe
    ) -> None:
        """Check one page. Raises BadResponse, naming the paging type, if the pages repeat the first."""
        if not page_info.rows or self._paging_state.knows_param or page_request.is_probe:
            return
        with self._lock:
            if number == 0:
                self._first = _FirstPage(
                    page_request,
                    _fingerprint(page_info.rows),
                    next_page_token(paging, page_info),
                    paging.type != "auto",
                )
                return
            first = self._first
            if (
                first is None
                or page_info.rows[0] != first.fingerprint[2]
                or _fingerprint(page_info.rows) != first.fingerprint
            ):
                return
            self._repeat_count += 1
            if self._repeat_count < 2 and numbered_paginator(paging) is None:
                return  # links and cursors that the server made: two equal pages may be chance
            if self._paging_state.knows_param or _server_knows_param(
                paging, page_request, page_info, first, probe
            ):
                self._paging_state.knows_param = True
                return
        advice = "; it was detected: set paging for this table" if self._paging_state.detected else ""
        raise BadResponse(
            f"paging.type {paging.type}: pages with the same rows as the first; the API does not seem to "
            f"know the parameter of {describe_paging(paging)}{advice}"
        )


def _server_knows_param(
    paging: Paging, page_request: PageRequest, page_info: PageInfo, first: _FirstPage, probe: PageProbe
) -> bool:
    positions = numbered_paginator(paging)
    if positions is not None:
        behind = probe(request_beyond_end(positions, page_request, page_info))
        return behind is None or not behind.rows
    before = first.next_token if first.token_was_read else _refetch_next_token(paging, first, probe)
    return before is not None and before == _refetch_next_token(paging, first, probe) != next_page_token(
        paging, page_info
    )


def _refetch_next_token(paging: Paging, first: _FirstPage, probe: PageProbe) -> object:
    """Return the first page's reference to the next when requested again; None if its rows differ now."""
    again = probe(first.page_request)
    return (
        next_page_token(paging, again)
        if again is not None and _fingerprint(again.rows) == first.fingerprint
        else None
    )


def _fingerprint(rows: Sequence[bytes]) -> tuple[int, int, bytes, bytes]:
    return len(rows), sum(map(len, rows)), rows[0] if rows else b"", rows[-1] if rows else b""
