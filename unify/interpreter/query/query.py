"""SQL: find the tables it uses, see that they are there and fresh enough, run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from unify.engine.types import quote_identifier as quoted
from unify.errors import DaemonUnreachable, LoadFailed, QueryError, StoreError
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.freshness import FreshnessDecision, MaxAge, decide_freshness
from unify.interpreter.query.load_client import LoadClient, LoadRequest, load_outcome_text
from unify.interpreter.results import Message, Result, Rows, Stager, Watcher, result_columns
from unify.interpreter.system_columns import SCHEMA
from unify.interpreter.system_tables import SystemTables
from unify.interpreter.variables import BoundQuery, Variables
from unify.lake import catalog, ledger
from unify.lake.catalog import StoredTable
from unify.lake.lake import Lake
from unify.lake.statements import LakeStatementResult
from unify.language.sql import tables as sql_tables
from unify.language.sql.refs import TableRef
from unify.language.tokenizer import is_select
from unify.model import Action, LoaderJob, Priority, TableName
from unify.text import format_age, format_count

if TYPE_CHECKING:
    from unify.interpreter.live.relations import RelationResolver


@dataclass(frozen=True, slots=True)
class TableFreshness:
    """A table of a connection that a query uses, and what it needed at ``checked_at``."""

    name: TableName
    decision: FreshnessDecision
    stored: StoredTable | None
    checked_at: datetime

    def load_request(self) -> LoadRequest:
        """The load that brings what it needs."""
        return LoadRequest(self.name, Action.LOAD if self.stored is None else Action.REFRESH, self.checked_at)


@dataclass(frozen=True, slots=True)
class UsedTables:
    """The tables of connections that a statement uses: the stored ones, and whether others stand in."""

    stored: Sequence[TableName]
    has_relations: bool = False


class QueryRunner:
    """Runs any SQL over the lake, loading what it names."""

    def __init__(
        self,
        lake: Lake,
        connections: ConnectionCatalog,
        load_client: LoadClient,
        system_tables: SystemTables,
        watcher: Watcher,
        *,
        wait: bool,
        variables: Variables,
        stager: Stager,
    ) -> None:
        self.lake = lake
        self.connections = connections
        self.load_client = load_client
        self.system_tables = system_tables
        self.watcher = watcher
        self.wait = wait
        self.variables = variables
        self.stager = stager
        self.last_table: TableName | None = None

    def run(self, sql: str, max_age: MaxAge) -> Result:
        """Answer one statement. Raises QueryError, UnknownName, LoadFailed, Interrupted."""
        if sql_tables.is_explain(sql) and (plan := self._explain(sql, max_age)) is not None:
            return plan
        bound, note = self.prepare(sql, max_age)
        return _result(self.lake.execute(bound.sql, bound.parameters), note, whole=sql_tables.is_listing(sql))

    def prepare(self, sql: str, max_age: MaxAge) -> tuple[BoundQuery, str]:
        """Bind the variables of a statement, provide the tables it uses; the note says how old they are."""
        bound = self.variables.bind(sql)
        tables = sql_tables.referenced_tables(bound.sql)
        self.system_tables.refresh(
            [table.table for table in tables if table.schema.lower() == SCHEMA], max_age
        )
        used = self._resolve_tables(tables)
        note = self._load_stale(self._check_freshness(used.stored, max_age))
        return (self.relations.resolve(bound) if used.has_relations else bound), note

    def peek_view(self, view: TableName, rows: int | None, max_age: MaxAge) -> Result:
        """A few rows of a view of a connection, whose tables are loaded for it, or of the system's tables."""
        return self.run(
            f"SELECT * FROM {quoted(view.schema)}.{quoted(view.table)} LIMIT {rows or 5:d}", max_age
        )

    def view_columns(self, view: TableName, like: str | None) -> Result:
        """The columns of a view of a connection. Raises QueryError where its tables are not there to tell."""
        from unify.interpreter.query.explain import Explainer

        self.last_table = view
        return Explainer(self.relations).view_columns(view, like)

    def _explain(self, sql: str, max_age: MaxAge) -> Result | None:
        """The plan of a statement with what would be loaded and asked first; None where nothing would."""
        bound = self.variables.bind(sql)
        used = self._resolve_tables(sql_tables.referenced_tables(bound.sql))
        due = [
            table
            for table in self._check_freshness(used.stored, max_age)
            if table.decision is not FreshnessDecision.USE_STORED
        ]
        if not due and not used.has_relations:
            return None
        from unify.interpreter.query.explain import Explainer

        explaining = Explainer(self.relations)
        return explaining.plan(bound, [(table.name, table.stored) for table in due])

    @cached_property
    def relations(self) -> RelationResolver:
        from unify.interpreter.live.live_tables import LiveTables
        from unify.interpreter.live.pushdown import PushdownPlanner
        from unify.interpreter.live.relations import RelationResolver

        live = LiveTables(self.lake, self.connections, self.watcher, self.stager)
        return RelationResolver(self.lake, self.connections, live, PushdownPlanner(self.lake, self.watcher))

    def assign(self, name: str, sql: str, max_age: MaxAge) -> str:
        """Set a variable to the value of an expression or the rows of a SELECT; what it is now."""
        bound, _ = self.prepare(sql, max_age)
        if is_select(sql):
            return f"${name}: {format_count(self.variables.set_rows(name, bound), 'row')}"
        value = self.variables.set_value(name, bound)
        return f"${name} = {'NULL' if value.text is None else value.text}"

    def count(self, table: TableName, max_age: MaxAge) -> Result:
        """``select count(*)`` of one table."""
        schema = f"{quoted(table.schema)}." if table.schema else ""
        return self.run(f"SELECT count(*) AS count FROM {schema}{quoted(table.table)}", max_age)

    def _resolve_tables(self, tables: Sequence[TableRef]) -> UsedTables:
        """The tables of connections among ``tables``, as their adapters spell them.

        Raises UnknownName, before anything is loaded, for one that neither adapter nor lake has, and
        QueryError for one the statement would write to: its rows belong to its connection.
        """
        used: dict[TableName, None] = {}
        standing_in: list[TableName] = []
        for table in tables:
            if table.catalog not in ("", "lake") or not self._is_connection(table):
                continue
            name = TableName(table.schema, table.table)
            offered = self.connections.tables(table.schema)
            if (behind := self.connections.stored_dependencies(name)) is not None:
                standing_in.append(name)
                used.update(dict.fromkeys(behind))
            elif table.table.lower() in offered:
                name = self.connections.canonical_name(name)
                if table.is_written:
                    raise QueryError(_write_refused_message(name))
                used[name] = None
            elif not table.is_written and not catalog.table_columns(self.lake, name):
                self.connections.table(name)
        if used or standing_in:
            self.last_table = next(iter([*standing_in, *used]))
        return UsedTables(tuple(used), bool(standing_in))

    def _is_connection(self, table: TableRef) -> bool:
        """Whether ``table`` belongs to a connection. Raises UnknownName if its schema is nobody's."""
        if self.connections.has(table.schema):
            return True
        asked = table.schema and not table.catalog and not table.is_written
        if asked and not catalog.is_schema(self.lake, table.schema):
            self.connections.connection(table.schema)  # says so, with the nearest connection
        return False

    def _check_freshness(self, names: Sequence[TableName], max_age: MaxAge) -> list[TableFreshness]:
        if not names:
            return []
        now = datetime.now(UTC)
        stored = catalog.stored_tables(self.lake)
        return [
            TableFreshness(
                name,
                decide_freshness(
                    stored[name].loaded_at if name in stored else None,
                    self.connections.refresh_every_s(name),
                    max_age,
                    now,
                ),
                stored.get(name),
                now,
            )
            for name in names
        ]

    def _load_stale(self, tables: Sequence[TableFreshness]) -> str:
        """Load what has to be there, queue what is past its time; gives the footer's note."""
        needed = [
            table
            for table in tables
            if table.decision in (FreshnessDecision.LOAD_AND_WAIT, FreshnessDecision.REFRESH_AND_WAIT)
        ]
        jobs = [self.load_client.enqueue(table.load_request()) for table in needed]
        for table in tables:
            if table.decision is FreshnessDecision.REFRESH_IN_BACKGROUND:
                self._queue_refresh(table)
        if not jobs:
            return _age_note(tables)
        if not self.wait:
            raise LoadFailed(_not_waiting_message(jobs))
        return "; ".join(map(self._summarize_load, self.load_client.wait(jobs)))

    def _summarize_load(self, job: LoaderJob) -> str:
        """What a load brought; what was remarkable about it is a notice."""
        record = ledger.find_load(self.lake, job.uid)
        if record is not None and record.reason:
            self.watcher.notice(f"{job.table}: {record.reason}")
        return load_outcome_text(job, record)

    def _queue_refresh(self, table: TableFreshness) -> None:
        """Queue a refresh. If it cannot be queued, say so; the stored rows are the answer."""
        assert table.stored is not None
        age = format_age((datetime.now(UTC) - table.stored.loaded_at).total_seconds())
        try:
            self.load_client.enqueue(table.load_request(), Priority.SCHEDULED)
        except (StoreError, DaemonUnreachable) as error:
            self.watcher.notice(f"{table.name} was stored {age} and cannot be refreshed: {error.message}")
        else:
            self.watcher.notice(f"{table.name} was stored {age}; a refresh is queued")


def _result(outcome: LakeStatementResult, note: str, *, whole: bool) -> Result:
    if outcome.columns is None:
        return Message(outcome.summary)
    return Rows(result_columns(outcome.columns), outcome.batches(), note, whole)


def _age_note(tables: Sequence[TableFreshness]) -> str:
    """``stored 12 min ago``: the oldest of the tables used."""
    loaded = [table.stored.loaded_at for table in tables if table.stored]
    if not loaded:
        return ""
    return f"stored {format_age((datetime.now(UTC) - min(loaded)).total_seconds())}"


def _write_refused_message(name: TableName) -> str:
    return (
        f"{name} is filled by its connection and cannot be written to. "
        f"Work on a copy: create table {name.table} as select * from {name}; "
        f"to forget its rows: clear table {name}"
    )


def _not_waiting_message(jobs: Sequence[LoaderJob]) -> str:
    tables = ", ".join(f"{job.table} (job {job.id})" for job in jobs)
    return (
        f"{format_count(len(jobs), 'table')} not loaded yet, and --no-wait was given: {tables} is on its way"
    )
