"""Due times of schedules: at an interval, at a time of day in a time zone, or once; and time zones by name.

Pure functions of the time. Due times that were missed are made up for once.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo

from msgspec import Struct
from msgspec.structs import replace

from unify.errors import UsageError


def repeating_timing(every_s: float, starting: time | None, zone: str, now: datetime) -> Timing:
    """Return the timing of an interval from now on, or from the next ``starting`` in ``zone``."""
    if starting is None:
        return Timing(every_s, now + timedelta(seconds=every_s))
    return daily_timing(starting.isoformat("minutes"), every_s, zone, now)


def resolve_run_at(at: datetime | time, zone: str, now: datetime) -> datetime:
    """Return the moment of ``at`` in ``zone``. Raises UsageError if it is in the past."""
    if isinstance(at, time):
        next_at = daily_timing(at.isoformat("minutes"), 0, zone, now).next_at
        assert next_at is not None
        return next_at
    moment = local_to_utc(at, zone) if at.tzinfo is None else at.astimezone(UTC)
    if moment <= now:
        raise UsageError(f"{at:%Y-%m-%d %H:%M} is in the past; give a time in the future")
    return moment


def format_moment(moment: datetime, zone: str) -> str:
    """``2026-03-01 08:00 CET``."""
    return f"{moment.astimezone(parse_zone(zone)):%Y-%m-%d %H:%M %Z}"


DST_SHIFT = timedelta(hours=1)  # in nearly every zone
MAX_ZONE_SHIFT = timedelta(days=1)  # a zone that crossed the date line
MIN_INTERVAL_S = 0.1
MAX_INTERVAL_S = 100 * 366 * 86400.0  # a century, the longest duration that can be typed
LAST_MOMENT = datetime(9000, 1, 1, tzinfo=UTC)  # later moments overflow when a zone or an interval is added


class Timing(Struct, frozen=True):
    """The due times of a schedule.

    ``every_s``   None: once at ``next_at``, or never.
    ``next_at``   None: not due again.
    ``starting``  the time of day as typed; "" without one.
    ``zone``      time zone of ``first``: ``Europe/Berlin``, or an offset; "" for a plain interval.
    ``first``     the first due time in that zone, ``2026-03-28T08:00``; "" without a zone.
    """

    every_s: float | None
    next_at: datetime | None
    last_at: datetime | None = None
    starting: str = ""
    zone: str = ""
    first: str = ""

    @property
    def interval(self) -> timedelta | None:
        """Return ``every_s`` within the bounds of ``datetime``."""
        if self.every_s is None:
            return None
        return timedelta(seconds=min(max(self.every_s, MIN_INTERVAL_S), MAX_INTERVAL_S))


def daily_timing(starting: str, every_s: float, zone: str, now: datetime) -> Timing:
    """Return the timing of an interval from the next ``starting`` (HH:MM) in ``zone``."""
    today = now.astimezone(parse_zone(zone)).replace(tzinfo=None)
    hour, minute = map(int, starting.split(":"))
    first = today.replace(hour=hour, minute=minute, second=0, microsecond=0)
    while local_to_utc(first, zone) <= now:
        first += timedelta(days=1)
    return Timing(
        every_s, local_to_utc(first, zone), None, starting, zone, first.isoformat(timespec="minutes")
    )


def local_to_utc(local: datetime, zone: str) -> datetime:
    """Convert a local time of ``zone``; of an ambiguous time the first.

    A time that daylight saving skips counts from midnight: 02:30 becomes 03:30.
    """
    return local.replace(tzinfo=parse_zone(zone), fold=0).astimezone(UTC)


def is_due(timing: Timing, now: datetime) -> bool:
    return timing.next_at is not None and timing.next_at <= now


def advance_timing(timing: Timing, now: datetime) -> Timing:
    """Return ``timing`` with its next due time after ``now``, however many were missed."""
    last_at = now if is_due(timing, now) else timing.last_at and min(timing.last_at, now)
    return replace(timing, next_at=_next_due_at(timing, now), last_at=last_at)


def _next_due_at(timing: Timing, now: datetime) -> datetime | None:
    """Return the next due time in step with the first. None: it was due once.

    If the clock was set back by less than an interval, past due times are not due again.
    """
    every = timing.interval
    if every is None:
        return None
    planned = min(timing.next_at or now, LAST_MOMENT)
    with suppress(ValueError):  # an unknown zone
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
    if every <= DST_SHIFT:  # counted in elapsed time: daylight saving neither skips nor doubles one
        return now + every - (shown - first) % every
    step = (shown - first) // every - MAX_ZONE_SHIFT // every - 1
    while (due := local_to_utc(first + every * step, timing.zone)) <= now:
        step += 1
    return due


_OFFSET_PATTERN = re.compile(r"([+-])(\d{2}):(\d{2})")


def parse_zone(name: str) -> tzinfo:
    """Return the zone ``Europe/Berlin``, or the fixed offset ``+01:00``. Raises ValueError.

    Rules come from the system, else from pytz.
    """
    if name == "UTC":
        return UTC
    if fixed := _OFFSET_PATTERN.fullmatch(name):
        sign = -1 if fixed[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(fixed[2]), minutes=int(fixed[3])))
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # 3 ms, which schedules without a zone do not need

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return _load_pytz_zone(name)


def local_zone_name(tz_variable: str | None, now: datetime) -> str:
    """Return the name of this machine's zone, or its current offset where the name is unknown.

    ``tz_variable``  the environment's TZ.
    ``now``          aware, in local time; a name whose rules give another offset is not used.
    """
    name = tz_variable.removeprefix(":") if tz_variable else _system_zone_name()
    return name if name and _matches_offset(name, now) else _offset_text(now)


def _system_zone_name() -> str:
    from zoneinfo import ZoneInfoNotFoundError

    import tzlocal

    try:
        return tzlocal.get_localzone_name() or ""
    except ZoneInfoNotFoundError:  # the system's files name different zones
        return ""


def _matches_offset(name: str, now: datetime) -> bool:
    try:
        return now.astimezone(parse_zone(name)).utcoffset() == now.utcoffset()
    except ValueError:
        return False


def _offset_text(now: datetime) -> str:
    return now.isoformat(timespec="minutes")[-6:] if now.utcoffset() else "UTC"


def _load_pytz_zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    import pytz

    try:
        with pytz.open_resource(name) as rules:  # type: ignore[attr-defined]  # its stubs leave it out
            return ZoneInfo.from_file(rules, key=name)
    except (OSError, ValueError) as error:
        raise ValueError(f"unknown time zone {name!r}") from error
