"""Adapter ``odbc``: a database that a driver of ODBC reaches."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from unify.adapters.database.columns import DatabaseTable
from unify.adapters.database.drivers.adapter import DriverAdapter
from unify.adapters.database.drivers.columns import (
    ChosenType,
    DriverColumn,
    chosen_types,
    driver_table,
    value_error,
)
from unify.adapters.database.drivers.dialect import DriverDialect
from unify.adapters.database.drivers.odbc_columns import OdbcType, odbc_column
from unify.adapters.database.drivers.odbc_connection import (
    connection_string,
    odbc_error,
    parse_parameters,
    passwords_of,
)
from unify.adapters.database.drivers.sessions import DriverSession, TableId
from unify.adapters.options import ListOption, split_list
from unify.adapters.spec.elements import Option
from unify.config.connection_tables import TableSettings
from unify.durations import parse_duration
from unify.errors import ConfigError, UnifyError

if TYPE_CHECKING:
    import pyarrow
    import pyodbc

BATCH_ROWS = 10_000  # fetched and handed to DuckDB at once
_READS = ("TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "PARTITIONED TABLE", "SYNONYM")
_LIMITS = {  # by the start of the name of the database
    "PostgreSQL": "LIMIT {}",
    "SQLite": "LIMIT {}",
    "MySQL": "LIMIT {}",
    "MariaDB": "LIMIT {}",
    "Snowflake": "LIMIT {}",
    "Oracle": "FETCH FIRST {} ROWS ONLY",
    "DB2": "FETCH FIRST {} ROWS ONLY",
}
_FIRST_SCHEMAS = {"PostgreSQL": "public", "Microsoft SQL Server": "dbo"}
_EXACT_TEXTS = ("PostgreSQL",)  # whose driver sets DateStyle to ISO
_RESULT_TYPES = {  # of a column of a query, by the type of its values in Python
    int: OdbcType(-5),
    float: OdbcType(8),
    bool: OdbcType(-7),
    str: OdbcType(12),
    bytearray: OdbcType(-3),
    bytes: OdbcType(-3),
    datetime.date: OdbcType(91),
    datetime.datetime: OdbcType(93, digits=6),
    datetime.time: OdbcType(92),
    Decimal: OdbcType(2),  # its digits are not known
    uuid.UUID: OdbcType(-11),
}


class OdbcAdapter(DriverAdapter):
    """The tables of one database behind a driver of ODBC."""

    label = "ODBC"
    extra = "odbc"
    requires = ("pyodbc", "pyarrow")
    asks = ("driver", "dsn", "parameters", "user", "password", "schemas")
    takes: ClassVar[tuple[Option, ...]] = (
        Option("driver", "Name of the driver as odbcinst -q -d lists it, or the path of its library"),
        Option("dsn", "Name of a data source of odbc.ini, in place of a driver"),
        ListOption("parameters", "Keywords of the driver, such as Server=db.example.org, Database=app"),
        Option("user", "User name (keyword UID)"),
        Option("password", "Password (keyword PWD)", secret=True),
        Option("connection_string", "A whole connection string, in place of the options above", secret=True),
        ListOption("schemas", "Schemas whose tables are listed; the first one needs no name"),
        Option("connect_timeout", "How long to wait for a connection", default="10s"),
        Option("statement_timeout", "How long one statement may take, if the driver supports it"),
    )

    def connect(self) -> OdbcSession:
        pyodbc = self._import()
        text = self._connection_string()
        timeout = max(1, round(self._seconds("connect_timeout")))
        connection = pyodbc.connect(text, autocommit=False, readonly=True, timeout=timeout)
        if self.option("statement_timeout"):
            connection.timeout = max(1, round(self._seconds("statement_timeout")))
        return OdbcSession(connection)

    def translate(self, error: Exception) -> UnifyError | None:
        import pyodbc

        driver = self.option("driver") or self.option("dsn") or "of the connection string"
        return odbc_error(self.connection, driver, error) if isinstance(error, pyodbc.Error) else None

    def secrets(self) -> Sequence[str]:
        return [*super().secrets(), *passwords_of(self.secret("connection_string"))]

    def _connection_string(self) -> str:
        if whole := self.secret("connection_string"):
            return whole
        place = f"{self.connection}.options"
        if bool(self.option("driver")) == bool(self.option("dsn")):
            raise ConfigError(f"{place}: one of driver, dsn and connection_string is needed")
        own = {"DRIVER": self.option("driver"), "DSN": self.option("dsn")}
        parameters = parse_parameters(f"{place}.parameters", split_list(self.option("parameters")))
        user = {"UID": self.option("user"), "PWD": self.secret("password")}
        return connection_string({**own, **parameters, **user})

    def _import(self) -> Any:
        try:
            import pyodbc
        except ImportError as error:
            raise ConfigError(
                f"{self.connection}: pyodbc needs the driver manager unixODBC (Debian: apt install unixodbc; "
                "macOS: brew install unixodbc)"
            ) from error
        pyodbc.pooling = False  # DriverSessionPool keeps connections
        return pyodbc

    def _seconds(self, name: str) -> float:
        try:
            return parse_duration(self.option(name))
        except ValueError as error:
            raise ConfigError(f"{self.connection}.options.{name}: {error}") from error


class OdbcSession(DriverSession):
    """One connection of ODBC."""

    def __init__(self, connection: pyodbc.Connection) -> None:
        import pyodbc

        self._connection = connection
        self._database = str(connection.getinfo(pyodbc.SQL_DBMS_NAME) or "")
        self._version = str(connection.getinfo(pyodbc.SQL_DBMS_VER) or "")
        self._user = str(connection.getinfo(pyodbc.SQL_USER_NAME) or "")
        self._catalog = str(connection.getinfo(pyodbc.SQL_DATABASE_NAME) or "")
        limits = (text for name, text in _LIMITS.items() if self._database.startswith(name))
        quote = str(connection.getinfo(pyodbc.SQL_IDENTIFIER_QUOTE_CHAR) or "")
        self.dialect = DriverDialect(quote, next(limits, ""), escapes=True)
        self._cursor: pyodbc.Cursor | None = None

    def default_schema(self) -> str:
        if self._database in _FIRST_SCHEMAS:
            return _FIRST_SCHEMAS[self._database]
        return next((one.schema for one in self.tables() if one.schema.lower() == self._user.lower()), "")

    def tables(self, schema: str = "", table: str = "") -> Sequence[TableId]:
        with closing(self._connection.cursor()) as cursor:
            rows = cursor.tables(
                table=table or None, schema=schema or None, catalog=self._in_catalog()
            ).fetchall()
        found = [
            TableId(str(row[1] or ""), str(row[2]), str(row[4] or ""))
            for row in rows
            if str(row[3]).upper() in _READS
        ]
        # The names are patterns, in which _ is any character.
        return [
            one for one in found if (not schema or one.schema == schema) and (not table or one.table == table)
        ]

    def describe(self, table: TableId, name: str, settings: TableSettings) -> DatabaseTable:
        chosen = chosen_types(settings)
        with closing(self._connection.cursor()) as cursor:
            found = cursor.columns(
                table=table.table, schema=table.schema or None, catalog=self._in_catalog()
            ).fetchall()
        rows = [row for row in found if row[2] == table.table and (row[1] or "") == table.schema]
        fields = [
            odbc_column(
                str(row[3]),
                self.dialect.name(str(row[3])),
                OdbcType(int(row[4]), str(row[5]), int(row[6] or 0), int(row[8] or 0)),
                chosen.get(str(row[3]).lower()),
                has_exact_texts=self._database in _EXACT_TEXTS,
            )
            for row in rows
        ]
        return driver_table(name, self.dialect.name(table.schema, table.table), fields, self._key(table))

    def describe_query(self, sql: str) -> DatabaseTable:
        source = f"(\n{sql}\n) unify_query"
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(f"SELECT * FROM {source} WHERE 1 = 0")
            described = [(str(column[0]), column[1]) for column in cursor.description or ()]
        fields = [self._result_column(name, type) for name, type in described]
        return driver_table("", source, fields, ())

    def _result_column(self, name: str, type: type) -> DriverColumn:
        """Return a column of a query, of which the type of its values in Python is known only."""
        is_exact = self._database in _EXACT_TEXTS
        zoned = ChosenType() if is_exact and type is datetime.datetime else None  # it may have a zone
        result = _RESULT_TYPES.get(type, OdbcType(0))
        return odbc_column(name, self.dialect.name(name), result, zoned, has_exact_texts=is_exact)

    def batches(
        self, sql: str, schema: pyarrow.Schema, names: Sequence[str]
    ) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow

        with closing(self._connection.cursor()) as self._cursor:
            self._cursor.execute(sql)
            while rows := self._cursor.fetchmany(BATCH_ROWS):
                columns = [
                    _column(values, field.type, name)
                    for values, field, name in zip(zip(*rows, strict=True), schema, names, strict=True)
                ]
                yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)
        self._cursor = None

    def identity(self) -> str:
        place = f"{self._user} at {self._catalog}" if self._user else self._catalog
        return ", ".join(part for part in (place, f"{self._database} {self._version}", "by ODBC") if part)

    def rollback(self) -> None:
        self._connection.rollback()

    def cancel(self) -> None:
        import pyodbc

        cursor = self._cursor
        if cursor is not None:
            with suppress(pyodbc.Error):  # it has ended meanwhile
                cursor.cancel()

    def close(self) -> None:
        import pyodbc

        with suppress(pyodbc.Error):  # the connection is lost
            self._connection.close()

    def _in_catalog(self) -> str | None:
        return self._catalog if self._database.startswith(("MySQL", "MariaDB")) else None

    def _key(self, table: TableId) -> Sequence[str]:
        import pyodbc

        try:
            with closing(self._connection.cursor()) as cursor:
                rows = cursor.primaryKeys(
                    table=table.table, schema=table.schema or None, catalog=self._in_catalog()
                ).fetchall()
        except pyodbc.Error:  # the driver cannot tell
            self._connection.rollback()
            return ()
        return [str(row[3]) for row in sorted(rows, key=lambda row: int(row[4]))]


def _column(values: Sequence[object], type: pyarrow.DataType, name: str) -> pyarrow.Array:
    """Return the values of a column. Raises SourceError for one that is not of ``type``."""
    import pyarrow

    try:
        if pyarrow.types.is_string(type):
            values = [value if value is None else _text(value) for value in values]
        elif pyarrow.types.is_binary(type):
            values = [value if value is None else bytes(value) for value in values]  # type: ignore[call-overload]
        return pyarrow.array(values, type)
    except (pyarrow.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise value_error(name, error) from error


def _text(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
