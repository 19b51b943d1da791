"""A user's statements on the lake: which of them write, under what lock, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unify.engine import errors
from unify.engine import exact as engine_exact
from unify.engine.tokens import parse_table_statement, tokenize, top_level_tokens
from unify.engine.types import exact_cast_sql, parse_type
from unify.errors import Interrupted, QueryError, StoreError, UnifyError
from unify.fs import durable
from unify.fs.durable import private_umask
from unify.lake import ledger
from unify.lake.protocols import Writer
from unify.text import format_count

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


BATCH_ROWS = 2048  # DuckDB's own vector size: a batch is one of its chunks
LOCK_TIMEOUT_S = 60.0  # a publish takes seconds; a shell's open transaction may take for ever

_READ_ONLY_KINDS = frozenset(
    {"SELECT", "EXPLAIN", "SET", "VARIABLE_SET", "PRAGMA", "LOAD", "ATTACH", "DETACH"}
)
_INTERNAL_READ_ONLY_KINDS = frozenset(
    {"EXPORT", "PREPARE", "RELATION", "LOGICAL_PLAN", "EXTENSION", "TRANSACTION"}
)
_KINDS_WITH_ROWS = frozenset({"SELECT", "EXPLAIN", "CALL", "EXECUTE", "PRAGMA", "RELATION", "LOGICAL_PLAN"})
# What is run in a transaction of ours, so that its files are on the disk before it commits.
_TRANSACTIONAL_KINDS = frozenset(
    {"INSERT", "UPDATE", "DELETE", "MERGE_INTO", "COPY", "CREATE", "ALTER", "DROP"}
)
# Words of a select that may see every row before it gives its first; of others, the start costs nothing.
_BLOCKING_WORDS = frozenset(
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
_BEGIN_WORDS = frozenset({"begin", "start"})
_COMMIT_WORDS = frozenset({"commit", "end"})
_COUNT_VERBS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted", "MERGE_INTO": "merged"}
_DONE_TEXTS = {"CREATE": "created", "DROP": "dropped", "ALTER": "altered", "ATTACH": "attached", "SET": "set"}


@dataclass(frozen=True, slots=True)
class LakeStatementResult:
    """What a statement gave.

    ``columns``  (name, DuckDB type) of its rows; None where it has no rows, and ``summary`` says what it did.
    ``batches``  the rows, read once; the statement runs while they are read. Values Python cannot hold
                 exactly (nanoseconds, months, infinite dates) come as DuckDB's own text.
    """

    columns: tuple[tuple[str, str], ...] | None
    summary: str
    batches: Callable[[], Iterator[Sequence[tuple[object, ...]]]]


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """A statement as DuckDB's parser sees it: ``kind`` is its StatementType.

    ``is_blocking``  a select that may take its whole time before its first row.
    """

    sql: str
    kind: str
    words: tuple[str, ...]  # its tokens outside brackets, in lower case, without comments
    is_write: bool
    has_own_transaction: bool = False  # DuckDB makes a transaction of its own out of it
    is_blocking: bool = False


class StatementRunner:
    """Runs a user's statements on a lake; remembers whether a transaction of theirs is open."""

    def __init__(self, lake: Writer) -> None:
        self.lake = lake
        self.in_transaction = False
        self._transaction_began_ns = 0

    def run(self, sql: str, parameters: object = None) -> LakeStatementResult:
        """Run one statement.

        Locks   a statement that writes holds the writers' lock while it runs; BEGIN takes it until
                COMMIT or ROLLBACK, because a transaction that starts reading cannot turn to writing
                once somebody else has committed.
        Raises  QueryError with DuckDB's explanation; StoreError when the lake itself is in trouble.
        """
        statement = self.parse(sql)
        if statement.kind == "TRANSACTION":
            return self._run_transaction_control(statement)
        self._reject_internal_schema(statement)
        if statement.is_write:
            return self._run_write(statement, parameters)
        return (
            self._run_parsed(statement, parameters)
            if self.in_transaction
            else self._run_read(statement, parameters)
        )

    def _run_write(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        if self.in_transaction:
            with private_umask():
                return self._run_parsed(statement, parameters)
        with self.lake.lock(LOCK_TIMEOUT_S), private_umask():
            return self._run_parsed(statement, parameters)

    def _run_read(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        try:
            return self._run_parsed(statement, parameters)
        except StoreError as error:
            if not self.lake.switch_to_catalog_copy(error):
                raise
        return self._run_parsed(statement, parameters)

    def parse(self, sql: str) -> ParsedStatement:
        """What kind of statement ``sql`` is. Raises QueryError."""
        with self._translate_errors():
            kinds = [one.type.name for one in self.lake.connection.extract_statements(sql)]
        if not kinds:
            raise QueryError("there is no statement here")
        acting = [kind for kind in kinds if kind != "TRANSACTION"]  # PIVOT is several, in a transaction
        kind = acting[-1] if acting else "TRANSACTION"
        found = tokenize(sql)
        words = tuple(token.word for _, token in top_level_tokens(found))
        wrapped = len(acting) < len(kinds) and bool(acting)
        gathers = any(token.word in _BLOCKING_WORDS for token in found)
        return ParsedStatement(sql, kind, words, _is_write(kind, words), wrapped, gathers)

    def _run_transaction_control(self, statement: ParsedStatement) -> LakeStatementResult:
        begins = statement.words[0] in _BEGIN_WORDS
        taken = begins and not self.in_transaction and not self.lake.read_only
        if taken:
            self.lake.acquire_lock(LOCK_TIMEOUT_S)
        try:
            if self.in_transaction and statement.words[0] in _COMMIT_WORDS:
                self.lake.sync_files(self._transaction_began_ns)
            self._execute(statement.sql)
        except BaseException:
            if taken:
                self.lake.release_lock()
            if not begins:
                self._roll_back()
                self.end_transaction()
            raise
        if begins:
            self.in_transaction = True
            self._transaction_began_ns = durable.new_files_since_ns()
        else:
            self.end_transaction()
        return LakeStatementResult(None, statement.words[0], _no_batches)

    def end_transaction(self) -> None:
        """The user's transaction is over, however it ended: others may write."""
        if self.in_transaction:
            self.in_transaction = False
            if not self.lake.read_only:
                self.lake.release_lock()

    def _run_parsed(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        if statement.kind == "SELECT":
            return self._run_select(statement, parameters)
        if statement.kind in ("CREATE", "ALTER"):
            return self._run_ddl(statement, parameters)
        if statement.kind not in _KINDS_WITH_ROWS:
            return self._run_without_rows(statement, parameters)
        connection = self._execute(statement.sql, parameters)
        return LakeStatementResult(_result_columns(connection), "", lambda: self._fetch_batches(connection))

    def _run_ddl(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        """CREATE or ALTER; of a table, with its types looked at before they are committed."""
        with self._translate_errors():
            sql = engine_exact.exact_lake_statement(self.lake.connection, statement.sql, parameters)
        if not self.in_transaction or parse_table_statement(sql) is None:
            return self._run_without_rows(replace(statement, sql=sql), parameters)
        outcome = self._run_without_rows(replace(statement, sql=sql), parameters)
        try:
            with self._translate_errors():
                engine_exact.check_table_exact(self.lake.connection, sql)
        except QueryError as error:
            self._roll_back()
            self.end_transaction()
            raise QueryError(f"{error.message}; the transaction was rolled back") from error
        return outcome

    def _run_without_rows(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        """Run a statement without rows to its end: one that writes, in a transaction of its own."""
        if (
            self.in_transaction
            or not statement.is_write
            or statement.has_own_transaction
            or statement.kind not in _TRANSACTIONAL_KINDS
        ):
            return self._execute_to_end(statement, parameters)
        began_ns = durable.new_files_since_ns()
        self._execute("BEGIN")
        try:
            outcome = self._execute_to_end(statement, parameters)
            with self._translate_errors():
                engine_exact.check_table_exact(self.lake.connection, statement.sql)
            self.lake.sync_files(began_ns)
            self._execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            self.lake.remove_orphaned_files(error)
            raise
        return outcome

    def _execute_to_end(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        connection = self._execute(statement.sql, parameters)
        with self._translate_errors():
            return LakeStatementResult(
                None,
                _summary_text(statement.kind, _result_columns(connection), connection.fetchall()),
                _no_batches,
            )

    def _roll_back(self) -> None:
        """A COMMIT that failed has rolled back already, and DuckDB says so."""
        import duckdb

        with suppress(duckdb.Error):
            self.lake.connection.execute("ROLLBACK")

    def _reject_internal_schema(self, statement: ParsedStatement) -> None:
        """Nobody writes into the ledger by hand: what it says is what recovery believes."""
        if statement.is_write and ledger.SCHEMA in (word.strip('"') for word in statement.words):
            raise QueryError(f"{ledger.SCHEMA} is Unify's own; read it as unify.loads")

    def _run_select(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        """Run it in a form whose values Python can hold, which depends on the types of its columns.

        They are known once it runs; then it may have to run again in another form. One that gathers its
        rows first is asked for them before, which costs 4 ms on a table of the lake, and runs once.
        """
        columns = self._describe_columns(statement.sql, parameters) if statement.is_blocking else ()
        connection = None if columns else self._execute(statement.sql, parameters)
        if connection is not None:
            columns = _result_columns(connection)
        exact = _exact_select(statement.sql, columns)
        if connection is None or exact != statement.sql:
            connection = self._execute(exact, parameters)
        running = connection
        return LakeStatementResult(columns, "", lambda: self._fetch_batches(running))

    def _describe_columns(self, sql: str, parameters: object) -> tuple[tuple[str, str], ...]:
        """Names and types of a select's columns; none where something is wrong, which running it tells."""
        try:
            rows = self._execute(f"DESCRIBE {sql}", parameters).fetchall()
        except QueryError:
            return ()
        return tuple((str(row[0]), str(row[1])) for row in rows)

    def _fetch_batches(self, connection: DuckDBPyConnection) -> Iterator[Sequence[tuple[object, ...]]]:
        while True:
            with self._translate_errors():
                rows = connection.fetchmany(BATCH_ROWS)
            if not rows:
                return
            yield rows

    def _execute(self, sql: str, parameters: object = None) -> DuckDBPyConnection:
        with self._translate_errors():
            return self.lake.connection.execute(sql, parameters)

    def _translate_errors(self) -> _StatementErrorTranslator:
        return _StatementErrorTranslator(self.lake)


class _StatementErrorTranslator:
    """Translates what DuckDB raises over a user's statement."""

    def __init__(self, lake: Writer) -> None:
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
        if error is not None and errors.is_internal_error(error):
            self.lake.reopen()
            raise StoreError(
                f"DuckDB failed inside itself over this statement ({errors.clean_message(error)}); the lake was "
                "opened anew, temporary tables and settings are gone"
            ) from error
        if isinstance(error, duckdb.Error):
            translated: UnifyError = errors.translate_statement_error(error, self.lake.path)
            raise translated from error


def _exact_select(sql: str, columns: Sequence[tuple[str, str]]) -> str:
    """``sql`` itself, or a select of what it gives with the casts that Python needs."""
    exact = [exact_cast_sql(f"c{i}", parse_type(kind)) for i, (_, kind) in enumerate(columns)]
    if all(cast == f"c{i}" for i, cast in enumerate(exact)):
        return sql
    names = ", ".join(f"c{i}" for i in range(len(columns)))
    inner = sql.rstrip().rstrip(";")
    return f"SELECT {', '.join(exact)} FROM (\n{inner}\n) AS rows({names})"


def _result_columns(connection: DuckDBPyConnection) -> tuple[tuple[str, str], ...]:
    return tuple((str(column[0]), str(column[1])) for column in connection.description or ())


def _summary_text(kind: str, columns: Sequence[tuple[str, str]], rows: Sequence[tuple[object, ...]]) -> str:
    verb = _COUNT_VERBS.get(kind, "written" if kind in ("CREATE", "COPY") else "")
    if verb and rows and columns and columns[0][0] == "Count":
        return f"{format_count(int(str(rows[0][0])), 'row')} {verb}"
    return _DONE_TEXTS.get(kind, "done")


def _no_batches() -> Iterator[Sequence[tuple[object, ...]]]:
    return iter(())


def _is_write(kind: str, words: Sequence[str]) -> bool:
    match kind:
        case "EXPLAIN":  # EXPLAIN ANALYZE runs what it explains
            return "analyze" in words[1:4] and any(_is_write_word(word) for word in words[2:])
        case "COPY":
            return _is_copy_from(words)
        case _:
            return kind not in _READ_ONLY_KINDS and kind not in _INTERNAL_READ_ONLY_KINDS


def _is_write_word(word: str) -> bool:
    return word in ("insert", "update", "delete", "merge", "create", "truncate", "alter", "drop", "copy")


def _is_copy_from(words: Sequence[str]) -> bool:
    """COPY t FROM writes, COPY t TO and COPY (select) TO do not: the first of the two words tells."""
    return next((word for word in words if word in ("from", "to")), "from") == "from"
