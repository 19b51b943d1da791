"""The open databases and stores of a session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from threading import Event, Lock
from typing import TYPE_CHECKING

from unify.engine.types import quote_identifier as quoted
from unify.errors import Interrupted, UnifyError
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.sources.copied_tables import SourceDatabase
from unify.lake.lake import Lake

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.relation import RelationalAdapter
    from unify.config.connections import Connection


CANCEL_TIMEOUT_S = 1.0  # after Ctrl-C
CANCEL_INTERVAL_S = 0.05  # between two requests to end a statement


class OpenSources:
    """Opens the adapter of a connection when a statement first needs it, attached to the lake's DuckDB.

    A connection that has changed in connections.yaml is opened again. In a restricted session, sources are
    attached to a DuckDB of their own, ``database``.
    """

    def __init__(self, lake: Lake, connections: ConnectionCatalog) -> None:
        self.lake = lake
        self.connections = connections
        self.database = SourceDatabase(lake)
        self.in_use: set[str] = set()  # connections that the current statement reads live
        self._adapters: dict[str, tuple[Connection, RelationalAdapter]] = {}
        self._attached: dict[str, tuple[object, int]] = {}  # when; see _attach
        self._shared: tuple[ExitStack, dict[str, DuckDBPyConnection]] | None = None  # within ``together``
        self._cancelling = Lock()  # the main thread and one that sees Ctrl-C may both cancel a statement
        self._is_cancelled = False
        self._pause = Event()  # never set
        lake.interrupt_hooks.append(self.cancel)

    @contextmanager
    def use(self, name: str) -> Iterator[tuple[RelationalAdapter, DuckDBPyConnection]]:
        """Yield the attached adapter of a connection, and a DuckDB connection to use it with.

        That is the user's own while a transaction is open, so that both see one version of the source.
        Raises ConfigError, UnresolvedSecret or SourceError; Interrupted on Ctrl-C.
        """
        adapter = self._open(self.connections.connection(name))
        with ExitStack() as own:
            try:
                with self.connections.redactor.redact_errors():
                    yield adapter, self._connect(adapter, own)
            except KeyboardInterrupt:
                self.in_use.add(adapter.connection)
                self.cancel()
                raise Interrupted("the statement was interrupted") from None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within the block, all uses of a source share one transaction of it, which saves round trips."""
        with ExitStack() as stack:
            self._shared = stack, {}
            try:
                yield
            finally:
                self._shared = None

    def _connect(self, adapter: RelationalAdapter, own: ExitStack) -> DuckDBPyConnection:
        """Return an attached DuckDB connection, which is closed with ``own`` or the block of ``together``."""
        if self.lake.in_transaction:
            self._attach(adapter, self.lake.connection)
            return self.lake.connection
        if self._shared is None:
            duck = own.enter_context(self._cursor())
            self._attach(adapter, duck)
            return duck
        stack, known = self._shared
        if adapter.connection not in known:
            duck = stack.enter_context(self._cursor())
            self._attach(adapter, duck)
            known[adapter.connection] = duck.execute("BEGIN")
        return known[adapter.connection]

    def _cursor(self) -> AbstractContextManager[DuckDBPyConnection]:
        if self.lake.is_restricted:
            return closing(self.database.open().cursor())
        return self.lake.cursor(uses_lake=False)

    def _attach(self, adapter: RelationalAdapter, duck: DuckDBPyConnection) -> None:
        """Attach the source, unless it was attached since the lake was opened and a database detached."""
        state: tuple[object, int] = self.lake.connection, self.lake.statements.definition_version
        if self.lake.is_restricted:
            state = self.database, 0
        if self._attached.get(adapter.connection) != state:
            adapter.attach(duck)
            self._attached[adapter.connection] = state

    def cancel(self) -> None:
        """End what the statement runs at its sources, which DuckDB's interrupt does not.

        A thread of DuckDB may be about to send it, so that sources are asked again until they had something
        to end and have nothing more, at most CANCEL_TIMEOUT_S.
        """
        with self._cancelling:
            if not self._is_cancelled:
                self._is_cancelled = True
                self.database.interrupt()
                self._cancel_statements()

    def end_statement(self) -> None:
        """Forget what the previous statement read."""
        self.in_use.clear()
        self._is_cancelled = False

    def _cancel_statements(self) -> None:
        until = time.monotonic() + CANCEL_TIMEOUT_S
        asked = [self._adapters[name][1] for name in self.in_use if name in self._adapters]
        ended = 0
        while asked:
            counts = [count for adapter in asked if (count := self._cancel(adapter)) is not None]
            if not counts or (ended and not sum(counts)) or time.monotonic() >= until:
                return
            ended += sum(counts)
            self._pause.wait(CANCEL_INTERVAL_S)

    def _cancel(self, adapter: RelationalAdapter) -> int | None:
        """Return how many statements were ended; None if the source cannot be asked."""
        try:
            with self._cursor() as duck:
                return adapter.cancel(duck)
        except UnifyError:  # it does not respond, and the user is leaving
            return None

    def close(self) -> None:
        for name in list(self._adapters):
            self._close(name)
        self.database.close()
        if self.cancel in self.lake.interrupt_hooks:
            self.lake.interrupt_hooks.remove(self.cancel)

    def _open(self, connection: Connection) -> RelationalAdapter:
        from unify.adapters import registry

        known = self._adapters.get(connection.name)
        if known is not None and known[0] == connection:
            return known[1]
        if known is not None:
            self._close(connection.name)
        adapter = registry.open_relational(
            connection, self.connections.environment, self.connections.redactor
        )
        self._adapters[connection.name] = connection, adapter
        return adapter

    def _close(self, name: str) -> None:
        _, adapter = self._adapters.pop(name)
        self._attached.pop(name, None)
        adapter.close()
        self._detach(name)

    def _detach(self, name: str) -> None:
        """Detach what the adapter attached: the name may get other options."""
        from unify.adapters.relation import HIDDEN_PREFIX
        from unify.engine import duckdb

        with self._cursor() as duck:
            rows = duck.execute("SELECT database_name FROM duckdb_databases()").fetchall()
            own = [alias for (alias,) in rows if alias.startswith(HIDDEN_PREFIX)]
            for alias in own:
                if alias.endswith(f"_{name.lower()}"):
                    with suppress(duckdb.Error):  # a result of it is still open: it ends with the session
                        duck.execute(f"DETACH {quoted(alias)}")
