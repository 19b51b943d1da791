"""Pagination from recorded requests: two that differ in one parameter, and the response before the second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from urllib.parse import urlsplit

from msgspec import Struct

from unify.importers.common.query_paging import find_paging_params, split_paging, with_size
from unify.importers.model import ImportedPaging, Json

_MAX_DEPTH = 6


class RecordedPage(Struct, frozen=True):
    """A request of a page: its parameters and address, its response and the number of rows in it."""

    params: Mapping[str, str]
    response: Json
    url: str
    rows: int


def find_recorded_paging(
    pages: Sequence[RecordedPage], params: Mapping[str, Json]
) -> tuple[ImportedPaging | None, dict[str, Json], list[str]]:
    """The paging of a table, the parameters of its first request, and those that vary for another reason.

    None: found out when the table is read.
    """
    for first, second in pairwise(pages):
        names = _differing(first, second)
        if len(names) != 1:
            continue
        paging = _paging_between(first, second, names[0])
        if paging is not None:
            taken = {names[0], paging.size_param or ""}
            remaining = {name: value for name, value in params.items() if name not in taken}
            return paging, remaining, _varying(pages, remaining)
    paging, remaining = split_paging(params)
    return paging, remaining, _varying(pages, remaining)


def _differing(first: RecordedPage, second: RecordedPage) -> list[str]:
    names = dict.fromkeys((*first.params, *second.params))
    return [name for name in names if first.params.get(name) != second.params.get(name)]


def _varying(pages: Sequence[RecordedPage], params: Mapping[str, Json]) -> list[str]:
    return [name for name in params if len({page.params.get(name) for page in pages}) > 1]


def _paging_between(first: RecordedPage, second: RecordedPage, name: str) -> ImportedPaging | None:
    """How ``second`` follows from ``first``: a cursor or address in the response, a page or an offset."""
    value, before = second.params.get(name), first.params.get(name)
    if value is None:
        return None
    found = find_paging_params(first.params)
    size = _number(first.params.get(found.size or "")) if found.size != name else None
    for path, text in _scalars(first.response, (), 0):
        if text.startswith(("http://", "https://", "/")) and _same_address(text, second.url):
            return with_size(ImportedPaging("next_url", path=path), None, None)
        if text == value and len(value) > 3 and not _is_step(before, value, first.rows):
            paging = ImportedPaging("cursor", cursor_param=name, cursor_path=path)
            return with_size(paging, found.size, size)
    start, number = _number(before) if before is not None else None, _number(value)
    if number is None:
        return None
    if number - (start or 0) == first.rows and first.rows > 1:
        is_one = start == 1
        return with_size(
            ImportedPaging("offset", offset_param=name, first=1 if is_one else None), found.size, size
        )
    if start is not None and number - start == 1:
        return with_size(
            ImportedPaging("page", page_param=name, first=0 if start == 0 else None), found.size, size
        )
    if start is None and number in (1, 2):
        first_number = 0 if number == 1 else None
        paging = ImportedPaging("page", page_param=name, first=first_number, first_bare=True)
        return with_size(paging, found.size, size)
    return None


def _is_step(before: str | None, value: str, rows: int) -> bool:
    """Whether a value is a number that follows from the one before: a page or an offset."""
    start, number = _number(before) if before is not None else 0, _number(value)
    return start is not None and number is not None and number - start in (1, rows)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None


def _same_address(link: str, url: str) -> bool:
    one, two = urlsplit(link), urlsplit(url)
    return (
        one.path == two.path and one.query == two.query and one.netloc in ("", two.netloc) and bool(one.query)
    )


def _scalars(value: Json, path: tuple[str, ...], depth: int) -> Iterator[tuple[str, str]]:
    """The scalars outside lists, with their dotted paths."""
    if not isinstance(value, Mapping) or depth > _MAX_DEPTH:
        return
    for name, item in value.items():
        if not name.strip() or any(char in name for char in " {}"):
            continue
        if isinstance(item, str | int) and not isinstance(item, bool):
            yield ".".join((*path, name)), str(item)
        else:
            yield from _scalars(item, (*path, name), depth + 1)
