"""MySQLWriter: writes by INSERT of many rows, on a connection of its own, with PyMySQL.

Not by LOAD DATA LOCAL: the server could ask for any file of this machine then, and it stores values that do
not fit with a warning. The session is strict: MySQL refuses what it would otherwise change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from unify.adapters.database.columns import DatabaseTable
from unify.adapters.database.error_messages import server_error
from unify.adapters.database.mysql.dialect import quote_mysql_text
from unify.adapters.database.mysql.targets import (
    MAX_NAME_CHARS,
    MySQLColumnRules,
    literal_sql,
    new_column,
    special_problems,
    target_table,
)
from unify.adapters.database.mysql.types import quote_mysql
from unify.adapters.database.sql_sections import read_sections
from unify.adapters.database.writing.session_writer import SessionWriter
from unify.adapters.database.writing.statements import OLD_PREFIX, StatementBuilder
from unify.adapters.relation import split_table_name
from unify.adapters.table_writes import (
    ConfirmDeletes,
    RowFetcher,
    TableWrite,
    ValueConversion,
    WritableColumn,
    WritableTable,
    WriteCounts,
)
from unify.engine.types import parse_type
from unify.errors import QueryError, ResponseLost, SourceError, UnifyError
from unify.model import Column

if TYPE_CHECKING:
    from pymysql.connections import Connection

MAX_STATEMENT_CHARS = 1_000_000  # of one INSERT; longer ones are not faster
_STATEMENTS = "mysql/targets.sql"
_AT_ROW = re.compile(r"(?i)\bat row (\d+)")
_LOST_CODES = frozenset([2006, 2013, 2014, 2055, 1053, 1927, 4031])
_SESSION = (
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO,"
    "NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', time_zone = '+00:00'"
)
_LONG_TYPES = (
    "text",
    "tinytext",
    "mediumtext",
    "longtext",
    "json",
    "blob",
    "tinyblob",
    "mediumblob",
    "longblob",
)


class MySQLBuilder(StatementBuilder):
    """MySQL's statements. The key of the staged rows has an index, if its types can have one."""

    def quote(self, name: str) -> str:
        return quote_mysql(name)

    def same_value(self, column: WritableColumn, one: str, other: str) -> str:
        return f"{one} <=> {other}"

    def create_staged(self, write: TableWrite) -> str:
        keys = [column for column in write.columns if column.name in write.key]
        has_index = keys and not any(one.source_type.startswith(_LONG_TYPES) for one in keys)
        index = f" (INDEX ({self.names(keys)}))" if has_index else ""
        old = [f"{self.quote(one.name)} AS {self.quote(OLD_PREFIX + one.name)}" for one in write.compared]
        columns = ", ".join([self.names(write.columns), *old])
        source = f"SELECT {columns} FROM {write.target.sql_name} LIMIT 0"
        return f"CREATE TEMPORARY TABLE {self.staged}{index} ENGINE=InnoDB AS {source}"

    def drop_staged(self) -> str:
        return f"DROP TEMPORARY TABLE {self.staged}"

    def create_table(self, target: WritableTable, sql_name: str) -> str:
        return f"{super().create_table(target, sql_name)} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"

    def update_matching(self, write: TableWrite) -> str:
        assigned = ", ".join(f"t.{self.quote(one.name)} = r.{self.quote(one.name)}" for one in write.changed)
        joined = f"{write.target.sql_name} AS t JOIN {self.staged} AS r ON {self.same_row(write)}"
        return f"UPDATE {joined} SET {assigned}"

    def delete_matching(self, write: TableWrite) -> str:
        joined = f"{write.target.sql_name} AS t JOIN {self.staged} AS r ON {self.same_row(write)}"
        return f"DELETE t FROM {joined}"

    def delete_gone(self, write: TableWrite) -> str:
        return f"DELETE t FROM {self._with_gone(write)} WHERE r.{self.quote(write.key[0])} IS NULL"

    def count_gone(self, write: TableWrite) -> str:
        is_gone = f"CASE WHEN r.{self.quote(write.key[0])} IS NULL THEN 1 END"
        return f"SELECT count({is_gone}), count(*) FROM {self._with_gone(write)}"

    def _with_gone(self, write: TableWrite) -> str:
        return f"{write.target.sql_name} AS t LEFT JOIN {self.staged} AS r ON {self.same_key(write)}"


class MySQLWriter(SessionWriter["Connection[Any]"]):
    """Writes tables of one server.

    ``parameters``  of pymysql.connect. ``mark``: starts each statement, so that it can be cancelled.
    ``find_table``  returns a table as it is read. ``first_schema``: of tables without a schema.
    """

    builder: MySQLBuilder

    def __init__(
        self,
        connection: str,
        parameters: Mapping[str, Any],
        mark: str,
        find_table: Callable[[str], DatabaseTable | None],
        first_schema: str,
    ) -> None:
        super().__init__(connection, find_table)
        self.builder = MySQLBuilder()
        self._parameters = parameters
        self._mark = mark
        self._first_schema = first_schema
        self._sent_rows = 0  # of the table that is loaded, before the statement that runs

    def close(self) -> None:
        with suppress(Exception):  # the server has closed it
            super().close()

    def read_target(self, found: DatabaseTable) -> WritableTable:
        schema, name = split_table_name(found.name)
        place = (schema or self._first_schema, name)
        with self._translate_errors():
            [(kind, engine, transactions)] = self._fetch("table", place)
            rules = [MySQLColumnRules(*row) for row in self._fetch("columns", place)]
            indexes: dict[str, list[str]] = {}
            for index, column in self._fetch("keys", place):
                indexes.setdefault(index, []).append(column)
        if kind != "BASE TABLE":
            raise QueryError(f"{self.connection}.{found.name} is a view; write the table behind it")
        if transactions != "YES":
            raise QueryError(
                f"{self.connection}.{found.name} has the engine {engine}, which has no transactions: a write "
                "that fails would leave a part of its rows. Change it: alter table … engine=InnoDB"
            )
        return target_table(found, rules, [frozenset(names) for names in indexes.values()])

    def plan_target(self, table: str, columns: Sequence[Column], key: Sequence[str]) -> WritableTable:
        schema, name = split_table_name(table)
        if len(name) > MAX_NAME_CHARS:
            raise QueryError(f"{self.connection}.{table}: MySQL's names have at most 64 characters")
        made = [new_column(one.name, parse_type(one.type), is_key=one.name in key) for one in columns]
        sql_name = f"{quote_mysql(schema or self._first_schema)}.{quote_mysql(name)}"
        unique = (frozenset(key),) if key else ()
        return WritableTable(table, sql_name, tuple(made), tuple(key), unique, exists=False)

    def convert(self, value: str, type: str, column: WritableColumn) -> ValueConversion:
        converted = super().convert(value, type, column)
        special = special_problems(converted.value, column)
        return ValueConversion(converted.value, (*converted.problems, *special))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._translate_errors():
            self.execute("START TRANSACTION")
            try:
                yield
                self._commit()
            except BaseException as error:
                self._abandon(error)
                raise

    def execute(self, sql: str) -> int:
        self._sent_rows = 0
        return self._run(sql)

    def fetch_numbers(self, sql: str) -> Sequence[int]:
        with self._open().cursor() as cursor:
            cursor.execute(f"{self._mark} {sql}")
            return [int(value) for value in cursor.fetchone() or ()]

    def write(
        self, write: TableWrite, values: Sequence[str], rows: RowFetcher, confirm_deletes: ConfirmDeletes
    ) -> WriteCounts:
        try:
            return super().write(write, values, rows, confirm_deletes)
        finally:
            self.close()  # and its temporary table

    def create(self, write: TableWrite, values: Sequence[str], rows: RowFetcher) -> int:
        """Load a new table under another name: statements that define tables commit by themselves.

        One that a killed process has left is dropped by the next creation, which the lock lets be alone.
        """
        new, old = self.new_name(write.target), self._hidden_name(write.target, "old")
        with self._translate_errors():
            if self.fetch_numbers(f"SELECT GET_LOCK('{_digest(new)}', 0)") != [1]:
                raise QueryError(f"{self.connection}.{write.target.name} is being created by another process")
            self.execute(f"DROP TABLE IF EXISTS {new}, {old}")
            self.execute(self.builder.create_table(write.target, new))
            try:
                with self.transaction():
                    count = self.load(new, write, values, rows)
                moved = f"{write.target.sql_name} TO {old}, " if write.target.replaces else ""
                self.execute(f"RENAME TABLE {moved}{new} TO {write.target.sql_name}")
            except BaseException:
                with suppress(Exception):
                    self.execute(f"DROP TABLE IF EXISTS {new}")
                raise
            if write.target.replaces:
                self.execute(f"DROP TABLE {old}")
        return count

    def count_cascades(self, target: WritableTable) -> int:
        schema, name = split_table_name(target.name)
        return self.fetch_numbers(
            "SELECT count(*) FROM information_schema.referential_constraints "
            f"WHERE unique_constraint_schema = {quote_mysql_text(schema or self._first_schema)} "
            f"AND referenced_table_name = {quote_mysql_text(name)} AND table_name <> referenced_table_name "
            "AND delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT')"
        )[0]

    def load_rows(
        self,
        sql_name: str,
        names: Sequence[str],
        columns: Sequence[WritableColumn],
        values: Sequence[str],
        rows: RowFetcher,
    ) -> int:
        literals = [literal_sql(value, one.type) for value, one in zip(values, columns, strict=True)]
        line = "'(' || " + " || ',' || ".join(literals) + " || ')'"
        start = f"{self.load_text(sql_name, names)} "
        [packet] = self.fetch_numbers("SELECT @@max_allowed_packet")
        longest = min(MAX_STATEMENT_CHARS, packet // 4 - 10_000)  # a character has at most 4 bytes
        self._sent_rows, batch, size = 0, list[str](), 0
        for fetched in rows.fetch([line]):
            for (text,) in fetched:
                row = str(text)
                if batch and size + len(row) > longest:
                    self._send(start, batch)
                    batch, size = [], 0
                batch.append(row)
                size += len(row) + 1
                if len(row) * 4 + 10_000 > packet and len(row.encode()) + 10_000 > packet:
                    raise QueryError(
                        f"{self.connection}: row {self._sent_rows + len(batch)} has more bytes than the "
                        f"server accepts (max_allowed_packet = {packet:,}); nothing was written"
                    )
        if batch:
            self._send(start, batch)
        return self._sent_rows

    def load_text(self, sql_name: str, names: Sequence[str]) -> str:
        return f"INSERT INTO {sql_name} ({', '.join(map(self.builder.quote, names))}) VALUES"

    def new_name(self, target: WritableTable) -> str:
        return self._hidden_name(target, "new")

    def rename_text(self, sql_name: str, target: WritableTable) -> str:
        return f"RENAME TABLE {sql_name} TO {target.sql_name}"

    def _hidden_name(self, target: WritableTable, word: str) -> str:
        schema = split_table_name(target.name)[0] or self._first_schema
        return f"{quote_mysql(schema)}.{quote_mysql(f'unify_{word}_{_digest(target.sql_name)}')}"

    def _send(self, start: str, batch: Sequence[str]) -> None:
        self._run(start + ",".join(batch))
        self._sent_rows += len(batch)

    def _run(self, sql: str) -> int:
        with self._open().cursor() as cursor:
            return int(cursor.execute(f"{self._mark} {sql}"))

    def _fetch(self, name: str, values: Sequence[str]) -> Sequence[tuple[Any, ...]]:
        with self._open().cursor() as cursor:
            cursor.execute(f"{self._mark} {read_sections(_STATEMENTS)[name]}", values)
            rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def _open(self) -> Connection[Any]:
        if self.session is None:
            import pymysql
            from pymysql.constants import CLIENT

            with self._translate_errors():
                self.session = pymysql.connect(
                    **self._parameters,
                    charset="utf8mb4",
                    autocommit=True,
                    client_flag=CLIENT.FOUND_ROWS,
                    init_command=_SESSION,
                )
        return self.session

    def _commit(self) -> None:
        import pymysql

        try:
            self._run("COMMIT")
        except pymysql.err.OperationalError as error:
            if error.args[0] not in _LOST_CODES:
                raise
            raise ResponseLost(
                f"{self.connection}: the connection was lost while the rows were committed, and whether they "
                "are there is not known; look before you run the statement again"
            ) from error

    def _abandon(self, error: BaseException) -> None:
        """Roll back. After Ctrl-C the connection is ended by another one, with what it runs."""
        import pymysql

        if self.session is None:
            return
        if isinstance(error, Exception):
            with suppress(pymysql.err.Error):  # a lost connection has rolled back
                self._run("ROLLBACK")
            return
        id = self.session.thread_id()  # type: ignore[no-untyped-call]  # in its stubs
        self.close()
        with suppress(pymysql.err.Error, UnifyError):
            self._run(f"KILL {id}")

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        import pymysql

        try:
            yield
        except pymysql.err.MySQLError as error:
            raise self._server_error(error) from error
        except RuntimeError as error:  # what a way to sign in needs
            raise SourceError(f"{self.connection}: {error}") from error

    def _server_error(self, error: Exception) -> UnifyError:
        """Return the error of the server as a refusal, or as a lost connection."""
        code, text = error.args[0], str(error.args[-1])
        if code in _LOST_CODES or not isinstance(code, int) or 2000 <= code < 3000:
            return server_error(self.connection, f"{text}; nothing was written")
        text = _AT_ROW.sub(lambda found: f"at row {int(found[1]) + self._sent_rows}", text)
        refusal = server_error(self.connection, text)
        if type(refusal) is not SourceError:
            return refusal
        return QueryError(f"{self.connection}: {text}; nothing was written")


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
