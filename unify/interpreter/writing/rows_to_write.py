"""A SELECT, run once into a temporary table, and its rows as JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from unify.engine.connection import quote_literal
from unify.engine.nested import rebuild_sql
from unify.engine.types import DuckDBType, parse_type
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.lake import catalog, session_rows
from unify.lake.lake import Lake
from unify.model import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Values = Mapping[str, object]
SOURCE_TABLE = '"unify rows to write"'
MATCH_TABLE = '"unify matching rows"'
BATCH_ROWS = 10_000  # converted to Python values at a time
STORED_ROW = "unify stored row"  # the row of the target in ``target_sql``, as a struct
_REBUILT_TYPES = ("LIST", "ARRAY", "STRUCT", "MAP")
_TEXT_TYPES = ("DATE", "TIME", "UUID", "INTERVAL", "ENUM", "BIT")
_decoder = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)


class RowsToWrite(Struct, frozen=True):
    """The temporary table. ``note`` is the age of the stored tables that it was read from.

    ``name``     SQL of its name.
    ``columns``  DuckDB types by name.
    """

    lake: Lake
    name: str
    columns: Mapping[str, str]
    note: str

    def rows(self, *objects: str) -> Iterator[tuple[Values, ...]]:
        """Yield the rows in order, each as the JSON objects that ``object_of`` and ``stored_row`` name.

        The session runs no other statement meanwhile. Memory: BATCH_ROWS rows.
        """
        sql = f"SELECT {', '.join(objects)} FROM {self.name} ORDER BY rowid"
        with session_rows.translate_session_errors(self.lake):
            result = self.lake.connection.execute(sql)
        number = 0
        while batch := self._fetch_batch(result):
            for row in batch:
                number += 1
                yield tuple(decode_json_object(text, number) for text in row)

    def _fetch_batch(self, result: DuckDBPyConnection) -> list[tuple[object, ...]]:
        with session_rows.translate_session_errors(self.lake):
            return result.fetchmany(BATCH_ROWS)

    def object_of(self, prefix: str = "", columns: Sequence[str] = ()) -> str:
        """SQL of an object with the columns that start with ``prefix``, named without it; or of these."""
        chosen = columns or [name for name in self.columns if name.startswith(prefix)]
        return json_object_sql({name.removeprefix(prefix): (name, self.columns[name]) for name in chosen})

    def stored_row(self) -> str:
        """SQL of the stored row that ``target_sql`` added; its BLOBs, which JSON cannot hold, are NULL."""
        value = _json_expression(quoted(STORED_ROW), self.columns[STORED_ROW], blobs=False)
        return f"CAST({value} AS VARCHAR)"


@contextmanager
def open_rows(
    query: QueryRunner, sql: str, max_age: MaxAge, limit: int, *, name: str = SOURCE_TABLE
) -> Iterator[RowsToWrite]:
    """Run a SELECT, at most ``limit`` rows of it. Raises QueryError, LoadFailed."""
    bound, note = query.prepare(sql, max_age)
    lake = query.lake
    limited = f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM (\n{bound.sql}\n) LIMIT {limit:d}"
    session_rows.fetch_session_rows(lake, limited, bound.parameters)
    try:
        described = session_rows.fetch_session_rows(lake, f"DESCRIBE {name}")
        yield RowsToWrite(lake, name, {str(row[0]): str(row[1]) for row in described}, note)
    finally:
        session_rows.fetch_session_rows(lake, f"DROP TABLE IF EXISTS {name}")


def refresh_after_write(
    query: QueryRunner, target: TableName, max_age: MaxAge, last_sent_at: datetime | None
) -> None:
    """Refresh the stored rows of a target, where rows are found, if they are older than its last write.

    Raises QueryError if ``max_age`` forbids it, LoadFailed.
    """
    stored = catalog.stored_tables(query.lake).get(target)
    if stored is None or last_sent_at is None or stored.read_since > last_sent_at:
        return
    if max_age.never:
        raise QueryError(
            f"{target}: its stored rows are those before the last write, and max_age = none reads no others: "
            "set max_age = default"
        )
    query.prepare(f"SELECT 1 FROM {quoted(target.schema)}.{quoted(target.table)}", MaxAge(limit_s=0))


def target_sql(target: TableName) -> str:
    """SQL of the target's rows, each with itself as a struct: a column may have the table's name."""
    stored = quoted(STORED_ROW)
    return f"(SELECT *, {stored} AS {stored} FROM {quoted(target.schema)}.{quoted(target.table)} AS {stored})"


def json_object_sql(columns: Mapping[str, tuple[str, str]]) -> str:
    """SQL of an object, as text, with a member for each column; ``columns`` are (column, type) by member."""
    members = [
        f"{quote_literal(name)}, {_json_expression(quoted(column), type, name)}"
        for name, (column, type) in columns.items()
    ]
    return f"CAST(json_object({', '.join(members)}) AS VARCHAR)"


def _json_expression(expression: str, type: str, name: str = "", *, blobs: bool = True) -> str:
    """SQL of a value as JSON: times as ISO 8601, others without a JSON form as texts, at any depth.

    ``blobs``  False: values that JSON cannot hold are NULL.
    """

    def convert(value: str, part: DuckDBType, depth: int) -> str:
        if part.name == "BLOB":
            if not blobs:
                return "NULL"
            verb = "is" if depth == 0 else "contains"
            raise QueryError(
                f"column {name} {verb} a BLOB, which JSON cannot hold; encode it: base64({name})"
            )
        if part.name == "TIMESTAMP WITH TIME ZONE":
            in_utc = f"(replace(CAST({value} AT TIME ZONE 'UTC' AS VARCHAR), ' ', 'T') || 'Z')"
            return _finite(value, in_utc, name, refuse=blobs)
        if part.name.startswith("TIMESTAMP"):
            return _finite(value, f"replace(CAST({value} AS VARCHAR), ' ', 'T')", name, refuse=blobs)
        if part.name == "DATE":
            return _finite(value, f"CAST({value} AS VARCHAR)", name, refuse=blobs)
        if part.name.startswith(_TEXT_TYPES):
            return f"CAST({value} AS VARCHAR)"
        if not blobs and part.name in ("FLOAT", "DOUBLE"):
            return f"CASE WHEN isfinite({value}) THEN {value} END"
        return rebuild_sql(value, part, convert, depth) if part.name in _REBUILT_TYPES else value

    return f"to_json({convert(expression, parse_type(type), 0)})"


def _finite(value: str, text: str, name: str, *, refuse: bool) -> str:
    """SQL of the text of a time; an infinite one, which no API reads, is refused, or NULL."""
    message = quote_literal(f"column {name} has an infinite time, which JSON cannot hold")
    otherwise = f"error({message})" if refuse else "NULL"
    return f"CASE WHEN isinf({value}) THEN {otherwise} ELSE {text} END"


def decode_json_object(text: object, number: int) -> Values:
    """Return the values of an object of row ``number``; of NULL, none. Raises QueryError."""
    if text is None:
        return {}
    try:
        return _decoder.decode(str(text))
    except msgspec.DecodeError as error:
        raise QueryError(
            f"row {number}: a value has no JSON form, such as an infinite number ({error})"
        ) from error
