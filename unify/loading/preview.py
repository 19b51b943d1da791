"""Pages as the table a load would make of them, without a lake: for ``unify spec try`` and ``test``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unify.adapters.base import Page
from unify.adapters.handling import Handling
from unify.loading.convert import RowStage, Sealed, Shape
from unify.model import Column
from unify.store.duck import literal, quoted

Json = Any  # a JSON value: dict, list, str, int, float, bool or None

_AS_JSON = ("STRUCT", "MAP", "JSON")


@dataclass(frozen=True, slots=True)
class Preview:
    """What a load would make of some pages.

    ``rows``     values in the order of ``columns``: as DuckDB gives them, or written out (see ``preview``).
    ``cursors``  the greatest value of the cursor column by scope.
    """

    columns: tuple[Column, ...]
    rows: Sequence[tuple[Any, ...]]
    cursors: Mapping[str, str]
    discarded: int


def preview(
    table: Handling, pages: Iterable[Page], *, most_rows: int | None = None, written: bool = False
) -> Preview:
    """Convert ``pages`` as the loader does, and read the result back.

    Rows    in the order of the source; ``most_rows`` bounds those that are read back. ``written``: scalars
            are DuckDB's text of them, in UTC, and nested values are JSON values.
    Raises  what reading the pages or converting their rows raises.
    """
    with tempfile.TemporaryDirectory(prefix="unify-preview-") as folder:
        with RowStage(Path(folder), shape_of(table), threads=1) as stage:
            for page in pages:
                stage.write(page.rows, page.variables, page.scope)
            sealed = stage.seal() if stage.rows else None
        if sealed is None:
            return Preview((), (), {}, 0)
        rows = _rows(sealed, most_rows, written)
    return Preview(sealed.columns, rows, sealed.cursors, sealed.discarded)


def shape_of(table: Handling) -> Shape:
    """What is said of the table's columns."""
    return Shape(
        columns=table.columns,
        exclude=table.exclude,
        only=table.only,
        flatten=table.flatten,
        cursor=table.incremental.cursor if table.incremental else None,
        key=table.key,
    )


def _rows(sealed: Sealed, most: int | None, written: bool) -> list[tuple[Any, ...]]:
    import duckdb

    names = ", ".join(literal(os.fspath(path)) for path in sealed.files)
    chosen = ", ".join(_written(column) if written else quoted(column.name) for column in sealed.columns)
    limit = "" if most is None else f" LIMIT {most:d}"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT {chosen} FROM read_parquet([{names}]){limit}").fetchall()
    if not written:
        return found
    nested = [_is_nested(column) for column in sealed.columns]
    return [
        tuple(_decoded(value) if inner else value for value, inner in zip(row, nested, strict=True))
        for row in found
    ]


def _written(column: Column) -> str:
    name = quoted(column.name)
    return f"CAST(to_json({name}) AS VARCHAR)" if _is_nested(column) else f"CAST({name} AS VARCHAR)"


def _is_nested(column: Column) -> bool:
    return column.type.startswith(_AS_JSON) or column.type.endswith("]")


def _decoded(value: str | None) -> Json:
    return None if value is None else json.loads(value)
