"""Starts the daemon while the session opens a new lake, for a statement that will need a load.

Both take as long as the rest of a first query. A home without a lake stores no table, so a statement that
reads a stored table of a connection needs a load, and the load a daemon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from threading import Thread

from unify.config.settings import Settings
from unify.errors import UnifyError
from unify.interpreter.connections import ConnectionCatalog
from unify.lake.attach import ready_marker
from unify.model import TableName


class EarlyStart:
    """The start of the daemon by a thread. An error is left to the load, which starts the daemon again."""

    def __init__(self, settings: Settings, connections: ConnectionCatalog) -> None:
        self._settings = settings
        self._connections = connections
        self._thread: Thread | None = None

    def begin(self, tables: Iterable[TableName]) -> None:
        """Start the daemon if there is no lake and one of ``tables`` has to be loaded."""
        if self._thread is not None or ready_marker(self._settings).exists():
            return
        with suppress(UnifyError, OSError):  # the statement reports it
            if any(map(self._needs_load, tables)):
                variables = self._connections.environment_variables()
                self._thread = Thread(target=self._start, args=(variables,), name="daemon start")
                self._thread.start()

    def wait(self) -> None:
        """Wait until the daemon has started or failed to start."""
        if self._thread is not None:
            self._thread.join()

    def _needs_load(self, name: TableName) -> bool:
        if not self._connections.has(name.schema):
            return False
        self._connections.require_secrets(name.schema)
        stored = self._connections.stored_dependencies(name)
        if stored is not None:  # a view or a live table
            return bool(stored)
        return name.table.lower() in self._connections.tables(name.schema)

    def _start(self, variables: Mapping[str, str]) -> None:
        from unify.status.launch import ensure_daemon

        with suppress(UnifyError, OSError):
            ensure_daemon(self._settings, variables=variables)
