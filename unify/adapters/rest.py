"""``RESTAdapter``: an API described by a spec, read as pages of undecoded rows."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

from unify.adapters import template
from unify.adapters.asking import CURSOR, UNTIL, base_url
from unify.adapters.auth import authentication
from unify.adapters.base import Adapter, Check, Listeners, Page, Read
from unify.adapters.budget import Budget, LocalBudget
from unify.adapters.crew import Crew
from unify.adapters.cursors import slices
from unify.adapters.envelope import Wanted, is_markup, open_envelope
from unify.adapters.filtered import with_filters
from unify.adapters.messages import Answer, Request, Veil
from unify.adapters.pace import Clock
from unify.adapters.paging import pager
from unify.adapters.person import Person
from unify.adapters.quota import quota_left
from unify.adapters.route import Bounds, Route
from unify.adapters.series import Reading, Source, Taken, all_series
from unify.adapters.spec import AdapterSpec, ErrorRule, Paging, TableSpec
from unify.adapters.tables import defined_tables
from unify.adapters.tokenkeep import TokenFolder
from unify.adapters.transport import Transport
from unify.connections import Secret
from unify.errors import ConfigError, Forbidden, SignInNeeded, SpecError, Unauthorized, UnknownName
from unify.model import TableDef
from unify.text import did_you_mean


class RESTAdapter(Adapter):
    """One API as one connection sees it.

    ``options``     values of the spec's options, secrets as ``Secret``; defaults are the spec's.
    ``connection``  its name, for messages.
    ``tokens``      keeps fetched tokens for other processes; None: this one alone knows them.
    ``route``       proxy, CA file and the like; base address, origins and concurrency come from the spec.
    Raises  ConfigError for an option without a value, and for what the spec asks and is not built in.
    """

    def __init__(
        self,
        spec: AdapterSpec,
        options: Mapping[str, str | Secret | None],
        *,
        listeners: Listeners | None = None,
        budget: Budget | None = None,
        connection: str = "",
        route: Route | None = None,
        bounds: Bounds | None = None,
        clock: Clock | None = None,
        tokens: TokenFolder | None = None,
    ) -> None:
        given = {**{option.name: option.default for option in spec.options}, **options}
        super().__init__(connection or spec.name, given, listeners or Listeners())
        self.spec = spec
        self._lock = threading.Lock()
        self._reads: set[threading.Event] = set()
        self._sources: dict[str, Source] = {}
        where = f"{self.connection} ({spec.path})"
        full = self._route(route or Route(""), where)
        self._auth = auth = authentication(
            spec.auth, self.options, where, base_url=full.base_url, tokens=tokens, connection=self.connection
        )
        self._transport = Transport(
            full,
            auth=auth,
            budget=budget or LocalBudget(spec.limits.requests_per_second),
            veil=Veil(self.secrets(), auth.hidden_params),
            listeners=listeners,
            bounds=bounds,
            clock=clock,
        )

    def list_tables(self) -> Sequence[TableDef]:
        return defined_tables(self.spec)

    def pages(self, table: str, read: Read) -> Generator[Page, None, None]:
        """See ``Adapter.pages``. Pages of one scope come in the order of their ``number``.

        Closing the generator, or ``close()`` from another thread, ends every request at once.
        """
        source = self._source(table, read.filters)
        with self._reading() as stop:
            reading = Reading(source, self._transport, read, Taken(read.limit), stop, self.listeners)
            hands = 1 if read.limit is not None else max(1, self.spec.limits.concurrency)
            crew = Crew(all_series(reading), hands, lambda: self._transport.halt(stop))
            with closing(crew.pages()) as pages:
                for page in pages:
                    total = crew.pages_total
                    yield page if total is None else replace(page, pages_total=total)

    def first_request(self, table: str, read: Read) -> str | None:
        """Method and address of the first request ``pages`` would send, without secrets. None is sent.

        None where there is nothing to ask for: a table with parents, and ``read`` has none.
        """
        source = self._source(table, read.filters)
        reading = Reading(source, self._transport, read, Taken(None), threading.Event())
        series = next(all_series(reading), None)
        if series is None:
            return None
        request = series.first_request()
        return f"{request.method} {self._transport.veil.text(request.address)}"

    def check(self) -> Check:
        """Send the request the spec names for it, else that of the first table that needs no other."""
        with self._reading() as stop:
            try:
                answer = self._transport.fetch(self._check_request(), self._check_rules(), stop)
                self._refuse_web_page(answer)
            except SignInNeeded:
                raise
            except (Unauthorized, Forbidden) as error:
                return Check(accepted=False, reason=error.message)
            return Check(True, self._identity(answer), quota_left(answer.headers))

    def signed_in(self) -> bool:
        return self._auth.signed_in()

    def sign_in(self, person: Person) -> None:
        with self._reading() as stop:
            self._transport.converse(self._auth.sign_in(person, self._transport.time), stop)

    def sign_out(self) -> None:
        self._auth.sign_out()

    def close(self) -> None:
        with self._lock:
            reads = list(self._reads)
        for stop in reads:
            self._transport.halt(stop)
        self._transport.close()

    def _route(self, route: Route, where: str) -> Route:
        spec = self.spec
        try:
            base = base_url(spec, self.options)
        except SpecError as error:
            raise ConfigError(f"{where}: base_url: {error.message}") from error
        if urlsplit(base).username is not None:
            raise ConfigError(f"{where}: base_url holds a user name or password; the spec's auth takes those")
        return replace(
            route,
            base_url=base,
            allowed_origins=spec.allowed_origins,
            concurrency=spec.limits.concurrency,
            credentials=route.credentials or self._credentials(),
        )

    def _credentials(self) -> str:
        """``option token of github``: what to look at when the API refuses us."""
        names = template.names_in(dict(self.spec.auth.settings))
        if not names:
            return f"the options of {self.connection}"
        return f"option{'s' if len(names) > 1 else ''} {', '.join(names)} of {self.connection}"

    def _source(self, table: str, filters: Mapping[str, str] | None = None) -> Source:
        with self._lock:
            found = self.spec.table(table)
            if found is None:
                hint = did_you_mean(table, [known.name for known in self.spec.tables])
                raise UnknownName(f"{self.connection}.{table}: {self.spec.path} has no such table{hint}")
            if found.filters:
                spec = with_filters(self.spec, found, filters or {})
                return Source(self.connection, spec, spec.table(table) or found, self.options)
            if table not in self._sources:
                self._sources[table] = Source(self.connection, self.spec, found, self.options)
            return self._sources[table]

    def _check_request(self) -> Request:
        source = Source(self.connection, self.spec, self._check_table(), self.options)
        turns = next(pager(source.paging, alone=True))
        first = next(slices(source.table.incremental, None, self._transport.now()))
        variables = {**self.options, CURSOR: first.cursor, UNTIL: first.until}
        return source.asking.request(variables, turns[0])

    def _check_rules(self) -> tuple[ErrorRule, ...]:
        """The spec's own, for an API that refuses with status 200; nothing is skipped in a check."""
        return tuple(rule for rule in self.spec.errors if rule.action != "skip")

    def _refuse_web_page(self, answer: Answer) -> None:
        """A web page with status 200 is how a wrong address, or a log-in page, looks. Raises BadResponse."""
        if self._check_table().format in ("json", "jsonl") and is_markup(answer.body):
            open_envelope(answer.body, answer.headers.get("content-type", ""), Wanted(""), answer.address)

    def _check_table(self) -> TableSpec:
        if self.spec.check is not None:
            method, _, path = self.spec.check.partition(" ")
            return TableSpec(name="check", method=method, path=path.strip(), paging=Paging("none"))
        for table in self.spec.tables:
            if table.for_each is None and table.live is None:
                return table
        raise ConfigError(
            f"{self.connection}: no table of {self.spec.path} can be asked for alone; "
            "name a request there under check:"
        )

    def _identity(self, answer: Answer) -> str:
        path = self.spec.check_identity
        if not path or not answer.body.strip():
            return ""
        kind = answer.headers.get("content-type", "")
        found = open_envelope(answer.body, kind, Wanted(""), answer.address).scalar(path)
        return "" if found is None else str(found)

    @contextmanager
    def _reading(self) -> Iterator[threading.Event]:
        stop = threading.Event()
        with self._lock:
            self._reads.add(stop)
        try:
            yield stop
        finally:
            with self._lock:
                self._reads.discard(stop)
