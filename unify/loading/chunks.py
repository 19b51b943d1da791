"""Rows on their way to DuckDB: newline-delimited chunk files of some megabytes.

A row is written as it came. Where its page says something of it, that goes in front of its first
member: ``{"~1f:scope":3,"~1f:page":{"repo":"duckdb"},"id":…``. The mark is random, so that no source
can know it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from unify.adapters.base import Scalar

if TYPE_CHECKING:
    from io import FileIO

CHUNK_BYTES = 8 * 1024 * 1024  # of rows a file at least: DuckDB plans each anew
CHUNK_ROWS = 2_000  # a file at least, unless rows are so large that it has three times its bytes before:
# each becomes a Parquet file, and the catalog keeps a row a column of every file. 17 files of 340 columns
# took 1.2 s of CPU to publish, 5 take 0.3 s, and 0.7 s instead of 1.0 s to write.
BLOCK_BYTES = 1024 * 1024  # of lines worked on at once where Python has to

_OPENING = b'{"'


@dataclass(frozen=True, slots=True)
class Marks:
    """Keys put into rows. ``value`` holds a row that is no object."""

    scope: str
    page: str
    value: str

    @classmethod
    def new(cls) -> Marks:
        mark = f"~{secrets.token_hex(6)}:"
        return cls(f"{mark}scope", f"{mark}page", f"{mark}value")


@dataclass(frozen=True, slots=True)
class Segment:
    """Pages that say the same of their rows. ``front`` is what their rows start with instead of ``{``."""

    scope: str
    front: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """A finished file of rows, one a line. ``longest_line`` in bytes."""

    number: int
    path: Path
    rows: int
    longest_line: int

    def at(self, path: Path) -> Chunk:
        """The same rows, at most twice as long, in another file."""
        return replace(self, path=path, longest_line=2 * self.longest_line)

    def lines(self) -> Iterator[bytes]:
        """Line by line, without its end."""
        with self.path.open("rb") as file:
            for line in file:
                yield line.rstrip(b"\n")

    def blocks(self) -> Iterator[bytes]:
        """Some whole lines at a time."""
        with self.path.open("rb") as file:
            while lines := file.readlines(BLOCK_BYTES):
                yield b"".join(lines)


@dataclass(frozen=True, slots=True)
class Line:
    """A line taken apart: the row as it was written, and which segment's."""

    segment: int
    row: bytes


class ChunkWriter:
    """Writes pages into chunk files and hands over each that is full. One thread at a time."""

    def __init__(
        self, folder: Path, marks: Marks, done: Callable[[Chunk], None], *, chunk_bytes: int, chunk_rows: int
    ) -> None:
        self.folder = folder
        self.marks = marks
        self.chunk_bytes = chunk_bytes
        self.chunk_rows = chunk_rows
        self.segments: list[Segment] = [Segment("", b"{")]
        self.longest: bytes = b""
        self.rows = 0
        self._done = done
        self._numbers: dict[tuple[str, bytes], int] = {("", b""): 0}
        self._number = 0
        self._file: FileIO | None = None
        self._size = 0
        self._rows = 0
        self._longest_line = 0
        self._opening = re.compile(rb'\{"' + re.escape(marks.scope.encode()) + rb'":(\d+)')

    def write(self, rows: Sequence[bytes], segment: int) -> None:
        """Add a page, cut where it is larger than a chunk."""
        longest = max(map(len, rows))
        step = max(1, min(len(rows), self.chunk_bytes * len(rows) // max(1, sum(map(len, rows)))))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            self._add(self._text(part, segment), len(part), longest + self._room(segment))
        self.rows += len(rows)

    def flush(self) -> None:
        """Hand over the chunk that is not full."""
        if self._file is not None:
            self._file.close()
            chunk = Chunk(self._number, Path(self._file.name), self._rows, self._longest_line)
            self._file, self._size, self._rows, self._longest_line = None, 0, 0, 0
            self._done(chunk)

    def close(self) -> None:
        """Let go of the open file; its rows count for nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def take_apart(self, line: bytes) -> Line:
        """The row in a line, as its server wrote it."""
        match = self._opening.match(line)
        if match is None:
            return Line(0, line)
        number = int(match.group(1))
        rest = line[len(self._front(number)) :]
        value = msgspec.json.encode(self.marks.value) + b":"
        return Line(number, rest[len(value) : -1] if rest.startswith(value) else b"{" + (rest or b"}"))

    def segment(self, variables: Mapping[str, Scalar], scope: str) -> int:
        """The number of the segment a page belongs to."""
        text = msgspec.json.encode(variables, order="sorted") if variables else b""
        number = self._numbers.get((scope, text))
        if number is None:
            number = self._numbers[scope, text] = len(self.segments)
            page = msgspec.json.encode(self.marks.page) + b":" + text + b"," if text else b""
            mark = msgspec.json.encode(self.marks.scope)
            self.segments.append(Segment(scope, b"{%s:%d,%s" % (mark, number, page)))
        return number

    def note_longest(self, rows: Sequence[bytes]) -> None:
        """Remember the longest row; of several the first in byte order."""
        longest = max(map(len, rows))
        if longest >= len(self.longest):
            found = min(bytes(row) for row in rows if len(row) == longest)
            if longest > len(self.longest) or found < self.longest:
                self.longest = found

    def _text(self, rows: Sequence[bytes], segment: int) -> bytes:
        """The lines of some rows of one page."""
        text, breaks = b"\n".join(rows), len(rows) - 1
        plain = text.startswith(_OPENING) and text.count(b"\n" + _OPENING) == breaks  # objects with a member,
        if not plain or text.count(b"\n") != breaks or b"\r" in text:  # each on one line
            front = self.segments[segment].front
            return b"".join(self._line(bytes(row), front, segment) for row in rows)
        if segment:
            front = self.segments[segment].front
            text = front + text[1:].replace(b"\n{", b"\n" + front)
        return text + b"\n"

    def _line(self, row: bytes, front: bytes, segment: int) -> bytes:
        """One row that is no plain object on one line. A line break in JSON text is never part of a value."""
        row = row.replace(b"\n", b" ").replace(b"\r", b" ").strip()
        if not row.startswith(b"{"):
            return self._front(segment) + msgspec.json.encode(self.marks.value) + b":" + row + b"}\n"
        if not segment:
            return row + b"\n"
        rest = row[1:].lstrip()
        return (front[:-1] if rest.startswith(b"}") else front) + rest + b"\n"

    def _front(self, segment: int) -> bytes:
        """What a row that is marked starts with."""
        return self.segments[segment].front if segment else b"{%s:0," % msgspec.json.encode(self.marks.scope)

    def _room(self, segment: int) -> int:
        """How much longer than its row a line may be."""
        return len(self._front(segment)) + len(self.marks.value) + 8

    def _add(self, text: bytes, rows: int, longest: int) -> None:
        if self._file is None:
            self._number += 1
            self._file = (self.folder / f"chunk-{self._number:06d}.ndjson").open("wb", buffering=0)
        self._file.write(text)
        self._size += len(text)
        self._rows += rows
        self._longest_line = max(self._longest_line, longest)
        enough = self.chunk_bytes if self._rows >= self.chunk_rows else 3 * self.chunk_bytes
        if self._size >= enough:
            self.flush()
