"""The rows of a statement that writes to a database, checked and converted before the first one is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.table_writes import ValueConversion, WritableColumn
from unify.errors import QueryError
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.lake import session_rows
from unify.lake.lake import Lake
from unify.model import Column
from unify.text import format_count

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TABLE = 'temp.main."unify checked rows"'
BATCH_ROWS = 10_000
MAX_LISTED_PROBLEMS = 10


class CheckedColumn(Struct, frozen=True):
    """A column of the target with the value that it gets. ``source``: the column of the rows, as SQL."""

    column: WritableColumn
    source: str
    conversion: ValueConversion


class CheckedRows:
    """The rows in a temporary table of the session. ``columns`` are those of the SELECT, in their order."""

    def __init__(self, lake: Lake, columns: Sequence[Column], count: int) -> None:
        self._lake = lake
        self.columns = columns
        self.count = count

    @property
    def relation(self) -> str:
        return TABLE

    @property
    def duck(self) -> DuckDBPyConnection:
        return self._lake.connection

    def fetch(self, expressions: Sequence[str]) -> Iterator[Sequence[tuple[object, ...]]]:
        """Yield batches of the rows in their order. Raises Interrupted, QueryError."""
        sql = f"SELECT {', '.join(expressions)} FROM {TABLE} ORDER BY rowid"
        with session_rows.translate_session_errors(self._lake):
            result = self._lake.connection.execute(sql)
        while True:
            with session_rows.translate_session_errors(self._lake):
                batch: Sequence[tuple[object, ...]] = result.fetchmany(BATCH_ROWS)
            if not batch:
                return
            yield batch

    def check(self, target: str, columns: Sequence[CheckedColumn]) -> None:
        """Raise QueryError with row and column of what cannot be written."""
        found = [(one, condition, reason) for one in columns for condition, reason in one.conversion.problems]
        if not found or not self.count:
            return
        tests = [
            f"min(rowid) FILTER (WHERE {condition}), count(*) FILTER (WHERE {condition})"
            for _, condition, _ in found
        ]
        [row] = session_rows.fetch_session_rows(self._lake, f"SELECT {', '.join(tests)} FROM {TABLE}")
        firsts, counts = row[::2], row[1::2]
        problems = sorted(
            (int(str(first)), _describe_problem(int(str(first)), one, reason, int(str(count))))
            for first, count, (one, _, reason) in zip(firsts, counts, found, strict=True)
            if first is not None
        )
        if problems:
            shown = [text for _, text in problems[:MAX_LISTED_PROBLEMS]]
            raise QueryError(f"{target}: nothing was written:\n  " + "\n  ".join(shown))

    def check_key(self, target: str, key: Sequence[CheckedColumn]) -> None:
        """Raise QueryError for a row without a whole key, and for two rows with one key."""
        values = [one.conversion.value for one in key]
        names = ", ".join(one.column.name for one in key)
        missing = " OR ".join(f"({value}) IS NULL" for value in values)
        [row] = session_rows.fetch_session_rows(
            self._lake, f"SELECT min(rowid) FILTER (WHERE {missing}) FROM {TABLE}"
        )
        if row[0] is not None:
            raise QueryError(
                f"{target}: nothing was written: row {int(str(row[0])) + 1}: its key ({names}) is NULL"
            )
        shown = [f"CAST(any_value({value}) AS VARCHAR)" for value in values]
        repeated = session_rows.fetch_session_rows(
            self._lake,
            f"SELECT min(rowid), max(rowid), {', '.join(shown)} FROM {TABLE} "
            f"GROUP BY {', '.join(values)} HAVING count(*) > 1 ORDER BY 1 LIMIT 1",
        )
        for first, last, *texts in repeated:
            pairs = zip(key, texts, strict=True)
            named = ", ".join(f"{one.column.name} = {text}" for one, text in pairs)
            raise QueryError(
                f"{target}: nothing was written: rows {int(str(first)) + 1} and {int(str(last)) + 1} have "
                f"the same key: {named}"
            )


@contextmanager
def collect_rows(
    query: QueryRunner, sql: str, max_age: MaxAge, *, limit: int | None = None
) -> Iterator[CheckedRows]:
    """Run a SELECT once, into a temporary table. ``limit``: how many rows are kept."""
    bound, _ = query.prepare(sql, max_age)
    lake = query.lake
    name = TABLE.rpartition(".")[2]
    bounded = "" if limit is None else f"\nLIMIT {limit:d}"
    create = f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM (\n{bound.sql}\n) AS source{bounded}"
    [created] = session_rows.fetch_session_rows(lake, create, bound.parameters)
    try:
        described = session_rows.fetch_session_rows(lake, f"DESCRIBE {TABLE}")
        columns = [Column(str(row[0]), str(row[1])) for row in described]
        yield CheckedRows(lake, columns, int(str(created[0])))
    finally:
        session_rows.fetch_session_rows(lake, f"DROP TABLE IF EXISTS {TABLE}")


def _describe_problem(first: int, one: CheckedColumn, reason: str, count: int) -> str:
    more = f" (and {format_count(count - 1, 'more row')})" if count > 1 else ""
    type = f" ({one.column.source_type})" if one.column.source_type else ""
    return f"row {first + 1}: {one.column.name}{type}: the value {reason}{more}"


def values_by_name(columns: Sequence[CheckedColumn]) -> Mapping[str, CheckedColumn]:
    """Return the columns by the names of the target's columns."""
    return {one.column.name: one for one in columns}
