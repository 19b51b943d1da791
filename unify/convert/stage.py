"""Rows as a source sent them, staged as Parquet files with one schema.

    write() ── chunk files ──┬─ looked at for anything new ─ written as Parquet ─┐
    (pages, any thread)      └─ in the background, while pages arrive            ├─ seal() ─ Sealed
                                                    those of a passed layout again ┘

Python does not decode rows on this way: msgspec proves that a row brings nothing new, DuckDB reads,
types and flattens. The rules are those of the documentation, "Rows become columns so"; beyond them:

- dates and moments are recognized in columns and objects' members, not within lists and STRUCTs;
  a moment finer than a microsecond leaves its column text;
- a column that never had a value is VARCHAR, an always empty list VARCHAR[]; ``Sealed.untyped_columns`` names
  them, so that a later load need not keep their types;
- an object that is always empty makes no column; within a list it is JSON, as is one whose keys
  differ by case only, and whatever is nested deeper than 100 levels
  or 8 lists;
- of equal keys in one object the last counts; half a surrogate pair is a BadResponse;
- ``exclude`` and ``only`` speak for everything below the object they name, and never against a key;
- a number beyond every double (``1e400``) makes its column text.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from unify.adapters.base import Scalar
from unify.convert import sql
from unify.convert.chunks import CHUNK_BYTES, CHUNK_ROWS, Chunk, ChunkWriter, MarkerKeys
from unify.convert.converter import ConvertedChunk, Converter, CursorCounts
from unify.convert.infer import InferredSchema
from unify.convert.layout import ColumnLayout, ColumnOrigin
from unify.convert.selection import (
    NOTHING_STORED,
    ColumnRules,
    ColumnSelector,
    FieldPath,
    StoredSchema,
    is_page_value,
)
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier
from unify.engine.widening import final_type
from unify.errors import ConfigError
from unify.model import Column

MEMORY_MB = 256  # of DuckDB, for wide rows; narrow ones take half of it, thousands of columns more
MANY_COLUMNS = 1000
MANY_ALIKE_OBJECTS = 20
THREADS = 1  # chunks converted side by side: one keeps up with what Python can fetch and look at

_NO_VARIABLES: Mapping[str, Scalar] = {}


@dataclass(frozen=True, slots=True)
class ColumnWidening:
    """A stored column whose type has to give way: ``old`` cannot hold what came, ``new`` holds both."""

    name: str
    old_type: str
    new_type: str


@dataclass(frozen=True, slots=True)
class StageResult:
    """A staged load.

    ``files``      Parquet, in the order in which the rows arrived; all have all ``columns``.
    ``rows``       in them; ``discarded_path`` ones are in ``discarded_file`` (columns scope, column, value,
                   reason, row), None where there are none.
    ``cursors``    the greatest value of the cursor column by scope, as the source wrote it.
    ``cursorless`` rows whose own cursor is missing, or is none among those that are.
    ``widened``    columns of an earlier load whose type changed.
    ``untyped_columns``    new columns that are not declared and have no value: their type says nothing.
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
    """Takes pages of one load from any number of threads; a context manager that gives back what it holds.

    ``folder``  where the files go; it exists and is empty.
    ``known``   the columns stored by an earlier load: their types hold, or widen so that every stored
                value is kept. A type of "" says that the column has no value yet.
    Disk        the rows as they came until ``seal``, and the Parquet files.
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

    def write(
        self, rows: Sequence[bytes], variables: Mapping[str, Scalar] = _NO_VARIABLES, scope: str = ""
    ) -> None:
        """Add a page: undecoded JSON values, what the page says of all of them, and whose they are.

        Memory  of the page, until it is in its file.
        Raises  BadResponse as soon as a row was seen that cannot be read, of this page or one before.
        """
        if not rows:
            return
        self._converter.infer_schema(rows)
        values = self._resolve_page_values(variables)
        kept = self._converter.trim_rows(rows)
        with self._lock:
            if values:
                self._converter.infer_page_schema(values)
            self._writer.update_longest_row(rows)
            self._writer.write(kept, self._writer.assign_segment(values, scope))
        if self._failure is not None:
            raise self._failure

    def finish(self) -> StageResult:
        """Finish: every row in one schema. Raises BadResponse, ConfigError or StoreError."""
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
        for one in done:
            one.chunk.path.unlink()
        self.close()
        return staged

    def close(self) -> None:
        """Stop what is going on and let go of files and memory; sealed files stay."""
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
        """What declared columns take from the page, by column name."""
        if not self._page_columns:
            return _NO_VARIABLES
        return {
            column.name: _resolve_page_value(column.name, column.source or "", variables)
            for column in self._page_columns
        }

    def _convert_to_final_layout(
        self, converted: Sequence[ConvertedChunk]
    ) -> tuple[list[ConvertedChunk], ColumnLayout]:
        """Everything in the final layout; it is not final while a stored type still gives way."""
        while True:
            layout = self._converter.current_layout(self._writer.rows)
            if self._writer.rows and not layout.columns:
                raise ConfigError("no column is left: exclude and only rule out every one the rows have")
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
        said = {column.name.lower(): column.description for column in self._rules.columns}
        return tuple(
            Column(column.name, column.type, said.get(column.name.lower(), "")) for column in layout.columns
        )

    def _greatest_cursors(
        self, converted: Sequence[ConvertedChunk], layout: ColumnLayout
    ) -> Mapping[str, str]:
        found = [cursor for one in converted for cursor in one.cursors]
        if layout.cursor is None or not found:
            return {}
        return self._converter.greatest_cursors(layout.cursor.column, found)

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
        """Yield notes about rows that suit other settings of the spec better."""
        if len(layout.columns) > MANY_COLUMNS:
            roots = Counter(column.path[0] for column in layout.columns if len(column.path) > 1)
            widest, number = max(roots.items(), key=lambda item: (item[1], item[0]), default=("", 0))
            advice = f"; {number} are members of {widest}: columns: {{{widest}: json}}, or flatten: 0, keeps them in one"
            yield f"{len(layout.columns)} columns{advice if number > MANY_COLUMNS // 2 else ''}"
        if self._writer.rows != 1:
            return
        for path, count in self._converter.schema.find_maps(MANY_ALIKE_OBJECTS):
            dotted = ".".join(path)
            yield (
                f"the only row has {count} objects of the same members{' at ' + dotted if path else ''}; "
                f"if they are the rows, give rows: {dotted + '.' if path else ''}*"
            )

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
    """What the page says of a column: a variable, several in a text, or a value of the enclosing body."""
    if source.startswith("$") or name in variables:  # an adapter's pages name columns, others variables
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
