"""The daemon's log file: one event a line, rotated, with secrets redacted.

    2026-03-01T12:00:00.123Z 7 load.started job=12 table=github.pulls action=load attempt=1

After the time comes the epoch, the number of the daemon's start; then the event's name and its fields.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from unify.redaction import Redactor
from unify.text import escape_text, format_event, format_log_time

LOG_FILE = "daemon.log"
MAX_FILE_BYTES = 5 * 1024 * 1024
MAX_FILES = 5  # the current one and four older ones: some weeks of a busy daemon
MIN_SECRET_CHARS = 6  # environment values that are shorter are mostly ordinary words


class DaemonLog:
    """Writes events to ``folder``. No value can break a line or show a known secret."""

    def __init__(
        self, folder: Path, epoch: int, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.path = folder / LOG_FILE
        self.epoch = epoch
        self.last_write_error: OSError | None = None
        self._now = now
        self._redactor = Redactor()
        self._descriptor = _open_file(self.path)
        self._lock = threading.Lock()  # the notifier's thread writes, too

    def add_secrets(self, values: Iterable[str]) -> None:
        """Redact these values from now on."""
        self._redactor.add(*(value for value in values if len(value) >= MIN_SECRET_CHARS))

    def redact(self, text: str) -> str:
        return self._redactor.redact(text)

    def write_event(self, event: str, /, **fields: object) -> None:
        """Write one line. A full disk loses the line, and sets ``last_write_error``."""
        moment = format_log_time(self._now())
        line = escape_text(self.redact(f"{moment} {self.epoch} {format_event(event, fields)}"))
        try:
            with self._lock:
                os.write(self._descriptor, f"{line}\n".encode())
                if os.fstat(self._descriptor).st_size > MAX_FILE_BYTES:
                    self._rotate()
        except OSError as error:
            self.last_write_error = error

    def close(self) -> None:
        os.close(self._descriptor)

    def _rotate(self) -> None:
        for number in range(MAX_FILES - 1, 0, -1):
            older = self.path.with_name(f"{LOG_FILE}.{number}")
            newer = self.path.with_name(f"{LOG_FILE}.{number - 1}") if number > 1 else self.path
            if newer.exists():
                newer.replace(older)
        full, self._descriptor = self._descriptor, _open_file(self.path)
        os.close(full)


def _open_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
