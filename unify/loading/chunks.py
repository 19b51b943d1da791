"""Rows on their way to DuckDB: newline-delimited chunk files of some megabytes.

A row is written as it came. Where its page says something of it, that is put in front of its first
member, by one ``replace`` over the whole page: ``{"~1f:scope":3,"~1f:page":{"repo":"duckdb"},"id":…``.
The mark is random, so that no source can know it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from unify.adapters.base import Scalar
from unify.loading.exactjson import Json

CHUNK_BYTES = 4 * 1024 * 1024  # of rows a file; DuckDB's memory grows with it


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

    def lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines()


@dataclass(frozen=True, slots=True)
class Line:
    """A line taken apart: the row as it was written, and which segment's."""

    segment: int
    row: bytes


class ChunkWriter:
    """Writes pages into chunk files and hands over each that is full. One thread at a time."""

    def __init__(self, folder: Path, marks: Marks, done: Callable[[Chunk], None]) -> None:
        self.folder = folder
        self.marks = marks
        self.segments: list[Segment] = [Segment("", b"{")]
        self.longest: bytes = b""
        self.rows = 0
        self._done = done
        self._numbers: dict[tuple[str, bytes], int] = {("", b""): 0}
        self._number = 0
        self._file: BinaryIO | None = None
        self._size = 0
        self._rows = 0
        self._longest_line = 0
        self._opening = re.compile(rb'\{"' + re.escape(marks.scope.encode()) + rb'":(\d+)')

    def write(self, rows: Sequence[bytes], variables: Mapping[str, Scalar], scope: str) -> None:
        """Add a page, cut where it is larger than a chunk."""
        if not rows:
            return
        segment = self._segment(variables, scope)
        longest = max(map(len, rows))
        self._note_longest(rows, longest)
        step = max(1, min(len(rows), CHUNK_BYTES * len(rows) // max(1, sum(map(len, rows)))))
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

    def _segment(self, variables: Mapping[str, Scalar], scope: str) -> int:
        text = msgspec.json.encode(variables, order="sorted") if variables else b""
        number = self._numbers.get((scope, text))
        if number is None:
            number = self._numbers[scope, text] = len(self.segments)
            page = msgspec.json.encode(self.marks.page) + b":" + text + b"," if text else b""
            mark = msgspec.json.encode(self.marks.scope)
            self.segments.append(Segment(scope, b"{%s:%d,%s" % (mark, number, page)))
        return number

    def _note_longest(self, rows: Sequence[bytes], longest: int) -> None:
        """Remember the longest row; of several the first in byte order."""
        if longest >= len(self.longest):
            found = min(bytes(row) for row in rows if len(row) == longest)
            if longest > len(self.longest) or found < self.longest:
                self.longest = found

    def _text(self, rows: Sequence[bytes], segment: int) -> bytes:
        """The lines of some rows of one page."""
        front = self.segments[segment].front
        text = b"\n" + b"\n".join(rows) + b"\n"
        plain = text.count(b"\n") == len(rows) + 1 and b"\r" not in text and text.count(b"\n{") == len(rows)
        if not plain or any(start in text for start in (b"\n{}", b"\n{ ", b"\n{\t")):
            return b"".join(self._line(bytes(row), front, segment) for row in rows)
        if segment:
            text = text.replace(b"\n{", b"\n" + front)
        return text[1:]

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
            self._file = (self.folder / f"chunk-{self._number:06d}.ndjson").open("wb")
        self._file.write(text)
        self._size += len(text)
        self._rows += rows
        self._longest_line = max(self._longest_line, longest)
        if self._size >= CHUNK_BYTES:
            self.flush()


def learnable(document: Json, marks: Marks) -> tuple[Json, Json, Json]:
    """A decoded line's row, what its page says, and the row itself where it is no object."""
    page = document.pop(marks.page, None)
    document.pop(marks.scope, None)
    value = document.pop(marks.value, None) if marks.value in document else None
    return document, page, value
