"""DatabaseAdapter: what the adapters of databases with a language of their own have in common.

A use of a table is one statement of ours, composed from the server's catalog as it is then. DuckDB's
extension is attached only as the way to the server: its own view of tables is out of date after a change of
their columns, and would read wrong values.
"""

from __future__ import annotations

import os
import re
import secrets
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Protocol

from unify.adapters.base import Check
from unify.adapters.database.attachment import hidden_alias, translate_source_errors
from unify.adapters.database.bulk import read_transaction
from unify.adapters.database.columns import DatabaseTable
from unify.adapters.database.conditions import ConditionBuilder, ConditionDialect, SentConditions
from unify.adapters.database.server_loads import ServerLoads
from unify.adapters.database.statement import SourceSelect, call_sql, count_rows_sql, read_sql
from unify.adapters.relation import (
    Relation,
    RelationalAdapter,
    RelationRead,
    SourceLoad,
    SourceLoadRequest,
    SourceTable,
)
from unify.config.connection_tables import TableSettings
from unify.config.secrets import Secret
from unify.durations import parse_duration
from unify.errors import ConfigError, NotFound, QueryError, SourceError, Unauthorized
from unify.model import TableDef

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.database.aggregates import GroupRead


class DatabaseCatalog(Protocol):
    """The catalog of one attached server. Errors are those of DuckDB."""

    def list_schemas(self, duck: DuckDBPyConnection) -> Sequence[str]:
        """Return the schemas, the configured ones first."""

    def list_tables(self, duck: DuckDBPyConnection, schema: str) -> Sequence[TableDef]:
        """Return the tables of one schema or of all configured ones."""

    def find_table(self, duck: DuckDBPyConnection, table: str) -> DatabaseTable | None:
        """Return a table as it is now, by its name in any case."""

    def describe_query(self, duck: DuckDBPyConnection, sql: str) -> DatabaseTable:
        """Return the columns of a query in the language of the server, as a table."""


class DatabaseAdapter(RelationalAdapter):
    """The tables of one database.

    ``function``  DuckDB's table function that sends SQL to the database.
    ``dialect``   its constants and comparisons.
    ``prefix``    precedes each statement.
    ``groups_rows``  whether it may count and sum for a statement, see ``aggregates``.
    """

    function: ClassVar[str]
    dialect: ClassVar[ConditionDialect]
    groups_rows: ClassVar[bool] = False

    def __init__(
        self,
        connection: str,
        options: Mapping[str, str | Secret | None],
        tables: Mapping[str, TableSettings],
    ) -> None:
        super().__init__(connection, options, tables)
        self.alias = hidden_alias(connection)
        for name in ("host", "database", "user"):
            self._refuse_address(name)

    @property
    def prefix(self) -> str:
        return ""

    @property
    @abstractmethod
    def catalog(self) -> DatabaseCatalog:
        """The catalog of the server."""

    @abstractmethod
    def identify(self, duck: DuckDBPyConnection) -> str:
        """Return version, user, read-only or not, and TLS. Errors are those of DuckDB."""

    def cancel_statements(self, duck: DuckDBPyConnection) -> int:
        """End the running statements of this process; return how many. Errors are those of DuckDB."""
        return 0

    def list_schemas(self, duck: DuckDBPyConnection) -> Sequence[str]:
        with translate_source_errors(self.connection):
            return self.catalog.list_schemas(duck)

    def list_tables(self, duck: DuckDBPyConnection, schema: str = "") -> Sequence[TableDef]:
        with translate_source_errors(self.connection):
            return self.catalog.list_tables(duck, schema)

    def find_table(self, duck: DuckDBPyConnection, table: str) -> DatabaseTable | None:
        with translate_source_errors(self.connection):
            return self.catalog.find_table(duck, table)

    def relation(self, duck: DuckDBPyConnection, table: SourceTable, read: RelationRead) -> Relation:
        known = self.database_table(duck, table)
        columns = tuple(column.to_column() for column in known.fields)
        if read.count_only and not read.conditions and read.limit is None:
            select = SourceSelect(known, known.fields)
            return Relation(
                count_rows_sql(self.function, self.alias, select, self.prefix), columns, (select.count_sql,)
            )
        builder = ConditionBuilder(duck, known.fields_by_name(), self.dialect)
        sent = builder.build(read.conditions)
        if (groups := self._plan_groups(known, read, sent)) is not None:
            sql = groups.duckdb_sql(self.call_sql(groups.source_sql))
            return Relation(sql, columns, (groups.source_sql,), null_columns=groups.null_columns)
        select = self._select(builder, known, read, sent)
        shown = tuple(column.to_column() for column in select.columns)
        return Relation(self.read_sql(select), shown, (select.sql,), null_columns=select.null_columns)

    @contextmanager
    def plan_load(
        self, duck: DuckDBPyConnection, table: SourceTable, request: SourceLoadRequest
    ) -> Iterator[SourceLoad]:
        known = self.database_table(duck, table)
        loads = ServerLoads(self.dialect, self.read_sql, self.call_sql)
        with translate_source_errors(self.connection), read_transaction(duck):
            yield loads.plan(duck, known, request)

    def query(self, duck: DuckDBPyConnection, sql: str) -> Relation:
        sql = sql.strip().rstrip(";").rstrip()
        with self._refused_queries():
            described = self.catalog.describe_query(duck, sql)
            relation = self.query_relation(duck, described, sql)
            duck.execute(f"DESCRIBE {relation.sql}").fetchall()
        return relation

    def query_relation(self, duck: DuckDBPyConnection, described: DatabaseTable, sql: str) -> Relation:
        """Return the SELECT over the rows of a query of a user. Errors are those of DuckDB."""
        select = SourceSelect(described, described.fields)
        columns = tuple(column.to_column() for column in described.fields)
        return Relation(self.read_sql(select), columns, (sql,))

    def check(self, duck: DuckDBPyConnection) -> Check:
        try:
            with translate_source_errors(self.connection):
                return Check(accepted=True, identity=self.identify(duck))
        except Unauthorized as error:
            return Check(accepted=False, reason=error.message)

    def cancel(self, duck: DuckDBPyConnection) -> int:
        with translate_source_errors(self.connection), duck.cursor() as cursor:
            return self.cancel_statements(cursor)

    @contextmanager
    def _refused_queries(self) -> Iterator[None]:
        """Raise QueryError for a query that the database refuses."""
        try:
            with translate_source_errors(self.connection):
                yield
        except SourceError as error:
            if type(error) in (SourceError, NotFound):
                raise QueryError(error.message) from error
            raise

    def database_table(self, duck: DuckDBPyConnection, table: SourceTable) -> DatabaseTable:
        """Return what ``find_table`` returned for ``table``, with at least one column."""
        known = table if isinstance(table, DatabaseTable) else self.find_table(duck, table.name)
        if known is None:
            raise NotFound(f"{self.connection}.{table.name} does not exist any more")
        if not known.fields:
            raise SourceError(f"{self.connection}.{table.name} has no column that this user may read")
        return known

    def read_sql(self, select: SourceSelect) -> str:
        """Return the SELECT in DuckDB's SQL that reads the rows of ``select``."""
        return read_sql(self.function, self.alias, select, self.prefix)

    def call_sql(self, sql: str) -> str:
        """Return the call of DuckDB's function that sends ``sql`` to the server."""
        return call_sql(self.function, self.alias, self.prefix + sql)

    def require_driver(self, module: str) -> None:
        """Raise ConfigError if the package that writes to the server is not installed."""
        if find_spec(module) is None:
            raise ConfigError(
                f"{self.connection}: writing to {self.label} needs the package {module}; "
                f"run pip install 'unify-sql[{self.extra}]'"
            )

    def _refuse_address(self, name: str) -> None:
        """Refuse an address with credentials: errors of the server's client would repeat them."""
        value = self.option(name)
        if "://" in value or re.search(r"\bpassword\s*=", value, re.IGNORECASE):
            raise ConfigError(
                f"{self.connection}.options.{name}: this is an address of a database; host, port, database, "
                "user and password are options of their own"
            )

    def seconds(self, name: str) -> float:
        """Return the value of an option that is a duration. Raises ConfigError."""
        try:
            return parse_duration(self.option(name))
        except ValueError as error:
            raise ConfigError(f"{self.connection}.options.{name}: {error}") from error

    def whole_select(self, table: DatabaseTable, read: RelationRead) -> SourceSelect | None:
        """Return the SELECT of a read of all rows; None if the server has to give fewer."""
        if read.count_only or read.conditions or read.limit is not None:
            return None
        if self._plan_groups(table, read, SentConditions((), is_exact=True)) is not None:
            return None
        return SourceSelect(table, tuple(table.select_fields(read.columns)), null_counter=read.null_counter)

    def _plan_groups(
        self, table: DatabaseTable, read: RelationRead, sent: SentConditions
    ) -> GroupRead | None:
        if read.aggregates is None or not self.groups_rows:
            return None
        from unify.adapters.database.aggregates import plan_groups  # loads have no use for sqlglot

        return plan_groups(table, read, sent)

    def _select(
        self, builder: ConditionBuilder, table: DatabaseTable, read: RelationRead, sent: SentConditions
    ) -> SourceSelect:
        order = builder.build_order(read.order_by) if read.limit is not None and sent.is_exact else None
        return SourceSelect(
            table,
            tuple(table.select_fields(read.columns)),
            sent.sql,
            order or (),
            read.limit if order is not None else None,
            builder.index_order(read.order_by[0]) if order else None,
            read.null_counter,
        )


@cache
def process_name() -> str:
    """Return a name that no other process has, for the sessions of this process at a server."""
    return f"{os.getpid()}-{secrets.token_hex(3)}"
