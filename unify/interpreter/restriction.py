"""What the statements of a session may do that come from outside a shell: HTTP clients and agents.

Such a session has a restricted lake, and each statement is checked before it runs. Both are independent of
each other: the check knows which tables and functions a statement names; the lake cannot reach anything else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.engine.tokens import tokenize
from unify.engine.types import quote_identifier as quoted
from unify.errors import NotPermitted, QueryError
from unify.interpreter.system_columns import SCHEMA, SYSTEM_TABLES
from unify.lake import catalog
from unify.lake.definitions import definitions
from unify.lake.lake import Lake
from unify.language import commands
from unify.language.commands import Command
from unify.language.sql.analysis import analyse
from unify.language.sql.untrusted import CheckedSelect, ReadTable, check_select
from unify.language.sql.write_statement import parse_write_statement
from unify.language.table_names import schema_within

if TYPE_CHECKING:
    from unify.interpreter.connections import ConnectionCatalog
    from unify.model import TableName

# Paths and settings of the home, output of its scripts, values that were written, statements of others.
PRIVATE_SYSTEM_TABLES = frozenset(
    ("agent_calls", "clients", "deliveries", "script_runs", "settings", "statements", "write_rows")
)
DATABASE_SCHEMAS = frozenset(("information_schema", "mysql", "performance_schema", "sys"))  # and pg_...
_LOADING = commands.LoadTable | commands.RefreshTable | commands.ReloadTable
_OF_A_TABLE = commands.ShowColumns | commands.DescribeTable | commands.CountRows | commands.ShowChanges
READING_COMMANDS = (
    commands.ShowConnections | commands.ShowSchemas | commands.ShowTables | commands.ShowJobs | _OF_A_TABLE
)
_ONLY_SELECT = (
    "Only SELECT, EXPLAIN SELECT, show tables, show columns, describe, count and changes can be run here"
)


class Restriction(Struct, frozen=True):
    """The rights of one session.

    ``may_load``  statements may load and refresh tables, and read live tables of APIs.
    ``schemas``   the schemas that can be read, in lower case; None: all.
    ``is_owner``  of the home, who may also read PRIVATE_SYSTEM_TABLES.
    """

    may_load: bool = False
    schemas: frozenset[str] | None = None
    is_owner: bool = False

    def intersect(self, other: Restriction) -> Restriction:
        """Return what both allow."""
        schemas = self.schemas
        if other.schemas is not None:
            schemas = other.schemas if schemas is None else schemas & other.schemas
        return Restriction(self.may_load and other.may_load, schemas, self.is_owner and other.is_owner)

    def check_tables(self, names: Iterable[TableName]) -> None:
        """Check tables that a statement uses, through views and macros too. Raises QueryError."""
        for name in names:
            self.check_schema(name.schema)

    def check_schema(self, schema: str) -> None:
        """Raise QueryError if the schema cannot be read."""
        if self.schemas is not None and (schema or "main").lower() not in self.schemas:
            readable = ", ".join(sorted(self.schemas))
            raise NotPermitted(f"{schema or 'main'}: no permission to read this schema; readable: {readable}")


class StatementCheck:
    """Checks the statements of a restricted session."""

    def __init__(self, restriction: Restriction, lake: Lake, connections: ConnectionCatalog) -> None:
        self._restriction = restriction
        self._lake = lake
        self._connections = connections

    def check(self, command: Command, parameters: Collection[str]) -> None:
        """Raise QueryError for a command that is not allowed; ``parameters``: names of values given."""
        if isinstance(command, commands.RunSql):
            self._check_sql(command.sql, parameters)
        elif isinstance(command, _LOADING):
            self._require_load(command.table)
        elif isinstance(command, READING_COMMANDS):
            self._check_listing(command)
        else:
            raise QueryError(_ONLY_SELECT)

    def check_write(self, sql: str) -> None:
        """Check the SELECT that INSERT, UPDATE or DELETE reads its rows from. Raises QueryError."""
        statement = parse_write_statement(sql)
        if statement is None or statement.returning:
            raise QueryError("only INSERT, UPDATE and DELETE without RETURNING are planned here")
        target = statement.target
        self._check_table(ReadTable(target.catalog, target.schema, target.table))
        source = statement.source
        if statement.operation != "insert":
            expressions = ", ".join(f"({one.expression})" for one in statement.assignments) or "1"
            name = ".".join(map(quoted, filter(None, (target.catalog, target.schema, target.table))))
            tables = f"{name} {statement.alias}" + (f", {statement.others}" if statement.others else "")
            condition = f" WHERE {statement.where}" if statement.where else ""
            source = f"SELECT {expressions} FROM {tables}{condition}"
        self._check_sql(f"{statement.with_clause} {source}", ())

    def _check_listing(self, command: Command) -> None:
        if isinstance(command, _OF_A_TABLE) and command.table is not None:
            self._check_table(ReadTable("", command.table.schema, command.table.table))
        elif isinstance(command, commands.ShowTables) and command.schema is not None:
            self._restriction.check_schema(command.schema)
        elif self._restriction.schemas is not None:
            raise QueryError("name the table or schema: show tables from S, describe S.T")

    def _require_load(self, table: TableName) -> None:
        if not self._restriction.may_load:
            raise NotPermitted(f"{table}: no permission to load tables; this needs the role loader")
        self._restriction.check_schema(table.schema)
        if self._connections.is_relational(table.schema):
            _check_database_schema(table.schema, schema_within(table.table))

    def _check_sql(self, sql: str, parameters: Collection[str]) -> None:
        macros = {one.name.lower() for one in definitions(self._lake) if not one.is_view}
        try:
            databases = {name.lower() for name in self._connections.relational_names()}
            checked = check_select(_explained(sql), macros.__contains__, databases)
        except ValueError as error:
            raise QueryError(f"the statement {error}. {_ONLY_SELECT}") from error
        given = {name.lower() for name in parameters}
        for variable in analyse(sql).variables:
            if variable.name.lower() not in given:
                raise QueryError(f"${variable.name}: this statement has no such parameter")
        self._check_names(checked)

    def _check_names(self, checked: CheckedSelect) -> None:
        own = {table.name.table.lower() for table in catalog.user_tables(self._lake) if _is_main(table.name)}
        for table in checked.tables:
            name = table.table.lower()
            if table.schema or name not in checked.cte_names:
                self._check_table(table)
            elif name in own and self._restriction.schemas is not None:
                raise QueryError(f"{table} is a table and a name after WITH; choose another name")

    def _check_table(self, table: ReadTable) -> None:
        schema = (table.schema or "main").lower()
        if SCHEMA in (schema, table.catalog.lower()):
            self._check_system_table(table)
        elif table.catalog and self._connections.is_relational(table.catalog):
            schema = table.catalog.lower()  # shop.sales.orders: a schema of a database
            _check_database_schema(schema, table.schema)
        elif not self._connections.has(schema) and schema not in self._schemas():
            raise QueryError(f"schema {table.schema} does not exist (show schemas)")
        elif schema == "main" and not self._is_own(table):
            raise QueryError(f"table {table} does not exist (show tables)")
        elif self._connections.is_relational(schema):
            _check_database_schema(schema, schema_within(table.table))  # shop."sales.orders"
        self._restriction.check_schema(schema)

    def _check_system_table(self, table: ReadTable) -> None:
        name = table.table.lower()
        if name not in SYSTEM_TABLES:
            raise QueryError(f"table {SCHEMA}.{table.table} does not exist (show tables from {SCHEMA})")
        if name in PRIVATE_SYSTEM_TABLES and not self._restriction.is_owner:
            raise NotPermitted(f"{SCHEMA}.{name} can be read in a shell only")

    def _schemas(self) -> Sequence[str]:
        return [name.lower() for name in catalog.schemas(self._lake)] + ["main"]

    def _is_own(self, table: ReadTable) -> bool:
        return any(
            _is_main(one.name) and one.name.table.lower() == table.table.lower()
            for one in catalog.user_tables(self._lake)
        )


def _check_database_schema(connection: str, schema: str) -> None:
    """Raise QueryError for a schema of the database itself, which has password hashes and its settings."""
    name = schema.lower()
    if name in DATABASE_SCHEMAS or name.startswith("pg_"):
        raise NotPermitted(f"{connection}.{schema} is a schema of the database system; read it in a shell")


def _is_main(name: TableName) -> bool:
    return name.schema.lower() == "main"


def _explained(sql: str) -> str:
    """Return the statement that EXPLAIN explains; another one as it is."""
    tokens = tokenize(sql)
    is_explain = len(tokens) > 1 and tokens[0].word == "explain"
    return sql[tokens[1].start :] if is_explain else sql
