"""Stage rows as Parquet and read them with DuckDB."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.database import open_cursor
from unify.adapters.base import Scalar
from unify.convert.selection import ColumnRules, StoredSchema
from unify.convert.stage import RowStage, StageResult
from unify.model import Column

EVERYTHING = ColumnRules()


TIMESTAMPTZ = "TIMESTAMP WITH TIME ZONE"


class Staged:
    """A staged load and its rows as DuckDB reads them."""

    def __init__(self, sealed: StageResult) -> None:
        self.sealed = sealed
        self.types = {column.name: column.type for column in sealed.columns}
        self.rows = read(*sealed.files) if sealed.files else []

    def values(self, name: str) -> list[Any]:
        index = list(self.types).index(name)
        return [row[index] for row in self.rows]


def read(*files: Path) -> list[tuple[Any, ...]]:
    with open_cursor() as connection:
        return connection.execute("FROM read_parquet(?)", [[str(path) for path in files]]).fetchall()


def stage(
    folder: Path,
    *rows: object,
    shape: ColumnRules = EVERYTHING,
    known: Sequence[Column] = (),
    variables: Mapping[str, Scalar] | None = None,
    page: int = 2,
    chunk_bytes: int = 50,
) -> Staged:
    """Stage rows in pages of ``page`` rows; bytes are JSON already, other values are encoded."""
    folder.mkdir(exist_ok=True)
    with RowStage(
        folder, shape, StoredSchema(tuple(known)), chunk_bytes=chunk_bytes, chunk_rows=1
    ) as rowstage:
        texts = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        for start in range(0, len(texts), page):
            rowstage.write(texts[start : start + page], variables or {})
        return Staged(rowstage.finish())
