"""The contract of a source of rows: Adapter and what its methods take and return; the sign-in prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Protocol

import msgspec
from msgspec import Struct, field

from unify.adapters.spec.elements import Option
from unify.adapters.spec.table_keys import ColumnDef, DeletedRows, ForEach, Incremental, RefreshSpec
from unify.adapters.spec.write import RowOperation, WriteSpec
from unify.config.secrets import Secret
from unify.errors import ConfigError, SignInNeeded, escape_surrogates
from unify.model import PlannedRow, RequestRecord, RowOutcome, TableDef

Scalar = str | int | float | bool | None
ParentRow = Mapping[str, Scalar]

MAX_RECORDED_CHARS = 1000  # of a URL or an error


class PagePosition(Struct, frozen=True):
    """Where a page is within a read, so that a later read can go on behind it.

    ``window``     number of the time window within the scope.
    ``number``     counts from 0 within the window.
    ``is_last``    with this page, the window of the scope is complete.
    ``request``    how the page was requested, in the adapter's own terms; "" if no read may go on behind it.
    ``digest``     of the rows that the source sent.
    ``repeated``   an earlier read has the page, and its rows: they are the same and are not sent again.
    ``row_count``  of the list in the response.
    ``earlier_row_counts``  of the pages before, in a ReadProgress.
    ``skipped``    status of a request without rows, by a rule of ``errors``; 0: it has its rows.
    ``repairs``    what had to be repaired in the body, and how often.
    ``state``      what the pages so far have shown of the source, in the adapter's own terms.
    """

    window: int = 0
    number: int = 0
    is_last: bool = False
    request: str = ""
    digest: str = ""
    repeated: bool = False
    row_count: int = 0
    earlier_row_counts: Sequence[int] = ()
    skipped: int = 0
    repairs: Mapping[str, int] = {}
    state: str = ""

    @property
    def is_resumable(self) -> bool:
        """Whether a later read need not request this page again."""
        return self.is_last or bool(self.request)


ScopeWindow = tuple[str, int]  # a scope, and the number of a time window


class ReadProgress(Struct, frozen=True):
    """What an earlier read, which did not end, has of a table.

    ``complete``  these are not requested.
    ``started``   the last page of each that is not complete: the read continues after it if the source still
                  sends the same page, and else from the first one.
    ``state``     see ``PagePosition``.
    ``repairs``   of the pages of both.
    """

    complete: Set[ScopeWindow] = frozenset()
    started: Mapping[ScopeWindow, PagePosition] = {}
    state: str = ""
    repairs: Mapping[str, int] = {}


class Page(Struct, frozen=True):
    """Some rows, exactly as the source wrote them.

    ``rows``         each one JSON value in undecoded UTF-8, in the order of the source.
    ``variables``    further columns of every row: values of parents, options and the response.
    ``scope``        the row of ``for_each``: its JSON text with sorted keys; "" without parents.
    ``number``       counts from 0 within the scope; with parallel requests, pages may be out of order.
    ``pages_total``  of the whole table, if the source says.
    ``position``     None: the adapter cannot go on where a read broke off.
    ``deletions``    keys of deleted rows: texts by column.
    """

    rows: Sequence[bytes]
    variables: ParentRow = {}
    scope: str = ""
    number: int = 0
    pages_total: int | None = None
    position: PagePosition | None = None
    deletions: Sequence[Mapping[str, str]] = ()

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Page:
        """Make a page of Python values; dates, UUIDs and decimals become exact texts."""
        return cls([msgspec.json.encode(row) for row in rows])


class Traffic(Struct, frozen=True):
    """One request, for ``unify.requests``. ``address`` is the URL without secrets."""

    method: str
    address: str
    status: int | None  # None: no response
    milliseconds: float
    bytes: int
    at: datetime
    error: str = ""

    def to_record(self, connection: str, job: int | None = None) -> RequestRecord:
        """The row of ``unify.requests``; ``job`` is the load, None for a statement."""
        return RequestRecord(
            method=self.method,
            address=escape_surrogates(self.address[:MAX_RECORDED_CHARS]),
            status=self.status,
            milliseconds=round(self.milliseconds, 3),
            bytes=self.bytes,
            job=job,
            at=self.at,
            error=escape_surrogates(self.error[:MAX_RECORDED_CHARS]),
            connection=connection,
        )


class Read(Struct, frozen=True):
    """The part of a table to read.

    ``parents``        rows of ``for_each``.
    ``since``          the stored cursor by scope, as text; empty: read all rows.
    ``limit``          stop after about this many rows; None: read all.
    ``filters``        values by name of the filter, in the API's format.
    ``rows_location``  where earlier loads found the rows (``Listeners.rows_located``); "" if unknown.
    ``now``            the end of the last time window; None: the time of the read.
    ``progress``       of an earlier read with the same values.
    """

    parents: Sequence[ParentRow] = ()
    since: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    rows_location: str = ""
    now: datetime | None = None
    progress: ReadProgress | None = None


class Check(Struct, frozen=True):
    """The result of ``unify check``; ``identity`` is the user name, if the API returns it."""

    accepted: bool
    identity: str = ""
    quota_left: int | None = None
    reason: str = ""


class Listeners(Struct, frozen=True):
    """Callbacks of an adapter that reads; it calls them from any of its threads."""

    traffic: Callable[[Traffic], None] = lambda _traffic: None
    waiting: Callable[[datetime | None], None] = lambda _until: None  # None: the wait is over
    skipped: Callable[[int], None] = lambda _status: None  # the status, by a rule of ``errors``
    paging_detected: Callable[[str], None] = lambda _text: None  # the result of ``paging: auto``
    note: Callable[[str], None] = lambda _text: None  # for the reason of the load
    rows_located: Callable[[str], None] = lambda _location: None  # where the rows are in the body


class Adapter(ABC):
    """One cloud system, configured for one connection.

    An installed package provides a subclass in the entry point group ``unify.adapters``. ``takes`` declares
    its options; it is called with ``(connection, options, listeners)``. ``options`` has a value for each of
    them: None if it is not set, a ``Secret`` if it is secret. For ``list_tables``, options that are secret or
    references are None.
    """

    takes: ClassVar[tuple[Option, ...]] = ()
    sends_only: ClassVar[bool] = False  # a connection to it may write without the key ``writes``

    def __init__(
        self, connection: str, options: Mapping[str, str | Secret | None], listeners: Listeners
    ) -> None:
        self.connection = connection
        self.options = options
        self.listeners = listeners

    @abstractmethod
    def list_tables(self) -> Sequence[TableDef]:
        """Return every table of this connection, in the order of its documentation. Sends no request."""

    @abstractmethod
    def pages(self, table: str, read: Read) -> Iterator[Page]:
        """Fetch ``table`` page by page. Memory: the pages of a few parallel requests.

        Raises:
            SourceError: the pages so far are not the whole table.
        """

    @abstractmethod
    def check(self) -> Check:
        """Test the credentials with a cheap request.

        Raises:
            SignInNeeded: a user has to sign in first.
            SourceError: the request failed for another reason than the credentials.
        """

    def write_spec(self, table: str) -> WriteSpec | None:  # noqa: ARG002 - of the contract
        """Return the columns and operations of a table that can be written. Sends no request."""
        return None

    def open_writer(self, table: str) -> AbstractContextManager[TableWriter]:
        """Open a writer of ``table``. Raises ConfigError: the adapter cannot write it."""
        raise ConfigError(f"{self.connection}.{table}: its adapter cannot write")

    def is_signed_in(self) -> bool:
        """Whether no sign-in by a user is required. Sends no request."""
        return True

    def sign_in(self, prompt: UserPrompt) -> None:  # noqa: B027 - optional
        """Sign a user in, also again. Raises SourceError if the user does not."""

    def sign_out(self) -> None:  # noqa: B027 - optional
        """Delete the stored sign-in."""

    def cancel(self) -> None:  # noqa: B027 - optional
        """End the requests of every read in progress; called in another thread than the reads."""

    def close(self) -> None:  # noqa: B027 - optional
        """Close connections and end threads."""

    def secrets(self) -> Sequence[str]:
        """Values that must not be shown."""
        return [value.reveal() for value in self.options.values() if isinstance(value, Secret)]


_DEFAULT_REFRESH = RefreshSpec()


class TableConfig(Protocol):
    """The properties of a table that a load needs besides its rows. ``TableSpec`` implements it."""

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


class PluginTableConfig(Struct, frozen=True):
    """The configuration of a table of a Python adapter, whose rows are stored as they are."""

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
    """The configuration from ``table``; with a ``cursor``, later loads read only changed rows."""
    return PluginTableConfig(
        key=table.key,
        columns=tuple(
            ColumnDef(column.name, column.type or None, column.description) for column in table.columns
        ),
        incremental=Incremental(table.cursor) if table.cursor else None,
        refresh=RefreshSpec(table.refresh_every_s),
    )


class LostResponse(Enum):
    """What to do with a row that was sent and whose response is not known."""

    SEND_AGAIN = "the system carries it out once"
    LOOK = "look for the row"
    UNKNOWN = "nothing tells"


class TableWriter(Protocol):
    """Writes rows to one table of a connection."""

    @property
    def transient_columns(self) -> Sequence[str]:
        """Columns whose values are not kept once a row is written, such as the text of a mail."""

    def fit(self, operation: RowOperation, rows: Sequence[PlannedRow]) -> Sequence[PlannedRow]:
        """Return the first rows that fit into one request, at least one."""

    def check(self, operation: RowOperation, row: PlannedRow) -> str:
        """Return why the row cannot be sent; "" if it can. Sends nothing."""

    def describe(self, operation: RowOperation, rows: Sequence[PlannedRow]) -> str:
        """Return the request for ``rows``, without secrets. Sends nothing."""

    def send(self, operation: RowOperation, rows: Sequence[PlannedRow], key: str) -> Sequence[RowOutcome]:
        """Send one request, which ``key`` names, and return the outcome of each row.

        Raises:
            BatchRefused: none of several rows was written; the refused one is found by sending fewer.
            ResponseLost: the request was sent, and what became of it is not known.
            SourceError: the request was not carried out.
        """

    def lost_response(
        self, operation: RowOperation, rows: Sequence[PlannedRow], age_s: float
    ) -> LostResponse:
        """Decide what to do with rows sent ``age_s`` ago whose response is not known."""

    def find(self, operation: RowOperation, row: PlannedRow) -> Sequence[RowOutcome]:
        """Look for a row whose response was lost: the outcome for each row there that may be it.

        Empty: it was not written. Raises SourceError: nothing was found out.
        """


class UserPrompt(Protocol):
    """A user who reads messages and has a browser, perhaps on another machine."""

    def show_message(self, text: str) -> None:
        """Show one line, also with --quiet."""

    def open_browser(self, url: str) -> None:
        """Open ``url`` in a browser if this machine has one; return at once."""


def check_with_sign_in(adapter: Adapter, prompt: UserPrompt | None) -> Check:
    """Test the credentials, after a sign-in if that is required. Raises SourceError.

    Without ``prompt``, a required sign-in is a refusal that says what to do.
    """
    try:
        return adapter.check()
    except SignInNeeded as needed:
        if prompt is None:
            return Check(accepted=False, reason=needed.message)
    adapter.sign_in(prompt)
    return adapter.check()
