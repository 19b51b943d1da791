"""One table being read: its scopes as series of pages, each request built, sent and split into rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from unify.adapters import template
from unify.adapters.asking import CURSOR, UNTIL, Asking
from unify.adapters.base import Listeners, Page, ParentRow, Read, Scalar
from unify.adapters.cursors import Slice, asked_since, is_older, slices
from unify.adapters.envelope import Envelope, Wanted, open_envelope
from unify.adapters.links import parse_links
from unify.adapters.lookup import last_value
from unify.adapters.messages import Answer, Request, joined
from unify.adapters.paging import Evidence, Facts, Pager, Turn, pager
from unify.adapters.rowfilter import RowFilter
from unify.adapters.sameness import Sameness
from unify.adapters.scopes import distinct, scope_of
from unify.adapters.spec import AdapterSpec, ColumnDef, Incremental, Paging, TableSpec
from unify.adapters.transport import Transport
from unify.connections import Secret
from unify.errors import BadResponse, ConfigError, NotFound, SourceError

PAGES_A_SLICE = 1_000_000  # numbers of pages left free for each slice of time, so that all have their order


class Source:
    """One table of a spec, made ready for a connection: what all its scopes share.

    Raises  ConfigError for a column that would store a secret.
    """

    def __init__(
        self, connection: str, spec: AdapterSpec, table: TableSpec, options: Mapping[str, Any]
    ) -> None:
        self.name = f"{connection}.{table.name}"
        asked = _with_requests(table, options)
        table = asked[0]
        self.table = _with_start(table, options)
        self.options = options
        self.paging = table.paging or spec.paging
        self.rules = (*table.errors, *spec.errors)
        # Skipped is a request without rows; a later page that is missing is a page that could not be had.
        self.later_rules = tuple(
            replace(rule, action="fail") if rule.action == "skip" else rule for rule in self.rules
        )
        self._askings = [Asking(spec, each, options, self.paging) for each in asked]
        self.asking = self._askings[0]
        self.evidence = Evidence()
        self.told_paging: Paging | None = None
        self.computed = tuple(column for column in table.columns if _is_computed(column))
        self._wanted = _wanted(table)
        self._refuse_stored_secrets()

    def _refuse_stored_secrets(self) -> None:
        for column in self.computed:
            for name in template.names(column.source or ""):
                if isinstance(self.options.get(name), Secret):
                    raise ConfigError(f"{self.name}: column {column.name} would store the secret {{{name}}}")

    def has_another(self, asking: Asking) -> bool:
        """Whether there is another request where ``asking`` found nothing; it is used from then on."""
        if asking is self.asking and asking is not self._askings[-1]:
            self.asking = self._askings[self._askings.index(asking) + 1]
        return asking is not self.asking

    @cached_property
    def cursor_column(self) -> str | None:
        """Where the incremental cursor is in a row: a dotted path if the spec renames the column."""
        incremental = self.table.incremental
        if incremental is None:
            return None
        renamed = (column.source for column in self.table.columns if column.name == incremental.cursor)
        return next(renamed, None) or incremental.cursor

    def open(self, answer: Answer) -> Envelope:
        """Split an answer; where its rows were is where those of all other pages are."""
        kind = answer.headers.get("content-type", "")
        envelope = open_envelope(answer.body, kind, self._wanted, answer.address)
        if self._wanted.path is None and self.table.format == "json" and envelope.certain:
            single = not envelope.found and not envelope.listed
            self._wanted = Wanted(envelope.found, "json", self.table.name, envelope.listed, single=single)
        if self.table.lifted and envelope.found:
            envelope.surround(self.table.lifted)
        return envelope


class Taken:
    """How many rows a limited read has so far, over all scopes."""

    def __init__(self, limit: int | None) -> None:
        self._left = limit

    def add(self, rows: int) -> None:
        if self._left is not None:
            self._left -= rows

    @property
    def enough(self) -> bool:
        return self._left is not None and self._left <= 0


@dataclass(frozen=True, slots=True)
class Reading:
    """One read of one table: what to fetch, how, and when to stop."""

    source: Source
    transport: Transport
    read: Read
    taken: Taken
    stop: threading.Event
    listeners: Listeners = field(default_factory=Listeners)


def all_series(reading: Reading) -> Iterator[Series]:
    """What there is to read: every parent, and of each every slice of time."""
    table, read = reading.source.table, reading.read
    now = reading.transport.now()
    for parent in distinct(table.for_each, read.parents):
        scope = scope_of(parent) if parent is not None else ""
        for part in slices(table.incremental, read.since.get(scope), now):
            yield Series(reading, parent, scope, part)


class Series:
    """The pages of one scope, or of one slice of its time.

    ``scope`` is one parent row, or "" for the whole table.
    """

    def __init__(self, reading: Reading, parent: ParentRow | None, scope: str, part: Slice) -> None:
        self._reading = reading
        self._source = reading.source
        self._parent = parent or {}
        self._scope = scope
        self._since = _reached(self._source.table.incremental, reading.read.since.get(scope))
        self._first_number = part.index * PAGES_A_SLICE
        incremental = self._source.table.incremental
        self._variables = {
            **self._source.table.given,
            **self._source.options,
            **self._parent,
            CURSOR: part.cursor,
            UNTIL: part.until,
        }
        self._sameness = Sameness(self._source.evidence)
        self._filter = RowFilter(self._source.table.where, self._variables)
        newest_first = incremental is not None and incremental.order == "desc"
        self._ends_early = newest_first and self._since is not None

    def pager(self) -> Pager:
        """The table's paging, ended early by a limit, or by the first page that reaches the cursor."""
        if self._reading.taken.enough:
            return
        alone = self._ends_early or self._reading.read.limit is not None
        inner = pager(self._source.paging, self._source.evidence, alone=alone)
        turns = next(inner, ())
        while turns:
            facts = yield turns
            if self._reading.taken.enough or (self._ends_early and self._is_past(facts)):
                return
            try:
                with told(self._where()):
                    turns = inner.send(facts)
            except StopIteration:
                return
            finally:
                self._tell_paging()

    def _paging(self) -> Paging:
        return self._source.evidence.found or self._source.paging

    def _tell_paging(self) -> None:
        found = self._source.evidence.found
        if found is not None and found != self._source.told_paging:
            from unify.adapters import discovery

            self._source.told_paging = found
            self._reading.listeners.found(discovery.told(found))

    def _is_past(self, facts: Facts) -> bool:
        column = self._source.cursor_column
        oldest = facts.last(column) if column is not None else None
        return oldest is not None and self._since is not None and is_older(oldest, self._since)

    def first_request(self) -> Request:
        """What the first page is asked for with."""
        turns = next(pager(self._source.paging, alone=True))
        return self._source.asking.request(self._variables, turns[0])

    def fetch(self, turn: Turn, number: int) -> tuple[Page, Facts]:
        reading = self._reading
        with told(self._where()):
            self._refuse_missing_values()
            answer = self._answered(turn, number)
            if answer.skipped and number > 0:  # pages came before it: without this one the table were shorter
                raise SourceError(
                    f"{answer.address}: status {answer.status} on page {number + 1}; "
                    "errors: skip holds for the first page of a request only"
                )
            if answer.skipped:
                reading.listeners.skipped(answer.status)
            nothing = answer.skipped or answer.status == 204
            envelope = Envelope(b"{}", answer.address) if nothing else self._source.open(answer)
            facts = PageFacts(answer, envelope)
            self._sameness.see(number, turn, facts, self._paging(), self._asked_once_more)
            rows = self._filter.keep(envelope.rows)
            reading.taken.add(len(rows))
            page = Page(rows, self._computed(envelope), self._scope, self._first_number + number)
            return page, facts

    def _asked_once_more(self, turn: Turn) -> PageFacts | None:
        """A page that is looked at and not read; None where the API says that there is no such page."""
        reading = self._reading
        request = self._source.asking.request(self._variables, turn)
        try:
            answer = reading.transport.fetch(request, self._source.later_rules, reading.stop)
        except SourceError as error:
            if type(error) not in (SourceError, NotFound):
                raise  # no answer to what was asked, but some other trouble
            return None
        if answer.status == 204:
            return None
        try:
            return PageFacts(answer, self._source.open(answer))
        except BadResponse:
            return None  # a sentence instead of rows

    def _answered(self, turn: Turn, number: int) -> Answer:
        rules = self._source.later_rules if number else self._source.rules
        while True:
            asking = self._source.asking
            request = asking.request(self._variables, turn)
            try:
                return self._reading.transport.fetch(request, rules, self._reading.stop)
            except NotFound:
                if number or not self._source.has_another(asking):
                    raise

    def _refuse_missing_values(self) -> None:
        for name in template.names(self._source.table.path):
            if name in self._parent and self._parent[name] is None:
                raise SourceError(f"for_each gives no value for {{{name}}}; add: where {name} is not null")

    def _computed(self, envelope: Envelope) -> dict[str, Scalar]:
        return {column.name: self._value(column.source or "", envelope) for column in self._source.computed}

    def _value(self, source: str, envelope: Envelope) -> Scalar:
        if source.startswith("$"):
            return envelope.scalar(source.removeprefix("$").removeprefix("."))
        value: Scalar = template.fill_value(source, self._variables)
        return value

    def _where(self) -> str:
        """``github.pulls for owner duckdb, repo lake``."""
        if not self._parent:
            return self._source.name
        used = {name: value for name, value in self._parent.items() if name in self._source.asking.names}
        named = ", ".join(f"{name} {value}" for name, value in (used or self._parent).items())
        return f"{self._source.name} for {named}"


class PageFacts:
    """What a pager sees of one answer."""

    def __init__(self, answer: Answer, envelope: Envelope) -> None:
        self._answer = answer
        self._envelope = envelope
        self.rows = envelope.rows
        self.size = len(answer.body)
        self._links: Mapping[str, str] | None = None

    def value(self, path: str) -> Any:
        return self._envelope.value(path)

    def names(self, path: str) -> Sequence[str]:
        """None where the body is itself the row: what its members are called says nothing of pages."""
        return self._envelope.names(path) if self._envelope.found else ()

    def header(self, name: str) -> str | None:
        return self._answer.headers.get(name)

    def links(self) -> Mapping[str, str]:
        if self._links is None:
            written = self._answer.headers.get("link", "")
            self._links = {rel: self.absolute(url) for rel, url in parse_links(written).items()}
        return self._links

    def last(self, column: str) -> str | None:
        return last_value(self.rows, column)

    def absolute(self, link: str) -> str:
        return joined(self._answer.url, link)


@contextmanager
def told(where: str) -> Iterator[None]:
    """What the source does wrong in the block is told with its place in front."""
    try:
        yield
    except SourceError as error:
        error.message = f"{where}: {error.message}"
        error.args = (error.message,)
        raise


def _with_requests(table: TableSpec, options: Mapping[str, Any]) -> Sequence[TableSpec]:
    """``table`` with each of its requests whose options all have a value, in order; else with the last."""
    requests = (f"{table.method} {table.path}", *table.otherwise)
    complete = [one for one in requests if not any(_is_empty(name, options) for name in template.names(one))]
    parted = [one.partition(" ") for one in complete or requests[-1:]]
    return [replace(table, method=method, path=path) for method, _, path in parted]


def _is_empty(name: str, options: Mapping[str, Any]) -> bool:
    """Whether ``name`` is an option without a value."""
    return name in options and options[name] in (None, "")


def _with_start(table: TableSpec, options: Mapping[str, Any]) -> TableSpec:
    """``table`` with the options in ``incremental.start`` filled in; without a value there is no start."""
    incremental = table.incremental
    if incremental is None or not template.names(incremental.start or ""):
        return table
    start = incremental.start if template.has_values(incremental.start, options) else None
    filled = None if start is None else template.fill(start, options, "plain")
    return replace(table, incremental=replace(incremental, start=filled))


def _reached(incremental: Incremental | None, stored: str | None) -> str | None:
    """What a read that goes from the newest back has to reach: the stored cursor, less the lookback."""
    if incremental is None or stored is None:
        return None
    return str(asked_since(replace(incremental, format=None), stored))


def _wanted(table: TableSpec) -> Wanted:
    """A body that is the row itself, asked for by its parent's id, may be null: then there is none."""
    maybe = table.rows == "$" and table.for_each is not None
    return Wanted(table.rows, table.format, table.name, maybe=maybe)


def _is_computed(column: ColumnDef) -> bool:
    source = column.source or ""
    return source.startswith("$") or bool(template.names(source))
