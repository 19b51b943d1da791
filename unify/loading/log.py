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

from unify.text import safe_text

FILE = "daemon.log"
FILE_BYTES = 5 * 1024 * 1024
FILES = 5  # the current one and four older ones: some weeks of a busy daemon
SHORTEST_SECRET = 6  # characters; hiding shorter values would black out ordinary words


class Log:
    """Writes facts into ``folder``; nothing it is told can break a line or show a known secret."""

    def __init__(
        self, folder: Path, epoch: int, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.path = folder / FILE
        self.epoch = epoch
        self._now = now
        self._secrets: tuple[str, ...] = ()
        self._handle = _open(self.path)

    def hide(self, values: Iterable[str]) -> None:
        """Show these as *** from now on, wherever they turn up in a fact."""
        hidden = {form for value in values if len(value) >= SHORTEST_SECRET for form in _spellings(value)}
        known = hidden | set(self._secrets)
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def redacted(self, text: str) -> str:
        """``text`` without any known secret."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def fact(self, what: str, /, **details: object) -> None:
        """Write one line; a full disk costs the line, not the daemon."""
        told = " ".join(
            f"{name}={_value(value)}" for name, value in details.items() if value not in (None, "")
        )
        moment = self._now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = safe_text(self.redacted(f"{moment} {self.epoch} {what} {told}".rstrip()))
        try:
            os.write(self._handle, f"{line}\n".encode())
            if os.fstat(self._handle).st_size > FILE_BYTES:
                self._rotate()
        except OSError as error:
            self.lost = error

    def close(self) -> None:
        os.close(self._handle)

    lost: OSError | None = None  # why the last line that could not be written was not

    def _rotate(self) -> None:
        for number in range(FILES - 1, 0, -1):
            older = self.path.with_name(f"{FILE}.{number}")
            newer = self.path.with_name(f"{FILE}.{number - 1}") if number > 1 else self.path
            if newer.exists():
                newer.replace(older)
        full, self._handle = self._handle, _open(self.path)
        os.close(full)


def _spellings(secret: str) -> Iterable[str]:
    """How a secret may turn up: as it is, in an address, in an Authorization header."""
    encoded = base64.b64encode(secret.encode()).decode()
    return (secret, quote(secret, safe=""), quote_plus(secret), encoded)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _value(value: object) -> str:
    text = str(value)
    return f'"{text}"' if " " in text or not text else text
