"""Checks that the values of rows fit the types that the spec declares for the columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from unify.adapters.spec.write import WriteColumn, WriteSpec
from unify.lake import session_rows
from unify.lake.lake import Lake
from unify.model import PlannedRow
from unify.text import excerpt

MAX_VALUE_CHARS = 40  # of a value in a message
_ANY_TEXT = frozenset(["json", "varchar", "text", "string"])
_encoder = msgspec.json.Encoder(decimal_format="number")


def type_problems(lake: Lake, spec: WriteSpec, rows: Sequence[PlannedRow]) -> Iterator[str]:
    """Yield the values that do not fit, with row and column: DuckDB decides, as for a cast."""
    for column in spec.columns:
        if column.type is not None and column.type.lower() not in _ANY_TEXT:
            yield from _column_problems(lake, column, column.type, rows)


def _column_problems(lake: Lake, column: WriteColumn, type: str, rows: Sequence[PlannedRow]) -> Iterator[str]:
    values = [
        {"row": row.number, "text": _text(value)}
        for row in rows
        if (value := row.values.get(column.name)) is not None
    ]
    if not values:
        return
    items = """SELECT unnest(from_json($1, '[{"row":"BIGINT","text":"VARCHAR"}]')) AS item"""
    sql = f'SELECT item."row", item."text" FROM ({items}) WHERE TRY_CAST(item."text" AS {type}) IS NULL'
    for row, text in session_rows.fetch_session_rows(lake, sql, [_encoder.encode(values).decode()]):
        yield f"row {row}: {column.name} is {excerpt(repr(text), MAX_VALUE_CHARS)}, which is no {type}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else _encoder.encode(value).decode()
