"""Round numbers and moments along an axis, and how they are written in little room."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from unify.interpreter.chart import moment

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))  # from 10,000 on, in thousands
_UNIT_OF = {"T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3}
_TOO_LARGE, _TOO_SMALL = 1e15, 1e-4
_DAY_S = 86_400
_SECONDS = (1, 5, 15, 30, 60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
_DAYS = (1, 2, 7, 14)
_MONTHS = (1, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000, 12_000)
_MONDAY_S = 4 * _DAY_S  # the first Monday after the beginning of 1970


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and its label."""

    at: float
    text: str


def numbers(low: float, high: float, most: int) -> list[Tick]:
    """Up to about ``most`` round numbers from ``low`` to ``high``, which differ."""
    step = _round_step((high - low) / max(1, most))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    write = _writer(max(abs(low), abs(high)), step)
    return [Tick(value, write(value)) for value in values]


def widened(low: float, high: float, most: int) -> tuple[float, float]:
    """The range from one round number to another that holds ``low`` and ``high``."""
    if low == high:
        low, high = low - abs(low or 1) / 2, high + abs(high or 1) / 2
    step = _round_step((high - low) / max(1, most))
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def short_number(value: float) -> str:
    """A number in at most about six characters."""
    if value == int(value) and abs(value) < 1000:
        return str(int(value))
    return _writer(abs(value), 10 ** (math.floor(math.log10(abs(value))) - 2))(value)


def moments(low: float, high: float, room: int) -> list[Tick]:
    """Moments from ``low`` to ``high`` (seconds) whose labels fit beside each other into ``room``."""
    for count, places, write in _calendars(low, high):
        ticks = [Tick(at, write(moment(at))) for at in places()] if count <= room else []
        if ticks and sum(len(tick.text) + 2 for tick in ticks) <= room + 2:
            return ticks
    return []


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, 50 … that is not below ``least``."""
    power = float(10 ** math.floor(math.log10(least)))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= least * 0.999), 10 * power)


def _writer(largest: float, step: float) -> Callable[[float], str]:
    if not _TOO_SMALL <= largest < _TOO_LARGE:
        return lambda value: f"{value:.3g}"
    sign = next((sign for least, sign in _UNITS if largest >= least), "")
    unit = _UNIT_OF.get(sign, 1.0)
    decimals = min(6, max(0, -math.floor(math.log10(step / unit) + 1e-9)))

    def write(value: float) -> str:
        text = f"{value / unit:,.{decimals}f}"
        return text + sign if float(text.replace(",", "")) else "0"

    return write


_Calendar = tuple[float, Callable[[], Sequence[float]], Callable[[datetime], str]]


def _calendars(low: float, high: float) -> Iterator[_Calendar]:
    """Ever coarser divisions of a time: about how many there are, where, and how they are written."""
    span = high - low
    for step in _SECONDS:
        yield span / step, _every(low, high, step), _clock(step, span)
    for days in _DAYS:
        step = days * _DAY_S
        offset = _MONDAY_S if days >= 7 else 0
        yield span / step, _every(low, high, step, offset), lambda time: time.isoformat()[5:10]
    for months in _MONTHS:
        size = 4 if months >= 12 else 7
        yield (
            span / (months * 30 * _DAY_S),
            _months(low, high, months),
            lambda time, size=size: time.isoformat()[:size],  # type: ignore[misc]
        )


def _every(low: float, high: float, step: int, offset: int = 0) -> Callable[[], Sequence[float]]:
    first = math.ceil((low - offset) / step)
    last = math.floor((high - offset) / step)
    return lambda: [number * step + offset for number in range(first, last + 1)]


def _clock(step: int, span: float) -> Callable[[datetime], str]:
    def write(time: datetime) -> str:
        if span > _DAY_S and not (time.hour or time.minute or time.second):
            return time.isoformat()[5:10]
        return time.isoformat()[11 : 19 if step < 60 else 16]

    return write


def _months(low: float, high: float, step: int) -> Callable[[], Sequence[float]]:
    def places() -> Sequence[float]:
        first, last = moment(low), moment(high)
        numbers = range(first.year * 12, last.year * 12 + 12)
        found = [
            (datetime(number // 12, number % 12 + 1, 1) - datetime(1970, 1, 1)).total_seconds()
            for number in numbers
            if number % step == 0
        ]
        return [at for at in found if low <= at <= high]

    return places
