"""Is what is stored fresh enough to answer with? A decision without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from unify.durations import duration_text, parse_duration
from unify.errors import UsageError


class Need(Enum):
    """What a query needs of a table before it can run."""

    NOTHING = "answer from what is stored"
    FIRST_LOAD = "load, and wait for it"
    FRESH_DATA = "refresh, and wait for it"
    REFRESH_BEHIND = "answer from what is stored, and queue a refresh"


@dataclass(frozen=True, slots=True)
class MaxAge:
    """How old an answer may be: ``--max-age`` and ``set max_age``.

    ``limit_s``  wait for data at least this fresh; 0 refreshes each time.
    ``never``    no refresh at all, however old.
    Neither: answer at once, and refresh behind it what is past its schedule.
    """

    limit_s: float | None = None
    never: bool = False

    @classmethod
    def parse(cls, text: str, said: str = "max_age =") -> MaxAge:
        """``5 minutes``, ``0``, ``none`` or ``default``. Raises UsageError for anything else.

        ``said``  what stands before it where it was written, for the message.
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
                    raise UsageError(f"{said} {text}: {error}; or 0, none, default") from error

    def __str__(self) -> str:
        if self.never:
            return "none"
        return "default" if self.limit_s is None else duration_text(self.limit_s)


AT_ONCE = MaxAge()


def decide(loaded_at: datetime | None, every_s: float | None, max_age: MaxAge, now: datetime) -> Need:
    """What a table needs that was last loaded at ``loaded_at`` (None: never) and is due ``every_s``."""
    if loaded_at is None:
        return Need.FIRST_LOAD
    age_s = (now - loaded_at).total_seconds()
    if max_age.never:
        return Need.NOTHING
    if max_age.limit_s is not None:
        return Need.FRESH_DATA if age_s >= max_age.limit_s else Need.NOTHING
    if every_s is not None and age_s > every_s:
        return Need.REFRESH_BEHIND
    return Need.NOTHING
