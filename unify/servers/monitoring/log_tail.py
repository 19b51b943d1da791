"""Reads the lines that other processes append to a file, across its rotation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from unify.fs.durable import open_regular_file

CHUNK_BYTES = 65_536
MAX_LINE_BYTES = 1_048_576  # a longer line is passed over

FileId = tuple[int, int]


class LogTail:
    """The lines appended to ``path`` since the last call of ``read_lines``; at first, since it was created.

    A full file is renamed to ``rotated``, and a new one begun: the lines at the end of the old one are read
    too, unless that has happened twice since the last call.
    """

    def __init__(self, path: Path, rotated: Path) -> None:
        self._path = path
        self._rotated = rotated
        self._file_id: FileId | None = None
        self._offset = 0
        self._skip_to_end()

    def read_lines(self) -> Iterator[bytes]:
        """Yield the new complete lines without their line ends. Raises OSError; a missing file has none."""
        current = _file_id(self._path)
        if self._file_id is not None and current != self._file_id:
            if _file_id(self._rotated) == self._file_id:
                yield from self._read_file(self._rotated)
            self._offset = 0
        self._file_id = current
        if current is not None:
            yield from self._read_file(self._path)

    def _skip_to_end(self) -> None:
        try:
            status = self._path.stat()
        except OSError:
            return  # a file that appears later is read from its start
        self._file_id, self._offset = (status.st_dev, status.st_ino), status.st_size

    def _read_file(self, path: Path) -> Iterator[bytes]:
        """Yield complete lines from the offset on, and advance it; none if the file was just rotated."""
        with open_regular_file(path) as file:
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) != self._file_id:
                return
            if status.st_size < self._offset:
                self._offset = 0  # it was truncated
            file.seek(self._offset)
            yield from self._complete_lines(file)

    def _complete_lines(self, file: BinaryIO) -> Iterator[bytes]:
        rest = b""
        while chunk := file.read(CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._offset += len(line) + 1
                yield line
            if len(rest) > MAX_LINE_BYTES:
                self._offset += len(rest)
                rest = b""


def _file_id(path: Path) -> FileId | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
