"""Loads of tables of PostgreSQL: one snapshot for all readers, ranges of pages side by side, late commits.

The server exports the snapshot of a REPEATABLE READ transaction, and each further reader takes it. The parts
of a load that reads all rows are ranges of the pages of the table (``ctid``), which need no index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from unify.adapters.database.bulk import MIB, is_time, kept_cursors, read_transaction
from unify.adapters.database.columns import DatabaseColumn, DatabaseTable
from unify.adapters.database.postgres.dialect import PostgresDialect
from unify.adapters.database.server_loads import rejected_parts
from unify.adapters.database.sql_sections import render_section
from unify.adapters.database.statement import SourceSelect, call_sql, read_sql
from unify.adapters.relation import LoadPart, ParallelRead, SourceLoad, SourceLoadRequest
from unify.adapters.table_settings import RefreshPlan, plan_refresh
from unify.engine.connection import quote_literal
from unify.engine.types import TIMESTAMPTZ_TYPE
from unify.engine.types import quote_identifier as quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PART_BYTES = 64 * MIB  # of the table; DuckDB holds up to 2,048 rows of each part in memory, however long
MIN_PART_BYTES = 4 * MIB
MAX_READ_BYTES = 512 * MIB  # of a table that a live read has in memory
PARTS_A_READER = 4  # of a live read: readers that are slower, on a machine with other work, read fewer parts
MAX_VERSION_AGE = 2_000_000_000  # transactions; their numbers in rows repeat after 2**31
_STATEMENTS = "postgres/bulk.sql"
_PENDING = "{} pending"  # key of a PendingCursor in the state


class Snapshot(msgspec.Struct, frozen=True):
    """The snapshot of a load: transactions below ``oldest_id`` have ended, ``next_id`` has not begun."""

    id: str
    oldest_id: int
    next_id: int


class OpenTransactions(msgspec.Struct, frozen=True):
    """The open transactions before the snapshot: ``oldest`` began first; ``sees_all``: none is hidden."""

    taken_at: str
    oldest: str
    is_quiet: bool
    sees_all: bool


class LoadMoment(msgspec.Struct, frozen=True):
    """What was open when the snapshot of a load was taken."""

    activity: OpenTransactions
    snapshot: Snapshot

    @property
    def is_quiet(self) -> bool:
        """Whether no transaction is open, as far as can be seen, that may still add rows."""
        return self.snapshot.oldest_id == self.snapshot.next_id and self.activity.is_quiet

    def is_after(self, pending: PendingCursor) -> bool:
        """Whether the transactions that were open when ``pending`` was read have ended."""
        return self.snapshot.oldest_id >= pending.next_id and (
            not self.activity.sees_all or self.activity.oldest >= pending.taken_at
        )


class PendingCursor(msgspec.Struct, frozen=True):
    """A cursor that counts once the transactions that were open at its load have ended.

    ``next_id``  they have smaller numbers. ``taken_at``: they began before.
    """

    value: str
    next_id: int
    taken_at: str


class Extent(msgspec.Struct, frozen=True):
    """A table, partition or heir; ``main_bytes`` None: it is read as a whole."""

    name: str
    main_bytes: int | None
    all_bytes: int | None
    page_bytes: int
    has_range_scans: bool


class PostgresBulk:
    """Plans loads from one attached database. ``application``: the start of the names of Unify's sessions."""

    def __init__(self, alias: str, application: str) -> None:
        self._alias = alias
        self._application = application

    @contextmanager
    def plan(
        self, duck: DuckDBPyConnection, table: DatabaseTable, request: SourceLoadRequest
    ) -> Iterator[SourceLoad]:
        """Plan a load within a transaction of ``duck``. Errors are those of DuckDB."""
        [activity] = self._fetch(duck, "activity", OpenTransactions, application=self._application)
        with read_transaction(duck):
            [snapshot] = self._fetch(duck, "snapshot", Snapshot)
            duck.execute(self._watch_sql).fetchall()
            plan = _without_old_version(plan_refresh(table, request), snapshot)
            load = replace(
                self._plan_parts(duck, table, plan, request.parallel_parts), setup=self._setup(snapshot)
            )
            pending = request.cursors.get(_PENDING.format(plan.cursor_name), "")
            yield self._with_state(duck, load, plan, pending, LoadMoment(activity, snapshot))

    @contextmanager
    def plan_read(
        self, duck: DuckDBPyConnection, select: SourceSelect, readers: int
    ) -> Iterator[ParallelRead | None]:
        """Plan a live read of all rows within a transaction of ``duck``. Errors are those of DuckDB."""
        with read_transaction(duck):
            [snapshot] = self._fetch(duck, "snapshot", Snapshot)
            extents = self._extents(duck, select.table)
            ranges = list(_ranges(select.table, extents, readers * PARTS_A_READER))
            if len(ranges) < 2 or _total_bytes(extents) > MAX_READ_BYTES:
                yield None
                return
            parts = [replace(select, table=one.table, conditions=one.conditions) for one in ranges]
            calls = tuple(f"SELECT * FROM {self._call(part.sql)}" for part in parts)
            yield ParallelRead(calls, select.values_sql, self._setup(snapshot), select.null_columns)

    def _setup(self, snapshot: Snapshot) -> tuple[str, ...]:
        take = quote_literal(f"SET TRANSACTION SNAPSHOT {quote_literal(snapshot.id)}")
        return f"CALL postgres_execute({quote_literal(self._alias)}, {take})", self._watch_sql

    @property
    def _watch_sql(self) -> str:
        return f"SELECT * FROM {self._call(render_section(_STATEMENTS, 'watch_client'))}"

    def _plan_parts(
        self, duck: DuckDBPyConnection, table: DatabaseTable, plan: RefreshPlan, readers: int
    ) -> SourceLoad:
        condition = self._condition(plan, table)
        whole = SourceSelect(table, table.fields, (condition,) if condition else ())
        selects = [whole] if condition else list(_ranges(table, self._extents(duck, table), readers))
        needs_keys = plan.strategy == "merge_delete" and bool(condition)
        return SourceLoad(
            table,
            tuple(LoadPart(self._read(select)) for select in selects),
            plan.strategy,
            plan.key,
            cursor_column=plan.cursor.name if plan.cursor is not None else "",
            readers=min(readers, len(selects)),
            rejected=tuple(rejected_parts(whole, plan.key, PostgresDialect(), self._call)),
            key_parts=(self._keys(table, plan.key),) if needs_keys else (),
        )

    def _with_state(
        self, duck: DuckDBPyConnection, load: SourceLoad, plan: RefreshPlan, pending: str, now: LoadMoment
    ) -> SourceLoad:
        """Set the state that the load leaves; ``pending`` is the PendingCursor before, as JSON."""
        if plan.cursor is None:
            state = {plan.cursor_name: str(now.snapshot.oldest_id)} if plan.cursor_name else {}
            return replace(load, cursors=state)
        if plan.cursor.type == TIMESTAMPTZ_TYPE and now.activity.sees_all:
            return replace(load, cursors=kept_cursors(plan), cursor_limit=now.activity.oldest)
        if now.is_quiet:
            return replace(load, cursors=kept_cursors(plan))
        before = msgspec.json.decode(pending, type=PendingCursor) if pending else None
        return self._with_pending(duck, load, plan, before, now)

    def _with_pending(
        self,
        duck: DuckDBPyConnection,
        load: SourceLoad,
        plan: RefreshPlan,
        before: PendingCursor | None,
        now: LoadMoment,
    ) -> SourceLoad:
        """Set the state of a load whose cursor tells nothing about open transactions.

        Rows that a transaction open at this load adds may have a smaller cursor than rows that are read now.
        So the greatest cursor counts once those transactions have ended; until then loads begin at the one
        before.
        """
        has_ended = before is not None and now.is_after(before)
        limit = before.value if before is not None and has_ended else plan.since
        if before is None or has_ended:
            maximum = self._maximum(duck, load, plan)
            before = PendingCursor(maximum, now.snapshot.next_id, now.activity.taken_at)
        key = _PENDING.format(plan.cursor_name)
        state = {**kept_cursors(plan), key: msgspec.json.encode(before).decode()}
        return replace(
            load, cursors=state, cursor_limit=limit, cursor_column=load.cursor_column if limit else ""
        )

    def _condition(self, plan: RefreshPlan, table: DatabaseTable) -> str:
        """Return the condition of bulk.cursor_condition for the server; "" if all rows are read."""
        if not plan.since:
            return ""
        if plan.cursor is None:
            version = f"{int(plan.since) % 2**32}"
            return f"age(xmin) <= age({quote_literal(version)}::xid)"
        field = _field(table, plan.cursor.name)
        name = quoted(field.source_name)
        since = f"{quote_literal(plan.since)}::{_constant_type(field)}"
        if plan.lookback_s:
            since += f" - make_interval(secs => {plan.lookback_s})"
        unusable = f" OR NOT isfinite({name})" if is_time(field) else ""
        return f"{name} >= {since} OR {name} IS NULL{unusable}"

    def _extents(self, duck: DuckDBPyConnection, table: DatabaseTable) -> Sequence[Extent]:
        return self._fetch(duck, "extents", Extent, table=table.sql_name)

    def _keys(self, table: DatabaseTable, key: Sequence[str]) -> LoadPart:
        return LoadPart(self._read(SourceSelect(table, tuple(_field(table, name) for name in key))))

    def _maximum(self, duck: DuckDBPyConnection, load: SourceLoad, plan: RefreshPlan) -> str:
        """Return the greatest cursor of the table as text; "" if it has none."""
        assert isinstance(load.table, DatabaseTable)
        field = _field(load.table, plan.cursor_name)
        name = quoted(field.source_name)
        sql = f"SELECT max({name})::text AS value FROM {load.table.sql_name}"
        if is_time(field):
            sql += f" WHERE isfinite({name})"
        row = duck.execute(f"SELECT * FROM {self._call(sql)}").fetchone()
        return "" if row is None or row[0] is None else str(row[0])

    def _read(self, select: SourceSelect) -> str:
        return read_sql("postgres_query", self._alias, select)

    def _call(self, sql: str) -> str:
        return call_sql("postgres_query", self._alias, sql)

    def _fetch(self, duck: DuckDBPyConnection, name: str, type: Any, **values: str) -> list[Any]:
        sql = render_section(_STATEMENTS, name, **values)
        rows = duck.execute(f"SELECT * FROM {self._call(sql)}").fetchall()
        return [type(*row) for row in rows]


def _total_bytes(extents: Sequence[Extent]) -> int:
    return sum(extent.all_bytes or 0 for extent in extents)


def _ranges(table: DatabaseTable, extents: Sequence[Extent], parts: int) -> Iterator[SourceSelect]:
    """Yield SELECTs of all rows: ranges of pages where the server finds them without a scan."""
    size = max(MIN_PART_BYTES, min(PART_BYTES, _total_bytes(extents) // max(1, parts)))
    for extent in extents:
        if extent.main_bytes is None:
            yield SourceSelect(table, table.fields)
            continue
        part = replace(table, sql_name=extent.name)
        for condition in _page_ranges(extent, size):
            yield SourceSelect(part, table.fields, (condition,) if condition else ())


def _page_ranges(extent: Extent, part_bytes: int) -> Iterator[str]:
    """Yield conditions on ``ctid``. The last range has no end: the table may be larger meanwhile."""
    main, whole = extent.main_bytes or 0, extent.all_bytes or 0
    pages = -(-main // extent.page_bytes)
    parts = min(pages, -(-whole // part_bytes)) if extent.has_range_scans else 1
    if parts <= 1:
        yield ""
        return
    step = -(-pages // parts)
    for first in range(0, pages, step):
        begin = f"ctid >= '({first},0)'::tid"
        yield begin if first + step >= pages else f"{begin} AND ctid < '({first + step},0)'::tid"


def _without_old_version(plan: RefreshPlan, snapshot: Snapshot) -> RefreshPlan:
    """Read everything if the numbers of transactions have repeated since the last load."""
    if plan.cursor is not None or not plan.since or snapshot.next_id - int(plan.since) < MAX_VERSION_AGE:
        return plan
    return replace(plan, strategy="reload", since="")


def _constant_type(field: DatabaseColumn) -> str:
    """Return the type of a constant that the column is compared with, so that an index can be used."""
    if field.type.startswith("DECIMAL"):
        return "numeric"
    return field.type.lower() if is_time(field) else "int8"


def _field(table: DatabaseTable, name: str) -> DatabaseColumn:
    return table.fields_by_name()[name.lower()]
