"""Preview: converts pages as a load does, without a lake, for ``spec try``, ``spec test`` and live tables."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from unify.adapters.base import Page, TableConfig
from unify.adapters.rest.incremental import is_epoch_cursor
from unify.convert.selection import ColumnRules
from unify.convert.stage import RowStage, StageResult
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.model import Column

JsonValue = Any  # a JSON value: dict, list, str, int, float, bool or None

MAX_DISCARDS = 5  # quoted in a preview
_JSON_TYPES = ("STRUCT", "MAP", "JSON")


class Preview(Struct, frozen=True):
    """The table that a load would make of some pages.

    ``rows``     values in the order of ``columns``; see ``preview_pages``.
    ``discards`` column, value and reason of the first discarded rows.
    ``notes``    what does not suit the rows in the spec.
    ``cursors``  the greatest cursor of each scope.
    """

    columns: tuple[Column, ...]
    rows: Sequence[tuple[Any, ...]]
    cursors: Mapping[str, str]
    discarded: int
    discards: Sequence[tuple[str, str, str]] = ()
    notes: Sequence[str] = ()


def preview_pages(
    table: TableConfig, pages: Iterable[Page], *, max_rows: int | None = None, as_text: bool = False
) -> Preview:
    """Convert ``pages`` as the loader does, and return at most ``max_rows`` of the rows, in their order.

    ``as_text``  scalars are DuckDB's text, in UTC, and nested values are JSON values.
    """
    with tempfile.TemporaryDirectory(prefix="unify-preview-") as folder:
        with RowStage(Path(folder), column_rules(table), threads=1) as stage:
            for page in pages:
                stage.write(page.rows, page.variables, page.scope)
            sealed = stage.finish() if stage.rows else None
        if sealed is None:
            return Preview((), (), {}, 0)
        rows = _read_rows(sealed, max_rows, as_text)
        discards = _read_discards(sealed)
    return Preview(sealed.columns, rows, sealed.cursors, sealed.discarded, discards, sealed.notes)


def _read_discards(staged: StageResult) -> Sequence[tuple[str, str, str]]:
    from unify.engine import duckdb

    if staged.discarded_file is None:
        return ()
    path = quote_literal(os.fspath(staged.discarded_file))
    with duckdb.connect() as connection:
        discards = f'SELECT DISTINCT "column", value, reason FROM read_parquet({path})'
        sql = f"{discards} ORDER BY ALL LIMIT {MAX_DISCARDS}"
        return connection.execute(sql).fetchall()


def column_rules(table: TableConfig, cursor_limit: datetime | None = None) -> ColumnRules:
    """Return the rules of a spec about the table's columns."""
    return ColumnRules(
        columns=table.columns,
        exclude=table.exclude,
        only=table.only,
        flatten=table.flatten,
        cursor=table.incremental.cursor if table.incremental else None,
        key=table.key,
        cursor_limit=cursor_limit,
        cursor_is_epoch=table.incremental is not None and is_epoch_cursor(table.incremental),
    )


def _read_rows(staged: StageResult, max_rows: int | None, as_text: bool) -> list[tuple[Any, ...]]:
    from unify.engine import duckdb

    names = ", ".join(quote_literal(os.fspath(path)) for path in staged.files)
    chosen = ", ".join(_text_sql(column) if as_text else quoted(column.name) for column in staged.columns)
    limit = "" if max_rows is None else f" LIMIT {max_rows:d}"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT {chosen} FROM read_parquet([{names}]){limit}").fetchall()
    if not as_text:
        return found
    nested = [_is_nested(column) for column in staged.columns]
    return [
        tuple(_decode_json(value) if inner else value for value, inner in zip(row, nested, strict=True))
        for row in found
    ]


def _text_sql(column: Column) -> str:
    name = quoted(column.name)
    return f"CAST(to_json({name}) AS VARCHAR)" if _is_nested(column) else f"CAST({name} AS VARCHAR)"


def _is_nested(column: Column) -> bool:
    return column.type.startswith(_JSON_TYPES) or column.type.endswith("]")


def _decode_json(value: str | None) -> JsonValue:
    return None if value is None else json.loads(value)


def stage_pages(folder: Path, table: TableConfig, pages: Iterable[Page]) -> StageResult:
    """Every row of ``pages`` as Parquet files in ``folder``. Raises what reading and converting raise."""
    with RowStage(folder, column_rules(table), threads=1) as rows:
        for page in pages:
            rows.write(page.rows, page.variables, page.scope)
        return rows.finish()
