"""The shell on a plain DuckDB instead of lake, queue and daemon: what it shows, without what it shows it of.

As a program, ``python -m tests.fake_session ARGUMENTS`` is ``unify ARGUMENTS`` on such a session.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from unify.duckdb_types import exact_cast, parse_type, quote_name
from unify.errors import LoadFailed, QueryError, StoppedWaiting
from unify.interpreter.results import (
    Leave,
    Message,
    Names,
    Result,
    ResultColumn,
    Rows,
    Text,
    UseKeys,
    Watcher,
)
from unify.language.commands import Exit, Help, Query, Set, SystemStatus
from unify.language.parser import parse
from unify.model import Action, JobState, LoaderStatus, TableName
from unify.settings import Settings
from unify.shell.cli import Invocation
from unify.shell.composition import run

NAMES = Names(
    schemas=("github", "jira"),
    tables={"github": ("pulls", "repos"), "jira": ("issues",)},
    columns={"github.pulls": ("number", "title", "user_login"), "github.repos": ("id", "name")},
)


class FakeSession:
    """Answers SQL with DuckDB, ``help`` with a text, and a few words of its own with what a test needs.

    ``load``   shows the progress of two loads, then answers.
    ``wait``   waits until Ctrl-C, then says what goes on, as the interpreter does.
    ``fail``   is a load that failed; ``bug`` is a fault of ours.
    """

    def __init__(self, watcher: Watcher | None = None) -> None:
        self.connection = duckdb.connect()
        self.watcher = watcher
        self.ran: list[tuple[str, int]] = []
        self.cancelled = 0
        self.closed = False

    def run(self, statement: str, line: int = 1) -> Result:
        self.ran.append((statement, line))
        special = {"load": self._load, "wait": self._wait, "fail": self._fail, "bug": self._bug}
        if statement in special:
            return special[statement]()
        match parse(statement):
            case Query(sql):
                return self._query(sql)
            case Help():
                return Text("help is here\n")
            case SystemStatus():
                return Text("Data loading daemon is not running\x1b[2J")
            case Set("keys", value):
                return UseKeys("vi" if value == "vi" else "emacs")
            case Exit():
                return Leave()
            case command:
                return Message(f"did {type(command).__name__}")

    def names(self) -> Names:
        if self.watcher is not None and "UNIFY_FAKE_NOTICE" in os.environ:
            self.watcher.notice(os.environ["UNIFY_FAKE_NOTICE"])
        if "UNIFY_FAKE_SLOW" in os.environ:
            threading.Event().wait(60)
        if "UNIFY_FAKE_BUG" in os.environ:
            raise RuntimeError("names cannot be read")
        return NAMES

    def cancel_waited(self) -> str | None:
        self.cancelled += 1
        return "the load of github.pulls is being cancelled"

    def close(self) -> None:
        self.closed = True
        self.connection.close()

    def _query(self, sql: str) -> Result:
        try:
            statement = duckdb.extract_statements(sql)[0]
            if statement.type.name not in ("SELECT", "EXPLAIN", "PRAGMA"):
                self.connection.execute(sql)
                return Message("done")
            return rows(self.connection, sql)
        except duckdb.Error as error:
            raise QueryError(str(error)) from error

    def _load(self) -> Result:
        assert self.watcher is not None
        for number in (100, 1300):
            self.watcher.progress([_status("pulls", number), _status("repos\x1b[2J", 7)])
        self.watcher.progress(
            [_status("pulls", 1300, JobState.DONE), _status("repos\x1b[2J", 7, JobState.DONE)]
        )
        self.watcher.settled()
        self.watcher.notice("github.pulls was stored 12 min ago; a refresh is queued")
        return rows(self.connection, "select 1300 as rows")

    def _wait(self) -> Result:
        try:
            sys.stderr.write("waiting now\n")
            sys.stderr.flush()
            time.sleep(60)
        except KeyboardInterrupt:
            raise StoppedWaiting("stopped waiting; loading github.pulls goes on in the background") from None
        raise AssertionError("nobody pressed Ctrl-C")

    def _fail(self) -> Result:
        raise LoadFailed("github.pulls: 401 Bad credentials")

    def _bug(self) -> Result:
        raise RuntimeError("that should not happen")


def rows(connection: duckdb.DuckDBPyConnection, sql: str, note: str = "", *, exact: bool = True) -> Rows:
    """What ``sql`` gives, fetched as the interpreter fetches it, or with ``exact=False`` as Python would."""
    relation = connection.sql(sql)
    columns = tuple(
        ResultColumn(name, str(type)) for name, type in zip(relation.columns, relation.types, strict=True)
    )
    if exact and len(set(relation.columns)) == len(relation.columns):
        casts = [exact_cast(quote_name(column.name), parse_type(column.type)) for column in columns]
        relation = relation.project(", ".join(casts))
    return Rows(columns, _batches(relation), note)


def opener(
    settings: Settings, watcher: Watcher, invocation: Invocation, environment: Mapping[str, str]
) -> FakeSession:
    return FakeSession(watcher)


def _batches(relation: duckdb.DuckDBPyRelation) -> Iterator[Sequence[tuple[object, ...]]]:
    while batch := relation.fetchmany(2048):
        yield batch


def _status(table: str, rows: int, state: JobState = JobState.RUNNING) -> LoaderStatus:
    return LoaderStatus(
        {"pulls": 1, "repos": 2}[table[:5]],
        TableName("github", table),
        Action.LOAD,
        state,
        rows=rows,
        pages=13,
        pages_total=40,
        elapsed_s=9.0,
    )


COMMAND = (sys.executable, "-m", "tests.fake_session")
CHECKOUT = Path(__file__).parent.parent

if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:], opener))
