"""``explain select …`` over tables of connections: loads and API requests, then DuckDB's plan.

Nothing is sent, loaded or queued. DuckDB's plan is omitted, with a note, if a table was never loaded or the
columns of a live table are known only from responses.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from unify.adapters.base import Read
from unify.adapters.relation import HIDDEN_PREFIX
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter import adapter_access
from unify.interpreter.live.pushdown import LiveTableRef, PushdownPlanner
from unify.interpreter.live.relations import RelationResolver
from unify.interpreter.live.requests import LiveRead, LiveRelation
from unify.interpreter.results import PLAN_COLUMNS, Rows, listing_rows
from unify.interpreter.sources.source_tables import SourceUse
from unify.interpreter.variables import BoundQuery
from unify.lake.catalog import StoredTable
from unify.language.sql.refs import Constant
from unify.language.sql.rewrite import StatementMentions, TableMention
from unify.model import TableName
from unify.text import format_age, glob_from_like

if TYPE_CHECKING:
    from unify.adapters.base import ParentRow

_HIDDEN_NAME = re.compile(rf"{HIDDEN_PREFIX}source_(\w+)")
MAX_LISTED_REQUESTS = 20  # requests of one table that are listed one by one

DueTable = tuple[TableName, StoredTable | None]


class Explainer:
    """Plans one statement; ``relations`` is what would run it."""

    def __init__(self, relations: RelationResolver) -> None:
        self.relations = relations
        self.connections = relations.connections

    def plan(self, bound: BoundQuery, due: Sequence[DueTable], uses: Mapping[str, SourceUse]) -> Rows:
        """Return ``explain_key`` and ``explain_value``, as DuckDB does: loads, requests, then its plan.

        ``uses``  the tables of databases and stores, read live or stored.
        """
        rows: list[tuple[object, ...]] = []
        if due:
            planned = dict(self._planned_loads(due))
            lines = [line for name, stored in planned.items() for line in self._load_lines(name, stored)]
            rows.append(("loads", "\n".join(lines)))
        dry = _DryRunResolver(self.relations)
        resolved = dry.resolve(bound, uses)
        if uses:
            stored = [_stored_line(use) for use in uses.values() if not use.is_live and use.stored]
            rows.append(("sources", "\n".join([*stored, *dry.sent])))
        if dry.requests:
            rows.append(("requests", "\n".join(dry.requests)))
        rows.append(self._query_plan_row(resolved, dry.problem))
        return listing_rows(PLAN_COLUMNS, rows, "nothing was loaded or requested")

    def view_columns(self, view: TableName, like: str | None) -> Rows:
        """Return the columns of a view as DuckDB finds them, without a load or request."""
        dry = _DryRunResolver(self.relations)
        name = f"{quoted(view.schema)}.{quoted(view.table)}"
        resolved = dry.resolve(BoundQuery(f"DESCRIBE SELECT * FROM {name}", None), {})
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
            return ("plan", f"DuckDB can plan this statement once its tables are loaded ({first})")
        return row[0], _show_connection_names(str(row[1]))

    def _planned_loads(self, due: Sequence[DueTable]) -> Iterator[DueTable]:
        """Yield the tables to load or refresh, each after its parents that are not stored."""
        for name, stored in due:
            if stored is None:
                parents = (TableName(name.schema, parent) for parent in self.connections.table(name).parents)
                missing = [parent for parent in parents if parent not in self.relations.stored_tables()]
                yield from self._planned_loads([(parent, None) for parent in missing])
            yield name, stored

    def _load_lines(self, name: TableName, stored: StoredTable | None) -> list[str]:
        """Return the lines of a table to load or refresh."""
        word = "load" if stored is None else "refresh"
        request, *outline = self._read_lines(name, stored)
        return [f"{word} {name}: {request}", *map(_indent, outline)]

    def _read_lines(self, name: TableName, stored: StoredTable | None) -> list[str]:
        """Return the first request of a load, then its read plan: paging, rows, incremental window."""
        from unify.adapters.rest.adapter import RESTAdapter

        if self.connections.is_relational(name.schema):
            return [f"rows of {self.connections.connection(name.schema).adapter}, copied by the daemon"]
        with adapter_access.open_adapter(
            self.connections, self.connections.connection(name.schema)
        ) as adapter:
            if not isinstance(adapter, RESTAdapter):
                return ["by an adapter in Python, which determines its requests"]
            table = adapter.spec.table(name.table)
            each = table.for_each if table is not None else None
            cursors = stored.cursor if stored is not None else {}
            since = {scope: text for scope, text in cursors.items() if text}
            read = Read(parents=each.rows if each is not None else (), since=since)
            outline = adapter.outline_read(name.table, read)
            if table is not None and each is not None and each.query is not None:
                return [f"{table.method} {table.path}, for each row of: {each.query}", *outline]
            return [f"{adapter.first_request(name.table, read)}, and its further pages", *outline]


def _show_connection_names(plan: str) -> str:
    """Replace the hidden names of attached databases by those of their connections, of the same width."""
    return _HIDDEN_NAME.sub(lambda match: match[1].ljust(len(match[0])), plan)


def _stored_line(use: SourceUse) -> str:
    assert use.stored is not None
    age = format_age((use.checked_at - use.stored.loaded_at).total_seconds())
    return f"{use.name}: stored {age}"


def _indent(line: str) -> str:
    return f"    {line}"


class _DryRunResolver(RelationResolver):
    """Collects the requests of live tables, and replaces the tables by relations without rows."""

    def __init__(self, relations: RelationResolver) -> None:
        self.requests: list[str] = []
        self.sent: list[str] = []
        self.problem: QueryError | None = None
        self._unknown_parents: set[TableName] = set()  # live tables whose parents depend on loads or requests
        super().__init__(
            relations.lake,
            relations.connections,
            relations.live,
            _DryRunPlanner(relations.lake, relations.planner.watcher),
            qualify=relations.qualify,
            named_databases=relations.named_databases,
        )

    def create_source_view(self, use: SourceUse, mention: TableMention, *, reads_ahead: bool) -> str:
        del reads_ahead  # nothing is read
        view, relation = self.source_views.create(use, mention, is_planned=True)
        self.sent += [f"{use.name}: live", *map(_indent, relation.sent)]
        return view

    def _fetch_bounded(self, table_ref: LiveTableRef, live_read: LiveRead) -> LiveRelation:
        return self.fetch_relation(table_ref, self.planner.limit_parents(table_ref, live_read))

    def fetch_relation(self, table_ref: LiveTableRef, live_read: LiveRead) -> LiveRelation:
        name = table_ref.name
        each = table_ref.table.for_each
        if not live_read.requests:
            self.requests.append(f"{name}: one request for each value of the joined column, not known yet")
        elif (known := self.live.find_cached(name, table_ref.table, live_read)) is not None:
            self.requests.append(f"{name}: none, its rows are cached")
            return replace(known, is_truncated=False)
        elif live_read.parents is not None and each is not None and name in self._unknown_parents:
            self.requests.append(f"{name}: one request for each row of: {each.query}")
        else:
            self.requests += self._request_lines(table_ref, live_read)
        return LiveRelation(
            self.live.create_empty_relation(table_ref.table, live_read),
            0,
            is_truncated=False,
            fetched_monotonic_s=0.0,
        )

    def _select_parents(self, table_ref: LiveTableRef, query: str) -> Sequence[ParentRow]:
        """Return no rows while a table that they come from is not loaded, or is itself live."""
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
            outline = adapter.outline_read(name.table, shown[0]) if shown else []
        left = len(reads) - len(lines)
        more = [f"{name}: {left:,} more requests"] if left else []
        return [*lines, *more, *map(_indent, outline)]

    def _run(
        self, sql: str, parameters: Mapping[str, object] | None, error_prefix: str = ""
    ) -> Sequence[Sequence[object]]:
        try:
            return super()._run(sql, parameters, error_prefix)
        except QueryError as error:
            self.problem = self.problem or error
            return []


class _DryRunPlanner(PushdownPlanner):
    """Reads a join's values from stored tables; others have none yet."""

    def _join_values(
        self, statement: StatementMentions, other: int, columns: Sequence[str], names: Mapping[int, str]
    ) -> Sequence[tuple[Constant, ...]]:
        try:
            return super()._join_values(statement, other, columns, names)
        except QueryError:
            return []

    def _notify(self, text: str) -> None:
        del text  # the plan has the number of requests
