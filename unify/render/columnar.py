"""Rows of a result as relations of DuckDB and batches of Arrow, with the types of their columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from unify.engine.connection import open_database
from unify.engine.types import quote_identifier as quoted
from unify.errors import UsageError
from unify.interpreter.results import ResultColumn
from unify.text import unique_names

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

BATCH_ROWS = 10_000

Batches = Iterator[Sequence[tuple[object, ...]]]


class TypedTable:
    """A table ``rows`` in a DuckDB of its own. Values travel as JSON, which is exact."""

    def __init__(self, columns: Sequence[ResultColumn]) -> None:
        if not columns:
            raise UsageError("this statement has no rows")
        names = unique_names((column.name for column in columns), str.lower)
        fields = ", ".join(
            f"{quoted(name)} {column.type}" for name, column in zip(names, columns, strict=True)
        )
        casts = ", ".join(
            f"CAST({'row ->' if _is_nested(column.type) else 'row ->>'} {number} AS {column.type})"
            for number, column in enumerate(columns)
        )
        self.connection: DuckDBPyConnection = open_database()
        self.connection.execute(f"CREATE TABLE rows ({fields})")
        self._insert = f"INSERT INTO rows SELECT {casts} FROM (SELECT unnest(CAST(? AS JSON[])) AS row)"

    def insert(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Add rows."""
        values = msgspec.json.encode([[_to_json(value) for value in row] for row in rows]).decode()
        self.connection.execute(self._insert, [values])

    def relation(self) -> DuckDBPyRelation:
        """The rows."""
        return self.connection.table("rows")


def to_relation(columns: Sequence[ResultColumn], batches: Batches) -> DuckDBPyRelation:
    """Return all rows as a relation. Raises UsageError for a statement without rows."""
    table = TypedTable(columns)
    for batch in batches:
        table.insert(batch)
    return table.relation()


def to_reader(columns: Sequence[ResultColumn], batches: Batches) -> pyarrow.RecordBatchReader:
    """Return a reader that reads a batch when it is asked for the next. Raises UsageError as above."""
    import pyarrow

    table = TypedTable(columns)
    schema = table.relation().to_arrow_table().schema

    def read() -> Iterator[pyarrow.RecordBatch]:
        for batch in batches:
            table.insert(batch)
            yield from table.relation().to_arrow_table().to_batches()
            table.connection.execute("DELETE FROM rows")

    return pyarrow.RecordBatchReader.from_batches(schema, read())


def _is_nested(type: str) -> bool:
    return type.endswith("]") or type.startswith(("STRUCT", "MAP"))


def _to_json(value: object) -> object:
    """A value as JSON that DuckDB casts back to it."""
    if isinstance(value, bool | str | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return "".join(f"\\x{byte:02X}" for byte in value)
    if isinstance(value, Mapping):
        return {str(key): _to_json(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(part) for part in value]
    return str(value)
