"""Events of a server on stderr, one a line: ``2026-03-01T12:00:00.123Z server.started address=…``.

Format and words are those of the daemon's log. No value can break a line or show a known secret.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TextIO

from unify.redaction import Redactor
from unify.text import escape_text, format_event, format_log_time

MAX_REPEATS = 10  # of an event that clients cause, within REPEAT_INTERVAL
REPEAT_INTERVAL = timedelta(minutes=1)


class EventLog:
    """Writes events to a stream. Threads may share it. A closed stream is not an error."""

    def __init__(
        self, stream: TextIO | None, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.redactor = Redactor()
        self._stream = stream
        self._now = now
        self._lock = threading.Lock()
        self._repeats: dict[str, tuple[datetime, int]] = {}  # since when, and how many

    def write_event(self, event: str, /, **fields: object) -> None:
        """Write one line."""
        text = self.redactor.redact(f"{format_log_time(self._now())} {format_event(event, fields)}")
        with self._lock, suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(f"{escape_text(text)}\n")
                self._stream.flush()

    def write_limited(self, event: str, /, **fields: object) -> None:
        """Write one line for an event that any client can cause: at most MAX_REPEATS a minute.

        The first line after a minute tells how many were left out.
        """
        suppressed = self._count_repeat(event)
        if suppressed is not None:
            self.write_event(event, **fields, suppressed=suppressed or None)

    def _count_repeat(self, event: str) -> int | None:
        """Return how many events were left out before this one; None: leave it out too."""
        now = self._now()
        with self._lock:
            since, count = self._repeats.get(event, (now, 0))
            if now - since < REPEAT_INTERVAL:
                self._repeats[event] = since, count + 1
                return 0 if count < MAX_REPEATS else None
            self._repeats[event] = now, 1
            return max(0, count - MAX_REPEATS)
