"""Rows as a source sent them, staged as Parquet: which columns they become, and that nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pytest

from unify.adapters.spec import ColumnDef
from unify.errors import BadResponse, ConfigError
from unify.loading.convert import RowStage, Sealed, Shape
from unify.model import Column


class Staged:
    """A sealed load and its rows as DuckDB reads them."""

    def __init__(self, sealed: Sealed) -> None:
        self.sealed = sealed
        self.types = {column.name: column.type for column in sealed.columns}
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            files = [str(path) for path in sealed.files]
            self.rows = connection.execute("FROM read_parquet(?)", [files]).fetchall() if files else []

    def column(self, name: str) -> list[object]:
        index = list(self.types).index(name)
        return [row[index] for row in self.rows]


def stage(
    folder: Path, *rows: object, shape: Shape = Shape(), known: Sequence[Column] = (), page: int = 2
) -> Staged:
    """Stage rows in pages of ``page``; bytes are JSON as it is, anything else is made JSON."""
    with RowStage(folder, shape, known) as rowstage:
        texts = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        for start in range(0, len(texts), page):
            rowstage.write(texts[start : start + page])
        return Staged(rowstage.seal())


def test_members_of_objects_become_columns(tmp_path: Path) -> None:
    staged = stage(tmp_path, {"id": 1, "user": {"login": "ada", "plan": {"seats": 3}}}, {"id": 2, "user": None})

    assert staged.types == {"id": "BIGINT", "user_login": "VARCHAR", "user_plan_seats": "BIGINT"}
    assert staged.rows == [(1, "ada", 3), (2, None, None)]
