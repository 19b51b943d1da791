"""The temporary view that stands for a table of a database or store while a statement runs.

The view is the SELECT of the adapter, made for one mention of the table: with the conditions that the source
may apply, and the order and limit of the statement where they give the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING

from msgspec.structs import replace

from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError, UnifyError
from unify.interpreter.results import Watcher
from unify.interpreter.sources.copied_tables import CopiedTables
from unify.interpreter.sources.null_values import NullValues
from unify.interpreter.sources.parallel_reads import MAX_READERS, ParallelReads
from unify.interpreter.sources.source_tables import SourceTables, SourceUse
from unify.lake import session_rows

if TYPE_CHECKING:
    from unify.adapters.relation import Relation, RelationRead, SourceTable
    from unify.language.sql.rewrite import TableMention

_DUCKDB_ORDER = ("NULLS_LAST", "ASCENDING")  # the defaults of default_null_order and default_order


class SourceViews:
    """Makes the views of one session."""

    def __init__(self, tables: SourceTables, watcher: Watcher) -> None:
        self.tables = tables
        self.lake = tables.lake
        self.watcher = watcher
        self.null_values = NullValues(self.lake, watcher)
        self.parallel_reads = ParallelReads(self.lake, tables.sources)
        self._copies = CopiedTables(self.lake, tables.sources.database)
        self._numbers = count(1)
        self._views: list[str] = []  # of the last statement
        self._streams: list[str] = []  # the same

    def drop(self) -> None:
        """Drop the views of the previous statement."""
        self.tables.sources.end_statement()
        self.null_values.report()
        self._copies.drop()
        streams, self._streams = self._streams, []
        views, self._views = [*self._views, *(f"temp.main.{quoted(name)}" for name in streams)], []
        for view in views:
            try:
                session_rows.fetch_session_rows(self.lake, f"DROP VIEW IF EXISTS {view}")
            except QueryError:  # a transaction that has failed refuses everything but its rollback
                self._views.append(view)
        self.parallel_reads.drop()

    def create(
        self,
        use: SourceUse,
        mention: TableMention | None,
        *,
        reads_ahead: bool = False,
        is_planned: bool = False,
    ) -> tuple[str, Relation]:
        """Create the view of a table; return its name, and what it reads.

        ``reads_ahead``  all rows of a large table may be read at once, side by side: the statement runs now,
                         and reads no other table of the source.
        ``is_planned``   the view is not read: in a restricted session it is a table without rows.
        """
        reads_ahead = reads_ahead and not self.lake.in_transaction and not self.lake.is_restricted
        if reads_ahead and (ahead := self._read_ahead(use, mention)):
            return self.create_view(ahead.sql, str(use.name)), ahead
        relation = self.relation(use, mention)
        for notice in relation.notices:
            self.watcher.notice(f"{use.name}: {notice}")
        if self.lake.is_restricted:
            return self._copies.copy(use.name, relation, is_empty=is_planned), relation
        self.register_streams(relation)
        return self.create_view(relation.sql, str(use.name)), relation

    def create_view(self, sql: str, description: str) -> str:
        """Create a view of the statement; ``description`` is part of the name that DuckDB's errors show."""
        view = f"temp.main.{quoted(f'{description} {next(self._numbers)}')}"
        try:
            session_rows.fetch_session_rows(self.lake, f"CREATE OR REPLACE TEMP VIEW {view} AS {sql}")
        except UnifyError as error:
            raise type(error)(f"{description}: {error.message}") from error
        self._views.append(view)
        return view

    def register_streams(self, relation: Relation) -> None:
        """Have the user's connection know the Arrow streams that a SELECT reads, until the statement ends."""
        for stream in relation.streams:
            self.lake.connection.register(stream.name, stream)
            self._streams.append(stream.name)

    def relation(self, use: SourceUse, mention: TableMention | None) -> Relation:
        """Return the SELECT of the adapter for one mention of a table; None: for definitions.

        Values of a definition that are read as NULL are not noticed: it is bound on another connection than
        that of the user, which has the sequence.
        """
        assert use.table is not None
        read = self._read(use.table, mention)
        with self.tables.sources.use(use.name.schema) as (adapter, duck):
            self.tables.sources.in_use.add(adapter.connection)
            if mention is not None and not self.lake.is_restricted:
                read = replace(read, null_counter=self.null_values.expression(use.name))
            relation = adapter.relation(duck, use.table, read)
        self.null_values.count(use.name, relation.null_columns)
        return relation

    def _read_ahead(self, use: SourceUse, mention: TableMention | None) -> Relation | None:
        from unify.adapters.relation import Relation

        assert use.table is not None
        counter = self.null_values.expression(use.name)
        read = replace(self._read(use.table, mention), null_counter=counter)
        with self.tables.sources.use(use.name.schema) as (adapter, duck):
            self.tables.sources.in_use.add(adapter.connection)
            with adapter.plan_parallel_read(duck, use.table, read, MAX_READERS) as plan:
                if plan is None:
                    return None
                sql = self.parallel_reads.read(adapter, plan)
        self.null_values.count(use.name, plan.null_columns)
        return Relation(sql, (), plan.parts)

    def _read(self, table: SourceTable, mention: TableMention | None) -> RelationRead:
        from unify.adapters.relation import RelationRead, SortOrder

        if mention is None:
            return RelationRead()
        known = {column.name.lower() for column in table.columns}
        conditions = tuple(one for one in mention.conditions if one.column in known)
        is_complete = mention.is_complete and len(conditions) == len(mention.conditions)
        order_by = tuple(
            SortOrder(term.column, term.descending, term.nulls_first) for term in mention.order_by
        )
        is_ordered = all(term.column in known for term in order_by) and self._has_usual_order(order_by)
        names = mention.used_names
        return RelationRead(
            columns=None
            if names is None
            else tuple(column.name for column in table.columns if column.name.lower() in names),
            conditions=conditions,
            order_by=order_by if is_complete and is_ordered else (),
            limit=mention.first_rows if is_complete and is_ordered else None,
            count_only=is_complete and mention.is_counted,
            aggregates=mention.aggregates if is_complete else None,
        )

    def _has_usual_order(self, order_by: Sequence[object]) -> bool:
        """Whether the session has not changed what ORDER BY means."""
        if not order_by:
            return True
        [row] = session_rows.fetch_session_rows(
            self.lake, "SELECT current_setting('default_null_order'), current_setting('default_order')"
        )
        return tuple(map(str, row)) == _DUCKDB_ORDER
