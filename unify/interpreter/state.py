"""The current state of all tables, stored or not, and connections, with the state of their jobs.

``show tables``, ``show connections`` and the ``unify.*`` tables are made from it. Also the
reasons why jobs wait, which only the running daemon knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from unify.config.settings import Settings
from unify.errors import ConfigError, DaemonUnreachable, SourceError
from unify.interpreter import system_columns
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.results import CompletionNames
from unify.interpreter.system_columns import SCHEMA, SYSTEM_TABLES
from unify.lake import catalog
from unify.lake.catalog import StoredTable
from unify.lake.lake import Lake
from unify.language.table_names import split_table_name
from unify.model import Column, Hold, JobState, LoaderJob, LoaderStatus, TableDef, TableName
from unify.queue.pauses import Pause
from unify.queue.queue import Queue

if TYPE_CHECKING:
    from unify.interpreter.sources.source_tables import SourceTables

_ACTIVE_STATE_NAMES = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "loading",
    JobState.PUBLISHING: "loading",
}


class TableState(Struct, frozen=True):
    """A table that a statement can name. ``rows`` and ``loaded_at`` are None if no rows are stored."""

    name: TableName
    kind: str  # connection, live, view (of a spec), system; of the user's own: table, view
    state: str  # stored, partial, not loaded, queued, loading, failed, held back, paused; live, view
    rows: int | None = None
    loaded_at: datetime | None = None
    description: str = ""
    error: str = ""


class ConnectionState(Struct, frozen=True):
    """A connection. ``state`` is "ok", "paused" or "broken"; ``problem`` is the reason.

    ``writable``  statements may write to it, or to some tables of an API.
    """

    name: str
    adapter: str
    tables: int
    stored: int
    writable: bool
    state: str
    problem: str = ""


class State:
    """Reads lake, queue and configuration; changes nothing.

    ``get_sources``  the tables of databases and stores; None: those that are known already.
    ``notice``       told which source cannot be asked for its tables.
    """

    def __init__(
        self,
        lake: Lake,
        queue: Queue,
        connections: ConnectionCatalog,
        *,
        get_sources: Callable[[], SourceTables] | None = None,
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.lake = lake
        self.queue = queue
        self.connections = connections
        self.get_sources = get_sources
        self.notice = notice

    def list_sources(self, connection: str | None = None, schema: str = "") -> None:
        """Ask databases and stores for their tables, at most once a minute; a notice names one that fails.

        ``connection``  None: all of them.
        ``schema``      one of its schemas; "": the configured ones.
        """
        names = self.connections.relational_names()
        for name in names if self.get_sources is not None else ():
            if connection is None or connection.lower() == name.lower():
                try:
                    self._source_tables().catalog.list_tables(name, schema)
                except (SourceError, ConfigError) as error:
                    self.notice(error.message)

    def is_offered(self, table: TableName) -> bool:
        """Whether a connection to an API has the table, stored or not."""
        connections = self.connections
        if connections.is_relational(table.schema):
            return False
        return connections.has(table.schema) and table.table.lower() in connections.tables(table.schema)

    def source_columns(self, name: TableName) -> Sequence[Column]:
        """Return the columns of a table of a database or store. Raises UnknownName, SourceError."""
        return self._source_tables().columns(name)

    def source_schemas(self, connection: str) -> Sequence[str]:
        """Return the schemas of a database. Raises SourceError."""
        return self._source_tables().catalog.schemas(connection)

    def is_in_source_schema(self, name: TableName, schema: str) -> bool:
        """Whether a table of a database is in one of its schemas, in any case."""
        own = split_table_name(name.table)[0] or self._source_tables().first_schema(name.schema)
        return own.lower() == schema.lower()

    def find_stored_source(self, name: TableName) -> TableName | None:
        """Return the name under which rows of a table of a source are stored."""
        return self._source_tables().stored_name(name)

    def _source_tables(self) -> SourceTables:
        assert self.get_sources is not None
        return self.get_sources()

    def table_states(self, schema: str | None = None) -> Iterator[TableState]:
        """Yield the tables of the connections, then those of the user; only those of ``schema`` if given."""
        stored = catalog.stored_tables(self.lake)
        jobs = self._latest_jobs()
        pauses = self.queue.pauses.list(self.connections.settings.tenant)
        for connection in self.connections.names:
            if schema is None or connection.lower() == schema.lower():
                for one in self._connection_tables(connection, stored, jobs):
                    yield _show_pause(one, pauses)
        if schema is not None and schema.lower() == SCHEMA:
            for name, shape in SYSTEM_TABLES.items():
                yield TableState(TableName(SCHEMA, name), "system", "live", description=shape.description)
        for table in catalog.user_tables(self.lake):
            if not self._is_offered(table.name) and schema in (None, table.name.schema):
                yield TableState(table.name, table.kind, "stored", rows=table.rows)

    def _is_offered(self, name: TableName) -> bool:
        """Whether a table is one of its connection. Raises nothing: a broken connection offers none."""
        with suppress(ConfigError):
            return self.connections.has(name.schema) and name.table.lower() in self.connections.tables(
                name.schema
            )
        return False

    def connection_states(self) -> Iterator[ConnectionState]:
        """Yield every connection of connections.yaml."""
        stored = catalog.stored_tables(self.lake)
        problems = {name: error.message for name, error in self.connections.problems().items()}
        paused = {
            pause.connection: f"paused since {pause.paused_at:%Y-%m-%d %H:%M} UTC (resume {pause})"
            for pause in self.queue.pauses.list(self.connections.settings.tenant)
            if not pause.table
        }
        for name in self.connections.names:
            known = self.connections.config.by_name.get(name)
            offered = len(self.connections.tables(name)) if name not in problems else 0
            yield ConnectionState(
                name=name,
                adapter=known.adapter if known else "",
                tables=offered,
                stored=sum(1 for table in stored if table.schema == name),
                writable=known is not None and (known.writable or bool(known.writes)),
                state="broken" if name in problems else "paused" if name in paused else "ok",
                problem=problems.get(name) or paused.get(name, ""),
            )

    def names(self) -> CompletionNames:
        """Return the names for completion: schemas, tables, and stored or declared columns."""
        if self.get_sources is not None and self.connections.relational_names():
            self._source_tables().catalog.read_saved()
        tables: dict[str, list[str]] = {name: [] for name in self.connections.names}
        tables[SCHEMA] = list(SYSTEM_TABLES)
        for table in self.table_states():
            tables.setdefault(table.name.schema, []).append(table.name.table)
        columns = {
            str(table): tuple(column.name for column in found)
            for table, found in (
                *_system_columns(),
                *self._declared_columns(),
                *catalog.all_columns(self.lake).items(),
            )
        }
        return CompletionNames(
            tuple(tables),
            {name: tuple(found) for name, found in tables.items()},
            columns,
            databases=tuple(self.connections.relational_names()),
        )

    def schemas(self) -> frozenset[str]:
        """Return the names of all connections and schemas."""
        return frozenset({*self.connections.names, *catalog.schemas(self.lake), SCHEMA})

    def expected_columns(self) -> Iterator[tuple[TableName, Sequence[Column]]]:
        """Yield the columns of the tables of connections that are not stored: declared, and recorded ones."""
        stored = catalog.all_columns(self.lake)
        for name, columns in self._declared_columns():
            if columns and name not in stored:
                yield name, columns

    def _declared_columns(self) -> Iterator[tuple[TableName, Sequence[Column]]]:
        """Yield the columns that adapters declare; tables that were never loaded have no others."""
        for connection in self.connections.names:
            with suppress(ConfigError):  # `show connections` reports it
                for table in self.connections.tables(connection).values():
                    yield TableName(connection, table.name), table.columns

    def _connection_tables(
        self,
        connection: str,
        stored: Mapping[TableName, StoredTable],
        jobs: Mapping[TableName, LoaderJob],
    ) -> Iterator[TableState]:
        try:
            offered = self.connections.tables(connection)
        except ConfigError:
            return  # `show connections` reports it
        live = self.connections.live_names(connection)
        is_source = self.connections.is_relational(connection)
        for table in offered.values():
            name = TableName(connection, table.name)
            if is_source and name not in stored and name not in jobs:
                yield TableState(name, "connection", "live", description=table.description)
            elif table.name in live:
                yield TableState(name, "live", "live", description=table.description)
            else:
                yield _table_state(name, table, stored, jobs)
        for view in self.connections.views(connection):
            yield TableState(TableName(connection, view.name), "view", "view", description=view.description)

    def _latest_jobs(self) -> dict[TableName, LoaderJob]:
        """Return the latest job of each table, preferring active ones."""
        latest: dict[TableName, LoaderJob] = {}
        for job in (*self.queue.active_jobs(), *self.queue.recent_jobs(1000)):
            latest.setdefault(job.table, job)
        return latest


def _system_columns() -> Iterator[tuple[TableName, Sequence[Column]]]:
    for name in SYSTEM_TABLES:
        table = TableName(SCHEMA, name)
        yield table, system_columns.system_table_columns(table)


def _table_state(
    name: TableName,
    table: TableDef,
    stored: Mapping[TableName, StoredTable],
    jobs: Mapping[TableName, LoaderJob],
) -> TableState:
    job = jobs.get(name)
    stored_table = stored.get(name)
    state = "not loaded"
    if stored_table is not None:
        state = "partial" if stored_table.rows_discarded else "stored"
    if job is not None and job.state in _ACTIVE_STATE_NAMES:
        state = _ACTIVE_STATE_NAMES[job.state]
    elif (
        job is not None
        and job.state in (JobState.FAILED, JobState.DEAD)
        and _is_newer_than_stored(job, stored_table)
    ):
        state = "held back" if job.held is Hold.HELD else "failed"
    return TableState(
        name=name,
        kind="connection",
        state=state,
        rows=stored_table.rows_total if stored_table else None,
        loaded_at=stored_table.loaded_at if stored_table else None,
        description=table.description,
        error=job.error if job and state in ("failed", "held back") else "",
    )


def _show_pause(table: TableState, pauses: Sequence[Pause]) -> TableState:
    """Return the state "paused" of a table whose loads are paused, unless it is being loaded."""
    is_paused = table.kind == "connection" and any(pause.covers(table.name) for pause in pauses)
    return replace(table, state="paused") if is_paused and table.state != "loading" else table


def _is_newer_than_stored(job: LoaderJob, stored_table: StoredTable | None) -> bool:
    """Whether a job ended after the stored rows were loaded; a later load supersedes an earlier failure."""
    return stored_table is None or (job.finished_at is not None and job.finished_at > stored_table.loaded_at)


_STATUS_TIMEOUT_S = 1.0  # without a response, a listing has no reasons


def wait_reason(task: LoaderStatus) -> str:
    """``waiting for another session's transaction: process 4711 (a shell)``, or ""."""
    if not task.blocked_by:
        return ""
    cause = "" if task.state is JobState.QUEUED else " for another session's transaction"
    return f"waiting{cause}: {task.blocked_by}"


def mark_paused(task: LoaderStatus, pauses: Iterable[Pause]) -> LoaderStatus:
    """Return a queued task with the pause that it waits for as the reason."""
    pause = next((one for one in pauses if one.covers(task.table)), None)
    if pause is None or task.state is not JobState.QUEUED:
        return task
    return msgspec.structs.replace(task, blocked_by=f"{pause} is paused (resume {pause})")


def wait_reasons(settings: Settings, queue: Queue, jobs: Sequence[LoaderJob]) -> Mapping[int, str]:
    """Return the reasons why jobs wait, by job number. Imports ZeroMQ only if a job may be waiting."""
    pauses = queue.pauses.list(settings.tenant)
    paused = {
        job.id: wait_reason(task)
        for job in jobs
        if (task := mark_paused(LoaderStatus(job.id, job.table, job.action, job.state), pauses)).blocked_by
    }
    if not any(job.state in (JobState.QUEUED, JobState.PUBLISHING) for job in jobs):
        return paused
    from unify.status.client import StatusClient
    from unify.status.launch import is_daemon_running

    if not is_daemon_running(settings):
        return paused
    with suppress(DaemonUnreachable), StatusClient(settings.socket_folder, _STATUS_TIMEOUT_S) as client:
        return {
            task.job: wait_reason(task) for task in client.snapshot() if task.blocked_by and task.state.active
        } | paused
    return paused
