"""The incremental cursor on its way into a request: put back by the lookback, written as the API wants it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from math import isfinite

from unify.adapters.spec import Incremental

_MILLISECONDS = 4_102_444_800  # the year 2100 in seconds: a larger number counts something smaller


def asked_since(incremental: Incremental, stored: str | None) -> str | int | None:
    """The value of ``{cursor}``: the stored one less the lookback, else ``start``, else nothing.

    A cursor that is no moment, such as a growing id, is handed on as it is; so are numbers and days where the
    spec does not say how the API wants moments.
    """
    text = stored if stored is not None else incremental.start
    if text is None:
        return None
    lookback_s = incremental.lookback_s if stored is not None else 0.0
    if incremental.format is None and _number(text) is not None:
        return _put_back(text, lookback_s)
    moment = moment_of(text)
    if moment is None:
        return text
    return written(moment - timedelta(seconds=lookback_s), incremental.format or _form_of(text))


def _form_of(text: str) -> str | None:
    """How a moment is written that came as ``text``: days stay days, and numbers numbers of the same unit."""
    number = _number(text)
    if number is not None:
        return "unix" if number < _MILLISECONDS else "unix_ms"
    return "date" if len(text.strip()) == len("2026-01-31") else None


def _put_back(number: str, lookback_s: float) -> str:
    """A number as the API wrote it, less the lookback where it counts seconds or milliseconds since 1970."""
    value = float(number)
    if not lookback_s or _from_number(value) is None:
        return number
    a_second = 1 if value < _MILLISECONDS else 1000
    whole = number.strip().lstrip("+-").isdigit()
    earlier = Decimal(number) - Decimal(str(lookback_s * a_second))
    return str(int(earlier)) if whole else str(earlier)


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of time that is asked for at once; ``until`` None: up to now, without saying so."""

    cursor: str | int | None = None
    until: str | int | None = None
    index: int = 0


def slices(incremental: Incremental | None, stored: str | None, now: datetime) -> Iterator[Slice]:
    """The stretches to ask for: one, or those of ``window``, each beginning where the one before ended."""
    if incremental is None or incremental.window_s is None:
        yield Slice(asked_since(incremental, stored) if incremental is not None else None)
        return
    begin = _begin(incremental, stored)
    form = incremental.format or _form_of(stored or incremental.start or "")
    end = _end(form, now)
    if begin is None or begin >= end:
        yield Slice(asked_since(incremental, stored), written(end, form))
        return
    for index in count():
        until = min(begin + timedelta(seconds=incremental.window_s), end)
        yield Slice(written(begin, form), written(until, form), index)
        if until >= end:
            return
        begin = until


def _begin(incremental: Incremental, stored: str | None) -> datetime | None:
    text = stored if stored is not None else incremental.start
    moment = moment_of(text) if text is not None else None
    if moment is None:
        return None
    return _aware(moment) - timedelta(seconds=incremental.lookback_s if stored is not None else 0.0)


def _end(form: str | None, now: datetime) -> datetime:
    """Now; where the API counts in days, the end of today, which is a day's first moment outside."""
    if form != "date":
        return now
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def is_older(text: str, since: str) -> bool:
    """Is a row's cursor before the stored one? Numbers, moments, else the order of the characters.

    A text that is neither number nor moment is not older than one that is: it says nothing.
    """
    numbers = _number(text), _number(since)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] < numbers[1]
    moments = moment_of(text), moment_of(since)
    if moments[0] is not None and moments[1] is not None:
        return _aware(moments[0]) < _aware(moments[1])
    if _is_sound(text) != _is_sound(since):
        return False
    return text < since


def is_further(text: str, stored: str) -> bool:
    """May a cursor take the place of the stored one? Never one that says nothing, as in ``is_older``."""
    if _is_sound(stored) and not _is_sound(text):
        return False
    return not is_older(text, stored)


def _is_sound(text: str) -> bool:
    return _number(text) is not None or moment_of(text) is not None


def moment_of(text: str) -> datetime | None:
    """The moment a text of an API or of the lake means; without a zone it keeps none."""
    number = _number(text)
    if number is not None:
        return _from_number(number)
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None


def _from_number(number: float) -> datetime | None:
    """Seconds or milliseconds since 1970, between 1990 and 2100; any other number is no moment."""
    for seconds in (number, number / 1000):
        if 631_152_000 <= seconds < _MILLISECONDS:
            return datetime.fromtimestamp(seconds, UTC)
    return None


def written(moment: datetime, form: str | None) -> str | int:
    """A moment as an API wants it: ``iso8601``, ``date``, ``unix``, ``unix_ms`` or a strftime text."""
    match form:
        case "iso8601" | None:
            text = moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
            return text.replace("+00:00", "Z")
        case "date":  # where it is another day in UTC, the earlier one: whichever is meant, none is left out
            return min(moment.date(), _aware(moment).astimezone(UTC).date()).isoformat()
        case "unix":
            return int(_aware(moment).timestamp())
        case "unix_ms":
            return int(_aware(moment).timestamp() * 1000)
        case pattern:
            return moment.strftime(pattern)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(text: str) -> float | None:
    """A finite one: infinity would hold back all that follow, and NaN is neither before nor after."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
