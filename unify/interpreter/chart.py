"""What a chart shows, ready to be drawn: by the shell as text, by ``chartfiles`` as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from unify.text import counted

if TYPE_CHECKING:
    from unify.language.commands import ChartKind

XKind = Literal["number", "time", "text"]
X = float | str  # a time is in seconds since 1970 on the clock of whoever looks
_BEGINNING = datetime(1970, 1, 1)
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together; ascending in x unless that is text, which keeps its order."""

    name: str
    points: tuple[tuple[X, float], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. ``title`` is "" where nobody gave one.

    ``xs``        every x there is, in the order they are shown.
    ``rows``      how many rows were read.
    ``left_out``  points without an x or y that could be shown: NULL, infinite, not a number.
    ``added_up``  whether the y of rows with the same x were added up.
    ``note``      where the data came from: "stored 12 min ago".
    """

    kind: ChartKind
    title: str
    x_title: str
    y_title: str
    x_kind: XKind
    xs: tuple[X, ...]
    series: tuple[Series, ...]
    rows: int
    left_out: int = 0
    added_up: bool = False
    note: str = ""

    @property
    def caption(self) -> str:
        return f"{self.y_title} by {self.x_title}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the chart has to know of its rows."""
        told = [counted(self.rows, "row")]
        if self.added_up:
            told.append(f"{self.y_title} added up")
        if self.left_out:
            told.append(f"{counted(self.left_out, 'point')} left out (NULL or infinite)")
        return tuple(told)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a pie; ``share`` of 1."""

    label: str
    value: float
    share: float


def slices(chart: Chart, most: int) -> list[Slice]:
    """The parts of a pie, the largest first; beyond ``most`` they are one part together."""
    parts = sorted(chart.series[0].points, key=lambda point: (-point[1], point[0]))
    whole = sum(value for _, value in parts) or 1.0
    kept = parts if len(parts) <= most else parts[: most - 1]
    labels = x_texts(chart, [x for x, _ in kept])
    found = [Slice(label, value, value / whole) for label, (_, value) in zip(labels, kept, strict=True)]
    if len(kept) < len(parts):
        rest = sum(value for _, value in parts[len(kept) :])
        found.append(Slice(f"{len(parts) - len(kept):,} others", rest, rest / whole))
    return found


def x_texts(chart: Chart, xs: Sequence[X]) -> list[str]:
    """Each x as a label: a whole number without its fraction, a time no finer than ``xs`` need."""
    size = _fineness(xs) if chart.x_kind == "time" else None
    return [_x_text(x, chart.x_kind, size) for x in xs]


def _x_text(x: X, kind: XKind, size: int | None) -> str:
    if isinstance(x, str):
        return x
    return f"{x:.15g}" if kind == "number" else moment(x).isoformat(" ", "auto")[:size]


def _fineness(times: Sequence[X]) -> int | None:
    """How much of a time's text tells them apart: the month, the day, or all of it."""
    seconds = [x for x in times if isinstance(x, float)]
    if any(x % _DAY_S for x in seconds):
        return None
    return 7 if len(seconds) > 1 and all(moment(x).day == 1 for x in seconds) else 10


def moment(seconds: float) -> datetime:
    """The time that an x is; without a zone."""
    return _BEGINNING + timedelta(seconds=seconds)


def by_x(series: Sequence[Series]) -> list[dict[X, float]]:
    """The y of each series by its x."""
    return [dict(one.points) for one in series]
