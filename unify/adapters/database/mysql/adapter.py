"""Adapter ``mysql``: the tables and views of a MySQL or MariaDB server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from unify.adapters.database.adapter import DatabaseAdapter, process_name
from unify.adapters.database.attachment import ServerAttachment
from unify.adapters.database.columns import DatabaseTable
from unify.adapters.database.mysql.catalog import MySQLCatalog, is_subquery
from unify.adapters.database.mysql.dialect import MySQLDialect
from unify.adapters.database.statement import SourceSelect, call_sql
from unify.adapters.options import ListOption, PathOption, split_list
from unify.adapters.relation import Relation
from unify.adapters.spec.elements import Option
from unify.config.connection_tables import TableSettings
from unify.config.secrets import Secret
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.model import Column

if TYPE_CHECKING:
    from ssl import SSLContext

    from duckdb import DuckDBPyConnection

    from unify.adapters.database.mysql.writer import MySQLWriter


class MySQLAdapter(DatabaseAdapter):
    """The tables of the databases of a MySQL or MariaDB server."""

    label = "MySQL"
    extra = "mysql"
    requires = ("duckdb_extension_mysql_scanner",)
    function = "mysql_query"
    dialect = MySQLDialect()
    asks = ("host", "port", "database", "user", "password")
    takes: ClassVar[tuple[Option, ...]] = (
        Option("host", "Name or address of the server", default="127.0.0.1"),
        Option("port", "Port of the server", default="3306"),
        Option("database", "Name of the database, whose tables need no schema", required=True),
        Option("user", "User name"),
        Option("password", "Password", secret=True),
        ListOption("schemas", "Databases whose tables are listed; without it, that of the option database"),
        Option(
            "ssl_mode", "disabled, preferred, required, verify_ca or verify_identity", default="preferred"
        ),
        PathOption("ssl_ca", "File of the certificates that the server's certificate is checked against"),
        PathOption("ssl_cert", "File of the client certificate"),
        PathOption("ssl_key", "File of the key of the client certificate"),
        Option(
            "statement_timeout", "How long one statement may take, such as 5 minutes; without it, no limit"
        ),
    )

    def __init__(
        self,
        connection: str,
        options: Mapping[str, str | Secret | None],
        tables: Mapping[str, TableSettings],
    ) -> None:
        super().__init__(connection, options, tables)
        database = self.option("database")
        others = [name for name in split_list(self.option("schemas")) if name != database]
        self._catalog = MySQLCatalog(connection, self.alias, (database, *others))

    @property
    def catalog(self) -> MySQLCatalog:
        return self._catalog

    @property
    def prefix(self) -> str:
        """The mark by which a statement of this process is found at the server, and its time limit."""
        if not self.option("statement_timeout"):
            return f"{self._mark} "
        seconds = f"{max(0.001, self.seconds('statement_timeout')):.3f}"
        return f"{self._mark} /*M! SET STATEMENT max_statement_time={seconds} FOR */ "

    def attach(self, duck: DuckDBPyConnection) -> None:
        self._attachment().attach(duck)

    def open_writer(self, duck: DuckDBPyConnection) -> MySQLWriter:
        from unify.adapters.database.mysql.writer import MySQLWriter

        self.require_driver("pymysql")
        return MySQLWriter(
            self.connection,
            self._connect_parameters(),
            self._mark,
            lambda name: self.find_table(duck, name),
            self._catalog.first_schema,
        )

    def _connect_parameters(self) -> Mapping[str, Any]:
        """The options as PyMySQL names them; TLS by ``ssl_mode``, as DuckDB's extension has it."""
        mode = self.option("ssl_mode")
        tls: dict[str, Any] = {
            name: value for name in ("ssl_ca", "ssl_cert", "ssl_key") if (value := self.option(name))
        }
        if mode == "disabled":
            tls = {"ssl_disabled": True}
        elif mode == "required" and not tls:
            tls = {"ssl": _unverified_context()}
        elif mode in ("verify_ca", "verify_identity"):
            tls |= {"ssl_verify_cert": True, "ssl_verify_identity": mode == "verify_identity"}
        return {
            "host": self.option("host"),
            "port": int(self.option("port")),
            "user": self.option("user"),
            "password": self.secret("password"),
            "database": self.option("database"),
            **tls,
        }

    def _attachment(self) -> ServerAttachment:
        names = ("host", "port", "database", "user")
        parameters = {name.upper(): value for name in names if (value := self.option(name))}
        if password := self.secret("password"):
            parameters["PASSWORD"] = password
        settings = ("ssl_mode", "ssl_ca", "ssl_cert", "ssl_key")
        text = " ".join(
            f"{name}={_quote_setting(value)}" for name in settings if (value := self.option(name))
        )
        return ServerAttachment(self.connection, "mysql_scanner", "mysql", self.extra, parameters, text)

    def read_sql(self, select: SourceSelect) -> str:
        """MySQL takes the time limit as a hint behind SELECT, MariaDB as ``prefix`` has it."""
        sql = super().read_sql(select)
        if not self.option("statement_timeout"):
            return sql
        limit_ms = max(1, round(self.seconds("statement_timeout") * 1000))
        start = f"{self.prefix}SELECT "
        return sql.replace(start, f"{start}/*+ MAX_EXECUTION_TIME({limit_ms}) */ ", 1)

    def query_relation(self, duck: DuckDBPyConnection, described: DatabaseTable, sql: str) -> Relation:
        if is_subquery(sql):
            return super().query_relation(duck, described, sql)
        plain = f"SELECT * FROM {call_sql(self.function, self.alias, sql)}"
        rows = duck.execute(f"DESCRIBE {plain}").fetchall()
        return Relation(plain, tuple(Column(str(row[0]), str(row[1])) for row in rows), (sql,))

    def identify(self, duck: DuckDBPyConnection) -> str:
        version, role, may_write, tls = self._catalog.session(duck)
        rights = "may write" if may_write else "read-only"
        product = "MariaDB" if "mariadb" in version.lower() else "MySQL"
        return f"{role} at {self.option('database')}, {product} {version}, {rights}, {tls or 'no TLS'}"

    def cancel_statements(self, duck: DuckDBPyConnection) -> int:
        """End them on an attachment of its own: one that is read-only may not send KILL."""
        alias = f"{self.alias}_cancel"
        attachment = self._attachment()
        running = list(self._catalog.running_statements(duck, self._mark))
        for id in running:
            duck.execute(
                f"ATTACH IF NOT EXISTS {quote_literal(attachment.settings)} AS {quoted(alias)} "
                f"(TYPE mysql, SECRET {quoted(self.alias)})"
            )
            duck.execute(f"CALL mysql_execute({quote_literal(alias)}, 'KILL QUERY {id}')").fetchall()
        duck.execute(f"DETACH DATABASE IF EXISTS {quoted(alias)}")
        return len(running)

    @property
    def _mark(self) -> str:
        return f"/* unify {self.connection} {process_name()} */"


def _unverified_context() -> SSLContext:
    """TLS without a check of the certificate: ``required`` asks for encryption only."""
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _quote_setting(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if " " in value else value
