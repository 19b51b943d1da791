"""Views and live tables of connections: relations made for a statement, and put where it names them.

A view is a temporary view in this session. One in the lake would take the writers' lock, go stale when
its spec changes or its connection goes, and could not be made where the lake is read-only. The price:
a view or macro of a person's own cannot be made over it, because it would outlive what it names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from unify.errors import ConfigError, QueryError, UnifyError
from unify.interpreter.asks import LiveMention, Planner, too_many
from unify.interpreter.live import LiveTables
from unify.interpreter.liveasks import Fetched, Wanted
from unify.interpreter.liveparents import narrowed
from unify.interpreter.sources import Sources
from unify.interpreter.variables import Bound, constants
from unify.language import mentions, sqltext
from unify.language.mentions import Mention, Statement
from unify.language.tableref import TableRef
from unify.model import TableName
from unify.store import catalog, session
from unify.store.duck import quoted
from unify.store.lake import Lake
from unify.store.plainrows import distinct_rows

if TYPE_CHECKING:
    from unify.adapters.base import ParentRow
    from unify.adapters.spec import View


class StandIns:
    """Makes what a statement needs. ``live`` fetches."""

    def __init__(self, lake: Lake, sources: Sources, live: LiveTables, planner: Planner) -> None:
        self.lake = lake
        self.sources = sources
        self.live = live
        self.planner = planner

    def resolved(self, bound: Bound) -> Bound:
        """``bound`` with its views and live tables replaced by relations that are there now.

        Raises  QueryError where a filter is missing or the statement cannot be read with certainty;
                SourceError where a live table cannot be fetched.
        """
        self.live.forget_passing()
        return replace(bound, sql=self._resolved(bound))

    def stored(self) -> Collection[TableName]:
        """The tables whose rows are in the lake."""
        return catalog.stored_tables(self.lake).keys()

    def _resolved(self, bound: Bound, schema: str = "") -> str:
        """``schema``: whose tables names of one part are; "" outside of a spec's view."""
        statement = mentions.read(bound.sql, self._own_columns(schema), constants(bound.parameters))
        if statement is None:
            raise QueryError(
                "views and live tables of connections cannot be found in a statement of this form; "
                "put them into a SELECT, or keep their rows first: create table t as select * from …"
            )
        names: dict[int, str] = {}
        live: list[LiveMention] = []
        for number, mention in enumerate(statement.mentions):
            name = self._name(mention.ref, schema)
            if name is None:
                continue
            view, table = self.sources.view(name), self.sources.live(name)
            if view is not None or table is not None:
                _refuse(statement, mention, name)
            connection = self.sources.connection(name.schema).name
            if view is not None:
                names[number] = self._view(TableName(connection, view.name), view)
            elif table is not None:
                live.append(LiveMention(number, TableName(connection, table.name), table))
            elif schema:
                names[number] = f"lake.{quoted(name.schema)}.{quoted(name.table)}"
        self._fetch(statement, bound, live, names)
        return statement.with_names(names)

    def _name(self, ref: TableRef, schema: str) -> TableName | None:
        if ref.catalog not in ("", "lake") or not (ref.schema or schema):
            return None
        name = TableName(ref.schema or schema, ref.table)
        return name if self.sources.has(name.schema) else None

    def _own_columns(self, schema: str) -> mentions.Own:
        def own(ref: TableRef) -> Collection[str]:
            name = self._name(ref, schema)
            table = self.sources.live(name) if name is not None else None
            return {each.column.lower() for each in table.filters} if table is not None else ()

        return own

    def _view(self, name: TableName, view: View) -> str:
        """A view's relation."""
        relation = f"temp.main.{quoted(f'unify view {name}')}"
        sql = self._own_select(view.query, name.schema, f"view {name} of its spec")
        self._run(f"CREATE OR REPLACE TEMP VIEW {relation} AS {sql}", None, f"view {name}: ")
        return relation

    def _own_select(self, query: str, schema: str, what: str) -> str:
        """A SELECT of a spec over relations that are there now.

        Raises  ConfigError for one that is more than a SELECT over the connection's own tables.
        """
        try:
            found = sqltext.select_tables(query)
        except ValueError as error:
            raise ConfigError(f"{what} {error}") from error
        foreign = [ref for ref in found if ref.schema]
        if foreign:
            raise ConfigError(f"{what} reads {foreign[0]}, which is not of its connection")
        return self._resolved(Bound(query, None), schema)

    def _fetch(
        self,
        statement: Statement,
        bound: Bound,
        live: Sequence[LiveMention],
        names: dict[int, str],
    ) -> None:
        """Fetch the live tables, those first that others take their filters from."""
        pending = list(live)
        while pending:
            one = self.planner.next(statement, pending)
            pending.remove(one)
            mention = statement.mentions[one.number]
            asks = self.planner.asks(statement, one, names)
            wanted = Wanted(asks, self.parents(one, mention), mention.limit, mention.columns)
            fetched = self._provided(one, wanted)
            names[one.number] = fetched.relation
            if fetched.cut and self._count(statement.with_names(names), bound) < (mention.limit or 0):
                names[one.number] = self._provided(one, wanted.whole).relation

    def _provided(self, one: LiveMention, wanted: Wanted) -> Fetched:
        """``provide``, of no more requests than one statement may make; a limit may be met before."""
        bounded = self.planner.bounded(one, wanted)
        fetched = self.provide(one, bounded)
        if bounded is not wanted and not fetched.cut:
            raise QueryError(too_many(one, wanted))
        return fetched

    def provide(self, one: LiveMention, wanted: Wanted) -> Fetched:
        """The rows of a live table, or something in their place."""
        return self.live.fetch(one.name, one.table, wanted)

    def parents(self, one: LiveMention, mention: Mention) -> Sequence[ParentRow] | None:
        """Whom a live table is asked for; None where it has no ``for_each``.

        Raises  QueryError naming the table where its SELECT cannot be run.
        """
        each = one.table.for_each
        if each is None:
            return None
        rows = each.rows if each.query is None else self._selected(one, each.query)
        return narrowed(rows, one.table, mention.conditions)

    def _selected(self, one: LiveMention, query: str) -> Sequence[ParentRow]:
        import duckdb

        sql = self._own_select(query, one.name.schema, f"the for_each of {one.name}")
        try:
            return distinct_rows(self.lake.connection, sql)
        except duckdb.Error as error:
            raise QueryError(f"{one.name}: its for_each cannot be run: {error}") from error

    def _count(self, sql: str, bound: Bound) -> int:
        """How many rows the statement shows: fewer than its limit, and a limited fetch was too little."""
        [[rows]] = self._run(f"SELECT count(*) FROM (\n{sql}\n) AS rows", bound.parameters)
        return int(str(rows))

    def _run(
        self, sql: str, parameters: Mapping[str, object] | None, place: str = ""
    ) -> Sequence[Sequence[object]]:
        try:
            return session.fetch(self.lake, sql, parameters)
        except UnifyError as error:
            raise type(error)(f"{place}{error.message}") from error


def _refuse(statement: Statement, mention: Mention, name: TableName) -> None:
    if mention.ref.written:
        raise QueryError(f"{name} belongs to its connection and cannot be written to")
    if statement.lasting:
        raise QueryError(
            f"a view or macro outlives this session, and {name} exists only while a statement runs; "
            f"keep its rows instead: create table {name.table} as select * from {name}"
        )
