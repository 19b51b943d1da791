"""The sessions of the interpreter that statements of clients use in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from unify.config.settings import Settings
from unify.errors import CommandSyntaxError, LoadFailed, QueryError, UnknownName, UsageError
from unify.interpreter.interpreter import Interpreter
from unify.interpreter.quiet_watcher import QuietWatcher
from unify.interpreter.restriction import Restriction
from unify.interpreter.results import StagedRows
from unify.model import LoaderStatus

if TYPE_CHECKING:
    from unify.adapters.base import Page
    from unify.adapters.spec.model import TableSpec

_ORDINARY_ERRORS = (CommandSyntaxError, LoadFailed, QueryError, UnknownName, UsageError)
MAX_IDLE = 4  # sessions that wait for the next statement; each has a DuckDB of about 40 MB

ProgressListener = Callable[[Sequence[LoaderStatus]], None]


class RestrictedSession:
    """A session of the interpreter for statements from outside a shell, one at a time.

    ``on_progress``  called while a statement waits for loads; what it raises ends the statement.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str], restriction: Restriction) -> None:
        self.restriction = restriction
        self.notices: list[str] = []
        self.on_progress: ProgressListener | None = None
        self.interpreter = Interpreter(
            settings,
            QuietWatcher(self.notices, self._report_progress),
            environment=environment,
            stager=_stage_pages,
            restriction=restriction,
        )

    def interrupt(self) -> None:
        """End the query that runs, if one does; from another thread."""
        lake = vars(self.interpreter.session).get("lake")
        if lake is not None:
            lake.interrupt()

    def close(self) -> None:
        self.interpreter.close()

    def _report_progress(self, statuses: Sequence[LoaderStatus]) -> None:
        if self.on_progress is not None:
            self.on_progress(statuses)


class SessionPool:
    """Sessions by what they may do. A session whose statement failed unexpectedly is not used again."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = environment
        self._lock = threading.Lock()
        self._idle: list[RestrictedSession] = []
        self._is_closed = False

    @contextmanager
    def use(self, restriction: Restriction) -> Iterator[RestrictedSession]:
        """Lend a session to the block."""
        session = self._take(restriction)
        try:
            yield session
        except _ORDINARY_ERRORS:
            self._give_back(session)
            raise
        except BaseException:
            session.close()
            raise
        self._give_back(session)

    def close(self) -> None:
        """Close the sessions that nobody uses, and later those that are given back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _take(self, restriction: Restriction) -> RestrictedSession:
        with self._lock:
            for number, session in enumerate(self._idle):
                if session.restriction == restriction:
                    return self._idle.pop(number)
        return RestrictedSession(self._settings, self._environment, restriction)

    def _give_back(self, session: RestrictedSession) -> None:
        session.on_progress = None
        session.notices.clear()
        with self._lock:
            surplus = session if self._is_closed else None
            if not self._is_closed:
                self._idle.append(session)
                surplus = self._idle.pop(0) if len(self._idle) > MAX_IDLE else None
        if surplus is not None:
            surplus.close()


def _stage_pages(folder: Path, table: TableSpec, pages: Iterable[Page]) -> StagedRows:
    """Convert rows of live tables as loads do; the converter is imported on first use."""
    from unify.convert import preview

    return preview.stage_pages(folder, table, pages)
