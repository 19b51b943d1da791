"""RESTAdapter: reads the tables of a spec as pages of undecoded rows."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from unify.adapters.auth.factory import build_authentication
from unify.adapters.auth.hints import request_hint, token_hints
from unify.adapters.auth.token_cache import TokenCacheFolder
from unify.adapters.base import Adapter, Check, Listeners, Page, Read, ReadProgress, UserPrompt
from unify.adapters.formats.body import RecordSelector, ResponseBody
from unify.adapters.formats.records import is_markup, parse_body
from unify.adapters.http.client import HttpClient
from unify.adapters.http.messages import (
    UNPROTECTED_MESSAGE,
    ClientOptions,
    Request,
    Response,
    Timeouts,
    is_unprotected,
)
from unify.adapters.http.rate_limit import Clock, RateLimiter
from unify.adapters.http.retry import quota_left
from unify.adapters.options import choose_auth, expand_list_options
from unify.adapters.rest.deleted_rows import deleted_rows_table, deletions_page
from unify.adapters.rest.jobs.job_reader import JobScopeReader
from unify.adapters.rest.page_fetcher import PageFetcher
from unify.adapters.rest.pushdown import apply_filters
from unify.adapters.rest.read_plan import ReadPlan, Scope
from unify.adapters.rest.request_builder import render_base_url
from unify.adapters.rest.row_writer import RowWriter
from unify.adapters.rest.scope_reader import ReadContext, RowLimit, ScopeReader
from unify.adapters.rest.shared_responses import PageClient, SharedResponses
from unify.adapters.rest.table_source import TableSource
from unify.adapters.spec.model import AdapterSpec, TableSpec, table_defs
from unify.adapters.spec.paging import Paging
from unify.config.secrets import Secret
from unify.errors import ConfigError, Forbidden, SignInNeeded, SpecError, Unauthorized, UnknownName
from unify.model import TableDef
from unify.redaction import Redactor
from unify.text import did_you_mean


class RESTAdapter(Adapter):
    """The API of a spec, for one connection.

    ``options``         values of the spec's options, secrets as ``Secret``; missing ones have their defaults.
    ``connection``      its name, for messages.
    ``client_options``  proxy, CA file and credentials hint; the rest comes from the spec.
    ``token_cache``     shares issued tokens with other processes.
    ``shared_folder``   of the responses of tables with ``shares``; None: each table sends its requests.

    Raises:
        ConfigError: an option has no value.
    """

    def __init__(
        self,
        spec: AdapterSpec,
        options: Mapping[str, str | Secret | None],
        *,
        listeners: Listeners | None = None,
        rate_limiter: RateLimiter | None = None,
        connection: str = "",
        client_options: ClientOptions | None = None,
        timeouts: Timeouts | None = None,
        clock: Clock | None = None,
        token_cache: TokenCacheFolder | None = None,
        redactor: Redactor | None = None,
        shared_folder: Path | None = None,
    ) -> None:
        values = {**{option.name: option.default for option in spec.options}, **options}
        super().__init__(connection or spec.name, values, listeners or Listeners())
        self.spec = spec = expand_list_options(choose_auth(spec, values), values)
        self._shared_folder = shared_folder
        self._redactor = redactor or Redactor()
        self._redactor.add(*self.secrets())
        self._lock = threading.Lock()
        self._active_reads: set[threading.Event] = set()
        self._table_sources: dict[str, TableSource] = {}
        where = f"{self.connection} ({spec.path})"
        client_options = self._build_client_options(client_options or ClientOptions(""), where)
        self._build_auth = partial(
            build_authentication,
            variables=self.options,
            where=where,
            base_url=client_options.base_url,
            token_cache=token_cache,
            connection=self.connection,
        )
        self._build_client = partial(
            HttpClient,
            client_options,
            rate_limiter=rate_limiter or RateLimiter(spec.limits.requests_per_second),
            redactor=self._redactor,
            listeners=listeners,
            timeouts=timeouts,
            clock=clock,
        )
        self._auth = self._build_auth(spec.auth)
        self._client = self._build_client(auth=self._auth)
        self._table_clients: dict[str, HttpClient] = {}  # of tables with an authentication of their own

    def list_tables(self) -> Sequence[TableDef]:
        return table_defs(self.spec)

    def pages(self, table: str, read: Read) -> Generator[Page, None, None]:
        """See ``Adapter.pages``. The pages of a scope are in the order of their ``number``.

        Closing the generator, or ``close()`` in another thread, ends all requests at once.
        """
        plan = self.plan(table, read)
        source = plan.source
        if read.progress is not None:
            self._restore_progress(source, read.progress)
        source.expect_rows(read.rows_location)
        own_client = self._client_of(source.table)
        with self._track_read() as stop, self._open_client(source.table, read, stop) as client:
            context = ReadContext(
                plan, client, own_client, RowLimit(read.limit), stop, self.listeners, self._redactor.redact
            )
            readers = (self.make_reader(context, scope) for scope in plan.scopes())
            workers = 1 if read.limit is not None else max(1, self.spec.limits.concurrency)
            fetcher = PageFetcher(readers, workers, lambda: own_client.cancel(stop))
            with closing(fetcher.pages()) as pages:
                for fetched in pages:
                    page = fetched.page
                    state = source.export_state()
                    position = page.position and replace(page.position, is_last=fetched.is_last, state=state)
                    yield replace(page, pages_total=fetcher.pages_total, position=position)
            yield from self._deletions(source.table, read, stop)
        for note in source.load_notes():
            self.listeners.note(self._redactor.redact(note))
        if source.rows_location:
            self.listeners.rows_located(source.rows_location)

    def _open_client(
        self, table: TableSpec, read: Read, stop: threading.Event
    ) -> AbstractContextManager[PageClient]:
        """The client of a load; one that shares responses if several tables have the same requests."""
        group = table.shares or table.name
        is_shared = table.shares is not None or any(each.shares == group for each in self.spec.tables)
        client = self._client_of(table)
        if not is_shared or self._shared_folder is None or read.limit is not None:
            return nullcontext(client)
        responses = SharedResponses(self._shared_folder, self.connection, client.origin, group)
        return responses.open_client(client, table.name, stop)

    def _client_of(self, table: TableSpec) -> HttpClient:
        """The client of the connection, or of a table with an authentication of its own."""
        if table.auth is None:
            return self._client
        with self._lock:
            if table.name not in self._table_clients:
                self._table_clients[table.name] = self._build_client(auth=self._build_auth(table.auth))
            return self._table_clients[table.name]

    def _deletions(self, table: TableSpec, read: Read, stop: threading.Event) -> Iterator[Page]:
        """Yield the keys in the list of deleted rows; later loads only, because a first one stores none."""
        deleted = table.deleted
        if deleted is None or deleted.request is None or not read.since or read.limit is not None:
            return
        source = TableSource(self.connection, self.spec, deleted_rows_table(table, deleted), self.options)
        plan = ReadPlan(source, Read(read.parents, read.since), read.now or self._client.now())
        client = self._client_of(table)
        context = ReadContext(
            plan, client, client, RowLimit(None), stop, self.listeners, self._redactor.redact
        )
        readers = (ScopeReader(context, scope) for scope in plan.scopes())
        fetcher = PageFetcher(readers, self.spec.limits.concurrency, lambda: client.cancel(stop))
        with closing(fetcher.pages()) as pages:
            for fetched in pages:
                yield deletions_page(fetched.page, table.key, deleted)

    def make_reader(self, context: ReadContext, scope: Scope) -> ScopeReader:
        return (JobScopeReader if context.plan.source.job is not None else ScopeReader)(context, scope)

    def _restore_progress(self, source: TableSource, progress: ReadProgress) -> None:
        source.restore_state(progress.state, progress.repairs)
        detected = source.paging_state.detected
        if detected is not None:
            source.reported_paging = detected
            source.use_paging(detected)
        for text in source.detected_pagings:
            self.listeners.paging_detected(text)

    def plan(self, table: str, read: Read) -> ReadPlan:
        """The plan of ``pages``. Sends no request. Raises UnknownName."""
        return ReadPlan(self._table_source(table, read.filters), read, read.now or self._client.now())

    def describe_read(self, table: str, read: Read) -> list[str]:
        """Return the read plan as redacted lines: first request, paging, rows, incremental window."""
        with self._redactor.redact_errors():
            return [self._redactor.redact(line) for line in self.plan(table, read).describe()]

    def outline_read(self, table: str, read: Read) -> list[str]:
        """Return the redacted lines of the read plan after its first request."""
        with self._redactor.redact_errors():
            return [self._redactor.redact(line) for line in self.plan(table, read).outline()]

    def first_request(self, table: str, read: Read) -> str | None:
        """Method and URL of the first request of ``pages``, without secrets; None if it sends none."""
        plan = self.plan(table, read)
        scope = next(plan.scopes(), None)
        if scope is None:
            return None
        with self._redactor.redact_errors():
            request = plan.first_request(scope)
            return f"{request.method} {self._redactor.redact(request.full_url)}"

    @contextmanager
    def open_writer(self, table: str) -> Iterator[RowWriter]:
        """Open a writer of ``table``; ``cancel`` ends its request.

        Raises:
            UnknownName: there is no such table.
            ConfigError: the spec does not say how it is written.
        """
        found = self._find_table(table)
        with self._track_read() as stop:
            yield RowWriter(self._client_of(found), self.spec, found, self.options, stop=stop)

    def check(self) -> Check:
        """Send the ``check`` request of the spec, else that of the first table without parents."""
        table = self._check_table()
        rules = tuple(rule for rule in self.spec.errors if rule.action != "skip")
        with self._track_read() as stop:
            try:
                response = self._client_of(table).fetch(self._check_request(table), rules, stop)
            except SignInNeeded:
                raise
            except (Unauthorized, Forbidden) as error:
                return Check(accepted=False, reason=self._redactor.redact(error.message))
            if table.format in ("json", "jsonl") and is_markup(response.body):
                _parse_response(response)  # raises: it is the web page of a wrong URL, or a log-in page
            return Check(True, self._read_identity(response), quota_left(response.headers))

    def is_signed_in(self) -> bool:
        return self._auth.is_signed_in()

    def sign_in(self, prompt: UserPrompt) -> None:
        with self._track_read() as stop:
            self._client.run_auth_flow(self._auth.sign_in(prompt, self._client.time), stop)

    def sign_out(self) -> None:
        self._auth.sign_out()

    def cancel(self) -> None:
        with self._lock:
            reads, clients = list(self._active_reads), [self._client, *self._table_clients.values()]
        for stop in reads:
            for client in clients:
                client.cancel(stop)

    def close(self) -> None:
        self.cancel()
        for client in (self._client, *self._table_clients.values()):
            client.close()

    def _build_client_options(self, client_options: ClientOptions, location: str) -> ClientOptions:
        spec = self.spec
        try:
            base = render_base_url(spec, self.options)
        except SpecError as error:
            raise ConfigError(f"{location}: base_url: {error.message}") from error
        if urlsplit(base).username is not None:
            raise ConfigError(
                f"{location}: base_url contains a user name or password; use the spec's auth for them"
            )
        requires_tls = self._has_credentials() and not self._allows_http(location)
        if requires_tls and is_unprotected(base):
            raise ConfigError(f"{location}: base_url: {UNPROTECTED_MESSAGE}")
        for origin in spec.credential_origins if requires_tls else ():
            if is_unprotected(origin):
                raise ConfigError(f"{location}: credentials_also_to: {origin}: {UNPROTECTED_MESSAGE}")
        return replace(
            client_options,
            base_url=base,
            credential_origins=spec.credential_origins,
            requires_tls=requires_tls,
            allowed_origins=spec.allowed_origins,
            concurrency=spec.limits.concurrency,
            credentials_hint=client_options.credentials_hint
            or request_hint(spec, self._describe_option)
            or f"the options of {self.connection}",
            token_hints=client_options.token_hints or token_hints(spec, self._describe_option),
        )

    def _allows_http(self, location: str) -> bool:
        value = self.options.get("allow_http")
        text = (value.reveal() if isinstance(value, Secret) else value or "false").strip().lower()
        if text not in ("true", "false"):
            raise ConfigError(f"{location}: allow_http: expected true or false")
        return text == "true"

    def _has_credentials(self) -> bool:
        secret = any(
            isinstance(value, Secret) and value for name, value in self.options.items() if name != "proxy"
        )
        auths = [self.spec.auth, *(table.auth for table in self.spec.tables if table.auth is not None)]
        return secret or any(auth.type != "none" for auth in auths)

    def _describe_option(self, name: str, place: str) -> str:
        return f"option {name} of {self.connection} ({place})"

    def _find_table(self, table: str) -> TableSpec:
        found = self.spec.table(table)
        if found is None:
            hint = did_you_mean(table, [known.name for known in self.spec.tables])
            raise UnknownName(f"{self.connection}.{table}: {self.spec.path} has no such table{hint}")
        return found

    def _table_source(self, table: str, filters: Mapping[str, str] | None = None) -> TableSource:
        with self._lock:
            table_spec = self._find_table(table)
            if table_spec.filters:
                spec = apply_filters(self.spec, table_spec, filters or {})
                return TableSource(self.connection, spec, spec.table(table) or table_spec, self.options)
            if table not in self._table_sources:
                self._table_sources[table] = TableSource(self.connection, self.spec, table_spec, self.options)
            return self._table_sources[table]

    def _check_request(self, table: TableSpec) -> Request:
        source = TableSource(self.connection, self.spec, table, self.options)
        plan = ReadPlan(source, Read(), self._client.now())
        return plan.first_request(next(plan.scopes()))

    def _check_table(self) -> TableSpec:
        if self.spec.check is not None:
            return TableSpec("check", (self.spec.check.request,), paging=Paging("none"))
        for table in self.spec.tables:
            if table.for_each is None and table.live is None and table.job is None:
                return table
        raise ConfigError(
            f"{self.connection}: every table of {self.spec.path} has parents or a job; "
            "add a request under check:"
        )

    def _read_identity(self, response: Response) -> str:
        path = self.spec.check.identity if self.spec.check is not None else None
        if path is None or not response.body.strip():
            return ""
        identity = _parse_response(response).scalar(path)
        return "" if identity is None else str(identity)

    @contextmanager
    def _track_read(self) -> Iterator[threading.Event]:
        """Yield the event that cancels the requests of the block. Errors leave it without secrets."""
        stop = threading.Event()
        with self._lock:
            self._active_reads.add(stop)
        try:
            with self._redactor.redact_errors():
                yield stop
        finally:
            with self._lock:
                self._active_reads.discard(stop)


def _parse_response(response: Response) -> ResponseBody:
    """Parse the response of a check. Raises BadResponse."""
    content_type = response.headers.get("content-type", "")
    return parse_body(response.body, content_type, RecordSelector(""), response.request_line)
