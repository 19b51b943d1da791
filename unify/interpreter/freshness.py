"""Decides whether stored rows are fresh enough for a query. No I/O."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from msgspec import Struct

from unify.durations import format_duration, parse_duration
from unify.errors import UsageError

OVERDUE_INTERVALS = 2.0  # a refresh may wait for a worker, or be retried, for one interval
OVERDUE_GRACE_S = 60.0


class FreshnessDecision(Enum):
    """The action for a table before a query reads it."""

    USE_STORED = "answer from what is stored"
    LOAD_AND_WAIT = "load, and wait for it"
    REFRESH_AND_WAIT = "refresh, and wait for it"
    REFRESH_IN_BACKGROUND = "answer from what is stored, and queue a refresh"
    READ_SOURCE = "read the database or store itself"


class MaxAge(Struct, frozen=True):
    """The maximum age of stored rows: ``--max-age`` and ``set max_age``.

    ``limit_s``  refresh older rows before the query; 0 refreshes each time.
    ``never``    do not refresh.
    Neither: read the stored rows, and queue a refresh if their schedule is overdue.
    """

    limit_s: float | None = None
    never: bool = False

    @classmethod
    def parse(cls, text: str, prefix: str = "max_age =") -> MaxAge:
        """``5 minutes``, ``0``, ``none`` or ``default``. Raises UsageError for anything else.

        ``prefix``  the option or setting, for the message.
        """
        match text.strip().lower():
            case "none":
                return cls(never=True)
            case "default":
                return cls()
            case duration:
                try:
                    return cls(limit_s=parse_duration(duration))
                except ValueError as error:
                    raise UsageError(f"{prefix} {text}: {error}; or 0, none, default") from error

    def __str__(self) -> str:
        if self.never:
            return "none"
        return "default" if self.limit_s is None else format_duration(self.limit_s)


DEFAULT_MAX_AGE = MaxAge()


def decide_freshness(
    loaded_at: datetime | None, every_s: float | None, max_age: MaxAge, now: datetime
) -> FreshnessDecision:
    """Decide for a table last loaded at ``loaded_at`` (None: never) and scheduled every ``every_s``."""
    if loaded_at is None:
        return FreshnessDecision.LOAD_AND_WAIT
    age_s = (now - loaded_at).total_seconds()
    if max_age.never:
        return FreshnessDecision.USE_STORED
    if max_age.limit_s is not None:
        return (
            FreshnessDecision.REFRESH_AND_WAIT if age_s >= max_age.limit_s else FreshnessDecision.USE_STORED
        )
    if every_s is not None and age_s > every_s:
        return FreshnessDecision.REFRESH_IN_BACKGROUND
    return FreshnessDecision.USE_STORED


def decide_source_freshness(
    loaded_at: datetime | None, every_s: float | None, max_age: MaxAge, now: datetime, *, is_kept: bool
) -> FreshnessDecision:
    """Decide for a table of a database or store, which a query can read itself.

    ``is_kept``  its rows are to be stored (``mode: stored``).
    """
    if loaded_at is None:
        return (
            FreshnessDecision.LOAD_AND_WAIT
            if is_kept and max_age.limit_s != 0
            else FreshnessDecision.READ_SOURCE
        )
    decision = decide_freshness(loaded_at, every_s, max_age, now)
    return FreshnessDecision.READ_SOURCE if decision is FreshnessDecision.REFRESH_AND_WAIT else decision


def is_overdue(age_s: float, every_s: float) -> bool:
    """Whether a table that is refreshed every ``every_s`` is so old that its refreshes must have failed."""
    return age_s > OVERDUE_INTERVALS * every_s + OVERDUE_GRACE_S
