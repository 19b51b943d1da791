"""Opens the session when a statement needs it, or in the background while the prompt is on screen.

Opening imports the interpreter and loads DuckDB's extensions and the lake. A SELECT of constants runs
without it. Operators, functions, casts and names need the lake, which can redefine them:
``create macro "+"(a, b) as …`` is valid.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from unify.errors import UnifyError
from unify.interpreter.results import CompletionNames, LineProjection, Result, ResultColumn, Rows
from unify.language.tokenizer import SqlToken, TokenKind, significant_tokens

if TYPE_CHECKING:
    from unify.shell.script_runner import ShellSession


_MAX_CONSTANT_CHARS = 1000  # longer statements always open the session
_CONSTANT_WORDS = frozenset({"null", "true", "false"})


class LazySession:
    """A session opened by the first statement that is not a SELECT of constants."""

    def __init__(self, open_session: Callable[[], ShellSession]) -> None:
        self._open_session = open_session
        self._session: ShellSession | None = None

    def run(self, statement: str, line: int = 1, projection: LineProjection | None = None) -> Result:
        if self._session is None and is_constant_select(statement):
            rows = _run_constant_select(statement)
            if rows is not None:
                return rows
        try:
            return self._ensure_open().run(statement, line, projection)
        except RuntimeError as error:  # DuckDB wraps a Ctrl-C that arrives while the lake opens
            if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            raise

    def names(self) -> CompletionNames:
        return self._ensure_open().names()

    def cancel_awaited_loads(self) -> str | None:
        return self._session.cancel_awaited_loads() if self._session is not None else None

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _ensure_open(self) -> ShellSession:
        if self._session is None:
            self._session = self._open_session()
        return self._session


def is_constant_select(statement: str) -> bool:
    """Whether ``statement`` is ``select CONSTANT [as NAME], …``."""
    if len(statement) > _MAX_CONSTANT_CHARS:
        return False
    tokens = list(significant_tokens(statement))
    if len(tokens) < 2 or tokens[0].keyword != "select":
        return False
    items: list[list[SqlToken]] = [[]]
    for token in tokens[1:]:
        if token.text == ",":
            items.append([])
        else:
            items[-1].append(token)
    return all(_is_constant_item(item) for item in items)


def _is_constant_item(item: list[SqlToken]) -> bool:
    match item:
        case [value]:
            return _is_constant_value(value)
        case [value, keyword, name]:
            has_name = keyword.keyword == "as" and name.kind in (TokenKind.WORD, TokenKind.QUOTED)
            return has_name and _is_constant_value(value)
        case _:
            return False


def _is_constant_value(token: SqlToken) -> bool:
    return token.kind in (TokenKind.NUMBER, TokenKind.STRING) or token.keyword in _CONSTANT_WORDS


def _run_constant_select(statement: str) -> Rows | None:
    """Run a SELECT of constants; None if DuckDB rejects it, so that the session reports the error."""
    from unify.engine import duckdb
    from unify.engine.connection import open_database

    with open_database() as connection:
        try:
            result = connection.execute(statement)
        except duckdb.Error:
            return None
        columns = tuple(ResultColumn(str(name), str(type)) for name, type, *_ in result.description)
        return Rows(columns, iter([result.fetchall()]))


OpenSession = Callable[[], "ShellSession"]


class BackgroundSession:
    """A session opened by a thread, and used by one thread at a time.

    ``names``              the names for completion, as of the last ``start``.
    ``on_internal_error``  called by the thread with an unexpected error.
    """

    def __init__(self, open_session: OpenSession, on_internal_error: Callable[[BaseException], None]) -> None:
        self._names: CompletionNames | None = None
        self._open_session = open_session
        self._on_internal_error = on_internal_error
        self._session: ShellSession | None = None
        self._thread: threading.Thread | None = None

    @property
    def names(self) -> CompletionNames:
        from unify.interpreter.results import CompletionNames

        return self._names or CompletionNames()

    def start(self) -> None:
        """Open the session if necessary and read the names in the background."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._load_names, name="names", daemon=True)
            self._thread.start()

    def wait_for_session(self) -> ShellSession:
        """Return the session, for use until the next ``start``. Raises the errors of opening it."""
        self._join_thread()
        if self._session is None:
            self._session = self._open_session()
        return self._session

    def close(self) -> None:
        self._join_thread()
        if self._session is not None:
            self._session.close()

    def _join_thread(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _load_names(self) -> None:
        """Open the session and read the names; the next statement reports a UnifyError."""
        try:
            if self._session is None:
                self._session = self._open_session()
            self._names = self._session.names()
        except UnifyError:
            self._names = None
        except Exception as error:  # noqa: BLE001 — reports an unexpected error of the thread
            self._on_internal_error(error)
