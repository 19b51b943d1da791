"""What a pager yields and what it is told: the next requests, and facts of the page that came."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from unify.adapters.spec.model import Paging


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What is special about one request: paging values by name, or a whole address."""

    params: Mapping[str, str | int | float] = field(default_factory=dict)
    url: str | None = None


class PageInfo(Protocol):
    """What a pager may ask about a page."""

    @property
    def rows(self) -> Sequence[bytes]: ...
    @property
    def body_bytes(self) -> int: ...  # bytes of its body
    def value(self, path: str) -> Any: ...
    def member_names(self, path: str) -> Sequence[str]: ...  # of the members of the object there, rows aside
    def header(self, name: str) -> str | None: ...
    def links(self) -> Mapping[str, str]: ...
    def last_value(self, column: str) -> str | None: ...
    def absolute_url(self, link: str) -> str: ...


MAX_BATCH_PAGES = (
    1000  # turns taken side by side before the end is looked for again: a total may be wrong by far
)


class PageBatch(tuple[PageRequest, ...]):
    """Turns that may be taken side by side; ``pages_left``: how many pages there are from the first of them on."""

    pages_left: int

    @classmethod
    def of(cls, page_requests: Iterable[PageRequest], pages_left: int) -> PageBatch:
        made = cls(page_requests)
        made.pages_left = pages_left
        return made


def known_page_count(page_requests: Sequence[PageRequest]) -> int:
    """How many pages are known to be left, these turns among them."""
    return page_requests.pages_left if isinstance(page_requests, PageBatch) else len(page_requests)


Paginator = Generator[Sequence[PageRequest], PageInfo, None]


class PaginatorFactory(Protocol):
    """Makes the paginator of one table; see ``paginators.pager``."""

    def __call__(
        self, paging: Paging, paging_state: PagingState | None = None, *, sequential: bool = False
    ) -> Paginator: ...


class PagingState:
    """What the pages of one table have shown of their server; shared by all its scopes.

    ``honours_size`` is set once a page had exactly the size asked for: from then on a short page is a last page.
    ``knows_param`` is set once it was seen to know the paging parameter though its pages look alike.
    ``found`` is how the server pages, where ``paging: auto`` has looked; type none: it gave one page only.
    """

    def __init__(self) -> None:
        self.honours_size = False
        self.knows_param = False
        self.detected: Paging | None = None


def page_size_params(paging: Paging) -> dict[str, str | int | float]:
    """The page size asked for, as a paging value; nothing where the API's own is taken."""
    if paging.size_param is None or paging.size is None:
        return {}
    return {paging.size_param: paging.size}


def is_truthy(flag: Any) -> bool:
    """Whether a more-flag says that there is more; in XML, and in some JSON, it is a text."""
    if isinstance(flag, str):
        return flag.strip().lower() not in ("", "0", "false", "no", "n", "null", "none")
    return bool(flag)
