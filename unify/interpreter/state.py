"""What there is right now: every table, stored or not, with what the queue is doing to it.

``show tables``, ``show connections`` and the ``unify.*`` tables are all views of this one reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from unify.errors import ConfigError
from unify.interpreter import systemshape
from unify.interpreter.results import Names
from unify.interpreter.sources import Sources
from unify.interpreter.systemshape import SCHEMA, SHAPES
from unify.model import Column, JobState, LoaderJob, TableDef, TableName
from unify.store import catalog
from unify.store.catalog import StoredTable
from unify.store.lake import Lake
from unify.store.queue import Queue

_ACTIVE_WORDS = {
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

    def __init__(self, lake: Lake, queue: Queue, sources: Sources) -> None:
        self.lake = lake
        self.queue = queue
        self.sources = sources

    def tables(self, schema: str | None = None) -> Iterator[TableState]:
        """Tables of the connections, then the user's own; of one schema if ``schema`` names it."""
        stored = catalog.stored_tables(self.lake)
        jobs = self._latest_jobs()
        for connection in self.sources.names:
            if schema is None or connection.lower() == schema.lower():
                yield from self._connection_tables(connection, stored, jobs)
        if schema is not None and schema.lower() == SCHEMA:
            for name, shape in SHAPES.items():
                yield TableState(TableName(SCHEMA, name), "system", "live", description=shape.about)
        for table in catalog.user_tables(self.lake):
            if not self.sources.has(table.name.schema) and schema in (None, table.name.schema):
                yield TableState(table.name, table.kind, "stored", rows=table.rows)

    def connections(self) -> Iterator[ConnectionState]:
        """Every connection of connections.yaml, the broken ones with the reason."""
        stored = catalog.stored_tables(self.lake)
        problems = self.sources.problems()
        for name in self.sources.names:
            known = self.sources.connections.all.get(name)
            offered = len(self.sources.tables(name)) if name not in problems else 0
            yield ConnectionState(
                name=name,
                adapter=known.adapter if known else "",
                tables=offered,
                stored=sum(1 for table in stored if table.schema == name),
                state="broken" if name in problems else "ok",
                problem=problems[name].message if name in problems else "",
            )

    def names(self) -> Names:
        """What can be completed: every schema, its tables, and the columns that are stored or declared."""
        tables: dict[str, list[str]] = {name: [] for name in self.sources.names}
        tables[SCHEMA] = list(SHAPES)
        for table in self.tables():
            tables.setdefault(table.name.schema, []).append(table.name.table)
        columns = {
            str(table): tuple(column.name for column in found)
            for table, found in (*_system(), *self._declared(), *catalog.all_columns(self.lake).items())
        }
        return Names(tuple(tables), {name: tuple(found) for name, found in tables.items()}, columns)

    def schemas(self) -> frozenset[str]:
        """Every connection and schema."""
        return frozenset({*self.sources.names, *catalog.schemas(self.lake), SCHEMA})

    def _declared(self) -> Iterator[tuple[TableName, Sequence[Column]]]:
        """What adapters say of their tables' columns: all that is known of those never loaded."""
        for connection in self.sources.names:
            with suppress(ConfigError):  # `show connections` says what is wrong with it
                for table in self.sources.tables(connection).values():
                    yield TableName(connection, table.name), table.columns

    def _connection_tables(
        self,
        connection: str,
        stored: Mapping[TableName, StoredTable],
        jobs: Mapping[TableName, LoaderJob],
    ) -> Iterator[TableState]:
        try:
            offered = self.sources.tables(connection)
        except ConfigError:
            return  # `show connections` says what is wrong with it
        live = self.sources.live_names(connection)
        for table in offered.values():
            name = TableName(connection, table.name)
            if table.name in live:
                yield TableState(name, "live", "live", description=table.description)
            else:
                yield _table_state(name, table, stored, jobs)
        for view in self.sources.views(connection):
            yield TableState(TableName(connection, view.name), "view", "view", description=view.description)

    def _latest_jobs(self) -> dict[TableName, LoaderJob]:
        """The youngest job of each table, active ones before ended ones."""
        latest: dict[TableName, LoaderJob] = {}
        for job in (*self.queue.active(), *self.queue.recent(1000)):
            latest.setdefault(job.table, job)
        return latest


def _system() -> Iterator[tuple[TableName, Sequence[Column]]]:
    for name in SHAPES:
        table = TableName(SCHEMA, name)
        yield table, systemshape.columns(table)


def _table_state(
    name: TableName,
    table: TableDef,
    stored: Mapping[TableName, StoredTable],
    jobs: Mapping[TableName, LoaderJob],
) -> TableState:
    job = jobs.get(name)
    have = stored.get(name)
    state = "stored" if have else "not loaded"
    if job is not None and job.state in _ACTIVE_WORDS:
        state = _ACTIVE_WORDS[job.state]
    elif job is not None and job.state in (JobState.FAILED, JobState.DEAD) and _is_news(job, have):
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


def _is_news(job: LoaderJob, have: StoredTable | None) -> bool:
    """Whether a job's end came after what is stored: a later load has made good an earlier failure."""
    return have is None or (job.finished_at is not None and job.finished_at > have.loaded_at)
