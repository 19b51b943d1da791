"""The contract of pagination: page requests go out, information about the page that came goes in."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from unify.adapters.spec.paging import Paging

ALL_MEMBERS = "*"  # as cursor_param: each member of the object at cursor_path is a parameter
MAX_BATCH_PAGES = 1000  # requested in parallel before the end is determined again: a total may be far off
MAX_EMPTY_PAGES = 40  # in a row; filters that run after paging leave a few empty pages, never this many


class PageRequest(Struct, frozen=True):
    """Paging values of one request by parameter name, or its whole address.

    ``end_statuses``  error statuses that mean that there is no such page.
    ``is_probe``      the page is inspected and its rows are not delivered.
    ``error_advice``  follows the message of an error of this request.
    """

    params: Mapping[str, str | int | float] = field(default_factory=dict)
    url: str | None = None
    end_statuses: tuple[int, ...] = ()
    is_probe: bool = False
    error_advice: str = ""


class PagingStart(Struct, frozen=True):
    """The page that pagination starts with, if it is not the first.

    ``number``          counts from 0.
    ``first_row_count`` rows of the first page: numbered pages are counted by it.
    """

    page_request: PageRequest
    number: int
    first_row_count: int


class Member(Struct, frozen=True):
    """One scalar: its dotted path and the names on the way to it.

    ``detour``  the names after the way to the rows was left; empty for members of an object on that way.
    """

    path: str
    names: tuple[str, ...]
    value: Any
    detour: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.names[-1]

    @property
    def parent(self) -> str:
        return self.names[-2] if len(self.names) > 1 else ""


class PageInfo(Protocol):
    """The parts of a page that a paginator can read."""

    @property
    def rows(self) -> Sequence[bytes]: ...
    @property
    def row_count(self) -> int: ...  # items of the outermost list on the way to the rows
    @property
    def rows_path(self) -> str: ...
    @property
    def is_end(self) -> bool: ...  # the API has no such page, so the pages end before it
    @property
    def is_partial(self) -> bool: ...  # status 206: the response is a part of what was requested
    @property
    def body_bytes(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def outside(self) -> Sequence[Member]: ...  # the scalar members of the body outside the rows
    def value(self, path: str) -> Any: ...
    def links(self) -> Mapping[str, str]: ...
    def last_value(self, column: str) -> str | None: ...
    def absolute_url(self, link: str) -> str: ...


class PageBatch(tuple[PageRequest, ...]):
    """Requests that may run in parallel; ``pages_left`` counts the pages from the first of them on."""

    pages_left: int

    @classmethod
    def of(cls, page_requests: Iterable[PageRequest], pages_left: int) -> PageBatch:
        batch = cls(page_requests)
        batch.pages_left = pages_left
        return batch


def known_page_count(page_requests: Sequence[PageRequest]) -> int:
    """The number of pages known to be left, these requests included."""
    return page_requests.pages_left if isinstance(page_requests, PageBatch) else len(page_requests)


Paginator = Generator[Sequence[PageRequest], PageInfo, None]


class PaginatorFactory(Protocol):
    """Makes the paginator of one table; see ``paginators.pager``."""

    def __call__(
        self, paging: Paging, paging_state: PagingState | None = None, *, sequential: bool = False
    ) -> Paginator: ...


class RequestTraits(Struct, frozen=True):
    """The parts of a table's requests that detection needs: constant parameters, GraphQL variables.

    ``sends_body``  the request has a JSON body or a form, which takes paging values too.
    ``rows_name``   the name of the table.
    """

    sends_body: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    graphql_variables: tuple[str, ...] = ()
    rows_name: str = ""


class PagingState:
    """Properties of the server that the pages of one table have shown; shared by all scopes of the table.

    ``honours_size``  a page had exactly the size requested, so that a page with fewer rows is a short one.
    ``has_short_pages``  a short page was followed by rows: only empty pages are the end.
    ``zero_is_end``   a next cursor of 0 means that there is none.
    ``knows_param``   the server reads the paging parameter although its pages look alike.
    ``detected``      the result of ``paging: auto``; type none: nothing indicates more pages.
    ``has_key``       rows that come twice are merged by the table's key.
    ``seen_paths``    keys of ``paging`` whose path or header occurred in a response.
    ``total_path``    where ``paging: auto`` found the number of all rows; None if it is unknown.
    ``notes``         what a user should know of how the pages ended.
    """

    def __init__(self, *, has_key: bool = False, request: RequestTraits | None = None) -> None:
        self.honours_size = False
        self.has_short_pages = False
        self.zero_is_end = False
        self.knows_param = False
        self.detected: Paging | None = None
        self.has_key = has_key
        self.request = request or RequestTraits()
        self.seen_paths: set[str] = set()
        self.total_path: str | None = None
        self.notes: dict[str, None] = {}

    def note_short_pages(self) -> None:
        self.has_short_pages = True
        self.notes[
            "pages before the last one have fewer rows than paging.size; reading ends at empty pages"
        ] = None


def page_size_params(paging: Paging) -> dict[str, str | int | float]:
    """The requested page size as a paging value; empty if the API's default applies."""
    if paging.size_param is None or paging.size is None:
        return {}
    return {paging.size_param: paging.size}


_FALSE_TEXTS = ("", "0", "false", "no", "n", "null", "none")


def is_truthy(flag: Any) -> bool:
    """Whether a flag is set; XML and some JSON write flags as text."""
    if isinstance(flag, str):
        return flag.strip().lower() not in _FALSE_TEXTS
    return bool(flag)


def says_more(paging: Paging, page_info: PageInfo, paging_state: PagingState) -> bool | None:
    """Whether the page's flag announces more pages.

    None if the spec names no flag, or no page has it: its path may be wrong. A flag that other pages have
    and this one leaves out is false.
    """
    if paging.more_path is not None and "more_path" in paging_state.seen_paths:
        return is_truthy(page_info.value(paging.more_path))
    if paging.last_path is not None and "last_path" in paging_state.seen_paths:
        return not is_truthy(page_info.value(paging.last_path))
    return None


def parse_integer(value: Any) -> int | None:
    """A whole number, also as text (``"120"``, ``120.0``); None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = int(value)
        return number if not isinstance(value, float) or number == value else None
    except (TypeError, ValueError, OverflowError):
        return None


_GROUPED_DIGITS = re.compile(r"\s*\d{1,3}(?:[,. '\u00a0\u202f]\d{3})+\s*")


def parse_count(value: Any) -> int | None:
    """A number of rows or pages; also a text with separators between thousands (``"1,045"``)."""
    if isinstance(value, str) and _GROUPED_DIGITS.fullmatch(value):
        return parse_integer(re.sub(r"\D", "", value))
    return parse_integer(value)


def total_rows(paging: Paging, page_info: PageInfo) -> int | None:
    """The total number of rows the API reports, in the body or a header (``Content-Range: 0-24/319``)."""
    if paging.total_path is not None:
        return parse_count(page_info.value(paging.total_path))
    if paging.total_header is not None:
        text = page_info.headers.get(paging.total_header) or ""
        return parse_count(text.rpartition("/")[2].strip())
    return None


# The keys of ``paging`` that name a member of the body, or a header.
PATH_KEYS = ("path", "cursor_path", "more_path", "last_path", "total_path", "pages_path")
HEADER_KEYS = ("header", "cursor_header", "total_header")


def record_seen_paths(paging: Paging, page_info: PageInfo, paging_state: PagingState) -> None:
    """Note which paths of ``paging`` occur in a response."""
    for key in PATH_KEYS:
        path = getattr(paging, key)
        if path is not None and key not in paging_state.seen_paths and page_info.value(path) is not None:
            paging_state.seen_paths.add(key)
    for key in HEADER_KEYS:
        name = getattr(paging, key)
        if name is not None and key not in paging_state.seen_paths and page_info.headers.get(name):
            paging_state.seen_paths.add(key)


def missing_paths(paging: Paging, paging_state: PagingState) -> list[str]:
    """``paging.cursor_path meta.nxt``: what the spec names and no response has."""
    return [
        f"paging.{key} {name}"
        for key in (*PATH_KEYS, *HEADER_KEYS)
        if (name := getattr(paging, key)) is not None and key not in paging_state.seen_paths
    ]
