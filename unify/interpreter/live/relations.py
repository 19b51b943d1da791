"""Replaces the views and live tables of a statement by temporary relations.

A view of a spec is a temporary view of the session. In the lake it would need the writers' lock and a
writable lake, and would be outdated when the spec or connection changes. Therefore the user cannot create
a view or macro over it, which would outlive it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from unify.engine.connection import fetch_distinct_rows
from unify.engine.types import qualified_name
from unify.engine.types import quote_identifier as quoted
from unify.errors import ConfigError, QueryError, UnifyError
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.live.join_keys import JoinKeys
from unify.interpreter.live.live_tables import LiveTables
from unify.interpreter.live.pushdown import LiveTableRef, PushdownPlanner, too_many_requests_message
from unify.interpreter.live.requests import LiveRead, LiveRelation, filter_parents
from unify.interpreter.sources.named_databases import NamedDatabases
from unify.interpreter.sources.source_tables import SourceUse, source_key
from unify.interpreter.variables import BoundQuery, parameter_constants
from unify.lake import catalog, session_rows
from unify.lake.definitions import certain_view, definitions, find_view
from unify.lake.lake import Lake
from unify.language.sql import rewrite, untrusted
from unify.language.sql.analysis import StatementKind, analyse
from unify.language.sql.refs import TableRef
from unify.language.sql.rewrite import KnownColumns, StatementMentions, TableMention
from unify.language.sql.simple_views import SimpleView, find_simple_view
from unify.model import TableName

if TYPE_CHECKING:
    from unify.adapters.base import ParentRow
    from unify.adapters.relation import SourceTable
    from unify.adapters.spec.elements import View


class RelationResolver:
    """Creates the temporary relations of a statement; ``live`` fetches rows."""

    def __init__(
        self,
        lake: Lake,
        connections: ConnectionCatalog,
        live: LiveTables,
        planner: PushdownPlanner,
        *,
        qualify: Callable[[TableRef], TableRef],
        named_databases: NamedDatabases,
    ) -> None:
        self.lake = lake
        self.connections = connections
        self.live = live
        self.planner = planner
        self.qualify = qualify
        self.named_databases = named_databases
        self.source_views = named_databases.views
        self._join_keys = JoinKeys(lake, self._lake_relation)
        self._uses: Mapping[str, SourceUse] = {}
        self._uses_definitions = False
        self._uses_macros = False  # one may have the name of a function, such as sum

    def resolve(self, bound: BoundQuery, uses: Mapping[str, SourceUse]) -> BoundQuery:
        """Return ``bound`` with its views and live tables replaced by temporary relations.

        ``uses``  the tables of databases and stores that it uses, see ``SourceTables.choose``.
        Raises  QueryError if a filter is missing or the statement cannot be analysed;
                SourceError if a live table cannot be fetched.
        """
        self.live.drop_uncached()
        self._uses = uses
        self._uses_definitions = bool(bound.definitions)
        views = {one.sql for one in definitions(self.lake) if one.is_view} if bound.definitions else set()
        self._uses_macros = not views.issuperset(bound.definitions)
        statement = analyse(bound.sql)
        if uses and (bound.definitions or statement.is_lasting):
            self.named_databases.provide(uses.values())
        if statement.kind is StatementKind.EXECUTE:
            return bound  # what it runs names its tables with all parts
        return replace(bound, sql=self._resolve_sql(bound))

    def end_statement(self) -> None:
        """Remove what the previous statement needed of databases and stores."""
        self.source_views.drop()
        self.named_databases.detach()

    def provide(self, uses: Mapping[str, SourceUse]) -> None:
        """Make tables of databases and stores available to definitions."""
        self.end_statement()
        self.named_databases.provide(uses.values())

    def stored_tables(self) -> Collection[TableName]:
        """Return the tables whose rows are in the lake."""
        return catalog.stored_tables(self.lake).keys()

    def _resolve_sql(self, bound: BoundQuery, schema: str = "") -> str:
        """``schema``: the default schema in SQL of a spec; "" for a user's statement."""
        statement = analyse(bound.sql).mentions(
            self._filter_columns(schema), parameter_constants(bound.parameters)
        )
        if statement is None and self._uses and not schema:
            return self._rename_sources(bound.sql)
        if statement is None:
            raise QueryError(
                "this statement cannot use views and live tables of connections; use them in a SELECT, "
                "or store their rows first: create table t as select * from …"
            )
        names: dict[int, str] = {}
        live: list[LiveTableRef] = []
        is_lasting = analyse(bound.sql).is_lasting
        for number, mention in enumerate(statement.mentions):
            if not schema and (use := self._source_use(mention.ref)) is not None:
                names[number] = self._source_relation(use, statement, number, is_lasting=is_lasting)
                continue
            if not schema and not is_lasting and (simple := self._simple_view(mention.ref)) is not None:
                names[number] = self._view_relation(simple, statement, number)
                continue
            name = self._connection_table(mention.ref, schema)
            if name is None:
                continue
            view, table = self.connections.view(name), self.connections.live_table(name)
            if view is not None or table is not None:
                _refuse_write_or_definition(statement, mention, name)
            connection = self.connections.connection(name.schema).name
            if view is not None:
                names[number] = self._create_view(TableName(connection, view.name), view)
            elif table is not None:
                live.append(LiveTableRef(number, TableName(connection, table.name), table))
            elif schema:
                names[number] = f"lake.{quoted(name.schema)}.{quoted(name.table)}"
        self._fetch_live_tables(statement, bound, live, names)
        return statement.replace_mentions(names)

    def _source_use(self, ref: TableRef) -> SourceUse | None:
        """Return how the statement reads a table of a database or store; None for other tables."""
        if not self._uses:
            return None
        name = self.source_views.tables.name_of(ref if ref.schema else self.qualify(ref))
        return None if name is None else self._uses.get(source_key(name))

    def _source_relation(
        self, use: SourceUse, statement: StatementMentions, number: int, *, is_lasting: bool
    ) -> str:
        """Return what the statement reads in place of a table of a source.

        ``is_lasting``  the text outlives the statement.
        """
        if is_lasting:
            return self.named_databases.full_name(use)
        if use.is_live and use.table is not None:
            return self._live_relation(use, use.table, statement, statement.mentions[number])
        return qualified_name(use.name.schema, use.name.table)

    def _live_relation(
        self, use: SourceUse, table: SourceTable, statement: StatementMentions, mention: TableMention
    ) -> str:
        """Return the view of a live table; ``mention`` is what ``statement`` needs of it."""
        keys = self._join_keys.conditions(statement, mention, table)
        limited = dataclasses.replace(mention, conditions=(*mention.conditions, *keys))
        if self._uses_macros:
            limited = dataclasses.replace(limited, aggregates=None, is_counted=False)
        return self.create_source_view(use, limited, reads_ahead=self._reads_ahead(statement, mention))

    def _reads_ahead(self, statement: StatementMentions, mention: TableMention) -> bool:
        """Whether a SELECT needs the rows of the table, as far as is known, and reads no other source."""
        if self._uses_definitions or mention.limit is not None or mention.first_rows is not None:
            return False
        sources = [one for one in statement.mentions if self._source_use(one.ref) is not None]
        return len(sources) == 1 and analyse(statement.sql).kind is StatementKind.SELECT

    def _simple_view(self, ref: TableRef) -> SimpleView | None:
        """Return a user's view of one live table, whose conditions and limits are those of the table."""
        if not self._uses or not self._uses_definitions or ref.is_written:
            return None
        found = certain_view(self.lake, ref)
        view = find_simple_view(found.sql) if found is not None else None
        use = self._source_use(view.table) if view is not None else None
        return view if use is not None and use.is_live and use.table is not None else None

    def _view_relation(self, view: SimpleView, statement: StatementMentions, number: int) -> str:
        """Return what the statement reads in place of such a view."""
        use = self._source_use(view.table)
        assert use is not None
        assert use.table is not None
        mention = statement.mentions[number]
        source = self._live_relation(use, use.table, statement, view.merge(mention))
        return self.source_views.create_view(view.select.replace_mentions({0: source}), str(mention.ref))

    def _lake_relation(self, statement: StatementMentions, number: int) -> str | None:
        """Return a table of the lake, or a temporary one, as the statement names it; None for others."""
        mention = statement.mentions[number]
        if (use := self._source_use(mention.ref)) is not None:
            return None if use.is_live else qualified_name(use.name.schema, use.name.table)
        name = self._connection_table(mention.ref, "")
        if name is not None and (self.connections.view(name) or self.connections.live_table(name)):
            return None
        if mention.ref.catalog not in ("", "lake") or "." in mention.ref.table:
            return None
        is_view = find_view(self.lake, TableName(mention.ref.schema or "main", mention.ref.table)) is not None
        return None if is_view else statement.sql[mention.start : mention.end]

    def _rename_sources(self, sql: str) -> str:
        """Return a statement that cannot be parsed, with the full names of the tables of sources."""
        self.named_databases.provide(self._uses.values())
        uses = {ref: self._source_use(ref) for ref in analyse(sql).tables}
        names = {ref: self.named_databases.full_name(use) for ref, use in uses.items() if use is not None}
        return rewrite.replace_table_names(sql, names)

    def create_source_view(self, use: SourceUse, mention: TableMention, *, reads_ahead: bool) -> str:
        """Create the view of a live table of a source; ``explain`` overrides it."""
        return self.source_views.create(use, mention, reads_ahead=reads_ahead)[0]

    def _connection_table(self, ref: TableRef, schema: str) -> TableName | None:
        ref = ref if ref.schema or schema else self.qualify(ref)
        if ref.catalog not in ("", "lake") or not (ref.schema or schema):
            return None
        name = TableName(ref.schema or schema, ref.table)
        return name if self.connections.has(name.schema) else None

    def _filter_columns(self, schema: str) -> KnownColumns:
        def own(ref: TableRef) -> Collection[str]:
            if not schema and (use := self._source_use(ref)) is not None and use.table is not None:
                return {column.name.lower() for column in use.table.columns}
            if not schema and (view := self._simple_view(ref)) is not None:
                return view.column_names(own(view.table))
            name = self._connection_table(ref, schema)
            table = self.connections.live_table(name) if name is not None else None
            return {each.column.lower() for each in table.filters} if table is not None else ()

        return own

    def _create_view(self, name: TableName, view: View) -> str:
        relation = f"temp.main.{quoted(f'unify view {name}')}"
        sql = self._resolve_spec_select(view.query, name.schema, f"view {name} of its spec")
        self._run(f"CREATE OR REPLACE TEMP VIEW {relation} AS {sql}", None, f"view {name}: ")
        return relation

    def _resolve_spec_select(self, query: str, schema: str, description: str) -> str:
        """``_resolve_sql`` for a SELECT of a spec.

        Raises ConfigError if it is not a SELECT or reads tables of other connections.
        """
        try:
            refs = untrusted.select_tables(query)
        except ValueError as error:
            raise ConfigError(f"{description} {error}") from error
        foreign = [ref for ref in refs if ref.schema]
        if foreign:
            raise ConfigError(f"{description} reads {foreign[0]}, which is not a table of its connection")
        return self._resolve_sql(BoundQuery(query, None), schema)

    def _fetch_live_tables(
        self,
        statement: StatementMentions,
        bound: BoundQuery,
        live: Sequence[LiveTableRef],
        names: dict[int, str],
    ) -> None:
        """Fetch the live tables; those that supply filter values of others first."""
        pending = list(live)
        while pending:
            one = self.planner.next_table(statement, pending)
            pending.remove(one)
            mention = statement.mentions[one.number]
            requests = self.planner.plan_requests(statement, one, names)
            live_read = LiveRead(requests, self.select_parents(one, mention), mention.limit, mention.columns)
            fetched = self._fetch_bounded(one, live_read)
            names[one.number] = fetched.name
            if fetched.is_truncated and self._count_rows(statement.replace_mentions(names), bound) < (
                mention.limit or 0
            ):
                names[one.number] = self._fetch_bounded(one, live_read.unlimited).name

    def _fetch_bounded(self, table_ref: LiveTableRef, live_read: LiveRead) -> LiveRelation:
        """``fetch_relation`` with at most the allowed number of requests, which may meet a limit."""
        bounded = self.planner.limit_parents(table_ref, live_read)
        fetched = self.fetch_relation(table_ref, bounded)
        if bounded is not live_read and not fetched.is_truncated:
            raise QueryError(too_many_requests_message(table_ref, live_read))
        return fetched

    def fetch_relation(self, table_ref: LiveTableRef, live_read: LiveRead) -> LiveRelation:
        """Fetch the rows of a live table; ``explain`` overrides it."""
        return self.live.fetch(table_ref.name, table_ref.table, live_read)

    def select_parents(self, table_ref: LiveTableRef, mention: TableMention) -> Sequence[ParentRow] | None:
        """Return the parent rows of a live table; None without ``for_each``.

        Raises QueryError naming the table if the SELECT of ``for_each`` fails.
        """
        each = table_ref.table.for_each
        if each is None:
            return None
        rows = each.rows if each.query is None else self._select_parents(table_ref, each.query)
        return filter_parents(rows, table_ref.table, mention.conditions)

    def _select_parents(self, table_ref: LiveTableRef, query: str) -> Sequence[ParentRow]:
        from unify.engine import duckdb

        sql = self._resolve_spec_select(query, table_ref.name.schema, f"the for_each of {table_ref.name}")
        try:
            return fetch_distinct_rows(self.lake.connection, sql)
        except duckdb.Error as error:
            raise QueryError(f"{table_ref.name}: the SELECT of its for_each failed: {error}") from error

    def _count_rows(self, sql: str, bound: BoundQuery) -> int:
        """Count the rows of the statement: below its limit, a limited fetch was not enough."""
        [[rows]] = self._run(f"SELECT count(*) FROM (\n{sql}\n) AS rows", bound.parameters)
        return int(str(rows))

    def _run(
        self, sql: str, parameters: Mapping[str, object] | None, error_prefix: str = ""
    ) -> Sequence[Sequence[object]]:
        try:
            return session_rows.fetch_session_rows(self.lake, sql, parameters)
        except UnifyError as error:
            raise type(error)(f"{error_prefix}{error.message}") from error


def _refuse_write_or_definition(statement: StatementMentions, mention: TableMention, name: TableName) -> None:
    if mention.ref.is_written:
        raise QueryError(f"{name} is a table of its connection and cannot be written")
    if statement.is_stored_definition:
        raise QueryError(
            f"a view or macro outlives this session, and {name} exists only while a statement runs; "
            f"store its rows instead: create table {name.table} as select * from {name}"
        )
