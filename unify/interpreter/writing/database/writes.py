"""Runs statements that write to databases: what is written is checked first, and is one transaction there.

A database with ``writable: true`` takes what a statement says, without a plan to approve: a transaction is
all or nothing. What deletes rows that the statement does not name one by one is confirmed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from unify.adapters.table_writes import DatabaseWriter, WritableTable, WriteCounts
from unify.errors import ConfigError, QueryError, UnknownName, UsageError
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.interpreter.results import Message, Result, Watcher, plan_rows
from unify.interpreter.sources.source_tables import SourceTables
from unify.interpreter.writing.database import statements
from unify.interpreter.writing.database.copies import StoredCopies
from unify.interpreter.writing.database.history import StatementHistory
from unify.interpreter.writing.database.merges import statement_of_merge
from unify.interpreter.writing.database.plans import DatabaseWritePlan, DatabaseWritePlanner
from unify.interpreter.writing.database.report import counts_text, plan_text
from unify.interpreter.writing.database.rows import collect_rows
from unify.interpreter.writing.database.statements import RowsStatement
from unify.language import commands
from unify.language.sql import tables
from unify.language.sql.analysis import StatementKind, analyse
from unify.language.sql.merge_statement import MergeStatement, parse_merge_statement
from unify.language.sql.refs import TableRef
from unify.language.sql.table_changes import TableChange, parse_table_change
from unify.language.sql.write_statement import WriteStatement, parse_write_statement
from unify.language.table_names import split_table_name
from unify.model import TableName
from unify.text import format_count

MIRROR_SHARE = 10  # a mirror that deletes more than one row in so many is refused without --max-deletes


class DatabaseWriteOptions(Struct, frozen=True):
    """``--yes``, ``--max-writes``, ``--max-deletes``; None: no limit was given."""

    yes: bool = False
    max_writes: int | None = None
    max_deletes: int | None = None


class DatabaseWrites:
    """The statements of one session that write to databases."""

    def __init__(
        self,
        query: QueryRunner,
        sources: SourceTables,
        copies: StoredCopies,
        watcher: Watcher,
        options: DatabaseWriteOptions,
        *,
        history: StatementHistory,
    ) -> None:
        self._query = query
        self._sources = sources
        self._connections = query.connections
        self._planner = DatabaseWritePlanner(query.connections, sources)
        self._copies = copies
        self._watcher = watcher
        self._options = options
        self._history = history

    def run_statement(self, sql: str, max_age: MaxAge) -> Result | None:
        """Run or explain a statement that writes a table of a database; None for any other one.

        Raises:
            ConfigError: the connection is not writable.
            QueryError: something cannot be written; nothing was.
            UsageError: a script deletes more than it may.
        """
        is_explained = analyse(sql).kind is StatementKind.EXPLAIN
        text = tables.unwrap_statement(sql) if is_explained else sql
        if (change := parse_table_change(text)) is not None:
            name = self._find_name(change.target)
            return None if name is None else self._run_change(change, name, max_age, explain=is_explained)
        if not any(self._find_name(ref) for ref in analyse(text).tables if ref.is_written):
            return None
        if (merge := parse_merge_statement(text)) is not None:
            name = self._find_name(merge.target)
            return None if name is None else self._run_merge(merge, name, max_age, explain=is_explained)
        statement = parse_write_statement(text)
        name = self._find_name(statement.target) if statement is not None else None
        if statement is None or name is None:
            return None
        return self._run_rows_statement(statement, name, max_age, explain=is_explained)

    def export(self, command: commands.ExportRows, max_age: MaxAge, *, explain: bool = False) -> Result:
        """Write the rows of a SELECT to a table, which is created if it is missing."""
        name = command.table
        with self._open(name) as (writer, target):
            statement = statements.statement_of_export(command, exists=target is not None)
            return self._run_rows(writer, target, statement, max_age, explain=explain)

    def note_change(self, name: TableName, *, only_new_rows: bool) -> None:
        """Note that a table was changed, so that its stored rows are outdated."""
        self._copies.note_change(name, only_new_rows=only_new_rows)

    # Statements

    def _run_rows_statement(
        self, statement: WriteStatement, name: TableName, max_age: MaxAge, *, explain: bool
    ) -> Result:
        if statement.returning:
            raise QueryError(
                f"{name}: returning is for APIs; read the rows after the statement: select … from {name}"
            )
        with self._open(name) as (writer, target):
            if statement.operation == "insert":
                rows = statements.statement_of_insert(statement, name)
                return self._run_rows(writer, target, rows, max_age, explain=explain)
            found = self._require(target, name)
            key = self._planner.key_columns(found, (), name)
            rows = statements.statement_of_choice(statement, name, found, key)
            with self._sources.read_from_source(name), _without_position():
                return self._run_rows(writer, found, rows, max_age, explain=explain)

    def _run_change(self, change: TableChange, name: TableName, max_age: MaxAge, *, explain: bool) -> Result:
        with self._open(name, is_new=change.kind == "create") as (writer, target):
            if change.kind == "create":
                return self._create(writer, target, change, name, max_age, explain=explain)
            if target is None and change.if_exists:
                return Message(f"{name} does not exist; nothing was dropped")
            found = self._require(target, name)
            if explain:
                return plan_rows(f"{change.kind} {name}")
            if change.kind == "drop":
                self._confirm(f"Drop {name} with all its rows?", f"drop table {name}")
                with self._history.record(name, "drop"):
                    writer.drop(found)
                self._sources.catalog.forget(name.schema)
                return Message(f"{name} was dropped")
            self._confirm(f"Delete all rows of {name}?", f"truncate {name}")
            with self._history.record(name, "truncate") as record:
                deleted = writer.truncate(found)
                record.rows, record.counts = deleted, WriteCounts(deleted=deleted)
            self._copies.note_change(name, only_new_rows=False)
            return Message(f"{name}: {format_count(deleted, 'row')} deleted", deleted)

    def _create(
        self,
        writer: DatabaseWriter,
        target: WritableTable | None,
        change: TableChange,
        name: TableName,
        max_age: MaxAge,
        *,
        explain: bool,
    ) -> Result:
        if not change.source:
            raise QueryError(
                f"{name}: a table of a database is created with its rows, create table {name} as select …; "
                "for another definition use the database's own tools"
            )
        if target is not None and change.if_exists:
            return Message(f"{name} exists already; nothing was written")
        if target is not None and not change.or_replace:
            raise QueryError(f"{name} exists already; create or replace table {name} as … takes its place")
        statement = statements.statement_of_creation(change, name)
        return self._run_rows(writer, target, statement, max_age, explain=explain)

    def _run_merge(
        self, statement: MergeStatement, name: TableName, max_age: MaxAge, *, explain: bool
    ) -> Result:
        with self._open(name) as (writer, target):
            rows = statement_of_merge(statement, name)
            return self._run_rows(writer, self._require(target, name), rows, max_age, explain=explain)

    # Rows

    def _run_rows(
        self,
        writer: DatabaseWriter,
        target: WritableTable | None,
        statement: RowsStatement,
        max_age: MaxAge,
        *,
        explain: bool,
    ) -> Result:
        name = statement.name
        if target is None and statement.creation == "never":
            self._require(target, name)
        limit = self._options.max_writes
        bound = None if limit is None else limit + 1
        with collect_rows(self._query, statement.source, max_age, limit=bound) as rows:
            if limit is not None and rows.count > limit:
                raise QueryError(
                    f"{name}: the statement writes more than {format_count(limit, 'row')}; nothing was "
                    "written. Allow more with --max-writes"
                )
            plan = self._planner.plan(writer, target, statement, rows)
            if explain:
                return plan_rows(plan_text(name, plan.write, writer.statements(plan.write)))
            return self._write(writer, plan, name)

    def _write(self, writer: DatabaseWriter, plan: DatabaseWritePlan, name: TableName) -> Result:
        write = plan.write
        if write.must_match and not write.row_count:
            return Message(f"{name}: no rows to write", 0)
        if write.operation == "mirror" and not write.row_count:
            return Message(
                f"{name}: the SELECT has no rows; a mirror of none deletes nothing",
                0,
            )
        if write.operation == "replace" and write.target.exists and not write.row_count:
            self._confirm(f"The SELECT has no rows. Delete all rows of {name}?", f"truncate {name}")
        if write.operation == "delete":
            self._confirm_deletes(name, write.row_count, write.row_count, is_mirror=False)
        mode = write.operation if write.target.exists else "create"
        with self._history.record(name, mode, write.row_count) as record:

            def confirm(count: int, total: int) -> None:
                record.is_sent = False
                self._confirm_deletes(name, count, total, is_mirror=True)
                record.is_sent = True

            counts = record.counts = writer.write(write, plan.values, plan.rows, confirm)
        if not write.target.exists:
            self._sources.catalog.forget(name.schema)
        self._copies.note_change(name, only_new_rows=write.operation == "insert" and write.target.exists)
        changed = counts.inserted + counts.updated + counts.deleted
        return Message(counts_text(name, write, counts), changed)

    # Targets

    @contextmanager
    def _open(
        self, name: TableName, *, is_new: bool = False
    ) -> Iterator[tuple[DatabaseWriter, WritableTable | None]]:
        """Yield the writer of a connection and the table, if it exists. Raises ConfigError, QueryError."""
        connection = self._connections.connection(name.schema)
        if not connection.writable:
            raise ConfigError(
                f"{connection.location('writable')}: {connection.name} is read-only; writable: true allows "
                f"statements to change it. {_alternative(name, is_new=is_new)}"
            )
        if self._query.lake.in_transaction:
            raise QueryError(
                f"cannot write to {name} inside a transaction of the lake, because the database commits by "
                "itself; commit or roll back first"
            )
        with self._sources.sources.use(name.schema) as (adapter, duck):
            self._sources.sources.in_use.add(adapter.connection)
            with adapter.open_writer(duck) as writer:
                yield writer, writer.find_target(name.table)

    def _find_name(self, ref: TableRef) -> TableName | None:
        named = ref.catalog or ref.schema
        if not named or not self._connections.is_relational(named):
            return None
        return self._sources.name_of(ref)

    def _require(self, target: WritableTable | None, name: TableName) -> WritableTable:
        if target is None:
            self._sources.find(name)  # raises, with the nearest table
            raise UnknownName(f"{name} does not exist")
        return target

    # Confirmation

    def _confirm_deletes(self, name: TableName, count: int, total: int, *, is_mirror: bool) -> None:
        if not count:
            return
        limit = self._options.max_deletes
        is_script = self._watcher.user_prompt() is None
        too_many = is_mirror and count * MIRROR_SHARE > total
        if limit is not None and count <= limit:
            return
        if limit is not None or is_script or too_many:
            of_all = f" of {total:,}" if is_mirror else ""
            raise UsageError(
                f"{name}: the statement deletes {format_count(count, 'row')}{of_all}; nothing was written. "
                f"Allow it with --max-deletes {count}"
            )
        self._confirm(f"Delete {format_count(count, 'row')} of {name}?", f"--max-deletes {count}")

    def _confirm(self, question: str, statement: str) -> None:
        if self._options.yes:
            return
        answer = self._watcher.ask_user(f"{question} [y/N] ")
        if answer is None:
            raise UsageError(f"{question} Without a terminal, --yes is the answer ({statement})")
        if answer.strip().lower() not in ("y", "yes"):
            raise QueryError("nothing was written")


@contextmanager
def _without_position() -> Iterator[None]:
    """Leave out the position in a SELECT that the user has not written."""
    try:
        yield
    except QueryError as error:
        error.message = error.message.partition("\nLINE ")[0]
        raise


def _alternative(name: TableName, *, is_new: bool) -> str:
    """Return what works on a source that is not writable."""
    try:
        copy = split_table_name(name.table)[1]
    except ValueError:
        copy = name.table
    if is_new:
        return f"Or create it in the lake: create table {copy} …"
    return f"Or work on a copy: create table {copy} as select * from {name}"
