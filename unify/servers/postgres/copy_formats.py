"""Rows of COPY … TO STDOUT: text, csv and binary, from the content of DataRows."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence

from unify.servers.postgres.session_statements import CopyRows
from unify.servers.postgres.wire_types import BINARY_FORMAT, TEXT_FORMAT, WireColumn

BINARY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
BINARY_END = struct.pack("!h", -1)
_LENGTH = struct.Struct("!i")
_ESCAPES = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


class CopyEncoder:
    """Encodes the rows of one COPY."""

    def __init__(self, copy: CopyRows) -> None:
        self._copy = copy
        self._null = copy.null.encode()
        self._delimiter = copy.delimiter.encode()
        self._quote = copy.quote.encode()
        self._escapes = {one.encode(): escaped.encode() for one, escaped in _ESCAPES.items()}
        self._escapes.setdefault(self._delimiter, b"\\" + self._delimiter)
        special = [*self._escapes] if copy.format == "text" else [self._delimiter, self._quote, b"\n", b"\r"]
        self._find_special = re.compile(b"|".join(map(re.escape, special))).search

    @property
    def cell_format(self) -> int:
        return BINARY_FORMAT if self._copy.format == "binary" else TEXT_FORMAT

    def head(self, columns: Sequence[WireColumn]) -> list[bytes]:
        """Return what comes before the rows."""
        if self._copy.format == "binary":
            return [BINARY_HEAD]
        if self._copy.header:
            return [self._line([column.name.encode() for column in columns])]
        return []

    def rows(self, rows: Sequence[bytes]) -> list[bytes]:
        """Return rows, given as the content of DataRows."""
        if self._copy.format == "binary":
            return list(rows)  # a row is sent in the same form
        return [self._line(list(_cells(row))) for row in rows]

    def end(self) -> list[bytes]:
        return [BINARY_END] if self._copy.format == "binary" else []

    def _line(self, cells: Sequence[bytes | None]) -> bytes:
        write = self._csv_cell if self._copy.format == "csv" else self._text_cell
        return self._delimiter.join([self._null if cell is None else write(cell) for cell in cells]) + b"\n"

    def _text_cell(self, cell: bytes) -> bytes:
        if self._find_special(cell) is None:
            return cell
        for found, escaped in self._escapes.items():
            cell = cell.replace(found, escaped)
        return cell

    def _csv_cell(self, cell: bytes) -> bytes:
        if cell in (self._null, b"\\.") or self._find_special(cell) is not None:
            return self._quote + cell.replace(self._quote, self._quote * 2) + self._quote
        return cell


def _cells(row: bytes) -> Iterator[bytes | None]:
    at = 2
    while at < len(row):
        length = _LENGTH.unpack_from(row, at)[0]
        at += 4
        if length < 0:
            yield None
        else:
            yield row[at : at + length]
            at += length
