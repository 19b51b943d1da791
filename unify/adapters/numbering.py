"""Pages that can be asked for by a number: of the page, or of rows to pass over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from unify.adapters.links import tell_of_pages
from unify.adapters.spec import Paging
from unify.adapters.turns import STRETCH, Evidence, Facts, Pager, Stretch, Turn, says_yes, size_of
from unify.errors import BadResponse

FAR = 1_000_000  # pages or rows further on than any real end, where nobody says where that is


def positions_of(paging: Paging) -> PageNumbers | Offsets | None:
    """What the pages are numbered by; None where they are not."""
    match paging.type:
        case "page":
            return PageNumbers(paging)
        case "offset":
            return Offsets(paging)
        case _:
            return None


class PageNumbers:
    """Positions of ``paging: {type: page}``: page after page."""

    kind = "page"

    def __init__(self, paging: Paging) -> None:
        self.paging = paging
        self.start = paging.first

    def turn(self, position: int) -> Turn:
        return Turn({**size_of(self.paging), self.paging.page_param: position})

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

    def behind_the_end(self, turn: Turn, facts: Facts) -> Turn:
        """A page behind the last one; ``facts`` are those of ``turn``, which looks like the first."""
        last = self.last(facts, len(facts.rows))
        here = _integer(turn.values[self.paging.page_param]) or 0
        return self.turn(here + FAR if last is None else max(here, last) + 1)

    def passed(self, position: int, step: int) -> int:
        """How many rows there were before this page."""
        return (position - self.start) * step

    def between(self, position: int, last: int, _step: int) -> range:
        return range(position + 1, last + 1)


class Offsets:
    """Positions of ``paging: {type: offset}``: rows already had."""

    kind = "offset"

    def __init__(self, paging: Paging) -> None:
        self.paging = paging
        self.start = 0

    def turn(self, position: int) -> Turn:
        return Turn({**size_of(self.paging), self.paging.offset_param: position})

    def after(self, position: int, rows: int, honours: bool) -> int:
        """Where a server is known to honour the size, it counts by it; else by what it sent."""
        size = self.paging.size
        return position + (size if honours and size else rows)

    def last(self, facts: Facts, step: int) -> int | None:
        if self.paging.total_path is None or not step:
            return None
        total = _integer(facts.value(self.paging.total_path))
        return None if total is None else max(total - 1, 0) // step * step

    def behind_the_end(self, turn: Turn, facts: Facts) -> Turn:
        """A place behind the last row; ``facts`` are those of ``turn``, which looks like the first."""
        last = self.last(facts, len(facts.rows))
        here = _integer(turn.values[self.paging.offset_param]) or 0
        return self.turn(here + FAR if last is None else max(here, last) + len(facts.rows))

    def passed(self, position: int, _step: int) -> int:
        return position

    def between(self, position: int, last: int, step: int) -> range:
        return range(position + step, last + 1, step)


def numbered(positions: PageNumbers | Offsets, evidence: Evidence, alone: bool) -> Pager:
    """Pages that can be asked for by a number: one by one, or side by side once the end is known."""
    paging, position, sameness = positions.paging, positions.start, _Sameness(positions.kind, evidence)
    facts = yield (positions.turn(position),)
    step, believed = len(facts.rows), True
    while True:
        believed = believed and not _exceeds_total(positions, facts, position, step)
        last = positions.last(facts, step) if believed else None
        if _ended(paging, facts, evidence, last, position):
            return
        if last is not None and last > position and not alone:
            every = positions.between(position, last, step)
            numbers = every[:STRETCH]
            rest = (last - position) // every.step
            position = numbers[-1]
            facts = yield Stretch.of(map(positions.turn, numbers), rest)
            continue
        position = positions.after(position, len(facts.rows), evidence.honours)
        before = facts.rows
        facts = yield (positions.turn(position),)
        sameness.see(before, facts.rows)


def _exceeds_total(positions: PageNumbers | Offsets, facts: Facts, position: int, step: int) -> bool:
    """Are there more rows already than the API says there are in all? Then its total says nothing."""
    path = positions.paging.total_path
    total = None if path is None else _integer(facts.value(path))
    return (
        total is not None and bool(facts.rows) and positions.passed(position, step) + len(facts.rows) > total
    )


class _Sameness:
    """Counts pages that bring nothing new. Two in a row may be chance, three are a server that never ends."""

    def __init__(self, kind: str, evidence: Evidence) -> None:
        self._kind = kind
        self._evidence = evidence
        self._repeats = 0

    def see(self, before: Sequence[bytes], now: Sequence[bytes]) -> None:
        self._repeats = self._repeats + 1 if before == now else 0
        if self._repeats < 2 or (now and self._evidence.moves):
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
    if tell_of_pages(links):
        return "next" not in links
    if paging.more_path is not None:
        return not says_yes(facts.value(paging.more_path))
    if rows == 0 or (last is not None and position >= last):
        return True
    return last is None and evidence.honours and paging.size is not None and rows < paging.size


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
