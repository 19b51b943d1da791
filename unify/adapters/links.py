"""Pages by links: the ``Link`` header of RFC 8288, and addresses in bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from unify.adapters.spec import Paging
from unify.adapters.turns import STRETCH, Facts, Pager, Stretch, Turn, size_of
from unify.errors import BadResponse

_MOST_DIGITS = 12  # of a page's number
_OF_PAGES = frozenset(["first", "prev", "previous", "next", "last"])  # any other rel is about something else
_NO_RESULTS = 'results="false"'  # Sentry has a next link on every page, and says so of one that leads nowhere


def by_link(paging: Paging, alone: bool) -> Pager:
    facts = yield (Turn(size_of(paging)),)
    asked = 0
    while not alone and (numbered := _numbered_links(facts.links(), asked)):
        asked, turns = numbered
        facts = yield turns
    yield from follow_links(facts, "link_header", lambda page: page.links().get("next"))


def tell_of_pages(links: Mapping[str, str]) -> bool:
    """Whether these links say where the pages are: then one without ``next`` is the last."""
    return not _OF_PAGES.isdisjoint(links)


def _numbered_links(links: Mapping[str, str], asked: int) -> tuple[int, Stretch] | None:
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
    begins = (str(asked + 1),) if asked else ("1", "2")
    if name != other or "page" not in name.lower() or low not in begins or not _is_number(high):
        return None

    def turn(number: int) -> Turn:
        query = urlencode([(key, number if key == name else value) for key, value in here])
        return Turn(url=urlunsplit(following._replace(query=query)))

    numbers = range(int(low), int(high) + 1)[:STRETCH]
    if not numbers:
        return None
    return numbers[-1], Stretch.of(map(turn, numbers), int(high) + 1 - int(low))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS


def follow_links(facts: Facts, kind: str, link_of: Callable[[Facts], str | None]) -> Pager:
    """Go from link to link. Raises BadResponse for one that was there before."""
    seen: set[str] = set()
    while link := link_of(facts):
        url = facts.absolute(link)
        if url in seen:
            raise BadResponse(f"paging.type {kind}: a link to the next page came a second time")
        seen.add(url)
        facts = yield (Turn(url=url),)


def parse_links(header: str) -> dict[str, str]:
    """Addresses of a ``Link`` header by their ``rel``; RFC 8288, with commas and quotes inside."""
    links: dict[str, str] = {}
    rest = header
    while "<" in rest:
        _, _, rest = rest.partition("<")
        url, closed, rest = rest.partition(">")
        params, _, after = _until_next_link(rest)
        rest = after
        if not closed:
            break
        if _NO_RESULTS not in params.replace(" ", "").lower():
            for rel in _rels(params):
                links.setdefault(rel, url.strip())
    return links


def _until_next_link(text: str) -> tuple[str, str, str]:
    """Parameters up to the comma that ends them; a comma within quotes does not."""
    quoted = False
    for index, char in enumerate(text):
        if char == '"' and not (quoted and text[index - 1] == "\\"):
            quoted = not quoted
        elif char == "," and not quoted:
            return text[:index], ",", text[index + 1 :]
    return text, "", ""


def _rels(params: str) -> list[str]:
    for param in params.split(";"):
        name, _, value = param.partition("=")
        if name.strip().lower() == "rel":
            return value.strip().strip('"').lower().split()
    return []
