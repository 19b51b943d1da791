"""Runs one statement: parses it, checks it, and passes the command on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from unify.config.settings import Settings
from unify.errors import FileError, NoSuchVersion, QueryError
from unify.interpreter import transactions
from unify.interpreter.commands.help import TOPICS
from unify.interpreter.dispatch.commands import run_command, run_sql
from unify.interpreter.freshness import DEFAULT_MAX_AGE, MaxAge
from unify.interpreter.query.missing_tables import explain_missing_table
from unify.interpreter.results import (
    CompletionNames,
    LineProjection,
    Result,
    ResultColumn,
    Stager,
    Watcher,
)
from unify.interpreter.session import Session
from unify.language import commands, error_position
from unify.language.commands import Command
from unify.language.parser import parse
from unify.language.sql.analysis import analyse
from unify.language.statements import Statement
from unify.model import TableName
from unify.status import instance

if TYPE_CHECKING:
    from unify.interpreter.restriction import Restriction

Outcome = TypeVar("Outcome")


class Interpreter:
    """One session: runs statements, which share its state.

    ``environment``  environment variables, for ``${NAME}`` references.
    ``wait``         False: statements queue loads and do not wait for them (--no-wait).
    ``wait_limit_s`` how long a statement waits for loads, which then go on (--wait); None: until they end.
    ``strict``       a load that discards rows fails the statement that waits for it (--strict).
    ``stdin_is_script``  standard input has the statements, so that none of them can read it.
    ``yes``          do what a command would ask about (--yes).
    ``max_writes``, ``max_deletes``  rows that one statement may write and delete.
    ``variables``    values of ``$name`` in SQL (--var).
    ``stager``       types the rows of live tables.
    ``restriction``  the statements come from outside a shell; what they may do.
    Lake and queue are opened when a statement first needs them.
    """

    def __init__(
        self,
        settings: Settings,
        watcher: Watcher,
        *,
        environment: Mapping[str, str],
        max_age: MaxAge = DEFAULT_MAX_AGE,
        wait: bool = True,
        wait_limit_s: float | None = None,
        strict: bool = False,
        stdin_is_script: bool = False,
        yes: bool = False,
        max_writes: int | None = None,
        max_deletes: int | None = None,
        variables: Mapping[str, object] | None = None,
        stager: Stager,
        restriction: Restriction | None = None,
    ) -> None:
        self.session = Session(
            settings,
            watcher,
            environment=environment,
            max_age=max_age,
            wait=wait,
            wait_limit_s=wait_limit_s,
            strict=strict,
            stdin_is_script=stdin_is_script,
            yes=yes,
            max_writes=max_writes,
            max_deletes=max_deletes,
            variables=variables or {},
            stager=stager,
            restriction=restriction,
        )
        self._daemon_checked = False

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close lake, queue and status channel. Loads go on in the daemon."""
        self.session.close()

    def run(
        self,
        statement: str,
        line: int = 1,
        projection: LineProjection | None = None,
        parameters: Mapping[str, object] | None = None,
    ) -> Result:
        """Run one statement, which starts at ``line`` of its script. Raises UnifyError.

        ``projection``  the form that the rows of a SELECT may have; see Rows.
        ``parameters``  values of ``$name`` for this statement; they hide variables of the session.
        """
        return self._run_checked(
            statement, line, parameters or {}, lambda command: self.execute(command, projection)
        )

    def describe(self, statement: str, parameters: Mapping[str, object]) -> Sequence[ResultColumn]:
        """Return the columns of a SELECT. Its tables are loaded first, as when it runs; it does not run."""

        def describe(command: Command) -> Sequence[ResultColumn]:
            assert isinstance(command, commands.RunSql)
            self._replace_killed_daemon()
            return self.session.query.describe(command.sql, self.session.max_age)

        return self._run_checked(statement, 1, parameters, describe)

    def _run_checked(
        self,
        statement: str,
        line: int,
        parameters: Mapping[str, object],
        run: Callable[[Command], Outcome],
    ) -> Outcome:
        """Parse and check a statement, and call ``run``; errors have the positions of the statement."""
        command = parse(Statement(statement, line), self.session.settings.cache)
        try:
            self._check(command, parameters)
            if not parameters:
                return run(command)
            with self.session.variables.statement_parameters(parameters):
                return run(command)
        except KeyboardInterrupt as error:  # raised when a call returns, in whatever runs then
            raise self.session.interrupted() from error
        except (QueryError, FileError) as error:
            if isinstance(command, commands.QuerySource):
                raise  # a position is one in the SQL of the source
            if isinstance(command, commands.RunSql):
                error.message = error_position.add_end_pointer(error.message, statement)
            else:
                error.message = error_position.remap_pointer(error.message, statement)
            if not isinstance(error, NoSuchVersion):
                error.message = explain_missing_table(error.message, self.session.state, statement)
            raise

    def _check(self, command: Command, parameters: Mapping[str, object]) -> None:
        """Check a statement from outside a shell, on the lake as it is now."""
        if self.session.restriction is not None:
            self.session.lake.refresh()
            if (check := self.session.statement_check) is not None:
                check.check(command, parameters)

    def execute(self, command: Command, projection: LineProjection | None = None) -> Result:
        """Run one command. A query runs while its rows are read, after this returns."""
        if not isinstance(command, commands.SystemCommand):  # those find the daemon as it is
            self._replace_killed_daemon()
        transactions.refuse_irreversible(command, in_transaction=self.session.in_transaction)
        self.session.early_start.begin(_loaded_tables(command), lambda: self.session.lake)
        if isinstance(command, commands.RunSql):
            return run_sql(self.session, command.sql, projection)
        return run_command(self.session, command)

    def cancel_awaited_loads(self) -> str | None:
        """Cancel the loads that the last statement stopped waiting for; return a message, or None."""
        return self.session.cancel_awaited_loads()

    def names(self) -> CompletionNames:
        """Return the names for completion. Reads configuration and lake; sends no request."""
        self._replace_killed_daemon()
        schedules = [one.name for one in self.session.queue.scripts.list_scripts()]
        schedules += [str(one.table) for one in self.session.queue.schedules() if one.every_s is not None]
        return replace(
            self.session.state.names(),
            variables=self.session.variables.names(),
            adapters=self.session.connections.adapters,
            schedules=tuple(schedules),
            syncs=tuple(sync.name for sync in self.session.queue.syncs.list(self.session.settings.tenant)),
            watches=tuple(
                watch.name for watch in self.session.queue.watches.list(self.session.settings.tenant)
            ),
            topics=tuple(topic.name for topic in TOPICS),
        )

    def _replace_killed_daemon(self) -> None:
        """Once a session: restart a daemon that was killed, not one that was stopped."""
        if self._daemon_checked:
            return
        self._daemon_checked = True
        settings = self.session.settings
        if instance.was_killed(settings.daemon_lock, settings.socket_folder / instance.COMMANDS_SOCKET):
            self.session.load_client.restart_killed_daemon()


def _loaded_tables(command: Command) -> Iterator[TableName]:
    """Yield the tables that a command loads if they are not stored, as far as its text shows them."""
    if isinstance(command, commands.RunSql):
        yield from (TableName(ref.schema, ref.table) for ref in analyse(command.sql).tables)
    elif isinstance(command, commands.LoadTable | commands.CountRows):
        yield command.table
