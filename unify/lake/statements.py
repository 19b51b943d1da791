"""A user's statements on the lake: which of them write, under what lock, and what they give back."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, cast

from msgspec.structs import replace

from unify.engine import exact as engine_exact
from unify.engine import sources
from unify.engine.nested import exact_cast_sql
from unify.engine.statements import (
    DEFINITION_WORDS,
    DONE_TEXTS,
    ParsedStatement,
    is_write_word,
    parse_statement,
    run_before_last,
    summary_text,
)
from unify.engine.tokens import (
    identifiers,
    parse_table_statement,
    tokenize,
    versioned_tables,
)
from unify.engine.types import parse_type
from unify.errors import QueryError, StoreError
from unify.fs import durable
from unify.fs.durable import private_umask
from unify.lake.protocols import METADATA, SCHEMA, Definition, RowProjection, Writer
from unify.lake.selects import Batches, LakeStatementResult, SelectRunner, result_columns

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation


LOCK_TIMEOUT_S = 60.0  # a publish takes seconds; a shell's open transaction may take for ever

# What is run in a transaction of ours, so that its files are on the disk before it commits.
_TRANSACTIONAL_KINDS = frozenset(
    {"INSERT", "UPDATE", "DELETE", "MERGE_INTO", "COPY", "CREATE", "ALTER", "DROP"}
)
_INTERNAL_NAME = re.compile(rf"(?i)(?<!\w)(?:{SCHEMA}|{METADATA})(?!\w)")  # also within a text
_STREAM_ADVICE = "read it into a table first: create temp table t as from read_csv(…)"
_TWICE_READING_WORDS = frozenset({"summarize", "pivot", "pivot_wider"})
_BEGIN_WORDS = frozenset({"begin", "start"})
_COMMIT_WORDS = frozenset({"commit", "end"})


class StatementRunner:
    """Runs a user's statements on a lake and tracks the transaction that they open."""

    def __init__(self, lake: Writer) -> None:
        self.lake = lake
        self.transaction_thread: int | None = None  # the thread whose BEGIN is open
        self.is_read_only_transaction = False
        self.definition_version = 0  # changes when views or macros of this session may have changed
        self.has_own_definitions = False  # whether this session made or attached a view or macro
        self.has_own_path = False  # whether this session changed a setting: USE is one
        self.definition_cache: tuple[int, Sequence[Definition]] | None = None
        self._transaction_began_ns = 0
        self._changed_names: set[str] = set()  # identifiers in what the transaction wrote, in lower case
        self._transaction_hooks: list[Callable[[bool], None]] = []
        self.script_stream: tuple[int, int] | None = None  # standard input, if it is the script
        self._read_streams: set[tuple[int, int]] = set()  # open streams of the process that were read
        # told each pipe of a file system that a statement reads: opening it waits for its writer
        self.on_named_pipe: Callable[[str], None] = lambda _name: None
        self.selects = SelectRunner(lake)

    @property
    def in_transaction(self) -> bool:
        return self.transaction_thread is not None

    @property
    def has_renamed(self) -> bool:
        """Whether the open transaction may have renamed a table."""
        return self.in_transaction and {"alter", "rename"} <= self._changed_names

    def at_transaction_end(self, hook: Callable[[bool], None]) -> None:
        """Call ``hook`` once, with whether it was committed, when the open transaction ends."""
        self._transaction_hooks.append(hook)

    def run(
        self,
        sql: str,
        parameters: object = None,
        definitions: Sequence[str] = (),
        projection: RowProjection | None = None,
    ) -> LakeStatementResult:
        """Run one statement.

        ``definitions``  the SQL of the views and macros that the statement uses.
        ``projection``   the form that the rows of a SELECT may have; see LakeStatementResult.
        Locks   a statement that writes holds the writers' lock while it runs; BEGIN takes it until
                COMMIT or ROLLBACK, because a transaction that starts with a read cannot write
                after another commit.
        Raises  QueryError with DuckDB's explanation; StoreError when the lake itself is in trouble.
        """
        statement = self.parse(sql, definitions)
        self._track_session_changes(statement)
        if statement.kind == "TRANSACTION":
            return self._run_transaction_control(statement)
        self._reject_internal_schema(statement)
        if self.in_transaction:
            self._refuse_earlier_version(statement, definitions)
        if not statement.is_write:
            return self._run_read(statement, parameters, projection)
        if self.in_transaction:
            with private_umask():
                return self._run_parsed(statement, parameters)
        with self.lake.lock(LOCK_TIMEOUT_S), private_umask():
            return self._run_parsed(statement, parameters)

    def _run_read(
        self, statement: ParsedStatement, parameters: object, projection: RowProjection | None
    ) -> LakeStatementResult:
        try:
            return self._run_parsed(statement, parameters, projection)
        except StoreError as error:
            if self.in_transaction or not self.lake.switch_to_catalog_copy(error):
                raise
        return self._run_parsed(statement, parameters, projection)

    def parse(self, sql: str, definitions: Sequence[str] = ()) -> ParsedStatement:
        """The kind of the statement ``sql`` and what it needs to run. Raises QueryError."""
        with self.selects.translate_errors():
            kinds = [one.type.name for one in self.lake.connection.extract_statements(sql)]
        return parse_statement(sql, kinds, definitions, has_own_definitions=self.has_own_definitions)

    @contextmanager
    def repeatable(
        self, sql: str, parameters: object, definitions: Sequence[str], *, spool: bool = False
    ) -> Iterator[tuple[str, object]]:
        """A query with the rows of ``sql``, and its parameters, that may run several times in the block.

        The rows of a source that can be read once only are in a temporary table meanwhile, and so are all
        rows with ``spool``.
        """
        if not spool and not sources.reads_once(sql, definitions) and not self.parse(sql).is_compound:
            yield sql, parameters
            return
        table = self.selects.spool(sql, parameters)
        try:
            yield f"SELECT * FROM {table}", None
        finally:
            self.selects.drop(table)

    def _track_session_changes(self, statement: ParsedStatement) -> None:
        """Note what may change the views, macros and search path that this session sees."""
        if statement.kind in ("CREATE", "DROP", "ALTER", "ATTACH", "DETACH", "TRANSACTION"):
            self.definition_version += 1
            self.has_own_definitions |= statement.kind == "ATTACH" or bool(
                DEFINITION_WORDS.intersection(statement.words[:5])
            )
        self.has_own_path |= statement.kind == "SET"

    def _run_transaction_control(self, statement: ParsedStatement) -> LakeStatementResult:
        begins = statement.words[0] in _BEGIN_WORDS
        taken = begins and not self.in_transaction and not self.lake.read_only
        if taken:
            self.lake.acquire_lock(LOCK_TIMEOUT_S)
        try:
            if self.in_transaction and statement.words[0] in _COMMIT_WORDS:
                self._refuse_commit_after_failure()
                self.lake.sync_files(self._transaction_began_ns)
            self.selects.execute(statement.sql)
        except BaseException:
            if taken:
                self.lake.release_lock()
            if not begins:
                self._roll_back()
                self.end_transaction()
            raise
        if begins:
            self.transaction_thread = threading.get_ident()
            self.is_read_only_transaction = "only" in statement.words
            self._changed_names.clear()
            self._transaction_began_ns = durable.new_files_since_ns()
        else:
            self.end_transaction(committed=statement.words[0] in _COMMIT_WORDS)
        return LakeStatementResult(None, statement.words[0], _no_batches)

    def _refuse_commit_after_failure(self) -> None:
        """Raise QueryError in an aborted transaction, which COMMIT would roll back and report success."""
        from unify.engine import duckdb

        try:
            self.lake.connection.execute("SELECT 1")
        except duckdb.Error as error:
            raise QueryError("a statement of the transaction failed, so it was rolled back") from error

    def end_transaction(self, *, committed: bool = False) -> None:
        """Record the end of the user's transaction and release its lock."""
        if self.in_transaction:
            self.transaction_thread = None
            self.is_read_only_transaction = False
            if not self.lake.read_only:
                self.lake.release_lock()
            hooks, self._transaction_hooks = self._transaction_hooks, []
            for hook in hooks:
                hook(committed)

    def _run_parsed(
        self, statement: ParsedStatement, parameters: object, projection: RowProjection | None = None
    ) -> LakeStatementResult:
        if statement.kind == "SELECT":
            return self.selects.run(
                statement.sql,
                parameters,
                projection,
                reads_once=statement.reads_once or statement.is_compound,
                runs_once=statement.runs_once,
            )
        if statement.kind in ("CREATE", "ALTER"):
            run = self._run_create_as if statement.reads_once or statement.is_compound else self._run_ddl
            return run(statement, parameters)
        if statement.kind == "EXECUTE" and self._is_exact_execute(statement):
            return self.selects.stream(statement.sql, parameters)
        if statement.kind in ("EXPLAIN", "RELATION", "LOGICAL_PLAN"):
            return self.selects.stream(statement.sql, parameters)
        return self._run_to_end(statement, parameters)

    def _run_create_as(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        """Run CREATE TABLE … AS over rows that can be read once only."""
        table = parse_table_statement(statement.sql)
        if table is None or table.query is None:
            return self._run_ddl(statement, parameters)
        begin, end = table.query
        spool = self.selects.spool(statement.sql[begin:end], parameters)
        try:
            sql = f"{statement.sql[:begin]} SELECT * FROM {spool} {statement.sql[end:]}"
            return self._run_ddl(replace(statement, sql=sql), None)
        finally:
            self.selects.drop(spool)

    def _run_ddl(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        """Run CREATE or ALTER. The types of a table are checked before they are committed."""
        with self.selects.translate_errors():
            sql = engine_exact.exact_lake_statement(self.lake.connection, statement.sql, parameters)
        outcome = self._run_to_end(replace(statement, sql=sql), parameters)
        if self.in_transaction:
            try:
                with self.selects.translate_errors():
                    engine_exact.check_table_exact(self.lake.connection, sql)
            except QueryError as error:
                self._roll_back()
                self.end_transaction()
                raise QueryError(f"{error.message}; the transaction was rolled back") from error
        return outcome

    def _run_to_end(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        """Run a statement to its end: one that writes, in a transaction of its own."""
        run = self._fetch_returned_rows if statement.returns_rows else self._fetch_summary
        if self.in_transaction or not statement.is_write or statement.kind not in _TRANSACTIONAL_KINDS:
            return run(statement, parameters)
        began_ns = durable.new_files_since_ns()
        self.selects.execute("BEGIN")
        try:
            outcome = run(statement, parameters)
            with self.selects.translate_errors():
                engine_exact.check_table_exact(self.lake.connection, statement.sql)
            self.lake.sync_files(began_ns)
            self.selects.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            self.lake.remove_orphaned_files(error, began_ns)
            raise
        return outcome

    def _fetch_summary(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        connection = self.selects.execute(statement.sql, parameters)
        with self.selects.translate_errors():
            columns, rows = result_columns(connection), connection.fetchall()
        affected = int(rows[0][0]) if rows and columns and columns[0][0] == "Count" else None
        summary = summary_text(statement.kind, columns, rows)
        return LakeStatementResult(None, summary, _no_batches, affected=affected)

    def _fetch_returned_rows(self, statement: ParsedStatement, parameters: object) -> LakeStatementResult:
        """Run a statement that cannot be part of a SELECT; its rows are kept in memory."""
        with self.selects.translate_errors():
            last = run_before_last(self.lake.connection, statement.sql)
            found = self.lake.connection.sql(last, params=parameters)
            relation = cast("DuckDBPyRelation | None", found)  # None, which its stub leaves out: no rows
            if relation is None:
                return LakeStatementResult(None, DONE_TEXTS.get(statement.kind, "done"), _no_batches)
            types = [str(type) for type in relation.types]
            casts = [exact_cast_sql(f"#{number}", parse_type(type)) for number, type in enumerate(types, 1)]
            exact = relation.project(", ".join(casts))
        columns = tuple(zip(relation.columns, types, strict=True))
        return LakeStatementResult(columns, "", lambda: self.selects.fetch_batches(exact))

    def _roll_back(self) -> None:
        """Roll back. After a COMMIT that failed there is nothing to roll back, which DuckDB reports."""
        from unify.engine import duckdb

        with suppress(duckdb.Error):
            self.lake.connection.execute("ROLLBACK")

    def _reject_internal_schema(self, statement: ParsedStatement) -> None:
        """Refuse to write to the ledger or the catalog: recovery relies on them.

        Also refuse to make the ledger's schema the current one, where names need no schema, and to prepare
        such a statement.
        """
        words = {word.strip('"').lower() for word in statement.words}
        if statement.is_write or (statement.kind == "PREPARE" and any(map(is_write_word, words))):
            internal = {SCHEMA, METADATA} & words
        else:
            internal = set(_INTERNAL_NAME.findall(statement.sql)) if statement.kind == "SET" else set()
        if internal:
            raise QueryError(f"{min(internal)} is Unify's own; read it as unify.loads")
        if statement.words[:2] == ("drop", "schema") and "main" in words:  # the lake cannot be opened without
            raise QueryError(
                "schema main is the default schema and cannot be dropped; drop its tables instead"
            )

    def _refuse_earlier_version(self, statement: ParsedStatement, definitions: Sequence[str]) -> None:
        """Refuse AT for a table that the transaction has changed: DuckLake applies the changes to it, too."""
        for sql in (statement.sql, *definitions):
            for table in versioned_tables(sql):
                if table in self._changed_names:
                    raise QueryError(
                        f"this transaction has changed {table}; its earlier versions can be read after "
                        "commit or rollback"
                    )
        if statement.is_write:
            self._changed_names |= identifiers(statement.sql)

    def claim_sources(
        self, sql: str, definitions: Sequence[str], parameters: Mapping[str, object] | None = None
    ) -> None:
        """Refuse a statement that would read a pipe twice, of which DuckDB gives fewer rows, or none.

        Refuses addresses of other machines, too: the connections say which of them are read.
        """
        if remote := sources.remote_names(sql, definitions):
            address = remote[0].partition("?")[0]
            raise QueryError(
                f"{address}: SQL reads and writes no addresses; add a connection (connect s3, connect http) "
                "and select from its tables, or use import and export"
            )
        named = sources.stream_names(sql, definitions, (parameters or {}).values())
        self._refuse_script_stream(named)
        streams = [name for name in named if sources.is_pipe(name)]
        if not streams:
            return
        statement, reader = self.parse(sql, definitions), ""
        if statement.kind == "PREPARE" or DEFINITION_WORDS.intersection(statement.words[:5]):
            reader = "a view, macro or prepared statement reads it when it is created, too"
        elif statement.is_compound or statement.words[0] in _TWICE_READING_WORDS:
            reader = f"{statement.words[0]} reads it twice"
        if reader:
            raise QueryError(f"{streams[0]} is a pipe, and {reader}; {_STREAM_ADVICE}")
        self.claim_streams(streams)

    def claim_streams(self, names: Sequence[str]) -> None:
        """Record that a statement reads open streams. Raises QueryError if an earlier one has read them."""
        self._refuse_script_stream(names)
        ids = {found for name in names if (found := sources.open_stream_id(name)) is not None}
        if ids & self._read_streams:
            raise QueryError(f"an earlier statement has read {names[0]} to its end; {_STREAM_ADVICE}")
        self._read_streams |= ids
        for name in names:
            if sources.is_named_pipe(name):
                self.on_named_pipe(name)

    def _refuse_script_stream(self, names: Sequence[str]) -> None:
        for name in names:
            if self.script_stream is not None and sources.open_stream_id(name) == self.script_stream:
                raise QueryError(
                    f"{name} is the script itself, which has been read to its end; give the script with "
                    "-f FILE or -c, and the data on standard input"
                )

    def _is_exact_execute(self, statement: ParsedStatement) -> bool:
        """Whether Python can hold every value of EXECUTE's rows, so that they can be streamed."""
        name = tokenize(statement.sql)[1].word
        rows = self.selects.execute(
            "SELECT result_types FROM duckdb_prepared_statements() WHERE lower(name) = lower(?)",
            [name[1:-1].replace('""', '"') if name.startswith('"') else name],
        ).fetchall()
        return all(exact_cast_sql("c", parse_type(type)) == "c" for (types,) in rows for type in types or ())


def _no_batches() -> Batches:
    return iter(())
