"""Finds the pagination in the names and values of query parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from unify.importers.model import ImportedPaging, Json

PAGE_PARAMS = ("page", "page_number", "page_num", "page_no", "page_index", "current_page", "page[number]")
OFFSET_PARAMS = ("offset", "skip", "start", "start_at", "start_index", "from_index", "$skip", "page[offset]")
SIZE_PARAMS = (
    *("per_page", "page_size", "limit", "max_results", "results_per_page", "page_limit", "records_per_page"),
    *("page[size]", "page[limit]", "$top", "items_per_page", "hits_per_page", "page_count", "count", "size"),
)
CURSOR_PARAMS = (
    *("cursor", "page_token", "next_token", "starting_after", "after", "next_cursor", "continuation_token"),
    *("marker", "continuation", "scroll_id", "bookmark", "next_page_token", "page[cursor]", "page[after]"),
)
_ALL = frozenset([*PAGE_PARAMS, *OFFSET_PARAMS, *SIZE_PARAMS, *CURSOR_PARAMS])
DEFAULT_SIZE = 100
MAX_SIZE = 1_000


class PagingParams(Struct, frozen=True):
    """The parameters of an API that say which page is wanted: their names as the API writes them."""

    page: str | None = None
    offset: str | None = None
    cursor: str | None = None
    size: str | None = None

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for name in (self.page, self.offset, self.cursor, self.size) if name)


def _fold(name: str) -> str:
    """``pageSize``, ``page-size`` and ``PageSize`` as ``page_size``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).replace("-", "_").replace(".", "_").lower()


def find_paging_params(names: Iterable[str]) -> PagingParams:
    """Find the parameters of pages by their names. A size alone says nothing about pages."""
    folded: dict[str, str] = {}
    for name in names:
        key = _fold(name)
        folded.setdefault(key if key in _ALL else key.replace("_", ""), name)
        if key.replace("_", "") == "perpage":
            folded.setdefault("per_page", name)
    if "start" in folded and not any(each in folded for each in SIZE_PARAMS):
        del folded["start"]  # the start of a period, more often than of a page

    def first_of(known: Iterable[str]) -> str | None:
        return next((folded[each] for each in known if each in folded), None)

    found = {"page": PAGE_PARAMS, "offset": OFFSET_PARAMS, "cursor": CURSOR_PARAMS, "size": SIZE_PARAMS}
    return PagingParams(**{kind: first_of(known) for kind, known in found.items()})


def paging_of_params(
    found: PagingParams, size: int | None = None, first: int | None = None
) -> ImportedPaging | None:
    """Build the paging of the parameters; None if they name no page.

    A cursor parameter alone does not say where the next cursor is: the first response does.
    """
    if found.page is not None and found.cursor is None:
        paging = ImportedPaging("page", page_param=found.page, first=0 if first == 0 else None)
    elif found.offset is not None and found.cursor is None:
        paging = ImportedPaging("offset", offset_param=found.offset, first=1 if first == 1 else None)
    else:
        paging = ImportedPaging("auto")
    sized = with_size(paging, found.size, size)
    return None if sized == ImportedPaging("auto") else sized


def with_size(paging: ImportedPaging, param: str | None, size: int | None) -> ImportedPaging:
    """The paging with the parameter of the page size, if both are known."""
    return replace(paging, size_param=param, size=size) if param and size else paging


def split_paging(params: Mapping[str, Json]) -> tuple[ImportedPaging | None, dict[str, Json]]:
    """Take the parameters of pages out of those of a recorded request."""
    found = find_paging_params(params)
    numbers = {name: _whole_number(params[name]) for name in found.names}
    if found.page is not None and numbers[found.page] is None:
        found = PagingParams(None, found.offset, found.cursor, found.size)
    if found.offset is not None and numbers[found.offset] is None:
        found = PagingParams(found.page, None, found.cursor, found.size)
    if found.page or found.offset:
        found = PagingParams(found.page, None if found.page else found.offset, None, found.size)
    if not (found.page or found.offset or found.cursor):
        return None, dict(params)
    size = numbers.get(found.size or "")
    if found.size is not None and not size:
        found = PagingParams(found.page, found.offset, found.cursor, None)
    at_first = numbers.get(found.page or "") if found.page else None
    taken = found.names
    remaining = {name: value for name, value in params.items() if name not in taken}
    return paging_of_params(found, size, at_first), remaining


def _whole_number(value: Json) -> int | None:
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 10 else None
