"""Values that DuckDB has read, as the text that psql shows for them."""

from __future__ import annotations

from unify.engine.types import DuckDBType, parse_type
from unify.engine.types import quote_identifier as quoted

NULL = "NULL"


def server_text_sql(column: str, type: str) -> str:
    """Return SQL for the text of ``column`` (a name), as psql shows a value of that type."""
    return f"coalesce({_text_sql(quoted(column), parse_type(type))}, '{NULL}')"


def _text_sql(value: str, type: DuckDBType) -> str:
    match type.name:
        case "BOOLEAN":
            return f"CASE WHEN {value} THEN 't' WHEN NOT {value} THEN 'f' END"
        case "BLOB":
            return f"'\\x' || lower(hex({value}))"
        case "DECIMAL":
            return rf"regexp_replace(CAST({value} AS VARCHAR), '^(-?)\.', '\10.')"
        case "FLOAT" | "DOUBLE":
            named = f"CASE WHEN isnan({value}) THEN 'NaN' WHEN isinf({value}) THEN "
            return f"{named} if({value} > 0, 'Infinity', '-Infinity') ELSE {_number_sql(value)} END"
        case "TIMESTAMP WITH TIME ZONE":
            plain = _era_last(f"CAST({value} AT TIME ZONE 'UTC' AS VARCHAR)", "+00")
            return f"CASE WHEN isinf({value}) THEN CAST({value} AS VARCHAR) ELSE {plain} END"
        case "DATE" | "TIMESTAMP":
            return _era_last(f"CAST({value} AS VARCHAR)", "")
        case "LIST":
            mark = '"' if type.children[0].name.startswith("TIMESTAMP") else ""
            element = _text_sql("e", type.children[0])
            element = f"CASE WHEN e IS NULL THEN 'NULL' ELSE '{mark}' || {element} || '{mark}' END"
            listed = f"array_to_string(list_transform({value}, lambda e: {element}), ',')"
            return f"CASE WHEN {value} IS NOT NULL THEN '{{' || {listed} || '}}' END"
        case _:
            return f"CAST({value} AS VARCHAR)"


def _number_sql(value: str) -> str:
    """A number without ".0": 1e+20 and 100 as PostgreSQL writes them."""
    return rf"regexp_replace(CAST({value} AS VARCHAR), '\.0($|e)', '\1')"


def _era_last(text: str, zone: str) -> str:
    """PostgreSQL writes BC after the time and its zone."""
    return (
        f"CASE WHEN {text} LIKE '%(BC)%' THEN replace({text}, ' (BC)', '') || '{zone} BC' "
        f"ELSE {text} || '{zone}' END"
    )
