"""Staging: the rows of a load, as the source sent them, become Parquet files with one schema.

    write() ── chunk files ──┬─ schema inference ─ written as Parquet ────────────┐
    (pages, any thread)      └─ in the background, while pages arrive             ├─ finish() ─ StageResult
                                 chunks of an outdated layout are written again ──┘

On the main path Python decodes no row: msgspec verifies that a row fits the inferred schema, and DuckDB
reads, casts and flattens. The rules are those of the documentation, "Rows become columns so"; in addition:

- dates and timestamps are recognized in columns, not within lists and STRUCTs; a timestamp finer than a
  microsecond makes its column text;
- a column that never had a value is VARCHAR, a list that is always empty VARCHAR[]; later loads may change
  these types;
- an object that is always empty makes no column; within a list it is JSON, as are objects whose keys differ
  in case only, and everything nested deeper than 100 levels or 8 lists;
- of equal keys in one object the last counts;
- ``exclude`` and ``only`` apply to everything below the object that they name, and not to a key;
- a number beyond the range of doubles (``1e400``) makes its column text.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType

from msgspec import Struct

from unify.adapters.base import Scalar
from unify.convert import sql
from unify.convert.chunks import CHUNK_BYTES, CHUNK_ROWS, Chunk, ChunkWriter, MarkerKeys
from unify.convert.converter import ConvertedChunk, Converter, CursorCounts
from unify.convert.infer import InferredSchema, SchemaNode, single_row_notes
from unify.convert.layout import ColumnLayout, ColumnOrigin
from unify.convert.selection import (
    NOTHING_STORED,
    ColumnRules,
    ColumnSelector,
    FieldPath,
    StoredSchema,
    is_page_value,
    source_path,
)
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier
from unify.engine.widening import final_type
from unify.errors import ConfigError
from unify.model import Column

MEMORY_MB = 256  # limit of DuckDB; narrow rows need half of it, thousands of columns more
MANY_COLUMNS = 1000
MANY_ALIKE_OBJECTS = 3  # in the only row: they may be the rows
THREADS = 1  # chunks converted in parallel: one thread keeps up with fetching and inference

_NO_VARIABLES: Mapping[str, Scalar] = {}


class ColumnWidening(Struct, frozen=True):
    """A stored column whose type cannot hold the new values; ``new_type`` holds both."""

    name: str
    old_type: str
    new_type: str


class StageResult(Struct, frozen=True):
    """A staged load.

    ``files``                Parquet, in the order in which the rows arrived; all have all ``columns``.
    ``rows``                 number of rows in them.
    ``discarded_file``       the discarded rows (scope, column, value, reason, row); None without any.
    ``cursors``              the greatest cursor of each scope, as the source wrote it.
    ``rows_without_cursor``  rows whose cursor is missing, or is text where others are not.
    ``rows_in_future``       rows whose cursor is more than a day later than the load.
    ``widenings``            columns of an earlier load whose type changed.
    ``untyped_columns``      new columns that are not declared and have no value.
    ``paths``                the field of the rows that each column holds.
    ``notes``                for the reason of the load.
    """

    files: tuple[Path, ...]
    columns: tuple[Column, ...]
    rows: int
    discarded: int
    discarded_file: Path | None
    cursors: Mapping[str, str]
    rows_without_cursor: int
    rows_in_future: int
    latest_future_cursor: str
    widenings: tuple[ColumnWidening, ...]
    untyped_columns: tuple[str, ...]
    paths: Mapping[str, FieldPath]
    notes: tuple[str, ...] = ()


class RowStage:
    """Takes the pages of one load from any number of threads; a context manager.

    ``folder``  the folder of the files; it exists and is empty.
    ``stored``  the stored columns: their types stay, or are widened so that no stored value is lost.

    Disk: the rows as they came until ``finish``, and the Parquet files.
    """

    def __init__(
        self,
        folder: Path,
        rules: ColumnRules,
        stored: StoredSchema = NOTHING_STORED,
        *,
        memory_mb: int = MEMORY_MB,
        threads: int = THREADS,
        chunk_bytes: int = CHUNK_BYTES,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self._rules = rules
        self._stored = stored
        self._folder = folder
        self._lock = threading.Lock()
        self._writer = ChunkWriter(
            folder, MarkerKeys.generate(), self._submit_chunk, chunk_bytes=chunk_bytes, chunk_rows=chunk_rows
        )
        self._converter = Converter(
            self._writer, InferredSchema(ColumnSelector(rules, stored)), stored, memory_mb
        )
        self._pool = ThreadPoolExecutor(threads, "convert")
        self._conversions: list[Future[ConvertedChunk]] = []
        self._failure: BaseException | None = None
        self._page_columns = [column for column in rules.columns if is_page_value(column)]

    def __enter__(self) -> RowStage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def rows(self) -> int:
        """Rows written so far."""
        return self._writer.rows

    @property
    def chunks(self) -> ChunkWriter:
        """The rows written so far, as they came."""
        return self._writer

    def update_longest_row(self, row: bytes) -> None:
        """Consider a row that is in a chunk, and that was longer in the response: it orders the columns."""
        if row:
            self._writer.update_longest_row([row])

    def write(
        self, rows: Sequence[bytes], variables: Mapping[str, Scalar] = _NO_VARIABLES, scope: str = ""
    ) -> int:
        """Add a page: undecoded JSON values, the values of the page, and its scope.

        Returns the number of its segment in ``chunks``.

        Memory: the page, until it is in its file.
        Raises BadResponse for a row of this page, or of one before, that cannot be read.
        """
        if not rows:
            return 0
        known_version = self._converter.schema.version
        self._converter.infer_schema(rows)
        values = self._resolve_page_values(variables)
        is_known = self._converter.schema.version == known_version
        kept = self._converter.trim_rows(rows) if is_known else rows  # a chunk has every field that was seen
        with self._lock:
            if values:
                self._converter.infer_page_schema(values)
            self._writer.update_longest_row(rows)
            segment = self._writer.assign_segment(values, scope)
            self._writer.write(kept, segment)
        if self._failure is not None:
            raise self._failure
        return segment

    def finish(self, *, keep_chunks: bool = False) -> StageResult:
        """Write every row in the final schema. Raises BadResponse, ConfigError or StoreError."""
        with self._lock:
            self._writer.flush()
        done = [work.result() for work in self._conversions]
        done, layout = self._convert_to_final_layout(done)
        paths = tuple(one.path for one in done if one.path is not None)
        if not paths and layout.columns:
            paths = (self._write_empty_file(layout),)
        counts = sum((one.cursor_counts for one in done), CursorCounts())
        self._reject_unreadable_cursors(counts)
        cursor_is_known = not self._rules.cursor or layout.cursor is not None
        staged = StageResult(
            files=paths,
            columns=self._result_columns(layout),
            rows=sum(one.rows for one in done),
            discarded=sum(one.discarded for one in done),
            discarded_file=self._write_discarded_file(done),
            cursors=self._greatest_cursors(done, layout),
            rows_without_cursor=counts.unusable_rows
            if cursor_is_known
            else sum(one.chunk.rows for one in done),
            rows_in_future=counts.in_future,
            latest_future_cursor=counts.latest_future,
            widenings=self._find_widenings(layout),
            untyped_columns=self._find_untyped_columns(layout),
            paths=self._find_column_paths(layout),
            notes=tuple(self._shape_notes(layout)),
        )
        for one in done if not keep_chunks else ():
            one.chunk.path.unlink()
        self.close()
        return staged

    def close(self) -> None:
        """Stop all conversions and release files and memory; finished files stay."""
        self._pool.shutdown(cancel_futures=True)
        self._writer.close()
        self._converter.close()

    def _submit_chunk(self, chunk: Chunk) -> None:
        work = self._pool.submit(self._converter.convert, chunk)
        work.add_done_callback(self._record_failure)
        self._conversions.append(work)

    def _record_failure(self, conversion: Future[ConvertedChunk]) -> None:
        if not conversion.cancelled() and (error := conversion.exception()) is not None:
            self._failure = error

    def _resolve_page_values(self, variables: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        """Return the values of declared columns that the page supplies, by column name."""
        if not self._page_columns:
            return _NO_VARIABLES
        return {
            column.name: _resolve_page_value(column.name, column.source or "", variables)
            for column in self._page_columns
        }

    def _convert_to_final_layout(
        self, converted: Sequence[ConvertedChunk]
    ) -> tuple[list[ConvertedChunk], ColumnLayout]:
        """Convert everything to the final layout, which changes while stored types are widened."""
        while True:
            layout = self._converter.current_layout(self._writer.rows)
            if self._writer.rows and not layout.columns:
                raise ConfigError("no column is left: exclude and only remove every column of the rows")
            converted = list(
                self._pool.map(partial(self._converter.convert_to_layout, final=layout), converted)
            )
            if self._converter.current_layout(self._writer.rows) is layout:
                break
        if converted and converted[0].layout.names != layout.names:
            converted[0] = self._converter.add_missing_columns(converted[0], layout)
        return converted, layout

    def _write_empty_file(self, layout: ColumnLayout) -> Path:
        path = self._folder / "rows-000000.parquet"
        values = ", ".join(f"CAST(NULL AS {c.type}) AS {quote_identifier(c.name)}" for c in layout.columns)
        self._converter.engine.execute(sql.copy_to_parquet_sql(f"SELECT {values} WHERE false", path))
        return path

    def _result_columns(self, layout: ColumnLayout) -> tuple[Column, ...]:
        descriptions = {column.name.lower(): column.description for column in self._rules.columns}
        return tuple(
            Column(column.name, column.type, descriptions.get(column.name.lower(), ""))
            for column in layout.columns
        )

    def _greatest_cursors(
        self, converted: Sequence[ConvertedChunk], layout: ColumnLayout
    ) -> Mapping[str, str]:
        cursors = [cursor for one in converted for cursor in one.cursors]
        if layout.cursor is None or not cursors:
            return {}
        return self._converter.greatest_cursors(layout.cursor.column, cursors)

    def _reject_unreadable_cursors(self, counts: CursorCounts) -> None:
        """Raise ConfigError for dates whose order cannot be known."""
        if counts.unreadable_date and not counts.valid:
            name = self._rules.cursor
            raise ConfigError(
                f"incremental.cursor {name}: {counts.unreadable_date!r} is a date of unknown format; "
                f"declare it: columns.{name}.format, such as '%d/%m/%Y'"
            )

    def _find_widenings(self, layout: ColumnLayout) -> tuple[ColumnWidening, ...]:
        types = {column.name: column.type for column in layout.columns}
        stored = {column.name: final_type(column.type) for column in self._stored.columns if column.type}
        return tuple(
            ColumnWidening(name, type_, types[name])
            for name, type_ in stored.items()
            if types.get(name, type_) != type_
        )

    def _find_column_paths(self, layout: ColumnLayout) -> Mapping[str, FieldPath]:
        """Return the field of each column; the spec names those of declared columns with ``from``."""
        declared = {column.name for column in self._rules.columns if column.source is not None}
        return {
            column.name: column.path
            for column in layout.columns
            if column.origin is ColumnOrigin.ROW and column.name not in declared
        }

    def _shape_notes(self, layout: ColumnLayout) -> Iterator[str]:
        """Yield notes about settings of the spec that do not suit the rows."""
        if missing := list(self._find_missing_sources(layout)):
            yield f"in no row: {', '.join(missing)}"
        if len(layout.columns) > MANY_COLUMNS:
            roots = Counter(column.path[0] for column in layout.columns if len(column.path) > 1)
            widest, number = max(roots.items(), key=lambda item: (item[1], item[0]), default=("", 0))
            advice = (
                f"; {number} are members of {widest}: "
                f"columns: {{{widest}: json}}, or flatten: 0, keeps them in one"
            )
            yield f"{len(layout.columns)} columns{advice if number > MANY_COLUMNS // 2 else ''}"
        if self._writer.rows != 1:
            return
        for path, count in self._converter.schema.find_maps(MANY_ALIKE_OBJECTS):
            dotted = ".".join(path)
            yield (
                f"the only row has {count} objects of the same members{' at ' + dotted if path else ''}; "
                f"if they are the rows, give rows: {dotted + '.' if path else ''}*"
            )
        yield from single_row_notes(self._writer.longest_row)

    def _find_missing_sources(self, layout: ColumnLayout) -> Iterator[str]:
        """Yield the ``from`` paths that no row has, now or in earlier loads."""
        stored = {column.name.lower() for column in self._stored.columns}
        planned = {column.name.lower() for column in layout.columns} - stored
        for column in self._rules.columns if self._writer.rows else ():
            path = source_path(column)
            if path is None or column.name.lower() not in planned:
                continue
            node: SchemaNode | None = self._converter.schema.row
            for step in path:
                node = node.members.get(step) if node is not None else None
            if node is None:
                yield f"columns.{column.name}.from {column.source}"

    def _find_untyped_columns(self, layout: ColumnLayout) -> tuple[str, ...]:
        typed = {column.name.lower() for column in self._rules.columns if column.type or column.format}
        typed |= {column.name.lower() for column in self._stored.columns if column.type}
        return tuple(c.name for c in layout.columns if not c.type_flags and c.name.lower() not in typed)

    def _write_discarded_file(self, converted: Sequence[ConvertedChunk]) -> Path | None:
        paths = [one.discarded_path for one in converted if one.discarded_path is not None]
        if not paths:
            return None
        target = self._folder / "discarded.parquet"
        names = ", ".join(quote_literal(os.fspath(path)) for path in paths)
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in ("scope", "column", "value", "reason", "row"))
        longest = max(path.stat().st_size for path in paths)
        source = (
            f"read_json([{names}], format = 'newline_delimited', auto_detect = false, "
            f"maximum_object_size = {longest + 1024}, columns = {{{columns}}})"
        )
        self._converter.engine.execute(sql.copy_to_parquet_sql(f"SELECT * FROM {source}", target))
        for path in paths:
            path.unlink()
        return target


def _resolve_page_value(name: str, source: str, variables: Mapping[str, Scalar]) -> Scalar:
    """Return the page's value of a column: a variable, a text with variables, or a value of the body."""
    if source.startswith("$") or name in variables:  # pages of other adapters name the column
        return variables.get(name)
    return _render_template(source, variables)


def _render_template(source: str, variables: Mapping[str, Scalar]) -> Scalar:
    parts = source.replace("}", "{").split("{")  # text, name, text, name, … text
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return variables.get(parts[1])
    values = [variables.get(part) if index % 2 else part for index, part in enumerate(parts)]
    return None if None in values else "".join(map(_scalar_text, values))


def _scalar_text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
