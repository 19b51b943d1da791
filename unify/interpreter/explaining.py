"""``explain select …`` over tables of connections: what would be loaded and asked, before DuckDB's plan.

Nothing is sent, loaded or queued. DuckDB plans only what is there: where a table was never loaded, or a
live table has columns that only answers tell, its plan is left out, and that is said.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from unify.adapters.base import Read
from unify.errors import QueryError
from unify.interpreter import traffic
from unify.interpreter.asks import LiveMention, Planner
from unify.interpreter.listing import glob_of
from unify.interpreter.liveasks import Fetched, Wanted
from unify.interpreter.results import Rows, listed
from unify.interpreter.standins import StandIns
from unify.interpreter.variables import Bound
from unify.language.constants import Constant
from unify.language.mentions import Statement
from unify.model import TableName
from unify.store.catalog import StoredTable
from unify.store.duck import quoted

if TYPE_CHECKING:
    from unify.adapters.base import ParentRow

MOST_SHOWN = 20  # requests of one table that are listed one by one

Due = tuple[TableName, StoredTable | None]


class Explaining:
    """Plans one statement; ``real`` is what would run it."""

    def __init__(self, real: StandIns) -> None:
        self.real = real
        self.sources = real.sources

    def plan(self, bound: Bound, due: Sequence[Due]) -> Rows:
        """Rows of ``explain_key`` and ``explain_value``, as DuckDB's own: loads, requests, then its plan."""
        rows: list[tuple[object, ...]] = []
        if due:
            rows.append(
                ("loads", "\n".join(line for name, stored in due for line in self._load(name, stored)))
            )
        dry = _Dry(self.real)
        resolved = dry.resolved(bound)
        if dry.requests:
            rows.append(("requests", "\n".join(dry.requests)))
        rows.append(self._planned(resolved, dry.problem))
        columns = [("explain_key", "VARCHAR"), ("explain_value", "VARCHAR")]
        return listed(columns, rows, "nothing was loaded or asked")

    def columns(self, view: TableName, like: str | None) -> Rows:
        """The columns of a view as DuckDB finds them, without loading or asking."""
        dry = _Dry(self.real)
        name = f"{quoted(view.schema)}.{quoted(view.table)}"
        resolved = dry.resolved(Bound(f"DESCRIBE SELECT * FROM {name}", None))
        if dry.problem is not None:
            unread = ", ".join(map(str, set(self.sources.behind(view) or ()) - set(self.real.stored())))
            raise QueryError(f"the columns of the view {view} are known once its tables are loaded: {unread}")
        batches = self.real.lake.execute(resolved.sql).batches()
        pattern = glob_of(like if like is not None else "%").lower()
        rows: list[tuple[object, ...]] = [
            (row[0], row[1], None)
            for batch in batches
            for row in batch
            if fnmatch.fnmatchcase(str(row[0]).lower(), pattern)
        ]
        note = "types of live columns are found out when they are asked for" if dry.requests else ""
        columns = [("column_name", "VARCHAR"), ("column_type", "VARCHAR"), ("description", "VARCHAR")]
        return listed(columns, rows, note)

    def _planned(self, resolved: Bound, problem: QueryError | None) -> tuple[object, ...]:
        try:
            if problem is not None:
                raise problem
            batches = self.real.lake.execute(resolved.sql, resolved.parameters).batches()
            [row] = [row for batch in batches for row in batch]
        except QueryError as error:
            first = error.message.splitlines()[0]
            return ("plan", f"DuckDB can plan this only when its tables are there ({first})")
        return row[0], row[1]

    def _load(self, name: TableName, stored: StoredTable | None) -> list[str]:
        """A table that would be loaded or refreshed, after the parents it needs first."""
        table = self.sources.table(name)
        lines = []
        if stored is None:
            there = set(self.real.stored())
            for parent in table.parents:
                behind = TableName(name.schema, parent)
                lines += [] if behind in there else self._load(behind, None)
        word = "load" if stored is None else "refresh"
        return [*lines, f"{word} {name}: {self._first_request(name, stored)}"]

    def _first_request(self, name: TableName, stored: StoredTable | None) -> str:
        from unify.adapters.rest import RESTAdapter

        with closing(traffic.open_adapter(self.sources, name.schema)) as adapter:
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


class _Dry(StandIns):
    """Finds out what would be asked, and puts relations without rows in its place."""

    def __init__(self, real: StandIns) -> None:
        self.requests: list[str] = []
        self.problem: QueryError | None = None
        self._unknown: set[TableName] = set()  # live tables whose parents only loading, or asking, tells
        super().__init__(real.lake, real.sources, real.live, _DryPlanner(real.lake, real.planner.watcher))

    def _provided(self, one: LiveMention, wanted: Wanted) -> Fetched:
        return self.provide(one, self.planner.bounded(one, wanted))

    def provide(self, one: LiveMention, wanted: Wanted) -> Fetched:
        name = one.name
        each = one.table.for_each
        if not wanted.asks:
            self.requests.append(f"{name}: once for each value of what it is joined with, unknown as yet")
        elif (known := self.live.kept(name, one.table, wanted)) is not None:
            self.requests.append(f"{name}: nothing, its rows were fetched not long ago")
            return replace(known, cut=False)
        elif wanted.parents is not None and each is not None and name in self._unknown:
            self.requests.append(f"{name}: once for each row of: {each.query}")
        else:
            self.requests += self._asked(one, wanted)
        return Fetched(self.live.stand_empty(one.table, wanted), 0, cut=False, at=0.0)

    def _selected(self, one: LiveMention, query: str) -> Sequence[ParentRow]:
        """No rows as long as a table they come from was not loaded, or is itself asked live."""
        there = set(self.stored())
        behind = self.sources.behind(one.name) or ()
        asked = len(self.requests)
        rows = super()._selected(one, query) if set(behind) <= there else ()
        if not set(behind) <= there or len(self.requests) > asked:
            self._unknown.add(one.name)
        return rows

    def _asked(self, one: LiveMention, wanted: Wanted) -> list[str]:
        from unify.adapters.rest import RESTAdapter
        from unify.adapters.scopes import distinct

        name = one.name
        enough = ", until there are enough rows" if wanted.limit is not None else ", and its further pages"
        given = wanted.parents
        parents = [] if given is not None and not given else list(distinct(one.table.for_each, given or ()))
        reads = [
            Read(parents=() if parent is None else (parent,), filters=ask.filters)
            for ask in wanted.asks
            for parent in parents
        ]
        with closing(traffic.open_adapter(self.sources, name.schema)) as adapter:
            assert isinstance(adapter, RESTAdapter)  # only specs have live tables
            shown = reads[:MOST_SHOWN]
            lines = [f"{name}: {adapter.first_request(name.table, read)}{enough}" for read in shown]
        left = len(reads) - len(lines)
        return [*lines, f"{name}: {left:,} more of them"] if left else lines

    def _run(
        self, sql: str, parameters: Mapping[str, object] | None, place: str = ""
    ) -> Sequence[Sequence[object]]:
        try:
            return super()._run(sql, parameters, place)
        except QueryError as error:
            self.problem = self.problem or error
            return []


class _DryPlanner(Planner):
    """Takes a join's values from tables that are there; of others there are none yet."""

    def _values(
        self, statement: Statement, other: int, columns: Sequence[str], names: Mapping[int, str]
    ) -> Sequence[tuple[Constant, ...]]:
        try:
            return super()._values(statement, other, columns, names)
        except QueryError:
            return []

    def _tell(self, text: str) -> None:
        del text  # how often a table would be asked is in the plan
