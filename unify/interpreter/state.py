"""What there is right now: every table, stored or not, with what the queue is doing to it.

``show tables``, ``show connections`` and the ``unify.*`` tables are all views of this one reading.

What is said of a table that is not there: where somebody most likely finds what they meant.

Whom loads wait for: what the running daemon knows of them, and the queue does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from unify.config.settings import Settings
from unify.errors import ConfigError, DaemonUnreachable
from unify.interpreter import system_columns
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.results import CompletionNames, display_name
from unify.interpreter.system_columns import SCHEMA, SYSTEM_TABLES
from unify.lake import catalog
from unify.lake.catalog import StoredTable
from unify.lake.lake import Lake
from unify.model import Column, JobState, LoaderJob, LoaderStatus, TableDef, TableName
from unify.queue.queue import Queue
from unify.text import closest_match, did_you_mean

_ACTIVE_STATE_NAMES = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "loading",
    JobState.PUBLISHING: "loading",
}


@dataclass(frozen=True, slots=True)
class TableState:
    """One table a person can name. ``rows`` and ``loaded_at`` are None where nothing is stored."""

    name: TableName
    kind: str  # connection, live, view (of a spec), or what a person made: table, view
    state: str  # stored, not loaded, queued, loading, failed; live and view, of which nothing is stored
    rows: int | None = None
    loaded_at: datetime | None = None
    description: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """One connection. ``state`` is "ok" or "broken", ``problem`` says why."""

    name: str
    adapter: str
    tables: int
    stored: int
    state: str
    problem: str = ""


class State:
    """Reads lake, queue and configuration; changes none of them."""

    def __init__(self, lake: Lake, queue: Queue, connections: ConnectionCatalog) -> None:
        self.lake = lake
        self.queue = queue
        self.connections = connections

    def table_states(self, schema: str | None = None) -> Iterator[TableState]:
        """Tables of the connections, then the user's own; of one schema if ``schema`` names it."""
        stored = catalog.stored_tables(self.lake)
        jobs = self._latest_jobs()
        for connection in self.connections.names:
            if schema is None or connection.lower() == schema.lower():
                yield from self._connection_tables(connection, stored, jobs)
        if schema is not None and schema.lower() == SCHEMA:
            for name, shape in SYSTEM_TABLES.items():
                yield TableState(TableName(SCHEMA, name), "system", "live", description=shape.description)
        for table in catalog.user_tables(self.lake):
            if not self.connections.has(table.name.schema) and schema in (None, table.name.schema):
                yield TableState(table.name, table.kind, "stored", rows=table.rows)

    def connection_states(self) -> Iterator[ConnectionState]:
        """Every connection of connections.yaml, the broken ones with the reason."""
        stored = catalog.stored_tables(self.lake)
        problems = self.connections.problems()
        for name in self.connections.names:
            known = self.connections.config.by_name.get(name)
            offered = len(self.connections.tables(name)) if name not in problems else 0
            yield ConnectionState(
                name=name,
                adapter=known.adapter if known else "",
                tables=offered,
                stored=sum(1 for table in stored if table.schema == name),
                state="broken" if name in problems else "ok",
                problem=problems[name].message if name in problems else "",
            )

    def names(self) -> CompletionNames:
        """What can be completed: every schema, its tables, and the columns that are stored or declared."""
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
        return CompletionNames(tuple(tables), {name: tuple(found) for name, found in tables.items()}, columns)

    def schemas(self) -> frozenset[str]:
        """Every connection and schema."""
        return frozenset({*self.connections.names, *catalog.schemas(self.lake), SCHEMA})

    def _declared_columns(self) -> Iterator[tuple[TableName, Sequence[Column]]]:
        """What adapters say of their tables' columns: all that is known of those never loaded."""
        for connection in self.connections.names:
            with suppress(ConfigError):  # `show connections` says what is wrong with it
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
            return  # `show connections` says what is wrong with it
        live = self.connections.live_names(connection)
        for table in offered.values():
            name = TableName(connection, table.name)
            if table.name in live:
                yield TableState(name, "live", "live", description=table.description)
            else:
                yield _table_state(name, table, stored, jobs)
        for view in self.connections.views(connection):
            yield TableState(TableName(connection, view.name), "view", "view", description=view.description)

    def _latest_jobs(self) -> dict[TableName, LoaderJob]:
        """The youngest job of each table, active ones before ended ones."""
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
    have = stored.get(name)
    state = "not loaded" if have is None else "partial" if have.rows_discarded else "stored"
    if job is not None and job.state in _ACTIVE_STATE_NAMES:
        state = _ACTIVE_STATE_NAMES[job.state]
    elif (
        job is not None and job.state in (JobState.FAILED, JobState.DEAD) and _is_newer_than_stored(job, have)
    ):
        state = "failed"
    return TableState(
        name=name,
        kind="connection",
        state=state,
        rows=have.rows_total if have else None,
        loaded_at=have.loaded_at if have else None,
        description=table.description,
        error=job.error if job and state == "failed" else "",
    )


def _is_newer_than_stored(job: LoaderJob, stored_table: StoredTable | None) -> bool:
    """Whether a job's end came after what is stored: a later load has made good an earlier failure."""
    return stored_table is None or (job.finished_at is not None and job.finished_at > stored_table.loaded_at)


_MAX_SUGGESTIONS = 3
# DuckDB's words, and its guess, which knows of pg_class and of no table that is not loaded.
_DUCKDB_MISSING_TABLE = re.compile(
    r'Table with name "?(?P<name>[^"\n]+?)"? does not exist'
    r'(?:!(?:\nDid you mean "(?P<guess>[^"\n]*)"\?)?| because schema "[^"\n]+" does not exist\.)'
)


def unknown_table_message(name: TableName, known: Iterable[TableName], schemas: Iterable[str]) -> str:
    """``there is no table pulls — did you mean github.pulls? (show tables)``

    ``known``  every table there is, stored or not; ``schemas`` all connections and schemas.
    """
    known = tuple(known)
    if name.schema not in ("", "main"):
        return f"there is no table {name}{did_you_mean(str(name), map(str, known))} (show tables)"
    word = name.table
    schema = next((schema for schema in schemas if schema.lower() == word.lower()), None)
    if schema is not None:
        return f"{schema} is no table but has some{_example_table(schema, known)} (show tables from {schema})"
    called = [display_name(table) for table in known if table.table.lower() == word.lower()]
    if called:
        return (
            f"there is no table {word} — did you mean {' or '.join(called[:_MAX_SUGGESTIONS])}? (show tables)"
        )
    by_name = {table.table: display_name(table) for table in known}
    found = closest_match(word, by_name)
    return f"there is no table {word}{f' — did you mean {by_name[found]}?' if found else ''} (show tables)"


def explain_missing_table(message: str, state: State, statement: str) -> str:
    """DuckDB's message with Unify's suggestion for a table that it does not find."""
    found = _DUCKDB_MISSING_TABLE.search(message)
    if found is None:
        return message
    known = [table.name for table in state.table_states()]
    missing = found["name"].lower()
    named = next((name for name in known if _is_computed_name(name, missing, state, statement)), None)
    if named is not None:
        text = (
            f"{named} is not loaded, and a name that an expression makes is not loaded automatically: "
            f"load table {named}"
        )
    elif "." in missing:
        return message
    else:
        text = unknown_table_message(TableName("", found["name"]), known, state.schemas())
    return message.replace(found[0], text)


def _is_computed_name(name: TableName, missing: str, state: State, statement: str) -> bool:
    """Whether ``missing`` in DuckDB's message is a table of a connection that the statement computes."""
    if not state.connections.has(name.schema):
        return False
    text = statement.lower()
    if missing == str(name).lower():
        return True
    return missing == name.table.lower() and missing in text and name.schema.lower() in _words(text)


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _example_table(schema: str, known: Iterable[TableName]) -> str:
    first = next((table for table in known if table.schema.lower() == schema.lower()), None)
    return f", such as {first}" if first is not None else ""


_STATUS_TIMEOUT_S = 1.0  # a daemon that does not answer leaves a listing without it


def wait_reason(task: LoaderStatus) -> str:
    """``waiting for another parts's transaction: process 4711 (a shell)``, or nothing."""
    if not task.blocked_by:
        return ""
    what = "" if task.state is JobState.QUEUED else " for another session's transaction"
    return f"waiting{what}: {task.blocked_by}"


def wait_reasons(settings: Settings, jobs: Sequence[LoaderJob]) -> Mapping[int, str]:
    """Why jobs do not go on, by their number; ZeroMQ is imported where one may be waiting."""
    if not any(job.state in (JobState.QUEUED, JobState.PUBLISHING) for job in jobs):
        return {}
    from unify.status.client import StatusClient
    from unify.status.launch import is_daemon_running

    if not is_daemon_running(settings):
        return {}
    with suppress(DaemonUnreachable), StatusClient(settings.socket_folder, _STATUS_TIMEOUT_S) as client:
        return {
            told.job: wait_reason(told) for told in client.snapshot() if told.blocked_by and told.state.active
        }
    return {}
