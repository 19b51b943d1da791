"""SQLiteWriter: writes a file with the sqlite3 of Python, which binds each value as it is.

DuckDB holds no lock of the file meanwhile: closing a connection would drop the locks of all others of this
process. The rows are read before, and DuckDB reads the file within statements only.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from unify.adapters.database.columns import DatabaseColumn, DatabaseTable
from unify.adapters.database.writing.session_writer import SessionWriter
from unify.adapters.database.writing.statements import StatementBuilder
from unify.adapters.relation import join_table_name, split_table_name
from unify.adapters.table_writes import (
    RowFetcher,
    TableWrite,
    ValueConversion,
    WritableColumn,
    WritableTable,
)
from unify.engine.connection import quote_literal
from unify.engine.types import DuckDBType, parse_type
from unify.errors import QueryError, SourceError, UnifyError
from unify.model import Column

BUSY_TIMEOUT_S = 10.0  # how long to wait for another program that writes the file
_CHECK_STEPS = 100_000  # of SQLite's machine, after which Python may see Ctrl-C
_NEW_TYPES: Mapping[str, str] = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "BIGINT",
    "UTINYINT": "BIGINT",
    "SMALLINT": "BIGINT",
    "USMALLINT": "BIGINT",
    "INTEGER": "BIGINT",
    "UINTEGER": "BIGINT",
    "BIGINT": "BIGINT",
    "UBIGINT": "BIGINT",
    "HUGEINT": "BIGINT",
    "UHUGEINT": "BIGINT",
    "FLOAT": "DOUBLE",
    "DOUBLE": "DOUBLE",
    "BLOB": "BLOB",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP",
    "JSON": "JSON",
}


class SQLiteBuilder(StatementBuilder):
    """SQLite's statements."""

    staged = "temp.unify_rows"

    def same_value(self, column: WritableColumn, one: str, other: str) -> str:
        return f"{one} IS {other}"

    def create_staged(self, write: TableWrite) -> str:
        return super().create_staged(write).replace(f" {self.staged} ", " unify_rows ", 1)


class SQLiteWriter(SessionWriter[sqlite3.Connection]):
    """Writes tables of one file. ``find_table``: returns a table as it is read."""

    builder: SQLiteBuilder

    def __init__(
        self, connection: str, path: Path, find_table: Callable[[str], DatabaseTable | None]
    ) -> None:
        super().__init__(connection, find_table)
        self.builder = SQLiteBuilder()
        self._path = path

    def read_target(self, found: DatabaseTable) -> WritableTable:
        name = quote_literal(split_table_name(found.name)[1])
        with self._translate_errors():
            kinds = self._fetch(f"SELECT type FROM sqlite_schema WHERE name = {name}")
            columns = self._fetch(
                f'SELECT name, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo({name})'
            )
            indexes = self._fetch(
                f"SELECT l.name, i.name FROM pragma_index_list({name}) AS l, pragma_index_info(l.name) AS i "
                'WHERE l."unique" AND NOT l.partial'
            )
        if kinds == [("view",)]:
            raise QueryError(f"{self.connection}.{found.name} is a view; write the table behind it")
        return _target_table(found, columns, indexes)

    def plan_target(self, table: str, columns: Sequence[Column], key: Sequence[str]) -> WritableTable:
        schema, name = split_table_name(table)
        if schema:
            raise QueryError(f"{self.connection}: a SQLite file has no schemas: {schema}.{name}")
        made = [_new_column(one.name, parse_type(one.type), is_key=one.name in key) for one in columns]
        unique = (frozenset(key),) if key else ()
        sql_name = self.builder.quote(name)
        return WritableTable(
            join_table_name("", name), sql_name, tuple(made), tuple(key), unique, exists=False
        )

    def convert(self, value: str, type: str, column: WritableColumn) -> ValueConversion:
        converted = super().convert(value, type, column)
        kept = converted.value
        match parse_type(column.type).name:
            case "DOUBLE":
                problem = (f"isnan({kept})", "is NaN, which SQLite stores as NULL")
            case "DATE" | "TIMESTAMP":
                is_known = f"isfinite({kept}) AND year({kept}) BETWEEN 1 AND 9999"
                problem = (f"NOT ({is_known})", "is out of range")
            case _:
                return converted
        return ValueConversion(kept, (*converted.problems, problem))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._translate_errors():
            session = self._open()
            session.execute("BEGIN IMMEDIATE")
            try:
                yield
                session.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    session.execute("ROLLBACK")
                raise

    def execute(self, sql: str) -> int:
        return max(self._open().execute(sql).rowcount, 0)

    def fetch_numbers(self, sql: str) -> Sequence[int]:
        return [int(str(value)) for value in self._fetch(sql)[0]]

    def count_cascades(self, target: WritableTable) -> int:
        name = quote_literal(split_table_name(target.name)[1])
        return self.fetch_numbers(
            "SELECT count(*) FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f "
            f"WHERE s.type = 'table' AND lower(f.\"table\") = lower({name}) "
            f"AND lower(s.name) <> lower({name}) "
            "AND f.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')"
        )[0]

    def load_rows(
        self,
        sql_name: str,
        names: Sequence[str],
        columns: Sequence[WritableColumn],
        values: Sequence[str],
        rows: RowFetcher,
    ) -> int:
        bound = [_bound_sql(value, one.type) for value, one in zip(values, columns, strict=True)]
        insert = f"{self.load_text(sql_name, names)}"
        count = 0
        for batch in rows.fetch(bound):
            self._open().executemany(insert, batch)
            count += len(batch)
        return count

    def load_text(self, sql_name: str, names: Sequence[str]) -> str:
        listed = ", ".join(map(self.builder.quote, names))
        return f"INSERT INTO {sql_name} ({listed}) VALUES ({', '.join('?' * len(names))})"

    def stage(self, write: TableWrite, values: Sequence[str], rows: RowFetcher) -> None:
        super().stage(write, values, rows)
        key = ", ".join(map(self.builder.quote, write.key))
        self.execute(f"CREATE INDEX temp.unify_rows_key ON unify_rows ({key})")

    def new_name(self, target: WritableTable) -> str:
        return self.builder.quote(f"unify_new_{token_hex(6)}")

    def rename_text(self, sql_name: str, target: WritableTable) -> str:
        return f"ALTER TABLE {sql_name} RENAME TO {target.sql_name}"

    def _fetch(self, sql: str) -> list[tuple[object, ...]]:
        return self._open().execute(sql).fetchall()

    def _open(self) -> sqlite3.Connection:
        if self.session is None:
            address = f"{self._path.absolute().as_uri()}?mode=rw"
            self.session = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self.session.set_progress_handler(lambda: 0, _CHECK_STEPS)
            self.session.execute("PRAGMA foreign_keys = ON")
        return self.session

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: sqlite3.Error) -> UnifyError:
        if isinstance(error, sqlite3.OperationalError) and re.search("unable to open|disk", str(error)):
            return SourceError(f"{self.connection}: {self._path}: {error}")
        return QueryError(f"{self.connection}: {error}; nothing was written")


def _target_table(
    table: DatabaseTable, columns: Sequence[tuple[object, ...]], indexes: Sequence[tuple[object, ...]]
) -> WritableTable:
    fields = {field.source_name: field for field in table.fields}
    keys = [str(name) for name, _, _, position, _ in columns if position]
    unique: dict[str, set[str]] = {"": set(keys)} if keys else {}
    for index, column in indexes:
        unique.setdefault(str(index), set()).add(str(column))
    is_row_number = len(keys) == 1 and _is_row_number(fields.get(keys[0]))
    return WritableTable(
        name=table.name,
        sql_name=table.sql_name,
        columns=tuple(
            WritableColumn(
                name=str(name),
                type=fields[str(name)].type,
                source_type=fields[str(name)].source_type,
                is_nullable=not required and not position,
                has_default=default is not None or (bool(position) and is_row_number),
                is_generated=hidden in (2, 3),
            )
            for name, required, default, position, hidden in columns
            if str(name) in fields
        ),
        key=tuple(field.source_name for field in table.fields if field.name in table.key),
        unique_keys=tuple(frozenset(names) for names in unique.values()),
    )


def _is_row_number(key: DatabaseColumn | None) -> bool:
    """Whether SQLite fills the key: INTEGER PRIMARY KEY."""
    return key is not None and key.source_type.upper() == "INTEGER"


def _new_column(name: str, type: DuckDBType, *, is_key: bool) -> WritableColumn:
    """Return the column for a type of DuckDB; decimals and times with a zone are texts, which are exact."""
    if type.nested:
        raise QueryError(f"column {name}: SQLite has no type for {type.label}; write to_json(…)")
    declared = _NEW_TYPES.get(type.name, "TEXT")
    return WritableColumn(
        name, "VARCHAR" if declared == "TEXT" else declared, declared, is_nullable=not is_key
    )


def _bound_sql(value: str, type: str) -> str:
    """Return DuckDB's SQL for a value that sqlite3 binds."""
    match parse_type(type).name:
        case "BOOLEAN":
            return f"CAST({value} AS INTEGER)"
        case "BIGINT" | "DOUBLE" | "BLOB":
            return value
        case _:
            return f"CAST({value} AS VARCHAR)"
