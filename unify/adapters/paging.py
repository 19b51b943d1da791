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

from unify.adapters.links import by_link, follow_links
from unify.adapters.numbering import Offsets, PageNumbers, numbered
from unify.adapters.spec import Paging
from unify.adapters.turns import Evidence, Facts, Pager, Turn, says_yes, size_of
from unify.errors import BadResponse

__all__ = ["Evidence", "Facts", "Pager", "Turn", "pager"]


def pager(paging: Paging, evidence: Evidence | None = None, *, alone: bool = False) -> Pager:
    """The pager for ``paging``. ``alone``: one page after another, even where all could be asked for."""
    known = evidence or Evidence()
    match paging.type:
        case "none":
            found = _single()
        case "page":
            found = numbered(PageNumbers(paging), known, alone)
        case "offset":
            found = numbered(Offsets(paging), known, alone)
        case "cursor":
            found = _by_cursor(paging)
        case "link_header":
            found = by_link(paging, alone)
        case "next_url":
            found = _by_next_url(paging)
        case "auto":
            from unify.adapters.discovery import discovered

            found = discovered(paging, known, alone)
    return _bounded(found, paging.max_pages)


def _single() -> Pager:
    yield (Turn(),)


def _bounded(inner: Pager, max_pages: int | None) -> Pager:
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


def _by_cursor(paging: Paging) -> Pager:
    seen: set[str] = set()
    facts = yield (Turn(size_of(paging)),)
    while True:
        if paging.more_path is not None and not says_yes(facts.value(paging.more_path)):
            return
        cursor = _cursor(paging, facts)
        if cursor in (None, ""):
            if paging.more_path is not None and facts.rows:
                raise BadResponse("paging.type cursor: the API says there is more, and gives no cursor")
            if paging.cursor_column is not None and facts.rows:
                raise BadResponse(f"paging.type cursor: the last row of a page has no {paging.cursor_column}")
            return
        if str(cursor) in seen:
            raise BadResponse(f"paging.type cursor: the cursor {str(cursor)[:80]!r} came a second time")
        seen.add(str(cursor))
        facts = yield (Turn({**size_of(paging), paging.cursor_param: cursor}),)


def _cursor(paging: Paging, facts: Facts) -> str | int | float | None:
    """Raises BadResponse where there is something that no parameter can carry: it may well be the way on."""
    if paging.cursor_path is not None:
        value = facts.value(paging.cursor_path)
        if value is False or value in _NOTHING:
            return None
        if value is True or not isinstance(value, str | int | float):
            raise _misplaced("cursor", "cursor", paging.cursor_path, value)
        return value
    if paging.cursor_header is not None:
        return facts.header(paging.cursor_header)
    if paging.cursor_column is not None:
        return facts.last(paging.cursor_column)
    return None


_NOTHING: tuple[object, ...] = (None, "", [], {})  # ways to write that there is none


def way_on(paging: Paging, facts: Facts) -> object:
    """What a page says of the next one; None for nothing, and where pages are numbered."""
    match paging.type:
        case "cursor":
            return _cursor(paging, facts)
        case "next_url":
            return facts.value(paging.path or "next")
        case "link_header":
            return facts.links().get("next")
        case _:
            return None


def _by_next_url(paging: Paging) -> Pager:
    path = paging.path or "next"
    facts = yield (Turn(size_of(paging)),)
    yield from follow_links(facts, "next_url", lambda page: _address(page.value(path), path))


def _address(value: Any, path: str) -> str | None:
    if value is False or value in _NOTHING:
        return None
    if isinstance(value, str):
        return value
    raise _misplaced("next_url", "address", path, value)


def _misplaced(kind: str, wanted: str, path: str, value: Any) -> BadResponse:
    return BadResponse(f"paging.type {kind}: what is at {path} is no {wanted}: {str(value)[:80]}")
