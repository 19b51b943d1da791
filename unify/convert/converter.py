"""Conversion of chunk files to Parquet files by DuckDB, while pages still arrive.

The schema is inferred from each chunk, which is then written in the current layout. Chunks whose layout
changed are written again when the layout is final.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.base import Scalar
from unify.convert import sql
from unify.convert.chunks import Chunk, ChunkWriter, MarkerKeys
from unify.convert.columns import plan_columns
from unify.convert.decode import RowValidator, Trimmer
from unify.convert.engine import ConversionEngine
from unify.convert.exact_json import parse_exact
from unify.convert.infer import InferredSchema, SchemaNode
from unify.convert.layout import ColumnLayout, ColumnOrigin, ColumnPlan, ReadMethod
from unify.convert.rewrite import quote_numbers, rewrite_rows
from unify.convert.selection import StoredSchema
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier
from unify.errors import BadResponse, StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FIRST_BATCH_ROWS = 8  # rows inferred in Python after an unknown one; doubled while there are more
_MAX_BATCH_ROWS = 2048


class CursorCounts(Struct, frozen=True):
    """Rows counted by their cursor: none, a timestamp or number, another text; those later than the limit.

    ``latest_future``    the latest cursor beyond the limit.
    ``unreadable_date``  a text that looks like a date of unknown format.
    """

    missing: int = 0
    valid: int = 0
    doubtful_text: int = 0
    in_future: int = 0
    latest_future: str = ""
    unreadable_date: str = ""

    def __add__(self, other: CursorCounts) -> CursorCounts:
        return CursorCounts(
            self.missing + other.missing,
            self.valid + other.valid,
            self.doubtful_text + other.doubtful_text,
            self.in_future + other.in_future,
            max(self.latest_future, other.latest_future),
            max(self.unreadable_date, other.unreadable_date),
        )

    @property
    def unusable_rows(self) -> int:
        """Rows from which no load can start. Other texts count only if some cursors are not texts."""
        return self.missing + (self.doubtful_text if self.valid else 0)


class ConvertedChunk(Struct, frozen=True):
    """A chunk as a Parquet file in ``layout``; ``path`` is None if the layout has no columns.

    ``discarded``       rows with a value that does not fit its declared type.
    ``discarded_path``  the file of those rows.
    ``cursors``         (scope, text) of the greatest cursor of each scope.
    """

    chunk: Chunk
    layout: ColumnLayout
    path: Path | None
    rows: int
    discarded: int = 0
    discarded_path: Path | None = None
    cursors: tuple[tuple[str, str], ...] = ()
    cursor_counts: CursorCounts = CursorCounts()


class Converter:
    """Converts chunks in parallel, with one DuckDB and one inferred schema."""

    def __init__(
        self, writer: ChunkWriter, schema: InferredSchema, stored: StoredSchema, memory_mb: int
    ) -> None:
        self.writer = writer
        self.markers: MarkerKeys = writer.markers
        self.schema = schema
        self.stored = stored
        self._lock = threading.RLock()
        self._validator = RowValidator(schema)
        self._trimmer = Trimmer(schema)
        shape = schema.selector.rules
        declared = any(column.type or column.format for column in shape.columns)
        self.is_trimming = bool(shape.exclude or shape.only) and not declared
        self._has_long_timestamps = False  # set by the first one; each timestamp is then tested
        self._layout: tuple[int, bytes, ColumnLayout] | None = None
        self.engine = ConversionEngine(writer.folder, memory_mb)

    def close(self) -> None:
        self.engine.close()

    def infer_schema(self, rows: Sequence[bytes]) -> None:
        """Add the rows to the schema. Raises BadResponse for a row that is not JSON."""
        at, look = 0, _FIRST_BATCH_ROWS
        while (at := self._current_validator().find_unknown_row(rows, at)) < len(rows):
            self._add_rows(rows[at : at + look])
            at, look = at + look, min(2 * look, _MAX_BATCH_ROWS)

    def trim_rows(self, rows: Sequence[bytes]) -> Sequence[bytes]:
        """Return inferred rows without the fields that no column needs; whole if a row may be discarded."""
        if not self.is_trimming:
            return rows
        with self._lock:
            if self._trimmer.version != self.schema.version:
                self._trimmer = Trimmer(self.schema)
            trimmer = self._trimmer
        return trimmer.trim(rows)

    def infer_page_schema(self, values: Mapping[str, Scalar]) -> None:
        """Add the values of a page to the schema."""
        with self._lock:
            self.schema.add_value(self.schema.variables, parse_exact(msgspec.json.encode(values)))

    def convert(self, chunk: Chunk) -> ConvertedChunk:
        """Write a chunk whose schema is inferred. Raises BadResponse for rows that cannot be read.

        If DuckDB rejects the current layout, the chunk is written in another one.
        """
        from unify.engine import duckdb

        layout = self.current_layout()
        while True:
            try:
                return self._write_parquet(chunk, layout)
            except _StoredTypeTooNarrow:
                layout = self.current_layout()
            except duckdb.OutOfMemoryException as error:
                self.engine.double_memory(error)
            except duckdb.IOException as error:
                raise StoreError(f"{chunk.path.parent}: {error}") from error
            except duckdb.Error as error:
                layout = self._next_layout(chunk, layout, error)

    def convert_to_layout(self, converted: ConvertedChunk, final: ColumnLayout) -> ConvertedChunk:
        """Return the chunk in the final layout."""
        if converted.layout.is_same_as(final):
            return converted
        if converted.path is not None and converted.layout.is_subset_of(final):
            return self.add_missing_columns(converted, final)
        return self.convert(converted.chunk)

    def add_missing_columns(self, converted: ConvertedChunk, final: ColumnLayout) -> ConvertedChunk:
        """Rewrite the file with the columns of ``final`` in their order; missing ones are NULL."""
        if converted.path is None:
            return converted
        have = {column.name for column in converted.layout.columns}
        values = [
            quote_identifier(column.name)
            if column.name in have
            else f"CAST(NULL AS {column.type}) AS {quote_identifier(column.name)}"
            for column in final.columns
        ]
        path = converted.path.with_suffix(".extended.parquet")
        with self.engine.cursor() as connection:
            source = f"read_parquet({quote_literal(os.fspath(converted.path))})"
            connection.execute(sql.copy_to_parquet_sql(f"SELECT {', '.join(values)} FROM {source}", path))
        path.replace(converted.path)
        return replace(converted, layout=final)

    def current_layout(self, rows: int = 1) -> ColumnLayout:
        """Return the layout of the current schema."""
        with self._lock:
            longest = self.writer.longest_row
            key = (self.schema.version, longest)
            if self._layout is None or self._layout[:2] != key:
                order = parse_exact(longest) if longest else None
                self._layout = (*key, plan_columns(self.schema, order, self.stored, rows))
            return self._layout[2]

    def greatest_cursors(self, column: ColumnPlan, cursors: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """Return the greatest cursor of each scope."""
        with self.engine.cursor() as connection:
            rows = connection.execute(
                f"SELECT scope, {sql.greatest_cursor_sql('text', column)} FROM "
                "(SELECT unnest($1::VARCHAR[]) AS scope, unnest($2::VARCHAR[]) AS text) GROUP BY 1",
                [[scope for scope, _ in cursors], [text for _, text in cursors]],
            ).fetchall()
        return {scope: text for scope, text in rows if text is not None}

    def _add_rows(self, rows: Sequence[bytes]) -> None:
        values = [parse_exact(bytes(row)) for row in rows]
        structure = self.schema
        with self._lock:
            for value in values:
                structure.add_value(
                    structure.row if isinstance(value, dict) else structure.non_object_row, value
                )

    def _current_validator(self) -> RowValidator:
        with self._lock:
            if self._validator.version != self.schema.version:
                self._validator = RowValidator(self.schema)
            return self._validator

    def _next_layout(self, chunk: Chunk, layout: ColumnLayout, error: Exception) -> ColumnLayout:
        """Return the layout to try after DuckDB rejected one: with more fields, or with rewritten rows."""
        if sql.LONG_TIMESTAMP_ERROR in str(error):
            self._has_long_timestamps = True
            return layout
        for block in chunk.read_blocks():
            self._add_rows([self.writer.parse_line(line).row for line in block.splitlines()])
        if self.schema.version > layout.schema_version:
            return self.current_layout()
        if layout.read_method.rewrites_rows:
            raise BadResponse(f"the rows cannot be read: {error}") from error
        return replace(self.current_layout(), read_method=ReadMethod(rewrites_rows=True))

    def _write_parquet(self, chunk: Chunk, layout: ColumnLayout) -> ConvertedChunk:
        if not layout.columns:
            return ConvertedChunk(chunk, layout, None, chunk.rows)
        path = chunk.path.with_name(f"rows-{chunk.number:06d}.parquet")
        with (
            self.engine.cursor() as connection,
            self._open_source(chunk, layout.columns, layout.read_method) as source,
        ):
            statement = sql.copy_rows_sql(source, path, exact_timestamps=self._has_long_timestamps)
            copied = connection.execute(statement).fetchone()
            rows = int(copied[0]) if copied else 0
            discarded = self._write_discarded(chunk, source, connection) if rows < chunk.rows else None
        cursors, cursorless = self._read_cursors(chunk, layout)
        return ConvertedChunk(chunk, layout, path, rows, chunk.rows - rows, discarded, cursors, cursorless)

    def _write_discarded(self, chunk: Chunk, source: sql.ChunkSource, connection: DuckDBPyConnection) -> Path:
        """Write the rows that do not fit. Raises _StoredTypeTooNarrow if a stored type must be widened."""
        path = chunk.path.with_name(f"discarded-{chunk.number:06d}.ndjson")
        columns = [column for column, _ in source.columns]
        found: list[tuple[int, int, str]] = connection.execute(sql.uncastable_rows_sql(source)).fetchall()
        if narrow := {index for _, index, _ in found if columns[index].may_widen}:
            with self._lock:
                for index in narrow:
                    self.schema.add_uncastable(self._find_node(columns[index]))
            raise _StoredTypeTooNarrow
        misfits = {line: (columns[index], value) for line, index, value in found}
        with path.open("wb") as file:
            for number, line in enumerate(chunk.read_lines()):
                if number in misfits:
                    file.write(self._encode_discarded_row(line, *misfits[number]))
        return path

    def _encode_discarded_row(self, line: bytes, column: ColumnPlan, value: str) -> bytes:
        parsed = self.writer.parse_line(line)
        discarded = {
            "scope": self.writer.segments[parsed.segment].scope,
            "column": column.name,
            "value": value,
            "reason": f"does not fit {column.type}" + (f" by {column.format}" if column.format else ""),
            "row": parsed.row.decode(),
        }
        return msgspec.json.encode(discarded) + b"\n"

    def _find_node(self, column: ColumnPlan) -> SchemaNode:
        match column.origin:
            case ColumnOrigin.PAGE:
                node = self.schema.variables
            case ColumnOrigin.WHOLE_ROW:
                return self.schema.non_object_row
            case _:
                node = self.schema.row
        for key in column.path:
            node = node.members[key]
        return node

    def _read_cursors(
        self, chunk: Chunk, layout: ColumnLayout
    ) -> tuple[tuple[tuple[str, str], ...], CursorCounts]:
        if layout.cursor is None:
            return (), CursorCounts()
        if layout.cursor.column.origin is ColumnOrigin.ABSENT:
            return (), CursorCounts(missing=chunk.rows)
        column = layout.cursor.column
        with (
            self.engine.cursor() as connection,
            self._open_source(chunk, [column], layout.cursor.read_method) as source,
        ):
            found = connection.execute(sql.cursors_sql(source, column, self.schema.selector.rules)).fetchall()
        cursors = tuple(
            (self.writer.segments[segment].scope, text) for segment, text, *_ in found if text is not None
        )
        return cursors, sum((CursorCounts(*counts) for _, _, *counts in found), CursorCounts())

    @contextmanager
    def _open_source(
        self, chunk: Chunk, columns: Sequence[ColumnPlan], read_method: ReadMethod
    ) -> Iterator[sql.ChunkSource]:
        """Open the rows in a form that DuckDB can read."""
        if read_method == ReadMethod():
            yield sql.direct_source(chunk, columns, self.markers)
            return
        path = chunk.path.with_suffix(".readable.ndjson")
        try:
            yield self._rewrite_chunk(chunk, columns, read_method, path)
        finally:
            path.unlink(missing_ok=True)

    def _rewrite_chunk(
        self, chunk: Chunk, columns: Sequence[ColumnPlan], read_method: ReadMethod, path: Path
    ) -> sql.ChunkSource:
        """Rewrite the rows: with quoted numbers if that suffices, else flat."""
        if not read_method.rewrites_rows and _write_quoted(path, chunk, read_method.quoted_keys):
            return sql.direct_source(chunk.with_path(path), columns, self.markers)
        read_as = [(column, sql.read_type(column)) for column in columns]
        longest = 0
        with path.open("wb") as file:
            for line in rewrite_rows(chunk.read_lines(), read_as, self.markers):
                longest = max(longest, file.write(line))
        return sql.rewritten_source(path, longest, columns, self.markers)


def _write_quoted(path: Path, chunk: Chunk, keys: Sequence[str]) -> bool:
    """Write the chunk with the numbers of ``keys`` in quotes; return False if a key could be missed."""
    with path.open("wb") as file:
        for block in chunk.read_blocks():
            text = quote_numbers(block, keys)
            if text is None:
                return False
            file.write(text)
    return True


class _StoredTypeTooNarrow(Exception):
    """A stored type does not hold a value; the schema has been widened."""
