"""The commands that look at one table: its columns, a few rows, what changed, a picture of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from unify.errors import UnknownName
from unify.interpreter.parts import Parts
from unify.interpreter.results import Result
from unify.interpreter.systemshape import shape
from unify.language import commands
from unify.model import TableName


class Looking:
    """Looks at stored tables, at sources and at views of specs; what it has looked at was used last."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def describe(self, table: TableName | None) -> Result:
        """The columns of ``table``, or of the one used last."""
        found = self.columns(table or self._last_used())
        self.parts.query.last_table = table or self.parts.query.last_table
        return found

    def columns(self, table: TableName, like: str | None = None) -> Result:
        """The columns whose name is LIKE the pattern."""
        if self._is_view(table):
            return self.parts.query.view_columns(table, like)
        return self.parts.listing.columns(table, like)

    def peek(self, table: TableName, rows: int | None) -> Result:
        """A few rows. Those of a view are computed, from tables that are loaded for it."""
        if self._is_view(table) or shape(table) is not None:
            return self.parts.query.peek_view(table, rows, self.parts.max_age)
        return self.parts.peek.run(self._named(table), rows)

    def changes(self, table: TableName, ago_s: float | None, at: str | None) -> Result:
        """What became different since ``ago_s`` seconds ago, or since the moment ``at``."""
        from unify.interpreter.changes import Changes

        name = self._named(table)
        changes = Changes(self.parts.lake, self.parts.sources)
        moment = changes.moment(at) if at is not None else datetime.now(UTC) - timedelta(seconds=ago_s or 0)
        return changes.since(name, moment)

    def chart(self, command: commands.CreateChart) -> Result:
        """A chart, shown or saved; whether it can be saved is known before anything is loaded for it."""
        from unify.interpreter import chartfiles
        from unify.interpreter.charting import Charting

        target = None if command.place is None else chartfiles.check(command.place, command.mode)
        bound, note = self.parts.query.prepare(command.source, self.parts.max_age)
        chart = Charting(self.parts.lake).chart(command, bound, note)
        if target is None or command.place is None:
            return chart
        return chartfiles.save(chart, target, command.place, command.mode)

    def _is_view(self, table: TableName) -> bool:
        """Whether a connection's spec has a view of this name."""
        sources = self.parts.sources
        return sources.has(table.schema) and sources.view(table) is not None

    def _named(self, table: TableName) -> TableName:
        """The table as it is called where it is, and from now on the one used last. Raises UnknownName."""
        name = self.parts.peek.spelled(table)
        self.parts.query.last_table = name
        return name

    def _last_used(self) -> TableName:
        last = self.parts.query.last_table
        if last is None:
            raise UnknownName("no table was used yet: describe SCHEMA.TABLE")
        return last
