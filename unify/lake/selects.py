"""Runs SELECT statements and fetches their rows in a form that Python can hold exactly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from unify.engine import errors
from unify.engine.nested import exact_cast_sql
from unify.engine.statements import run_before_last
from unify.engine.types import parse_type
from unify.errors import NoSuchVersion, QueryError, StoreError, UnifyError
from unify.lake.protocols import RowProjection, Writer

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

BATCH_ROWS = 2048  # DuckDB's own vector size: a batch is one of its chunks
_POINTER = re.compile(r"^LINE (\d+):", re.MULTILINE)  # DuckDB's position of an error
_HIDDEN_LOAD = (
    "this home was made by an older version of Unify and is read-only, so that at (…) may not find its first "
    "load; a statement of a user who may write to it repairs that"
)
_PLAIN_BATCHES = 2  # a result of at most these is not run again for a projection

Batches = Iterator[Sequence[tuple[object, ...]]]


class LakeStatementResult(Struct, frozen=True):
    """The result of a statement.

    ``columns``       (name, DuckDB type) of its rows; None where it has no rows, and ``summary`` says what
                      it did.
    ``batches``       the rows, read once; the statement runs while they are read. Values Python cannot hold
                      exactly (nanoseconds, months, infinite dates) come as DuckDB's own text.
    ``affected``      the number of rows that a statement without rows changed; None if it changed none.
    ``is_projected``  the rows consist of the expressions of the projection, not of the values of ``columns``.
    """

    columns: tuple[tuple[str, str], ...] | None
    summary: str
    batches: Callable[[], Batches]
    is_projected: bool = False
    affected: int | None = None


class SelectRunner:
    """Runs queries on the user's connection."""

    def __init__(self, lake: Writer) -> None:
        self.lake = lake
        self._spool_numbers = count(1)

    def run(
        self,
        sql: str,
        parameters: object,
        projection: RowProjection | None,
        *,
        reads_once: bool,
        runs_once: bool,
    ) -> LakeStatementResult:
        """Run a SELECT in a form whose values Python can hold, which depends on the types of its columns.

        The types are known when it runs; if they need casts, or if it has many rows and ``projection`` is
        given, it starts again in another form.

        ``runs_once``    it collects its rows first, or acts when it runs (nextval): it is described before,
                         which takes 4 ms on a table of the lake.
        ``reads_once``   its source can be read once only, so its rows go to a temporary table.
        """
        if reads_once:
            return self._run_spooled(sql, parameters, projection)
        is_described = runs_once or (projection is not None and projection.applies_always)
        columns = self.describe_columns(sql, parameters) if is_described else ()
        if columns:
            return self._stream_projected(sql, parameters, columns, projection)
        result = self.stream(sql, parameters)
        columns = result.columns or ()
        if _project(sql, columns, None) != sql:
            result = self._stream_projected(sql, parameters, columns, None)
        if projection is None:
            return result
        batches = result.batches()
        first = list(islice(batches, _PLAIN_BATCHES))
        if len(first) < _PLAIN_BATCHES or len(first[-1]) < BATCH_ROWS:
            return replace(result, batches=lambda: chain(first, batches))
        return self._stream_projected(sql, parameters, columns, projection)

    def stream(self, sql: str, parameters: object, *, lines_before: int = 0) -> LakeStatementResult:
        """Run ``sql`` as it is; its rows are read while it runs.

        ``lines_before``  how many lines come before the first of the user's statement.
        """
        connection = self.execute(sql, parameters, lines_before=lines_before)
        return LakeStatementResult(
            result_columns(connection), "", lambda: self.fetch_batches(connection, lines_before=lines_before)
        )

    def describe_columns(self, sql: str, parameters: object) -> tuple[tuple[str, str], ...]:
        """Names and types of a SELECT's columns; none where it cannot be bound: running it reports why."""
        try:
            rows = self.execute(f"DESCRIBE {sql}", parameters).fetchall()
        except QueryError:
            return ()
        return tuple((str(row[0]), str(row[1])) for row in rows)

    def spool(self, sql: str, parameters: object) -> str:
        """Read the rows of ``sql`` into a temporary table; gives its name."""
        table = f'temp.main."unify spool {next(self._spool_numbers)}"'
        inner = sql.rstrip().rstrip(";")
        sql = f"CREATE TEMP TABLE {table} AS SELECT * FROM (\n{inner}\n)"
        self.execute(sql, parameters, lines_before=1)
        return table

    def drop(self, table: str) -> None:
        self.execute(f"DROP TABLE IF EXISTS {table}")

    def fetch_batches(
        self, result: DuckDBPyConnection | DuckDBPyRelation, *, lines_before: int = 0
    ) -> Batches:
        while True:
            try:
                with self.lake.watch_interrupts(), self.translate_errors(lines_before):
                    rows = result.fetchmany(BATCH_ROWS)
            except KeyboardInterrupt as error:  # raised when the call had ended
                raise self.lake.end_interrupted() from error
            if not rows:
                return
            yield rows

    def execute(self, sql: str, parameters: object = None, *, lines_before: int = 0) -> DuckDBPyConnection:
        with self.lake.watch_interrupts(), self.translate_errors(lines_before):
            return self.lake.connection.execute(run_before_last(self.lake.connection, sql), parameters)

    def translate_errors(self, lines_before: int = 0) -> _StatementErrorTranslator:
        """See ``stream`` for ``lines_before``."""
        return _StatementErrorTranslator(self.lake, lines_before)

    def _stream_projected(
        self,
        sql: str,
        parameters: object,
        columns: tuple[tuple[str, str], ...],
        projection: RowProjection | None,
    ) -> LakeStatementResult:
        projected = _project(sql, columns, projection)
        result = self.stream(projected, parameters, lines_before=int(projected != sql))
        return replace(result, columns=columns, is_projected=projection is not None)

    def _run_spooled(
        self, sql: str, parameters: object, projection: RowProjection | None
    ) -> LakeStatementResult:
        table = self.spool(sql, parameters)
        query = f"SELECT * FROM {table}"
        result = self._stream_projected(query, None, self.describe_columns(query, None), projection)

        def batches() -> Batches:
            yield from result.batches()
            self.drop(table)

        return replace(result, batches=batches)


class _StatementErrorTranslator:
    """Translates what DuckDB raises over a user's statement."""

    def __init__(self, lake: Writer, lines_before: int) -> None:
        self.lake = lake
        self.lines_before = lines_before

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        from unify.engine import duckdb

        if isinstance(error, KeyboardInterrupt) or (error and isinstance(error.__cause__, KeyboardInterrupt)):
            # The client stops listening without stopping the query: whatever comes next on this
            # connection would wait for its end.
            raise self.lake.end_interrupted() from error
        if error is not None and errors.is_internal_error(error):
            self.lake.reopen()
            raise StoreError(
                f"internal error of DuckDB ({errors.clean_message(error)}); the lake was reopened, temporary "
                "tables and settings are lost"
            ) from error
        if isinstance(error, duckdb.Error):
            damaged = self.lake.explain_damaged_file(error)
            translated: UnifyError = damaged or errors.translate_statement_error(error, self.lake.path)
            if isinstance(translated, NoSuchVersion) and self.lake.hides_first_load:
                translated.message = f"{_HIDDEN_LOAD}: {translated.message}"
            translated.message = _POINTER.sub(self._user_line, translated.message)
            raise translated from error

    def _user_line(self, match: re.Match[str]) -> str:
        return f"LINE {int(match[1]) - self.lines_before}:"


def _project(sql: str, columns: Sequence[tuple[str, str]], projection: RowProjection | None) -> str:
    """Return a select of the expressions of ``projection``, else with casts that Python needs, if any."""
    names = [f"c{number}" for number in range(len(columns))]
    if projection is not None:
        chosen = list(projection.expressions(columns))
    else:
        chosen = [
            exact_cast_sql(name, parse_type(kind)) for name, (_, kind) in zip(names, columns, strict=True)
        ]
        if chosen == names:
            return sql
    inner = sql.rstrip().rstrip(";")
    return f"SELECT {', '.join(chosen)} FROM (\n{inner}\n) AS rows({', '.join(names)})"


def result_columns(connection: DuckDBPyConnection) -> tuple[tuple[str, str], ...]:
    return tuple((str(column[0]), str(column[1])) for column in connection.description or ())
