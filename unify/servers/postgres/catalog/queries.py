"""Which statements read PostgreSQL's catalog, and their answers.

Drivers and tools ask pg_catalog and information_schema for tables, types and settings. Such statements go to
an empty PostgreSQL as they are; one that also reads rows is refused, because it would see none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from unify.engine.types import quote_identifier as quoted
from unify.interpreter.session import Session
from unify.language.tokenizer import SqlToken, TokenKind, keyword_set, statement_tokens, unquote
from unify.servers.postgres.catalog.tables import ShownTable, read_catalog_tables
from unify.servers.postgres.portals import PortalRows
from unify.servers.postgres.sqlstates import FEATURE_NOT_SUPPORTED, IO_ERROR, ClientError
from unify.servers.postgres.wire_types import BY_OID, TEXT, PostgresType, WireColumn, encode_cell
from unify.servers.users import User

if TYPE_CHECKING:
    from psycopg import pq

    from unify.servers.postgres.catalog.server import CatalogServer

MAX_TIME_S = 5.0  # of a statement
REFRESH_INTERVAL_S = 1.0  # between two looks at the tables of the home
_ROWS_REFUSED = (
    "a statement reads either the catalog (pg_catalog, information_schema, functions such as "
    "current_database) or rows of tables, not both"
)
_SCHEMAS = frozenset(("pg_catalog", "information_schema"))
_FUNCTIONS = keyword_set(
    "col_description current_schema current_database current_schemas current_setting format_type "
    "has_any_column_privilege has_column_privilege has_database_privilege has_function_privilege "
    "has_schema_privilege has_sequence_privilege has_table_privilege "
    "has_tablespace_privilege has_type_privilege inet_client_addr "
    "inet_client_port inet_server_addr inet_server_port obj_description set_config shobj_description "
    "to_regclass to_regnamespace to_regproc to_regprocedure to_regrole to_regtype txid_current version"
)
_KEYWORD_FUNCTIONS = keyword_set(
    "current_catalog current_role current_schema current_user session_user system_user"
)
_OBJECT_TYPES = keyword_set(
    "regclass regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure "
    "regrole regtype oid"
)
# Columns that PostgreSQL 17 renamed; psql 15 and 16 know the older names.
_RENAMED_COLUMNS = {"daticulocale": "datlocale", "colliculocale": "colllocale"}
_RENAMED_IN = 170_000
_READING = frozenset(("select", "with", "values", "table"))
_NOT_A_COLUMN = frozenset((".", "as"))


class PreparedCatalogQuery(Struct, frozen=True):
    """The types of the parameters, and the columns, of a statement."""

    oids: tuple[int, ...]
    columns: tuple[WireColumn, ...]


class CatalogParameters(Struct, frozen=True):
    """Parameters as Bind has them."""

    oids: Sequence[int] = ()
    values: Sequence[bytes | None] = ()
    formats: Sequence[int] = ()


class CatalogDatabase(Protocol):
    """Answers catalog queries of one client."""

    def describe(self, sql: str, oids: Sequence[int]) -> PreparedCatalogQuery: ...

    def run(self, sql: str, query: CatalogParameters, result_formats: Sequence[int]) -> PortalRows: ...

    def configure(self, search_path: str, timeout_s: float | None) -> None: ...

    def cancel(self) -> None: ...

    def close(self) -> None: ...


def is_catalog_query(sql: str) -> bool:
    """Whether a statement names the catalog: its schemas, tables, functions or types."""
    tokens = statement_tokens(sql)
    if not tokens or (tokens[0].keyword not in _READING and tokens[0].text != "("):
        return False
    following = [*tokens[1:], None]
    before: SqlToken | None = None
    for token, after in zip(tokens, following, strict=True):
        if token.kind in (TokenKind.WORD, TokenKind.QUOTED) and _names_catalog(before, token, after):
            return True
        before = token
    return False


def _names_catalog(before: SqlToken | None, token: SqlToken, after: SqlToken | None) -> bool:
    name = unquote(token.text).lower()
    is_call = after is not None and after.text == "("
    previous = before.text.lower() if before is not None else ""
    if name in _SCHEMAS:
        return after is not None and after.text == "."
    if previous == ".":
        return False
    if name in _FUNCTIONS and is_call:
        return True
    if name in _KEYWORD_FUNCTIONS and token.kind is TokenKind.WORD:
        return previous not in _NOT_A_COLUMN
    if name in _OBJECT_TYPES:
        return previous == ":" or (previous == "as" and name != "oid")
    return name.startswith("pg_") and (is_call or previous in ("from", "join", ","))


class CatalogClient:
    """The connection of one client to the catalog server; opened by its first catalog query."""

    def __init__(self, server: CatalogServer, tables: HomeTables, user: User) -> None:
        self._server = server
        self._tables = tables
        self._user = user
        self._connection: pq.abc.PGconn | None = None
        self._search_path = ""
        self._timeout_s = MAX_TIME_S

    def describe(self, sql: str, oids: Sequence[int]) -> PreparedCatalogQuery:
        """Return types of parameters and columns. Raises ClientError."""
        from psycopg import pq

        connection = self._connect()
        known = _with_known_columns(sql, connection.server_version)
        _check(connection.prepare(b"", known.encode(), list(oids)), pq.ExecStatus.COMMAND_OK)
        result = _check(connection.describe_prepared(b""), pq.ExecStatus.COMMAND_OK)
        types = tuple(result.param_type(number) for number in range(result.nparams))
        return PreparedCatalogQuery(types, _columns(result))

    def run(self, sql: str, query: CatalogParameters, result_formats: Sequence[int]) -> PortalRows:
        """Run a statement; its rows are in memory. Raises ClientError."""
        wanted = set(result_formats) or {0}
        results = {format: self._execute(sql, query, format) for format in wanted}
        first = next(iter(results.values()))
        columns = _columns(first)
        formats = list(result_formats)
        if len(formats) != len(columns):
            formats = [formats[0] if formats else 0] * len(columns)
        head = len(columns).to_bytes(2, "big")
        rows = [
            head
            + b"".join(
                encode_cell(results[format].get_value(row, number), bytes)
                for number, format in enumerate(formats)
            )
            for row in range(first.ntuples)
        ]
        return PortalRows(columns, iter([rows]))

    def configure(self, search_path: str, timeout_s: float | None) -> None:
        """Use these settings of the client; "" is the default path."""
        self._search_path = search_path
        self._timeout_s = min(timeout_s or MAX_TIME_S, MAX_TIME_S)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.finish()
            self._connection = None

    def cancel(self) -> None:
        """Cancel the statement that runs; from another thread."""
        if self._connection is not None:
            self._connection.get_cancel().cancel()

    def _execute(self, sql: str, query: CatalogParameters, format: int) -> pq.abc.PGresult:
        from psycopg import pq

        formats = list(query.formats)
        if len(formats) == 1:
            formats *= len(query.values)
        connection = self._connect()
        known = _with_known_columns(sql, connection.server_version)
        result = connection.exec_params(
            known.encode(), list(query.values), list(query.oids) or None, formats or None, format
        )
        return _check(result, pq.ExecStatus.TUPLES_OK)

    def _connect(self) -> pq.abc.PGconn:
        """Return the connection, with the tables of now and the settings that a client cannot change."""
        tables = self._tables.read()
        self._server.start()
        self._server.set_tables(tables)
        if self._connection is None:
            self._connection = self._server.connect(self._user.name)
        path = "RESET search_path"
        if self._search_path:
            names = [part.strip().strip('"') for part in self._search_path.split(",")]
            path = f"SET search_path = {', '.join(map(quoted, names))}"
        self._connection.exec_(
            f"SET statement_timeout = {self._timeout_s * 1000:.0f}; "
            f"RESET default_transaction_read_only; {path}".encode()
        )
        return self._connection


class HomeTables:
    """The tables of the home as one client sees them; read again after a second."""

    def __init__(self, get_session: Callable[[], Session], schemas: frozenset[str] | None) -> None:
        self._get_session = get_session
        self._schemas = schemas
        self._read_at_s = -REFRESH_INTERVAL_S
        self._tables: Sequence[ShownTable] = ()

    def read(self) -> Sequence[ShownTable]:
        """Return the tables. Raises StoreError."""
        if time.monotonic() - self._read_at_s >= REFRESH_INTERVAL_S:
            session = self._get_session()
            session.lake.refresh()
            self._tables = read_catalog_tables(session, self._schemas)
            self._read_at_s = time.monotonic()
        return self._tables


def _with_known_columns(sql: str, server_version: int) -> str:
    """Return a statement with the names that columns of the catalog have in this version of PostgreSQL."""
    if server_version < _RENAMED_IN:
        return sql
    parts, end = [], 0
    for token in statement_tokens(sql):
        if token.text in _RENAMED_COLUMNS:
            parts += [sql[end : token.start], _RENAMED_COLUMNS[token.text]]
            end = token.end
    return "".join([*parts, sql[end:]])


def _columns(result: pq.abc.PGresult) -> tuple[WireColumn, ...]:
    return tuple(
        WireColumn(
            (result.fname(number) or b"").decode(),
            _type(result.ftype(number), result.fsize(number)),
            result.fmod(number),
            result.ftable(number),
            result.ftablecol(number),
        )
        for number in range(result.nfields)
    )


def _type(oid: int, size: int) -> PostgresType:
    return BY_OID.get(oid) or PostgresType("", oid, size, 0, TEXT.to_text)


def _check(result: pq.abc.PGresult, expected: pq.ExecStatus) -> pq.abc.PGresult:
    from psycopg import pq

    if result.status == expected:
        return result
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    message = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message).decode(
        errors="replace"
    )
    if state == "42501" and message.startswith("permission denied for"):
        kind = message.removeprefix("permission denied for ").split()[0]
        if kind in ("table", "view", "relation"):
            raise ClientError(_ROWS_REFUSED, FEATURE_NOT_SUPPORTED)
    raise ClientError(message or "the catalog did not answer", state or IO_ERROR)
