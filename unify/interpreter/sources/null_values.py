"""Notices about values of live tables that are read as NULL, such as NaN in a decimal column.

A sequence of the session counts them while DuckDB reads them: its next value is taken for each.
"""

from __future__ import annotations

from msgspec import Struct

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.results import Watcher
from unify.lake import session_rows
from unify.lake.lake import Lake
from unify.model import TableName


class NullCounter(Struct, frozen=True):
    """Counts the values of one table; they are in ``columns``. ``before``: its value when it was made."""

    table: TableName
    columns: tuple[str, ...]
    sequence: str
    before: int


class NullValues:
    """The counters of the current statement."""

    def __init__(self, lake: Lake, watcher: Watcher) -> None:
        self._lake = lake
        self._watcher = watcher
        self._counters: dict[TableName, NullCounter] = {}

    def expression(self, table: TableName) -> str:
        """Return the expression that counts; "" where DuckDB writes no sequence: BEGIN READ ONLY."""
        if self._lake.statements.is_read_only_transaction:
            return ""
        return f"system.main.nextval({quote_literal(_sequence(table))})"

    def count(self, table: TableName, columns: tuple[str, ...]) -> None:
        """Begin to count, if the expression is used for ``columns``."""
        if not columns:
            return
        sequence = _sequence(table)
        session_rows.fetch_session_rows(self._lake, f"CREATE TEMP SEQUENCE IF NOT EXISTS {sequence}")
        sql = f"SELECT system.main.nextval({quote_literal(sequence)})"
        [[before]] = session_rows.fetch_session_rows(self._lake, sql)
        known = self._counters.get(table)
        first = known.before if known is not None else int(str(before))
        names = (*known.columns, *columns) if known is not None else columns
        self._counters[table] = NullCounter(table, tuple(dict.fromkeys(names)), sequence, first)

    def report(self) -> None:
        """Show a notice for each table of which values were read as NULL, after a statement has ended.

        A statement that was not read to its end is reported when the next one begins.
        """
        counters, self._counters = self._counters, {}
        for counter in counters.values():
            sql = f"SELECT system.main.currval({quote_literal(counter.sequence)})"
            try:
                [[after]] = session_rows.fetch_session_rows(self._lake, sql)
            except QueryError:  # in a transaction that has failed, and so the statement
                continue
            if int(str(after)) > counter.before:
                columns, one = " or ".join(counter.columns), counter.columns[0]
                self._watcher.notice(
                    f"{counter.table}: NaN in {columns} is read as NULL, which a DECIMAL cannot be; "
                    f"columns: {{{one}: varchar}} in the settings of the table reads it as text"
                )


def _sequence(table: TableName) -> str:
    return f"temp.main.{quoted(f'values of {table} read as NULL')}"
