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

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from unify.adapters.spec import Paging
from unify.errors import BadResponse


@dataclass(frozen=True, slots=True)
class Turn:
    """What is special about one request: paging values by name, or a whole address."""

    values: Mapping[str, str | int] = field(default_factory=dict)
    url: str | None = None


class Facts(Protocol):
    """What a pager may ask about a page."""

    @property
    def rows(self) -> Sequence[bytes]: ...
    def value(self, path: str) -> Any: ...
    def header(self, name: str) -> str | None: ...
    def links(self) -> Mapping[str, str]: ...
    def last(self, column: str) -> str | None: ...
    def absolute(self, link: str) -> str: ...


Pager = Generator[Sequence[Turn], Facts, None]

_NO_RESULTS = 'results="false"'  # Sentry has a next link on every page, and says so of one that leads nowhere


class Evidence:
    """What the pages of one table have shown of their server; shared by all its scopes.

    ``honours`` is set once a page had exactly the size asked for: from then on a short page is a last page.
    """

    def __init__(self) -> None:
        self.honours = False


def pager(paging: Paging, evidence: Evidence | None = None, *, alone: bool = False) -> Pager:
    """The pager for ``paging``. ``alone``: one page after another, even where all could be asked for."""
    known = evidence or Evidence()
    match paging.type:
        case "none":
            found = _single()
        case "page":
            found = _numbered(_PageNumbers(paging), known, alone)
        case "offset":
            found = _numbered(_Offsets(paging), known, alone)
        case "cursor":
            found = _by_cursor(paging)
        case "link_header":
            found = _by_link(paging, alone)
        case "next_url":
            found = _by_next_url(paging)
        case "auto":
            from unify.adapters.discovery import discovered

            found = discovered(paging, known, alone)
    return _bounded(found, paging.max_pages)


def _size(paging: Paging) -> dict[str, str | int]:
    if paging.size_param is None or paging.size is None:
        return {}
    return {paging.size_param: paging.size}


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


class _PageNumbers:
    """Positions of ``paging: {type: page}``: page after page."""

    kind = "page"

    def __init__(self, paging: Paging) -> None:
        self.paging = paging
        self.start = paging.first

    def turn(self, position: int) -> Turn:
        return Turn({**_size(self.paging), self.paging.page_param: position})

    def after(self, position: int, _rows: int, _honours: bool) -> int:
        return position + 1

    def last(self, facts: Facts, step: int) -> int | None:
        """The number of the last page, where the API tells; ``step`` is how many rows the first one had."""
        paging = self.paging
        if paging.pages_path is not None:
            pages = _integer(facts.value(paging.pages_path))
            return None if pages is None else pages + paging.first - 1
        if paging.total_path is not None:
            total = _integer(facts.value(paging.total_path))
            return None if total is None or not step else paging.first + (total - 1) // step
        link = facts.links().get("last")
        return (
            None if link is None else _integer(dict(parse_qsl(urlsplit(link).query)).get(paging.page_param))
        )

    def between(self, position: int, last: int, _step: int) -> range:
        return range(position + 1, last + 1)


class _Offsets:
    """Positions of ``paging: {type: offset}``: rows already had."""

    kind = "offset"

    def __init__(self, paging: Paging) -> None:
        self.paging = paging
        self.start = 0

    def turn(self, position: int) -> Turn:
        return Turn({**_size(self.paging), self.paging.offset_param: position})

    def after(self, position: int, rows: int, honours: bool) -> int:
        """Where a server is known to honour the size, it counts by it; else by what it sent."""
        size = self.paging.size
        return position + (size if honours and size else rows)

    def last(self, facts: Facts, step: int) -> int | None:
        if self.paging.total_path is None or not step:
            return None
        total = _integer(facts.value(self.paging.total_path))
        return None if total is None else max(total - 1, 0) // step * step

    def between(self, position: int, last: int, step: int) -> range:
        return range(position + step, last + 1, step)


def _numbered(positions: _PageNumbers | _Offsets, evidence: Evidence, alone: bool) -> Pager:
    """Pages that can be asked for by a number: one by one, or side by side once the end is known."""
    paging, position, sameness = positions.paging, positions.start, _Sameness(positions.kind)
    facts = yield (positions.turn(position),)
    step = len(facts.rows)
    while True:
        last = positions.last(facts, step)
        if _ended(paging, facts, evidence, last, position):
            return
        if last is not None and last > position and not alone:
            numbers = positions.between(position, last, step)
            position = numbers[-1]
            facts = yield tuple(map(positions.turn, numbers))
            continue
        position = positions.after(position, len(facts.rows), evidence.honours)
        before = facts.rows
        facts = yield (positions.turn(position),)
        sameness.see(before, facts.rows)


class _Sameness:
    """Counts pages that bring nothing new. Two in a row may be chance, three are a server that never ends."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._repeats = 0

    def see(self, before: Sequence[bytes], now: Sequence[bytes]) -> None:
        self._repeats = self._repeats + 1 if before == now else 0
        if self._repeats < 2:
            return
        if now:
            raise BadResponse(
                f"paging.type {self._kind}: three pages with the same rows; "
                "the API does not seem to know the parameter"
            )
        raise BadResponse(
            f"paging.type {self._kind}: the API says there is more, and sends three empty pages"
        )


def _ended(paging: Paging, facts: Facts, evidence: Evidence, last: int | None, position: int) -> bool:
    """Was that the last page? What the API says counts more than what the number of rows suggests."""
    rows = len(facts.rows)
    if paging.size is not None and paging.size_param is not None and rows == paging.size:
        evidence.honours = True
    links = facts.links()
    if links:
        return "next" not in links
    if paging.more_path is not None:
        return not facts.value(paging.more_path)
    if rows == 0 or (last is not None and position >= last):
        return True
    return last is None and evidence.honours and paging.size is not None and rows < paging.size


def _by_cursor(paging: Paging) -> Pager:
    seen: set[str] = set()
    facts = yield (Turn(_size(paging)),)
    while True:
        if paging.more_path is not None and not facts.value(paging.more_path):
            return
        cursor = _cursor(paging, facts)
        if cursor in (None, ""):
            if paging.more_path is not None and facts.rows:
                raise BadResponse("paging.type cursor: the API says there is more, and gives no cursor")
            return
        if str(cursor) in seen:
            raise BadResponse(f"paging.type cursor: the cursor {str(cursor)[:80]!r} came a second time")
        seen.add(str(cursor))
        facts = yield (Turn({**_size(paging), paging.cursor_param: cursor}),)


def _cursor(paging: Paging, facts: Facts) -> str | int | None:
    if paging.cursor_path is not None:
        value = facts.value(paging.cursor_path)
        return value if isinstance(value, str | int) and not isinstance(value, bool) else None
    if paging.cursor_header is not None:
        return facts.header(paging.cursor_header)
    if paging.cursor_column is not None:
        return facts.last(paging.cursor_column)
    return None


def _by_link(paging: Paging, alone: bool) -> Pager:
    facts = yield (Turn(_size(paging)),)
    numbered = None if alone else _numbered_links(facts.links())
    if numbered:
        facts = yield numbered
    yield from follow_links(facts, "link_header", lambda page: page.links().get("next"))


def _numbered_links(links: Mapping[str, str]) -> tuple[Turn, ...]:
    """The pages from ``next`` to ``last`` where the two differ in one page number; else nothing."""
    if "next" not in links or "last" not in links:
        return ()
    following, last = urlsplit(links["next"]), urlsplit(links["last"])
    here, there = parse_qsl(following.query, True), parse_qsl(last.query, True)
    differing = [(a, b) for a, b in zip(here, there, strict=False) if a != b]
    if following[:3] != last[:3] or len(here) != len(there) or len(differing) != 1:
        return ()
    (name, low), (other, high) = differing[0]
    if name != other or "page" not in name.lower() or low not in ("1", "2") or not high.isdigit():
        return ()
    return tuple(
        Turn(
            url=urlunsplit(
                following._replace(query=urlencode([(k, number if k == name else v) for k, v in here]))
            )
        )
        for number in range(int(low), int(high) + 1)
    )


def _by_next_url(paging: Paging) -> Pager:
    path = paging.path or "next"
    facts = yield (Turn(_size(paging)),)
    yield from follow_links(facts, "next_url", lambda page: _text(page.value(path)))


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


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
