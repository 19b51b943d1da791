"""The Python API: ``unify.open`` starts a session that runs the statements of the shell."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from unify.cli.bootstrap import stage_pages
from unify.cli.environment import build_settings
from unify.engine.connection import open_database
from unify.engine.types import quote_identifier as quoted
from unify.errors import UsageError
from unify.interpreter.freshness import MaxAge
from unify.interpreter.interpreter import Interpreter
from unify.interpreter.results import Message, ResultColumn, Rows, RunScript, ScheduleScript, TextOutput
from unify.language.statements import split_statements
from unify.redaction import Redactor
from unify.shell.invocation import Invocation
from unify.text import unique_names

if TYPE_CHECKING:
    from unify.adapters.base import UserPrompt
    from unify.interpreter.results import Result
    from unify.model import LoaderStatus


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
) -> PythonSession:
    """Open a session. The arguments are those of the command line; None means its default.

    ``home``         the folder with the stored tables: ``--home``, else ``UNIFY_HOME``.
    ``max_age``      ``5m``, ``0`` or ``none``: how old stored rows may be.
    ``wait``         False: a statement that needs a load raises LoadFailed and the load goes on.
    ``variables``    values of ``$name`` in statements.
    ``environment``  in place of ``os.environ``, for ``${NAME}`` in connections.yaml and ``UNIFY_*``.
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
        _NoticeCollector(notices),
        environment=environment,
        max_age=MaxAge.parse("default" if max_age is None else max_age),
        wait=wait,
        variables=variables,
        stager=stage_pages,
    )
    return PythonSession(interpreter, notices)


class PythonSession:
    """A session of statements. Use it in a ``with`` block, from one thread at a time.

    ``notices``  what the shell would write to stderr: refreshes in the background, load warnings.
    """

    def __init__(self, interpreter: Interpreter, notices: Sequence[str]) -> None:
        self._interpreter = interpreter
        self.notices = notices

    def execute(self, sql: str) -> QueryResult:
        """Run one or several statements, tables loaded as needed; gives the result of the last.

        Raises UnifyError: QueryError, UnknownName, LoadFailed and the others of ``unify.errors``.
        """
        statements = list(split_statements(sql))
        if not statements:
            raise UsageError("there is no statement here")
        for statement in statements[:-1]:
            QueryResult(self._interpreter.run(statement.text, statement.line)).fetchall()
        return QueryResult(self._interpreter.run(statements[-1].text, statements[-1].line))

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
    """

    def __init__(self, result: Result) -> None:
        if isinstance(result, RunScript | ScheduleScript):
            raise UsageError(
                "scripts are run by the shell: unify -f FILE; use execute with the script's text"
            )
        rows = result if isinstance(result, Rows) else None
        self.columns: tuple[ResultColumn, ...] = rows.columns if rows else ()
        self.note = rows.note if rows else ""
        self.message = result.text if isinstance(result, Message | TextOutput) else ""
        self._rows = chain.from_iterable(rows.batches if rows else ())

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        return self._rows

    def fetchone(self) -> tuple[object, ...] | None:
        return next(self._rows, None)

    def fetchmany(self, size: int) -> list[tuple[object, ...]]:
        return list(islice(self._rows, size))

    def fetchall(self) -> list[tuple[object, ...]]:
        return list(self._rows)

    def arrow(self) -> Any:
        """The remaining rows as a ``pyarrow.Table`` with the types of ``columns``. Needs pyarrow."""
        return self._typed_rows().to_arrow_table()

    def df(self) -> Any:
        """The remaining rows as a ``pandas.DataFrame``. Needs pandas."""
        return self._typed_rows().df()

    def _typed_rows(self) -> Any:
        """The rows in a DuckDB of their own, with their types; values travel as JSON, which is exact."""
        if not self.columns:
            raise UsageError("this statement has no rows")
        connection = open_database()
        names = unique_names((column.name for column in self.columns), str.lower)
        fields = ", ".join(
            f"{quoted(name)} {column.type}" for name, column in zip(names, self.columns, strict=True)
        )
        casts = ", ".join(
            f"CAST({'row ->' if _is_nested(column.type) else 'row ->>'} {number} AS {column.type})"
            for number, column in enumerate(self.columns)
        )
        connection.execute(f"CREATE TABLE rows ({fields})")
        while batch := self.fetchmany(_BATCH_ROWS):
            values = msgspec.json.encode([[_to_json(value) for value in row] for row in batch]).decode()
            connection.execute(
                f"INSERT INTO rows SELECT {casts} FROM (SELECT unnest(CAST(? AS JSON[])) AS row)", [values]
            )
        return connection.table("rows")


class _NoticeCollector:
    """The watcher of a session without a terminal: keeps notices, asks nothing."""

    def __init__(self, notices: list[str]) -> None:
        self.redactor = Redactor()
        self._notices = notices

    def notice(self, text: str) -> None:
        self._notices.append(text)

    def show_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        del statuses

    def end_progress(self, reported_jobs: Collection[int] = ()) -> None:
        del reported_jobs

    def ask_user(self, question: str, *, secret: bool = False) -> str | None:
        del question, secret
        return None

    def user_prompt(self) -> UserPrompt | None:
        return None


_BATCH_ROWS = 10_000


def _is_nested(type: str) -> bool:
    return type.endswith("]") or type.startswith(("STRUCT", "MAP"))


def _to_json(value: object) -> object:
    """A value as JSON that DuckDB casts back to it."""
    if isinstance(value, bool | str | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return "".join(f"\\x{byte:02X}" for byte in value)
    if isinstance(value, Mapping):
        return {str(key): _to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(part) for part in value]
    return str(value)
