"""The contract between a source of rows and the loader.

A loader asks an adapter for its tables, then for one table's pages; it knows nothing of HTTP.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from unify.model import RequestRecord, TableDef

Scalar = str | int | float | bool | None
ParentRow = Mapping[str, Scalar]

SHOWN_LENGTH = 1000  # characters of an address, or of an error, worth keeping


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, exactly as the source wrote them.

    ``rows``       one JSON value each, undecoded UTF-8, in the order of the source.
    ``variables``  columns every row of this page gets beside its own: parents, options, envelope values.
    ``scope``      which ``for_each`` row these belong to (its JSON text, keys sorted); "" without parents.
    ``number``     counts from 0 within the scope; pages fetched side by side may arrive out of order.
    ``pages_total`` of the whole table, where the source tells.
    """

    rows: Sequence[bytes]
    variables: ParentRow = field(default_factory=dict)
    scope: str = ""
    number: int = 0
    pages_total: int | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """One request, as ``unify.requests`` shows it: ``address`` has no secret in it."""

    method: str
    address: str
    status: int | None  # None: no answer came
    milliseconds: float
    bytes: int
    at: datetime
    error: str = ""

    def record(self, job: int | None = None) -> RequestRecord:
        """The row of ``unify.requests``; ``job`` is the load that asked, None for a person."""
        return RequestRecord(
            method=self.method,
            address=self.address[:SHOWN_LENGTH],
            status=self.status,
            milliseconds=round(self.milliseconds, 3),
            bytes=self.bytes,
            job=job,
            at=self.at,
            error=self.error[:SHOWN_LENGTH],
        )


@dataclass(frozen=True, slots=True)
class Read:
    """What to fetch of a table.

    ``parents``  rows of its ``for_each``; empty where it has none.
    ``since``    the stored cursor of each scope, as text in the cursor column's own format; empty: all.
    ``limit``    stop after about this many rows (a peek); None: all.
    """

    parents: Sequence[ParentRow] = ()
    since: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What ``unify check`` found: ``identity`` is as whom the API knows us, where it says."""

    accepted: bool
    identity: str = ""
    quota_left: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Whom an adapter tells what it does while it reads. Both are called from any of its threads."""

    traffic: Callable[[Traffic], None] = lambda _traffic: None
    waiting: Callable[[datetime | None], None] = lambda _until: None  # a rate limit holds us; None: over


class Adapter(ABC):
    """One cloud system, configured for one connection."""

    @abstractmethod
    def list_tables(self) -> Sequence[TableDef]:
        """Every table this connection can load, in the order of its documentation. No request is sent."""

    @abstractmethod
    def pages(self, table: str, read: Read) -> Iterator[Page]:
        """Fetch ``table`` page by page.

        Memory  a few pages: those being fetched side by side.
        Raises  SourceError; then no further page comes, and those that came are not the whole table.
        """

    @abstractmethod
    def check(self) -> Check:
        """Ask the API for as little as shows whether the credentials work. Raises SourceError."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections and threads."""
