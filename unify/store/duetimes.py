"""When something scheduled is due: every so often, on somebody's clock from a time of day on, or once.

Pure: the time comes in, the next one goes out. What was slept through is made up for once.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from unify.zones import zone_named

SHORT = timedelta(hours=1)  # what a clock is moved by when summer begins and ends, nearly everywhere
LONGEST_MOVE = timedelta(days=1)  # what a zone has moved by when it changed sides of the date line


@dataclass(frozen=True, slots=True)
class Timing:
    """The due times of one thing.

    ``every_s``   None: once at ``next_at``, or, without one, never.
    ``next_at``   None: not due any more.
    ``starting``  the time of day as a person wrote it; "" where there is none.
    ``zone``      whose clock ``first`` is on: ``Europe/Berlin``, or an offset; "" for time that just passes.
    ``first``     the first time on that clock, ``2026-03-28T08:00``; "" without a zone.
    """

    every_s: float | None
    next_at: datetime | None
    last_at: datetime | None = None
    starting: str = ""
    zone: str = ""
    first: str = ""


def daily(starting: str, every_s: float, zone: str, now: datetime) -> Timing:
    """Every ``every_s`` from the next time the clock of ``zone`` shows ``starting``, written HH:MM."""
    today = now.astimezone(zone_named(zone)).replace(tzinfo=None)
    hour, minute = map(int, starting.split(":"))
    first = today.replace(hour=hour, minute=minute, second=0, microsecond=0)
    while on_clock(first, zone) <= now:
        first += timedelta(days=1)
    return Timing(every_s, on_clock(first, zone), None, starting, zone, first.isoformat(timespec="minutes"))


def on_clock(shown: datetime, zone: str) -> datetime:
    """When the clock of ``zone`` shows that; the first time if it does so twice.

    A time that the clock leaves out when summer begins is as long after midnight as on any other day:
    02:30 is what is called 03:30 then.
    """
    return shown.replace(tzinfo=zone_named(zone), fold=0).astimezone(UTC)


def is_due(timing: Timing, now: datetime) -> bool:
    return timing.next_at is not None and timing.next_at <= now


def moved_on(timing: Timing, now: datetime) -> Timing:
    """After it was due, or a clock ahead of this one had set it: with the next time after ``now``.

    However many were slept through, it is due once.
    """
    last_at = now if is_due(timing, now) else timing.last_at and min(timing.last_at, now)
    return replace(timing, next_at=_following(timing, now), last_at=last_at)


def _following(timing: Timing, now: datetime) -> datetime | None:
    """In step with the first time. None: it was due once.

    Where the clock went back, what was due before is not due again, unless that were more than an interval.
    """
    if timing.every_s is None:
        return None
    every = timedelta(seconds=timing.every_s)
    planned = timing.next_at or now
    with suppress(ValueError):  # a zone this machine does not know any more
        if timing.zone:
            done = now if timing.last_at is None else max(now, min(timing.last_at, now + every))
            return _on_the_clock(timing, every, done)
    if planned > now:
        return min(planned, now + every)
    return planned + every * ((now - planned) // every + 1)


def _on_the_clock(timing: Timing, every: timedelta, now: datetime) -> datetime:
    first = datetime.fromisoformat(timing.first)
    zone = zone_named(timing.zone)
    shown = now.astimezone(zone).replace(tzinfo=None)
    if timing.last_at is None and shown < first:
        return on_clock(first, timing.zone)
    if every <= SHORT:  # of short intervals none is left out and none doubled: each takes as long as it says
        return now + every - (shown - first) % every
    step = (shown - first) // every - LONGEST_MOVE // every - 1
    while (due := on_clock(first + every * step, timing.zone)) <= now:
        step += 1
    return due
