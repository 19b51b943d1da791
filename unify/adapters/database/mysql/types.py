"""How each type of MySQL and MariaDB is read exactly: what the server returns, and its type in DuckDB.

A date that does not exist, such as 0000-00-00 or 2024-00-00, is NULL. A TIMESTAMP is returned as the moment
that it is, in microseconds: the time zone of the session does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from unify.adapters.database.columns import DatabaseColumn, ValueKind
from unify.engine.types import TIMESTAMPTZ_TYPE

MAX_WIDTH = 38  # digits of a DECIMAL
_SORTED_BYTES = 1024  # of a text; the server compares no more when it sorts (max_sort_length)
_BYTES_PER_CHARACTER = 4

_INTEGERS: Mapping[str, str] = {
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "mediumint": "INTEGER",
    "int": "INTEGER",
    "bigint": "BIGINT",
}
_TEXTS = frozenset(["char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"])
_BINARIES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
_SHAPES = ("geometry", "point", "linestring", "polygon", "geometrycollection", "geomcollection")
_BYTES = frozenset((*_SHAPES, "multipoint", "multilinestring", "multipolygon", *_BINARIES))
_TIMES = frozenset(["date", "datetime", "timestamp", "year", "time"])


class MySQLColumn(Struct, frozen=True):
    """A column as the statement ``columns`` of catalog.sql returns it."""

    name: str
    type: str
    source_type: str
    width: int
    scale: int
    length: str
    collation: str
    nullable: str
    description: str

    @property
    def is_unsigned(self) -> bool:
        return "unsigned" in self.source_type


def quote_mysql(name: str) -> str:
    """Quote a name."""
    return "`" + name.replace("`", "``") + "`"


def read_column(column: MySQLColumn) -> DatabaseColumn:
    """Return a column of a table with the SQL that reads it."""
    name = quote_mysql(column.name)
    if column.type in _INTEGERS:
        return _read_integer(column, name)
    if column.type in _TEXTS:
        return _read_text(column, name)
    if column.type in _BYTES:
        return _make(column, "BLOB", name)
    if column.type in _TIMES:
        return _read_time(column, name)
    return _read_other(column, name)


def _read_other(column: MySQLColumn, name: str) -> DatabaseColumn:
    text = f"CAST({name} AS CHAR)"
    match column.type:
        case "decimal" if column.width <= MAX_WIDTH:
            type = f"DECIMAL({column.width},{column.scale})"
            return _make(column, type, name, kind=ValueKind.DECIMAL, sort=name)
        case "double":
            return _make(column, "DOUBLE", name, kind=ValueKind.DOUBLE, sort=name)
        case "float":  # 0.1 equals a FLOAT in DuckDB, and not in MySQL
            return _make(column, "FLOAT", name)
        case "bit":
            return _read_bits(column, name)
        case "json":
            return _make(column, "JSON", text, cast_to="JSON")
        case "uuid":
            return _make(column, "UUID", text, cast_to="UUID", kind=ValueKind.UUID)
        case _:
            return _make(column, "VARCHAR", text)


def _read_time(column: MySQLColumn, name: str) -> DatabaseColumn:
    match column.type:
        case "date":
            return _read_date(column, name, "DATE", ValueKind.DATE)
        case "datetime":
            return _read_date(column, name, "TIMESTAMP", ValueKind.TIMESTAMP)
        case "timestamp":
            return _read_moment(column, name)
        case "year":
            return _make(column, "INTEGER", name, kind=ValueKind.INTEGER, sort=name)
        case _:  # time: up to 838 hours, and negative
            return _make(column, "VARCHAR", f"concat({name})")


def existing_date_sql(name: str) -> str:
    """Return the condition that a date exists: it has a month, and a day of that month."""
    return f"DAY({name}) BETWEEN 1 AND DAY(LAST_DAY({name}))"


def _read_integer(column: MySQLColumn, name: str) -> DatabaseColumn:
    type = f"{'U' if column.is_unsigned else ''}{_INTEGERS[column.type]}"
    if column.source_type.startswith(
        "tinyint(1)"
    ):  # which the extension takes for a boolean, whatever it holds
        return _make(column, type, f"CAST({name} AS SIGNED)", cast_to=type, kind=ValueKind.INTEGER, sort=name)
    return _make(column, type, name, kind=ValueKind.INTEGER, sort=name)


def _read_date(column: MySQLColumn, name: str, type: str, kind: ValueKind) -> DatabaseColumn:
    exists = existing_date_sql(name)
    fetch = f"IF({exists}, {name}, NULL)"
    missing = f"({name} IS NOT NULL AND ({exists}) IS NOT TRUE)"
    return _make(column, type, fetch, kind=kind, sort=fetch, read_as_null=missing)


def _read_moment(column: MySQLColumn, name: str) -> DatabaseColumn:
    seconds = f"UNIX_TIMESTAMP({name})"  # 0 for 0000-00-00 00:00:00, which sorts before all others
    return _make(
        column,
        TIMESTAMPTZ_TYPE,
        f"NULLIF(CAST({seconds} * 1000000 AS SIGNED), 0)",
        function="make_timestamptz",
        kind=ValueKind.TIMESTAMPTZ,
        compare=seconds,
        sort=f"NULLIF({seconds}, 0)",
        read_as_null=f"({seconds} = 0)",
    )


def _read_bits(column: MySQLColumn, name: str) -> DatabaseColumn:
    if column.width == 1:
        return _make(column, "BOOLEAN", f"{name} = 1", cast_to="BOOLEAN")
    number = f"CAST({name} AS UNSIGNED)"
    return _make(column, "UBIGINT", number, cast_to="UBIGINT", kind=ValueKind.INTEGER, sort=name)


def _read_text(column: MySQLColumn, name: str) -> DatabaseColumn:
    """Read a text. The extension takes one with a binary collation for bytes."""
    fetch = f"CAST({name} AS CHAR)" if column.collation.endswith("_bin") else name
    is_short = int(column.length) * _BYTES_PER_CHARACTER <= _SORTED_BYTES
    return _make(
        column,
        "VARCHAR",
        fetch,
        kind=ValueKind.TEXT,
        sort=text_bytes_sql(name) if is_short else "",
        same_text=True,
    )


def text_bytes_sql(expression: str) -> str:
    """Return the bytes of a text in UTF-8, which compare as DuckDB compares texts."""
    return f"CAST(CONVERT({expression} USING utf8mb4) AS BINARY)"


def _make(
    column: MySQLColumn,
    type: str,
    fetch: str,
    *,
    cast_to: str = "",
    function: str = "",
    kind: ValueKind = ValueKind.NONE,
    compare: str = "",
    sort: str = "",
    same_text: bool = False,
    read_as_null: str = "",
) -> DatabaseColumn:
    return DatabaseColumn(
        name=column.name,
        type=type,
        source_type=column.source_type,
        description=column.description,
        source_name=column.name,
        fetch=fetch,
        cast_to=cast_to,
        function=function,
        kind=kind,
        compare=compare or quote_mysql(column.name),
        sort=sort,
        same_text=same_text,
        read_as_null=read_as_null,
        has_null=column.nullable == "YES" or bool(read_as_null),
    )
