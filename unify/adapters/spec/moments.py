"""Moments: the times that texts and numbers of APIs mean, and how they are written in requests."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from math import isfinite

from unify.durations import parse_duration

TIME_FORMATS = ("iso8601", "date", "unix", "unix_ms", "unix_us", "unix_ns", "ms_date")
# Dates that start with a name or year, in strptime's terms; UTC, GMT and Z are written +0000.
TEXT_DATE_FORMATS = (
    "%a, %d %b %Y %H:%M:%S %z",  # RFC 2822
    "%a, %d %b %Y %H:%M %z",
    "%d %b %Y %H:%M:%S %z",
    "%A, %d-%b-%y %H:%M:%S %z",  # RFC 850
    "%a %b %d %H:%M:%S %z %Y",
    "%a %b %d %Y %H:%M:%S %z",  # JavaScript
    "%a %b %d %H:%M:%S %Y",  # asctime
    "%d %b %Y %H:%M:%S",
    "%d %b %Y",
    "%b %d, %Y %H:%M:%S",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d %B %Y",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d",
)
_MS_DATE = re.compile(r"/Date\((-?\d{1,18})([+-]\d{4})?\)/")  # ASP.NET: milliseconds since 1970
_MAX_DATE_CHARS = 100  # of a date in words
_ZONE_NAME = re.compile(r" ?(?:GMT|UTC|UT|Z)([+-]\d{4})?$")
_EPOCH_MICROS = {"unix_ms": 1000, "unix_us": 1}  # microseconds in one unit
MAX_UNIX_S = 4_102_444_800  # the year 2100; a larger number has a smaller unit


def parse_age(value: str) -> float | None:
    """Return the seconds of ``30 days ago``; None for another text."""
    words, ago, rest = value.strip().rpartition(" ago")
    if not ago or rest:
        return None
    try:
        return parse_duration(words)
    except ValueError:
        return None


def parse_timestamp(text: str) -> datetime | None:
    """The time that a text of an API or of the lake means; without a zone if the text has none."""
    number = parse_number(text)
    if number is not None:
        return timestamp_from_number(number)
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        found = parse_text_date(text)
        return found[0] if found is not None else None


def parse_text_date(text: str) -> tuple[datetime, str] | None:
    """Return the moment of a date in words, and its strftime format as the text writes it."""
    if len(text) > _MAX_DATE_CHARS:
        return None
    if (match := _MS_DATE.fullmatch(text.strip())) is not None:
        moment = timestamp_from_number(int(match.group(1)) / 1000)
        return None if moment is None else (moment, "ms_date")
    bare = re.sub(r" \([^()]*\)$", "", text.strip())
    zone = _ZONE_NAME.search(bare)
    plain = bare if zone is None else f"{bare[: zone.start()]} {zone.group(1) or '+0000'}"
    for pattern in TEXT_DATE_FORMATS:
        try:
            moment = datetime.strptime(plain, pattern)
        except ValueError:
            continue
        named = zone is not None and not zone.group(1) and pattern.endswith(" %z")
        return moment, pattern.removesuffix(" %z") + zone.group() if zone is not None and named else pattern
    return None


def timestamp_from_number(number: float) -> datetime | None:
    """Return the time of a number of seconds, ms, us or ns since 1970, if it is between 1990 and 2100."""
    for seconds in (number, number / 1e3, number / 1e6, number / 1e9):
        if 631_152_000 <= seconds < MAX_UNIX_S:
            return datetime.fromtimestamp(seconds, UTC)
    return None


def format_timestamp(moment: datetime, time_format: str | None) -> str | int:
    """Format a time: ``iso8601``, ``date``, ``unix`` and ``unix_ms`` to ``unix_ns``, or with strftime."""
    match time_format:
        case "iso8601" | None:
            text = moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
            return text.replace("+00:00", "Z")
        case "date":  # the earlier one of the local date and that in UTC, so that no row is missed
            return min(moment.date(), as_aware(moment).astimezone(UTC).date()).isoformat()
        case "unix":
            return int(as_aware(moment).timestamp())
        case "unix_ms" | "unix_us" | "unix_ns":
            elapsed_us = (as_aware(moment) - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
            return elapsed_us * 1000 if time_format == "unix_ns" else elapsed_us // _EPOCH_MICROS[time_format]
        case "ms_date":
            return f"/Date({round(as_aware(moment).timestamp() * 1000)})/"
        case pattern:
            return moment.strftime(pattern)


def as_aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_number(text: str) -> float | None:
    """A finite number: infinity would be later than all others, and NaN has no order."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def format_moment(value: str | int | float, time_format: str, now: datetime) -> str | int | None:
    """A time, or an age such as ``30 days ago``, in another format; None for any other value."""
    age_s = parse_age(str(value))
    moment = now - timedelta(seconds=age_s) if age_s is not None else parse_timestamp(str(value))
    return None if moment is None else format_timestamp(moment, time_format)
