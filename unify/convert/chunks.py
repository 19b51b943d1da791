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

_OBJECT_START = b'{"'


@dataclass(frozen=True, slots=True)
class MarkerKeys:
    """Keys put into rows. ``value`` holds a row that is no object."""

    scope: str
    page: str
    value: str

    @classmethod
    def generate(cls) -> MarkerKeys:
        mark = f"~{secrets.token_hex(6)}:"
        return cls(f"{mark}scope", f"{mark}page", f"{mark}value")


@dataclass(frozen=True, slots=True)
class Segment:
    """Pages that say the same of their rows. ``line_prefix`` is what their rows start with instead of ``{``."""

    scope: str
    line_prefix: bytes


@dataclass(frozen=True, slots=True)
class Chunk:
    """A finished file of rows, one a line. ``longest_line_bytes`` in bytes."""

    number: int
    path: Path
    rows: int
    longest_line_bytes: int

    def with_path(self, path: Path) -> Chunk:
        """The same rows, at most twice as long, in another file."""
        return replace(self, path=path, longest_line_bytes=2 * self.longest_line_bytes)

    def read_lines(self) -> Iterator[bytes]:
        """Line by line, without its end."""
        with self.path.open("rb") as file:
            for line in file:
                yield line.rstrip(b"\n")

    def read_blocks(self) -> Iterator[bytes]:
        """Some whole lines at a time."""
        with self.path.open("rb") as file:
            while lines := file.readlines(BLOCK_BYTES):
                yield b"".join(lines)


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """A line taken apart: the row as it was written, and which segment's."""

    segment: int
    row: bytes


class ChunkWriter:
    """Writes pages into chunk files and hands over each that is full. One thread at a time."""

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
        self.segments: list[Segment] = [Segment("", b"{")]
        self.longest_row: bytes = b""
        self.rows = 0
        self._on_chunk = on_chunk
        self._segment_numbers: dict[tuple[str, bytes], int] = {("", b""): 0}
        self._chunk_number = 0
        self._file: FileIO | None = None
        self._file_bytes = 0
        self._file_rows = 0
        self._longest_line_bytes = 0
        self._marker_pattern = re.compile(rb'\{"' + re.escape(markers.scope.encode()) + rb'":(\d+)')

    def write(self, rows: Sequence[bytes], segment: int) -> None:
        """Add a page, cut where it is larger than a chunk."""
        longest = max(map(len, rows))
        step = max(1, min(len(rows), self.chunk_bytes * len(rows) // max(1, sum(map(len, rows)))))
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            self._write_lines(
                self._render_lines(part, segment), len(part), longest + self._line_overhead_bytes(segment)
            )
        self.rows += len(rows)

    def flush(self) -> None:
        """Hand over the chunk that is not full."""
        if self._file is not None:
            self._file.close()
            chunk = Chunk(
                self._chunk_number, Path(self._file.name), self._file_rows, self._longest_line_bytes
            )
            self._file, self._file_bytes, self._file_rows, self._longest_line_bytes = None, 0, 0, 0
            self._on_chunk(chunk)

    def close(self) -> None:
        """Let go of the open file; its rows count for nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def parse_line(self, line: bytes) -> ParsedLine:
        """The row in a line, as its server wrote it."""
        match = self._marker_pattern.match(line)
        if match is None:
            return ParsedLine(0, line)
        number = int(match.group(1))
        rest = line[len(self._line_prefix(number)) :]
        value = msgspec.json.encode(self.markers.value) + b":"
        return ParsedLine(number, rest[len(value) : -1] if rest.startswith(value) else b"{" + (rest or b"}"))

    def assign_segment(self, variables: Mapping[str, Scalar], scope: str) -> int:
        """The number of the segment a page belongs to."""
        text = msgspec.json.encode(variables, order="sorted") if variables else b""
        number = self._segment_numbers.get((scope, text))
        if number is None:
            number = self._segment_numbers[scope, text] = len(self.segments)
            page = msgspec.json.encode(self.markers.page) + b":" + text + b"," if text else b""
            mark = msgspec.json.encode(self.markers.scope)
            self.segments.append(Segment(scope, b"{%s:%d,%s" % (mark, number, page)))
        return number

    def update_longest_row(self, rows: Sequence[bytes]) -> None:
        """Remember the longest row; of several the first in byte order."""
        longest = max(map(len, rows))
        if longest >= len(self.longest_row):
            found = min(bytes(row) for row in rows if len(row) == longest)
            if longest > len(self.longest_row) or found < self.longest_row:
                self.longest_row = found

    def _render_lines(self, rows: Sequence[bytes], segment: int) -> bytes:
        """The lines of some rows of one page."""
        text, breaks = b"\n".join(rows), len(rows) - 1
        plain = (
            text.startswith(_OBJECT_START) and text.count(b"\n" + _OBJECT_START) == breaks
        )  # objects with a member,
        if not plain or text.count(b"\n") != breaks or b"\r" in text:  # each on one line
            front = self.segments[segment].line_prefix
            return b"".join(self._render_line(bytes(row), front, segment) for row in rows)
        if segment:
            front = self.segments[segment].line_prefix
            text = front + text[1:].replace(b"\n{", b"\n" + front)
        return text + b"\n"

    def _render_line(self, row: bytes, line_prefix: bytes, segment: int) -> bytes:
        """One row that is no plain object on one line. A line break in JSON text is never part of a value."""
        row = row.replace(b"\n", b" ").replace(b"\r", b" ").strip()
        if not row.startswith(b"{"):
            return self._line_prefix(segment) + msgspec.json.encode(self.markers.value) + b":" + row + b"}\n"
        if not segment:
            return row + b"\n"
        rest = row[1:].lstrip()
        return (line_prefix[:-1] if rest.startswith(b"}") else line_prefix) + rest + b"\n"

    def _line_prefix(self, segment: int) -> bytes:
        """What a row that is marked starts with."""
        return (
            self.segments[segment].line_prefix
            if segment
            else b"{%s:0," % msgspec.json.encode(self.markers.scope)
        )

    def _line_overhead_bytes(self, segment: int) -> int:
        """How much longer than its row a line may be."""
        return len(self._line_prefix(segment)) + len(self.markers.value) + 8

    def _write_lines(self, text: bytes, rows: int, longest_line_bytes: int) -> None:
        if self._file is None:
            self._chunk_number += 1
            self._file = (self.folder / f"chunk-{self._chunk_number:06d}.ndjson").open("wb", buffering=0)
        self._file.write(text)
        self._file_bytes += len(text)
        self._file_rows += rows
        self._longest_line_bytes = max(self._longest_line_bytes, longest_line_bytes)
        enough = self.chunk_bytes if self._file_rows >= self.chunk_rows else 3 * self.chunk_bytes
        if self._file_bytes >= enough:
            self.flush()
