"""Tables of MySQL that are written: what their columns accept, and columns for the types of DuckDB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from unify.adapters.database.columns import DatabaseColumn, DatabaseTable
from unify.adapters.database.writing.conversions import decimal_pattern
from unify.adapters.table_writes import WritableColumn, WritableTable
from unify.engine.types import TIMESTAMPTZ_TYPE, DuckDBType, parse_type
from unify.errors import QueryError

MAX_NAME_CHARS = 64
_LABEL = re.compile(r"'((?:[^']|'')*)'")
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_TIMES = ("datetime", "timestamp")
_FINITE = ("FLOAT", "DOUBLE")
_NEW_TYPES: Mapping[str, str] = {
    "BOOLEAN": "bit(1)",
    "TINYINT": "tinyint",
    "UTINYINT": "tinyint unsigned",
    "SMALLINT": "smallint",
    "USMALLINT": "smallint unsigned",
    "INTEGER": "int",
    "UINTEGER": "int unsigned",
    "BIGINT": "bigint",
    "UBIGINT": "bigint unsigned",
    "HUGEINT": "decimal(38,0)",
    "UHUGEINT": "decimal(38,0)",
    "FLOAT": "float",
    "DOUBLE": "double",
    "VARCHAR": "longtext",
    "ENUM": "longtext",
    "JSON": "json",
    "BLOB": "longblob",
    "UUID": "char(36)",
    "DATE": "date",
    "TIME": "time(6)",
    "TIMESTAMP": "datetime(6)",
    "TIMESTAMP_S": "datetime(6)",
    "TIMESTAMP_MS": "datetime(6)",
    "TIMESTAMP_NS": "datetime(6)",
    TIMESTAMPTZ_TYPE: "timestamp(6)",
}
_NEW_VALUES: Mapping[str, str] = {
    "HUGEINT": "DECIMAL(38,0)",
    "UHUGEINT": "DECIMAL(38,0)",
    "ENUM": "VARCHAR",
    "UUID": "VARCHAR",
    "TIME": "VARCHAR",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP",
}
_KEY_TEXT = "varchar(255)"  # an index has no longtext


class MySQLColumnRules(Struct, frozen=True):
    """A column as the statement ``columns`` of targets.sql returns it."""

    name: str
    nullable: str
    default: str | None
    extra: str
    type: str
    source_type: str
    max_chars: int | None
    max_bytes: int | None
    fraction_digits: int | None


def target_table(
    table: DatabaseTable, rules: Sequence[MySQLColumnRules], unique_keys: Sequence[frozenset[str]]
) -> WritableTable:
    """Return a table as it is written."""
    fields = {field.source_name: field for field in table.fields}
    names = {field.name: field.source_name for field in table.fields}
    return WritableTable(
        name=table.name,
        sql_name=table.sql_name,
        columns=tuple(_target_column(fields[one.name], one) for one in rules if one.name in fields),
        key=tuple(names[name] for name in table.key),
        unique_keys=tuple(unique_keys),
    )


def _target_column(field: DatabaseColumn, rules: MySQLColumnRules) -> WritableColumn:
    extra = rules.extra.lower()
    return WritableColumn(
        name=rules.name,
        type=field.type,
        source_type=rules.source_type,
        is_nullable=rules.nullable == "YES",
        has_default=rules.default is not None or "auto_increment" in extra or "default" in extra,
        is_generated="generated" in extra.replace("default_generated", ""),
        max_chars=rules.max_chars if rules.type in ("char", "varchar") else None,
        max_bytes=rules.max_bytes if rules.type not in ("char", "varchar", "enum", "set") else None,
        fraction_digits=rules.fraction_digits if rules.type in _TIMES else None,
        labels=tuple(_labels(rules.source_type)) if rules.type == "enum" else (),
        pattern=_pattern(rules),
        has_null_values=bool(field.read_as_null),
    )


def _labels(source_type: str) -> Iterator[str]:
    for found in _LABEL.finditer(source_type):
        yield found[1].replace("''", "'")


def _pattern(rules: MySQLColumnRules) -> str:
    if rules.type == "time":
        return rf"-?\d{{1,3}}:\d\d:\d\d(?:\.\d{{0,{rules.fraction_digits or 0}}}0*)?"
    found = _DECIMAL.match(rules.source_type)
    if found is None or int(found[1]) <= 38:
        return ""
    precision, scale = int(found[1]), int(found[2])
    return decimal_pattern(precision - scale, scale)


def special_problems(value: str, column: WritableColumn) -> Iterator[tuple[str, str]]:
    """Yield what MySQL would store as another value, or not at all."""
    type, source = parse_type(column.type).name, column.source_type
    if type in _FINITE:
        yield f"NOT isfinite({value})", "is no finite number"
    if type == "DATE" or source.startswith("datetime"):
        yield f"NOT isfinite({value}) OR year({value}) NOT BETWEEN 1 AND 9999", "is out of range"
    if source.startswith("timestamp"):
        yield f"NOT isfinite({value}) OR epoch({value}) NOT BETWEEN 1 AND 4294967295", "is out of range"
    if source.startswith("year"):
        yield f"{value} <> 0 AND {value} NOT BETWEEN 1901 AND 2155", "is out of range"
    if source.startswith("char("):
        yield f"{value} LIKE '% '", "ends with a blank, which char drops"
    if source.startswith("binary("):
        yield (
            f"octet_length({value}) < {column.max_bytes}",
            f"has fewer than {column.max_bytes} bytes, and binary appends zeros",
        )


def new_column(name: str, type: DuckDBType, *, is_key: bool) -> WritableColumn:
    """Return the column for a type of DuckDB. Raises QueryError."""
    if len(name) > MAX_NAME_CHARS or not name.strip():
        raise QueryError(f"column {name}: MySQL's names have at most {MAX_NAME_CHARS} characters")
    source_type = _NEW_TYPES.get(type.name)
    if type.name == "DECIMAL":
        source_type = f"decimal({type.modifiers[0]},{type.modifiers[1]})"
    if source_type is None:
        advice = "write to_json(…)" if type.nested else "cast it to one that has, such as ::varchar"
        raise QueryError(f"column {name}: MySQL has no type for {type.label}; {advice}")
    is_text_key = is_key and source_type == "longtext"
    return WritableColumn(
        name,
        _NEW_VALUES.get(type.name, type.text),
        _KEY_TEXT if is_text_key else f"{source_type}{'' if is_key else ' NULL'}",
        is_nullable=not is_key,
        max_chars=255 if is_text_key else None,
    )


def literal_sql(value: str, type: str) -> str:
    """Return DuckDB's SQL for a value as MySQL's literal, where a backslash has no meaning."""
    text = f"CAST({value} AS VARCHAR)"
    match parse_type(type).name:
        case "BOOLEAN":
            shown = f"CASE WHEN {value} THEN '1' WHEN NOT {value} THEN '0' END"
        case "FLOAT" | "DOUBLE":
            shown = f"{text} || CASE WHEN contains({text}, 'e') THEN '' ELSE 'e0' END"
        case "BLOB":
            shown = f"'X''' || hex({value}) || ''''"
        case name if name == TIMESTAMPTZ_TYPE:
            shown = f"'''' || CAST(make_timestamp(epoch_us({value})) AS VARCHAR) || ''''"
        case "VARCHAR" | "JSON":
            shown = f"'''' || replace({text}, '''', '''''') || ''''"
        case "UUID" | "DATE" | "TIMESTAMP":
            shown = f"'''' || {text} || ''''"
        case _:
            shown = text
    return f"coalesce({shown}, 'NULL')"
