"""``explain select …`` over tables of connections: what would be loaded and asked, before DuckDB's plan.

Nothing is sent, loaded or queued. DuckDB's plan is omitted, with a note, if a table was never loaded or the
columns of a live table are known only from responses.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from unify.adapters.base import Read
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter import adapter_access
from unify.interpreter.live.pushdown import LiveTableRef, PushdownPlanner
from unify.interpreter.live.relations import RelationResolver
from unify.interpreter.live.requests import LiveRead, LiveRelation
from unify.interpreter.results import Rows, listing_rows
from unify.interpreter.variables import BoundQuery
from unify.lake.catalog import StoredTable
from unify.language.sql.refs import Constant
from unify.language.sql.rewrite import StatementMentions
from unify.model import TableName
from unify.text import glob_from_like

if TYPE_CHECKING:
    from unify.adapters.base import ParentRow

MAX_LISTED_REQUESTS = 20  # requests of one table that are listed one by one

DueTable = tuple[TableName, StoredTable | None]


class Explainer:
    """Plans one statement; ``relations`` is what would run it."""

    def __init__(self, relations: RelationResolver) -> None:
        self.relations = relations
        self.connections = relations.connections

    def plan(self, bound: BoundQuery, due: Sequence[DueTable]) -> Rows:
        """Rows of ``explain_key`` and ``explain_value``, as DuckDB's own: loads, requests, then its plan."""
        rows: list[tuple[object, ...]] = []
        if due:
            rows.append(
                ("loads", "\n".join(line for name, stored in due for line in self._load_lines(name, stored)))
            )
        dry = _DryRunResolver(self.relations)
        resolved = dry.resolve(bound)
        if dry.requests:
            rows.append(("requests", "\n".join(dry.requests)))
        rows.append(self._query_plan_row(resolved, dry.problem))
        columns = [("explain_key", "VARCHAR"), ("explain_value", "VARCHAR")]
        return listing_rows(columns, rows, "nothing was loaded or asked")

    def view_columns(self, view: TableName, like: str | None) -> Rows:
        """The columns of a view as DuckDB finds them, without loading or asking."""
        dry = _DryRunResolver(self.relations)
        name = f"{quoted(view.schema)}.{quoted(view.table)}"
        resolved = dry.resolve(BoundQuery(f"DESCRIBE SELECT * FROM {name}", None))
        if dry.problem is not None:
            unread = ", ".join(
                map(
                    str,
                    set(self.connections.stored_dependencies(view) or ())
                    - set(self.relations.stored_tables()),
                )
            )
            raise QueryError(f"the columns of the view {view} are known once its tables are loaded: {unread}")
        batches = self.relations.lake.execute(resolved.sql).batches()
        pattern = glob_from_like(like if like is not None else "%").lower()
        rows: list[tuple[object, ...]] = [
            (row[0], row[1], None)
            for batch in batches
            for row in batch
            if fnmatch.fnmatchcase(str(row[0]).lower(), pattern)
        ]
        note = "types of live columns are detected when they are fetched" if dry.requests else ""
        columns = [("column_name", "VARCHAR"), ("column_type", "VARCHAR"), ("description", "VARCHAR")]
        return listing_rows(columns, rows, note)

    def _query_plan_row(self, resolved: BoundQuery, problem: QueryError | None) -> tuple[object, ...]:
        try:
            if problem is not None:
                raise problem
            batches = self.relations.lake.execute(resolved.sql, resolved.parameters).batches()
            [row] = [row for batch in batches for row in batch]
        except QueryError as error:
            first = error.message.splitlines()[0]
            return ("plan", f"DuckDB can plan this only when its tables are there ({first})")
        return row[0], row[1]

    def _load_lines(self, name: TableName, stored: StoredTable | None) -> list[str]:
        """A table that would be loaded or refreshed, after the parents it needs first."""
        table = self.connections.table(name)
        lines = []
        if stored is None:
            there = set(self.relations.stored_tables())
            for parent in table.parents:
                behind = TableName(name.schema, parent)
                lines += [] if behind in there else self._load_lines(behind, None)
        word = "load" if stored is None else "refresh"
        return [*lines, f"{word} {name}: {self._first_request(name, stored)}"]

    def _first_request(self, name: TableName, stored: StoredTable | None) -> str:
        from unify.adapters.rest.adapter import RESTAdapter

        with adapter_access.open_adapter(
            self.connections, self.connections.connection(name.schema)
        ) as adapter:
            if not isinstance(adapter, RESTAdapter):
                return "by an adapter in Python, which knows its requests"
            table = adapter.spec.table(name.table)
            each = table.for_each if table is not None else None
            if table is not None and each is not None and each.query is not None:
                return f"{table.method} {table.path}, for each row of: {each.query}"
            parents = each.rows if each is not None else ()
            since = stored.cursor if stored is not None else {}
            request = adapter.first_request(name.table, Read(parents=parents, since=since))
            more = f", and for {len(parents) - 1} more rows of for_each" if len(parents) > 1 else ""
            return f"{request}{more}, and its further pages"


class _DryRunResolver(RelationResolver):
    """Finds out what would be asked, and puts relations without rows in its place."""

    def __init__(self, relations: RelationResolver) -> None:
        self.requests: list[str] = []
        self.problem: QueryError | None = None
        self._unknown_parents: set[TableName] = (
            set()
        )  # live tables whose parents only loading, or asking, tells
        super().__init__(
            relations.lake,
            relations.connections,
            relations.live,
            _DryRunPlanner(relations.lake, relations.planner.watcher),
            relations.qualify,
        )

    def _fetch_bounded(self, table_ref: LiveTableRef, live_read: LiveRead) -> LiveRelation:
        return self.fetch_relation(table_ref, self.planner.limit_parents(table_ref, live_read))

    def fetch_relation(self, table_ref: LiveTableRef, live_read: LiveRead) -> LiveRelation:
        name = table_ref.name
        each = table_ref.table.for_each
        if not live_read.requests:
            self.requests.append(f"{name}: once for each value of what it is joined with, unknown as yet")
        elif (known := self.live.find_cached(name, table_ref.table, live_read)) is not None:
            self.requests.append(f"{name}: nothing, its rows were fetched not long ago")
            return replace(known, is_truncated=False)
        elif live_read.parents is not None and each is not None and name in self._unknown_parents:
            self.requests.append(f"{name}: once for each row of: {each.query}")
        else:
            self.requests += self._request_lines(table_ref, live_read)
        return LiveRelation(
            self.live.create_empty_relation(table_ref.table, live_read),
            0,
            is_truncated=False,
            fetched_monotonic_s=0.0,
        )

    def _select_parents(self, table_ref: LiveTableRef, query: str) -> Sequence[ParentRow]:
        """No rows as long as a table they come from was not loaded, or is itself asked live."""
        there = set(self.stored_tables())
        behind = self.connections.stored_dependencies(table_ref.name) or ()
        asked = len(self.requests)
        rows = super()._select_parents(table_ref, query) if set(behind) <= there else ()
        if not set(behind) <= there or len(self.requests) > asked:
            self._unknown_parents.add(table_ref.name)
        return rows

    def _request_lines(self, table_ref: LiveTableRef, live_read: LiveRead) -> list[str]:
        from unify.adapters.rest.adapter import RESTAdapter
        from unify.adapters.rest.read_plan import distinct_parents

        name = table_ref.name
        enough = ", until there are enough rows" if live_read.limit is not None else ", and its further pages"
        given = live_read.parents
        parents = (
            []
            if given is not None and not given
            else list(distinct_parents(table_ref.table.for_each, given or ()))
        )
        reads = [
            Read(parents=() if parent is None else (parent,), filters=ask.filters)
            for ask in live_read.requests
            for parent in parents
        ]
        with adapter_access.open_adapter(
            self.connections, self.connections.connection(name.schema)
        ) as adapter:
            assert isinstance(adapter, RESTAdapter)  # only specs have live tables
            shown = reads[:MAX_LISTED_REQUESTS]
            lines = [f"{name}: {adapter.first_request(name.table, read)}{enough}" for read in shown]
        left = len(reads) - len(lines)
        return [*lines, f"{name}: {left:,} more of them"] if left else lines

    def _run(
        self, sql: str, parameters: Mapping[str, object] | None, error_prefix: str = ""
    ) -> Sequence[Sequence[object]]:
        try:
            return super()._run(sql, parameters, error_prefix)
        except QueryError as error:
            self.problem = self.problem or error
            return []


class _DryRunPlanner(PushdownPlanner):
    """Takes a join's values from tables that are there; of others there are none yet."""

    def _join_values(
        self, statement: StatementMentions, other: int, columns: Sequence[str], names: Mapping[int, str]
    ) -> Sequence[tuple[Constant, ...]]:
        try:
            return super()._join_values(statement, other, columns, names)
        except QueryError:
            return []

    def _notify(self, text: str) -> None:
        del text  # how often a table would be asked is in the plan
