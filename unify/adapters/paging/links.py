"""Pages by links: the ``Link`` header of RFC 8288, addresses in bodies and in headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from unify.adapters.paging.base import (
    MAX_BATCH_PAGES,
    MAX_EMPTY_PAGES,
    PageBatch,
    PageInfo,
    PageRequest,
    Paginator,
    PagingState,
    page_size_params,
)
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse
from unify.text import excerpt

_MAX_PAGE_DIGITS = 12
_PAGE_RELS = frozenset(["first", "prev", "previous", "next", "last"])  # other rels say nothing about pages
_NO_RESULTS = 'results="false"'  # Sentry sends a next link on every page and marks one that leads nowhere
_INNER_SUFFIXES = (".local", ".internal", ".localdomain", ".lan", ".svc", ".cluster.local", ".test")
_LINK_TARGET = re.compile(r"[^<]*+<([^>]*+)>")
_MAX_LINK_HEADER_CHARS = 65_536  # http.client allows as much in one line of the headers


def paginate_by_link_header(paging: Paging, paging_state: PagingState, sequential: bool) -> Paginator:
    page_info = yield (PageRequest(page_size_params(paging)),)
    last_requested = 0
    while not sequential and (numbered := _expand_numbered_links(page_info.links(), last_requested)):
        last_requested, page_requests = numbered
        page_info = yield page_requests
    yield from follow_links(page_info, "link_header", paging_state, lambda page: page.links().get("next"))


def has_page_links(links: Mapping[str, str]) -> bool:
    """Whether the links are about pages: then a page without a next link is the last."""
    return not _PAGE_RELS.isdisjoint(links)


def _expand_numbered_links(links: Mapping[str, str], last_requested: int) -> tuple[int, PageBatch] | None:
    """The pages from ``next`` to ``last`` if the two links differ in one page number only.

    ``last_requested`` is the number of the last page requested, 0 if unknown; the first item of the result is
    the number of the last page in the batch.
    """
    if "next" not in links or "last" not in links:
        return None
    following, last = urlsplit(links["next"]), urlsplit(links["last"])
    next_query, last_query = parse_qsl(following.query, True), parse_qsl(last.query, True)
    differing = [(a, b) for a, b in zip(next_query, last_query, strict=False) if a != b]
    if following[:3] != last[:3] or len(next_query) != len(last_query) or len(differing) != 1:
        return None
    (name, low), (other, high) = differing[0]
    expected = (str(last_requested + 1),) if last_requested else ("1", "2")
    if name != other or "page" not in name.lower() or low not in expected or not _is_number(high):
        return None

    def page_request(number: int) -> PageRequest:
        query = urlencode([(key, number if key == name else value) for key, value in next_query])
        return PageRequest(url=urlunsplit(following._replace(query=query)))

    numbers = range(int(low), int(high) + 1)[:MAX_BATCH_PAGES]
    if not numbers:
        return None
    return numbers[-1], PageBatch.of(map(page_request, numbers), int(high) + 1 - int(low))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _MAX_PAGE_DIGITS


def follow_links(
    page_info: PageInfo,
    paging_type: str,
    paging_state: PagingState,
    get_link: Callable[[PageInfo], str | None],
    *,
    until_empty: bool = False,
) -> Paginator:
    """Follow link after link. A link that repeats ends the pages, or is an error: see ``RepeatCheck``."""
    repeats = RepeatCheck(paging_type, "link to the next page", paging_state)
    while link := get_link(page_info):
        url = page_info.absolute_url(link)
        if (until_empty and not page_info.rows) or repeats.is_end(url, page_info):
            return
        page_info = yield (PageRequest(url=url),)


class RepeatCheck:
    """Decides what a cursor or link that comes again means, and bounds empty pages.

    Without rows it is the end. With new rows it is a scroll, whose token stays the same on every page. With
    rows that came before it is the end if the table has a key, which merges them; else an error.
    """

    def __init__(self, paging_type: str, noun: str, paging_state: PagingState) -> None:
        self._paging_type = paging_type
        self._noun = noun
        self._paging_state = paging_state
        self._tokens: set[str] = set()
        self._previous_rows: frozenset[bytes] = frozenset()
        self._previous_token = ""
        self._page_count = 0
        self._empty_pages = 0

    def is_end(self, token: str, page_info: PageInfo) -> bool:
        """Whether the pages end here, although the page names ``token`` as the way to the next.

        Raises:
            BadResponse: the token or the rows repeat, or too many pages in a row are empty.
        """
        self._page_count += 1
        rows = frozenset(page_info.rows)
        new_rows = not rows <= self._previous_rows and self._noun == "cursor"
        whole_page_repeats = bool(rows) and rows == self._previous_rows
        repeats, constant = token in self._tokens, token == self._previous_token
        self._empty_pages = 0 if page_info.row_count else self._empty_pages + 1
        self._tokens.add(token)
        self._previous_rows, self._previous_token = rows or self._previous_rows, token
        if repeats and not rows:
            return True
        if repeats and not (constant and new_rows):
            if constant and self._paging_state.has_key and not (whole_page_repeats and self._is_guess()):
                return True
            raise BadResponse(
                f"paging.type {self._paging_type}: the {self._noun} {_excerpt(token)} came a second time, "
                f"with rows that were already read{self._advice()}"
            )
        if self._empty_pages > MAX_EMPTY_PAGES:
            raise BadResponse(
                f"paging.type {self._paging_type}: {self._empty_pages} pages in a row have no rows, and each "
                f"has another {self._noun}"
            )
        return False

    def _advice(self) -> str:
        if self._page_count == 2 or self._noun != "cursor":
            return ""
        return "; if another member says where the end is, set paging.more_path or paging.last_path"

    def _is_guess(self) -> bool:
        """A second page equal to the first: the API may not know the parameter that carries the cursor."""
        return self._page_count == 2 and self._noun == "cursor" and not self._paging_state.knows_param


def _excerpt(token: str) -> str:
    return repr(token[:80])


def resolve_page_link(url: str, link: str, keep_address: bool, is_allowed: Callable[[str], bool]) -> str:
    """The address a link of the page at ``url`` leads to.

    Only the query of the link is taken, and the address of the request kept, if ``keep_address`` is set, and
    for links that an API behind a gateway or proxy writes: those whose path is the end of the request's path,
    and those to the same path on a host that is not reachable from outside. ``is_allowed`` tells whether
    requests may go to an address.
    """
    target = resolve_link(url, link)
    current, following = urlsplit(url), urlsplit(target)
    same_origin = current[:2] == following[:2]
    below_gateway = (
        same_origin
        and current.path != following.path
        and len(following.path) > 1
        and current.path.endswith(following.path)
    )
    inner_host = (
        not is_allowed(target)
        and current.path.endswith(following.path)
        and (following.hostname == current.hostname or _is_inner_host(following.hostname or ""))
    )
    if keep_address or below_gateway or inner_host:
        return urlunsplit(current._replace(query=following.query, fragment=""))
    return target


def resolve_link(url: str, link: str) -> str:
    """The URL of ``link`` in a response from ``url``. Raises BadResponse for a link that is not a URL."""
    try:
        return urljoin(url, link.strip())
    except ValueError as error:
        raise BadResponse(f"the link {excerpt(link, 80)!r} is not an address ({error})") from error


def _is_inner_host(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(_INNER_SUFFIXES)


def parse_link_header(header: str) -> dict[str, str]:
    """Addresses of a ``Link`` header by their ``rel``: RFC 8288, commas and quotes inside included.

    A link with an ``anchor`` is about another resource and is left out.

    Raises:
        BadResponse: the header is too long.
    """
    if len(header) > _MAX_LINK_HEADER_CHARS:
        raise BadResponse(
            f"the Link headers have {len(header):,} characters, of {_MAX_LINK_HEADER_CHARS:,} at most"
        )
    links: dict[str, str] = {}
    position = 0
    while found := _LINK_TARGET.match(header, position):
        end = _link_params_end(header, found.end())
        params, position = header[found.end() : end], end + 1
        if _NO_RESULTS in params.replace(" ", "").lower():
            continue
        named = dict(reversed(list(_iter_params(params))))  # of a parameter written twice the first counts
        if "anchor" not in named:
            for rel in named.get("rel", "").lower().split():
                links.setdefault(rel, found[1].strip())
    return links


def _link_params_end(header: str, start: int) -> int:
    """Position of the comma that ends the parameters from ``start`` on; commas within quotes do not."""
    quote = before = last = ""  # the characters before, without and with spaces
    for index in range(start, len(header)):
        char = header[index]
        if quote:
            if char == quote and last != "\\":
                quote = ""
        elif char == '"' or (char == "'" and before == "="):
            quote = char
        elif char == ",":
            return index
        last = char
        if not char.isspace():
            before = char
    return len(header)


_LINK_PARAM = re.compile(r""";\s*([\w*!#$%&+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^;,]*)""")


def _iter_params(params: str) -> list[tuple[str, str]]:
    return [(name.lower(), value.strip().strip("\"'")) for name, value in _LINK_PARAM.findall(f";{params}")]
