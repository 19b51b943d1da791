"""Adapter ``adbc``: a database that a driver of ADBC (Arrow Database Connectivity) reaches."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import quote, unquote, urlsplit

from unify.adapters.database.columns import DatabaseTable
from unify.adapters.database.drivers.adapter import DriverAdapter
from unify.adapters.database.drivers.adbc_columns import adbc_columns, cast_array
from unify.adapters.database.drivers.columns import chosen_types, driver_table
from unify.adapters.database.drivers.dialect import DriverDialect
from unify.adapters.database.drivers.odbc_connection import parse_parameters
from unify.adapters.database.drivers.sessions import DriverSession, TableId
from unify.adapters.database.error_messages import server_error
from unify.adapters.options import ListOption, split_list
from unify.adapters.spec.elements import Option
from unify.config.connection_tables import TableSettings
from unify.errors import ConfigError, Forbidden, Interrupted, NotFound, SourceError, Unauthorized, UnifyError

if TYPE_CHECKING:
    import pyarrow
    from adbc_driver_manager import dbapi

_NAME = re.compile(r"[a-z0-9_]+")
_LIMITED = ("PostgreSQL", "SQLite", "Snowflake", "BigQuery", "duckdb", "DuckDB")  # they have LIMIT
_ORIGIN = re.compile(r"^(?:\w+: )?(?:\[[^\]]*\] )?(?:Execution error \[\w+\]: )?(?:[A-Z]+:  )?")
_STATE = re.compile(r"\s*\. SQLSTATE: \w+\s*$")
_POSITION = re.compile(r"\s*^LINE \d+:.*", re.DOTALL | re.MULTILINE)
_CLASSES: Mapping[str, type[UnifyError]] = {
    "CANCELLED": Interrupted,
    "UNAUTHENTICATED": Unauthorized,
    "UNAUTHORIZED": Forbidden,
    "NOT_FOUND": NotFound,
}


class AdbcAdapter(DriverAdapter):
    """The tables of one database behind a driver of ADBC."""

    label = "ADBC"
    extra = "adbc"
    requires = ("adbc_driver_manager", "pyarrow")
    asks = ("driver", "uri", "user", "password", "parameters", "schemas")
    takes: ClassVar[tuple[Option, ...]] = (
        Option(
            "driver",
            "Name such as snowflake, of the package adbc-driver-NAME, or path of a library",
            required=True,
        ),
        Option("uri", "Address of the database, in the form of the driver", secret=True),
        Option("user", "User name"),
        Option("password", "Password", secret=True),
        ListOption("parameters", "Options of the driver, such as adbc.snowflake.sql.account=acme"),
        ListOption("schemas", "Schemas whose tables are listed; the first one needs no name"),
        Option("identifier_quote", "The character around names in SQL", default='"'),
    )

    def connect(self) -> AdbcSession:
        from adbc_driver_manager import dbapi

        driver = self._driver()
        connection = dbapi.connect(driver=driver, db_kwargs=dict(self._database_options()), autocommit=False)
        try:
            return AdbcSession(connection, self.option("identifier_quote"), self.option("user"))
        except BaseException:
            connection.close()
            raise

    def translate(self, error: Exception) -> UnifyError | None:
        import pyarrow
        from adbc_driver_manager import dbapi

        # A row that cannot be fetched is an error of Arrow: an OSError, or one of its own.
        is_of_driver = isinstance(error, (dbapi.Error, pyarrow.ArrowException, OSError))
        return adbc_error(self.connection, error) if is_of_driver else None

    def secrets(self) -> Sequence[str]:
        password = _password_of(self.secret("uri"))
        quoted_password = quote(self.secret("password"), safe="")
        return [*super().secrets(), *filter(None, (password, unquote(password), quoted_password))]

    def _driver(self) -> str:
        """Return the path of the library of the driver. Raises ConfigError if it is not installed."""
        name = self.option("driver")
        if os.sep in name:
            if not os.path.exists(name):
                raise ConfigError(f"{self.connection}.options.driver: there is no file {name}")
            return name
        module = f"adbc_driver_{name}"
        if not _NAME.fullmatch(name) or find_spec(module) is None:
            raise ConfigError(
                f"{self.connection}.options.driver: the ADBC driver {name} is not installed; "
                f"run pip install adbc-driver-{name}, or give the path of its library"
            )
        return str(importlib.import_module(module)._driver_path())

    def _database_options(self) -> Mapping[str, str]:
        """Return the options by the names of ADBC. PostgreSQL's driver takes the user in the address only."""
        place = f"{self.connection}.options.parameters"
        options = dict(parse_parameters(place, split_list(self.option("parameters"))))
        uri, user, password = self.secret("uri"), self.option("user"), self.secret("password")
        if user and re.match("postgres(ql)?://", uri) and urlsplit(uri).username is None:
            scheme, _, rest = uri.partition("://")
            own = ":".join(quote(part, safe="") for part in (user, password) if part)
            uri, user, password = f"{scheme}://{own}@{rest}", "", ""
        given = {"uri": uri, "username": user, "password": password}
        return {**options, **{name: value for name, value in given.items() if value}}


class AdbcSession(DriverSession):
    """One connection of ADBC."""

    def __init__(self, connection: dbapi.Connection, identifier_quote: str, user: str) -> None:
        self._connection = connection
        information = connection.adbc_get_info()
        self._database = str(information.get("vendor_name") or "")
        self._version = str(information.get("vendor_version") or "")
        self._user = user
        self._catalog = self._current("adbc_current_catalog")
        self.dialect = DriverDialect(identifier_quote, "LIMIT {}" if self._database in _LIMITED else "")
        self._cursor: dbapi.Cursor | None = None

    def default_schema(self) -> str:
        return self._current("adbc_current_db_schema")

    def tables(self, schema: str = "", table: str = "") -> Sequence[TableId]:
        found = self._objects("tables", schema, table)
        # The filters are patterns, in which _ is any character.
        return [
            one
            for one, _ in found
            if (not schema or one.schema == schema) and (not table or one.table == table)
        ]

    def describe(self, table: TableId, name: str, settings: TableSettings) -> DatabaseTable:
        schema = self._connection.adbc_get_table_schema(table.table, db_schema_filter=table.schema or None)
        fields = adbc_columns(schema, chosen_types(settings), self.dialect)
        sql_name = self.dialect.name(table.schema, table.table)
        return driver_table(name, sql_name, fields, self._key(table))

    def describe_query(self, sql: str) -> DatabaseTable:
        source = f"(\n{sql}\n) unify_query"
        fields = adbc_columns(self._query_schema(f"SELECT * FROM {source}"), {}, self.dialect)
        return driver_table("", source, fields, ())

    def batches(
        self, sql: str, schema: pyarrow.Schema, names: Sequence[str]
    ) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow

        with closing(self._connection.cursor()) as self._cursor:
            self._cursor.execute(sql)
            with self._cursor.fetch_record_batch() as reader:
                for batch in reader:
                    columns = [
                        cast_array(values, field.type, name)
                        for values, field, name in zip(batch.columns, schema, names, strict=True)
                    ]
                    yield pyarrow.RecordBatch.from_arrays(columns, schema=schema)
        self._cursor = None

    def identity(self) -> str:
        place = f"{self._user} at {self._catalog}" if self._user else self._catalog
        return ", ".join(part for part in (place, f"{self._database} {self._version}", "by ADBC") if part)

    def rollback(self) -> None:
        self._connection.rollback()

    def cancel(self) -> None:
        from adbc_driver_manager import dbapi

        cursor = self._cursor
        if cursor is not None:
            with suppress(dbapi.Error):  # it has ended meanwhile
                cursor.adbc_cancel()

    def close(self) -> None:
        from adbc_driver_manager import dbapi

        with suppress(dbapi.Error):  # the connection is lost
            self._connection.close()

    def _current(self, attribute: str) -> str:
        """Return the current catalog or schema; "" if the driver does not tell."""
        from adbc_driver_manager import dbapi

        try:
            return str(getattr(self._connection, attribute) or "")
        except dbapi.Error:
            return ""

    def _query_schema(self, sql: str) -> pyarrow.Schema:
        from adbc_driver_manager import dbapi

        with closing(self._connection.cursor()) as cursor:
            with suppress(dbapi.NotSupportedError):
                return cursor.adbc_execute_schema(sql)
            cursor.execute(sql)
            with cursor.fetch_record_batch() as reader:
                return reader.schema

    def _objects(
        self, depth: Literal["tables", "all"], schema: str, table: str
    ) -> Iterator[tuple[TableId, Mapping[str, object]]]:
        """Yield the tables that the driver lists for the current catalog."""
        with self._connection.adbc_get_objects(
            depth=depth,
            catalog_filter=self._catalog or None,
            db_schema_filter=schema or None,
            table_name_filter=table or None,
        ) as reader:
            catalogs = reader.read_all().to_pylist()
        for catalog in catalogs:
            for found in catalog["catalog_db_schemas"] or ():
                for one in found["db_schema_tables"] or ():
                    yield TableId(found["db_schema_name"] or "", one["table_name"]), one

    def _key(self, table: TableId) -> Sequence[str]:
        from adbc_driver_manager import dbapi

        try:
            found = [one for known, one in self._objects("all", table.schema, table.table) if known == table]
        except dbapi.Error:  # the driver cannot tell
            return ()
        constraints: Sequence[Mapping[str, object]] = [
            each
            for one in found
            for each in (one["table_constraints"] or ())  # type: ignore[attr-defined]
        ]
        keys = [
            each["constraint_column_names"]
            for each in constraints
            if each["constraint_type"] == "PRIMARY KEY"
        ]
        return [str(name) for name in keys[0]] if keys else ()  # type: ignore[attr-defined]


def adbc_error(connection: str, error: Exception) -> UnifyError:
    """Return the error for one of a driver of ADBC."""
    message = str(error)
    text = _POSITION.sub("", _STATE.sub("", _ORIGIN.sub("", message))).strip()
    found = server_error(connection, text)
    if type(found) is not SourceError:
        return found
    return _CLASSES.get(message.partition(":")[0], SourceError)(f"{connection}: {text}")


def _password_of(uri: str) -> str:
    """Return the password of an address, as it is written there; "" without one."""
    found = re.match(r"[\w+.-]+://[^/@:]*:([^@]*)@", uri) or re.search(r"password=([^&\s;]+)", uri)
    return found[1] if found else ""
