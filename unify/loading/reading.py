"""SQL that reads a chunk of rows into the columns of a layout.

Types are always given: DuckDB's own detection loses digits, takes samples, and makes MAPs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unify.duckdb_types import parse_type, quote_name
from unify.loading.chunks import Chunk, Marks
from unify.loading.declared import fit
from unify.loading.kinds import MOMENTS, REAL
from unify.loading.layout import Origin, Planned
from unify.store.duck import literal

ROW_GROUP_ROWS = 20_000  # makes limit and point queries 3-6 times faster than DuckDB's 122,880 (design.md)
LONG_MOMENT = "a moment could be finer than a microsecond"
_SHORT_MOMENT = 26  # bytes: 2024-01-31T08:30:00.123456 and all that is shorter has no more digits
_SLACK = 1024  # bytes DuckDB wants beyond the longest line
_LEAST = 1024 * 1024  # bytes; smaller buffers only cost time


@dataclass(frozen=True, slots=True)
class Source:
    """Rows DuckDB can read: a FROM item, and for each column the SQL of its undecided value in it."""

    sql: str
    columns: tuple[tuple[Planned, str], ...]
    scope: str


def read_as(column: Planned) -> str:
    """The type DuckDB reads a column's values as, before they are turned into the column's own."""
    type_ = parse_type(column.type)
    if column.strict or column.tried:
        return "JSON" if type_.nested or type_.name == "JSON" else "VARCHAR"
    return "VARCHAR" if _is_moment(column) else column.type


def straight(chunk: Chunk, columns: Sequence[Planned], marks: Marks) -> Source:
    """The rows as they came."""
    tree: dict[str, object] = {}
    for column in columns:
        if column.origin is not Origin.NOTHING:
            _plant(tree, _place(column, marks), read_as(column))
    types = {key: _type_text(branch) for key, branch in tree.items()}
    types.setdefault(marks.scope, "BIGINT")
    values = tuple((column, _reference(marks, _place(column, marks))) for column in columns)
    return Source(_read(chunk.path, types, chunk.longest_line, marks), values, _scope(marks))


def flat(path: Path, longest_line: int, columns: Sequence[Planned], marks: Marks) -> Source:
    """The rows as ``rewriting`` wrote them."""
    types = {f"c{index}": read_as(column) for index, column in enumerate(columns)}
    types[marks.scope] = "BIGINT"
    values = tuple((column, _reference(marks, (f"c{index}",))) for index, column in enumerate(columns))
    return Source(_read(path, types, longest_line, marks), values, _scope(marks))


def copy(source: Source, target: Path, *, exact_moments: bool) -> str:
    """Statement that writes the rows whose values all fit into a Parquet file, and gives their number.

    ``exact_moments``  look at each moment whether it is finer than a microsecond, and fail if one is;
                       otherwise fail with LONG_MOMENT where one is long enough to be.
    """
    names = [quote_name(column.name) for column, _ in source.columns]
    values = [_value(column, sql, exact_moments) for column, sql in source.columns]
    tested = [index for index, (column, _) in enumerate(source.columns) if _is_tested(column)]
    rows = source.sql if exact_moments else source.sql + _no_long_moment(source)
    if not tested:
        selected = ", ".join(f"{value} AS {name}" for value, name in zip(values, names, strict=True))
        return copy_to(f"SELECT {selected} FROM {rows}", target)
    inner = [f"{value} AS v{index}" for index, value in enumerate(values)]
    inner += [f"{source.columns[index][1]} AS r{index}" for index in tested]
    selected = ", ".join(f"v{index} AS {name}" for index, name in enumerate(names))
    fits = " AND ".join(f"(r{index} IS NULL OR v{index} IS NOT NULL)" for index in tested)
    return copy_to(f"SELECT {selected} FROM (SELECT {', '.join(inner)} FROM {rows}) WHERE {fits}", target)


def copy_to(select: str, target: Path) -> str:
    """Statement that writes what ``select`` gives into a Parquet file."""
    return (
        f"COPY ({select}) TO {literal(os.fspath(target))} "
        f"(FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {ROW_GROUP_ROWS}, WRITE_BLOOM_FILTER false)"
    )


def misfits(source: Source) -> str:
    """Query for rows with a value that does not fit: line from 0, column's place, the value's text."""
    tested = [
        (index, column, sql) for index, (column, sql) in enumerate(source.columns) if _is_tested(column)
    ]
    cases = [
        (index, f"{sql} IS NOT NULL AND {_value(column, sql, False)} IS NULL", sql)
        for index, column, sql in tested
    ]
    which = " ".join(f"WHEN {bad} THEN {index}" for index, bad, _ in cases)
    text = " ".join(f"WHEN {bad} THEN CAST({sql} AS VARCHAR)" for _, bad, sql in cases)
    return (
        f"SELECT line, place, value FROM (SELECT row_number() OVER () - 1 AS line, "
        f"CASE {which} END AS place, CASE {text} END AS value FROM {source.sql}) "
        "WHERE place IS NOT NULL ORDER BY line"
    )


def cursors(source: Source, column: Planned) -> str:
    """Query for the greatest cursor of each segment as its text, and what cannot be one.

    Gives   ``(segment, text, without, sound, doubtful)``: rows without a cursor, with a moment or number, and
            with another text.
    """
    sql = next(sql for planned, sql in source.columns if planned == column)
    sound = _sound("text", column)
    return (
        f"SELECT coalesce(segment, 0), {greatest('text', column)}, count(*) FILTER (WHERE text IS NULL), "
        f"count(*) FILTER (WHERE {sound}), count(*) FILTER (WHERE text IS NOT NULL AND NOT {sound}) FROM "
        f"(SELECT {source.scope} AS segment, CAST({sql} AS VARCHAR) AS text FROM {source.sql}) GROUP BY 1"
    )


def greatest(text: str, column: Planned) -> str:
    """Aggregate over texts of a cursor: the one of the greatest value; of equals the last in byte order.

    Among texts of all kinds moments go before numbers, and both before others: a cursor that is no such
    thing is somebody's mistake where the rest are.
    """
    value = _fitted(text, column)
    if column.type == "VARCHAR":
        moment, number = _moment(text), _number(text)
        least = "TIMESTAMPTZ '0001-01-01 00:00:00+00'"
        value = (
            f"{{'kind': CASE WHEN {moment} IS NOT NULL THEN 2 WHEN {number} IS NOT NULL THEN 1 ELSE 0 END, "
            f"'moment': coalesce({moment}, {least}), 'number': coalesce({number}, 0)}}"
        )
    fits = f"{text} IS NOT NULL AND {value} IS NOT NULL"
    return f"arg_max({text}, {{'value': {value}, 'text': {text}}}) FILTER (WHERE {fits})"


def _sound(text: str, column: Planned) -> str:
    """Whether a text is a cursor as others of its column are; in a column of texts, a moment or number."""
    if column.type == "VARCHAR":
        return f"coalesce({_moment(text)} IS NOT NULL OR {_number(text)} IS NOT NULL, false)"
    return f"coalesce({_fitted(text, column)} IS NOT NULL, false)"


def _fitted(text: str, column: Planned) -> str:
    return fit(text, column.type, column.format, reals=bool(column.kinds & REAL))


def _moment(text: str) -> str:
    return f"CASE WHEN regexp_matches({text}, '^[0-9]{{4}}-') THEN unify_moment({text}) END"


def _number(text: str) -> str:
    return f"TRY_CAST({text} AS DECIMAL(38, 9))"


def _is_tested(column: Planned) -> bool:
    return (column.strict or column.tried) and parse_type(column.type).name not in ("VARCHAR", "JSON")


def _is_moment(column: Planned) -> bool:
    """The type was found from texts that are all dates or moments."""
    return column.type in ("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE") and bool(column.kinds & MOMENTS)


def _value(column: Planned, sql: str, exact_moments: bool) -> str:
    if column.origin is Origin.NOTHING:
        return f"CAST(NULL AS {column.type})"
    if column.strict or column.tried:
        return _fitted(sql, column)
    if not _is_moment(column):
        return sql
    cast = f"CAST({sql} AS {column.type})"
    if exact_moments and _may_be_fine(column):
        return f"CASE WHEN unify_is_fine({sql}) THEN error('finer than a microsecond') ELSE {cast} END"
    return cast


def _no_long_moment(source: Source) -> str:
    """A condition that fails on a moment of more characters than microseconds take."""
    moments = [f"strlen({sql})" for column, sql in source.columns if _may_be_fine(column)]
    if not moments:
        return ""
    longest = f"greatest({', '.join(moments)})"
    return f" WHERE CASE WHEN {longest} > {_SHORT_MOMENT} THEN error({literal(LONG_MOMENT)}) ELSE true END"


def _may_be_fine(column: Planned) -> bool:
    return _is_moment(column) and column.type != "DATE" and not column.strict and not column.tried


def _place(column: Planned, marks: Marks) -> tuple[str, ...]:
    match column.origin:
        case Origin.PAGE:
            return (marks.page, *column.path)
        case Origin.WHOLE:
            return (marks.value,)
        case _:
            return column.path


def _plant(tree: dict[str, object], path: tuple[str, ...], type_: str) -> None:
    for key in path[:-1]:
        branch = tree.setdefault(key, {})
        if not isinstance(branch, dict):
            raise ValueError(f"{key} is read as a whole already")  # columns._needs_rewriting forbids it
        tree = branch
    tree[path[-1]] = type_


def _type_text(branch: object) -> str:
    if not isinstance(branch, dict):
        return str(branch)
    return f"STRUCT({', '.join(f'{quote_name(key)} {_type_text(value)}' for key, value in branch.items())})"


def _reference(marks: Marks, path: tuple[str, ...]) -> str:
    """A place in the rows; their alias is a mark, so that no column's name can be taken for it."""
    return ".".join(map(quote_name, (marks.value, *path)))


def _scope(marks: Marks) -> str:
    return _reference(marks, (marks.scope,))


def _read(path: Path, types: dict[str, str], longest_line: int, marks: Marks) -> str:
    columns = ", ".join(f"{literal(key)}: {literal(type_)}" for key, type_ in types.items())
    longest = max(_LEAST, longest_line + _SLACK)
    return (
        f"read_json({literal(os.fspath(path))}, format = 'newline_delimited', auto_detect = false, "
        f"maximum_object_size = {longest}, columns = {{{columns}}}) AS {quote_name(marks.value)}"
    )
