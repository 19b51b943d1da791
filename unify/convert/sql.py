"""SQL that reads a chunk into the columns of a layout, and SQL for cursors and discarded rows.

Types are always explicit: DuckDB's detection loses digits, samples rows and yields MAPs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from unify.convert.casts import cast_sql
from unify.convert.chunks import Chunk, MarkerKeys
from unify.convert.infer import REAL, TEMPORAL
from unify.convert.layout import ColumnOrigin, ColumnPlan
from unify.convert.selection import ColumnRules
from unify.engine.connection import quote_literal
from unify.engine.types import parse_type, quote_identifier

ROW_GROUP_ROWS = 20_000  # makes limit and point queries 3-6 times faster than DuckDB's 122,880 (design.md)
LONG_TIMESTAMP_ERROR = "a timestamp could be finer than a microsecond"
_MICROSECOND_TIMESTAMP_BYTES = 26  # 2024-01-31T08:30:00.123456; shorter texts have no more digits
FUTURE_TOLERANCE = timedelta(days=1)  # times of another zone, and clocks that differ, are not reported
_MONTHS = "(?i)(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_UNREADABLE_DATE = "|".join(
    [
        r"^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b",
        r"^\d{1,2}[ .-]+[^\d\s.-]{3,}[ .-]+\d{2,4}",
        rf"{_MONTHS}[a-z]*[ .,-]+\d",
    ]
)
_LINE_MARGIN_BYTES = 1024  # DuckDB requires a buffer beyond the longest line
_MIN_BUFFER_BYTES = 1024 * 1024  # bytes; smaller buffers only cost time


class ChunkSource(Struct, frozen=True):
    """Rows DuckDB can read: a FROM item, and for each column the SQL of its undecided value in it."""

    from_sql: str
    columns: tuple[tuple[ColumnPlan, str], ...]
    scope_sql: str


def read_type(column: ColumnPlan) -> str:
    """Return the type of a column for DuckDB's JSON reader, before the cast to its own."""
    type_ = parse_type(column.type)
    if column.is_strict or column.may_widen:
        return "JSON" if type_.nested or type_.name == "JSON" else "VARCHAR"
    return "VARCHAR" if _is_inferred_timestamp(column) else column.type


def direct_source(chunk: Chunk, columns: Sequence[ColumnPlan], markers: MarkerKeys) -> ChunkSource:
    """Return the source of rows as they came."""
    tree: dict[str, object] = {}
    for column in columns:
        if column.origin is not ColumnOrigin.ABSENT:
            _insert_path(tree, _column_path(column, markers), read_type(column))
    types = {key: _type_sql(branch) for key, branch in tree.items()}
    types.setdefault(markers.scope, "BIGINT")
    values = tuple(
        (column, _undecoded_sql(column, _reference_sql(markers, _column_path(column, markers))))
        for column in columns
    )
    return ChunkSource(
        _read_json_sql(chunk.path, types, chunk.longest_line_bytes, markers), values, _scope_sql(markers)
    )


def rewritten_source(
    path: Path, longest_line_bytes: int, columns: Sequence[ColumnPlan], markers: MarkerKeys
) -> ChunkSource:
    """Return the source of rows that ``rewrite`` wrote."""
    types = {f"c{index}": read_type(column) for index, column in enumerate(columns)}
    types[markers.scope] = "BIGINT"
    values = tuple(
        (column, _undecoded_sql(column, _reference_sql(markers, (f"c{index}",))))
        for index, column in enumerate(columns)
    )
    return ChunkSource(_read_json_sql(path, types, longest_line_bytes, markers), values, _scope_sql(markers))


def copy_rows_sql(source: ChunkSource, target: Path, *, exact_timestamps: bool) -> str:
    """Return the statement that writes the rows whose values fit to a Parquet file and returns their number.

    ``exact_timestamps``  fail if a timestamp is finer than a microsecond; otherwise fail with
                          LONG_TIMESTAMP_ERROR if one is long enough for that.
    """
    names = [quote_identifier(column.name) for column, _ in source.columns]
    values = [_value_sql(column, sql, exact_timestamps) for column, sql in source.columns]
    tested = [index for index, (column, _) in enumerate(source.columns) if _is_checked(column)]
    rows = source.from_sql if exact_timestamps else source.from_sql + _no_long_timestamp_sql(source)
    if not tested:
        selected = ", ".join(f"{value} AS {name}" for value, name in zip(values, names, strict=True))
        return copy_to_parquet_sql(f"SELECT {selected} FROM {rows}", target)
    inner = [f"{value} AS v{index}" for index, value in enumerate(values)]
    inner += [f"{source.columns[index][1]} AS r{index}" for index in tested]
    selected = ", ".join(f"v{index} AS {name}" for index, name in enumerate(names))
    fits = " AND ".join(f"(r{index} IS NULL OR v{index} IS NOT NULL)" for index in tested)
    return copy_to_parquet_sql(
        f"SELECT {selected} FROM (SELECT {', '.join(inner)} FROM {rows}) WHERE {fits}", target
    )


def copy_to_parquet_sql(
    select: str, target: Path, group_rows: int = ROW_GROUP_ROWS, group_bytes: int | None = None
) -> str:
    """Statement that writes what ``select`` gives into a Parquet file; its result is the number of rows.

    ``group_bytes``  of a row group at most, about; needs preserve_insertion_order = false.
    """
    size = f", ROW_GROUP_SIZE_BYTES {group_bytes}" if group_bytes is not None else ""
    return (
        f"COPY ({select}) TO {quote_literal(os.fspath(target))} "
        f"(FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {group_rows}{size}, WRITE_BLOOM_FILTER false)"
    )


def uncastable_rows_sql(source: ChunkSource) -> str:
    """Return the query for rows with a value that does not fit: line from 0, column index, text."""
    tested = [
        (index, column, sql) for index, (column, sql) in enumerate(source.columns) if _is_checked(column)
    ]
    cases = [
        (index, f"{sql} IS NOT NULL AND {_value_sql(column, sql, False)} IS NULL", sql)
        for index, column, sql in tested
    ]
    which = " ".join(f"WHEN {bad} THEN {index}" for index, bad, _ in cases)
    text = " ".join(f"WHEN {bad} THEN CAST({sql} AS VARCHAR)" for _, bad, sql in cases)
    return (
        f"SELECT line, place, value FROM (SELECT row_number() OVER () - 1 AS line, "
        f"CASE {which} END AS place, CASE {text} END AS value FROM {source.from_sql}) "
        "WHERE place IS NOT NULL ORDER BY line"
    )


def cursors_sql(source: ChunkSource, column: ColumnPlan, rules: ColumnRules) -> str:
    """Return the query for the greatest cursor of each segment, and counts of rows by their cursor.

    Its rows: segment, text of the cursor, and the values of `CursorCounts` in their order.
    """
    value = next(sql for planned, sql in source.columns if planned == column)
    valid = _is_valid_cursor_sql("text", column)
    future, reported = "false", "false"
    moment = _cursor_timestamp_sql("text", column, rules)
    if rules.cursor_limit is not None and moment:
        future = f"coalesce({moment} > TIMESTAMPTZ {quote_literal(rules.cursor_limit.isoformat())}, false)"
        reported_at = rules.cursor_limit + FUTURE_TOLERANCE
        reported = f"coalesce({moment} > TIMESTAMPTZ {quote_literal(reported_at.isoformat())}, false)"
    unreadable = (
        f"NOT {valid} AND regexp_matches(text, '{_UNREADABLE_DATE}')" if column.type == "VARCHAR" else "false"
    )
    return (
        f"SELECT coalesce(segment, 0), {greatest_cursor_sql('text', column, f'NOT {future}')}, "
        f"count(*) FILTER (WHERE text IS NULL), count(*) FILTER (WHERE {valid}), "
        f"count(*) FILTER (WHERE text IS NOT NULL AND NOT {valid}), count(*) FILTER (WHERE {reported}), "
        f"coalesce(max(text) FILTER (WHERE {reported}), ''), coalesce(max(text) FILTER (WHERE "
        f"{unreadable}), '') "
        f"FROM (SELECT {source.scope_sql} AS segment, CAST({value} AS VARCHAR) AS text FROM "
        f"{source.from_sql}) "
        "GROUP BY 1"
    )


def greatest_cursor_sql(text: str, column: ColumnPlan, condition: str = "true") -> str:
    """Return an aggregate over texts of a cursor: the one of the greatest value; of equals the last text.

    In a column of text, timestamps are greater than numbers, and numbers greater than other texts: a text
    among timestamps is a fault of the row.
    """
    value = _cast_column_sql(text, column)
    if column.type == "VARCHAR":
        moment, number = _timestamp_sql(text), _number_sql(text)
        least = "TIMESTAMPTZ '0001-01-01 00:00:00+00'"
        value = (
            f"{{'kind': CASE WHEN {moment} IS NOT NULL THEN 2 WHEN {number} IS NOT NULL THEN 1 ELSE 0 END, "
            f"'moment': coalesce({moment}, {least}), 'number': coalesce({number}, 0)}}"
        )
    fits = f"{text} IS NOT NULL AND {value} IS NOT NULL AND {condition}"
    return f"arg_max({text}, {{'value': {value}, 'text': {text}}}) FILTER (WHERE {fits})"


def _cursor_timestamp_sql(text: str, column: ColumnPlan, rules: ColumnRules) -> str:
    """Return SQL for the timestamp of a cursor; "" for a column that holds none."""
    number = f"unify_epoch({_number_sql(text)})" if rules.cursor_is_epoch else "CAST(NULL AS TIMESTAMPTZ)"
    match column.type:
        case "DATE" | "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE":
            return f"CAST({_cast_column_sql(text, column)} AS TIMESTAMPTZ)"
        case "VARCHAR":
            return f"coalesce({_timestamp_sql(text)}, {number})"
        case _:
            return number if rules.cursor_is_epoch and parse_type(column.type).numeric else ""


def _is_valid_cursor_sql(text: str, column: ColumnPlan) -> str:
    """Return SQL for whether a text is a valid cursor; in a column of text, a timestamp or number."""
    if column.type == "VARCHAR":
        return f"coalesce({_timestamp_sql(text)} IS NOT NULL OR {_number_sql(text)} IS NOT NULL, false)"
    return f"coalesce({_cast_column_sql(text, column)} IS NOT NULL, false)"


def _cast_column_sql(text: str, column: ColumnPlan) -> str:
    return cast_sql(text, column.type, column.format, has_json_numbers=bool(column.type_flags & REAL))


def _timestamp_sql(text: str) -> str:
    return (
        f"CASE WHEN regexp_matches({text}, '^[0-9]{{4}}-') THEN unify_moment({text}) "
        f"WHEN NOT regexp_matches({text}, '^[-+0-9.eE]*$') THEN unify_text_date({text}) END"
    )


def _number_sql(text: str) -> str:
    return f"TRY_CAST({text} AS DECIMAL(38, 9))"


def _is_checked(column: ColumnPlan) -> bool:
    return (column.is_strict or column.may_widen) and parse_type(column.type).name not in ("VARCHAR", "JSON")


def _is_inferred_timestamp(column: ColumnPlan) -> bool:
    """Return whether the type was inferred from texts that are all dates or timestamps."""
    return column.type in ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE") and bool(
        column.type_flags & TEMPORAL
    )


def _value_sql(column: ColumnPlan, sql: str, exact_timestamps: bool) -> str:
    if column.origin is ColumnOrigin.ABSENT:
        return f"CAST(NULL AS {column.type})"
    if column.is_strict or column.may_widen:
        return _cast_column_sql(sql, column)
    if not _is_inferred_timestamp(column):
        return sql
    cast = f"CAST({sql} AS {column.type})"
    if exact_timestamps and _may_be_sub_microsecond(column):
        return f"CASE WHEN unify_is_fine({sql}) THEN error('finer than a microsecond') ELSE {cast} END"
    return cast


def _no_long_timestamp_sql(source: ChunkSource) -> str:
    """Return a condition that fails on a timestamp with more characters than microseconds need."""
    moments = [f"strlen({sql})" for column, sql in source.columns if _may_be_sub_microsecond(column)]
    if not moments:
        return ""
    longest = f"greatest({', '.join(moments)})"
    error = f"error({quote_literal(LONG_TIMESTAMP_ERROR)})"
    return f" WHERE CASE WHEN {longest} > {_MICROSECOND_TIMESTAMP_BYTES} THEN {error} ELSE true END"


def _may_be_sub_microsecond(column: ColumnPlan) -> bool:
    return (
        _is_inferred_timestamp(column)
        and column.type != "DATE"
        and not column.is_strict
        and not column.may_widen
    )


def _undecoded_sql(column: ColumnPlan, reference: str) -> str:
    """Return SQL for a value as it came; an empty text in a declared column of another type is NULL."""
    match read_type(column) if column.is_strict and column.origin is not ColumnOrigin.ABSENT else "":
        case "JSON" if column.type != "JSON":
            return f"nullif({reference}, '\"\"')"
        case "VARCHAR" if column.type != "VARCHAR":
            return f"nullif(trim({reference}), '')"
        case _:
            return reference


def _column_path(column: ColumnPlan, markers: MarkerKeys) -> tuple[str, ...]:
    match column.origin:
        case ColumnOrigin.PAGE:
            return (markers.page, *column.path)
        case ColumnOrigin.WHOLE_ROW:
            return (markers.value,)
        case _:
            return column.path


def _insert_path(tree: dict[str, object], path: tuple[str, ...], type_: str) -> None:
    for key in path[:-1]:
        branch = tree.setdefault(key, {})
        if not isinstance(branch, dict):
            raise ValueError(f"{key} is read as a whole already")  # columns._needs_rewriting forbids it
        tree = branch
    tree[path[-1]] = type_


def _type_sql(branch: object) -> str:
    if not isinstance(branch, dict):
        return str(branch)
    return (
        f"STRUCT({', '.join(f'{quote_identifier(key)} {_type_sql(value)}' for key, value in branch.items())})"
    )


def _reference_sql(markers: MarkerKeys, path: tuple[str, ...]) -> str:
    """Return the reference to a field; the alias of the rows is random, so that no column hides it."""
    return ".".join(map(quote_identifier, (markers.value, *path)))


def _scope_sql(markers: MarkerKeys) -> str:
    return _reference_sql(markers, (markers.scope,))


def _read_json_sql(path: Path, types: dict[str, str], longest_line_bytes: int, markers: MarkerKeys) -> str:
    columns = ", ".join(f"{quote_literal(key)}: {quote_literal(type_)}" for key, type_ in types.items())
    longest = max(_MIN_BUFFER_BYTES, longest_line_bytes + _LINE_MARGIN_BYTES)
    return (
        f"read_json({quote_literal(os.fspath(path))}, format = 'newline_delimited', auto_detect = false, "
        f"maximum_object_size = {longest}, columns = {{{columns}}}) AS {quote_identifier(markers.value)}"
    )
