"""When something scheduled is due: every so often, on somebody's clock from a time of day on, or once.

Pure: the time comes in, the next one goes out. What was slept through is made up for once.

Time zones by name: which one a person's clock shows, and what its rules are.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from unify.errors import UsageError


def repeating_timing(every_s: float, starting: time | None, zone: str, now: datetime) -> Timing:
    """Every so often from now on, or from the next time the clock of ``zone`` shows ``starting``."""
    if starting is None:
        return Timing(every_s, now + timedelta(seconds=every_s))
    return daily_timing(starting.isoformat("minutes"), every_s, zone, now)


def resolve_run_at(at: datetime | time, zone: str, now: datetime) -> datetime:
    """The moment that ``at`` means on the clock of ``zone``. Raises UsageError if it is over."""
    if isinstance(at, time):
        next_at = daily_timing(at.isoformat("minutes"), 0, zone, now).next_at
        assert next_at is not None
        return next_at
    moment = local_to_utc(at, zone) if at.tzinfo is None else at.astimezone(UTC)
    if moment <= now:
        raise UsageError(f"{at:%Y-%m-%d %H:%M} is over; a script can be run at a time to come")
    return moment


def format_moment(moment: datetime, zone: str) -> str:
    """``2026-03-01 08:00 CET``."""
    return f"{moment.astimezone(parse_zone(zone)):%Y-%m-%d %H:%M %Z}"


DST_SHIFT = timedelta(hours=1)  # what a clock is moved by when summer begins and ends, nearly everywhere
MAX_ZONE_SHIFT = timedelta(days=1)  # what a zone has moved by when it changed sides of the date line


@dataclass(frozen=True, slots=True)
class Timing:
    """The due times of one thing.

    ``refresh_every_s``   None: once at ``next_at``, or, without one, never.
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


def daily_timing(starting: str, every_s: float, zone: str, now: datetime) -> Timing:
    """Every ``refresh_every_s`` from the next time the clock of ``zone`` shows ``starting``, written HH:MM."""
    today = now.astimezone(parse_zone(zone)).replace(tzinfo=None)
    hour, minute = map(int, starting.split(":"))
    first = today.replace(hour=hour, minute=minute, second=0, microsecond=0)
    while local_to_utc(first, zone) <= now:
        first += timedelta(days=1)
    return Timing(
        every_s, local_to_utc(first, zone), None, starting, zone, first.isoformat(timespec="minutes")
    )


def local_to_utc(local: datetime, zone: str) -> datetime:
    """When the clock of ``zone`` shows that; the first time if it does so twice.

    A time that the clock leaves out when summer begins is as long after midnight as on any other day:
    02:30 is what is called 03:30 then.
    """
    return local.replace(tzinfo=parse_zone(zone), fold=0).astimezone(UTC)


def is_due(timing: Timing, now: datetime) -> bool:
    return timing.next_at is not None and timing.next_at <= now


def advance_timing(timing: Timing, now: datetime) -> Timing:
    """After it was due, or a clock ahead of this one had set it: with the next time after ``now``.

    However many were slept through, it is due once.
    """
    last_at = now if is_due(timing, now) else timing.last_at and min(timing.last_at, now)
    return replace(timing, next_at=_next_due_at(timing, now), last_at=last_at)


def _next_due_at(timing: Timing, now: datetime) -> datetime | None:
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
            return _next_local_due_at(timing, every, done)
    if planned > now:
        return min(planned, now + every)
    return planned + every * ((now - planned) // every + 1)


def _next_local_due_at(timing: Timing, every: timedelta, now: datetime) -> datetime:
    first = datetime.fromisoformat(timing.first)
    zone = parse_zone(timing.zone)
    shown = now.astimezone(zone).replace(tzinfo=None)
    if timing.last_at is None and shown < first:
        return local_to_utc(first, timing.zone)
    if (
        every <= DST_SHIFT
    ):  # of short intervals none is left out and none doubled: each takes as long as it says
        return now + every - (shown - first) % every
    step = (shown - first) // every - MAX_ZONE_SHIFT // every - 1
    while (due := local_to_utc(first + every * step, timing.zone)) <= now:
        step += 1
    return due


LOCALTIME_PATH = Path("/etc/localtime")  # on Linux and macOS a link into the zones' folder
_ZONEINFO_FOLDER = "zoneinfo/"
_OFFSET_PATTERN = re.compile(r"([+-])(\d{2}):(\d{2})")


def parse_zone(name: str) -> tzinfo:
    """The zone ``Europe/Berlin``, or the fixed offset ``+01:00``. Raises ValueError for neither.

    Rules come from the system; where it has none, from those that come with pytz.
    """
    if name == "UTC":
        return UTC
    if fixed := _OFFSET_PATTERN.fullmatch(name):
        sign = -1 if fixed[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(fixed[2]), minutes=int(fixed[3])))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _load_pytz_zone(name)


def local_zone_name(tz_variable: str | None, now: datetime, localtime: Path = LOCALTIME_PATH) -> str:
    """The name of the zone on this machine's clock; its offset of now where nobody knows the name.

    ``said``  the environment's TZ, if it has one.
    ``now``   aware, as the machine's clock shows it: a name whose rules say otherwise is not believed.
    """
    name = tz_variable.removeprefix(":") if tz_variable else _zone_of_link(localtime)
    return name if name and _matches_offset(name, now) else _offset_text(now)


def _zone_of_link(localtime: Path) -> str:
    try:
        return os.path.realpath(localtime).rpartition(_ZONEINFO_FOLDER)[2].removeprefix("posix/")
    except OSError:
        return ""


def _matches_offset(name: str, now: datetime) -> bool:
    try:
        return now.astimezone(parse_zone(name)).utcoffset() == now.utcoffset()
    except ValueError:
        return False


def _offset_text(now: datetime) -> str:
    return now.isoformat(timespec="minutes")[-6:] if now.utcoffset() else "UTC"


def _load_pytz_zone(name: str) -> tzinfo:
    import pytz

    try:
        with pytz.open_resource(name) as rules:  # type: ignore[attr-defined]  # its stubs leave it out
            return ZoneInfo.from_file(rules, key=name)
    except (OSError, ValueError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error
