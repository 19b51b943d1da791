"""The session opens when a statement first needs it. One statement needs none: a SELECT of constants.

Opening loads the interpreter, DuckDB's extensions and the lake, which takes most of the time that
``unify -c "select 1"`` took. Nothing anybody stored can change what a constant is; an operator, a
function, a cast or a name may mean something else in the lake (``create macro "+"(a, b) as …`` is
allowed), so they are not looked at here.

The session opens, and its names are read, while a person looks at the prompt.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from unify.errors import UnifyError
from unify.interpreter.results import CompletionNames, Result, ResultColumn, Rows
from unify.language.tokenizer import SqlToken, TokenKind, significant_tokens

if TYPE_CHECKING:
    from unify.shell.script_runner import ShellSession


_MAX_CONSTANT_CHARS = 1000  # characters; a longer text is no quick question
_CONSTANT_WORDS = frozenset({"null", "true", "false"})


class LazySession:
    """A session that is opened by the first statement that is more than constants."""

    def __init__(self, open_session: Callable[[], ShellSession]) -> None:
        self._open_session = open_session
        self._session: ShellSession | None = None

    def run(self, statement: str, line: int = 1) -> Result:
        """As the session; see ``script.ShellSession``."""
        if self._session is None and is_constant_select(statement):
            answer = _run_constant_select(statement)
            if answer is not None:
                return answer
        try:
            return self._ensure_open().run(statement, line)
        except RuntimeError as error:  # what DuckDB makes of a Ctrl-C while the lake opens
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
    """Whether ``statement`` is ``select CONSTANT [as NAME], …`` and nothing else."""
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
        case [value, name_follows, name]:
            named = name_follows.keyword == "as" and name.kind in (TokenKind.WORD, TokenKind.QUOTED)
            return named and _is_constant_value(value)
        case _:
            return False


def _is_constant_value(token: SqlToken) -> bool:
    return token.kind in (TokenKind.NUMBER, TokenKind.STRING) or token.keyword in _CONSTANT_WORDS


def _run_constant_select(statement: str) -> Rows | None:
    """The row of a SELECT of constants; None where DuckDB does not take it: the lake then says why."""
    import duckdb

    from unify.engine.connection import open_database

    with open_database() as connection:
        try:
            found = connection.execute(statement)
        except duckdb.Error:
            return None
        columns = tuple(ResultColumn(str(name), str(type)) for name, type, *_ in found.description)
        return Rows(columns, iter([found.fetchall()]))


OpenSession = Callable[[], "ShellSession"]


class BackgroundSession:
    """One session, opened by a thread of its own. It is never used by two threads at once.

    ``names``    those of the last reading: what completion offers, at once and perhaps a little old.
    ``mistake``  is told of a fault of ours; from the thread.
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
        """Open the session if need be and read the names, without anybody waiting for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._load_names, name="names", daemon=True)
            self._thread.start()

    def wait_for_session(self) -> ShellSession:
        """The session, for the caller alone until the next ``start``. Raises what opening it raises."""
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
        """What goes wrong here goes wrong again, and is told, when a statement needs it."""
        try:
            if self._session is None:
                self._session = self._open_session()
            self._names = self._session.names()
        except UnifyError:
            self._names = None
        except Exception as error:  # noqa: BLE001 — a thread's last border: told without a traceback
            self._on_internal_error(error)
