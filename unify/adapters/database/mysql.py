"""Adapter ``mysql``: the tables and views of a MySQL or MariaDB server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace

from unify.adapters.database.attachment import ServerAttachment
from unify.adapters.database.columns import DatabaseColumn, ValueKind
from unify.adapters.database.conditions import ConditionDialect
from unify.adapters.database.mysql_catalog import MySQLCatalog, is_subquery
from unify.adapters.database.mysql_types import quote_mysql, text_bytes_sql
from unify.adapters.database.server import ServerAdapter, process_name
from unify.adapters.database.statement import SourceSelect, call_sql
from unify.adapters.options import ListOption, PathOption, split_list
from unify.adapters.relation import Relation, SortOrder
from unify.adapters.spec.model import Option
from unify.config.connection_tables import TableSettings
from unify.config.secrets import Secret
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.model import Column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ZONE_MARGIN_S = 26 * 3600  # more than any two time zones differ, and any change of an offset
_MAX_MOMENT_S = 2**31 - 1  # of a TIMESTAMP; FROM_UNIXTIME is NULL beyond it in older versions


class MySQLDialect(ConditionDialect):
    """MySQL's constants. Texts are equal by a collation, so their bytes are compared as well.

    The comparison by the collation can use an index; that of the bytes gives DuckDB's result.
    """

    def literal(self, kind: ValueKind, text: str) -> str:
        match kind:
            case ValueKind.INTEGER | ValueKind.DECIMAL | ValueKind.BOOLEAN:
                return text
            case ValueKind.DOUBLE:
                return f"{text}e0"
            case ValueKind.DATE:
                return f"date {quote_literal(text)}"
            case ValueKind.TIMESTAMP:
                return f"timestamp {quote_literal(text)}"
            case ValueKind.TIMESTAMPTZ:
                return f"{Decimal(_epoch_us(text)).scaleb(-6):f}"
            case _:
                return quote_mysql_text(text)

    def compare_text(self, column: DatabaseColumn, operator: str, text: str) -> str | None:
        return f"{text_bytes_sql(column.compare)} {operator} {_bytes(text)}"

    def exact_text(self, column: DatabaseColumn, texts: Sequence[str]) -> str:
        literals = ", ".join(_bytes(text) for text in texts)
        return f"{text_bytes_sql(column.compare)} IN ({literals})"

    def starts_with(self, column: DatabaseColumn, prefix: str) -> str | None:
        if "\\" in prefix:
            return None
        pattern = f"{prefix}%"
        by_bytes = f"{text_bytes_sql(column.compare)} LIKE {_bytes(pattern)}"
        return f"{column.compare} LIKE {quote_mysql_text(pattern)} AND {by_bytes}"

    def index_bound(self, column: DatabaseColumn, operator: str, text: str) -> str:
        if column.kind is not ValueKind.TIMESTAMPTZ:
            return ""
        moment_s = _epoch_us(text) // 1_000_000
        low, high = moment_s - _ZONE_MARGIN_S, moment_s + _ZONE_MARGIN_S
        name = quote_mysql(column.source_name)
        bounds = []
        if operator in (">", ">=", "=", "in") and low > 0:
            bounds.append(f"{name} >= FROM_UNIXTIME({low})")
        if operator in ("<", "<=", "=", "in") and 0 < high < _MAX_MOMENT_S:
            bounds.append(f"{name} <= FROM_UNIXTIME({high})")
        return " AND ".join(bounds)

    def order(self, column: DatabaseColumn, order: SortOrder) -> str:
        """The server sorts NULL before all values."""
        direction = "DESC" if order.descending else "ASC"
        is_natural = order.nulls_first is not order.descending
        nulls = "" if is_natural or not column.has_null else f"{column.sort} IS {_null_test(order)}NULL, "
        return f"{nulls}{column.sort} {direction}"


class MySQLAdapter(ServerAdapter):
    """The tables of the databases of a MySQL or MariaDB server."""

    label = "MySQL"
    extra = "mysql"
    requires = ("duckdb_extension_mysql_scanner",)
    function = "mysql_query"
    dialect = MySQLDialect()
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

    def attachment(self) -> ServerAttachment:
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

    def query(self, duck: DuckDBPyConnection, sql: str) -> Relation:
        relation = super().query(duck, sql)
        if is_subquery(sql):
            return relation
        plain = call_sql(self.function, self.alias, sql.strip().rstrip(";"))
        described = duck.execute(f"DESCRIBE SELECT * FROM {plain}").fetchall()
        columns = tuple(Column(str(row[0]), str(row[1])) for row in described)
        return replace(relation, sql=f"SELECT * FROM {plain}", columns=columns)

    def identify(self, duck: DuckDBPyConnection) -> str:
        version, role, may_write, tls = self._catalog.session(duck)
        rights = "may write" if may_write else "read-only"
        product = "MariaDB" if "mariadb" in version.lower() else "MySQL"
        return f"{role} at {self.option('database')}, {product} {version}, {rights}, {tls or 'no TLS'}"

    def cancel_statements(self, duck: DuckDBPyConnection) -> None:
        """End them on an attachment of its own: one that is read-only may not send KILL."""
        alias = f"{self.alias}_cancel"
        attachment = self.attachment()
        for id in self._catalog.running_statements(duck, self._mark):
            duck.execute(
                f"ATTACH IF NOT EXISTS {quote_literal(attachment.settings)} AS {quoted(alias)} "
                f"(TYPE mysql, SECRET {quoted(self.alias)})"
            )
            duck.execute(f"CALL mysql_execute({quote_literal(alias)}, 'KILL QUERY {id}')").fetchall()
        duck.execute(f"DETACH DATABASE IF EXISTS {quoted(alias)}")

    @property
    def _mark(self) -> str:
        return f"/* unify {self.connection} {process_name()} */"


def quote_mysql_text(text: str) -> str:
    """Quote a text; one with a backslash, whose meaning the server may be set to change, as its bytes."""
    return f"_utf8mb4 {_hex(text)}" if "\\" in text else quote_literal(text)


def _bytes(text: str) -> str:
    return _hex(text) if "\\" in text else f"CAST({quote_literal(text)} AS BINARY)"


def _hex(text: str) -> str:
    return f"X'{text.encode().hex()}'"


def _null_test(order: SortOrder) -> str:
    return "NOT " if order.nulls_first else ""


def _epoch_us(text: str) -> int:
    """Return a moment in UTC as microseconds since 1970."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1)) // timedelta(microseconds=1)


def _quote_setting(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if " " in value else value
