"""Commands about one table, wherever it is: describe, show columns, peek, changes, create chart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from unify.engine.types import quote_identifier as quoted
from unify.errors import UnknownName
from unify.interpreter.freshness import MaxAge
from unify.interpreter.results import (
    Result,
    Rows,
)
from unify.interpreter.session import Session
from unify.interpreter.system_columns import find_system_table
from unify.lake import catalog
from unify.lake.definitions import attached_table, find_view, temporary_table
from unify.language import commands
from unify.language.table_names import split_table_name
from unify.model import TableName


class TableCommands:
    """Commands about one table: stored, offered by a connection, a view or one of the system's tables."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def describe(self, table: TableName | None) -> Result:
        """Return the columns of ``table``, or of the table used last."""
        if table is not None and (outside := self._outside_name(table)) is not None:
            return self.session.query.run(f"DESCRIBE {outside}", self.session.max_age)
        result = self.columns(table or self._last_table())
        self.session.query.last_table = table or self.session.query.last_table
        return result

    def columns(self, table: TableName, like: str | None = None) -> Result:
        """Return the columns whose name matches a LIKE pattern."""
        name = self.session.query.resolver.qualify(table)
        if self._is_spec_view(name):
            return self.session.query.view_columns(name, like)
        if self._is_source(name):
            return self.session.listing_commands.columns(name, like)
        if find_view(self.session.lake, name) is not None:
            self.session.query.provide_sources(name)
        return self.session.listing_commands.columns(name, like)

    def peek(self, table: TableName, rows: int | None) -> Result:
        """Return a few rows. A view is computed, and its tables are loaded first."""
        query = self.session.query
        name = query.resolver.qualify(table)
        if self._is_source(name):
            return self._peek_source(name, rows)
        if self._is_spec_view(name) or find_system_table(name) is not None:
            return query.peek_view(name, rows, self.session.max_age)
        if (outside := self._table_outside_lake(name)) is not None:
            return query.peek_view(outside, rows, self.session.max_age)
        if find_view(self.session.lake, name) is not None:
            query.provide_tables(name, self.session.max_age)
        return self.session.peek_command.run(self._resolve_name(name), rows)

    def changes(self, table: TableName, ago_s: float | None, at: str | None) -> Result:
        """Return the rows that changed since ``ago_s`` seconds ago, or since the time ``at``."""
        from unify.interpreter.commands.changes import ChangesQuery

        name = self._resolve_name(table)
        changes = ChangesQuery(self.session.lake, self.session.connections)
        moment = (
            changes.parse_moment(at) if at is not None else datetime.now(UTC) - timedelta(seconds=ago_s or 0)
        )
        return changes.rows_since(name, moment)

    def chart(self, command: commands.CreateChart) -> Result:
        """Show or save a chart. The file is checked before its tables are loaded."""
        from unify.interpreter.charts import vega
        from unify.interpreter.charts.query import ChartBuilder

        target = None if command.path is None else vega.check_chart_file(command.path, command.mode)
        bound, note = self.session.query.prepare(command.source, self.session.max_age)
        chart = ChartBuilder(self.session.lake).build(command, bound, note)
        if target is None or command.path is None:
            return chart
        return vega.save_chart(chart, target, command.path, command.mode)

    def _table_outside_lake(self, name: TableName) -> TableName | None:
        """A temporary table, or one of an attached database where the lake has none of that name."""
        lake, connections = self.session.lake, self.session.connections
        if (temporary := temporary_table(lake, name)) is not None:
            return temporary
        in_lake = connections.has(name.schema) or find_view(lake, name) or catalog.table_columns(lake, name)
        return None if in_lake else attached_table(lake, name)

    def _outside_name(self, table: TableName) -> str | None:
        """``database.schema.table`` in SQL, of a database that the user has attached."""
        if not table.schema or table.schema.lower() == "lake" or self._is_source(table):
            return None
        try:
            schema, name = split_table_name(table.table)
        except ValueError:
            return None
        return ".".join(map(quoted, (table.schema, schema, name))) if schema else None

    def _peek_source(self, name: TableName, rows: int | None) -> Result:
        """Return a few rows of a table of a database or store: stored ones if there are any."""
        stored = self.session.source_tables.stored_name(name)
        max_age = self.session.max_age if stored is not None else MaxAge(limit_s=0)
        result = self.session.query.peek_view(stored or name, rows, max_age)
        return self.session.peek_command.choose_columns(result) if isinstance(result, Rows) else result

    def _is_source(self, name: TableName) -> bool:
        return self.session.connections.is_relational(name.schema)

    def _is_spec_view(self, table: TableName) -> bool:
        connections = self.session.connections
        return connections.has(table.schema) and connections.view(table) is not None

    def _resolve_name(self, table: TableName) -> TableName:
        """Return the canonical name of a table, recorded as the table used last. Raises UnknownName."""
        name = self.session.peek_command.resolve_name(self.session.query.resolver.qualify(table))
        self.session.query.last_table = name
        return name

    def _last_table(self) -> TableName:
        last = self.session.query.last_table
        if last is None:
            raise UnknownName("no table was used yet: describe SCHEMA.TABLE")
        return last
