"""What a statement gives back, and how the interpreter speaks to whoever sits in front of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from unify.interpreter.chart import Chart

if TYPE_CHECKING:
    from unify.adapters.base import Page
    from unify.adapters.person import Person
    from unify.adapters.spec import TableSpec
    from unify.interpreter.preferences import Keys
    from unify.model import Column, LoaderStatus


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
    whole: bool = False


def listed(columns: Sequence[tuple[str, str]], rows: Sequence[tuple[object, ...]], note: str = "") -> Rows:
    """A listing made here rather than by DuckDB: ``columns`` as (name, DuckDB type)."""
    return Rows(result_columns(columns), iter([rows] if rows else []), note, whole=True)


@dataclass(frozen=True, slots=True)
class Message:
    """What a statement without rows did: "3 rows inserted". For a person, never among rows."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
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
class PlanScript:
    """``run 'FILE' every …``: who knows where ``path`` is says so to ``plan``, which gives the message."""

    path: str
    plan: Callable[[Path], Message]


@dataclass(frozen=True, slots=True)
class Leave:
    """``exit``: nothing more is to be read."""


@dataclass(frozen=True, slots=True)
class UseKeys:
    """``set keys = 'vi'``: kept by now; a prompt that is up changes to them."""

    keys: Keys


Result = Rows | Chart | Message | Text | RunScript | PlanScript | UseKeys | Leave


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
    """Whoever sits in front: told what goes on while a statement runs."""

    def notice(self, text: str) -> None:
        """Say one line that is not part of any result."""

    def progress(self, statuses: Sequence[LoaderStatus]) -> None:
        """Show how far the loads are that the statement waits for; at most ten times a second."""

    def settled(self, told: Collection[int] = ()) -> None:
        """The waiting is over: take away what ``progress`` showed.

        ``told``  the jobs whose end the statement itself tells, by its message or its error.
        """

    def ask(self, question: str, *, secret: bool = False) -> str | None:
        """The answer of the person in front; None where there is none to be asked.

        ``secret``  what is typed is not shown. Raises Interrupted where they would rather not.
        """

    def person(self) -> Person | None:
        """The person in front, who may sign in somewhere; None where there is none."""


@dataclass(frozen=True, slots=True)
class Names:
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
