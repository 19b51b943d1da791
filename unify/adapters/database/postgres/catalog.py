"""PostgreSQL's catalog: schemas, tables and columns, asked with statements of our own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from unify.adapters.database.columns import DatabaseTable, with_distinct_names
from unify.adapters.database.postgres.types import CatalogTable, numeric_modifier, read_columns
from unify.adapters.database.sql_sections import render_section
from unify.adapters.database.statement import call_sql
from unify.adapters.relation import join_table_name, split_table_name
from unify.config.connection_tables import TableSettings
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.model import TableDef

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_STATEMENTS = "postgres/catalog.sql"


class SessionInfo(msgspec.Struct, frozen=True):
    """What the server says of a session. ``tls`` is the version of the protocol, "" without encryption."""

    version: str
    role: str
    database: str
    is_replica: bool
    tls: str
    may_write: bool


class PostgresCatalog:
    """Asks the catalog of one attached database. ``schemas`` are the configured ones, the first one first."""

    def __init__(
        self,
        connection: str,
        alias: str,
        schemas: Sequence[str],
        settings_of: Callable[[str], TableSettings],
    ) -> None:
        self._connection = connection
        self._alias = alias
        self._schemas = schemas
        self._settings_of = settings_of
        self._known: dict[
            tuple[str, str], tuple[str, DatabaseTable]
        ] = {}  # by schema and name; see _known_table

    @property
    def first_schema(self) -> str:
        """The schema of tables whose name has none."""
        return self._schemas[0]

    def list_schemas(self, duck: DuckDBPyConnection) -> Sequence[str]:
        """Return the schemas that the user may use, the configured ones first."""
        rows = self._fetch(duck, "schemas")
        return (*self._schemas, *(str(name) for (name,) in rows if name not in self._schemas))

    def list_tables(self, duck: DuckDBPyConnection, schema: str) -> Sequence[TableDef]:
        """Return the tables of one schema or of all configured ones, without their columns."""
        wanted = {schema.lower()} if schema else {name.lower() for name in self._schemas}
        return [
            TableDef(self.canonical_name(str(found), str(table)), str(description))
            for found, table, description in self._fetch(duck, "tables")
            if found.lower() in wanted
        ]

    def find_table(self, duck: DuckDBPyConnection, table: str) -> DatabaseTable | None:
        """Return a table as it is now, by its name in any case; QueryError if several differ in case."""
        try:
            schema, name = split_table_name(table)
        except ValueError:
            return None
        schema = schema or self._schemas[0]
        if (known := self._known_table(duck, schema, name)) is not None:
            return known
        rows = self._fetch(duck, "table", schema=schema, table=name)
        rows = rows or self._fetch(duck, "similar_tables", schema=schema, table=name)
        found = [msgspec.json.decode(text, type=CatalogTable) for (text,) in rows]
        match found:
            case []:
                return None
            case [one]:
                return self._read_table(one)
            case several:
                names = " and ".join(self.canonical_name(one.schema, one.name) for one in several)
                raise QueryError(
                    f"{self._connection}.{table}: the tables {names} differ only in case; "
                    "write the name in its own case, in double quotes"
                )

    def _known_table(self, duck: DuckDBPyConnection, schema: str, name: str) -> DatabaseTable | None:
        """Return a table that was found before, if the server says that it has not changed.

        This takes the server a tenth of a millisecond, the columns with their types two.
        """
        version, table = self._known.get((schema, name), ("", None))
        if table is None or self._fetch(duck, "table_version", schema=schema, table=name) != [(version,)]:
            return None
        return table

    def describe_query(self, duck: DuckDBPyConnection, sql: str) -> DatabaseTable:
        """Return the columns of a query of a user, as a table of that query. The query is not run."""
        described = duck.execute(f"DESCRIBE SELECT * FROM {self._call(sql)}").fetchall()
        names = [str(row[0]) for row in described]
        wrapped = f"(\n{sql}\n) AS q"
        oids = ", ".join(f"pg_typeof(q.{quoted(name)})::oid::int8 AS c{n}" for n, name in enumerate(names))
        types = duck.execute(
            f"SELECT * FROM {self._call(f'SELECT {oids} FROM (SELECT) AS one LEFT JOIN {wrapped} ON false')}"
        ).fetchall()
        columns = [
            {"name": name, "type": oid, "modifier": numeric_modifier(str(row[1]))}
            for name, oid, row in zip(names, types[0], described, strict=True)
        ]
        rows = self._fetch(duck, "types", columns=msgspec.json.encode(columns).decode())
        found = msgspec.json.decode(rows[0][0], type=CatalogTable)
        fields = with_distinct_names(read_columns(found))
        return DatabaseTable(name="", columns=fields, sql_name=wrapped, fields=fields)

    def session(self, duck: DuckDBPyConnection) -> SessionInfo:
        """Return what the server says of this session."""
        [row] = self._fetch(duck, "session")
        return SessionInfo(*row)

    def cancel(self, duck: DuckDBPyConnection, application: str) -> int:
        """End the running statements of the connections that have this name; return how many."""
        [[cancelled]] = self._fetch(duck, "cancel", application=application)
        return int(cancelled)

    def canonical_name(self, schema: str, table: str) -> str:
        """The name of a table within the connection."""
        return join_table_name("" if schema == self._schemas[0] else schema, table)

    def _read_table(self, found: CatalogTable) -> DatabaseTable:
        name = self.canonical_name(found.schema, found.name)
        fields = with_distinct_names(read_columns(found, self._settings_of(name).columns))
        names = {column.source_name: column.name for column in fields}
        is_key_readable = all(column in names for column in found.key)
        table = DatabaseTable(
            name=name,
            columns=fields,
            key=tuple(names[column] for column in found.key) if is_key_readable else (),
            description=found.description,
            approximate_rows=found.rows,
            sql_name=f"{quoted(found.schema)}.{quoted(found.name)}",
            fields=fields,
        )
        if found.version:
            self._known[found.schema, found.name] = found.version, table
        return table

    def _fetch(self, duck: DuckDBPyConnection, name: str, **values: str) -> list[tuple[Any, ...]]:
        sql = render_section(_STATEMENTS, name, **values)
        return duck.execute(f"SELECT * FROM {self._call(sql)}").fetchall()

    def _call(self, sql: str) -> str:
        return call_sql("postgres_query", self._alias, sql)
