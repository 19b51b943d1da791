"""Pages by links: the ``Link`` header of RFC 8288, and addresses in bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from unify.adapters.paging.base import (
    MAX_BATCH_PAGES,
    PageBatch,
    PageInfo,
    PageRequest,
    Paginator,
    page_size_params,
)
from unify.adapters.spec.model import Paging
from unify.errors import BadResponse

_MAX_PAGE_DIGITS = 12  # of a page's number
_PAGE_RELS = frozenset(["first", "prev", "previous", "next", "last"])  # any other rel is about something else
_NO_RESULTS = 'results="false"'  # Sentry has a next link on every page, and says so of one that leads nowhere


def paginate_by_link_header(paging: Paging, sequential: bool) -> Paginator:
    facts = yield (PageRequest(page_size_params(paging)),)
    asked = 0
    while not sequential and (numbered := _expand_numbered_links(facts.links(), asked)):
        asked, turns = numbered
        facts = yield turns
    yield from follow_links(facts, "link_header", lambda page: page.links().get("next"))


def has_page_links(links: Mapping[str, str]) -> bool:
    """Whether these links say where the pages are: then one without ``next`` is the last."""
    return not _PAGE_RELS.isdisjoint(links)


def _expand_numbered_links(links: Mapping[str, str], last_requested: int) -> tuple[int, PageBatch] | None:
    """The pages from ``next`` to ``last`` where the two differ in one page number; else nothing.

    ``asked``  number of the last page there was, 0 where nobody knows; given is that of the last of these.
    """
    if "next" not in links or "last" not in links:
        return None
    following, last = urlsplit(links["next"]), urlsplit(links["last"])
    here, there = parse_qsl(following.query, True), parse_qsl(last.query, True)
    differing = [(a, b) for a, b in zip(here, there, strict=False) if a != b]
    if following[:3] != last[:3] or len(here) != len(there) or len(differing) != 1:
        return None
    (name, low), (other, high) = differing[0]
    begins = (str(last_requested + 1),) if last_requested else ("1", "2")
    if name != other or "page" not in name.lower() or low not in begins or not _is_number(high):
        return None

    def turn(number: int) -> PageRequest:
        query = urlencode([(key, number if key == name else value) for key, value in here])
        return PageRequest(url=urlunsplit(following._replace(query=query)))

    numbers = range(int(low), int(high) + 1)[:MAX_BATCH_PAGES]
    if not numbers:
        return None
    return numbers[-1], PageBatch.of(map(turn, numbers), int(high) + 1 - int(low))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _MAX_PAGE_DIGITS


def follow_links(
    page_info: PageInfo, paging_type: str, get_link: Callable[[PageInfo], str | None]
) -> Paginator:
    """Go from link to link. Raises BadResponse for one that was there before."""
    seen: set[str] = set()
    while link := get_link(page_info):
        url = page_info.absolute_url(link)
        if url in seen:
            raise BadResponse(f"paging.type {paging_type}: a link to the next page came a second time")
        seen.add(url)
        page_info = yield (PageRequest(url=url),)


def parse_link_header(header: str) -> dict[str, str]:
    """Addresses of a ``Link`` header by their ``rel``; RFC 8288, with commas and quotes inside."""
    links: dict[str, str] = {}
    rest = header
    while "<" in rest:
        _, _, rest = rest.partition("<")
        url, closed, rest = rest.partition(">")
        params, _, after = _split_link_params(rest)
        rest = after
        if not closed:
            break
        if _NO_RESULTS not in params.replace(" ", "").lower():
            for rel in _parse_rels(params):
                links.setdefault(rel, url.strip())
    return links


def _split_link_params(text: str) -> tuple[str, str, str]:
    """Parameters up to the comma that ends them; a comma within quotes does not."""
    quoted = False
    for index, char in enumerate(text):
        if char == '"' and not (quoted and text[index - 1] == "\\"):
            quoted = not quoted
        elif char == "," and not quoted:
            return text[:index], ",", text[index + 1 :]
    return text, "", ""


def _parse_rels(params: str) -> list[str]:
    for param in params.split(";"):
        name, _, value = param.partition("=")
        if name.strip().lower() == "rel":
            return value.strip().strip('"').lower().split()
    return []
