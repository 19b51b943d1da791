"""The contract between a source of rows and the loader.

A loader asks an adapter for its tables, then for one table's pages; it knows nothing of HTTP.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from unify.adapters.person import Person
from unify.adapters.spec import Option
from unify.connections import Secret
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

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Page:
        """A page of rows that Python has decoded; dates, UUIDs and decimals become texts, exactly."""
        return cls([msgspec.json.encode(row) for row in rows])


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
    ``filters``  the values a query asks for, by the filter's name, as the API writes them.
    """

    parents: Sequence[ParentRow] = ()
    since: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    filters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """What ``unify check`` found: ``identity`` is as whom the API knows us, where it says."""

    accepted: bool
    identity: str = ""
    quota_left: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Whom an adapter tells what it does while it reads. All are called from any of its threads.

    ``skipped``  a request had no rows because a rule of ``errors`` says so: the status.
    ``found``    what ``paging: auto`` has found out, in words.
    """

    traffic: Callable[[Traffic], None] = lambda _traffic: None
    waiting: Callable[[datetime | None], None] = lambda _until: None  # a rate limit holds us; None: over
    skipped: Callable[[int], None] = lambda _status: None
    found: Callable[[str], None] = lambda _text: None


class Adapter(ABC):
    """One cloud system, configured for one connection.

    A class of an installed package names it in the entry point group ``unify.adapters``, says in ``takes``
    which options a connection may give, and is built as ``kind(connection, options, listeners)``.
    ``options`` holds a value for each, None where there is none, secrets as ``Secret``.
    ``list_tables`` is asked of an instance whose secrets, and options kept elsewhere, are None.
    """

    takes: ClassVar[tuple[Option, ...]] = ()

    def __init__(
        self, connection: str, options: Mapping[str, str | Secret | None], listeners: Listeners
    ) -> None:
        self.connection = connection
        self.options = options
        self.listeners = listeners

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
        """Ask the API for as little as shows whether the credentials work.

        Raises  SourceError; of it SignInNeeded where a person has to sign in first.
        """

    def signed_in(self) -> bool:
        """False where a person has to sign in first, and nobody has. No request is sent."""
        return True

    def sign_in(self, person: Person) -> None:  # noqa: B027 - most APIs want nobody to
        """Have a person sign in, again if they have before. Raises SourceError where they do not."""

    def sign_out(self) -> None:  # noqa: B027 - as above
        """Forget what a person has signed in for."""

    def close(self) -> None:  # noqa: B027 - many have nothing to give back
        """Give back connections and threads."""

    def secrets(self) -> Sequence[str]:
        """What nobody may see in a message."""
        return [value.reveal() for value in self.options.values() if isinstance(value, Secret)]
