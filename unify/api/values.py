"""Dates, times and intervals, which a session fetches as DuckDB's exact text, as values of Python.

A value that Python cannot hold stays a text: infinite dates, years before 1 or after 9999, nanoseconds,
months.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta

from unify.engine.types import DuckDBType, parse_type
from unify.interpreter.results import ResultColumn

Converter = Callable[[object], object]
RowConverter = Callable[[tuple[object, ...]], tuple[object, ...]]

_INTERVAL = re.compile(
    r"(?:(?P<days>-?\d+) days? ?)?(?:(?P<sign>-)?(?P<h>\d+):(?P<m>\d\d):(?P<s>\d\d)(?:\.(?P<us>\d{1,6}))?)?"
)
_NANOSECONDS = re.compile(r"\.\d{7}")
_TEXT_PARSERS: Mapping[str, Callable[[str], object]] = {
    "DATE": date.fromisoformat,
    "TIME": time.fromisoformat,
    "TIME WITH TIME ZONE": time.fromisoformat,
    "TIMESTAMP": datetime.fromisoformat,
    "TIMESTAMP_S": datetime.fromisoformat,
    "TIMESTAMP_MS": datetime.fromisoformat,
    "TIMESTAMP_NS": datetime.fromisoformat,
    "TIMESTAMP WITH TIME ZONE": datetime.fromisoformat,
}


def row_converter(columns: Sequence[ResultColumn]) -> RowConverter | None:
    """Return what converts a row of these columns; None if nothing has to be converted."""
    converters = {
        position: found
        for position, column in enumerate(columns)
        if (found := _converter(parse_type(column.type))) is not None
    }
    if not converters:
        return None

    def convert(row: tuple[object, ...]) -> tuple[object, ...]:
        values = list(row)
        for position, one in converters.items():
            values[position] = one(values[position])
        return tuple(values)

    return convert


def _converter(type: DuckDBType) -> Converter | None:
    if (parse := _TEXT_PARSERS.get(type.name)) is not None:
        return lambda value: _parse_exactly(parse, value)
    if type.name == "INTERVAL":
        return _parse_interval
    children = [_converter(child) for child in type.children]
    if not any(children):
        return None
    return _nested_converter(type, [child or _same for child in children])


def _nested_converter(type: DuckDBType, children: Sequence[Converter]) -> Converter | None:
    match type.name:
        case "LIST" | "ARRAY":
            return lambda value: _convert_elements(children[0], value)
        case "STRUCT" if type.field_names:
            fields = dict(zip(type.field_names, children, strict=True))
            return lambda value: _convert_fields(fields, value)
        case "MAP":
            return lambda value: _convert_entries(children[0], children[1], value)
        case _:
            return None


def _convert_elements(element: Converter, value: object) -> object:
    match value:
        case list():
            return [element(part) for part in value]
        case tuple():
            return tuple(element(part) for part in value)
        case _:
            return value


def _convert_fields(fields: Mapping[str, Converter], value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return {name: fields.get(name, _same)(part) for name, part in value.items()}


def _convert_entries(key: Converter, item: Converter, value: object) -> object:
    return {key(name): item(part) for name, part in value.items()} if isinstance(value, Mapping) else value


def _same(value: object) -> object:
    return value


def _parse_exactly(parse: Callable[[str], object], value: object) -> object:
    """Parse a text; one that Python cannot hold, or only with fewer digits, stays as it is."""
    if not isinstance(value, str) or _has_nanoseconds(value):
        return value
    try:
        return parse(value)
    except ValueError:
        return value


def _has_nanoseconds(text: str) -> bool:
    return _NANOSECONDS.search(text) is not None


def _parse_interval(value: object) -> object:
    match = _INTERVAL.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        return value
    clock = timedelta(
        hours=int(match["h"] or 0),
        minutes=int(match["m"] or 0),
        seconds=int(match["s"] or 0),
        microseconds=int((match["us"] or "0").ljust(6, "0")),
    )
    try:
        return timedelta(days=int(match["days"] or 0)) + (-clock if match["sign"] else clock)
    except OverflowError:
        return value
