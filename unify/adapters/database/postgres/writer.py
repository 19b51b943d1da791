"""PostgresWriter: writes by COPY, on a connection of its own, with psycopg.

DuckDB's extension sends rows with the types that it knows: NUMERIC without a precision is DOUBLE for it. COPY
takes the text of each value, which the server reads as its own type.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from secrets import token_hex
from threading import Event
from typing import TYPE_CHECKING

import msgspec

from unify.adapters.database.columns import DatabaseTable
from unify.adapters.database.error_messages import server_error
from unify.adapters.database.postgres.targets import (
    WritableTableRules,
    copy_text_sql,
    lost_digits,
    new_column,
    new_target,
    rules_sql,
    target_table,
)
from unify.adapters.database.writing.session_writer import SessionWriter
from unify.adapters.database.writing.statements import StatementBuilder
from unify.adapters.relation import split_table_name
from unify.adapters.table_writes import (
    RowFetcher,
    TableWrite,
    ValueConversion,
    WritableColumn,
    WritableTable,
    WriteCounts,
)
from unify.engine.connection import quote_literal
from unify.engine.types import parse_type
from unify.errors import QueryError, ResponseLost, UnifyError
from unify.model import Column

if TYPE_CHECKING:
    import psycopg

_CONTEXT = re.compile(r"^COPY [^,]+, line (?P<row>\d+)(?:, column (?P<column>[^:]+))?", re.MULTILINE)
_VIEWS = ("v", "m")
OUTCOME_TIMEOUT_S = 10.0  # how long to ask what became of a transaction
OUTCOME_INTERVAL_S = 0.05
_TRANSACTION = "SELECT pg_catalog.txid_current(), pg_catalog.pg_backend_pid()"
_END_SESSION = (
    "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
    "WHERE pid = %s AND application_name = %s"
)
_OUTCOMES = {"committed": True, "aborted": False}


class PostgresBuilder(StatementBuilder):
    """PostgreSQL's statements. Values are compared as texts: not every type has an equality."""

    staged = "pg_temp.unify_rows"

    def create_staged(self, write: TableWrite) -> str:
        created = super().create_staged(write).replace(f" {self.staged} ", " unify_rows ", 1)
        return created.replace(" AS SELECT ", " ON COMMIT DROP AS SELECT ", 1)

    def same_value(self, column: WritableColumn, one: str, other: str) -> str:
        return f"({one})::text IS NOT DISTINCT FROM ({other})::text"

    def insert_staged(self, write: TableWrite) -> str:
        return super().insert_staged(write).replace(") SELECT ", ") OVERRIDING SYSTEM VALUE SELECT ", 1)

    def insert_missing(self, write: TableWrite) -> str:
        return super().insert_missing(write).replace(") SELECT ", ") OVERRIDING SYSTEM VALUE SELECT ", 1)

    def upsert(self, write: TableWrite) -> str:
        """Insert or update by a unique index, whatever others insert meanwhile; return the counts."""
        assigned = ", ".join(
            f"{self.quote(one.name)} = excluded.{self.quote(one.name)}" for one in write.changed
        )
        action = f"UPDATE SET {assigned}" if assigned else "NOTHING"
        key = ", ".join(map(self.quote, write.key))
        return f"{self.insert_staged(write)} ON CONFLICT ({key}) DO {action}"


class PostgresWriter(SessionWriter["psycopg.Connection"]):
    """Writes tables of one database.

    ``parameters``   of the connection, by the names of libpq.
    ``find_table``   returns a table as it is read. ``first_schema``: of tables without a schema.
    ``prefix``       of the statements: none.
    """

    builder: PostgresBuilder

    def __init__(
        self,
        connection: str,
        parameters: Mapping[str, str],
        find_table: Callable[[str], DatabaseTable | None],
        first_schema: str,
    ) -> None:
        super().__init__(connection, find_table)
        self.builder = PostgresBuilder()
        self._parameters = parameters
        self._first_schema = first_schema

    def read_target(self, found: DatabaseTable) -> WritableTable:
        with self._translate_errors():
            row = self._open().execute(rules_sql(), [found.sql_name]).fetchone()
        assert row is not None
        rules = msgspec.json.decode(row[0], type=WritableTableRules)
        if rules.kind in _VIEWS:
            raise QueryError(f"{self.connection}.{found.name} is a view; write the table behind it")
        return target_table(found, rules)

    def plan_target(self, table: str, columns: Sequence[Column], key: Sequence[str]) -> WritableTable:
        schema, name = split_table_name(table)
        if len(name.encode()) > 63:
            raise QueryError(f"{self.connection}.{table}: PostgreSQL's names have at most 63 bytes")
        quote = self.builder.quote
        made = [new_column(one.name, parse_type(one.type), is_key=one.name in key) for one in columns]
        return new_target(table, f"{quote(schema or self._first_schema)}.{quote(name)}", made, key)

    def convert(self, value: str, type: str, column: WritableColumn) -> ValueConversion:
        converted = super().convert(value, type, column)
        problems = list(converted.problems)
        if parse_type(column.type).name == "VARCHAR":
            problems.append((f"contains({converted.value}, chr(0))", "contains the character 0"))
        if digits := lost_digits(column.source_type):
            problems.append((f"{converted.value} % {10**digits} <> 0", "would be rounded"))
        return ValueConversion(converted.value, tuple(problems))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        session = self._open()
        with self._translate_errors():
            session.execute("BEGIN")
            try:
                yield
                self._commit(*self.fetch_numbers(_TRANSACTION))
            except BaseException as error:
                self._abandon(error)
                raise

    def execute(self, sql: str) -> int:
        count = self._open().execute(sql).rowcount
        return max(count, 0)

    def fetch_numbers(self, sql: str) -> Sequence[int]:
        row = self._open().execute(sql).fetchone()
        assert row is not None
        return [int(value) for value in row]

    def count_cascades(self, target: WritableTable) -> int:
        return self.fetch_numbers(
            "SELECT count(*) FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conrelid <> confrelid "
            f"AND confrelid = {quote_literal(target.sql_name)}::regclass AND confdeltype IN ('c', 'n', 'd')"
        )[0]

    def load_rows(
        self,
        sql_name: str,
        names: Sequence[str],
        columns: Sequence[WritableColumn],
        values: Sequence[str],
        rows: RowFetcher,
    ) -> int:
        texts = [copy_text_sql(value, one.type) for value, one in zip(values, columns, strict=True)]
        line = " || chr(9) || ".join(texts) + " || chr(10)"
        count = 0
        cursor = self._open().cursor()
        with cursor.copy(self.load_text(sql_name, names)) as copy:
            for batch in rows.fetch([line]):
                copy.write("".join([str(text) for (text,) in batch]))
                count += len(batch)
        return count

    def load_text(self, sql_name: str, names: Sequence[str]) -> str:
        return f"COPY {sql_name} ({', '.join(map(self.builder.quote, names))}) FROM STDIN"

    def new_name(self, target: WritableTable) -> str:
        schema = split_table_name(target.name)[0] or self._first_schema
        return f"{self.builder.quote(schema)}.{self.builder.quote(f'unify_new_{token_hex(6)}')}"

    def rename_text(self, sql_name: str, target: WritableTable) -> str:
        return f"ALTER TABLE {sql_name} RENAME TO {self.builder.quote(split_table_name(target.name)[1])}"

    def stage(self, write: TableWrite, values: Sequence[str], rows: RowFetcher) -> None:
        super().stage(write, values, rows)
        self.execute(f"ANALYZE {self.builder.staged}")

    def upsert(self, write: TableWrite) -> WriteCounts:
        if frozenset(write.key) not in write.target.unique_keys:
            return super().upsert(write)
        counted = f"WITH w AS ({self.builder.upsert(write)} RETURNING (xmax = 0) AS is_new)"
        is_new = "count(*) FILTER (WHERE is_new)"
        inserted, written = self.fetch_numbers(f"{counted} SELECT {is_new}, count(*) FROM w")
        updated = (write.row_count if not write.changed else written) - inserted
        return WriteCounts(inserted=inserted, updated=updated)

    def upsert_statements(self, write: TableWrite) -> Sequence[str]:
        if frozenset(write.key) not in write.target.unique_keys:
            return super().upsert_statements(write)
        return [self.builder.upsert(write)]

    def _open(self) -> psycopg.Connection:
        if self.session is None:
            import psycopg
            from psycopg.conninfo import make_conninfo

            logging.getLogger("psycopg").addHandler(logging.NullHandler())  # errors are raised as well

            with self._translate_errors():
                settings = make_conninfo("", **self._parameters)
                self.session = psycopg.connect(settings, autocommit=True)
        return self.session

    def _commit(self, transaction: int, process: int) -> None:
        """Commit; if the connection is lost meanwhile, ask the server what became of the transaction."""
        import psycopg

        try:
            self._open().execute("COMMIT")
        except psycopg.OperationalError as error:
            if not self._open().closed:
                raise
            self.session = None
            if not self._was_committed(transaction, process):
                raise self._server_error(error) from error

    def _was_committed(self, transaction: int, process: int) -> bool:
        """Return what became of a transaction, whose session is ended. Raises SourceError if nobody knows."""
        import psycopg

        pause, until = Event(), time.monotonic() + OUTCOME_TIMEOUT_S
        try:
            while time.monotonic() < until:
                self._open().execute(_END_SESSION, [process, self._parameters["application_name"]])
                row = self._open().execute("SELECT pg_catalog.txid_status(%s)", [transaction]).fetchone()
                if row is not None and (outcome := _OUTCOMES.get(str(row[0]))) is not None:
                    return outcome
                pause.wait(OUTCOME_INTERVAL_S)
        except (psycopg.Error, UnifyError) as error:
            raise self._unknown_outcome(str(error)) from error
        raise self._unknown_outcome("the server does not say")

    def _unknown_outcome(self, reason: str) -> ResponseLost:
        return ResponseLost(
            f"{self.connection}: the connection was lost while the rows were committed, and whether they are "
            f"there is not known ({reason}); look before you run the statement again"
        )

    def _abandon(self, error: BaseException) -> None:
        """Roll back. After Ctrl-C the connection is closed, which ends what the server runs."""
        import psycopg

        session = self.session
        if session is None or session.closed:
            self.session = None
            return
        if not isinstance(error, Exception):
            with suppress(psycopg.Error):
                session.cancel()
            self.close()
            return
        with suppress(psycopg.Error):  # a lost connection has rolled back
            session.execute("ROLLBACK")

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            raise self._server_error(error) from error

    def _server_error(self, error: psycopg.Error) -> UnifyError:
        """Return the error of the server as a refusal, or as a lost connection."""
        detail = error.diag
        if error.sqlstate is None or error.sqlstate[:2] in ("08", "57", "28", "53"):
            text = (detail.message_primary or str(error)).strip().partition("\n")[0]
            return server_error(self.connection, f"{text}; nothing was written")
        place = _CONTEXT.search(detail.context or "")
        text = detail.message_primary or str(error)
        if place is not None:
            column = f"{place['column']}: " if place["column"] else ""
            text = f"row {place['row']}: {column}{text}"
        more = f" ({detail.message_detail})" if detail.message_detail else ""
        return QueryError(f"{self.connection}: {text}{more}; nothing was written")
