"""The rows of INSERT, UPDATE and DELETE as JSON values, read once into a temporary table.

UPDATE and DELETE choose among the stored rows of their table, which a SELECT finds and refreshes like any
other; so the rows are those of the statement's moment, whatever the table becomes before they are sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal

import msgspec

from unify.engine.nested import rebuild_sql
from unify.engine.types import DuckDBType, parse_type
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.freshness import MaxAge
from unify.interpreter.query.query import QueryRunner
from unify.lake import lake as lake_lake
from unify.language.sql.write_statement import WriteStatement
from unify.model import PlannedRow, TableName

SOURCE_TABLE = 'temp.main."unify rows to write"'
_SET_PREFIX, _KEY_PREFIX, _BEFORE = "unify set ", "unify key ", "unify before"
_REBUILT_TYPES = ("LIST", "ARRAY", "STRUCT", "MAP")
_TEXT_TYPES = ("DATE", "TIME", "UUID", "INTERVAL", "ENUM", "BIT")
_decoder = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)


class RowSource:
    """Reads the rows of one statement."""

    def __init__(self, query: QueryRunner, max_age: MaxAge) -> None:
        self._query = query
        self._max_age = max_age

    def read(
        self, statement: WriteStatement, target: TableName, key: Sequence[str], limit: int
    ) -> tuple[list[PlannedRow], str]:
        """Return at most ``limit`` rows, and the age of the table that they were chosen from.

        Raises QueryError; LoadFailed if a table cannot be loaded.
        """
        match statement.operation:
            case "insert":
                return self._read_inserted(statement, limit)
            case "update" | "delete":
                return self._read_chosen(statement, target, key, limit)

    def _read_inserted(self, statement: WriteStatement, limit: int) -> tuple[list[PlannedRow], str]:
        source = f"SELECT * FROM (\n{statement.with_clause}{statement.source}\n) AS source"
        if statement.columns:
            source += f"({', '.join(map(quoted, statement.columns))})"
        with self._materialize(source, limit) as (columns, note):
            if not statement.columns and statement.source[:6].lower() == "values":
                raise QueryError(f"insert into {statement.target}: name the columns: (COLUMN, …) values …")
            rows = self._fetch([json_object_sql({name: (name, type) for name, type in columns.items()})])
            return [
                PlannedRow(number, "insert", values) for number, (values,) in enumerate(rows, start=1)
            ], note

    def _read_chosen(
        self, statement: WriteStatement, target: TableName, key: Sequence[str], limit: int
    ) -> tuple[list[PlannedRow], str]:
        name = statement.alias or target.table
        chosen = [
            f"({assignment.expression}) AS {quoted(_SET_PREFIX + assignment.column)}"
            for assignment in statement.assignments
        ]
        chosen += [f"{quoted(name)}.{quoted(column)} AS {quoted(_KEY_PREFIX + column)}" for column in key]
        others = f", {statement.others}" if statement.others else ""
        where = f" WHERE {statement.where}" if statement.where else ""
        chosen.append(f"to_json({quoted(name)}) AS {quoted(_BEFORE)}")
        sql = (
            f"{statement.with_clause}SELECT {', '.join(chosen)} "
            f"FROM {quoted(target.schema)}.{quoted(target.table)} AS {quoted(name)}{others}{where}"
        )
        with self._materialize(sql, limit) as (columns, note):
            rows = self._fetch(
                [
                    json_object_sql(_columns_with(columns, _SET_PREFIX)),
                    json_object_sql(_columns_with(columns, _KEY_PREFIX)),
                    f"CAST({quoted(_BEFORE)} AS VARCHAR)",
                ]
            )
            return [
                PlannedRow(number, statement.operation, values, keys, before)
                for number, (values, keys, before) in enumerate(rows, start=1)
            ], note

    @contextmanager
    def _materialize(self, sql: str, limit: int) -> Iterator[tuple[Mapping[str, str], str]]:
        """Run a SELECT once, into a temporary table; yield its column types and the note about ages."""
        bound, note = self._query.prepare(sql, self._max_age)
        lake = self._query.lake
        create = f"CREATE OR REPLACE TEMP TABLE {SOURCE_TABLE.rpartition('.')[2]} AS"
        limited = f"{create} SELECT * FROM (\n{bound.sql}\n) LIMIT {limit:d}"
        lake_lake.fetch_session_rows(lake, limited, bound.parameters)
        try:
            described = lake_lake.fetch_session_rows(lake, f"DESCRIBE {SOURCE_TABLE}")
            yield {str(row[0]): str(row[1]) for row in described}, note
        finally:
            lake_lake.fetch_session_rows(lake, f"DROP TABLE IF EXISTS {SOURCE_TABLE}")

    def _fetch(self, expressions: Sequence[str]) -> Iterator[tuple[Mapping[str, object], ...]]:
        sql = f"SELECT {', '.join(expressions)} FROM {SOURCE_TABLE} ORDER BY rowid"
        rows = lake_lake.fetch_session_rows(self._query.lake, sql)
        for number, row in enumerate(rows, start=1):
            yield tuple(decode_json_object(str(text), number) for text in row)


def _columns_with(columns: Mapping[str, str], prefix: str) -> Mapping[str, tuple[str, str]]:
    """Columns by their name without ``prefix``."""
    return {
        name.removeprefix(prefix): (name, type) for name, type in columns.items() if name.startswith(prefix)
    }


def json_object_sql(columns: Mapping[str, tuple[str, str]]) -> str:
    """SQL of an object, as text, with a member for each column."""
    members = [
        f"{_literal(name)}, {_json_value(name, column, type)}" for name, (column, type) in columns.items()
    ]
    return f"CAST(json_object({', '.join(members)}) AS VARCHAR)"


def _json_value(name: str, column: str, type: str) -> str:
    """SQL of a value as JSON: times as ISO 8601, other values without a JSON form as texts, at any depth."""

    def convert(value: str, part: DuckDBType, depth: int) -> str:
        if part.name == "BLOB":
            verb = "is" if depth == 0 else "contains"
            raise QueryError(
                f"column {name} {verb} a BLOB, which JSON cannot hold; encode it: base64({name})"
            )
        if part.name == "TIMESTAMP WITH TIME ZONE":
            return f"(replace(CAST({value} AT TIME ZONE 'UTC' AS VARCHAR), ' ', 'T') || 'Z')"
        if part.name.startswith("TIMESTAMP"):
            return f"replace(CAST({value} AS VARCHAR), ' ', 'T')"
        if part.name.startswith(_TEXT_TYPES):
            return f"CAST({value} AS VARCHAR)"
        return rebuild_sql(value, part, convert, depth) if part.name in _REBUILT_TYPES else value

    return f"to_json({convert(quoted(column), parse_type(type), 0)})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def decode_json_object(text: str, number: int) -> Mapping[str, object]:
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise QueryError(
            f"row {number}: a value has no JSON form, such as an infinite number ({error})"
        ) from error
