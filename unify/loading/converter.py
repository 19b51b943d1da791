"""Chunk files into Parquet files, by DuckDB, while pages still arrive.

Each chunk is first looked at for anything new, then written in the layout of that moment. Those
written in a layout that did not last are written again when everything is known.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from unify.adapters.base import Scalar
from unify.duckdb_types import quote_name
from unify.errors import BadResponse, StoreError
from unify.loading import reading
from unify.loading.chunks import Chunk, ChunkWriter, Marks
from unify.loading.columns import plan
from unify.loading.exactjson import parse_exact
from unify.loading.guard import Guard
from unify.loading.layout import Layout, Origin, Planned, Way
from unify.loading.rewriting import quoted, rewritten
from unify.loading.scratch import Scratch
from unify.loading.structure import Node, Structure
from unify.loading.trimming import Trimmer
from unify.model import Column
from unify.store.duck import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FIRST_LOOK = 8  # rows looked at the slow way where one brings something new; doubles while they do
_LONGEST_LOOK = 2048


@dataclass(frozen=True, slots=True)
class Cursorless:
    """Rows counted by their cursor: none at all, a moment or number, or another text."""

    without: int = 0
    sound: int = 0
    doubtful: int = 0

    def __add__(self, other: Cursorless) -> Cursorless:
        return Cursorless(
            self.without + other.without, self.sound + other.sound, self.doubtful + other.doubtful
        )

    @property
    def rows(self) -> int:
        """Those that say nothing of where the next load begins; where every cursor is a text, texts do."""
        return self.without + (self.doubtful if self.sound else 0)


@dataclass(frozen=True, slots=True)
class Converted:
    """A chunk as a Parquet file, written in ``layout``; ``path`` is None where that has no columns.

    ``discarded``  rows with a declared value that does not fit, and the file that keeps them.
    ``cursors``    (scope, text) of the greatest cursor of each scope.
    ``cursorless`` rows by what their cursor is.
    """

    chunk: Chunk
    layout: Layout
    path: Path | None
    rows: int
    discarded: int = 0
    discarded_path: Path | None = None
    cursors: tuple[tuple[str, str], ...] = ()
    cursorless: Cursorless = Cursorless()


class Converter:
    """Converts chunks, several at a time, with one DuckDB and what they show in common."""

    def __init__(
        self, writer: ChunkWriter, structure: Structure, known: Sequence[Column], memory_mb: int
    ) -> None:
        self.writer = writer
        self.marks: Marks = writer.marks
        self.structure = structure
        self.known = tuple(known)
        self._lock = threading.RLock()
        self._guard = Guard(structure)
        self._trimmer = Trimmer(structure)
        shape = structure.selection.shape
        declared = any(column.type or column.format for column in shape.columns)
        self.trims = bool(shape.exclude or shape.only) and not declared
        self._has_long_moments = False  # set for good by the first; their columns are then looked at singly
        self._layout: tuple[int, bytes, Layout] | None = None
        self.scratch = Scratch(writer.folder, memory_mb)

    def close(self) -> None:
        self.scratch.close()

    def study(self, rows: Sequence[bytes]) -> None:
        """Learn whatever the rows bring that was not known. Raises BadResponse for one that is no JSON."""
        at, look = 0, _FIRST_LOOK
        while (at := self._current_guard().accepted(rows, at)) < len(rows):
            self._learn(rows[at : at + look])
            at, look = at + look, min(2 * look, _LONGEST_LOOK)

    def trimmed(self, rows: Sequence[bytes]) -> Sequence[bytes]:
        """Studied rows without what no column wants; whole where a row may have to be kept aside."""
        if not self.trims:
            return rows
        with self._lock:
            if self._trimmer.version != self.structure.version:
                self._trimmer = Trimmer(self.structure)
            trimmer = self._trimmer
        return trimmer.trimmed(rows)

    def study_page(self, values: Mapping[str, Scalar]) -> None:
        """Learn what a page says of its rows."""
        with self._lock:
            self.structure.learn(self.structure.variables, parse_exact(msgspec.json.encode(values)))

    def convert(self, chunk: Chunk) -> Converted:
        """Write a chunk of rows studied before. Raises BadResponse for rows that cannot be read.

        Where DuckDB refuses the layout of this moment, find out why, and write it in another.
        """
        import duckdb

        layout = self.layout()
        while True:
            try:
                return self._write(chunk, layout)
            except _Misfit:
                layout = self.layout()
            except duckdb.OutOfMemoryException as error:
                self.scratch.grow(error)
            except duckdb.IOException as error:
                raise StoreError(f"{chunk.path.parent}: {error}") from error
            except duckdb.Error as error:
                layout = self._other_layout(chunk, layout, error)

    def settle(self, done: Converted, final: Layout) -> Converted:
        """The same chunk in the final layout."""
        if done.layout.is_same(final):
            return done
        if done.path is not None and done.layout.is_part(final):
            return self.extend(done, final)
        return self.convert(done.chunk)

    def extend(self, done: Converted, final: Layout) -> Converted:
        """A file with the columns of ``final`` in their order; those it does not have are NULL."""
        if done.path is None:
            return done
        have = {column.name for column in done.layout.columns}
        values = [
            quote_name(column.name)
            if column.name in have
            else f"CAST(NULL AS {column.type}) AS {quote_name(column.name)}"
            for column in final.columns
        ]
        path = done.path.with_suffix(".extended.parquet")
        with self.scratch.cursor() as connection:
            source = f"read_parquet({literal(os.fspath(done.path))})"
            connection.execute(reading.copy_to(f"SELECT {', '.join(values)} FROM {source}", path))
        path.replace(done.path)
        return replace(done, layout=final)

    def layout(self, rows: int = 1) -> Layout:
        """The layout of everything learned so far."""
        with self._lock:
            longest = self.writer.longest
            key = (self.structure.version, longest)
            if self._layout is None or self._layout[:2] != key:
                order = parse_exact(longest) if longest else None
                self._layout = (*key, plan(self.structure, order, self.known, rows))
            return self._layout[2]

    def greatest(self, column: Planned, found: Sequence[tuple[str, str]]) -> Mapping[str, str]:
        """Of each scope the greatest of its cursors."""
        with self.scratch.cursor() as connection:
            rows = connection.execute(
                f"SELECT scope, {reading.greatest('text', column)} FROM "
                "(SELECT unnest($1::VARCHAR[]) AS scope, unnest($2::VARCHAR[]) AS text) GROUP BY 1",
                [[scope for scope, _ in found], [text for _, text in found]],
            ).fetchall()
        return {scope: text for scope, text in rows if text is not None}

    def _learn(self, rows: Sequence[bytes]) -> None:
        values = [parse_exact(bytes(row)) for row in rows]
        structure = self.structure
        with self._lock:
            for value in values:
                structure.learn(structure.row if isinstance(value, dict) else structure.value, value)

    def _current_guard(self) -> Guard:
        with self._lock:
            if self._guard.version != self.structure.version:
                self._guard = Guard(self.structure)
            return self._guard

    def _other_layout(self, chunk: Chunk, layout: Layout, error: Exception) -> Layout:
        """A layout to try after DuckDB refused ``layout``: one that knows more, or rewrites the rows."""
        if reading.LONG_MOMENT in str(error):
            self._has_long_moments = True
            return layout
        for block in chunk.blocks():
            self._learn([self.writer.take_apart(line).row for line in block.splitlines()])
        if self.structure.version > layout.version:
            return self.layout()
        if layout.way.rewritten:
            raise BadResponse(f"the rows cannot be read: {error}") from error
        return replace(self.layout(), way=Way(rewritten=True))

    def _write(self, chunk: Chunk, layout: Layout) -> Converted:
        if not layout.columns:
            return Converted(chunk, layout, None, chunk.rows)
        path = chunk.path.with_name(f"rows-{chunk.number:06d}.parquet")
        with (
            self.scratch.cursor() as connection,
            self._source(chunk, layout.columns, layout.way) as source,
        ):
            statement = reading.copy(source, path, exact_moments=self._has_long_moments)
            copied = connection.execute(statement).fetchone()
            rows = int(copied[0]) if copied else 0
            discarded = self._discard(chunk, source, connection) if rows < chunk.rows else None
        cursors, cursorless = self._cursors(chunk, layout)
        return Converted(chunk, layout, path, rows, chunk.rows - rows, discarded, cursors, cursorless)

    def _discard(self, chunk: Chunk, source: reading.Source, connection: DuckDBPyConnection) -> Path:
        """Keep the rows that do not fit. Raises _Misfit where it is a stored type that gives way."""
        path = chunk.path.with_name(f"discarded-{chunk.number:06d}.ndjson")
        columns = [column for column, _ in source.columns]
        found = connection.execute(reading.misfits(source)).fetchall()
        if tried := {place for _, place, _ in found if columns[place].tried}:
            with self._lock:
                for place in tried:
                    self.structure.misfit(self._node(columns[place]))
            raise _Misfit
        misfit = {line: (columns[place], value) for line, place, value in found}
        with path.open("wb") as file:
            for number, line in enumerate(chunk.lines()):
                if number in misfit:
                    file.write(self._discarded_row(line, *misfit[number]))
        return path

    def _discarded_row(self, line: bytes, column: Planned, value: str) -> bytes:
        taken = self.writer.take_apart(line)
        kept = {
            "scope": self.writer.segments[taken.segment].scope,
            "column": column.name,
            "value": value,
            "reason": f"does not fit {column.type}" + (f" by {column.format}" if column.format else ""),
            "row": taken.row.decode(),
        }
        return msgspec.json.encode(kept) + b"\n"

    def _node(self, column: Planned) -> Node:
        match column.origin:
            case Origin.PAGE:
                node = self.structure.variables
            case Origin.WHOLE:
                return self.structure.value
            case _:
                node = self.structure.row
        for key in column.path:
            node = node.members[key]
        return node

    def _cursors(self, chunk: Chunk, layout: Layout) -> tuple[tuple[tuple[str, str], ...], Cursorless]:
        if layout.cursor is None:
            return (), Cursorless()
        if layout.cursor.column.origin is Origin.NOTHING:
            return (), Cursorless(without=chunk.rows)
        column = layout.cursor.column
        with (
            self.scratch.cursor() as connection,
            self._source(chunk, [column], layout.cursor.way) as source,
        ):
            found = connection.execute(reading.cursors(source, column)).fetchall()
        cursors = tuple(
            (self.writer.segments[segment].scope, text) for segment, text, *_ in found if text is not None
        )
        return cursors, sum((Cursorless(*counts) for _, _, *counts in found), Cursorless())

    @contextmanager
    def _source(self, chunk: Chunk, columns: Sequence[Planned], way: Way) -> Iterator[reading.Source]:
        """The rows in a form DuckDB can read."""
        if way == Way():
            yield reading.straight(chunk, columns, self.marks)
            return
        path = chunk.path.with_suffix(".readable.ndjson")
        try:
            yield self._readable(chunk, columns, way, path)
        finally:
            path.unlink(missing_ok=True)

    def _readable(self, chunk: Chunk, columns: Sequence[Planned], way: Way, path: Path) -> reading.Source:
        """The rows written anew: with numbers in quotes where that is enough, else flat."""
        if not way.rewritten and _write_quoted(path, chunk, way.quoted):
            return reading.straight(chunk.at(path), columns, self.marks)
        read_as = [(column, reading.read_as(column)) for column in columns]
        longest = 0
        with path.open("wb") as file:
            for line in rewritten(chunk.lines(), read_as, self.marks):
                longest = max(longest, file.write(line))
        return reading.flat(path, longest, columns, self.marks)


def _write_quoted(path: Path, chunk: Chunk, keys: Sequence[str]) -> bool:
    """Whether the numbers under ``keys`` could all be put in quotes."""
    with path.open("wb") as file:
        for block in chunk.blocks():
            text = quoted(block, keys)
            if text is None:
                return False
            file.write(text)
    return True


class _Misfit(Exception):
    """An earlier load's type does not hold a value; it has been widened."""
