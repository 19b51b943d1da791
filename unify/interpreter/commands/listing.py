"""``show …`` and ``describe``."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from unify.durations import format_duration
from unify.errors import QueryError, UnknownName
from unify.interpreter import state as interpreter_state
from unify.interpreter import system_columns
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query import missing_tables
from unify.interpreter.results import Rows, listing_rows
from unify.interpreter.state import State
from unify.interpreter.system_columns import BIGINT, SCHEMA, SYSTEM_TABLES, TIMESTAMPTZ, VARCHAR
from unify.interpreter.system_tables.schedules import ScheduledItem, scheduled_items
from unify.interpreter.system_tables.tables import client_rows, setting_rows
from unify.lake import catalog, ledger
from unify.lake.definitions import attached_table, find_view, temporary_table, visible_columns
from unify.model import DETECTED_PAGING_PREFIX, Column, LoaderJob, TableName
from unify.text import did_you_mean, format_age, glob_from_like

if TYPE_CHECKING:
    from unify.adapters.spec.table_keys import Filter


class ListingCommands:
    """Runs the listing commands."""

    def __init__(self, state: State) -> None:
        self.state = state

    def connections(self) -> Rows:
        rows = [
            (one.name, one.adapter, one.tables, one.stored, one.writable, one.state, one.problem or None)
            for one in self.state.connection_states()
        ]
        return listing_rows(SYSTEM_TABLES["connections"].columns, rows, self._no_connections_note())

    def schemas(self, connection: str | None) -> Rows:
        """List the schemas of the session, or those of a database."""
        connections = self.state.connections
        if connection is not None:
            return self._source_schemas(connection)
        rows: list[tuple[object, ...]] = [(name, "connection") for name in connections.names]
        rows += [(name, "user") for name in catalog.schemas(self.state.lake) if not connections.has(name)]
        rows.append((SCHEMA, "system"))
        return listing_rows([("schema", VARCHAR), ("kind", VARCHAR)], rows)

    def _source_schemas(self, connection: str) -> Rows:
        name = self.state.connections.connection(connection).name
        if not self.state.connections.is_relational(name):
            raise QueryError(f"{name} is not a database and has no schemas (show tables from {name})")
        rows = [(schema, name) for schema in self.state.source_schemas(name)]
        return listing_rows([("schema", VARCHAR), ("connection", VARCHAR)], rows)

    def tables(self, schema: str | None, inner: str = "") -> Rows:
        """List tables; ``inner`` is a schema of the database ``schema``.

        Raises UnknownName for a schema that is neither a connection nor a schema of the lake.
        """
        if schema is not None:
            self.check_schema(schema)
        if inner:
            self._check_source_schema(schema or "", inner)
        self.state.list_sources(schema, inner)
        now = datetime.now(UTC)
        rows = [
            (
                table.name.schema,
                table.name.table,
                table.rows,
                format_age((now - table.loaded_at).total_seconds()) if table.loaded_at else None,
                table.state,
                table.description or None,
            )
            for table in self.state.table_states(schema)
            if not inner or self.state.is_in_source_schema(table.name, inner)
        ]
        columns = [("schema", VARCHAR), ("table", VARCHAR), ("rows", BIGINT), ("loaded", VARCHAR)]
        return listing_rows(
            [*columns, ("state", VARCHAR), ("description", VARCHAR)], rows, self._no_connections_note()
        )

    def _no_connections_note(self) -> str:
        return "" if self.state.connections.names else "no connections are configured; connect adds one"

    def columns(self, table: TableName, like: str | None = None) -> Rows:
        """List the columns whose name matches a LIKE pattern, ignoring case."""
        table = table if table.schema else TableName("main", table.table)
        pattern = glob_from_like(like) if like is not None else "*"
        found = [
            column
            for column in self._find_columns(table)
            if fnmatch.fnmatchcase(column.name.lower(), pattern.lower())
        ]
        rows = [(column.name, column.type or None, column.description or None) for column in found]
        is_source = self.state.connections.is_relational(table.schema)
        stored = not is_source and bool(catalog.table_columns(self.state.lake, table))
        note = ""
        if is_source:
            note = "" if self.state.find_stored_source(table) else f"live from {table.schema}"
        elif stored:
            note = self._detection_note(table)
        elif self.state.is_offered(table):
            note = "not loaded: the first load may find other columns and types"
        return listing_rows(
            [("column_name", VARCHAR), ("column_type", VARCHAR), ("description", VARCHAR)], rows, note
        )

    def jobs(self) -> Rows:
        jobs = self._recent_jobs()
        reasons = interpreter_state.wait_reasons(self.state.connections.settings, self.state.queue, jobs)
        rows = [
            (
                job.id,
                job.action.value,
                str(job.table),
                job.state.value,
                job.attempt,
                _truncate_to_seconds(job.created_at),
                _truncate_to_seconds(job.finished_at),
                reasons.get(job.id) or job.error or None,
            )
            for job in jobs
        ]
        columns = [("job", BIGINT), ("action", VARCHAR), ("table", VARCHAR), ("state", VARCHAR)]
        columns += [
            ("attempt", BIGINT),
            ("created_at", TIMESTAMPTZ),
            ("finished_at", TIMESTAMPTZ),
            ("error", VARCHAR),
        ]
        return listing_rows(columns, rows)

    def clients(self) -> Rows:
        """List the statements that clients of servers run now."""
        rows = list(client_rows(self.state))
        return listing_rows(
            SYSTEM_TABLES["clients"].columns, rows, "" if rows else "no client runs a statement"
        )

    def schedules(self) -> Rows:
        """List scheduled tables and scripts, without tables that are never refreshed."""
        rows = [
            (
                one.name,
                one.kind,
                _frequency(one),
                f"{one.timing.starting} {one.timing.zone}" if one.timing.zone else None,
                _truncate_to_seconds(one.timing.next_at),
                _truncate_to_seconds(one.timing.last_at),
                one.last_status,
            )
            for one in scheduled_items(self.state.queue, self.state.connections)
            if one.is_active
        ]
        columns = [("name", VARCHAR), ("kind", VARCHAR), ("every", VARCHAR), ("starting", VARCHAR)]
        return listing_rows(
            [*columns, ("next_at", TIMESTAMPTZ), ("last_at", TIMESTAMPTZ), ("last_status", VARCHAR)], rows
        )

    def settings(self, max_age: MaxAge) -> Rows:
        return listing_rows(
            SYSTEM_TABLES["settings"].columns, setting_rows(self.state.connections.settings, max_age)
        )

    def _recent_jobs(self) -> list[LoaderJob]:
        """Return the active jobs and the latest 100, oldest first."""
        queue = self.state.queue
        jobs = {job.id: job for job in (*queue.recent_jobs(100), *queue.active_jobs())}
        return sorted(jobs.values(), key=lambda job: job.id)

    def _find_columns(self, table: TableName) -> tuple[Column, ...]:
        connections = self.state.connections
        if connections.is_relational(table.schema):
            stored_name = self.state.find_stored_source(table)
            if stored_name is None:
                return tuple(self.state.source_columns(table))
            return catalog.table_columns(self.state.lake, stored_name)
        name = connections.canonical_name(table) if self.state.is_offered(table) else table
        if (temporary := temporary_table(self.state.lake, name)) is not None:
            return visible_columns(self.state.lake, temporary)
        if stored := catalog.table_columns(self.state.lake, name):
            return stored
        if connections.has(table.schema):
            return self._columns_with_filters(table)
        if own := system_columns.system_table_columns(name):
            return own
        if (view := find_view(self.state.lake, name)) is not None:
            raise QueryError(missing_tables.unreadable_view_message(name, view, self.state))
        if (attached := attached_table(self.state.lake, name)) is not None:
            return visible_columns(self.state.lake, attached)
        raise UnknownName(missing_tables.unreadable_table_message(table, self.state))

    def _columns_with_filters(self, table: TableName) -> tuple[Column, ...]:
        """Return the columns of a table that is not stored; those that are filters are described as such."""
        filters = {column.name.lower(): column for column in self._filter_columns(table)}
        columns = [
            replace(filters.pop(column.name.lower()), type=column.type)
            if column.name.lower() in filters
            else column
            for column in self.state.connections.table(table).columns
        ]
        return (*columns, *filters.values())

    def _filter_columns(self, table: TableName) -> Sequence[Column]:
        """Return the filters of a live table that are not among its columns."""
        live = self.state.connections.live_table(table)
        known = {column.name.lower() for column in live.columns} if live is not None else set()
        filters: dict[str, list[Filter]] = {}
        for each in live.filters if live is not None else ():
            if each.column.lower() not in known:
                filters.setdefault(each.column, []).append(each)
        return [Column(column, "", _filter_description(own)) for column, own in filters.items()]

    def _detection_note(self, table: TableName) -> str:
        """Return the pagination that the last load detected."""
        loads = ledger.latest_loads(self.state.lake).items()
        reasons = [load.reason for name, load in loads if str(name).lower() == str(table).lower()]
        return "; ".join(
            part for reason in reasons for part in reason.split("; ") if DETECTED_PAGING_PREFIX in part
        )

    def _check_source_schema(self, connection: str, schema: str) -> None:
        if not self.state.connections.is_relational(connection):
            raise QueryError(
                f"{connection} is not a database and has no schemas (show tables from {connection})"
            )
        known = self.state.source_schemas(connection)
        if schema.lower() not in {name.lower() for name in known}:
            raise UnknownName(
                f"{connection} has no schema {schema}{did_you_mean(schema, known)} "
                f"(show schemas from {connection} lists them)"
            )

    def check_schema(self, schema: str) -> None:
        """Raise UnknownName if there is no such schema or connection."""
        known = self.state.schemas()
        if schema.lower() not in {name.lower() for name in known}:
            raise UnknownName(f"schema {schema} does not exist{did_you_mean(schema, known)} (show schemas)")


def _truncate_to_seconds(moment: datetime | None) -> datetime | None:
    return moment.replace(microsecond=0) if moment is not None else None


def _filter_description(filters: Sequence[Filter]) -> str:
    ops = ", ".join(op for each in filters for op in each.ops)
    return f"filter ({ops}){', required' if any(each.required for each in filters) else ''}"


def _frequency(item: ScheduledItem) -> str:
    if item.timing.every_s is not None:
        return format_duration(item.timing.every_s)
    return "once" if item.after is None else f"after load of {item.after}"
