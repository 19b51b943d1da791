"""SQL expressions over the rows of a page: columns that are added, and the rows that are kept.

DuckDB computes them in a database in memory that can reach neither files nor the network.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from unify.adapters.base import Scalar
from unify.adapters.spec import template
from unify.adapters.spec.expressions import parse_expression, variable_column
from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.table_keys import ColumnDef
from unify.config.secrets import Secret
from unify.engine.connection import DUCKDB_CONFIG
from unify.engine.types import quote_identifier
from unify.errors import SourceError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY_LIMIT = "256MB"  # of one page, which has at most 32 MB
_MAX_BIGINT = 2**63
_row_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_lock = threading.Lock()  # of the database: cursors are opened one at a time


class RowExpressions:
    """The expressions of a table."""

    def __init__(self, table: TableSpec) -> None:
        self._columns = [
            (column.name, parse_expression(column.sql)) for column in table.columns if column.sql is not None
        ]
        self._constants = {
            column.name: msgspec.json.encode(column.value)
            for column in table.columns
            if column.value is not None
        }
        self._condition = parse_expression(table.condition) if table.condition is not None else None
        self._declared = {column.name.lower(): column for column in table.columns}
        self._added = {name.lower() for name in (*self._constants, *(name for name, _ in self._columns))}
        self._missing: set[str] = set(self._inputs())

    @property
    def is_empty(self) -> bool:
        return not (self._columns or self._constants or self._condition)

    @property
    def missing_columns(self) -> Sequence[str]:
        """The columns that expressions read and no row so far has had."""
        return sorted(self._missing)

    def apply(
        self, rows: Sequence[bytes], values: Mapping[str, Scalar], variables: template.Variables
    ) -> Sequence[bytes]:
        """Return the rows that are kept, with the added columns.

        ``values``  further columns of every row, from the request or the body around the rows.

        Raises:
            SourceError: an expression cannot be computed for the values of a row.
        """
        if self.is_empty or not rows:
            return rows
        added: Iterator[Sequence[Any]] = iter([()] * len(rows))
        if self._columns or self._condition:
            added = iter(self._compute(rows, values, variables))
        return [
            self._extended(row, computed)
            for row, computed in zip(rows, added, strict=True)
            if self._condition is None or computed[-1]
        ]

    def _extended(self, row: bytes, computed: Sequence[Any]) -> bytes:
        """The row with the columns, which replace members of the same name."""
        if not self._columns and not self._constants:
            return row
        members = {
            name: member
            for name, member in _row_decoder.decode(row).items()
            if name.lower() not in self._added
        }
        for name, text in self._constants.items():
            members[name] = msgspec.Raw(text)
        for (name, _), json in zip(self._columns, computed, strict=False):
            members[name] = msgspec.Raw(b"null" if json is None else json.encode())
        return msgspec.json.encode(members)

    def _inputs(self) -> Iterator[str]:
        """The columns of the row that expressions read, in lower case, without those that they add."""
        known: set[str] = {name.lower() for name in self._constants}
        for name, expression in self._columns:
            yield from (each.lower() for each in expression.columns if each.lower() not in known)
            known.add(name.lower())
        if self._condition is not None:
            yield from (each.lower() for each in self._condition.columns if each.lower() not in known)

    def _compute(
        self, rows: Sequence[bytes], values: Mapping[str, Scalar], variables: template.Variables
    ) -> list[tuple[Any, ...]]:
        """For each row, its columns as JSON texts, and whether the condition holds."""
        source, parameters = self._source(rows, values, variables)
        query = self._query(source)
        try:
            with _cursor() as connection:
                return connection.execute(query, parameters).fetchall()
        except _duckdb_error() as error:
            message = str(error).splitlines()[0]
            raise SourceError(
                f"{', '.join(self._places())}: cannot be computed for a row: {message}"
            ) from error

    def _source(
        self, rows: Sequence[bytes], values: Mapping[str, Scalar], variables: template.Variables
    ) -> tuple[str, list[Any]]:
        """The SELECT of the values that expressions read, a row for each of ``rows``, and its parameters."""
        decoded = [msgspec.json.decode(row) for row in rows]
        items = ["unnest(range(?)) as row_number"]
        parameters: list[Any] = [len(rows)]
        for name in dict.fromkeys(self._inputs()):
            column = [self._value(row, name, values) for row in decoded]
            if any(value is not None for value in column):
                self._missing.discard(name)
            sql, given = _list_sql(column, self._declared.get(name))
            items.append(f"{sql} as {quote_identifier(name)}")
            parameters += given
        for name, text in self._constants.items():
            items.append(f"? as {quote_identifier(name)}")
            parameters.append(msgspec.json.decode(text))
        for name in self._variable_names():
            items.append(f"?::varchar as {variable_column(name)}")
            parameters.append(_variable_text(variables.get(name)))
        return f"select {', '.join(items)}", parameters

    def _query(self, source: str) -> str:
        """The SELECT of the results; a column may read those that are declared before it."""
        known = {*self._inputs(), *(name.lower() for name in self._constants)}
        for name, expression in self._columns:
            item = f"({expression.sql}\n) as {quote_identifier(name)}"
            replaced = f"* replace ({item})" if name.lower() in known else f"*, {item}"
            source = f"select {replaced} from ({source})"
            known.add(name.lower())
        results = [f"to_json({quote_identifier(name)})::varchar" for name, _ in self._columns]
        if self._condition is not None:
            results.append(f"coalesce(({self._condition.sql}\n)::boolean, false)")
        return f"select {', '.join(results)} from ({source}) order by row_number"

    def _value(self, row: Any, name: str, values: Mapping[str, Scalar]) -> Any:
        """The value of a column: of the request, at its ``from``, or of the members that its name joins."""
        given = self._declared.get(name)
        if given is not None and given.name in values:
            return values[given.name]
        if given is not None and given.source is not None:
            for step in given.source.split("."):
                row = row.get(step) if isinstance(row, dict) else None
            return row
        return _member(row, name)

    def _variable_names(self) -> Sequence[str]:
        expressions = [expression for _, expression in self._columns]
        expressions += [self._condition] if self._condition is not None else []
        return list(dict.fromkeys(name for each in expressions for name in each.variables))

    def _places(self) -> Iterator[str]:
        yield from (f"columns.{name}.sql" for name, _ in self._columns)
        if self._condition is not None:
            yield "where"


def _member(value: Any, name: str) -> Any:
    """The member of a row, or of an object within it: ``user_login`` is that of ``user``; in any case."""
    if not isinstance(value, dict):
        return None
    for key, member in value.items():
        if key.lower() == name:
            return member
    for key, member in value.items():
        if isinstance(member, dict) and name.startswith(f"{key.lower()}_"):
            found = _member(member, name[len(key) + 1 :])
            if found is not None:
                return found
    return None


def _list_sql(column: Sequence[Any], declared: ColumnDef | None) -> tuple[str, list[Any]]:
    """The rows of a column with one type, and its parameter; NULL has none."""
    given = [value for value in column if value is not None]
    if not given:
        return "null", []
    if all(isinstance(value, bool) for value in given):
        type_ = "boolean"
    elif all(isinstance(value, int) and not isinstance(value, bool) for value in given):
        type_ = "bigint" if all(-_MAX_BIGINT <= value < _MAX_BIGINT for value in given) else "hugeint"
    elif all(isinstance(value, int | float) and not isinstance(value, bool) for value in given):
        type_ = "double"
    elif all(isinstance(value, dict | list) for value in given):
        type_ = "json"
    else:
        type_ = "varchar"
    if type_ in ("json", "varchar"):
        column = [_text(value) for value in column]
    sql = f"unnest(?::{type_}[])"
    if declared is not None and declared.type is not None and declared.format is None:
        sql = f"try_cast({sql} as {declared.type})"
    return sql, [list(column)]


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()


def _variable_text(value: Any) -> str | None:
    """The value of an option, a row of ``for_each`` or a cursor, as a text."""
    bare = value.reveal() if isinstance(value, Secret) else value
    return None if bare is None or isinstance(bare, template.Null) else str(bare)


@contextmanager
def _cursor() -> Iterator[DuckDBPyConnection]:
    with _lock:
        cursor = _locked_database().cursor()
    with cursor:
        yield cursor


@cache
def _locked_database() -> DuckDBPyConnection:
    """A database in memory, without files, network and settings that could be changed."""
    from unify.engine.connection import open_database

    config: dict[str, str | int | bool] = {
        **DUCKDB_CONFIG,
        "memory_limit": _MEMORY_LIMIT,
        "threads": 1,
        "enable_external_access": "false",
    }
    database = open_database(config)
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    database.execute("SET lock_configuration = true")
    return database


def _duckdb_error() -> type[Exception]:
    from unify.engine import duckdb

    return duckdb.Error
