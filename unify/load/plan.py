"""Load plan: what one load reads, by action, spec and ledger; stored columns and parent rows.

The SELECT of ``for_each`` was checked when the spec was read. It runs in a restricted lake, which cannot open
other files, load an extension or attach a database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from unify.adapters import registry
from unify.adapters.base import ParentRow, Read, TableConfig
from unify.adapters.rest.incremental import is_later, may_replace_cursor
from unify.adapters.spec.model import AdapterSpec
from unify.adapters.spec.table_keys import RefreshStrategy
from unify.config.connections import Connection
from unify.convert.selection import StoredSchema
from unify.engine.connection import fetch_distinct_rows
from unify.engine.types import quote_identifier as quoted
from unify.engine.widening import text_places
from unify.errors import LoadFailed, UnknownName
from unify.lake import catalog, ledger
from unify.lake.lake import Lake
from unify.lake.table_layouts import TableLayout, read_layout
from unify.load.environment import find_connection
from unify.load.protocol import LoadTask
from unify.model import Action, Column, LoadRecord, TableDef, TableName
from unify.text import did_you_mean

NO_CURSOR = ""  # of a scope whose rows are deleted: if its parent is back, all its rows are read
_INCREMENTAL_STRATEGIES: tuple[RefreshStrategy, ...] = (
    "append",
    "merge",
)  # the others replace, so they need every row


class LoadPlan(Struct, frozen=True):
    """The plan of one load: what it reads of a table, and from where on.

    ``based_on``       uid of the published load whose cursor this one starts from; "" if it reads everything.
    ``cursor_column``  "" if loads are not incremental.
    ``is_full_reload``  a refresh reads everything because ``refresh.reload`` is due.
    ``cursor_limit``   rows with a later cursor do not count for the next load's start; None: all count.
    """

    strategy: RefreshStrategy
    read: Read
    based_on: str = ""
    cursor_column: str = ""
    cursor_limit: datetime | None = None
    stored_cursors: Mapping[str, str] = field(default_factory=dict)
    is_full_reload: bool = False

    def next_cursors(self, new_cursors: Mapping[str, str]) -> Mapping[str, str]:
        """Return the state for the next load: the greatest cursor of each scope, now or before."""
        furthest = dict(self.stored_cursors)
        for scope, cursor in new_cursors.items():
            if scope not in furthest or may_replace_cursor(cursor, furthest[scope]):
                furthest[scope] = cursor
        return furthest


def make_load_plan(
    action: Action,
    table: TableConfig,
    last: LoadRecord | None,
    parents: Sequence[ParentRow],
    *,
    now: datetime,
    rows_location: str = "",
    reloaded_at: datetime | None = None,
) -> LoadPlan:
    """Decide how to load ``table``, whose last published load is ``last``.

    ``reloaded_at``  when everything was last read.

    Loads do not start from a cursor later than ``now``: it would exclude every change until then.
    """
    incremental = table.incremental
    cursor = incremental.cursor if incremental else ""
    limit = now if incremental and not incremental.allow_future else None
    read = Read(parents, rows_location=rows_location)
    if action is not Action.REFRESH or last is None:
        return LoadPlan("reload", read, cursor_column=cursor, cursor_limit=limit)
    reload_s = table.refresh.reload_s
    if reload_s is not None and (reloaded_at is None or now - reloaded_at >= timedelta(seconds=reload_s)):
        return LoadPlan("reload", read, cursor_column=cursor, cursor_limit=limit, is_full_reload=True)
    strategy = table.refresh.strategy or _default_strategy(table)
    stored = {
        scope: text
        for scope, text in last.cursor.items()
        if incremental and text != NO_CURSOR and not (limit and is_later(incremental, text, limit))
    }
    if not stored and table.deleted is not None and table.deleted.request is not None:
        # Everything is read, but not the list of deleted rows, which starts from a cursor: a merge would
        # keep rows that are not in the source any more.
        return LoadPlan("reload", read, cursor_column=cursor, cursor_limit=limit, is_full_reload=True)
    if not stored or strategy not in _INCREMENTAL_STRATEGIES:
        return LoadPlan(strategy, read, cursor_column=cursor, cursor_limit=limit)
    return LoadPlan(strategy, replace(read, since=stored), last.uid, cursor, limit, stored)


def _default_strategy(table: TableConfig) -> RefreshStrategy:
    return "merge" if table.incremental and table.key else "reload"


def read_stored_columns(lake: Lake, table: TableName, last: LoadRecord | None) -> Sequence[Column]:
    """Return the columns of the stored rows in their order; none for a table without rows.

    Types are untyped wherever no row has a value; "" means that the whole column has none.
    """
    if last is None or not last.rows_total:
        return ()
    columns = catalog.table_columns(lake, table)
    if not any(text_places(column.type) for column in columns):
        return columns
    known = catalog.places_with_values(lake, table)  # 3 ms; tests of 150 columns take 500
    return catalog.value_types(lake.read, table, columns, known)


def read_parent_rows(lake: Lake, table: TableName, query: str) -> Sequence[ParentRow]:
    """Return the distinct rows of ``query`` over the tables of ``table``'s connection, in a fixed order.

    Values are numbers, booleans and texts; others are DuckDB's text. Raises LoadFailed if the query fails.
    """
    from unify.engine import duckdb

    with Lake(lake.settings, restricted=True) as restricted:
        try:
            restricted.connection.execute(f"USE lake.{quoted(table.schema)}")
            return fetch_distinct_rows(restricted.connection, query)
        except duckdb.Error as error:
            raise LoadFailed(f"{table}: the query of for_each failed: {error}") from error


class LoadSource(Struct, frozen=True):
    """The source of the rows: the connection, and the table as its adapter describes it.

    ``spec``  None for a Python adapter.
    """

    connection: Connection
    table: TableDef
    config: TableConfig
    spec: AdapterSpec | None = None


class ParentLoads(Struct, frozen=True):
    """The loads of parent tables that come first."""

    tables: tuple[TableName, ...]
    action: Action


class PlannedLoad(Struct, frozen=True):
    """The result of the first step.

    ``last_load``  uid of the table's last load; "" for the first one.
    """

    source: LoadSource
    plan: LoadPlan
    stored: StoredSchema
    planned_at: datetime
    last_load: str


def plan_load(task: LoadTask, lake: Lake, now: datetime) -> PlannedLoad | ParentLoads:
    """Decide what to read; the loads of parent tables instead if some are not loaded or out of date."""
    source = find_source(task)
    with lake.read_transaction():
        parents = [TableName(task.table.schema, parent) for parent in source.table.parents]
        loaded = catalog.stored_tables(lake) if parents else {}
        if missing := tuple(parent for parent in parents if parent not in loaded):
            return ParentLoads(missing, Action.LOAD)
        if outdated := _outdated_parents(task, source, lake, parents):
            return ParentLoads(outdated, Action.REFRESH)
        last = ledger.latest_load(lake, task.table)
        columns = tuple(read_stored_columns(lake, task.table, last))
        layout = read_layout(lake, task.table) if columns else TableLayout()
        query = source.config.for_each.query if source.config.for_each is not None else None
        rows = read_parent_rows(lake, task.table, query) if query is not None else ()
        plan = make_load_plan(
            task.action,
            source.config,
            last,
            rows,
            now=now,
            rows_location=layout.rows_location,
            reloaded_at=ledger.latest_reload_at(lake, task.table) if source.config.refresh.reload_s else None,
        )
    stored = StoredSchema(columns, layout.paths, plan.strategy == "reload")
    return PlannedLoad(source, plan, stored, now, last.uid if last is not None else "")


def _outdated_parents(
    task: LoadTask, source: LoadSource, lake: Lake, parents: Sequence[TableName]
) -> tuple[TableName, ...]:
    """Return the parents whose last load is older than ``for_each.refresh`` allows."""
    each = source.config.for_each
    if each is None or each.refresh_s is None or task.start_at is None:
        return ()
    oldest = task.start_at - timedelta(seconds=each.refresh_s)
    loads = ledger.latest_loads(lake)
    times = {parent: loads[parent].finished_at for parent in parents if parent in loads}
    return tuple(parent for parent, at in times.items() if at is not None and at < oldest)


def find_source(task: LoadTask) -> LoadSource:
    """Return the table's description. Raises UnknownName if connection or spec do not have it."""
    name = task.table
    connection = find_connection(task.origin, name)
    folders = spec_folders(task)
    tables = registry.describe_adapter(connection, folders)
    table = next((known for known in tables if known.name == name.table), None)
    config = registry.describe_table_config(connection, folders, name.table)
    if table is None or config is None:
        hint = did_you_mean(name.table, [known.name for known in tables])
        raise UnknownName(f"connection {name.schema} has no table {name.table}{hint}")
    return LoadSource(connection, table, config, registry.spec_of(connection, folders))


def spec_folders(task: LoadTask) -> list[Path]:
    return [Path(folder) for folder in task.origin.specs]
