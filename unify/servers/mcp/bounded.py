"""Rows for agents, bounded where they are made: DuckDB cuts long values before Python sees them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from unify.engine.types import parse_type
from unify.interpreter.results import Rows
from unify.servers.mcp.limits import MAX_CELL_CHARS, MAX_COLUMNS

_PLAIN_TYPES = frozenset(("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"))


class BoundedRows(Struct, frozen=True):
    """Rows of an answer. ``reason``: why they are not complete; "" if they are."""

    columns: list[dict[str, str]]
    rows: list[list[Any]]
    reason: str = ""


class CellProjection:
    """The form of rows for agents: numbers as they are, other values as text that is cut."""

    applies_always = True

    def expressions(self, columns: Sequence[tuple[str, str]]) -> Sequence[str]:
        return [
            f"c{number}"
            if parse_type(type).name in _PLAIN_TYPES
            else f"left(CAST(c{number} AS VARCHAR), {MAX_CELL_CHARS + 1})"
            for number, (_, type) in enumerate(columns[:MAX_COLUMNS])
        ]

    def texts(self, batches: Iterator[Sequence[tuple[object, ...]]], separator: str) -> Iterator[str]:
        """Yield nothing: the rows are read as values."""
        del batches, separator
        yield from ()


def collect_rows(rows: Rows, max_rows: int, max_bytes: int) -> BoundedRows:
    """Read at most so many rows and bytes of JSON."""
    kept: list[list[Any]] = []
    reasons: list[str] = []
    if len(rows.columns) > MAX_COLUMNS:
        reasons.append(f"{MAX_COLUMNS} of {len(rows.columns):,} columns")
    columns = [{"name": one.name[:200], "type": one.type[:200]} for one in rows.columns[:MAX_COLUMNS]]
    size, has_cut_cell = len(msgspec.json.encode(columns)), False
    for row in (row for batch in rows.batches for row in batch):
        if len(kept) >= max_rows:
            reasons.append(f"the first {max_rows:,} rows")
            break
        cells = [_cell(value) for value in row[:MAX_COLUMNS]]
        has_cut_cell |= any(isinstance(cell, str) and cell.endswith("…") for cell in cells)
        size += len(msgspec.json.encode(cells)) + 1
        if size > max_bytes:
            reasons.append(f"the first {len(kept):,} rows, {max_bytes:,} bytes")
            break
        kept.append(cells)
    if has_cut_cell:
        reasons.append(f"values of at most {MAX_CELL_CHARS:,} characters")
    close = getattr(rows.batches, "close", None)
    if close is not None:
        close()
    return BoundedRows(columns, kept, ", ".join(reasons))


def _cell(value: object) -> object:
    """Return a value as JSON has it; the text of a long one is cut."""
    match value:
        case str() if len(value) > MAX_CELL_CHARS:
            return value[:MAX_CELL_CHARS] + "…"
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case _:
            text = str(value)
            return text if len(text) <= MAX_CELL_CHARS else text[:MAX_CELL_CHARS] + "…"
