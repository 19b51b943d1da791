"""The results of statements, charts among them, and the interface to the user of a session."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from unify.text import format_count

if TYPE_CHECKING:
    from unify.adapters.base import Page, UserPrompt
    from unify.adapters.spec.model import TableSpec
    from unify.config.preferences import Keys
    from unify.language.commands import ChartKind
    from unify.model import Column, LoaderStatus, TableName
    from unify.redaction import Redactor


XKind = Literal["number", "time", "text"]
XValue = float | str  # a time is in seconds since 1970 on the clock of whoever looks
_EPOCH = datetime(1970, 1, 1)
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """Points that belong together; ascending in x unless that is text, which keeps its order."""

    name: str
    points: tuple[tuple[XValue, float], ...]


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
    x_values: tuple[XValue, ...]
    series: tuple[ChartSeries, ...]
    rows: int
    skipped_points: int = 0
    is_summed: bool = False
    note: str = ""

    @property
    def caption(self) -> str:
        return f"{self.y_title} by {self.x_title}"

    @property
    def row_notes(self) -> tuple[str, ...]:
        """What a reader of the chart has to know of its rows."""
        told = [format_count(self.rows, "row")]
        if self.is_summed:
            told.append(f"{self.y_title} added up")
        if self.skipped_points:
            told.append(f"{format_count(self.skipped_points, 'point')} left out (NULL or infinite)")
        return tuple(told)


@dataclass(frozen=True, slots=True)
class PieSlice:
    """A part of a pie; ``fraction`` of 1."""

    label: str
    value: float
    fraction: float


def pie_slices(chart: Chart, max_slices: int) -> list[PieSlice]:
    """The parts of a pie, the largest first; beyond ``most`` they are one part together."""
    parts = sorted(chart.series[0].points, key=lambda point: (-point[1], point[0]))
    whole = sum(value for _, value in parts) or 1.0
    kept = parts if len(parts) <= max_slices else parts[: max_slices - 1]
    labels = x_labels(chart, [x for x, _ in kept])
    found = [PieSlice(label, value, value / whole) for label, (_, value) in zip(labels, kept, strict=True)]
    if len(kept) < len(parts):
        rest = sum(value for _, value in parts[len(kept) :])
        found.append(PieSlice(f"{len(parts) - len(kept):,} others", rest, rest / whole))
    return found


def x_labels(chart: Chart, xs: Sequence[XValue]) -> list[str]:
    """Each x as a label: a whole number without its fraction, a time no finer than ``xs`` need."""
    size = _time_label_length(xs) if chart.x_kind == "time" else None
    return [_x_label(x, chart.x_kind, size) for x in xs]


def _x_label(x: XValue, kind: XKind, length: int | None) -> str:
    if isinstance(x, str):
        return x
    return f"{x:.15g}" if kind == "number" else datetime_of_x(x).isoformat(" ", "auto")[:length]


def _time_label_length(times: Sequence[XValue]) -> int | None:
    """How much of a time's text tells them apart: the month, the day, or all of it."""
    seconds = [x for x in times if isinstance(x, float)]
    if any(x % _DAY_S for x in seconds):
        return None
    return 7 if len(seconds) > 1 and all(datetime_of_x(x).day == 1 for x in seconds) else 10


def datetime_of_x(seconds: float) -> datetime:
    """The time that an x is; without a zone."""
    return _EPOCH + timedelta(seconds=seconds)


def y_by_x(series: Sequence[ChartSeries]) -> list[dict[XValue, float]]:
    """The y of each series by its x."""
    return [dict(one.points) for one in series]


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a result; ``type`` is DuckDB's text: BIGINT, DECIMAL(5,2), STRUCT(a INTEGER)."""

    name: str
    type: str


def result_columns(columns: Iterable[tuple[str, str]] | None) -> tuple[ResultColumn, ...]:
    """``columns`` as (name, DuckDB type), as the lake gives them; None: there are none."""
    return tuple(ResultColumn(name, type) for name, type in columns or ())


@dataclass(slots=True)
class Rows:
    """Rows on their way to be displayed.

    ``batches``  read once, in order; the query runs while they are read.
    ``note``     where the data came from, for the footer: "stored 12 min ago".
    ``whole``    a listing, to be shown to its end: what somebody looks for may be anywhere in it.
    """

    columns: tuple[ResultColumn, ...]
    batches: Iterator[Sequence[tuple[object, ...]]]
    note: str = ""
    show_all: bool = False


def listing_rows(
    columns: Sequence[tuple[str, str]], rows: Sequence[tuple[object, ...]], note: str = ""
) -> Rows:
    """A listing made here rather than by DuckDB: ``columns`` as (name, DuckDB type)."""
    return Rows(result_columns(columns), iter([rows] if rows else []), note, show_all=True)


@dataclass(frozen=True, slots=True)
class Message:
    """What a statement without rows did: "3 rows inserted". For a person, never among rows."""

    text: str


@dataclass(frozen=True, slots=True)
class TextOutput:
    """A command's own output as text: ``system status``, ``help``.

    ``prose``  its lines are paragraphs, to be broken wherever they are read.
    """

    text: str
    prose: bool = False


@dataclass(frozen=True, slots=True)
class RunScript:
    """``run 'FILE'``: the statements of a script come next; ``path`` as it was written."""

    path: str


@dataclass(frozen=True, slots=True)
class ScheduleScript:
    """``run 'FILE' every …``: who knows where ``path`` is says so to ``plan``, which gives the message."""

    path: str
    schedule: Callable[[Path], Message]


@dataclass(frozen=True, slots=True)
class ExitShell:
    """``exit``: nothing more is to be read."""


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """``set keys = 'vi'``: kept by now; a prompt that is up changes to them."""

    keys: Keys


Result = Rows | Chart | Message | TextOutput | RunScript | ScheduleScript | KeysChanged | ExitShell


def display_name(table: TableName) -> str:
    """As it can be typed: a table of ``main`` needs no schema."""
    return table.table if table.schema == "main" else str(table)


class StagedRows(Protocol):
    """Rows of a table as Parquet files, all with all of ``columns``; those that did not fit are discarded."""

    @property
    def files(self) -> Sequence[Path]: ...
    @property
    def columns(self) -> Sequence[Column]: ...
    @property
    def rows(self) -> int: ...
    @property
    def discarded(self) -> int: ...


class Stager(Protocol):
    """Whoever turns the pages of a table into files in ``folder``, as a load does."""

    def __call__(self, folder: Path, table: TableSpec, pages: Iterable[Page]) -> StagedRows: ...


class Watcher(Protocol):
    """The user interface of a session: receives notices and progress, asks the user."""

    @property
    def redactor(self) -> Redactor:
        """Removes secrets from what is shown; adapters opened for a statement add theirs to it."""

    def notice(self, text: str) -> None:
        """Show one line that is not part of a result."""

    def show_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        """Show how far the loads are that the statement waits for; at most ten times a second."""

    def end_progress(self, reported_jobs: Collection[int] = ()) -> None:
        """Remove what ``show_progress`` showed.

        ``reported_jobs``  jobs whose end the statement's own message or error reports.
        """

    def ask_user(self, question: str, *, secret: bool = False) -> str | None:
        """The user's answer; None without a user.

        ``secret``  the input is not shown. Raises Interrupted if the user declines.
        """

    def user_prompt(self) -> UserPrompt | None:
        """Lets the user sign in; None without a user."""


@dataclass(frozen=True, slots=True)
class CompletionNames:
    """What can be completed: connections, their tables, the columns known of a table ("s.t"), variables.

    ``adapters``  what a connection can be made to.
    ``topics``    what there is help on.
    """

    schemas: tuple[str, ...] = ()
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
