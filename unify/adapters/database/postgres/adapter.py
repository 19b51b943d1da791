"""Adapter ``postgres``: the tables and views of a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from unify.adapters.database.adapter import DatabaseAdapter, process_name
from unify.adapters.database.attachment import ServerAttachment, translate_source_errors
from unify.adapters.database.postgres.bulk import PostgresBulk
from unify.adapters.database.postgres.catalog import PostgresCatalog
from unify.adapters.database.postgres.dialect import PostgresDialect
from unify.adapters.options import ListOption, PathOption, split_list
from unify.adapters.relation import (
    ParallelRead,
    RelationRead,
    SourceLoad,
    SourceLoadRequest,
    SourceTable,
)
from unify.adapters.spec.elements import Option
from unify.config.connection_tables import TableSettings
from unify.config.secrets import Secret
from unify.engine.connection import quote_literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.database.postgres.writer import PostgresWriter

MIN_PARALLEL_ROWS = 200_000  # a smaller table is read by one statement in some 50 ms
MAX_PARALLEL_CELLS = 4_000_000  # which are in memory before the statement uses them: some 100 MB
_MAX_APPLICATION_CHARS = 63
_NO_SCHEMA = "__unify_none"  # DuckDB lists the tables of this schema only: none, so it reads no catalog
# Of each session: texts of values have one form, whatever the server, database or user has as default.
_SESSION_SETTINGS: Mapping[str, str] = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "on",
}


class PostgresAdapter(DatabaseAdapter):
    """The tables of one database of a PostgreSQL server."""

    label = "PostgreSQL"
    extra = "postgres"
    requires = ("duckdb_extension_postgres_scanner",)
    function = "postgres_query"
    dialect = PostgresDialect()
    groups_rows = True
    asks = ("host", "port", "database", "user", "password", "schemas", "sslmode")
    takes: ClassVar[tuple[Option, ...]] = (
        Option("host", "Name or address of the server, or the folder of its socket", default="localhost"),
        Option("port", "Port of the server", default="5432"),
        Option("database", "Name of the database", required=True),
        Option("user", "User name; without it, the name of the operating system's user"),
        Option("password", "Password", secret=True),
        ListOption(
            "schemas", "Schemas whose tables are listed; the first one needs no name", default="public"
        ),
        Option("sslmode", "disable, prefer, require, verify-ca or verify-full", default="prefer"),
        PathOption(
            "sslrootcert", "File of the certificates that the server's certificate is checked against"
        ),
        PathOption("sslcert", "File of the client certificate"),
        PathOption("sslkey", "File of the key of the client certificate"),
        Option("connect_timeout", "How long to wait for a connection", default="10s"),
        Option(
            "statement_timeout", "How long one statement may take, such as 5 minutes; without it, no limit"
        ),
        Option("application_name", "Start of the name in pg_stat_activity", default="unify"),
    )

    def __init__(
        self,
        connection: str,
        options: Mapping[str, str | Secret | None],
        tables: Mapping[str, TableSettings],
    ) -> None:
        super().__init__(connection, options, tables)
        schemas = split_list(self.option("schemas")) or ("public",)
        self._catalog = PostgresCatalog(connection, self.alias, schemas, self.settings_of)

    @property
    def catalog(self) -> PostgresCatalog:
        return self._catalog

    @property
    def application(self) -> str:
        """The name of the sessions of this process in pg_stat_activity."""
        name = f"{self.option('application_name')} {self.connection}"
        own = f" {process_name()}"
        return name[: _MAX_APPLICATION_CHARS - len(own)] + own

    def attach(self, duck: DuckDBPyConnection) -> None:
        self._attachment().attach(duck)

    def _attachment(self) -> ServerAttachment:
        names = ("host", "port", "database", "user")
        parameters = {name.upper(): value for name in names if (value := self.option(name))}
        if password := self.secret("password"):
            parameters["PASSWORD"] = password
        return ServerAttachment(
            self.connection,
            "postgres_scanner",
            "postgres",
            self.extra,
            parameters,
            self._settings_text(),
            ("READ_ONLY", f"SCHEMA {quote_literal(_NO_SCHEMA)}"),
        )

    def identify(self, duck: DuckDBPyConnection) -> str:
        session = self._catalog.session(duck)
        rights = "may write" if session.may_write and not session.is_replica else "read-only"
        encryption = session.tls or "no TLS"
        return f"{session.role} at {session.database}, PostgreSQL {session.version}, {rights}, {encryption}"

    def cancel_statements(self, duck: DuckDBPyConnection) -> int:
        return self._catalog.cancel(duck, self.application)

    def open_writer(self, duck: DuckDBPyConnection) -> PostgresWriter:
        from unify.adapters.database.postgres.writer import PostgresWriter

        self.require_driver("psycopg")
        names = {"host": "host", "port": "port", "database": "dbname", "user": "user"}
        parameters = {libpq: value for name, libpq in names.items() if (value := self.option(name))}
        if password := self.secret("password"):
            parameters["password"] = password
        session = {**self._session_settings(), "default_transaction_read_only": "off", "lc_monetary": "C"}
        return PostgresWriter(
            self.connection,
            {**parameters, **self._settings(session)},
            lambda name: self.find_table(duck, name),
            self._catalog.first_schema,
        )

    @contextmanager
    def plan_parallel_read(
        self, duck: DuckDBPyConnection, table: SourceTable, read: RelationRead, readers: int
    ) -> Iterator[ParallelRead | None]:
        known = self.database_table(duck, table)
        select = self.whole_select(known, read)
        rows = known.approximate_rows or 0
        if select is None or rows < MIN_PARALLEL_ROWS or rows * len(select.columns) > MAX_PARALLEL_CELLS:
            yield None
            return
        bulk = PostgresBulk(self.alias, self.option("application_name"))
        with translate_source_errors(self.connection), bulk.plan_read(duck, select, readers) as parts:
            yield parts

    @contextmanager
    def plan_load(
        self, duck: DuckDBPyConnection, table: SourceTable, request: SourceLoadRequest
    ) -> Iterator[SourceLoad]:
        known = self.database_table(duck, table)
        bulk = PostgresBulk(self.alias, self.option("application_name"))
        with translate_source_errors(self.connection), bulk.plan(duck, known, request) as load:
            yield load

    def _settings_text(self) -> str:
        """The settings of the connection in libpq's form."""
        values = self._settings(self._session_settings())
        return " ".join(f"{name}={_quote_setting(value)}" for name, value in values.items())

    def _settings(self, session: Mapping[str, str]) -> Mapping[str, str]:
        """The settings of a connection by libpq's names, without who connects. ``session``: of the server."""
        values = {
            "options": " ".join(f"-c{name}={value}" for name, value in session.items()),
            "application_name": self.application,
            "connect_timeout": f"{max(1, round(self.seconds('connect_timeout')))}",
            "client_encoding": "UTF8",
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
            **{name: self.option(name) for name in ("sslmode", "sslrootcert", "sslcert", "sslkey")},
        }
        return {name: value for name, value in values.items() if value}

    def _session_settings(self) -> Mapping[str, str]:
        if not self.option("statement_timeout"):
            return _SESSION_SETTINGS
        timeout_ms = max(1, round(self.seconds("statement_timeout") * 1000))
        return {**_SESSION_SETTINGS, "statement_timeout": str(timeout_ms)}


def _quote_setting(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
