"""What a pager yields and what it is told: the next requests, and facts of the page that came."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from unify.adapters.spec import Paging


@dataclass(frozen=True, slots=True)
class Turn:
    """What is special about one request: paging values by name, or a whole address."""

    values: Mapping[str, str | int | float] = field(default_factory=dict)
    url: str | None = None


class Facts(Protocol):
    """What a pager may ask about a page."""

    @property
    def rows(self) -> Sequence[bytes]: ...
    @property
    def size(self) -> int: ...  # bytes of its body
    def value(self, path: str) -> Any: ...
    def names(self, path: str) -> Sequence[str]: ...  # of the members of the object there, rows aside
    def header(self, name: str) -> str | None: ...
    def links(self) -> Mapping[str, str]: ...
    def last(self, column: str) -> str | None: ...
    def absolute(self, link: str) -> str: ...


STRETCH = 1000  # turns taken side by side before the end is looked for again: a total may be wrong by far


class Stretch(tuple[Turn, ...]):
    """Turns that may be taken side by side; ``rest``: how many pages there are from the first of them on."""

    rest: int

    @classmethod
    def of(cls, turns: Iterable[Turn], rest: int) -> Stretch:
        made = cls(turns)
        made.rest = rest
        return made


def known_pages(turns: Sequence[Turn]) -> int:
    """How many pages are known to be left, these turns among them."""
    return turns.rest if isinstance(turns, Stretch) else len(turns)


Pager = Generator[Sequence[Turn], Facts, None]


class Evidence:
    """What the pages of one table have shown of their server; shared by all its scopes.

    ``honours`` is set once a page had exactly the size asked for: from then on a short page is a last page.
    ``moves`` is set once it was seen to know the paging parameter though its pages look alike.
    ``found`` is how the server pages, where ``paging: auto`` has looked; type none: it gave one page only.
    """

    def __init__(self) -> None:
        self.honours = False
        self.moves = False
        self.found: Paging | None = None


def size_of(paging: Paging) -> dict[str, str | int | float]:
    """The page size asked for, as a paging value; nothing where the API's own is taken."""
    if paging.size_param is None or paging.size is None:
        return {}
    return {paging.size_param: paging.size}


def says_yes(flag: Any) -> bool:
    """Whether a more-flag says that there is more; in XML, and in some JSON, it is a text."""
    if isinstance(flag, str):
        return flag.strip().lower() not in ("", "0", "false", "no", "n", "null", "none")
    return bool(flag)
