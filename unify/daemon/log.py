"""The daemon's log: one line a fact, in a file that rotates, without secrets.

    2026-03-01T12:00:00.123Z 7 load started job=12 table=github.pulls action=load attempt=1 worker=4711

The number after the time is the epoch: which start of the daemon speaks.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, quote_plus

from unify.text import escape_text

LOG_FILE = "daemon.log"
MAX_FILE_BYTES = 5 * 1024 * 1024
MAX_FILES = 5  # the current one and four older ones: some weeks of a busy daemon
MIN_SECRET_CHARS = 6  # characters; hiding shorter values would black out ordinary words


class DaemonLog:
    """Writes facts into ``folder``; nothing it is told can break a line or show a known secret."""

    def __init__(
        self, folder: Path, epoch: int, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.path = folder / LOG_FILE
        self.epoch = epoch
        self._now = now
        self._secrets: tuple[str, ...] = ()
        self._descriptor = _open_file(self.path)

    def add_secrets(self, values: Iterable[str]) -> None:
        """Show these as *** from now on, wherever they turn up in a fact."""
        hidden = {
            form for value in values if len(value) >= MIN_SECRET_CHARS for form in _encoded_forms(value)
        }
        known = hidden | set(self._secrets)
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def redact(self, text: str) -> str:
        """``text`` without any known secret."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def write_event(self, event: str, /, **fields: object) -> None:
        """Write one line; a full disk costs the line, not the daemon."""
        told = " ".join(
            f"{name}={_format_value(value)}" for name, value in fields.items() if value not in (None, "")
        )
        moment = self._now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = escape_text(self.redact(f"{moment} {self.epoch} {event} {told}".rstrip()))
        try:
            os.write(self._descriptor, f"{line}\n".encode())
            if os.fstat(self._descriptor).st_size > MAX_FILE_BYTES:
                self._rotate()
        except OSError as error:
            self.last_write_error = error

    def close(self) -> None:
        os.close(self._descriptor)

    last_write_error: OSError | None = None  # why the last line that could not be written was not

    def _rotate(self) -> None:
        for number in range(MAX_FILES - 1, 0, -1):
            older = self.path.with_name(f"{LOG_FILE}.{number}")
            newer = self.path.with_name(f"{LOG_FILE}.{number - 1}") if number > 1 else self.path
            if newer.exists():
                newer.replace(older)
        full, self._descriptor = self._descriptor, _open_file(self.path)
        os.close(full)


def _encoded_forms(secret: str) -> Iterable[str]:
    """How a secret may turn up: as it is, in an address, in an Authorization header."""
    encoded = base64.b64encode(secret.encode()).decode()
    return (secret, quote(secret, safe=""), quote_plus(secret), encoded)


def _open_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _format_value(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text
