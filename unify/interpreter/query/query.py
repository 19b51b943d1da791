"""Runs SQL: finds the tables of a statement, loads missing and outdated ones, executes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import DaemonUnreachable, LoadFailed, NotPermitted, QueryError, StoreError
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.freshness import DEFAULT_MAX_AGE, FreshnessDecision, MaxAge, decide_freshness
from unify.interpreter.query.internal_databases import hide_internal_databases
from unify.interpreter.query.load_client import (
    LoadClient,
    LoadRequest,
    load_outcome_text,
)
from unify.interpreter.query.table_resolver import TableResolver, UsedTables
from unify.interpreter.results import (
    LineProjection,
    Message,
    Result,
    ResultColumn,
    Rows,
    Stager,
    Watcher,
    result_columns,
)
from unify.interpreter.system_tables.tables import SystemTables
from unify.interpreter.transactions import refuse_load
from unify.interpreter.variables import BoundQuery, Variables
from unify.lake import catalog, ledger
from unify.lake.catalog import StoredTable
from unify.lake.lake import Lake
from unify.lake.selects import Batches
from unify.language.sql.analysis import Analysed, StatementKind, analyse
from unify.language.tokenizer import unquote
from unify.model import Action, LoaderJob, Priority, TableName
from unify.text import format_age, format_count

if TYPE_CHECKING:
    from unify.interpreter.live.relations import RelationResolver
    from unify.interpreter.restriction import Restriction
    from unify.interpreter.sources.source_tables import SourceTables, SourceUse


class TableFreshness(Struct, frozen=True):
    """A table that a query uses, with the decision about its freshness at ``checked_at``."""

    name: TableName
    decision: FreshnessDecision
    stored: StoredTable | None
    checked_at: datetime

    @property
    def is_live(self) -> bool:
        return self.decision is FreshnessDecision.READ_SOURCE

    def load_request(self) -> LoadRequest:
        """Return the load that the decision requires."""
        return LoadRequest(self.name, Action.LOAD if self.stored is None else Action.REFRESH, self.checked_at)


class QueryRunner:
    """Runs SQL over the lake and loads the tables it names."""

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
        get_sources: Callable[[], SourceTables],
        restriction: Restriction | None = None,
    ) -> None:
        self.restriction = restriction
        self._openings = lake.openings
        self.lake = lake
        self.connections = connections
        self.load_client = load_client
        self.system_tables = system_tables
        self.watcher = watcher
        self.wait = wait
        self.variables = variables
        self.stager = stager
        self.get_sources = get_sources
        self.resolver = TableResolver(lake, connections, get_sources)
        self.last_table: TableName | None = None
        self._prepared: dict[str, str] = {}  # prepared statements that read databases and stores, by name

    def run(self, sql: str, max_age: MaxAge, projection: LineProjection | None = None) -> Result:
        """Run one statement. Raises QueryError, UnknownName, LoadFailed, Interrupted.

        ``projection``  the form that the rows of a SELECT may have; see Rows.
        """
        kind = analyse(sql).kind
        if kind is StatementKind.EXPLAIN and (plan := self._explain(sql, max_age)) is not None:
            return plan
        bound, note = self._prepare_again(sql, max_age) or self.prepare(sql, max_age)
        if kind is StatementKind.BEGIN:
            self.system_tables.create()
        if kind is not StatementKind.SELECT:
            projection = None
        sql = hide_internal_databases(bound.sql)
        result = self.lake.execute(sql, bound.parameters, bound.definitions, projection)
        if result.columns is None:
            self.report_null_values()
            return Message(result.summary, result.affected)
        return Rows(
            result_columns(result.columns),
            self._report_at_end(result.batches()),
            note,
            show_all=kind is StatementKind.LISTING,
            projection=projection if result.is_projected else None,
        )

    def describe(self, sql: str, max_age: MaxAge) -> Sequence[ResultColumn]:
        """Return the columns of a SELECT, whose tables are loaded first. Raises what ``run`` raises."""
        bound, _ = self.prepare(sql, max_age)
        query = hide_internal_databases(bound.sql)
        found = self.lake.statements.selects.describe_columns(query, bound.parameters)
        if not found:  # running it tells why
            found = self.lake.execute(query, bound.parameters, bound.definitions).columns or ()
        return result_columns(found)

    def _report_at_end(self, batches: Batches) -> Batches:
        yield from batches
        self.report_null_values()

    def report_null_values(self) -> None:
        """Show notices about values of databases that the last statement has read as NULL."""
        if "relations" in vars(self):
            self.relations.source_views.null_values.report()

    def prepare(self, sql: str, max_age: MaxAge, *, is_expression: bool = False) -> tuple[BoundQuery, str]:
        """Bind the variables of a statement or expression and load its tables; the note states their age."""
        if "relations" in vars(self):
            self.relations.end_statement()
        bound = self._replace_direct_queries(self.variables.bind(sql))
        statement = analyse(bound.sql)
        self.resolver.create_path_schemas(statement)
        used = self._resolve_tables(statement, bound.parameters)
        self.system_tables.refresh(used.system, max_age)
        uses = self._choose_sources(used, max_age)
        note = self._load_stale([*self._check_freshness(used.stored, max_age), *_source_freshness(uses)])
        self._forget_lost_relations()
        bound = replace(bound, definitions=used.definitions)
        if not is_expression:
            self.lake.statements.claim_sources(bound.sql, used.definitions, bound.parameters)
        elif "(" in bound.sql:  # else it reads nothing
            query = f"SELECT (\n{bound.sql}\n)"
            self.lake.statements.claim_sources(query, used.definitions, bound.parameters)
        self._remember_prepared(sql, reads_sources=bool(uses))
        if used.relations or self._needs_views(uses, used, statement):
            bound = self.relations.resolve(bound, uses)
        return bound, note

    def _forget_lost_relations(self) -> None:
        """Forget the temporary relations of a lake that was opened again: it does not have them any more."""
        if self.lake.openings != self._openings:
            self._openings = self.lake.openings
            vars(self).pop("relations", None)

    def _prepare_again(self, sql: str, max_age: MaxAge) -> tuple[BoundQuery, str] | None:
        """Prepare the statement that EXECUTE names again, if it reads databases or stores; else None.

        DuckDB would use the columns that their tables had when it was prepared, and read wrong values.
        """
        prepared = self._prepared.get(analyse(sql).prepared_name.lower())
        if prepared is None:
            return None
        bound, note = self.prepare(prepared, max_age)
        self.lake.execute(bound.sql, bound.parameters, bound.definitions)
        return replace(self.variables.bind(sql), definitions=bound.definitions), note

    def _remember_prepared(self, sql: str, *, reads_sources: bool) -> None:
        """Record the text of PREPARE, or that DEALLOCATE or another PREPARE ends it."""
        tokens = analyse(sql).tokens
        match [token.keyword for token in tokens[:2]]:
            case ["prepare", _]:
                name = unquote(tokens[1].text).lower()
                self._prepared.pop(name, None)
                if reads_sources:
                    self._prepared[name] = sql
            case ["deallocate", *_]:
                for name in {unquote(token.text).lower() for token in tokens[1:]}:
                    self._prepared.pop(name, None)
            case _:
                return

    def provide_sources(self, view: TableName) -> None:
        """Have the tables of databases and stores that a user's view reads, so that it can be described."""
        used = self._resolve_tables(analyse(f"FROM {quoted(view.schema)}.{quoted(view.table)}"))
        if used.sources:
            stored_or_live = {
                key: use if use.stored is not None else replace(use, decision=FreshnessDecision.READ_SOURCE)
                for key, use in self._choose_sources(used, DEFAULT_MAX_AGE).items()
            }
            self.relations.provide(stored_or_live)

    def _replace_direct_queries(self, bound: BoundQuery) -> BoundQuery:
        """Replace each query('CONNECTION', 'SQL') by the rows that the source gives."""
        if "query" not in analyse(bound.sql).functions:
            return bound
        from unify.interpreter.sources.direct_queries import replace_direct_queries

        return replace(bound, sql=replace_direct_queries(bound.sql, self.relations.source_views))

    def _choose_sources(self, used: UsedTables, max_age: MaxAge) -> Mapping[str, SourceUse]:
        if self.restriction is not None and not self.restriction.may_load:
            for name in used.sources:
                if self.get_sources().stored_name(name) is None:
                    raise NotPermitted(
                        f"{name} is read from its database by each statement, which needs the role loader; "
                        f"readers can read it once it is stored: load table {name}"
                    )
            max_age = MaxAge.parse("none")
        uses = self.get_sources().choose(used.sources, max_age) if used.sources else {}
        live = [str(use.name) for use in uses.values() if use.is_live]
        if self.restriction is not None and used.definitions and live:
            raise QueryError(
                f"{', '.join(live)}: views and macros over tables that are read from their database cannot "
                "be used here; name the table in the statement, or load it in a shell"
            )
        return uses

    def _needs_views(self, uses: Mapping[str, SourceUse], used: UsedTables, statement: Analysed) -> bool:
        """Whether DuckDB does not find every table of a source by its name in the statement."""
        if uses and (used.definitions or statement.is_lasting or statement.prepared_name):
            return True
        return any(
            use.is_live or "." in use.name.table or str(use.name).lower() != key for key, use in uses.items()
        )

    def provide_tables(self, view: TableName, max_age: MaxAge) -> None:
        """Load the missing and outdated tables of a user's view."""
        self.prepare(f"FROM {quoted(view.schema)}.{quoted(view.table)}", max_age)

    def peek_view(self, view: TableName, rows: int | None, max_age: MaxAge) -> Result:
        """Return a few rows of a spec's view, whose tables are loaded first, or of a system table."""
        return self.run(
            f"SELECT * FROM {quoted(view.schema)}.{quoted(view.table)} LIMIT {rows or 5:d}", max_age
        )

    def query_source(self, connection: str, sql: str, max_age: MaxAge) -> Result:
        """Return the rows of a statement that the database itself runs, read-only."""
        return self.run(f"FROM query({quote_literal(connection)}, {quote_literal(sql)})", max_age)

    def view_columns(self, view: TableName, like: str | None) -> Result:
        """Return the columns of a spec's view. Raises QueryError if its tables have to be loaded first."""
        from unify.interpreter.query.explain import Explainer

        self.last_table = view
        return Explainer(self.relations).view_columns(view, like)

    def _explain(self, sql: str, max_age: MaxAge) -> Result | None:
        """Return the plan with loads and requests; None if the statement needs neither."""
        if "relations" in vars(self):
            self.relations.end_statement()
        bound = self._replace_direct_queries(self.variables.bind(sql))
        used = self._resolve_tables(analyse(bound.sql), bound.parameters)
        uses = self._choose_sources(used, max_age)
        due = [
            table
            for table in (*self._check_freshness(used.stored, max_age), *_source_freshness(uses))
            if table.decision is not FreshnessDecision.USE_STORED and not table.is_live
        ]
        if not due and not used.relations and not uses:
            return None
        from unify.interpreter.query.explain import Explainer

        explaining = Explainer(self.relations)
        bound = replace(bound, definitions=used.definitions)
        return explaining.plan(bound, [(table.name, table.stored) for table in due], uses)

    @cached_property
    def relations(self) -> RelationResolver:
        from unify.interpreter.live.live_tables import LiveTables
        from unify.interpreter.live.pushdown import PushdownPlanner
        from unify.interpreter.live.relations import RelationResolver
        from unify.interpreter.sources.named_databases import NamedDatabases
        from unify.interpreter.sources.source_views import SourceViews

        may_fetch = self.restriction is None or self.restriction.may_load
        live = LiveTables(self.lake, self.connections, self.watcher, self.stager, may_fetch=may_fetch)
        planner = PushdownPlanner(self.lake, self.watcher)
        named = NamedDatabases(SourceViews(self.get_sources(), self.watcher))
        return RelationResolver(
            self.lake,
            self.connections,
            live,
            planner,
            qualify=self.resolver.qualify_ref,
            named_databases=named,
        )

    def assign(self, name: str, sql: str, max_age: MaxAge) -> str:
        """Set a variable to the value of an expression or the rows of a SELECT; return a message."""
        is_select = analyse(sql).kind is StatementKind.SELECT
        bound, _ = self.prepare(sql, max_age, is_expression=not is_select)
        if is_select:
            rows = self.variables.set_rows(name, bound)
            self.report_null_values()
            return f"${name}: {format_count(rows, 'row')}"
        value = self.variables.set_value(name, bound)
        self.report_null_values()
        return f"${name} = {'NULL' if value.text is None else value.text}"

    def count(self, table: TableName, max_age: MaxAge) -> Result:
        """Return ``select count(*)`` of one table."""
        schema = f"{quoted(table.schema)}." if table.schema else ""
        return self.run(f"SELECT count(*) AS count FROM {schema}{quoted(table.table)}", max_age)

    def _resolve_tables(
        self, statement: Analysed, parameters: Mapping[str, object] | None = None
    ) -> UsedTables:
        used = self.resolver.resolve(statement, (parameters or {}).values())
        if self.restriction is not None:
            self.restriction.check_tables([*used.stored, *used.relations, *used.sources])
        if not used.is_complete:
            self.watcher.notice(
                "tables that query_table or query name by an expression are neither loaded nor refreshed by "
                "this statement"
            )
        self.last_table = next(iter([*used.relations, *used.stored, *used.sources]), self.last_table)
        return used

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
        """Load missing tables, queue refreshes of outdated ones; return the footer's note."""
        needed = [
            table
            for table in tables
            if table.decision in (FreshnessDecision.LOAD_AND_WAIT, FreshnessDecision.REFRESH_AND_WAIT)
        ]
        if needed and self.restriction is not None and not self.restriction.may_load:
            name = needed[0].name
            raise NotPermitted(f"{name} is not loaded, and loading needs the role loader: load table {name}")
        if needed and self.wait:
            refuse_load(self.lake, f"load {needed[0].name}")
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
        """Return a load's summary; its warnings are shown as a notice."""
        record = ledger.find_load(self.lake, job.uid)
        if record is not None and record.reason:
            self.watcher.notice(f"{job.table}: {record.reason}")
        return load_outcome_text(job, record)

    def _queue_refresh(self, table: TableFreshness) -> None:
        """Queue a refresh, with a notice if that fails; the query reads the stored rows."""
        assert table.stored is not None
        age = format_age((datetime.now(UTC) - table.stored.loaded_at).total_seconds())
        if (pause := self.load_client.find_pause(table.name)) is not None:
            self.watcher.notice(f"{table.name} was stored {age}; its refreshes are paused (resume {pause})")
            return
        try:
            self.load_client.enqueue(table.load_request(), Priority.SCHEDULED)
        except (StoreError, DaemonUnreachable) as error:
            self.watcher.notice(f"{table.name} was stored {age} and cannot be refreshed: {error.message}")
        else:
            self.watcher.notice(f"{table.name} was stored {age}; a refresh is queued")


def _source_freshness(uses: Mapping[str, SourceUse]) -> list[TableFreshness]:
    return [TableFreshness(use.name, use.decision, use.stored, use.checked_at) for use in uses.values()]


def _age_note(tables: Sequence[TableFreshness]) -> str:
    """``stored 12 min ago, live from shop``: the oldest of the stored tables, and the sources read."""
    loaded = [table.stored.loaded_at for table in tables if table.stored and not table.is_live]
    notes = [f"stored {format_age((datetime.now(UTC) - min(loaded)).total_seconds())}"] if loaded else []
    live = dict.fromkeys(table.name.schema for table in tables if table.is_live)
    return ", ".join([*notes, *([f"live from {' and '.join(live)}"] if live else [])])


def _not_waiting_message(jobs: Sequence[LoaderJob]) -> str:
    tables = ", ".join(f"{job.table} (job {job.id})" for job in jobs)
    return (
        f"{format_count(len(jobs), 'table')} not loaded yet, and --no-wait was given: {tables} is on its way"
    )
