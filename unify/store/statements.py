"""A user's statements on the lake: which of them write, under what lock, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unify.duckdb_types import exact_cast, parse_type
from unify.errors import Interrupted, QueryError, StoreError, UnifyError
from unify.store import duckerrors, durable, exactness, ledger
from unify.store.private import private_files
from unify.store.tokens import outermost, table_statement, tokens
from unify.text import counted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.store.lake import Lake

BATCH_ROWS = 2048  # DuckDB's own vector size: a batch is one of its chunks
USER_WAIT_S = 60.0  # a publish takes seconds; a shell's open transaction may take for ever

_READING = frozenset({"SELECT", "EXPLAIN", "SET", "VARIABLE_SET", "PRAGMA", "LOAD", "ATTACH", "DETACH"})
_READING_TOO = frozenset({"EXPORT", "PREPARE", "RELATION", "LOGICAL_PLAN", "EXTENSION", "TRANSACTION"})
_WITH_ROWS = frozenset({"SELECT", "EXPLAIN", "CALL", "EXECUTE", "PRAGMA", "RELATION", "LOGICAL_PLAN"})
# What is run in a transaction of ours, so that its files are on the disk before it commits.
_TOGETHER = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE_INTO", "COPY", "CREATE", "ALTER", "DROP"})
# Words of a select that may see every row before it gives its first; of others, the start costs nothing.
_GATHERS = frozenset(
    {
        "where",
        "group",
        "order",
        "distinct",
        "over",
        "join",
        "union",
        "intersect",
        "except",
        "pivot",
        "nextval",
    }
    | {"sum", "avg", "min", "max", "any_value", "first", "last", "arg_min", "arg_max", "median", "mode"}
)
_BEGINS = frozenset({"begin", "start"})
_COMMITS = frozenset({"commit", "end"})
_COUNTED = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted", "MERGE_INTO": "merged"}
_DONE = {"CREATE": "created", "DROP": "dropped", "ALTER": "altered", "ATTACH": "attached", "SET": "set"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement gave.

    ``columns``  (name, DuckDB type) of its rows; None where it has no rows, and ``summary`` says what it did.
    ``batches``  the rows, read once; the statement runs while they are read. Values Python cannot hold
                 exactly (nanoseconds, months, infinite dates) come as DuckDB's own text.
    """

    columns: tuple[tuple[str, str], ...] | None
    summary: str
    batches: Callable[[], Iterator[Sequence[tuple[object, ...]]]]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A statement as DuckDB's parser sees it: ``kind`` is its StatementType.

    ``gathers``  a select that may take its whole time before its first row.
    """

    sql: str
    kind: str
    words: tuple[str, ...]  # its tokens outside brackets, in lower case, without comments
    writes: bool
    wrapped: bool = False  # DuckDB makes a transaction of its own out of it
    gathers: bool = False


class Statements:
    """Runs a user's statements on a lake; remembers whether a transaction of theirs is open."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.in_transaction = False
        self._began_ns = 0

    def run(self, sql: str, parameters: object = None) -> Outcome:
        """Run one statement.

        Locks   a statement that writes holds the writers' lock while it runs; BEGIN takes it until
                COMMIT or ROLLBACK, because a transaction that starts reading cannot turn to writing
                once somebody else has committed.
        Raises  QueryError with DuckDB's explanation; StoreError when the lake itself is in trouble.
        """
        statement = self.parsed(sql)
        if statement.kind == "TRANSACTION":
            return self._transaction(statement)
        self._refuse_own(statement)
        if statement.writes:
            return self._write(statement, parameters)
        return self._run(statement, parameters) if self.in_transaction else self._read(statement, parameters)

    def _write(self, statement: Parsed, parameters: object) -> Outcome:
        if self.in_transaction:
            with private_files():
                return self._run(statement, parameters)
        with self.lake.lock(USER_WAIT_S), private_files():
            return self._run(statement, parameters)

    def _read(self, statement: Parsed, parameters: object) -> Outcome:
        try:
            return self._run(statement, parameters)
        except StoreError as error:
            if not self.lake.read_on(error):
                raise
        return self._run(statement, parameters)

    def parsed(self, sql: str) -> Parsed:
        """What kind of statement ``sql`` is. Raises QueryError."""
        with self._refused():
            kinds = [one.type.name for one in self.lake.connection.extract_statements(sql)]
        if not kinds:
            raise QueryError("there is no statement here")
        acting = [kind for kind in kinds if kind != "TRANSACTION"]  # PIVOT is several, in a transaction
        kind = acting[-1] if acting else "TRANSACTION"
        found = tokens(sql)
        words = tuple(token.word for _, token in outermost(found))
        wrapped = len(acting) < len(kinds) and bool(acting)
        gathers = any(token.word in _GATHERS for token in found)
        return Parsed(sql, kind, words, _writes(kind, words), wrapped, gathers)

    def _transaction(self, statement: Parsed) -> Outcome:
        begins = statement.words[0] in _BEGINS
        taken = begins and not self.in_transaction and not self.lake.read_only
        if taken:
            self.lake.take_lock(USER_WAIT_S)
        try:
            if self.in_transaction and statement.words[0] in _COMMITS:
                self.lake.sync_files(self._began_ns)
            self._execute(statement.sql)
        except BaseException:
            if taken:
                self.lake.free_lock()
            if not begins:
                self._roll_back()
                self.forget_transaction()
            raise
        if begins:
            self.in_transaction = True
            self._began_ns = durable.now_ns()
        else:
            self.forget_transaction()
        return Outcome(None, statement.words[0], _nothing)

    def forget_transaction(self) -> None:
        """The user's transaction is over, however it ended: others may write."""
        if self.in_transaction:
            self.in_transaction = False
            if not self.lake.read_only:
                self.lake.free_lock()

    def _run(self, statement: Parsed, parameters: object) -> Outcome:
        if statement.kind == "SELECT":
            return self._select(statement, parameters)
        if statement.kind in ("CREATE", "ALTER"):
            return self._define(statement, parameters)
        if statement.kind not in _WITH_ROWS:
            return self._done(statement, parameters)
        connection = self._execute(statement.sql, parameters)
        return Outcome(_columns(connection), "", lambda: self._batches(connection))

    def _define(self, statement: Parsed, parameters: object) -> Outcome:
        """CREATE or ALTER; of a table, with its types looked at before they are committed."""
        with self._refused():
            sql = exactness.exact_statement(self.lake.connection, statement.sql, parameters)
        if not self.in_transaction or table_statement(sql) is None:
            return self._done(replace(statement, sql=sql), parameters)
        outcome = self._done(replace(statement, sql=sql), parameters)
        try:
            with self._refused():
                exactness.refuse_inexact_table(self.lake.connection, sql)
        except QueryError as error:
            self._roll_back()
            self.forget_transaction()
            raise QueryError(f"{error.message}; the transaction was rolled back") from error
        return outcome

    def _done(self, statement: Parsed, parameters: object) -> Outcome:
        """Run a statement without rows to its end: one that writes, in a transaction of its own."""
        if (
            self.in_transaction
            or not statement.writes
            or statement.wrapped
            or statement.kind not in _TOGETHER
        ):
            return self._finished(statement, parameters)
        began_ns = durable.now_ns()
        self._execute("BEGIN")
        try:
            outcome = self._finished(statement, parameters)
            with self._refused():
                exactness.refuse_inexact_table(self.lake.connection, statement.sql)
            self.lake.sync_files(began_ns)
            self._execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            self.lake.remove_torn_files(error)
            raise
        return outcome

    def _finished(self, statement: Parsed, parameters: object) -> Outcome:
        connection = self._execute(statement.sql, parameters)
        with self._refused():
            return Outcome(
                None, _summary(statement.kind, _columns(connection), connection.fetchall()), _nothing
            )

    def _roll_back(self) -> None:
        """A COMMIT that failed has rolled back already, and DuckDB says so."""
        import duckdb

        with suppress(duckdb.Error):
            self.lake.connection.execute("ROLLBACK")

    def _refuse_own(self, statement: Parsed) -> None:
        """Nobody writes into the ledger by hand: what it says is what recovery believes."""
        if statement.writes and ledger.SCHEMA in (word.strip('"') for word in statement.words):
            raise QueryError(f"{ledger.SCHEMA} is Unify's own; read it as unify.loads")

    def _select(self, statement: Parsed, parameters: object) -> Outcome:
        """Run it in a form whose values Python can hold, which depends on the types of its columns.

        They are known once it runs; then it may have to run again in another form. One that gathers its
        rows first is asked for them before, which costs 4 ms on a table of the lake, and runs once.
        """
        columns = self._described(statement.sql, parameters) if statement.gathers else ()
        connection = None if columns else self._execute(statement.sql, parameters)
        if connection is not None:
            columns = _columns(connection)
        exact = _exact_form(statement.sql, columns)
        if connection is None or exact != statement.sql:
            connection = self._execute(exact, parameters)
        running = connection
        return Outcome(columns, "", lambda: self._batches(running))

    def _described(self, sql: str, parameters: object) -> tuple[tuple[str, str], ...]:
        """Names and types of a select's columns; none where something is wrong, which running it tells."""
        try:
            rows = self._execute(f"DESCRIBE {sql}", parameters).fetchall()
        except QueryError:
            return ()
        return tuple((str(row[0]), str(row[1])) for row in rows)

    def _batches(self, connection: DuckDBPyConnection) -> Iterator[Sequence[tuple[object, ...]]]:
        while True:
            with self._refused():
                rows = connection.fetchmany(BATCH_ROWS)
            if not rows:
                return
            yield rows

    def _execute(self, sql: str, parameters: object = None) -> DuckDBPyConnection:
        with self._refused():
            return self.lake.connection.execute(sql, parameters)

    def _refused(self) -> _Refused:
        return _Refused(self.lake)


class _Refused:
    """Translates what DuckDB raises over a user's statement."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        import duckdb

        if isinstance(error, KeyboardInterrupt) or (error and isinstance(error.__cause__, KeyboardInterrupt)):
            # The client stops listening without stopping the query: whatever comes next on this
            # connection would wait for its end.
            self.lake.connection.interrupt()
            raise Interrupted("the statement was interrupted") from error
        if error is not None and duckerrors.is_inner_fault(error):
            self.lake.reopen()
            raise StoreError(
                f"DuckDB failed inside itself over this statement ({duckerrors.plain(error)}); the lake was "
                "opened anew, temporary tables and settings are gone"
            ) from error
        if isinstance(error, duckdb.Error):
            translated: UnifyError = duckerrors.refusal(error, self.lake.place)
            raise translated from error


def _exact_form(sql: str, columns: Sequence[tuple[str, str]]) -> str:
    """``sql`` itself, or a select of what it gives with the casts that Python needs."""
    exact = [exact_cast(f"c{i}", parse_type(kind)) for i, (_, kind) in enumerate(columns)]
    if all(cast == f"c{i}" for i, cast in enumerate(exact)):
        return sql
    names = ", ".join(f"c{i}" for i in range(len(columns)))
    inner = sql.rstrip().rstrip(";")
    return f"SELECT {', '.join(exact)} FROM (\n{inner}\n) AS rows({names})"


def _columns(connection: DuckDBPyConnection) -> tuple[tuple[str, str], ...]:
    return tuple((str(column[0]), str(column[1])) for column in connection.description or ())


def _summary(kind: str, columns: Sequence[tuple[str, str]], rows: Sequence[tuple[object, ...]]) -> str:
    verb = _COUNTED.get(kind, "written" if kind in ("CREATE", "COPY") else "")
    if verb and rows and columns and columns[0][0] == "Count":
        return f"{counted(int(str(rows[0][0])), 'row')} {verb}"
    return _DONE.get(kind, "done")


def _nothing() -> Iterator[Sequence[tuple[object, ...]]]:
    return iter(())


def _writes(kind: str, words: Sequence[str]) -> bool:
    match kind:
        case "EXPLAIN":  # EXPLAIN ANALYZE runs what it explains
            return "analyze" in words[1:4] and any(_writes_word(word) for word in words[2:])
        case "COPY":
            return _copies_in(words)
        case _:
            return kind not in _READING and kind not in _READING_TOO


def _writes_word(word: str) -> bool:
    return word in ("insert", "update", "delete", "merge", "create", "truncate", "alter", "drop", "copy")


def _copies_in(words: Sequence[str]) -> bool:
    """COPY t FROM writes, COPY t TO and COPY (select) TO do not: the first of the two words tells."""
    return next((word for word in words if word in ("from", "to")), "from") == "from"
