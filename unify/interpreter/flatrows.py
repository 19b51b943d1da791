"""A few rows as an API wrote them, made flat for a look at them; a load types them more thoroughly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec

from unify.adapters.base import Page, Scalar
from unify.adapters.handling import Handling
from unify.interpreter.results import ResultColumn

_MOST_LEVELS = 100  # of objects within objects; anything deeper stays JSON
_LONG = 2**63


@dataclass(frozen=True, slots=True)
class FlatRows:
    """Rows with one value a column."""

    columns: tuple[ResultColumn, ...]
    rows: tuple[tuple[object, ...], ...]


def flat(table: Handling, pages: Sequence[Page], limit: int) -> FlatRows:
    """The first ``limit`` rows of ``pages`` under the column names that a load would give them."""
    found = [_fields(table, msgspec.json.decode(row), page.variables) for page in pages for row in page.rows][
        :limit
    ]
    names = list(dict.fromkeys(name for row in found for name in row))
    columns = tuple(ResultColumn(name, _type([row.get(name) for row in found])) for name in names)
    rows = tuple(tuple(_cell(row.get(column.name), column.type) for column in columns) for row in found)
    return FlatRows(columns, rows)


def _fields(table: Handling, row: object, variables: Mapping[str, Scalar]) -> dict[str, object]:
    """The values of one row by column name: what the page says of it, then its own members."""
    fields: dict[str, object] = dict(variables)
    if not isinstance(row, dict):
        return {**fields, "value": row}
    for column in table.columns:
        if column.source is not None and column.name not in variables:
            fields[column.name] = _member(row, column.source)
    for path, value in _members(row, table.flatten, ()):
        name = "_".join(path)
        if _is_wanted(table, name):
            fields.setdefault(name, value)
    return fields


def _members(
    row: Mapping[str, object], levels: int | None, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], object]]:
    deepest = _MOST_LEVELS if levels is None else levels
    for name, value in row.items():
        if isinstance(value, dict) and len(path) < deepest:
            yield from _members(value, levels, (*path, name))
        else:
            yield (*path, name), value


def _member(row: object, path: str) -> object:
    for step in path.split("."):
        row = row.get(step) if isinstance(row, dict) else None
    return row


def _is_wanted(table: Handling, name: str) -> bool:
    folded = name.lower()
    if folded in (key.lower() for key in table.key):
        return True
    if any(_speaks_for(glob.lower(), folded) for glob in table.exclude):
        return False
    return not table.only or any(_speaks_for(glob.lower(), folded) for glob in table.only)


def _speaks_for(glob: str, name: str) -> bool:
    """Whether a name or glob means ``name``, or an object that it is within."""
    parts = name.split("_")
    return any(fnmatchcase("_".join(parts[:end]), glob) for end in range(len(parts), 0, -1))


def _type(values: Sequence[object]) -> str:
    """The DuckDB type that holds all of ``values``."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int}:
        small = all(-_LONG <= value < _LONG for value in values if isinstance(value, int))
        return "BIGINT" if small else "VARCHAR"
    if kinds and kinds <= {int, float}:
        return "DOUBLE"
    return "JSON" if kinds & {dict, list} else "VARCHAR"


def _cell(value: object, type: str) -> Scalar:
    if value is None or (type not in ("VARCHAR", "JSON") and isinstance(value, bool | int | float)):
        return value
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
