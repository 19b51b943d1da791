"""What one statement may use. The owner sets the limits; a request can only lower them."""

from __future__ import annotations

from msgspec import Struct


class StatementLimits(Struct, frozen=True):
    """The limits of one statement; None: no limit.

    ``seconds``  from its start until the last row was handed over.
    ``bytes``    of the result as it is sent.
    """

    rows: int | None = None
    bytes: int = 10 * 1024**3
    seconds: float = 3600.0

    def lower(self, rows: int | None = None, seconds: float | None = None) -> StatementLimits:
        """Return the limits with those of a request, where they are lower."""
        return StatementLimits(
            self.rows if rows is None else rows if self.rows is None else min(self.rows, rows),
            self.bytes,
            self.seconds if seconds is None else min(self.seconds, seconds),
        )
