"""The Python API: ``unify.open`` starts a session that runs the statements of the shell."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from types import TracebackType
from typing import TYPE_CHECKING

from unify.api.values import row_converter
from unify.cli.bootstrap import stage_pages
from unify.cli.environment import build_settings
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError, UsageError
from unify.interpreter.freshness import MaxAge
from unify.interpreter.interpreter import Interpreter
from unify.interpreter.parameters import Parameters, bind_parameters
from unify.interpreter.quiet_watcher import ProgressCallback, QuietWatcher
from unify.interpreter.results import (
    Message,
    ResultColumn,
    Rows,
    RunNotebook,
    RunScript,
    ScheduleScript,
    TextOutput,
)
from unify.interpreter.state import TableState
from unify.lake import ledger
from unify.language.statements import split_statements
from unify.model import LoadRecord, TableName
from unify.render import columnar
from unify.shell.invocation import Invocation

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

    from unify.interpreter.results import Result


def open(
    home: str | os.PathLike[str] | None = None,
    *,
    connections: str | os.PathLike[str] | None = None,
    specs: Sequence[str | os.PathLike[str]] = (),
    tenant: str | None = None,
    max_age: str | None = None,
    wait: bool = True,
    variables: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    on_progress: ProgressCallback | None = None,
    python_values: bool = False,
    yes: bool = False,
    max_writes: int | None = None,
    max_deletes: int | None = None,
) -> PythonSession:
    """Open a session. The arguments are those of the command line; None means its default.

    ``home``         the folder with the stored tables: ``--home``, else ``UNIFY_HOME``.
    ``max_age``      ``5m``, ``0`` or ``none``: how old stored rows may be.
    ``wait``         False: a statement that needs a load raises LoadFailed and the load goes on.
    ``variables``    values of ``$name`` in statements.
    ``environment``  in place of ``os.environ``, for ``${NAME}`` in connections.yaml and ``UNIFY_*``.
    ``on_progress``  called with the status of each load that a statement waits for, at most ten times a
                     second.
    ``python_values``  dates and times are objects of Python where it can hold them, not DuckDB's text.
    ``yes``, ``max_writes``, ``max_deletes``  what statements may write and delete, as on the command line.
    Raises UsageError for an invalid value. Nothing is opened before the first statement.
    """
    environment = dict(os.environ if environment is None else environment)
    invocation = Invocation(
        home=None if home is None else os.fspath(home),
        connections=None if connections is None else os.fspath(connections),
        specs=tuple(os.fspath(folder) for folder in specs),
        tenant=tenant,
    )
    notices: list[str] = []
    interpreter = Interpreter(
        build_settings(invocation, environment),
        QuietWatcher(notices, on_progress),
        environment=environment,
        max_age=MaxAge.parse("default" if max_age is None else max_age),
        wait=wait,
        variables=variables,
        yes=yes,
        max_writes=max_writes,
        max_deletes=max_deletes,
        stager=stage_pages,
    )
    return PythonSession(interpreter, notices, python_values=python_values)


MAX_KEPT_ROWS = 1_000_000  # of a result that is open when the next statement runs


class PythonSession:
    """A session of statements. Use it in a ``with`` block, from one thread at a time.

    ``notices``        what the shell would write to stderr: refreshes in the background, load warnings.
    ``python_values``  dates and times are objects of Python where it can hold them, not DuckDB's text.
    """

    def __init__(
        self, interpreter: Interpreter, notices: Sequence[str], *, python_values: bool = False
    ) -> None:
        self._interpreter = interpreter
        self._python_values = python_values
        self.notices = notices
        self._open_rows: weakref.ref[_OpenRows] | None = None

    def execute(self, sql: str, parameters: Parameters | None = None) -> QueryResult:
        """Run one or several statements, tables loaded as needed; gives the result of the last.

        ``parameters``  the values of ``?`` in order, or those of ``:name`` and ``$name``; of one statement.
        Raises UnifyError: QueryError, UnknownName, LoadFailed and the others of ``unify.errors``.
        """
        self._keep_open_result()
        statements = list(split_statements(sql))
        if not statements:
            raise UsageError("there is no statement here")
        if parameters and len(statements) > 1:
            raise UsageError("parameters are for one statement; run the others before it")
        for statement in statements[:-1]:
            QueryResult(self._interpreter.run(statement.text, statement.line)).fetchall()
        text, values = bind_parameters(statements[-1].text, parameters)
        result = self._interpreter.run(text, statements[-1].line, parameters=values)
        opened = QueryResult(result, python_values=self._python_values)
        self._open_rows = weakref.ref(opened.exact_rows)
        return opened

    def _keep_open_result(self) -> None:
        """Keep the rows of the last result that were not read yet: the next statement ends its query."""
        rows = None if self._open_rows is None else self._open_rows()
        if rows is not None:
            rows.keep()
        self._open_rows = None

    def load(self, table: str) -> LoadRecord:
        """Load a table, or refresh one that is stored, wait for it, and return its row of ``unify.loads``.

        Raises LoadFailed, UnknownName.
        """
        self._keep_open_result()
        name = self._qualify(table)
        self._interpreter.run(f"load table {quoted(name.schema)}.{quoted(name.table)}")
        record = ledger.latest_load(self._interpreter.session.lake, name)
        assert record is not None, name
        return record

    def tables(self, schema: str | None = None) -> list[TableState]:
        """Return the tables that a statement can name, stored or not; only those of ``schema`` if given."""
        state = self._interpreter.session.state
        state.list_sources(schema)
        return list(state.table_states(schema))

    def schemas(self) -> frozenset[str]:
        """Return the names of all connections and schemas."""
        return self._interpreter.session.state.schemas()

    def has_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._interpreter.session.in_transaction

    def _qualify(self, table: str) -> TableName:
        schema, _, name = table.partition(".")
        if not schema or not name:
            raise UsageError(f"{table}: must be CONNECTION.TABLE, such as github.pulls")
        return self._interpreter.session.query.resolver.qualify_connection(TableName(schema, name))

    def close(self) -> None:
        """Close the session. Loads go on in the daemon; an open transaction is rolled back."""
        self._interpreter.close()

    def __enter__(self) -> PythonSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class QueryResult:
    """The rows of a statement, read once while the query runs; empty for a statement without rows.

    Values that Python cannot hold exactly (nanoseconds, months, infinite dates) are DuckDB's text of them.
    ``columns``  name and DuckDB type of each column.
    ``message``  what a statement without rows did, or the text of a command: ``3 rows inserted``.
    ``note``     the age of the tables: ``stored 12 min ago``.
    ``changed``  the number of rows that a statement without rows changed, if that is known.
    ``exact_rows``  the remaining rows as DuckDB gives them; those of an open result are kept in memory when
                 the session runs another statement, MAX_KEPT_ROWS at most.
    """

    def __init__(self, result: Result, *, python_values: bool = False) -> None:
        if isinstance(result, RunScript | RunNotebook | ScheduleScript):
            raise UsageError(
                "scripts and notebooks are run by the shell: unify -f FILE; use execute with a script's text"
            )
        rows = result if isinstance(result, Rows) else None
        self.columns: tuple[ResultColumn, ...] = rows.columns if rows else ()
        self.note = rows.note if rows else ""
        self.message = result.text if isinstance(result, Message | TextOutput) else ""
        self.changed = result.rows if isinstance(result, Message) else None
        self.exact_rows = _OpenRows(chain.from_iterable(rows.batches if rows else ()))
        convert = row_converter(self.columns) if python_values else None
        self._rows = self.exact_rows if convert is None else map(convert, self.exact_rows)

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        return self._rows

    def fetchone(self) -> tuple[object, ...] | None:
        return next(self._rows, None)

    def fetchmany(self, size: int) -> list[tuple[object, ...]]:
        return list(islice(self._rows, size))

    def fetchall(self) -> list[tuple[object, ...]]:
        return list(self._rows)

    def rows(self) -> list[tuple[object, ...]]:
        """The remaining rows; the same as ``fetchall``."""
        return self.fetchall()

    def arrow(self) -> pyarrow.Table:
        """The remaining rows as a ``pyarrow.Table`` with the types of ``columns``. Needs pyarrow."""
        return columnar.to_relation(self.columns, self._batches()).to_arrow_table()

    def reader(self, batch_rows: int = 10_000) -> pyarrow.RecordBatchReader:
        """The remaining rows as a ``pyarrow.RecordBatchReader``, read as it is. Needs pyarrow."""
        return columnar.to_reader(self.columns, self._batches(batch_rows))

    def df(self) -> pandas.DataFrame:
        """The remaining rows as a ``pandas.DataFrame``. Needs pandas."""
        return columnar.to_relation(self.columns, self._batches()).df()

    def pl(self) -> polars.DataFrame:
        """The remaining rows as a ``polars.DataFrame``. Needs polars and pyarrow."""
        return columnar.to_relation(self.columns, self._batches()).pl()

    def _batches(self, rows: int = columnar.BATCH_ROWS) -> Iterator[Sequence[tuple[object, ...]]]:
        while batch := list(islice(self.exact_rows, rows)):
            yield batch


class _OpenRows(Iterator[tuple[object, ...]]):
    """Rows of a running query, or those that were kept of one that has ended."""

    def __init__(self, rows: Iterator[tuple[object, ...]]) -> None:
        self._rows = rows
        self._is_cut = False

    def __next__(self) -> tuple[object, ...]:
        row = next(self._rows, None)
        if row is None and self._is_cut:
            raise QueryError(
                f"the session ran another statement: of this result, {MAX_KEPT_ROWS:,} more rows were kept, "
                "and the others are lost; fetch them first, or use a session of its own"
            )
        if row is None:
            raise StopIteration
        return row

    def keep(self) -> None:
        kept = list(islice(self._rows, MAX_KEPT_ROWS + 1))
        self._is_cut = self._is_cut or len(kept) > MAX_KEPT_ROWS
        self._rows = iter(kept[:MAX_KEPT_ROWS])
