"""The tables of a home as PostgreSQL's catalog shows them: statements that create them, without rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import ConfigError
from unify.interpreter.restriction import PRIVATE_SYSTEM_TABLES
from unify.interpreter.session import Session
from unify.interpreter.system_columns import SCHEMA, SYSTEM_TABLES
from unify.lake import catalog
from unify.model import Column, TableName
from unify.servers.postgres.wire_types import wire_column

MAX_NAME_BYTES = 63  # of PostgreSQL
MAX_COLUMNS = 1_600
_UNUSABLE_SCHEMAS = frozenset(("pg_catalog", "information_schema", "pg_toast"))


class ShownColumn(Struct, frozen=True):
    """A column with its type in PostgreSQL's words, and the OID of the type."""

    name: str
    type: str
    oid: int
    description: str = ""


class ShownTable(Struct, frozen=True):
    """A table or view as the catalog shows it."""

    schema: str
    name: str
    is_view: bool
    description: str
    columns: tuple[ShownColumn, ...]
    key: tuple[str, ...] = ()

    @property
    def sql_name(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def create_sql(self) -> Iterator[str]:
        """Yield the statements that create the table, empty, with its comments."""
        if self.is_view:
            columns = ", ".join(f"NULL::{one.type} AS {quoted(one.name)}" for one in self.columns)
            yield f"CREATE VIEW {self.sql_name} AS SELECT {columns} WHERE false"
        else:
            definitions = [f"{quoted(one.name)} {one.type}" for one in self.columns]
            if self.key:
                definitions.append(f"PRIMARY KEY ({', '.join(map(quoted, self.key))})")
            yield f"CREATE TABLE {self.sql_name} ({', '.join(definitions)})"
        kind = "VIEW" if self.is_view else "TABLE"
        if self.description:
            yield f"COMMENT ON {kind} {self.sql_name} IS {_literal(self.description)}"
        for one in self.columns:
            if one.description:
                name = f"{self.sql_name}.{quoted(one.name)}"
                yield f"COMMENT ON COLUMN {name} IS {_literal(one.description)}"

    def drop_sql(self) -> str:
        return f"DROP {'VIEW' if self.is_view else 'TABLE'} IF EXISTS {self.sql_name}"


def read_catalog_tables(session: Session, schemas: frozenset[str] | None) -> Sequence[ShownTable]:
    """Return the tables that can be read, stored or not; ``schemas`` in lower case, None: all."""
    state = session.state
    columns: dict[TableName, Sequence[Column]] = dict(state.expected_columns())
    columns |= catalog.all_columns(session.lake)
    found: dict[tuple[str, str], ShownTable] = {}
    for table in state.table_states():
        if schemas is None or table.name.schema.lower() in schemas:
            is_view = table.kind == "view"
            made = _catalog_table(
                table.name,
                columns.get(table.name, ()),
                _keys(session, table.name),
                table.description,
                is_view=is_view,
            )
            found.setdefault((made.schema, made.name), made)
    if schemas is None or SCHEMA in schemas:
        found |= {(one.schema, one.name): one for one in _system_tables()}
    return [one for one in found.values() if one.schema.lower() not in _UNUSABLE_SCHEMAS]


def column_oids(tables: Iterable[ShownTable]) -> Mapping[str, int]:
    """Return the types of columns by name in lower case; names with different types are left out."""
    found: dict[str, int] = {}
    for table in tables:
        for column in table.columns:
            name = column.name.lower()
            found[name] = column.oid if found.get(name, column.oid) == column.oid else 0
    return {name: oid for name, oid in found.items() if oid}


def _catalog_table(
    name: TableName, columns: Sequence[Column], key: Sequence[str], description: str, *, is_view: bool
) -> ShownTable:
    made: dict[str, ShownColumn] = {}
    for column in columns[:MAX_COLUMNS]:
        short = _short(column.name)
        made.setdefault(short, _catalog_column(short, column))
    names = [_short(one) for one in key]
    is_key = bool(names) and all(one in made for one in names) and not is_view
    return ShownTable(
        _short(name.schema),
        _short(name.table),
        is_view and bool(made),
        description,
        tuple(made.values()),
        tuple(names) if is_key else (),
    )


def _keys(session: Session, name: TableName) -> Sequence[str]:
    connections = session.connections
    try:
        if connections.has(name.schema) and name.table in connections.tables(name.schema):
            return tuple(connections.tables(name.schema)[name.table].key)
    except ConfigError:  # show connections tells
        return ()
    return ()


def _system_tables() -> Iterator[ShownTable]:
    for name, shape in SYSTEM_TABLES.items():
        if name not in PRIVATE_SYSTEM_TABLES:
            columns = [Column(column, type) for column, type in shape.columns]
            yield _catalog_table(TableName(SCHEMA, name), columns, (), shape.description, is_view=True)


def _catalog_column(name: str, column: Column) -> ShownColumn:
    wire = wire_column("", column.type or "VARCHAR")
    type_name = wire.type.name
    if wire.type_modifier >= 0:
        precision, scale = divmod(wire.type_modifier - 4, 1 << 16)
        type_name = f"numeric({precision},{scale})"
    return ShownColumn(name, type_name, wire.type.oid, column.description or "")


def _short(name: str) -> str:
    """Return a name that PostgreSQL does not shorten itself."""
    return name.replace("\0", "").encode()[:MAX_NAME_BYTES].decode(errors="ignore")


def _literal(text: str) -> str:
    return quote_literal(text.replace("\0", ""))
