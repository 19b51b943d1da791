"""Rows as a source sent them, staged as Parquet files with one schema.

    write() ── chunk files ──┬─ looked at for anything new ─ written as Parquet ─┐
    (pages, any thread)      └─ in the background, while pages arrive            ├─ seal() ─ Sealed
                                                    those of a passed layout again ┘

Python does not decode rows on this way: msgspec proves that a row brings nothing new, DuckDB reads,
types and flattens. The rules are those of the documentation, "Rows become columns so"; beyond them:

- dates and moments are recognized in columns and objects' members, not within lists and STRUCTs;
  a moment finer than a microsecond leaves its column text;
- a column that never had a value is VARCHAR, an always empty list VARCHAR[]; ``Sealed.untyped`` names
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
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from unify.adapters.base import Scalar
from unify.duckdb_types import quote_name
from unify.errors import ConfigError
from unify.loading import reading
from unify.loading.chunks import CHUNK_BYTES, CHUNK_ROWS, Chunk, ChunkWriter, Marks
from unify.loading.converter import Converted, Converter, Cursorless
from unify.loading.layout import Layout
from unify.loading.selection import Selection, Shape, from_page
from unify.loading.structure import Structure
from unify.model import Column
from unify.store.duck import literal

__all__ = ["RowStage", "Sealed", "Shape", "Widening"]

MEMORY_MB = 256  # of DuckDB, for wide rows; narrow ones take half of it, thousands of columns more
THREADS = 1  # chunks converted side by side: one keeps up with what Python can fetch and look at

_NO_VARIABLES: Mapping[str, Scalar] = {}


@dataclass(frozen=True, slots=True)
class Widening:
    """A stored column whose type has to give way: ``old`` cannot hold what came, ``new`` holds both."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A staged load.

    ``files``      Parquet, in the order in which the rows arrived; all have all ``columns``.
    ``rows``       in them; ``discarded`` ones are in ``discarded_file`` (columns scope, column, value,
                   reason, row), None where there are none.
    ``cursors``    the greatest value of the cursor column by scope, as the source wrote it.
    ``cursorless`` rows whose own cursor is missing, or is none among those that are.
    ``widened``    columns of an earlier load whose type changed.
    ``untyped``    new columns that are not declared and have no value: their type says nothing.
    """

    files: tuple[Path, ...]
    columns: tuple[Column, ...]
    rows: int
    discarded: int
    discarded_file: Path | None
    cursors: Mapping[str, str]
    cursorless: int
    widened: tuple[Widening, ...]
    untyped: tuple[str, ...]


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
        shape: Shape,
        known: Sequence[Column] = (),
        *,
        memory_mb: int = MEMORY_MB,
        threads: int = THREADS,
        chunk_bytes: int = CHUNK_BYTES,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self._shape = shape
        self._known = tuple(known)
        self._folder = folder
        self._lock = threading.Lock()
        self._writer = ChunkWriter(
            folder, Marks.new(), self._convert, chunk_bytes=chunk_bytes, chunk_rows=chunk_rows
        )
        self._converter = Converter(self._writer, Structure(Selection(shape, known)), known, memory_mb)
        self._pool = ThreadPoolExecutor(threads, "convert")
        self._work: list[Future[Converted]] = []
        self._failure: BaseException | None = None
        self._from_page = [column for column in shape.columns if from_page(column)]

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
        self._converter.study(rows)
        values = self._page_values(variables)
        kept = self._converter.trimmed(rows)
        with self._lock:
            if values:
                self._converter.study_page(values)
            self._writer.note_longest(rows)
            self._writer.write(kept, self._writer.segment(values, scope))
        if self._failure is not None:
            raise self._failure

    def seal(self) -> Sealed:
        """Finish: every row in one schema. Raises BadResponse, ConfigError or StoreError."""
        with self._lock:
            self._writer.flush()
        done = [work.result() for work in self._work]
        done, layout = self._settle(done)
        paths = tuple(one.path for one in done if one.path is not None)
        if not paths and layout.columns:
            paths = (self._empty_file(layout),)
        sealed = Sealed(
            files=paths,
            columns=self._columns(layout),
            rows=sum(one.rows for one in done),
            discarded=sum(one.discarded for one in done),
            discarded_file=self._discarded_file(done),
            cursors=self._cursors(done, layout),
            cursorless=self._cursorless(done, layout),
            widened=self._widened(layout),
            untyped=self._untyped(layout),
        )
        for one in done:
            one.chunk.path.unlink()
        self.close()
        return sealed

    def close(self) -> None:
        """Stop what is going on and let go of files and memory; sealed files stay."""
        self._pool.shutdown(cancel_futures=True)
        self._writer.close()
        self._converter.close()

    def _convert(self, chunk: Chunk) -> None:
        work = self._pool.submit(self._converter.convert, chunk)
        work.add_done_callback(self._note_failure)
        self._work.append(work)

    def _note_failure(self, work: Future[Converted]) -> None:
        if not work.cancelled() and (error := work.exception()) is not None:
            self._failure = error

    def _page_values(self, variables: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
        """What declared columns take from the page, by column name."""
        if not self._from_page:
            return _NO_VARIABLES
        return {
            column.name: _page_value(column.name, column.source or "", variables)
            for column in self._from_page
        }

    def _settle(self, done: Sequence[Converted]) -> tuple[list[Converted], Layout]:
        """Everything in the final layout; it is not final while a stored type still gives way."""
        while True:
            layout = self._converter.layout(self._writer.rows)
            if self._writer.rows and not layout.columns:
                raise ConfigError("no column is left: exclude and only rule out every one the rows have")
            done = list(self._pool.map(partial(self._converter.settle, final=layout), done))
            if self._converter.layout(self._writer.rows) is layout:
                break
        if done and done[0].layout.names != layout.names:
            done[0] = self._converter.extend(done[0], layout)
        return done, layout

    def _empty_file(self, layout: Layout) -> Path:
        path = self._folder / "rows-000000.parquet"
        values = ", ".join(f"CAST(NULL AS {c.type}) AS {quote_name(c.name)}" for c in layout.columns)
        self._converter.scratch.run(reading.copy_to(f"SELECT {values} WHERE false", path))
        return path

    def _columns(self, layout: Layout) -> tuple[Column, ...]:
        said = {column.name.lower(): column.description for column in self._shape.columns}
        return tuple(
            Column(column.name, column.type, said.get(column.name.lower(), "")) for column in layout.columns
        )

    def _cursors(self, done: Sequence[Converted], layout: Layout) -> Mapping[str, str]:
        found = [cursor for one in done for cursor in one.cursors]
        if layout.cursor is None or not found:
            return {}
        return self._converter.greatest(layout.cursor.column, found)

    def _cursorless(self, done: Sequence[Converted], layout: Layout) -> int:
        if self._shape.cursor and layout.cursor is None:
            return sum(one.chunk.rows for one in done)  # no row has the column at all
        return sum((one.cursorless for one in done), Cursorless()).rows

    def _widened(self, layout: Layout) -> tuple[Widening, ...]:
        types = {column.name: column.type for column in layout.columns}
        return tuple(
            Widening(column.name, column.type, types[column.name])
            for column in self._known
            if column.type and types.get(column.name, column.type) != column.type
        )

    def _untyped(self, layout: Layout) -> tuple[str, ...]:
        typed = {column.name.lower() for column in self._shape.columns if column.type or column.format}
        typed |= {column.name.lower() for column in self._known if column.type}
        return tuple(c.name for c in layout.columns if not c.kinds and c.name.lower() not in typed)

    def _discarded_file(self, done: Sequence[Converted]) -> Path | None:
        paths = [one.discarded_path for one in done if one.discarded_path is not None]
        if not paths:
            return None
        target = self._folder / "discarded.parquet"
        names = ", ".join(literal(os.fspath(path)) for path in paths)
        columns = ", ".join(f"'{name}': 'VARCHAR'" for name in ("scope", "column", "value", "reason", "row"))
        longest = max(path.stat().st_size for path in paths)
        source = (
            f"read_json([{names}], format = 'newline_delimited', auto_detect = false, "
            f"maximum_object_size = {longest + 1024}, columns = {{{columns}}})"
        )
        self._converter.scratch.run(reading.copy_to(f"SELECT * FROM {source}", target))
        for path in paths:
            path.unlink()
        return target


def _page_value(name: str, source: str, variables: Mapping[str, Scalar]) -> Scalar:
    """What the page says of a column: a variable, several in a text, or a value of the enclosing body."""
    if source.startswith("$") or name in variables:  # an adapter's pages name columns, others variables
        return variables.get(name)
    return _filled(source, variables)


def _filled(source: str, variables: Mapping[str, Scalar]) -> Scalar:
    parts = source.replace("}", "{").split("{")  # text, name, text, name, … text
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return variables.get(parts[1])
    values = [variables.get(part) if index % 2 else part for index, part in enumerate(parts)]
    return None if None in values else "".join(map(_text, values))


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
