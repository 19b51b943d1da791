"""The value of the incremental cursor in a request: lookback, time windows, formats of timestamps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from math import isfinite

from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.spec.formats import parse_age
from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.table_keys import Incremental

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
_TEXT_TYPES = ("varchar", "text", "string")
_INTEGER = re.compile("0|-?[1-9][0-9]{0,18}")  # as JSON writes it
_MS_DATE = re.compile(r"/Date\((-?\d{1,18})([+-]\d{4})?\)/")  # ASP.NET: milliseconds since 1970
_MAX_DATE_CHARS = 100  # of a date in words
_ZONE_NAME = re.compile(r" ?(?:GMT|UTC|UT|Z)([+-]\d{4})?$")
_EPOCH_NAME = re.compile(
    r"(?i)(?:^|_|\b)(?:at|on|date|time|timestamp|ts|updated|created|modified|changed)$|[a-z](?:At|On|Date|Time)$|time(?:stamp)?$|_(?:date|time)_"
)

_EPOCH_MICROS = {"unix_ms": 1000, "unix_us": 1}  # microseconds in one unit
_MAX_UNIX_S = 4_102_444_800  # the year 2100; a larger number has a smaller unit


def request_cursor(incremental: Incremental, stored: str | None) -> str | int | None:
    """The value of ``{cursor}``: the stored cursor less the lookback, else ``start``, else None.

    A cursor that is not a time, such as a growing id, is used unchanged; so are numbers if the spec has no
    ``format``.
    """
    text = stored if stored is not None else incremental.start
    if text is None:
        return None
    lookback_s = incremental.lookback_s if stored is not None else 0.0
    if incremental.format is None and _parse_number(text) is not None:
        return _subtract_lookback(text, lookback_s)
    moment = parse_timestamp(text)
    if moment is None:
        return text
    return format_timestamp(moment - timedelta(seconds=lookback_s), incremental.format or _infer_format(text))


def typed_cursor(cursor: str | int | None, table: TableSpec) -> str | int | float | None:
    """Return a number as the JSON number that the API sent, unless its column is declared as text."""
    name = table.incremental.cursor if table.incremental is not None else ""
    types = [column.type or "" for column in table.columns if column.name == name]
    if not isinstance(cursor, str) or any(each.lower() in _TEXT_TYPES for each in types):
        return cursor
    if _INTEGER.fullmatch(cursor):
        return int(cursor)
    number = _parse_number(cursor)
    return number if number is not None and repr(number) == cursor and not number.is_integer() else cursor


def _infer_format(text: str) -> str | None:
    """The format of ``text``: a date stays a date, and a number a number of the same unit."""
    number = _parse_number(text)
    if number is not None:
        units = ("unix", "unix_ms", "unix_us", "unix_ns")
        return next(
            (unit for index, unit in enumerate(units) if number < _MAX_UNIX_S * 1000**index), "unix_ns"
        )
    if (found := _parse_text_date(text)) is not None:
        return found[1]
    return "date" if len(text.strip()) == len("2026-01-31") else None


def _subtract_lookback(number: str, lookback_s: float) -> str:
    """The number less the lookback if it is a time since 1970; its text is otherwise unchanged."""
    value = float(number)
    if not lookback_s or _timestamp_from_number(value) is None:
        return number
    per_second = next((1000**power for power in range(3) if value < _MAX_UNIX_S * 1000**power), 10**9)
    earlier = Decimal(number) - Decimal(str(lookback_s * per_second))
    return str(int(earlier)) if number.strip().lstrip("+-").isdigit() else str(earlier)


def absolute_start(incremental: Incremental, now: datetime) -> Incremental:
    """``incremental`` with a start such as ``30 days ago`` as a time in UTC."""
    age_s = parse_age(incremental.start or "")
    if age_s is None:
        return incremental
    return replace(incremental, start=format_timestamp(now - timedelta(seconds=age_s), "iso8601"))


class TimeWindow(Struct, frozen=True):
    """The rows of one request by time; ``until`` None: without an end."""

    cursor: str | int | None = None
    until: str | int | None = None
    index: int = 0


def time_windows(incremental: Incremental | None, stored: str | None, now: datetime) -> Iterator[TimeWindow]:
    """The time windows of a read: one, or those of ``window``, each starting at the end of the one before."""
    incremental = absolute_start(incremental, now) if incremental is not None else None
    if incremental is None or incremental.window_s is None:
        yield TimeWindow(request_cursor(incremental, stored) if incremental is not None else None)
        return
    begin = _window_start(incremental, stored)
    form = incremental.format or _infer_format(stored or incremental.start or "")
    end = _window_end(form, now)
    if begin is None or begin >= end:
        yield TimeWindow(request_cursor(incremental, stored), format_timestamp(end, form))
        return
    for index in count():
        until = min(begin + timedelta(seconds=incremental.window_s), end)
        yield TimeWindow(format_timestamp(begin, form), format_timestamp(until, form), index)
        if until >= end:
            return
        begin = until


def _window_start(incremental: Incremental, stored: str | None) -> datetime | None:
    text = stored if stored is not None else incremental.start
    moment = parse_timestamp(text) if text is not None else None
    if moment is None:
        return None
    return _as_aware(moment) - timedelta(seconds=incremental.lookback_s if stored is not None else 0.0)


def _window_end(time_format: str | None, now: datetime) -> datetime:
    """Now; for an API with dates, the end of today."""
    if time_format != "date":
        return now
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def is_older(text: str, since: str) -> bool:
    """Whether a cursor is before another one: as numbers, else as times, else as texts.

    A text that is neither a number nor a time is not older than one that is.
    """
    numbers = _parse_number(text), _parse_number(since)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] < numbers[1]
    moments = parse_timestamp(text), parse_timestamp(since)
    if moments[0] is not None and moments[1] is not None:
        return _as_aware(moments[0]) < _as_aware(moments[1])
    if _is_comparable(text) != _is_comparable(since):
        return False
    return text < since


def may_replace_cursor(text: str, stored: str) -> bool:
    """Whether a cursor may replace the stored one. A text never replaces a number or a time."""
    if _is_comparable(stored) and not _is_comparable(text):
        return False
    return not is_older(text, stored)


def _is_comparable(text: str) -> bool:
    return _parse_number(text) is not None or parse_timestamp(text) is not None


def parse_timestamp(text: str) -> datetime | None:
    """The time that a text of an API or of the lake means; without a zone if the text has none."""
    number = _parse_number(text)
    if number is not None:
        return _timestamp_from_number(number)
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        found = _parse_text_date(text)
        return found[0] if found is not None else None


def _parse_text_date(text: str) -> tuple[datetime, str] | None:
    """Return the moment of a date in words, and its strftime format as the text writes it."""
    if len(text) > _MAX_DATE_CHARS:
        return None
    if (match := _MS_DATE.fullmatch(text.strip())) is not None:
        moment = _timestamp_from_number(int(match.group(1)) / 1000)
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


def is_epoch_cursor(incremental: Incremental) -> bool:
    """Return whether numbers in the cursor column are times: by its format or its name."""
    return (incremental.format or "").startswith("unix") or bool(_EPOCH_NAME.search(incremental.cursor))


def is_later(incremental: Incremental, text: str, limit: datetime) -> bool:
    """Return whether a cursor is a time after ``limit``."""
    if _parse_number(text) is not None and not is_epoch_cursor(incremental):
        return False
    moment = parse_timestamp(text)
    return moment is not None and _as_aware(moment) > limit


def _timestamp_from_number(number: float) -> datetime | None:
    """Return the time of a number of seconds, ms, us or ns since 1970, if it is between 1990 and 2100."""
    for seconds in (number, number / 1e3, number / 1e6, number / 1e9):
        if 631_152_000 <= seconds < _MAX_UNIX_S:
            return datetime.fromtimestamp(seconds, UTC)
    return None


def format_timestamp(moment: datetime, time_format: str | None) -> str | int:
    """Format a time: ``iso8601``, ``date``, ``unix`` and ``unix_ms`` to ``unix_ns``, or with strftime."""
    match time_format:
        case "iso8601" | None:
            text = moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
            return text.replace("+00:00", "Z")
        case "date":  # the earlier one of the local date and that in UTC, so that no row is missed
            return min(moment.date(), _as_aware(moment).astimezone(UTC).date()).isoformat()
        case "unix":
            return int(_as_aware(moment).timestamp())
        case "unix_ms" | "unix_us" | "unix_ns":
            elapsed_us = (_as_aware(moment) - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
            return elapsed_us * 1000 if time_format == "unix_ns" else elapsed_us // _EPOCH_MICROS[time_format]
        case "ms_date":
            return f"/Date({round(_as_aware(moment).timestamp() * 1000)})/"
        case pattern:
            return moment.strftime(pattern)


def _as_aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parse_number(text: str) -> float | None:
    """A finite number: infinity would be later than all others, and NaN has no order."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
