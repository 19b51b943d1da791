"""SQL expressions that convert parts of nested values, at any depth.

A cast names the type of the result. It cannot name a struct without names, a row, so a value with a row is
taken apart and put together again.
"""

from __future__ import annotations

from collections.abc import Callable

from unify.engine.connection import quote_literal
from unify.engine.types import DuckDBType, exact_type_text, has_row, is_row, quote_identifier

Converter = Callable[[str, DuckDBType, int], str]  # SQL of a value, its type, its depth → SQL of the result


def exact_cast_sql(column: str, type: DuckDBType) -> str:
    """Return SQL that fetches ``column`` (a quoted name) without loss.

    Types that Python cannot hold, at any depth, are cast to DuckDB's text.
    """
    exact = exact_type_text(type)
    if exact is None:
        return rebuild_sql(column, type, _exact_part_sql, 0)
    return column if exact == type.text else f"cast({column} as {exact})"


def _exact_part_sql(value: str, type: DuckDBType, depth: int) -> str:
    """SQL of a part without arrays, since no CASE expression can have one."""
    exact = exact_type_text(type)
    if exact is None or (exact != "VARCHAR" and _has_array(type)):
        return rebuild_sql(value, type, _exact_part_sql, depth)
    return exact_cast_sql(value, type)


def _has_array(type: DuckDBType) -> bool:
    return type.name == "ARRAY" or any(map(_has_array, type.children))


def rebuild_sql(value: str, type: DuckDBType, convert: Converter, depth: int) -> str:
    """Return SQL of a list, array, map or struct with converted parts. An array becomes a list.

    ``depth``  of ``value`` in the rebuilt value: parameters of lambdas in lambdas need different names.
    """
    match type.name:
        case "LIST" | "ARRAY":
            return _list_sql(as_list_sql(value, type), type.children[0], convert, depth)
        case "MAP":
            keys, values = (
                _list_sql(f"{part}({value})", child, convert, depth)
                for part, child in zip(("map_keys", "map_values"), type.children, strict=True)
            )
            return f"map({keys}, {values})"
        case _:
            made = (
                _row_sql(value, type, convert, depth)
                if is_row(type)
                else _struct_sql(value, type, convert, depth)
            )
            return f"CASE WHEN {value} IS NOT NULL THEN {made} END"


def rows_as_lists_sql(value: str, type: DuckDBType, depth: int = 0) -> str:
    """Return SQL of a value for a JSON file: a struct without names is a list, as it has no member names."""
    if not has_row(type):
        return value
    if not is_row(type):
        return rebuild_sql(value, type, rows_as_lists_sql, depth)
    parts = [
        rows_as_lists_sql(f"struct_extract({value}, {number})", part, depth)
        for number, part in enumerate(type.children, 1)
    ]
    return f"CASE WHEN {value} IS NOT NULL THEN json_array({', '.join(parts)}) END"


def as_list_sql(value: str, type: DuckDBType) -> str:
    """Return SQL of a LIST or ARRAY as a list."""
    return f"{value}[:]" if type.name == "ARRAY" else value


def _list_sql(value: str, item: DuckDBType, convert: Converter, depth: int) -> str:
    name = f"item{depth}"
    converted = convert(name, item, depth + 1)
    return value if converted == name else f"list_transform({value}, lambda {name}: {converted})"


def _row_sql(value: str, type: DuckDBType, convert: Converter, depth: int) -> str:
    parts = [
        convert(f"struct_extract({value}, {number})", part, depth)
        for number, part in enumerate(type.children, 1)
    ]
    return f"row({', '.join(parts)})"


def _struct_sql(value: str, type: DuckDBType, convert: Converter, depth: int) -> str:
    parts = (
        convert(f"struct_extract({value}, {quote_literal(name)})", part, depth)
        for name, part in zip(type.field_names, type.children, strict=True)
    )
    named = [
        f"{quote_identifier(name)} := {part}" for name, part in zip(type.field_names, parts, strict=True)
    ]
    return f"struct_pack({', '.join(named)})"
