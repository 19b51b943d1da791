"""How columns of SQLite are read exactly: by the declared type, though each value has a type of its own.

A value that the type of its column cannot hold is an error that names column and row. All values reach DuckDB
as texts, doubles with 17 digits, and bytes in hexadecimal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from unify.adapters.database.columns import DatabaseColumn, ValueKind
from unify.adapters.database.error_messages import ERROR_MARK
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import ConfigError

_MAX_EXACT_DOUBLE = 2**53
_DATE_PATTERN = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_TYPES = ("BOOLEAN", "BIGINT", "DOUBLE", "VARCHAR", "BLOB", "DATE", "TIMESTAMP", "JSON")


class SQLiteColumn(Struct, frozen=True):
    """A column as pragma_table_xinfo returns it. ``key_position`` counts from 1; 0: not of the key."""

    name: str
    declared: str
    key_position: int


class ReadingContext(Struct, frozen=True):
    """What the columns of a table share. ``row_text``: SQL for a text that names the row."""

    is_utf8: bool
    row_text: str
    types: Mapping[str, str] = {}


def read_columns(
    columns: Sequence[SQLiteColumn], context: ReadingContext, table: str
) -> Sequence[DatabaseColumn]:
    """Return the columns of a table with the SQL that reads them.

    Raises ConfigError if ``context.types``, of connections.yaml, has a type that no column is read as.
    """
    chosen = {name.lower(): type.upper() for name, type in context.types.items()}
    found = []
    for column in columns:
        type = chosen.get(column.name.lower()) or declared_type(column.declared)
        if type not in _TYPES:
            raise ConfigError(
                f"the column {column.name} of {table} cannot be read as {type}; SQLite's are read as "
                + ", ".join(_TYPES).lower()
            )
        found.append(_read_column(column, type, context))
    return found


def declared_type(declared: str) -> str:
    """Return the type by SQLite's rules for the affinity of a declared type, and for names that mean more."""
    name = re.sub(r"\(.*", "", declared).strip().upper()
    exact = {"BOOLEAN": "BOOLEAN", "BOOL": "BOOLEAN", "DATE": "DATE", "JSON": "JSON", "": "VARCHAR"}
    if name in exact:
        return exact[name]
    if name.startswith(("TIMESTAMP", "DATETIME")):
        return "TIMESTAMP"
    if "INT" in name:
        return "BIGINT"
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return "VARCHAR"
    return "BLOB" if "BLOB" in name else "DOUBLE"


def _read_column(column: SQLiteColumn, type: str, context: ReadingContext) -> DatabaseColumn:
    reading = _reading(column, type, context)
    name = quoted(column.name)
    return DatabaseColumn(
        name=column.name,
        type=type,
        source_type=column.declared,
        source_name=column.name,
        fetch=_fetch_sql(column, type, reading, context),
        cast_to=reading.cast_to,
        function=reading.function,
        kind=reading.kind,
        compare=name,
        sort=reading.sort,
        same_text=True,
    )


class _Reading(Struct, frozen=True):
    """How the values of a type are read. ``cases``: a condition, and what is fetched where it holds."""

    cases: Mapping[str, str]
    cast_to: str = ""
    function: str = ""
    kind: ValueKind = ValueKind.NONE
    sort: str = ""


def _reading(column: SQLiteColumn, type: str, context: ReadingContext) -> _Reading:
    name = quoted(column.name)
    text = f"CAST({name} AS TEXT)"
    number = f"printf('%!.17g', {name})"
    is_text, is_integer, is_real = (f"typeof({name}) = '{kind}'" for kind in ("text", "integer", "real"))
    match type:
        case "BIGINT":
            return _Reading({is_integer: text}, "BIGINT", kind=ValueKind.INTEGER, sort=name)
        case "DOUBLE":
            is_small = f"{is_integer} AND abs({name}) <= {_MAX_EXACT_DOUBLE}"
            return _Reading({is_real: number, is_small: text}, "DOUBLE", kind=ValueKind.DOUBLE, sort=name)
        case "BOOLEAN":
            return _Reading({f"{is_integer} AND {name} IN (0, 1)": text}, "BOOLEAN")
        case "BLOB":
            return _Reading({"1": f"hex({name})"}, function="from_hex")
        case "VARCHAR" if column.declared and declared_type(column.declared) == "VARCHAR":
            sort = f"{name} COLLATE BINARY" if context.is_utf8 else ""
            return _Reading({is_text: name}, kind=ValueKind.TEXT, sort=sort)
        case "VARCHAR":
            return _Reading({is_text: name, is_integer: text, is_real: number})
        case "DATE":
            return _Reading({f"{is_text} AND {name} GLOB '{_DATE_PATTERN}'": name}, type)
        case "TIMESTAMP":  # DuckDB's cast would drop the offset of a time zone
            return _Reading({f"{is_text} AND substr({name}, 12) NOT GLOB '*[-+]*'": name}, type)
        case _:  # JSON; a number in such a column is stored as one
            return _Reading({is_text: name, is_integer: text, is_real: number}, type)


def _fetch_sql(column: SQLiteColumn, type: str, reading: _Reading, context: ReadingContext) -> str:
    """Return SQL for the value as text; another value is an error: SQLite quotes a JSON path that is none."""
    name = quoted(column.name)
    cases = " ".join(f"WHEN {condition} THEN {value}" for condition, value in reading.cases.items())
    place = quote_literal(f"{ERROR_MARK}column {column.name}, row ")
    shown = f"CASE WHEN typeof({name}) = 'blob' THEN 'bytes' ELSE {name} END"
    told = quote_literal(f" is no {type}; read the column as text: columns: {{{column.name}: varchar}}")
    error = f"json_extract('{{}}', {place} || {context.row_text} || ': ' || {shown} || {told})"
    return f"CASE WHEN {name} IS NULL THEN NULL {cases} ELSE {error} END"
