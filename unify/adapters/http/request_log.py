"""The latest requests to APIs: the table ``unify.requests``.

JSON lines in two files of the home folder. When one is full, it replaces the older one; together they hold at
least the last 10,000 requests. Nothing depends on these rows: a line cut short by a crash or a full disk is
skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from unify.errors import StoreError
from unify.fs.durable import read_regular_file
from unify.fs.locks import FileLock
from unify.model import RequestRecord

MAX_ROWS = 10_000
RETENTION = timedelta(days=7)
MAX_FILE_BYTES = 4 * 1024 * 1024  # more than 10,000 rows of usual length
LOCK_TIMEOUT_S = 5.0  # writing a batch takes a millisecond

_record_decoder = msgspec.json.Decoder(RequestRecord)


class RequestLog:
    """Appends and reads requests. Processes append one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rotated_path = path.with_name(f"{path.name}.1")
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), "requests")

    def append(self, records: Sequence[RequestRecord]) -> None:
        """Write without waiting for the disk. Raises StoreError; then some rows may be missing."""
        if not records:
            return
        data = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        with self._lock.hold(LOCK_TIMEOUT_S):
            try:
                self._write(data)
            except OSError as error:
                raise StoreError(f"{self.path}: cannot be written ({error.strerror})") from error

    def read_recent(self, now: datetime) -> Sequence[RequestRecord]:
        """Return the last ``MAX_ROWS`` requests of the last seven days, oldest first. Raises StoreError."""
        records = [*_read_records(self.rotated_path), *_read_records(self.path)][-MAX_ROWS:]
        return [record for record in records if record.at > now - RETENTION]

    def _write(self, data: bytes) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" + data if torn else data)
        finally:
            os.close(descriptor)
        if size + len(data) > MAX_FILE_BYTES:
            self.path.replace(self.rotated_path)


def _read_records(path: Path) -> Iterator[RequestRecord]:
    try:
        lines = read_regular_file(path).splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    for line in lines:
        try:
            yield _record_decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # cut short by a crash
