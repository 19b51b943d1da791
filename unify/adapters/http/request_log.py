"""What was asked of sources lately: ``unify.requests``, kept beside the queue and never in the lake.

JSON lines in two files of the home folder: a full one takes the place of the older one. The two hold
the last 10,000 requests and more. A line that a crash or a full disk cut short is passed over: these rows
are for people, nothing depends on them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from unify.errors import StoreError
from unify.fs.locks import FileLock
from unify.model import RequestRecord

MAX_ROWS = 10_000
RETENTION = timedelta(days=7)
MAX_FILE_BYTES = 4 * 1024 * 1024  # more than 10,000 rows of usual length
LOCK_TIMEOUT_S = 5.0  # a batch is written within a millisecond

_record_decoder = msgspec.json.Decoder(RequestRecord)


class RequestLog:
    """The two files; any process may append a batch, one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rotated_path = path.with_name(f"{path.name}.1")
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), "requests")

    def append(self, records: Sequence[RequestRecord]) -> None:
        """Write a batch, without waiting for the disk. Raises StoreError; then some rows are missing."""
        if not records:
            return
        data = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
        with self._lock.hold(LOCK_TIMEOUT_S):
            try:
                self._write(data)
            except OSError as error:
                raise StoreError(f"{self.path}: cannot be written ({error.strerror})") from error

    def read_recent(self, now: datetime) -> Sequence[RequestRecord]:
        """The last ``MAX_ROWS`` requests of the last seven days, oldest first."""
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
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
    yield from _decode_lines(data.splitlines())


def _decode_lines(lines: Iterable[bytes]) -> Iterator[RequestRecord]:
    for line in lines:
        try:
            yield _record_decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # cut short by a crash
