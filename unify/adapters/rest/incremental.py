"""The incremental cursor on its way into a request: put back by the lookback, written as the API wants it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from math import isfinite

from unify.adapters.spec.model import Incremental

_MAX_UNIX_S = 4_102_444_800  # the year 2100 in seconds: a larger number counts something smaller


def request_cursor(incremental: Incremental, stored: str | None) -> str | int | None:
    """The value of ``{cursor}``: the stored one less the lookback, else ``start``, else nothing.

    A cursor that is no moment, such as a growing id, is handed on as it is; so are numbers and days where the
    spec does not say how the API wants moments.
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


def _infer_format(text: str) -> str | None:
    """How a moment is written that came as ``text``: days stay days, and numbers numbers of the same unit."""
    number = _parse_number(text)
    if number is not None:
        return "unix" if number < _MAX_UNIX_S else "unix_ms"
    return "date" if len(text.strip()) == len("2026-01-31") else None


def _subtract_lookback(number: str, lookback_s: float) -> str:
    """A number as the API wrote it, less the lookback where it counts seconds or milliseconds since 1970."""
    value = float(number)
    if not lookback_s or _timestamp_from_number(value) is None:
        return number
    a_second = 1 if value < _MAX_UNIX_S else 1000
    whole = number.strip().lstrip("+-").isdigit()
    earlier = Decimal(number) - Decimal(str(lookback_s * a_second))
    return str(int(earlier)) if whole else str(earlier)


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A stretch of time that is asked for at once; ``until`` None: up to now, without saying so."""

    cursor: str | int | None = None
    until: str | int | None = None
    index: int = 0


def time_windows(incremental: Incremental | None, stored: str | None, now: datetime) -> Iterator[TimeWindow]:
    """The stretches to ask for: one, or those of ``window``, each beginning where the one before ended."""
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
    """Now; where the API counts in days, the end of today, which is a day's first moment outside."""
    if time_format != "date":
        return now
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def is_older(text: str, since: str) -> bool:
    """Is a row's cursor before the stored one? Numbers, moments, else the order of the characters.

    A text that is neither number nor moment is not older than one that is: it says nothing.
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
    """May a cursor take the place of the stored one? Never one that says nothing, as in ``is_older``."""
    if _is_comparable(stored) and not _is_comparable(text):
        return False
    return not is_older(text, stored)


def _is_comparable(text: str) -> bool:
    return _parse_number(text) is not None or parse_timestamp(text) is not None


def parse_timestamp(text: str) -> datetime | None:
    """The moment a text of an API or of the lake means; without a zone it keeps none."""
    number = _parse_number(text)
    if number is not None:
        return _timestamp_from_number(number)
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None


def _timestamp_from_number(number: float) -> datetime | None:
    """Seconds or milliseconds since 1970, between 1990 and 2100; any other number is no moment."""
    for seconds in (number, number / 1000):
        if 631_152_000 <= seconds < _MAX_UNIX_S:
            return datetime.fromtimestamp(seconds, UTC)
    return None


def format_timestamp(moment: datetime, time_format: str | None) -> str | int:
    """A moment as an API wants it: ``iso8601``, ``date``, ``unix``, ``unix_ms`` or a strftime text."""
    match time_format:
        case "iso8601" | None:
            text = moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
            return text.replace("+00:00", "Z")
        case "date":  # where it is another day in UTC, the earlier one: whichever is meant, none is left out
            return min(moment.date(), _as_aware(moment).astimezone(UTC).date()).isoformat()
        case "unix":
            return int(_as_aware(moment).timestamp())
        case "unix_ms":
            return int(_as_aware(moment).timestamp() * 1000)
        case pattern:
            return moment.strftime(pattern)


def _as_aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parse_number(text: str) -> float | None:
    """A finite one: infinity would hold back all that follow, and NaN is neither before nor after."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
