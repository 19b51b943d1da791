"""Which table of a database or store a name means, and whether a statement reads it stored or live."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.errors import QueryError, SourceError, StoreError, UnknownName
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.freshness import FreshnessDecision, MaxAge, decide_source_freshness
from unify.interpreter.sources.open_sources import OpenSources
from unify.interpreter.sources.source_catalog import SourceCatalog
from unify.lake import catalog
from unify.lake.catalog import StoredTable
from unify.language.sql.refs import TableRef
from unify.language.table_names import join_table_name, schema_within, split_table_name
from unify.model import Column, TableDef, TableName
from unify.text import did_you_mean
from unify.writes.store import WriteStore

if TYPE_CHECKING:
    from unify.adapters.relation import SourceTable


class SourceUse(Struct, frozen=True):
    """A table of a source that a statement uses, and how.

    ``name``    as the source spells it.
    ``table``   as the source has it now; None unless it is read live.
    ``stored``  its rows in the lake; None if there are none.
    """

    name: TableName
    decision: FreshnessDecision
    checked_at: datetime
    table: SourceTable | None = None
    stored: StoredTable | None = None

    @property
    def is_live(self) -> bool:
        return self.decision is FreshnessDecision.READ_SOURCE


def source_key(name: TableName) -> str:
    """Return what is equal for two spellings of a name."""
    return str(name).lower()


class SourceTables:
    """The tables of all databases and stores of a session."""

    def __init__(self, sources: OpenSources, source_catalog: SourceCatalog, writes: WriteStore) -> None:
        self.sources = sources
        self._writes = writes
        self.catalog = source_catalog
        self.lake = sources.lake
        self.connections: ConnectionCatalog = sources.connections
        self._changed_at: dict[str, datetime] = {}  # by this session; older stored rows are outdated
        self._read_from_source: set[str] = set()  # see ``read_from_source``

    def name_of(self, ref: TableRef) -> TableName | None:
        """Return the name, as written, of a table of a source; None for other tables."""
        if ref.catalog:
            if not self.connections.is_relational(ref.catalog):
                return None
            return TableName(ref.catalog, join_table_name(ref.schema, ref.table))
        return TableName(ref.schema, ref.table) if self.connections.is_relational(ref.schema) else None

    def choose(self, names: Iterable[TableName], max_age: MaxAge) -> Mapping[str, SourceUse]:
        """Decide how each table is read, by ``source_key`` of its name as written.

        Raises UnknownName for a table that the source does not have, SourceError if it cannot be asked.
        """
        chosen = dict.fromkeys(names)
        with self.sources.together() if len(chosen) > 1 else nullcontext():
            return {source_key(name): self._choose(name, max_age) for name in chosen}

    def find(self, name: TableName) -> SourceTable:
        """Return a table as the source has it now. Raises UnknownName with the nearest table."""
        found = self.find_optional(name)
        if found is None:
            raise UnknownName(self._unknown_message(name))
        return found

    def find_optional(self, name: TableName) -> SourceTable | None:
        """Like ``find``; None if there is no such table."""
        with self.sources.use(name.schema) as (adapter, duck):
            found = adapter.find_table(duck, name.table)
            if found is None and (plain := self._without_first_schema(name)) != name.table:
                found = adapter.find_table(duck, plain)  # shop.main.orders of a source that has no schemas
            if found is None and "." in name.table:  # a name with a dot, in quotes
                found = adapter.find_table(duck, join_table_name("", name.table))
        if found is not None:
            self.connections.remember_tables(name.schema, [_table_def(found)])
        return found

    def stored_name(self, name: TableName) -> TableName | None:
        """Return the name under which rows of a table are stored, without asking its source."""
        folded = str(TableName(name.schema, self._without_first_schema(name))).lower()
        stored = catalog.stored_tables(self.lake)
        return next((known for known in stored if str(known).lower() == folded), None)

    def canonical_name(self, name: TableName) -> TableName:
        """Return the name as the source spells it; the source is asked if no rows are stored."""
        if (stored := self.stored_name(name)) is not None:
            return stored
        return TableName(self.connections.connection(name.schema).name, self.find(name).name)

    def columns(self, name: TableName) -> Sequence[Column]:
        """Return the columns of a table as the source has it now."""
        return _table_def(self.find(name)).columns

    def note_change(self, name: TableName) -> None:
        """Read a table that a statement has changed from its source, until it is stored again."""
        key, now = source_key(self.stored_name(name) or name), datetime.now(UTC)
        self._changed_at[key] = now
        with suppress(StoreError):  # then other sessions read the stored rows, which are loaded again soon
            self._writes.note_change(key, now)

    @contextmanager
    def read_from_source(self, name: TableName) -> Iterator[None]:
        """Within the block, read a table from its source, even if it is stored."""
        self._read_from_source.add(source_key(self.stored_name(name) or name))
        try:
            yield
        finally:
            self._read_from_source.clear()

    def _is_outdated(self, stored_name: TableName, stored: StoredTable) -> bool:
        key = source_key(stored_name)
        changes = (self._changed_at.get(key), self._writes.changed_at(key))
        is_older = any(change is not None and stored.read_since <= change for change in changes)
        return is_older or key in self._read_from_source

    def _choose(self, name: TableName, max_age: MaxAge) -> SourceUse:
        now = datetime.now(UTC)
        stored_name = self.stored_name(name)
        stored = catalog.stored_tables(self.lake)[stored_name] if stored_name is not None else None
        settings = self.connections.table_settings(stored_name or name)
        decision = decide_source_freshness(
            stored.loaded_at if stored is not None else None,
            self.connections.refresh_every_s(stored_name) if stored_name is not None else None,
            max_age,
            now,
            is_kept=settings.mode == "stored",
        )
        if stored_name and stored and not max_age.never and self._is_outdated(stored_name, stored):
            decision = FreshnessDecision.READ_SOURCE
        if stored_name is not None and decision is not FreshnessDecision.READ_SOURCE:
            return SourceUse(stored_name, decision, now, stored=stored)
        if max_age.never and stored is None and settings.mode != "stored":
            raise QueryError(
                f"no rows of {name} are stored, and max_age = none reads stored rows only: "
                f"load table {name}, or set max_age = default to read them from the source"
            )
        table = self.find(name)
        canonical = TableName(self.connections.connection(name.schema).name, table.name)
        return SourceUse(canonical, decision, now, table, stored)

    def _without_first_schema(self, name: TableName) -> str:
        """Return ``orders`` for ``public.orders`` where public is configured as the first schema."""
        try:
            schema, table = split_table_name(name.table)
        except ValueError:
            return name.table
        return join_table_name("", table) if schema and self._is_first(name.schema, schema) else name.table

    def _is_first(self, connection: str, schema: str) -> bool:
        return schema.lower() == self.first_schema(connection).lower()

    def first_schema(self, connection: str) -> str:
        """Return the schema whose tables need no schema, as connections.yaml says; main if there is none."""
        from unify.adapters.built_in import find_built_in
        from unify.adapters.options import split_list

        configured = self.connections.connection(connection)
        built_in = find_built_in(configured.adapter)
        options = built_in.adapter_class().takes if built_in is not None else ()
        default = next((option.default for option in options if option.name == "schemas"), None)
        written = configured.options.get("schemas") or default or configured.options.get("database") or "main"
        return next(iter(split_list(written)), "main")

    def _unknown_message(self, name: TableName) -> str:
        connection = self.connections.connection(name.schema).name
        self._list_for_hint(name)
        known = [table.name for table in self.connections.tables(connection).values()]
        listing = connection
        if not any("." in table for table in known) and (schema := schema_within(name.table)):
            listing = f"{connection}.{schema}"
        return (
            f"connection {connection} has no table {name.table}{did_you_mean(name.table, known)} "
            f"(show tables from {listing} lists them)"
        )

    def _list_for_hint(self, name: TableName) -> None:
        schema = schema_within(name.table)
        try:
            self.catalog.list_tables(name.schema)
            if schema:
                self.catalog.list_tables(name.schema, schema)
        except SourceError:
            return  # the message has no suggestion


def _table_def(table: SourceTable) -> TableDef:
    columns = tuple(Column(one.name, one.type, one.description) for one in table.columns)
    return TableDef(table.name, table.description, columns, table.key)
