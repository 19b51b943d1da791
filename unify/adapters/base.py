"""The contract between a source of rows and the loader.

A loader asks an adapter for its tables, then for one table's pages; it knows nothing of HTTP.

What becomes of a table's rows, whoever describes the table: a spec in YAML, or an adapter in Python.

The person in front, as far as signing in somewhere takes one.

Signing in, for whoever has an adapter in hand and perhaps a person in front.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

import msgspec

from unify.adapters.spec.model import ColumnDef, DeletedRows, ForEach, Incremental, Option, RefreshSpec
from unify.config.secrets import Secret
from unify.errors import SignInNeeded
from unify.model import RequestRecord, TableDef

Scalar = str | int | float | bool | None
ParentRow = Mapping[str, Scalar]

MAX_RECORDED_CHARS = 1000  # characters of an address, or of an error, worth keeping


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

    def to_record(self, job: int | None = None) -> RequestRecord:
        """The row of ``unify.requests``; ``job`` is the load that asked, None for a person."""
        return RequestRecord(
            method=self.method,
            address=self.address[:MAX_RECORDED_CHARS],
            status=self.status,
            milliseconds=round(self.milliseconds, 3),
            bytes=self.bytes,
            job=job,
            at=self.at,
            error=self.error[:MAX_RECORDED_CHARS],
        )


@dataclass(frozen=True, slots=True)
class Read:
    """What to fetch of a table.

    ``parents``  rows of its ``for_each``; empty where it has none.
    ``since``    the stored cursor of each scope, as text in the cursor column's own format; empty: all.
    ``limit``    stop after about this many rows (a peek); None: all.
    ``filters``  the values a query asks for, by the filter's name, as the API writes them.
    ``rows_location``  where earlier loads found the rows (``Listeners.rows_located``); "" if unknown.
    """

    parents: Sequence[ParentRow] = ()
    since: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    rows_location: str = ""


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

    ``skipped``  a request had no rows because a rule of ``broken`` says so: the status.
    ``found``    what ``paging: auto`` has found out, in words.
    """

    traffic: Callable[[Traffic], None] = lambda _traffic: None
    waiting: Callable[[datetime | None], None] = lambda _until: None  # a rate limit holds us; None: over
    skipped: Callable[[int], None] = lambda _status: None
    paging_detected: Callable[[str], None] = lambda _text: None
    note: Callable[[str], None] = lambda _text: None  # for the reason of the load
    rows_located: Callable[[str], None] = lambda _location: None  # where the rows are in the body


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

    def is_signed_in(self) -> bool:
        """False where a person has to sign in first, and nobody has. No request is sent."""
        return True

    def sign_in(self, prompt: UserPrompt) -> None:  # noqa: B027 - most APIs want nobody to
        """Have a person sign in, again if they have before. Raises SourceError where they do not."""

    def sign_out(self) -> None:  # noqa: B027 - as above
        """Forget what a person has signed in for."""

    def close(self) -> None:  # noqa: B027 - many have nothing to give back
        """Give back connections and threads."""

    def secrets(self) -> Sequence[str]:
        """What nobody may see in a message."""
        return [value.reveal() for value in self.options.values() if isinstance(value, Secret)]


_DEFAULT_REFRESH = RefreshSpec()


class TableConfig(Protocol):
    """All that a loader wants to know of a table beside its rows; a ``TableSpec`` is one."""

    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def columns(self) -> tuple[ColumnDef, ...]: ...
    @property
    def exclude(self) -> tuple[str, ...]: ...
    @property
    def only(self) -> tuple[str, ...]: ...
    @property
    def flatten(self) -> int | None: ...
    @property
    def incremental(self) -> Incremental | None: ...
    @property
    def refresh(self) -> RefreshSpec: ...
    @property
    def for_each(self) -> ForEach | None: ...
    @property
    def deleted(self) -> DeletedRows | None: ...


@dataclass(frozen=True, slots=True)
class PluginTableConfig:
    """The handling of a table that an adapter in Python gives: its rows are as they are to be stored."""

    key: tuple[str, ...] = ()
    columns: tuple[ColumnDef, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    flatten: int | None = None
    incremental: Incremental | None = None
    refresh: RefreshSpec = _DEFAULT_REFRESH
    for_each: ForEach | None = None
    deleted: DeletedRows | None = None


def plugin_table_config(table: TableDef) -> TableConfig:
    """What ``table`` says of itself; with a ``cursor``, later loads ask for what changed only."""
    return PluginTableConfig(
        key=table.key,
        columns=tuple(
            ColumnDef(column.name, column.type or None, column.description) for column in table.columns
        ),
        incremental=Incremental(table.cursor) if table.cursor else None,
        refresh=RefreshSpec(table.refresh_every_s),
    )


class UserPrompt(Protocol):
    """Somebody who reads what is said, and has a browser, here or elsewhere."""

    def show_message(self, text: str) -> None:
        """Say one line, whatever else is kept quiet."""

    def open_browser(self, url: str) -> None:
        """Open the address in a browser, if there is one here; returns at once."""


def check_with_sign_in(adapter: Adapter, prompt: UserPrompt | None) -> Check:
    """What the API says of the credentials, once somebody has signed in where that is needed.

    Without a person it is a refusal that says what to do. Raises SourceError.
    """
    try:
        return adapter.check()
    except SignInNeeded as needed:
        if prompt is None:
            return Check(accepted=False, reason=needed.message)
    adapter.sign_in(prompt)
    return adapter.check()
