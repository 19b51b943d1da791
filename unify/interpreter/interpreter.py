"""From one typed statement to its result: every command meets its module here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import assert_never

from unify.errors import FileError, QueryError
from unify.interpreter import missing
from unify.interpreter.freshness import AT_ONCE, MaxAge
from unify.interpreter.helptexts import TOPICS, help_text
from unify.interpreter.looking import Looking
from unify.interpreter.parts import Parts
from unify.interpreter.preferences import keep_keys, keys_named
from unify.interpreter.results import (
    Leave,
    Message,
    Names,
    Result,
    RunScript,
    Stager,
    Text,
    UseKeys,
    Watcher,
)
from unify.language import caret, commands
from unify.language.commands import Command
from unify.language.parser import Statement, parse
from unify.settings import Settings
from unify.status import instance


class Interpreter:
    """One person's session: what their statements mean, and the state they share.

    ``environment``  what ``${NAME}`` references are looked up in; read once by whoever starts us.
    ``wait``         False: a load is asked for and not waited for (--no-wait).
    ``variables``    what ``$name`` in SQL stands for (--var).
    ``stager``       types the rows of live tables.
    Lake and queue are opened when a statement first needs them.
    """

    def __init__(
        self,
        settings: Settings,
        watcher: Watcher,
        *,
        environment: Mapping[str, str],
        max_age: MaxAge = AT_ONCE,
        wait: bool = True,
        variables: Mapping[str, object] | None = None,
        stager: Stager,
    ) -> None:
        self.parts = Parts(
            settings,
            watcher,
            environment=environment,
            max_age=max_age,
            wait=wait,
            variables=variables or {},
            stager=stager,
        )
        self._looked_for_daemon = False

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of lake, queue and status channel; what the daemon does goes on."""
        self.parts.close()

    def run(self, statement: str, line: int = 1) -> Result:
        """Carry out one statement, which starts at ``line`` of its script. Raises UnifyError."""
        command = parse(Statement(statement, line), self.parts.settings.cache)
        try:
            return self.execute(command)
        except (QueryError, FileError) as error:
            if isinstance(command, commands.Query):
                error.message = caret.ended(error.message, statement)
            else:
                error.message = caret.moved(error.message, statement)
            error.message = missing.told(error.message, self.parts.state)
            raise

    def execute(self, command: Command) -> Result:
        """Carry out one command. Rows are read, and so the query runs, after this returns."""
        if not isinstance(command, commands.Steer):  # those find the daemon as it is
            self._replace_killed_daemon()
        if isinstance(command, commands.Show):
            return _show(self.parts, command)
        if isinstance(command, commands.Fill):
            return _fill(self.parts, command)
        if isinstance(command, commands.Steer):
            return _steer(self.parts, command)
        if isinstance(command, commands.Link):
            return _link(self.parts, command)
        if isinstance(command, commands.Vary):
            return _vary(self.parts, command)
        if isinstance(command, commands.Move):
            return _move(self.parts, command)
        if isinstance(command, commands.Plan):
            return _plan(self.parts, command)
        if isinstance(command, commands.Converse):
            return _converse(self.parts, command)
        if isinstance(command, commands.Look):
            return _look(self.parts, command)
        match command:
            case commands.Query(sql):
                return self.parts.query.run(sql, self.parts.max_age)
            case unknown:
                assert_never(unknown)

    def cancel_waited(self) -> str | None:
        """Cancel the loads the last statement stopped waiting for; says so, or None if there are none."""
        return self.parts.cancel_waited()

    def names(self) -> Names:
        """What can be completed. Reads configuration and lake; sends no request."""
        self._replace_killed_daemon()
        schedules = [one.name for one in self.parts.queue.scripts.all()]
        schedules += [str(one.table) for one in self.parts.queue.schedules() if one.every_s is not None]
        return replace(
            self.parts.state.names(),
            variables=self.parts.variables.names(),
            adapters=self.parts.sources.adapters,
            schedules=tuple(schedules),
            topics=tuple(topic.name for topic in TOPICS),
        )

    def _replace_killed_daemon(self) -> None:
        """Once a session: a daemon that was killed is followed by another; one that was stopped rests."""
        if self._looked_for_daemon:
            return
        self._looked_for_daemon = True
        settings = self.parts.settings
        if instance.was_killed(settings.daemon_lock, settings.run / instance.COMMANDS_SOCKET):
            self.parts.loads.revive()


def _show(parts: Parts, command: commands.Show) -> Result:
    match command:
        case commands.ShowConnections():
            return parts.listing.connections()
        case commands.ShowSchemas():
            return parts.listing.schemas()
        case commands.ShowTables(schema):
            return parts.listing.tables(schema)
        case commands.ShowColumns(table, like):
            return Looking(parts).columns(table, like)
        case commands.ShowJobs():
            return parts.listing.jobs()
        case commands.ShowFiles(schema, like):
            return parts.importing.listing(schema, like)
        case commands.ShowVariables():
            return parts.variables.listing()
        case commands.ShowSchedules():
            return parts.listing.schedules()
        case commands.ShowSettings():
            return parts.listing.settings(parts.max_age)
        case unknown:
            assert_never(unknown)


def _look(parts: Parts, command: commands.Look) -> Result:
    looking = Looking(parts)
    match command:
        case commands.Count(table):
            return parts.query.count(table, parts.max_age)
        case commands.Describe(table):
            return looking.describe(table)
        case commands.Peek(table, rows):
            return looking.peek(table, rows)
        case commands.Changes(table, ago_s, at):
            return looking.changes(table, ago_s, at)
        case commands.CreateChart():
            return looking.chart(command)
        case unknown:
            assert_never(unknown)


def _fill(parts: Parts, command: commands.Fill) -> Result:
    match command:
        case commands.Load(table):
            return parts.tables.load(table)
        case commands.Refresh(table):
            return parts.tables.refresh(table)
        case commands.Reload(table):
            return parts.tables.reload(table)
        case commands.Clear(table):
            return parts.tables.clear(table)
        case commands.RefreshEvery(table, every_s, starting):
            return parts.tables.refresh_every(table, every_s, starting)
        case commands.RefreshNever(table):
            return parts.tables.refresh_never(table)
        case unknown:
            assert_never(unknown)


def _steer(parts: Parts, command: commands.Steer) -> Result:
    match command:
        case commands.SystemStatus():
            return parts.system.status()
        case commands.StartDaemon():
            return parts.system.start()
        case commands.StopDaemon():
            return parts.system.stop()
        case commands.RestartDaemon():
            return parts.system.restart()
        case commands.CancelJob(job):
            return parts.system.cancel(job)
        case commands.RetryJob(job):
            return parts.system.retry(job)
        case unknown:
            assert_never(unknown)


def _link(parts: Parts, command: commands.Link) -> Result:
    from unify.interpreter.connecting import Connecting

    connecting = Connecting(parts.sources, parts.watcher)
    match command:
        case commands.Connect(adapter, name, options):
            return connecting.connect(adapter, name, dict(options))
        case commands.Disconnect(name):
            return parts.tables.disconnected(connecting.disconnect(name))
        case unknown:
            assert_never(unknown)


def _move(parts: Parts, command: commands.Move) -> Result:
    match command:
        case commands.Import(place, into, mode):
            return parts.importing.load(place, into, mode)
        case commands.Export(source, place, mode):
            from unify.interpreter.exporting import Exporting

            bound, _ = parts.query.prepare(source, parts.max_age)
            return Exporting(parts.lake).save(bound, place, mode)
        case commands.RunFile(path):
            return RunScript(path)
        case unknown:
            assert_never(unknown)


def _plan(parts: Parts, command: commands.Plan) -> Result:
    from unify.interpreter.planning import Planning

    planning = Planning(parts.sources, parts.loads, parts.tables, zone=parts.zone, folder=Path.cwd())
    match command:
        case commands.RunEvery(path, every_s, starting):
            return planning.run_every(path, every_s, starting)
        case commands.RunAt(path, at):
            return planning.run_at(path, at)
        case commands.Unschedule(name):
            return planning.unschedule(name)
        case unknown:
            assert_never(unknown)


def _vary(parts: Parts, command: commands.Vary) -> Result:
    match command:
        case commands.Assign(name, sql):
            return Message(parts.query.assign(name, sql, parts.max_age))
        case commands.ShowVariable(name):
            return parts.query.run(parts.variables.query(name), parts.max_age)
        case commands.Unset(name):
            return Message(f"${parts.variables.unset(name)} is not set any more")
        case unknown:
            assert_never(unknown)


def _converse(parts: Parts, command: commands.Converse) -> Result:
    """Raises UsageError for a setting's value that means nothing."""
    match command:
        case commands.Set("keys", value):
            keys = keys_named(value)
            keep_keys(parts.settings.home, keys)
            return UseKeys(keys)
        case commands.Set(name, value):
            parts.max_age = MaxAge.parse(value)
            return Message(f"{name} = {parts.max_age}")
        case commands.Help(topic):
            return Text(help_text(topic), prose=True)
        case commands.Exit():
            return Leave()
        case unknown:
            assert_never(unknown)
