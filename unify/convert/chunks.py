"""Chunk files: rows as newline-delimited JSON, some megabytes a file, for DuckDB.

A row is written as it came. The values of its page precede its first member:
``{"~1f:scope":3,"~1f:page":{"repo":"duckdb"},"id":…``. The prefix of the keys is random, so that no key of a
source equals them.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.base import Scalar

if TYPE_CHECKING:
    from io import FileIO

CHUNK_BYTES = 8 * 1024 * 1024  # least size of a file: DuckDB plans a query for each
# Least rows of a file, unless it has three times its bytes before. Each becomes a Parquet file, with a row
# in the catalog for every column: 17 files of 340 columns take 1.2 s of CPU to publish, 5 take 0.3 s.
CHUNK_ROWS = 2_000
BLOCK_BYTES = 1024 * 1024  # of lines processed at once in Python

_OBJECT_START = b'{"'
CHUNK_FILES = "chunk-[0-9]*[0-9].ndjson"


class MarkerKeys(Struct, frozen=True):
    """Keys added to rows. ``value`` holds a row that is not an object."""

    scope: str
    page: str
    value: str

    @classmethod
    def generate(cls) -> MarkerKeys:
        mark = f"~{os.urandom(6).hex()}:"
        return cls(f"{mark}scope", f"{mark}page", f"{mark}value")


class Segment(Struct, frozen=True):
    """Pages with the same values.

    ``values``       JSON text; "" without any.
    ``line_prefix``  replaces the ``{`` at the start of their rows.
    """

    scope: str
    values: bytes
    line_prefix: bytes

    @classmethod
    def of(cls, markers: MarkerKeys, number: int, scope: str, values: bytes) -> Segment:
        if not number:
            return cls("", b"", b"{")
        page = msgspec.json.encode(markers.page) + b":" + values + b"," if values else b""
        return cls(scope, values, b"{%s:%d,%s" % (msgspec.json.encode(markers.scope), number, page))


class Chunk(Struct, frozen=True):
    """A complete file of rows, one per line."""

    number: int
    path: Path
    rows: int
    longest_line_bytes: int

    def with_path(self, path: Path) -> Chunk:
        """Return the chunk for another file with the same rows, at most twice as long."""
        return replace(self, path=path, longest_line_bytes=2 * self.longest_line_bytes)

    def read_lines(self) -> Iterator[bytes]:
        """Yield the lines without line ends."""
        with self.path.open("rb") as file:
            for line in file:
                yield line.rstrip(b"\n")

    def read_blocks(self) -> Iterator[bytes]:
        """Yield blocks of whole lines."""
        with self.path.open("rb") as file:
            while lines := file.readlines(BLOCK_BYTES):
                yield b"".join(lines)


class ParsedLine(Struct, frozen=True):
    """The row of a line, as it came, and the number of its segment."""

    segment: int
    row: bytes


class LineParser:
    """Reads the lines of chunks."""

    def __init__(self, markers: MarkerKeys, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._value_key = msgspec.json.encode(markers.value) + b":"
        self._bare_prefix = b"{%s:0," % msgspec.json.encode(markers.scope)
        self._pattern = re.compile(rb'\{"' + re.escape(markers.scope.encode()) + rb'":(\d+)')

    def parse_line(self, line: bytes) -> ParsedLine:
        """Return the row of a line, as the server wrote it."""
        match = self._pattern.match(line)
        if match is None:
            return ParsedLine(0, line)
        number = int(match.group(1))
        rest = line[len(self.line_prefix(number)) :]
        is_value = rest.startswith(self._value_key)
        return ParsedLine(number, rest[len(self._value_key) : -1] if is_value else b"{" + (rest or b"}"))

    def line_prefix(self, segment: int) -> bytes:
        """Return the start of a line with marker keys."""
        return self._segments[segment].line_prefix if segment else self._bare_prefix


class ChunkReader:
    """Reads the rows of a folder's chunks in the order in which they were written. Close it after use.

    ``checksum``  of the lines read so far.
    """

    def __init__(self, folder: Path, parser: LineParser) -> None:
        self.checksum = 0
        self._parser = parser
        self._lines = _read_lines(folder)

    def close(self) -> None:
        self._lines.close()

    def read_rows(self, count: int) -> Sequence[bytes]:
        """Return the next rows; fewer at the end."""
        lines = list(islice(self._lines, count))
        for line in lines:
            self.checksum = zlib.crc32(line, self.checksum)
        return [self._parser.parse_line(line.rstrip(b"\n")).row for line in lines]


def _read_lines(folder: Path) -> Generator[bytes, None, None]:
    for path in sorted(folder.glob(CHUNK_FILES), key=lambda path: int(path.stem.partition("-")[2])):
        with path.open("rb") as file:
            yield from file


class ChunkWriter:
    """Writes pages into chunk files; calls ``on_chunk`` for each that is full. Not thread-safe.

    ``checksum``  of the lines written so far; they are in their files.
    """

    def __init__(
        self,
        folder: Path,
        markers: MarkerKeys,
        on_chunk: Callable[[Chunk], None],
        *,
        chunk_bytes: int,
        chunk_rows: int,
    ) -> None:
        self.folder = folder
        self.markers = markers
        self.chunk_bytes = chunk_bytes
        self.chunk_rows = chunk_rows
        self.segments: list[Segment] = [Segment.of(markers, 0, "", b"")]
        self.longest_row: bytes = b""
        self.rows = 0
        self._on_chunk = on_chunk
        self._segment_numbers: dict[tuple[str, bytes], int] = {("", b""): 0}
        self._chunk_number = 0
        self._file: FileIO | None = None
        self._file_bytes = 0
        self._file_rows = 0
        self._longest_line_bytes = 0
        self._parser = LineParser(markers, self.segments)
        self.checksum = 0

    def write(self, rows: Sequence[bytes], segment: int) -> None:
        """Add a page; one that is larger than a chunk is split."""
        longest = max(map(len, rows))
        step = max(1, min(len(rows), self.chunk_bytes * len(rows) // max(1, sum(map(len, rows)))))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            self._write_lines(
                self._render_lines(part, segment), len(part), longest + self._line_overhead_bytes(segment)
            )
        self.rows += len(rows)

    def flush(self) -> None:
        """Complete the current chunk."""
        if self._file is not None:
            self._file.close()
            chunk = Chunk(
                self._chunk_number, Path(self._file.name), self._file_rows, self._longest_line_bytes
            )
            self._file, self._file_bytes, self._file_rows, self._longest_line_bytes = None, 0, 0, 0
            self._on_chunk(chunk)

    def close(self) -> None:
        """Close the open file without completing its chunk."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def parse_line(self, line: bytes) -> ParsedLine:
        """Return the row of a line, as the server wrote it."""
        return self._parser.parse_line(line)

    def assign_segment(self, variables: Mapping[str, Scalar], scope: str) -> int:
        """Return the number of the segment of a page."""
        text = msgspec.json.encode(variables, order="sorted") if variables else b""
        number = self._segment_numbers.get((scope, text))
        if number is None:
            number = self._segment_numbers[scope, text] = len(self.segments)
            self.segments.append(Segment.of(self.markers, number, scope, text))
        return number

    def update_longest_row(self, rows: Sequence[bytes]) -> None:
        """Update the longest row; of several the first in byte order."""
        longest = max(map(len, rows))
        if longest >= len(self.longest_row):
            found = min(bytes(row) for row in rows if len(row) == longest)
            if longest > len(self.longest_row) or found < self.longest_row:
                self.longest_row = found

    def _render_lines(self, rows: Sequence[bytes], segment: int) -> bytes:
        """Return the lines of rows of one page."""
        text, breaks = b"\n".join(rows), len(rows) - 1
        are_objects = text.startswith(_OBJECT_START) and text.count(b"\n" + _OBJECT_START) == breaks
        if not are_objects or text.count(b"\n") != breaks or b"\r" in text:
            front = self.segments[segment].line_prefix
            return b"".join(self._render_line(bytes(row), front, segment) for row in rows)
        if segment:
            front = self.segments[segment].line_prefix
            text = front + text[1:].replace(b"\n{", b"\n" + front)
        return text + b"\n"

    def _render_line(self, row: bytes, line_prefix: bytes, segment: int) -> bytes:
        """Return the line of any row. A line break in JSON text is never part of a value."""
        row = row.replace(b"\n", b" ").replace(b"\r", b" ").strip()
        if not row.startswith(b"{"):
            return (
                self._parser.line_prefix(segment)
                + msgspec.json.encode(self.markers.value)
                + b":"
                + row
                + b"}\n"
            )
        if not segment:
            return row + b"\n"
        rest = row[1:].lstrip()
        return (line_prefix[:-1] if rest.startswith(b"}") else line_prefix) + rest + b"\n"

    def _line_overhead_bytes(self, segment: int) -> int:
        """Return how much longer than its row a line may be."""
        return len(self._parser.line_prefix(segment)) + len(self.markers.value) + 8

    def _write_lines(self, text: bytes, rows: int, longest_line_bytes: int) -> None:
        if self._file is None:
            self._chunk_number += 1
            path = self.folder / f"chunk-{self._chunk_number:06d}.ndjson"
            self._file = path.open("wb", buffering=0)
        self._file.write(text)
        self.checksum = zlib.crc32(text, self.checksum)
        self._file_bytes += len(text)
        self._file_rows += rows
        self._longest_line_bytes = max(self._longest_line_bytes, longest_line_bytes)
        enough = self.chunk_bytes if self._file_rows >= self.chunk_rows else 3 * self.chunk_bytes
        if self._file_bytes >= enough:
            self.flush()
