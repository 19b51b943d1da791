"""The shell on a plain DuckDB instead of lake, queue and daemon.

As a program, ``python -m tests.support.fake_session ARGUMENTS`` is ``unify ARGUMENTS`` on such a session.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import duckdb

from unify.cli.bootstrap import run_command
from unify.config.settings import Settings
from unify.engine.nested import exact_cast_sql
from unify.engine.types import parse_type, quote_identifier
from unify.errors import LoadFailed, QueryError, StoppedWaiting
from unify.interpreter.results import (
    CompletionNames,
    ExitShell,
    KeysChanged,
    LineProjection,
    Message,
    Result,
    ResultColumn,
    Rows,
    TextOutput,
    Watcher,
)
from unify.language.commands import ChangeSetting, Exit, RunSql, ShowHelp, SystemStatus
from unify.language.parser import parse
from unify.model import Action, JobState, LoaderStatus, TableName
from unify.shell.invocation import Invocation

COMPLETION_NAMES = CompletionNames(
    schemas=("github", "jira"),
    tables={"github": ("pulls", "repos"), "jira": ("issues",)},
    columns={"github.pulls": ("number", "title", "user_login"), "github.repos": ("id", "name")},
    syncs=("nightly",),
)


class FakeSession:
    """Runs SQL on DuckDB, ``help``, and four statements for tests.

    ``load``   shows the progress of two loads, then returns a row.
    ``wait``   waits until Ctrl-C, then raises StoppedWaiting, as the interpreter does.
    ``fail``   raises LoadFailed; ``bug`` raises RuntimeError.
    """

    def __init__(self, watcher: Watcher | None = None) -> None:
        self.connection = duckdb.connect()
        self.watcher = watcher
        self.statements: list[tuple[str, int]] = []
        self.cancel_count = 0
        self.closed = False

    def run(self, statement: str, line: int = 1, projection: LineProjection | None = None) -> Result:
        del projection  # the rows of this session are always values
        self.statements.append((statement, line))
        special = {
            "load": self._run_load,
            "wait": self._run_wait,
            "fail": self._raise_load_failure,
            "bug": self._raise_bug,
        }
        if statement in special:
            return special[statement]()
        match parse(statement):
            case RunSql(sql):
                return self._run_query(sql)
            case ShowHelp():
                return TextOutput("help is here\n")
            case SystemStatus():
                return TextOutput("Data loading daemon is not running\x1b[2J")
            case ChangeSetting("keys", value):
                return KeysChanged("vi" if value == "vi" else "emacs")
            case Exit():
                return ExitShell()
            case command:
                return Message(f"did {type(command).__name__}")

    def names(self) -> CompletionNames:
        if self.watcher is not None and "UNIFY_FAKE_NOTICE" in os.environ:
            self.watcher.notice(os.environ["UNIFY_FAKE_NOTICE"])
        if "UNIFY_FAKE_SLOW" in os.environ:
            threading.Event().wait(60)
        if "UNIFY_FAKE_BUG" in os.environ:
            raise RuntimeError("names cannot be read")
        return COMPLETION_NAMES

    def cancel_awaited_loads(self) -> str | None:
        self.cancel_count += 1
        return "the load of github.pulls is being cancelled"

    def close(self) -> None:
        self.closed = True
        self.connection.close()

    def _run_query(self, sql: str) -> Result:
        try:
            statement = duckdb.extract_statements(sql)[0]
            if statement.type.name not in ("SELECT", "EXPLAIN", "PRAGMA"):
                self.connection.execute(sql)
                return Message("done")
            return query_rows(self.connection, sql)
        except duckdb.Error as error:
            raise QueryError(str(error)) from error

    def _run_load(self) -> Result:
        assert self.watcher is not None
        for number in (100, 1300):
            self.watcher.show_progress([_load_status("pulls", number), _load_status("repos\x1b[2J", 7)])
        self.watcher.show_progress(
            [_load_status("pulls", 1300, JobState.DONE), _load_status("repos\x1b[2J", 7, JobState.DONE)]
        )
        self.watcher.end_progress()
        self.watcher.notice("github.pulls was stored 12 min ago; a refresh is queued")
        return query_rows(self.connection, "select 1300 as rows")

    def _run_wait(self) -> Result:
        try:
            sys.stderr.write("waiting now\n")
            sys.stderr.flush()
            time.sleep(60)
        except KeyboardInterrupt:
            raise StoppedWaiting("stopped waiting; loading github.pulls goes on in the background") from None
        raise AssertionError("nobody pressed Ctrl-C")

    def _raise_load_failure(self) -> Result:
        raise LoadFailed("github.pulls: 401 Bad credentials")

    def _raise_bug(self) -> Result:
        raise RuntimeError("that should not happen")


def query_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, note: str = "", *, exact: bool = True
) -> Rows:
    """Return the rows of ``sql``, fetched as the interpreter does, or with ``exact=False`` as DuckDB does."""
    relation = connection.sql(sql)
    columns = tuple(
        ResultColumn(name, str(type)) for name, type in zip(relation.columns, relation.types, strict=True)
    )
    if exact and len(set(relation.columns)) == len(relation.columns):
        casts = [exact_cast_sql(quote_identifier(column.name), parse_type(column.type)) for column in columns]
        relation = relation.project(", ".join(casts))
    return Rows(columns, _fetch_batches(relation), note)


def open_session(
    settings: Settings, watcher: Watcher, invocation: Invocation, environment: Mapping[str, str]
) -> FakeSession:
    return FakeSession(watcher)


def _fetch_batches(relation: duckdb.DuckDBPyRelation) -> Iterator[Sequence[tuple[object, ...]]]:
    while batch := relation.fetchmany(2048):
        yield batch


def _load_status(table: str, rows: int, state: JobState = JobState.RUNNING) -> LoaderStatus:
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


FAKE_SESSION_COMMAND = (sys.executable, "-m", "tests.support.fake_session")

if __name__ == "__main__":
    raise SystemExit(run_command(sys.argv[1:], open_session))
