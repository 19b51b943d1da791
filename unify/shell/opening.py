"""The session opens when a statement first needs it. One statement needs none: a SELECT of constants.

Opening loads the interpreter, DuckDB's extensions and the lake, which takes most of the time that
``unify -c "select 1"`` took. Nothing anybody stored can change what a constant is; an operator, a
function, a cast or a name may mean something else in the lake (``create macro "+"(a, b) as …`` is
allowed), so they are not looked at here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from unify.interpreter.results import Names, Result, ResultColumn, Rows
from unify.language.scanner import Kind, Token, significant

if TYPE_CHECKING:
    from unify.shell.script import Session

_LONGEST = 1000  # characters; a longer text is no quick question
_CONSTANT_WORDS = frozenset({"null", "true", "false"})


class LateSession:
    """A session that is opened by the first statement that is more than constants."""

    def __init__(self, open_session: Callable[[], Session]) -> None:
        self._open = open_session
        self._session: Session | None = None

    def run(self, statement: str, line: int = 1) -> Result:
        """As the session; see ``script.Session``."""
        if self._session is None and is_constant(statement):
            answer = _answer(statement)
            if answer is not None:
                return answer
        try:
            return self._opened().run(statement, line)
        except RuntimeError as error:  # what DuckDB makes of a Ctrl-C while the lake opens
            if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            raise

    def names(self) -> Names:
        return self._opened().names()

    def cancel_waited(self) -> str | None:
        return self._session.cancel_waited() if self._session is not None else None

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _opened(self) -> Session:
        if self._session is None:
            self._session = self._open()
        return self._session


def is_constant(statement: str) -> bool:
    """Whether ``statement`` is ``select CONSTANT [as NAME], …`` and nothing else."""
    if len(statement) > _LONGEST:
        return False
    tokens = list(significant(statement))
    if len(tokens) < 2 or tokens[0].folded != "select":
        return False
    items: list[list[Token]] = [[]]
    for token in tokens[1:]:
        if token.text == ",":
            items.append([])
        else:
            items[-1].append(token)
    return all(_is_constant_item(item) for item in items)


def _is_constant_item(item: list[Token]) -> bool:
    match item:
        case [value]:
            return _is_value(value)
        case [value, name_follows, name]:
            named = name_follows.folded == "as" and name.kind in (Kind.WORD, Kind.QUOTED)
            return named and _is_value(value)
        case _:
            return False


def _is_value(token: Token) -> bool:
    return token.kind in (Kind.NUMBER, Kind.STRING) or token.folded in _CONSTANT_WORDS


def _answer(statement: str) -> Rows | None:
    """The row of a SELECT of constants; None where DuckDB does not take it: the lake then says why."""
    import duckdb

    from unify.store.duck import database

    with database() as connection:
        try:
            found = connection.execute(statement)
        except duckdb.Error:
            return None
        columns = tuple(ResultColumn(str(name), str(type)) for name, type, *_ in found.description)
        return Rows(columns, iter([found.fetchall()]))
