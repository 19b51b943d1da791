"""The SQLAlchemy dialect ``unify://``, for pandas, SQL tools and programs that use SQLAlchemy.

    unify://                     the home folder of the command line
    unify:////srv/unify          another one, as an absolute path
    unify://?max_age=5m&tenant=a options of ``unify.connect``

SQL is compiled by the dialect of DuckDB. Connections, transactions and reflection are Unify's: tables of
connections are there before their first load, with the columns that their adapters declare.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import duckdb_sqlalchemy
from sqlalchemy import pool, types
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import ArgumentError, NoSuchTableError

from unify.api.dbapi import DatabaseConnection, DatabaseCursor
from unify.engine.types import quote_identifier as quoted
from unify.interpreter.state import TableState
from unify.language.tokenizer import mask_brackets, statement_tokens

DEFAULT_SCHEMA = "main"
_DuckDBDialect: Any = duckdb_sqlalchemy.Dialect  # its signatures differ from those of SQLAlchemy
_OPTIONS = ("max_age", "tenant", "connections", "wait")
_WRITE_WORDS = frozenset(("insert", "update", "delete", "merge", "create", "truncate", "alter", "drop"))


class UnifyDialect(_DuckDBDialect):  # type: ignore[misc]
    """DuckDB's dialect over ``unify.connect``.

    A transaction of SQLAlchemy begins with its first statement that writes: tables cannot be loaded in a
    transaction, so queries before it load theirs.
    """

    name = "unify"
    driver = "unify"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    supports_comments = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        from unify.api import dbapi

        return dbapi

    @classmethod
    def get_pool_class(cls, url: URL) -> type[pool.Pool]:
        return pool.QueuePool

    def initialize(self, connection: Connection) -> None:
        DefaultDialect.initialize(self, connection)

    def create_connect_args(self, url: URL) -> tuple[Sequence[object], dict[str, object]]:
        """Return the arguments of ``unify.connect``. Raises ArgumentError for an unknown option."""
        options: dict[str, object] = dict(url.query)
        if unknown := sorted(set(options) - set(_OPTIONS)):
            raise ArgumentError(f"unify://: unknown option {unknown[0]}; known are {', '.join(_OPTIONS)}")
        if url.host:
            raise ArgumentError(f"unify://{url.host}: there is no host; a path follows four slashes")
        if "wait" in options:
            options["wait"] = options["wait"] not in ("0", "false", "no")
        return [url.database or None], options

    def connect(self, *arguments: Any, **options: Any) -> DatabaseConnection:
        from unify.api.dbapi import connect

        return connect(*arguments, **options)

    # Transactions

    def do_begin(self, dbapi_connection: Any) -> None:
        """Do nothing: ``do_execute`` begins."""

    def do_rollback(self, dbapi_connection: Any) -> None:
        dbapi_connection.rollback()

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        _begin_before_write(cursor, statement)
        cursor.execute(statement, parameters or None)

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        _begin_before_write(cursor, statement)
        cursor.execute(statement)

    def do_executemany(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        _begin_before_write(cursor, statement)
        cursor.executemany(statement, parameters)

    def is_disconnect(self, e: Exception, connection: Any, cursor: Any) -> bool:
        return False

    def _reaches_copy_threshold(self, context: Any, parameters: Any) -> bool:
        """Never: bulk inserts of the base class need a connection of DuckDB itself."""
        return False

    def _routes_insertmanyvalues_to_register(self, context: Any) -> bool:
        return False

    # Reflection

    def _get_default_schema_name(self, connection: Connection) -> str:
        return DEFAULT_SCHEMA

    def get_schema_names(self, connection: Connection, **kw: Any) -> list[str]:
        return sorted(_raw(connection).schemas() | {DEFAULT_SCHEMA})

    def get_table_names(self, connection: Connection, schema: str | None = None, **kw: Any) -> list[str]:
        return [table.name.table for table in _tables(connection, schema) if table.kind != "view"]

    def get_view_names(self, connection: Connection, schema: str | None = None, **kw: Any) -> list[str]:
        return [table.name.table for table in _tables(connection, schema) if table.kind == "view"]

    def get_temp_table_names(self, connection: Connection, schema: str | None = None, **kw: Any) -> list[str]:
        return []

    def get_temp_view_names(self, connection: Connection, schema: str | None = None, **kw: Any) -> list[str]:
        return []

    def has_table(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> bool:
        names = {table.name.table.lower() for table in _tables(connection, schema)}
        return table_name.lower() in names

    def has_schema(self, connection: Connection, schema: str, **kw: Any) -> bool:
        return schema.lower() in {name.lower() for name in self.get_schema_names(connection)}

    def get_columns(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[dict[str, Any]]:
        """Return the columns, with the descriptions of the adapter as comments. Raises NoSuchTableError."""
        if not self.has_table(connection, table_name, schema):
            raise NoSuchTableError(f"{schema}.{table_name}" if schema else table_name)
        name = f"{quoted(schema or DEFAULT_SCHEMA)}.{quoted(table_name)}"
        rows = _raw(connection).execute(f"describe {name}").fetchall()
        return [
            {
                "name": column,
                "type": self._column_type(str(type)) if type else types.NULLTYPE,
                "nullable": True,
                "default": None,
                "comment": comment or None,
            }
            for column, type, comment in rows
        ]

    def _column_type(self, text: str) -> Any:
        return self._reflect_duckdb_data_type(text, None, {}, text)

    def get_table_comment(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> Mapping[str, str | None]:
        wanted = table_name.lower()
        comments = [t.description for t in _tables(connection, schema) if t.name.table.lower() == wanted]
        return {"text": (comments[0] or None) if comments else None}

    def get_pk_constraint(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> Mapping[str, Any]:
        return {"constrained_columns": [], "name": None}

    def _get_nothing(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[Any]:
        return []

    def get_table_options(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> Mapping[str, Any]:
        return {}

    get_foreign_keys = _get_nothing
    get_indexes = _get_nothing
    get_unique_constraints = _get_nothing
    get_check_constraints = _get_nothing

    # One table after the other: the base class would read DuckDB's catalog.
    has_multi_table = DefaultDialect.has_multi_table
    get_multi_columns = DefaultDialect.get_multi_columns
    get_multi_table_comment = DefaultDialect.get_multi_table_comment
    get_multi_table_options = DefaultDialect.get_multi_table_options
    get_multi_pk_constraint = DefaultDialect.get_multi_pk_constraint
    get_multi_foreign_keys = DefaultDialect.get_multi_foreign_keys
    get_multi_indexes = DefaultDialect.get_multi_indexes
    get_multi_unique_constraints = DefaultDialect.get_multi_unique_constraints
    get_multi_check_constraints = DefaultDialect.get_multi_check_constraints


def _begin_before_write(cursor: DatabaseCursor, statement: str) -> None:
    connection = cursor.connection
    if not connection.autocommit and not connection.has_transaction() and _is_write(statement):
        connection.execute("begin")


def _is_write(statement: str) -> bool:
    """Whether a statement writes: it begins with such a word, or has one after WITH, outside brackets."""
    words = [token.keyword for token in statement_tokens(mask_brackets(statement))]
    first = next(iter(words), "")
    return first in _WRITE_WORDS or (first == "with" and not _WRITE_WORDS.isdisjoint(words))


def _raw(connection: Connection) -> DatabaseConnection:
    raw: Any = connection.connection.dbapi_connection
    assert isinstance(raw, DatabaseConnection)
    return raw


def _tables(connection: Connection, schema: str | None) -> Iterable[TableState]:
    """Return the tables of a schema; None: of the default one."""
    wanted = schema or DEFAULT_SCHEMA
    return [table for table in _raw(connection).tables(wanted) if table.name.schema.lower() == wanted.lower()]
