"""Rows of COPY … TO STDOUT: text, csv and binary, from the content of DataRows."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from unify.servers.postgres.session_statements import CopyRows
from unify.servers.postgres.wire_types import BINARY_FORMAT, TEXT_FORMAT, WireColumn

BINARY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
BINARY_END = struct.pack("!h", -1)
NULL_LENGTH = 0xFFFFFFFF
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
        quoted = [self._delimiter, self._quote, b"\n", b"\r", b"\\."]
        special = [*self._escapes] if copy.format == "text" else quoted
        self._find_special = re.compile(b"|".join(map(re.escape, special))).search

    @property
    def cell_format(self) -> int:
        return BINARY_FORMAT if self._copy.format == "binary" else TEXT_FORMAT

    def head(self, columns: Sequence[WireColumn]) -> list[bytes]:
        """Return what comes before the rows."""
        if self._copy.format == "binary":
            return [BINARY_HEAD]
        if self._copy.header:
            names = [column.name.encode() for column in columns]
            return [self._delimiter.join(map(self._escape, names)) + b"\n"]
        return []

    def rows(self, rows: Sequence[bytes]) -> list[bytes]:
        """Return rows, given as the content of DataRows."""
        if self._copy.format == "binary":
            return list(rows)  # a row is sent in the same form
        return [self._line(row) for row in rows]

    def end(self) -> list[bytes]:
        return [BINARY_END] if self._copy.format == "binary" else []

    def _line(self, row: bytes) -> bytes:
        """Return the line of a row. A loop without calls for most cells: COPY is for many rows."""
        cells: list[bytes] = []
        is_special, null = self._find_special, self._null
        at, end = 2, len(row)
        while at < end:
            length = int.from_bytes(row[at : at + 4], "big")
            at += 4
            if length == NULL_LENGTH:
                cells.append(null)
                continue
            cell = row[at : at + length]
            at += length
            cells.append(self._escape(cell) if is_special(cell) or cell == null else cell)
        return self._delimiter.join(cells) + b"\n"

    def _escape(self, cell: bytes) -> bytes:
        if self._copy.format == "csv":
            is_plain = self._find_special(cell) is None and cell not in (self._null, b"\\.")
            return (
                cell if is_plain else self._quote + cell.replace(self._quote, self._quote * 2) + self._quote
            )
        for found, escaped in self._escapes.items():
            cell = cell.replace(found, escaped)
        return cell
