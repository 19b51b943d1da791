"""Large live tables that are read in parts side by side, in one snapshot, before the statement uses them.

One connection to a server leaves cores idle. The parts are tables in memory of a hidden database, until the
next statement begins.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from unify.engine.types import quote_identifier as quoted
from unify.interpreter.sources.open_sources import OpenSources
from unify.lake.lake import Lake

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.relation import ParallelRead, RelationalAdapter

MAX_READERS = min(4, os.cpu_count() or 1)  # of one table; each is a connection to the source
_DATABASE = "__unify_parts of live tables"  # hidden as all names with this prefix


class ParallelReads:
    """Reads the parts of live tables of one session."""

    def __init__(self, lake: Lake, sources: OpenSources) -> None:
        self.lake = lake
        self.sources = sources
        self._numbers = count(1)
        self._tables: list[str] = []  # of the last statement

    def read(self, adapter: RelationalAdapter, plan: ParallelRead) -> str:
        """Read every part; return the SELECT of the relation over the tables that have them.

        Raises SourceError, or Interrupted; then nothing runs at the source any more.
        """
        self._attach()
        names = [f"{quoted(_DATABASE)}.main.{quoted(f'part {next(self._numbers)}')}" for _ in plan.parts]
        self._tables += names
        todo: SimpleQueue[int] = SimpleQueue()
        for number in range(len(names)):
            todo.put(number)
        readers = min(MAX_READERS, len(names))
        with ThreadPoolExecutor(readers, thread_name_prefix="live reader") as pool:
            running = [pool.submit(self._read_parts, adapter, plan, names, todo) for _ in range(readers)]
            try:
                for reader in running:
                    reader.result()
            except BaseException:
                _drain(todo)
                self.sources.cancel()
                raise
        rows = " UNION ALL ".join(f"FROM {name}" for name in names)
        return f"SELECT {plan.values} FROM ({rows})"

    def drop(self) -> None:
        """Drop the parts of the previous statement."""
        tables, self._tables = self._tables, []
        if tables and self._is_attached():
            with self.lake.cursor(uses_lake=False) as duck:
                for table in tables:
                    duck.execute(f"DROP TABLE IF EXISTS {table}")

    def _read_parts(
        self, adapter: RelationalAdapter, plan: ParallelRead, names: Sequence[str], todo: SimpleQueue[int]
    ) -> None:
        from unify.adapters.database.attachment import translate_source_errors

        with self.lake.cursor(uses_lake=False) as duck, translate_source_errors(adapter.connection):
            duck.execute("BEGIN")
            for statement in plan.setup:
                duck.execute(statement)
            while (number := _next(todo)) is not None:
                duck.execute(f"CREATE TABLE {names[number]} AS {plan.parts[number]}")
            duck.execute("COMMIT")

    def _attach(self) -> None:
        if not self._is_attached():
            with self.lake.cursor(uses_lake=False) as duck:
                duck.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {quoted(_DATABASE)}")

    def _is_attached(self) -> bool:
        with self.lake.cursor(uses_lake=False) as duck:
            return _has_database(duck)


def _has_database(duck: DuckDBPyConnection) -> bool:
    sql = "SELECT 1 FROM duckdb_databases() WHERE database_name = ?"
    return duck.execute(sql, [_DATABASE]).fetchone() is not None


def _next(todo: SimpleQueue[int]) -> int | None:
    try:
        return todo.get_nowait()
    except Empty:
        return None


def _drain(todo: SimpleQueue[int]) -> None:
    while _next(todo) is not None:
        pass
