"""The catalog of MySQL and MariaDB: schemas (databases), tables and columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unify.adapters.database.columns import DatabaseColumn, DatabaseTable, ValueKind, with_distinct_names
from unify.adapters.database.mysql.types import MySQLColumn, existing_date_sql, quote_mysql, read_column
from unify.adapters.database.sql_sections import render_section
from unify.adapters.database.statement import call_sql
from unify.adapters.relation import join_table_name, split_table_name
from unify.engine.types import DuckDBType, parse_type
from unify.errors import QueryError
from unify.model import TableDef

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_STATEMENTS = "mysql/catalog.sql"
_NOT_A_SUBQUERY = re.compile(r"\s*(?:show|desc|describe|explain)\b", re.IGNORECASE)


class MySQLCatalog:
    """Asks the catalog of one attached server. ``schemas`` are the configured ones, the first one first."""

    def __init__(self, connection: str, alias: str, schemas: Sequence[str]) -> None:
        self._connection = connection
        self._alias = alias
        self._schemas = schemas

    @property
    def first_schema(self) -> str:
        """The schema of tables whose name has none."""
        return self._schemas[0]

    def list_schemas(self, duck: DuckDBPyConnection) -> Sequence[str]:
        """Return the schemas that the user may see, the configured ones first."""
        rows = self._fetch(duck, "schemas")
        return (*self._schemas, *(str(name) for (name,) in rows if name not in self._schemas))

    def list_tables(self, duck: DuckDBPyConnection, schema: str) -> Sequence[TableDef]:
        """Return the tables of one schema or of all configured ones, without their columns."""
        return [
            TableDef(self.canonical_name(wanted, str(name)), str(description))
            for wanted in ([self._schema_name(duck, schema)] if schema else self._schemas)
            for name, description in self._fetch(duck, "tables", schema=wanted)
        ]

    def find_table(self, duck: DuckDBPyConnection, table: str) -> DatabaseTable | None:
        """Return a table as it is now, by its name in any case; QueryError if several differ in case."""
        try:
            schema, name = split_table_name(table)
        except ValueError:
            return None
        schema = self._schema_name(duck, schema) if schema else self._schemas[0]
        found = [str(row[1]) for row in self._fetch(duck, "find", schema=schema, table=name)]
        match [one for one in found if one == name] or found:
            case []:
                return None
            case [one]:
                return self._read_table(duck, schema, one)
            case several:
                names = " and ".join(self.canonical_name(schema, one) for one in several)
                raise QueryError(
                    f"{self._connection}.{table}: the tables {names} differ only in case; "
                    "write the name in its own case, in double quotes"
                )

    def describe_query(self, duck: DuckDBPyConnection, sql: str) -> DatabaseTable:
        """Return the columns of a query of a user, as a table of that query. The query is not run.

        The extension describes a DECIMAL of more than 38 digits, such as the sum of a BIGINT column, as
        DOUBLE: numbers that it so describes are read as text.
        """
        described = duck.execute(f"DESCRIBE SELECT * FROM {self._call(sql)}").fetchall()
        columns = [_result_column(str(row[0]), parse_type(str(row[1]))) for row in described]
        wrapped = f"(\n{sql}\n) AS q"
        fields = with_distinct_names(columns)
        return DatabaseTable(name="", columns=fields, sql_name=wrapped, fields=fields)

    def session(self, duck: DuckDBPyConnection) -> tuple[str, str, bool, str]:
        """Return version, user, whether it may write, and the version of TLS ("" without it)."""
        [(version, role, is_replica, may_write)] = self._fetch(duck, "session")
        status = duck.execute(f"FROM {self._call(_TLS_STATUS)}").fetchall()
        return (
            str(version),
            str(role),
            bool(may_write and not is_replica),
            str(status[0][1]) if status else "",
        )

    def running_statements(self, duck: DuckDBPyConnection, start: str) -> Sequence[int]:
        """Return the ids of the sessions that run a statement which starts with ``start``."""
        pattern = re.sub(r"([%_\\])", r"\\\1", start) + "%"
        return [int(id) for (id,) in self._fetch(duck, "running", pattern=pattern)]

    def canonical_name(self, schema: str, table: str) -> str:
        """The name of a table within the connection."""
        return join_table_name("" if schema == self._schemas[0] else schema, table)

    def _schema_name(self, duck: DuckDBPyConnection, schema: str) -> str:
        """Return a schema in its own case."""
        known = self.list_schemas(duck)
        return next((one for one in known if one.lower() == schema.lower()), schema)

    def _read_table(self, duck: DuckDBPyConnection, schema: str, name: str) -> DatabaseTable | None:
        rows = self._fetch(duck, "columns", schema=schema, table=name)
        fields = with_distinct_names([read_column(MySQLColumn(*row)) for row in rows])
        names = {column.source_name: column.name for column in fields}
        key = [str(column) for (column,) in self._fetch(duck, "key", schema=schema, table=name)]
        about = self._fetch(duck, "table", schema=schema, table=name)
        if not about:
            return None
        return DatabaseTable(
            name=self.canonical_name(schema, name),
            columns=fields,
            key=tuple(names[column] for column in key) if all(column in names for column in key) else (),
            description=str(about[0][1]),
            approximate_rows=about[0][0],
            sql_name=f"{quote_mysql(schema)}.{quote_mysql(name)}",
            fields=fields,
        )

    def _fetch(self, duck: DuckDBPyConnection, name: str, **values: str) -> list[tuple[Any, ...]]:
        return duck.execute(f"FROM {self._call(render_section(_STATEMENTS, name, **values))}").fetchall()

    def _call(self, sql: str) -> str:
        return call_sql("mysql_query", self._alias, sql)


_TLS_STATUS = "SHOW SESSION STATUS LIKE 'Ssl_version'"


def is_subquery(sql: str) -> bool:
    """Whether a statement may stand in a FROM; SHOW, DESCRIBE and EXPLAIN may not."""
    return _NOT_A_SUBQUERY.match(sql) is None


def _result_column(name: str, described: DuckDBType) -> DatabaseColumn:
    """Return a column of a result, by the type that the extension describes it as."""
    quoted = quote_mysql(name)
    type, fetch, cast_to = described.text, quoted, ""
    match described.name:
        case "DOUBLE":
            type, fetch = "VARCHAR", f"CAST({quoted} AS CHAR)"
        case "BOOLEAN" | "TINYINT":  # of a subquery, either may be taken for a boolean
            type, fetch, cast_to = "TINYINT", f"CAST({quoted} AS SIGNED)", "TINYINT"
        case "DATE" | "TIMESTAMP":
            fetch = f"IF({existing_date_sql(quoted)}, {quoted}, NULL)"
    return DatabaseColumn(
        name=name, type=type, source_name=name, fetch=fetch, cast_to=cast_to, kind=ValueKind.NONE
    )
