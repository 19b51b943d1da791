"""The value of the incremental cursor in a request: lookback, time windows, formats of timestamps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.moments import (
    MAX_UNIX_S,
    as_aware,
    format_timestamp,
    parse_age,
    parse_number,
    parse_text_date,
    parse_timestamp,
    timestamp_from_number,
)
from unify.adapters.spec.table_keys import Incremental

_TEXT_TYPES = ("varchar", "text", "string")
_INTEGER = re.compile("0|-?[1-9][0-9]{0,18}")  # as JSON writes it
_EPOCH_NAME = re.compile(
    r"(?i)(?:^|_|\b)(?:at|on|date|time|timestamp|ts|updated|created|modified|changed)$|[a-z](?:At|On|Date|Time)$|time(?:stamp)?$|_(?:date|time)_"
)


def request_cursor(incremental: Incremental, stored: str | None) -> str | int | None:
    """The value of ``{cursor}``: the stored cursor less the lookback, else ``start``, else None.

    A cursor that is not a time, such as a growing id, is used unchanged; so are numbers if the spec has no
    ``format``.
    """
    text = stored if stored is not None else incremental.start
    if text is None:
        return None
    lookback_s = incremental.lookback_s if stored is not None else 0.0
    if incremental.format is None and parse_number(text) is not None:
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
    number = parse_number(cursor)
    return number if number is not None and repr(number) == cursor and not number.is_integer() else cursor


def _infer_format(text: str) -> str | None:
    """The format of ``text``: a date stays a date, and a number a number of the same unit."""
    number = parse_number(text)
    if number is not None:
        units = ("unix", "unix_ms", "unix_us", "unix_ns")
        return next(
            (unit for index, unit in enumerate(units) if number < MAX_UNIX_S * 1000**index), "unix_ns"
        )
    if (found := parse_text_date(text)) is not None:
        return found[1]
    return "date" if len(text.strip()) == len("2026-01-31") else None


def _subtract_lookback(number: str, lookback_s: float) -> str:
    """The number less the lookback if it is a time since 1970; its text is otherwise unchanged."""
    value = float(number)
    if not lookback_s or timestamp_from_number(value) is None:
        return number
    per_second = next((1000**power for power in range(3) if value < MAX_UNIX_S * 1000**power), 10**9)
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
    if incremental is None:
        yield TimeWindow()
        return
    incremental, stored = _within_limit(absolute_start(incremental, now), stored, now)
    form = incremental.format or _infer_format(stored or incremental.start or "")
    begin, end = _window_start(incremental, stored), _window_end(incremental, form, now)
    if incremental.window_s is None or begin is None or begin >= end:
        yield TimeWindow(request_cursor(incremental, stored), format_timestamp(end, form))
        return
    gap = timedelta(seconds=incremental.gap_s)
    for index in count():
        until = min(begin + timedelta(seconds=incremental.window_s), end)
        shown = until if until >= end else until - gap
        yield TimeWindow(format_timestamp(begin, form), format_timestamp(shown, form), index)
        if until >= end:
            return
        begin = until


def _within_limit(
    incremental: Incremental, stored: str | None, now: datetime
) -> tuple[Incremental, str | None]:
    """The start of a load, not earlier than ``not_before`` allows."""
    text = stored if stored is not None else incremental.start
    moment = parse_timestamp(text) if text is not None else None
    if incremental.not_before_s is None or moment is None or text is None:
        return incremental, stored
    earliest = now - timedelta(seconds=incremental.not_before_s)
    if as_aware(moment) >= earliest:
        return incremental, stored
    form = incremental.format or _infer_format(text)
    return replace(incremental, start=format_timestamp(earliest, "iso8601"), format=form), None


def _window_start(incremental: Incremental, stored: str | None) -> datetime | None:
    text = stored if stored is not None else incremental.start
    moment = parse_timestamp(text) if text is not None else None
    if moment is None:
        return None
    return as_aware(moment) - timedelta(seconds=incremental.lookback_s if stored is not None else 0.0)


def _window_end(incremental: Incremental, time_format: str | None, now: datetime) -> datetime:
    """The end that the spec sets, else now; for an API with dates, the end of today."""
    age_s = parse_age(incremental.end or "")
    if age_s is not None:
        return now - timedelta(seconds=age_s)
    moment = parse_timestamp(incremental.end) if incremental.end else None
    if moment is not None:
        return as_aware(moment)
    if time_format != "date":
        return now
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def is_older(text: str, since: str) -> bool:
    """Whether a cursor is before another one: as numbers, else as times, else as texts.

    A text that is neither a number nor a time is not older than one that is.
    """
    numbers = parse_number(text), parse_number(since)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] < numbers[1]
    moments = parse_timestamp(text), parse_timestamp(since)
    if moments[0] is not None and moments[1] is not None:
        return as_aware(moments[0]) < as_aware(moments[1])
    if _is_comparable(text) != _is_comparable(since):
        return False
    return text < since


def may_replace_cursor(text: str, stored: str) -> bool:
    """Whether a cursor may replace the stored one. A text never replaces a number or a time."""
    if _is_comparable(stored) and not _is_comparable(text):
        return False
    return not is_older(text, stored)


def _is_comparable(text: str) -> bool:
    return parse_number(text) is not None or parse_timestamp(text) is not None


def is_epoch_cursor(incremental: Incremental) -> bool:
    """Return whether numbers in the cursor column are times: by its format or its name."""
    return (incremental.format or "").startswith("unix") or bool(_EPOCH_NAME.search(incremental.cursor))


def is_later(incremental: Incremental, text: str, limit: datetime) -> bool:
    """Return whether a cursor is a time after ``limit``."""
    if parse_number(text) is not None and not is_epoch_cursor(incremental):
        return False
    moment = parse_timestamp(text)
    return moment is not None and as_aware(moment) > limit
