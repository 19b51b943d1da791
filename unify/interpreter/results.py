"""The results of statements, charts among them, and the interface to the user of a session."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct, field

from unify.text import format_count

if TYPE_CHECKING:
    from unify.adapters.base import Page, UserPrompt
    from unify.adapters.spec.model import TableSpec
    from unify.config.preferences import Keys
    from unify.language.commands import ChartKind, NotebookOptions
    from unify.model import Column, LoaderStatus, TableName
    from unify.redaction import Redactor


XKind = Literal["number", "time", "text"]
XValue = float | str  # a time: seconds since 1970-01-01 00:00, local time
_EPOCH = datetime(1970, 1, 1)
_DAY_S = 86_400


class ChartSeries(Struct, frozen=True):
    """The points of a series, ascending in x; text x keeps the order of the rows."""

    name: str
    points: tuple[tuple[XValue, float], ...]


class Chart(Struct, frozen=True):
    """A chart to draw. ``title`` is "" if not given.

    ``x_values``        all x, in display order.
    ``rows``            number of rows read.
    ``skipped_points``  points whose x or y is NULL, infinite or not a number.
    ``is_summed``       whether y was summed over rows with the same x.
    ``note``            origin of the data: "stored 12 min ago".
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
        """Number of rows, whether y is summed, and how many points were skipped."""
        notes = [format_count(self.rows, "row")]
        if self.is_summed:
            notes.append(f"{self.y_title} added up")
        if self.skipped_points:
            notes.append(f"{format_count(self.skipped_points, 'point')} left out (NULL or infinite)")
        return tuple(notes)


class PieSlice(Struct, frozen=True):
    """A slice of a pie chart; ``fraction`` is between 0 and 1."""

    label: str
    value: float
    fraction: float


def pie_slices(chart: Chart, max_slices: int) -> list[PieSlice]:
    """Return the slices, largest first; those beyond ``max_slices`` are combined into one."""
    points = sorted(chart.series[0].points, key=lambda point: (-point[1], point[0]))
    total = sum(value for _, value in points) or 1.0
    kept = points if len(points) <= max_slices else points[: max_slices - 1]
    labels = x_labels(chart, [x for x, _ in kept])
    slices = [PieSlice(label, value, value / total) for label, (_, value) in zip(labels, kept, strict=True)]
    if len(kept) < len(points):
        rest = sum(value for _, value in points[len(kept) :])
        slices.append(PieSlice(f"{len(points) - len(kept):,} others", rest, rest / total))
    return slices


def x_labels(chart: Chart, xs: Sequence[XValue]) -> list[str]:
    """Return a label for each x; times are only as precise as ``xs`` require."""
    length = _time_label_length(xs) if chart.x_kind == "time" else None
    return [_x_label(x, chart.x_kind, length) for x in xs]


def _x_label(x: XValue, kind: XKind, length: int | None) -> str:
    if isinstance(x, str):
        return x
    return f"{x:.15g}" if kind == "number" else datetime_of_x(x).isoformat(" ", "auto")[:length]


def _time_label_length(times: Sequence[XValue]) -> int | None:
    """Return the length of the ISO text that distinguishes the times: month, day, or None for all of it."""
    seconds = [x for x in times if isinstance(x, float)]
    if any(x % _DAY_S for x in seconds):
        return None
    return 7 if len(seconds) > 1 and all(datetime_of_x(x).day == 1 for x in seconds) else 10


def datetime_of_x(seconds: float) -> datetime:
    """Convert an x of kind "time" to a naive datetime."""
    return _EPOCH + timedelta(seconds=seconds)


def y_by_x(series: Sequence[ChartSeries]) -> list[dict[XValue, float]]:
    """Return the y of each series by x."""
    return [dict(one.points) for one in series]


class ResultColumn(Struct, frozen=True):
    """A column of a result; ``type`` is a DuckDB type: BIGINT, DECIMAL(5,2), STRUCT(a INTEGER)."""

    name: str
    type: str


def result_columns(columns: Iterable[tuple[str, str]] | None) -> tuple[ResultColumn, ...]:
    """Convert (name, DuckDB type) pairs; None means no columns."""
    return tuple(ResultColumn(name, type) for name, type in columns or ())


PLAN_COLUMNS = (("explain_key", "VARCHAR"), ("explain_value", "VARCHAR"))  # as DuckDB's EXPLAIN has them


class LineProjection(Protocol):
    """SQL that returns each row as a line of a result format, or in another form."""

    @property
    def applies_always(self) -> bool:
        """See ``lake.protocols.RowProjection``."""

    def expressions(self, columns: Sequence[tuple[str, str]]) -> Sequence[str]:
        """See ``lake.protocols.RowProjection``."""

    def texts(self, batches: Iterator[Sequence[tuple[object, ...]]], separator: str) -> Iterator[str]:
        """Yield the lines of each batch, joined by ``separator``."""


class Rows(Struct):
    """Rows to display.

    ``batches``     can be read once; the query runs while they are read.
    ``note``        origin of the data, for the footer: "stored 12 min ago".
    ``show_all``    a listing, displayed without a row limit.
    ``projection``  the rows are lines that DuckDB has written, not values.
    """

    columns: tuple[ResultColumn, ...]
    batches: Iterator[Sequence[tuple[object, ...]]]
    note: str = ""
    show_all: bool = False
    projection: LineProjection | None = None


def listing_rows(
    columns: Sequence[tuple[str, str]], rows: Sequence[tuple[object, ...]], note: str = ""
) -> Rows:
    """Return a listing; ``columns`` are (name, DuckDB type) pairs."""
    return Rows(result_columns(columns), iter([rows] if rows else []), note, show_all=True)


def plan_rows(text: str) -> Rows:
    """Return what ``explain`` shows of a statement that writes."""
    return listing_rows(PLAN_COLUMNS, [("write", text)], "nothing was sent")


class Message(Struct, frozen=True):
    """The outcome of a statement without rows: "3 rows inserted". Shown to the user, never among rows.

    ``rows``  the number of rows that it changed, if that is known.
    """

    text: str
    rows: int | None = None


class TextOutput(Struct, frozen=True):
    """The text output of a command: ``system status``, ``help``.

    ``prose``  the lines are paragraphs, which are wrapped to the terminal.
    """

    text: str
    prose: bool = False


class TextLines(Struct, frozen=True):
    """Lines that are shown as they come; reading them may take until the user ends it."""

    lines: Iterator[str]


class RunScript(Struct, frozen=True):
    """``run 'FILE'``: run the statements of a script; ``path`` is as typed."""

    path: str


class RunNotebook(Struct, frozen=True):
    """``run 'FILE.ipynb'``: run a notebook; its path and that of its page are as typed.

    ``copies``       the folder of executed copies.
    ``environment``  of the kernel: the home and the connections of the session.
    """

    path: str
    options: NotebookOptions
    copies: Path
    environment: Mapping[str, str]


class ScheduleScript(Struct, frozen=True):
    """``run 'FILE' every …``: the caller resolves ``path`` and passes it to ``schedule``.

    ``notebook``  the options of a notebook; the caller resolves the path of the page, too.
    """

    path: str
    schedule: Callable[[Path, NotebookOptions], Message]
    notebook: NotebookOptions


class ExitShell(Struct, frozen=True):
    """``exit``: read no further statements."""


class KeysChanged(Struct, frozen=True):
    """``set keys = 'vi'``: saved; an open prompt changes its key bindings."""

    keys: Keys


Result = (
    Rows
    | Chart
    | Message
    | TextOutput
    | TextLines
    | RunScript
    | RunNotebook
    | ScheduleScript
    | KeysChanged
    | ExitShell
)


def display_name(table: TableName) -> str:
    """Return the table name as typed; tables of ``main`` have no schema prefix."""
    return table.table if table.schema == "main" else str(table)


class StagedRows(Protocol):
    """Rows of a table as Parquet files, each with all ``columns``; rows of other types are discarded."""

    @property
    def files(self) -> Sequence[Path]: ...
    @property
    def columns(self) -> Sequence[Column]: ...
    @property
    def rows(self) -> int: ...
    @property
    def discarded(self) -> int: ...


class Stager(Protocol):
    """Writes the pages of a table to files in ``folder``, with the types that a load detects."""

    def __call__(self, folder: Path, table: TableSpec, pages: Iterable[Page]) -> StagedRows: ...


class Watcher(Protocol):
    """The user interface of a session: receives notices and progress, prompts the user."""

    @property
    def redactor(self) -> Redactor:
        """Removes secrets from what is shown; adapters opened for a statement add theirs to it."""

    def notice(self, text: str) -> None:
        """Show one line that is not part of a result."""

    def show_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        """Show the progress of the loads that the statement waits for; at most ten times a second."""

    def end_progress(self, reported_jobs: Collection[int] = ()) -> None:
        """Clear the progress.

        ``reported_jobs``  jobs whose end the statement's own message or error reports.
        """

    def ask_user(self, question: str, *, secret: bool = False) -> str | None:
        """Return the user's answer; None without a terminal.

        ``secret``  the input is not shown. Raises Interrupted if the user declines.
        """

    def user_prompt(self) -> UserPrompt | None:
        """Prompts the user to sign in; None without a terminal."""


class CompletionNames(Struct, frozen=True):
    """Names for completion; ``columns`` are by "schema.table", ``topics`` are those of ``help``.

    ``databases``  connections whose tables may be in schemas: sales.orders.
    """

    schemas: tuple[str, ...] = ()
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    syncs: tuple[str, ...] = ()
    watches: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
