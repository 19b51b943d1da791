"""SQL: find the tables it uses, see that they are there and fresh enough, run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from unify.errors import LoadFailed, QueryError
from unify.interpreter.freshness import MaxAge, Need, decide
from unify.interpreter.loads import Loads, Wanted
from unify.interpreter.results import Message, Result, Rows, Stager, Watcher, result_columns
from unify.interpreter.sources import Sources
from unify.interpreter.systemshape import SCHEMA
from unify.interpreter.systemtables import SystemTables
from unify.interpreter.tables import outcome
from unify.interpreter.variables import Bound, Variables
from unify.language import sqltext
from unify.language.placeholders import is_select
from unify.language.sqltext import TableRef
from unify.model import Action, LoaderJob, Priority, TableName
from unify.store import catalog, ledger
from unify.store.catalog import StoredTable
from unify.store.duck import quoted
from unify.store.lake import Lake, Outcome
from unify.text import ago, counted

if TYPE_CHECKING:
    from unify.interpreter.standins import StandIns


@dataclass(frozen=True, slots=True)
class Standing:
    """A table of a connection that a query uses, and what it needed at ``seen_at``."""

    name: TableName
    need: Need
    stored: StoredTable | None
    seen_at: datetime

    def wanted(self) -> Wanted:
        """The load that brings what it needs."""
        return Wanted(self.name, Action.LOAD if self.stored is None else Action.REFRESH, self.seen_at)


@dataclass(frozen=True, slots=True)
class Used:
    """The tables of connections that a statement uses: the stored ones, and whether others stand in."""

    stored: Sequence[TableName]
    standing_in: bool = False


class Query:
    """Runs any SQL over the lake, loading what it names."""

    def __init__(
        self,
        lake: Lake,
        sources: Sources,
        loads: Loads,
        system: SystemTables,
        watcher: Watcher,
        *,
        wait: bool,
        variables: Variables,
        stager: Stager,
    ) -> None:
        self.lake = lake
        self.sources = sources
        self.loads = loads
        self.system = system
        self.watcher = watcher
        self.wait = wait
        self.variables = variables
        self.stager = stager
        self.last_table: TableName | None = None

    def run(self, sql: str, max_age: MaxAge) -> Result:
        """Answer one statement. Raises QueryError, UnknownName, LoadFailed, Interrupted."""
        if sqltext.is_explain(sql) and (plan := self._explained(sql, max_age)) is not None:
            return plan
        bound, note = self.prepare(sql, max_age)
        return _result(self.lake.execute(bound.sql, bound.parameters), note, whole=sqltext.is_listing(sql))

    def prepare(self, sql: str, max_age: MaxAge) -> tuple[Bound, str]:
        """Bind the variables of a statement, provide the tables it uses; the note says how old they are."""
        bound = self.variables.bind(sql)
        tables = sqltext.tables(bound.sql)
        self.system.refresh([table.table for table in tables if table.schema.lower() == SCHEMA], max_age)
        used = self._used(tables)
        note = self._provide(self._standing(used.stored, max_age))
        return (self.stand_ins.resolved(bound) if used.standing_in else bound), note

    def peek_view(self, view: TableName, rows: int | None, max_age: MaxAge) -> Result:
        """A few rows of a view of a connection, whose tables are loaded for it, or of the system's tables."""
        return self.run(
            f"SELECT * FROM {quoted(view.schema)}.{quoted(view.table)} LIMIT {rows or 5:d}", max_age
        )

    def view_columns(self, view: TableName, like: str | None) -> Result:
        """The columns of a view of a connection. Raises QueryError where its tables are not there to tell."""
        from unify.interpreter.explaining import Explaining

        self.last_table = view
        return Explaining(self.stand_ins).columns(view, like)

    def _explained(self, sql: str, max_age: MaxAge) -> Result | None:
        """The plan of a statement with what would be loaded and asked first; None where nothing would."""
        bound = self.variables.bind(sql)
        used = self._used(sqltext.tables(bound.sql))
        due = [table for table in self._standing(used.stored, max_age) if table.need is not Need.NOTHING]
        if not due and not used.standing_in:
            return None
        from unify.interpreter.explaining import Explaining

        explaining = Explaining(self.stand_ins)
        return explaining.plan(bound, [(table.name, table.stored) for table in due])

    @cached_property
    def stand_ins(self) -> StandIns:
        from unify.interpreter.asks import Planner
        from unify.interpreter.live import LiveTables
        from unify.interpreter.standins import StandIns

        live = LiveTables(self.lake, self.sources, self.watcher, self.stager)
        return StandIns(self.lake, self.sources, live, Planner(self.lake, self.watcher))

    def assign(self, name: str, sql: str, max_age: MaxAge) -> str:
        """Set a variable to the value of an expression or the rows of a SELECT; what it is now."""
        bound, _ = self.prepare(sql, max_age)
        if is_select(sql):
            return f"${name}: {counted(self.variables.set_rows(name, bound), 'row')}"
        value = self.variables.set_value(name, bound)
        return f"${name} = {'NULL' if value.text is None else value.text}"

    def count(self, table: TableName, max_age: MaxAge) -> Result:
        """``select count(*)`` of one table."""
        schema = f"{quoted(table.schema)}." if table.schema else ""
        return self.run(f"SELECT count(*) AS count FROM {schema}{quoted(table.table)}", max_age)

    def _used(self, tables: Sequence[TableRef]) -> Used:
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
            offered = self.sources.tables(table.schema)
            if (behind := self.sources.behind(name)) is not None:
                standing_in.append(name)
                used.update(dict.fromkeys(behind))
            elif table.table.lower() in offered:
                name = self.sources.spelled(name)
                if table.written:
                    raise QueryError(_belongs(name))
                used[name] = None
            elif not table.written and not catalog.columns(self.lake, name):
                self.sources.table(name)
        if used or standing_in:
            self.last_table = next(iter([*standing_in, *used]))
        return Used(tuple(used), bool(standing_in))

    def _is_connection(self, table: TableRef) -> bool:
        """Whether ``table`` belongs to a connection. Raises UnknownName if its schema is nobody's."""
        if self.sources.has(table.schema):
            return True
        asked = table.schema and not table.catalog and not table.written
        if asked and not catalog.is_schema(self.lake, table.schema):
            self.sources.connection(table.schema)  # says so, with the nearest connection
        return False

    def _standing(self, used: Sequence[TableName], max_age: MaxAge) -> list[Standing]:
        if not used:
            return []
        now = datetime.now(UTC)
        stored = catalog.stored_tables(self.lake)
        return [
            Standing(
                name,
                decide(
                    stored[name].loaded_at if name in stored else None,
                    self.sources.refresh_every_s(name),
                    max_age,
                    now,
                ),
                stored.get(name),
                now,
            )
            for name in used
        ]

    def _provide(self, standing: Sequence[Standing]) -> str:
        """Load what has to be there, queue what is past its time; gives the footer's note."""
        needed = [table for table in standing if table.need in (Need.FIRST_LOAD, Need.FRESH_DATA)]
        jobs = [self.loads.request(table.wanted()) for table in needed]
        for table in standing:
            if table.need is Need.REFRESH_BEHIND:
                self._refresh_behind(table)
        if not jobs:
            return _ages(standing)
        if not self.wait:
            raise LoadFailed(_not_waiting(jobs))
        return "; ".join(map(self._ended, self.loads.wait(jobs)))

    def _ended(self, job: LoaderJob) -> str:
        """What a load brought; what was remarkable about it is a notice."""
        record = ledger.find(self.lake, job.uid)
        if record is not None and record.reason:
            self.watcher.notice(f"{job.table}: {record.reason}")
        return outcome(job, record)

    def _refresh_behind(self, table: Standing) -> None:
        """Queue a refresh; that it cannot be queued is worth a notice, not the answer."""
        assert table.stored is not None
        age = ago((datetime.now(UTC) - table.stored.loaded_at).total_seconds())
        self.loads.request(table.wanted(), Priority.SCHEDULE)
        self.watcher.notice(f"{table.name} was stored {age}; a refresh is queued")


def _result(outcome: Outcome, note: str, *, whole: bool) -> Result:
    if outcome.columns is None:
        return Message(outcome.summary)
    return Rows(result_columns(outcome.columns), outcome.batches(), note, whole)


def _ages(standing: Sequence[Standing]) -> str:
    """``stored 12 min ago``: the oldest of the tables used."""
    loaded = [table.stored.loaded_at for table in standing if table.stored]
    if not loaded:
        return ""
    return f"stored {ago((datetime.now(UTC) - min(loaded)).total_seconds())}"


def _belongs(name: TableName) -> str:
    return (
        f"{name} is filled by its connection and cannot be written to. "
        f"Work on a copy: create table {name.table} as select * from {name}; "
        f"to forget its rows: clear table {name}"
    )


def _not_waiting(jobs: Sequence[LoaderJob]) -> str:
    tables = ", ".join(f"{job.table} (job {job.id})" for job in jobs)
    return f"{counted(len(jobs), 'table')} not loaded yet, and --no-wait was given: {tables} is on its way"
