"""The schemas and tables of databases and stores, asked at most once a minute.

The last list of each connection is kept on disk: completion reads it, and never asks a source.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from unify.config.settings import create_private_folder
from unify.errors import StoreError
from unify.fs.durable import read_regular_file
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.sources.open_sources import OpenSources
from unify.model import TableDef

if TYPE_CHECKING:
    from unify.config.connections import Connection

CACHE_S = 60.0  # how long a list is used; a table is looked for in each statement whatever its age


class CachedTables(Struct, frozen=True):
    """The tables of one connection on disk. ``source`` tells whether its options are still the same."""

    source: str
    tables: tuple[TableDef, ...]


class SourceCatalog:
    """Lists of schemas and tables."""

    def __init__(self, sources: OpenSources) -> None:
        self.sources = sources
        self.connections: ConnectionCatalog = sources.connections
        self._schemas: dict[str, tuple[float, Sequence[str]]] = {}
        self._listed_s: dict[tuple[str, str], float] = {}  # when the tables of (connection, schema) were
        self._read: set[str] = set()  # connections whose file was read

    def schemas(self, connection: str) -> Sequence[str]:
        """Return the schemas of a database, the first one first. Raises SourceError."""
        known = self._schemas.get(connection.lower())
        if known is not None and time.monotonic() - known[0] < CACHE_S:
            return known[1]
        with self.sources.use(connection) as (adapter, duck):
            found = tuple(adapter.list_schemas(duck))
        self._schemas[connection.lower()] = time.monotonic(), found
        return found

    def list_tables(self, connection: str, schema: str = "") -> None:
        """Have ``ConnectionCatalog.tables`` know the tables of a source. Raises SourceError.

        ``schema``  one of a database; "": the configured ones.
        """
        key = (connection.lower(), schema.lower())
        listed_s = self._listed_s.get(key)
        if listed_s is not None and time.monotonic() - listed_s < CACHE_S:
            return
        with self.sources.use(connection) as (adapter, duck):
            found = adapter.list_tables(duck, schema)
        if not schema:
            self.connections.forget_tables(connection)
        self.connections.remember_tables(connection, found)
        self._listed_s[key] = time.monotonic()
        if not schema:
            self._save(self.connections.connection(connection), found)

    def forget(self, connection: str) -> None:
        """Ask a source again: its tables have changed."""
        for key in [key for key in self._listed_s if key[0] == connection.lower()]:
            del self._listed_s[key]

    def read_saved(self) -> None:
        """Have ``ConnectionCatalog.tables`` know what the last list of each source had. Asks no source."""
        for name in self.connections.relational_names():
            if name not in self._read:
                self._read.add(name)
                self.connections.remember_tables(name, self._load(self.connections.connection(name)))

    def _load(self, connection: Connection) -> Sequence[TableDef]:
        try:
            data = read_regular_file(self._file(connection))
            cached = msgspec.json.decode(data, type=CachedTables)
        except (OSError, msgspec.DecodeError):
            return ()  # it is written again by the next list
        return cached.tables if cached.source == _source_digest(connection) else ()

    def _save(self, connection: Connection, tables: Sequence[TableDef]) -> None:
        from unify.fs import durable

        cached = CachedTables(_source_digest(connection), tuple(tables))
        with suppress(OSError, StoreError):  # completion has less to offer
            create_private_folder(self._file(connection).parent)
            durable.atomic_write(self._file(connection), msgspec.json.encode(cached))

    def _file(self, connection: Connection) -> Path:
        return self.connections.settings.cache / "sources" / f"{connection.name}.json"


def _source_digest(connection: Connection) -> str:
    """Return what tells two sources apart, without secrets."""
    from unify.adapters.built_in import find_built_in

    built_in = find_built_in(connection.adapter)
    public = (
        {option.name for option in built_in.adapter_class().takes if not option.secret} if built_in else ()
    )
    options = sorted((name, value) for name, value in connection.options.items() if name in public)
    return hashlib.sha256(repr((connection.adapter, options)).encode()).hexdigest()[:16]
