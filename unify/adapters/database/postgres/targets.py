"""Tables of PostgreSQL that are written: what their columns accept, and columns for the types of DuckDB."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from unify.adapters.database.columns import DatabaseColumn, DatabaseTable
from unify.adapters.database.sql_sections import read_sections
from unify.adapters.database.writing.conversions import decimal_pattern
from unify.adapters.table_writes import WritableColumn, WritableTable
from unify.engine.types import TIMESTAMPTZ_TYPE, DuckDBType, parse_type
from unify.errors import QueryError

MAX_NAME_BYTES = 63  # PostgreSQL cuts longer names
_STATEMENTS = "postgres/targets.sql"
_MODIFIERS = re.compile(r"\((\d+)(?:,(-?\d+))?\)")
_ANY_NUMERIC = r"\s*(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|NaN|[+-]?Infinity)\s*"
_CHARACTER_TYPES = ("character varying(", "character(")
_NEW_TYPES: Mapping[str, str] = {
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "UTINYINT": "smallint",
    "SMALLINT": "smallint",
    "USMALLINT": "integer",
    "INTEGER": "integer",
    "UINTEGER": "bigint",
    "BIGINT": "bigint",
    "UBIGINT": "numeric(20,0)",
    "HUGEINT": "numeric(38,0)",
    "UHUGEINT": "numeric(38,0)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": "text",
    "ENUM": "text",
    "JSON": "json",
    "BLOB": "bytea",
    "UUID": "uuid",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    TIMESTAMPTZ_TYPE: "timestamptz",
    "INTERVAL": "interval",
}
# What a value has to be for a new column; other types are their own.
_NEW_VALUES: Mapping[str, str] = {
    "UBIGINT": "DECIMAL(20,0)",
    "HUGEINT": "DECIMAL(38,0)",
    "UHUGEINT": "DECIMAL(38,0)",
    "TINYINT": "SMALLINT",
    "UTINYINT": "SMALLINT",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "ENUM": "VARCHAR",
    "INTERVAL": "VARCHAR",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP",
}


class WritableColumnRules(msgspec.Struct, frozen=True):
    """What the catalog says of a column beside its type."""

    name: str
    is_nullable: bool
    has_default: bool
    is_generated: bool


class WritableTableRules(msgspec.Struct, frozen=True):
    """What the catalog says of a table, as the statement ``target`` returns it.

    ``kind``         r, p and f are tables, v and m views.
    ``is_loadable``  COPY may write it: it has no row security for this user, and no rules.
    """

    kind: str
    is_loadable: bool
    columns: tuple[WritableColumnRules, ...]
    unique_keys: tuple[tuple[str, ...], ...]


def rules_sql() -> str:
    """Return the statement that gives WritableTableRules as JSON; its parameter is the name in SQL."""
    return read_sections(_STATEMENTS)["target"]


def target_table(table: DatabaseTable, rules: WritableTableRules) -> WritableTable:
    """Return a table as it is written."""
    by_name = {column.name: column for column in rules.columns}
    known = [field for field in table.fields if field.source_name in by_name]
    key = {field.name: field.source_name for field in table.fields}
    return WritableTable(
        name=table.name,
        sql_name=table.sql_name,
        columns=tuple(_target_column(field, by_name[field.source_name]) for field in known),
        key=tuple(key[name] for name in table.key),
        unique_keys=tuple(frozenset(names) for names in rules.unique_keys),
        is_loadable=rules.is_loadable,
    )


def _target_column(field: DatabaseColumn, rules: WritableColumnRules) -> WritableColumn:
    found = _MODIFIERS.search(field.source_type)
    modifier = int(found[1]) if found else None
    is_character = field.source_type.startswith(_CHARACTER_TYPES)
    is_time = field.source_type.startswith(("time", "timestamp")) and field.type != "VARCHAR"
    is_array = field.source_type.endswith("[]")
    return WritableColumn(
        name=field.source_name,
        type=field.type,
        source_type=field.source_type,
        is_nullable=rules.is_nullable,
        has_default=rules.has_default,
        is_generated=rules.is_generated,
        max_chars=modifier if is_character and not is_array else None,
        max_bytes=MAX_NAME_BYTES if field.source_type == "name" else None,
        fraction_digits=modifier if is_time and not is_array else None,
        labels=field.labels,
        pattern=_numeric_pattern(field.source_type) if field.type == "VARCHAR" else "",
        has_null_values=bool(field.read_as_null),
    )


def _numeric_pattern(source_type: str) -> str:
    """Return the pattern of a numeric that is read as text; "" for other types."""
    if source_type == "numeric":
        return _ANY_NUMERIC
    found = re.fullmatch(r"numeric\((\d+),(-?\d+)\)", source_type)
    if found is None:
        return ""
    precision, scale = int(found[1]), int(found[2])
    return rf"{decimal_pattern(max(precision - scale, 0), max(scale, 0))}|NaN"


def lost_digits(source_type: str) -> int:
    """Return how many digits before the point a numeric with a negative scale rounds."""
    found = re.fullmatch(r"numeric\(\d+,-(\d+)\)", source_type)
    return int(found[1]) if found else 0


def new_column(name: str, type: DuckDBType, *, is_key: bool) -> WritableColumn:
    """Return the column for a type of DuckDB. Raises QueryError."""
    if len(name.encode()) > MAX_NAME_BYTES or not name:
        raise QueryError(f"column {name}: PostgreSQL's names have at most {MAX_NAME_BYTES} bytes")
    is_list = type.name in ("LIST", "ARRAY")
    element = type.children[0] if is_list else type
    source_type = _NEW_TYPES.get(element.name)
    if element.name == "DECIMAL":
        source_type = f"numeric({element.modifiers[0]},{element.modifiers[1]})"
    if source_type is None:
        advice = "write to_json(…)" if type.nested else "cast it to one that has, such as ::varchar"
        raise QueryError(f"column {name}: PostgreSQL has no type for {type.label}; {advice}")
    value_type = _NEW_VALUES.get(element.name, element.text)
    array = "[]" if is_list else ""
    return WritableColumn(name, f"{value_type}{array}", f"{source_type}{array}", is_nullable=not is_key)


def copy_text_sql(value: str, type: str) -> str:
    """Return DuckDB's SQL for a value as the text format of COPY has it; NULL is \\N."""
    parsed = parse_type(type)
    text = _text_sql(value, parsed, 0)
    if parsed.name not in _PLAIN_TEXTS:
        for char, escaped in (
            ("'\\'", "'\\\\'"),
            ("chr(9)", "'\\t'"),
            ("chr(10)", "'\\n'"),
            ("chr(13)", "'\\r'"),
        ):
            text = f"replace({text}, {char}, {escaped})"
    return f"coalesce({text}, '\\N')"


# Types whose texts have no character that COPY's format gives a meaning.
_PLAIN_TEXTS = frozenset(
    [
        *("BOOLEAN", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL"),
        *("UUID", "DATE", "TIME", "TIMESTAMP", TIMESTAMPTZ_TYPE),
    ]
)


def _text_sql(value: str, type: DuckDBType, depth: int) -> str:
    """Return SQL for the text that the type's input function takes."""
    text = f"CAST({value} AS VARCHAR)"
    match type.name:
        case "VARCHAR" | "JSON":
            return value if type.name == "VARCHAR" else text
        case "BLOB":
            return f"'\\x' || hex({value})"
        case "DATE" | "TIMESTAMP":
            return f"replace({text}, ' (BC)', ' BC')"
        case name if name == TIMESTAMPTZ_TYPE:
            moment = f"CAST(make_timestamp(epoch_us({value})) AS VARCHAR)"
            zoned = f"replace({moment} || '+00', ' (BC)+00', '+00 BC')"
            return f"CASE WHEN isfinite({value}) THEN {zoned} ELSE {text} END"
        case "LIST":
            name = f"e{depth}"
            element = _text_sql(name, type.children[0], depth + 1)
            quoted = f"'\"' || replace(replace({element}, '\\', '\\\\'), '\"', '\\\"') || '\"'"
            listed = f"list_transform({value}, lambda {name}: coalesce({quoted}, 'NULL'))"
            return f"CASE WHEN {value} IS NOT NULL THEN '{{' || array_to_string({listed}, ',') || '}}' END"
        case _:
            return text


def new_target(
    name: str, sql_name: str, columns: Sequence[WritableColumn], key: Sequence[str]
) -> WritableTable:
    """Return a table that a write creates."""
    return WritableTable(
        name, sql_name, tuple(columns), tuple(key), (frozenset(key),) if key else (), exists=False
    )
