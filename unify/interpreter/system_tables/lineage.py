"""What each table reads: the rows of ``unify.lineage``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from unify.errors import ConfigError
from unify.lake.definitions import definitions
from unify.language.sql.analysis import analyse
from unify.model import TableName

if TYPE_CHECKING:
    from unify.interpreter.state import State

LineageRow = tuple[str, str, str, str, str, str | None]


def lineage_rows(state: State) -> Iterator[LineageRow]:
    """Yield a row for each table that another one reads: schema, table, and those of the read one.

    Then ``via``: ``parents``, of a table that is requested for each row of another one; ``view``; ``sync``,
    of a table that a sync writes; and the name of the sync.
    """
    yield from _spec_rows(state)
    for one in definitions(state.lake):
        if one.is_view:
            name = TableName(one.schema, one.name)
            yield from _rows(name, _read_tables(one.sql, one.schema, name), "view")
    for sync in state.queue.syncs.list(state.connections.settings.tenant):
        target = sync.definition.table
        yield from _rows(target, _read_tables(sync.definition.source, "main", None), "sync", sync.name)


def _spec_rows(state: State) -> Iterator[LineageRow]:
    connections = state.connections
    for connection in connections.names:
        with suppress(ConfigError):  # `show connections` reports it
            for table in connections.tables(connection).values():
                parents = [TableName(connection, parent) for parent in table.parents]
                yield from _rows(TableName(connection, table.name), parents, "parents")
            for view in connections.views(connection):
                read = [TableName(connection, table) for table in view.tables]
                yield from _rows(TableName(connection, view.name), read, "view")


def _read_tables(sql: str, schema: str, own: TableName | None) -> Iterator[TableName]:
    """Yield the tables of a statement, other than ``own``, which its definition begins with."""
    for ref in analyse(sql).tables:
        found = TableName(ref.schema or schema, ref.table)
        if str(found).lower() != str(own).lower():
            yield found


def _rows(
    name: TableName, read: Iterable[TableName], via: str, sync: str | None = None
) -> Iterator[LineageRow]:
    for one in sorted(set(read), key=str):
        yield name.schema, name.table, one.schema, one.table, via, sync
