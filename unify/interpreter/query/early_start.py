"""Starts the daemon while the session opens a new lake, for a statement that will need a load.

Both take as long as the rest of a first query. A home without a lake stores no table, so a statement that
reads a stored table of a connection needs a load, and the load a daemon. The thread reads connections.yaml
and the spec, which the session uses only once it has the lake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Event, Thread

from unify.config.settings import Settings
from unify.interpreter.connections import ConnectionCatalog
from unify.lake.attachment.attach import ready_marker
from unify.model import TableName


class EarlyStart:
    """The start of the daemon by a thread. An error is left to the load, which starts the daemon again."""

    def __init__(self, settings: Settings, connections: ConnectionCatalog) -> None:
        self._settings = settings
        self._connections = connections
        self._thread: Thread | None = None
        self._is_checked = Event()

    def begin(self, tables: Iterable[TableName], open_lake: Callable[[], object]) -> None:
        """Start the daemon if there is no lake and one of ``tables`` has to be loaded.

        ``open_lake`` is called meanwhile, in this thread. Returns when the connections are not used any more.
        """
        if self._thread is not None or ready_marker(self._settings).exists():
            return
        named = [table for table in tables if table.schema]
        if not named:
            return
        self._thread = Thread(target=self._start, args=(named,), name="daemon start")
        self._thread.start()
        try:
            open_lake()
        finally:
            self._is_checked.wait()

    def wait(self) -> None:
        """Wait until the daemon has started or failed to start."""
        if self._thread is not None:
            self._thread.join()

    def _needs_load(self, name: TableName) -> bool:
        if not self._connections.has(name.schema):
            return False
        if self._connections.is_relational(name.schema):
            return self._connections.table_settings(name).mode == "stored"
        self._connections.require_secrets(name.schema)
        stored = self._connections.stored_dependencies(name)
        if stored is not None:  # a view or a live table
            return bool(stored)
        return name.table.lower() in self._connections.tables(name.schema)

    def _start(self, tables: Sequence[TableName]) -> None:
        is_needed = False
        variables: Mapping[str, str] = {}
        with suppress(Exception):  # the statement does the same again, and reports it
            variables = self._connections.environment_variables()
            is_needed = any(map(self._needs_load, tables))
        self._is_checked.set()
        if not is_needed:
            return
        from unify.status.launch import ensure_daemon

        with suppress(Exception):  # so does the load
            ensure_daemon(self._settings, variables=variables)
