"""From one typed statement to its result: every command meets its module here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, assert_never

from unify.errors import UnknownName
from unify.interpreter.freshness import AT_ONCE, MaxAge
from unify.interpreter.helptexts import TOPICS, help_text
from unify.interpreter.listing import Listing
from unify.interpreter.loads import Loads
from unify.interpreter.preferences import keep_keys, keys_named
from unify.interpreter.query import Query
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
from unify.interpreter.sources import Sources
from unify.interpreter.state import State
from unify.interpreter.system import System
from unify.interpreter.systemtables import SystemTables
from unify.interpreter.tables import Tables
from unify.interpreter.variables import Variables
from unify.language import commands
from unify.language.commands import Command
from unify.language.parser import Statement, parse
from unify.model import TableName
from unify.settings import Settings
from unify.store.keepsakes import Keepsakes
from unify.store.lake import Lake
from unify.store.queue import Queue
from unify.zones import local_zone

if TYPE_CHECKING:
    from unify.interpreter.importing import Importing
    from unify.interpreter.peek import Peek


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
        self.settings = settings
        self.watcher = watcher
        self.max_age = max_age
        self.wait = wait
        self.stager = stager
        self.given = dict(variables or {})
        self.sources = Sources(settings, environment, watcher.notice)

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of lake, queue and status channel; what the daemon does goes on."""
        opened = vars(self)  # a cached_property is there once somebody needed it
        for name in ("loads", "queue", "lake"):
            if name in opened:
                opened.pop(name).close()

    def run(self, statement: str, line: int = 1) -> Result:
        """Carry out one statement, which starts at ``line`` of its script. Raises UnifyError."""
        return self.execute(parse(Statement(statement, line), self.settings.cache))

    def execute(self, command: Command) -> Result:
        """Carry out one command. Rows are read, and so the query runs, after this returns."""
        if isinstance(command, commands.Show):
            return self._show(command)
        if isinstance(command, commands.Fill):
            return self._fill(command)
        if isinstance(command, commands.Steer):
            return self._steer(command)
        if isinstance(command, commands.Link):
            return self._link(command)
        if isinstance(command, commands.Vary):
            return self._vary(command)
        if isinstance(command, commands.Move):
            return self._move(command)
        if isinstance(command, commands.Plan):
            return self._plan(command)
        if isinstance(command, commands.Converse):
            return self._converse(command)
        if isinstance(command, commands.Look):
            return self._look(command)
        match command:
            case commands.Query(sql):
                return self.query.run(sql, self.max_age)
            case unknown:
                assert_never(unknown)

    def cancel_waited(self) -> str | None:
        """Cancel the loads the last statement stopped waiting for; says so, or None if there are none."""
        return self.loads.cancel_waited() if "loads" in vars(self) else None

    def names(self) -> Names:
        """What can be completed. Reads configuration and lake; sends no request."""
        schedules = [one.name for one in self.queue.scripts.all()]
        schedules += [str(one.table) for one in self.queue.schedules() if one.every_s is not None]
        return replace(
            self.state.names(),
            variables=self.variables.names(),
            adapters=self.sources.adapters,
            schedules=tuple(schedules),
            topics=tuple(topic.name for topic in TOPICS),
        )

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.settings, purpose="a shell", notice=self.watcher.notice)

    @cached_property
    def queue(self) -> Queue:
        return Queue(self.settings.queue, notice=self.watcher.notice)

    @cached_property
    def loads(self) -> Loads:
        return Loads(self.settings, self.queue, self.sources, self.watcher)

    @cached_property
    def state(self) -> State:
        return State(self.lake, self.queue, self.sources)

    @cached_property
    def listing(self) -> Listing:
        return Listing(self.state)

    @cached_property
    def tables(self) -> Tables:
        return Tables(self.lake, self.sources, self.loads, wait=self.wait, zone=self.zone)

    @cached_property
    def zone(self) -> str:
        """The time zone on this machine's clock, by name."""
        return local_zone(self.sources.environment.get("TZ"), datetime.now().astimezone())

    @cached_property
    def system(self) -> System:
        return System(self.settings, self.queue, self.loads)

    @cached_property
    def peek(self) -> Peek:
        from unify.interpreter.peek import Peek

        return Peek(self.lake, self.sources, self.watcher)

    @cached_property
    def importing(self) -> Importing:
        from unify.interpreter.importing import Importing

        return Importing(self.lake, self.sources)

    @cached_property
    def variables(self) -> Variables:
        return Variables(self.lake, Keepsakes(self.settings.home / "variables"), self.given)

    @cached_property
    def query(self) -> Query:
        system = SystemTables(self.lake, self.state)
        return Query(
            self.lake,
            self.sources,
            self.loads,
            system,
            self.watcher,
            wait=self.wait,
            variables=self.variables,
            stager=self.stager,
        )

    def _show(self, command: commands.Show) -> Result:
        match command:
            case commands.ShowConnections():
                return self.listing.connections()
            case commands.ShowSchemas():
                return self.listing.schemas()
            case commands.ShowTables(schema):
                return self.listing.tables(schema)
            case commands.ShowColumns(table, like):
                return self._columns(table, like)
            case commands.ShowJobs():
                return self.listing.jobs()
            case commands.ShowFiles(schema, like):
                return self.importing.listing(schema, like)
            case commands.ShowVariables():
                return self.variables.listing()
            case commands.ShowSchedules():
                return self.listing.schedules()
            case commands.ShowSettings():
                return self.listing.settings(self.max_age)
            case unknown:
                assert_never(unknown)

    def _fill(self, command: commands.Fill) -> Result:
        match command:
            case commands.Load(table):
                return self.tables.load(table)
            case commands.Refresh(table):
                return self.tables.refresh(table)
            case commands.Reload(table):
                return self.tables.reload(table)
            case commands.Clear(table):
                return self.tables.clear(table)
            case commands.RefreshEvery(table, every_s, starting):
                return self.tables.refresh_every(table, every_s, starting)
            case commands.RefreshNever(table):
                return self.tables.refresh_never(table)
            case unknown:
                assert_never(unknown)

    def _steer(self, command: commands.Steer) -> Result:
        match command:
            case commands.SystemStatus():
                return self.system.status()
            case commands.StartDaemon():
                return self.system.start()
            case commands.StopDaemon():
                return self.system.stop()
            case commands.RestartDaemon():
                return self.system.restart()
            case commands.CancelJob(job):
                return self.system.cancel(job)
            case commands.RetryJob(job):
                return self.system.retry(job)
            case unknown:
                assert_never(unknown)

    def _link(self, command: commands.Link) -> Result:
        from unify.interpreter.connecting import Connecting

        connecting = Connecting(self.sources, self.watcher)
        match command:
            case commands.Connect(adapter, name, options):
                return connecting.connect(adapter, name, dict(options))
            case commands.Disconnect(name):
                return self.tables.disconnected(connecting.disconnect(name))
            case unknown:
                assert_never(unknown)

    def _move(self, command: commands.Move) -> Result:
        match command:
            case commands.Import(place, into, mode):
                return self.importing.load(place, into, mode)
            case commands.Export(source, place, mode):
                from unify.interpreter.exporting import Exporting

                bound, _ = self.query.prepare(source, self.max_age)
                return Exporting(self.lake).save(bound, place, mode)
            case commands.RunFile(path):
                return RunScript(path)
            case unknown:
                assert_never(unknown)

    def _plan(self, command: commands.Plan) -> Result:
        from unify.interpreter.planning import Planning

        planning = Planning(self.sources, self.loads, self.tables, zone=self.zone, folder=Path.cwd())
        match command:
            case commands.RunEvery(path, every_s, starting):
                return planning.run_every(path, every_s, starting)
            case commands.RunAt(path, at):
                return planning.run_at(path, at)
            case commands.Unschedule(name):
                return planning.unschedule(name)
            case unknown:
                assert_never(unknown)

    def _vary(self, command: commands.Vary) -> Result:
        match command:
            case commands.Assign(name, sql):
                return Message(self.query.assign(name, sql, self.max_age))
            case commands.ShowVariable(name):
                return self.query.run(self.variables.query(name), self.max_age)
            case commands.Unset(name):
                return Message(f"${self.variables.unset(name)} is not set any more")
            case unknown:
                assert_never(unknown)

    def _converse(self, command: commands.Converse) -> Result:
        """Raises UsageError for a setting's value that means nothing."""
        match command:
            case commands.Set("keys", value):
                keys = keys_named(value)
                keep_keys(self.settings.home, keys)
                return UseKeys(keys)
            case commands.Set(name, value):
                self.max_age = MaxAge.parse(value)
                return Message(f"{name} = {self.max_age}")
            case commands.Help(topic):
                return Text(help_text(topic))
            case commands.Exit():
                return Leave()
            case unknown:
                assert_never(unknown)

    def _look(self, command: commands.Look) -> Result:
        match command:
            case commands.Count(table):
                return self.query.count(table, self.max_age)
            case commands.Describe(table):
                return self._columns(table or self._last_used())
            case commands.Peek(table, rows) if self._is_view(table):
                return self.query.peek_view(table, rows, self.max_age)
            case commands.Peek(table, rows):
                return self.peek.run(self._named(table), rows)
            case commands.Changes(table, ago_s, at):
                return self._changes(self._named(table), ago_s, at)
            case commands.CreateChart():
                return self._chart(command)
            case unknown:
                assert_never(unknown)

    def _columns(self, table: TableName, like: str | None = None) -> Result:
        return (
            self.query.view_columns(table, like)
            if self._is_view(table)
            else self.listing.columns(table, like)
        )

    def _is_view(self, table: TableName) -> bool:
        """Whether a connection's spec has a view of this name."""
        return self.sources.has(table.schema) and self.sources.view(table) is not None

    def _chart(self, command: commands.CreateChart) -> Result:
        from unify.interpreter import chartfiles
        from unify.interpreter.charting import Charting

        target = None if command.place is None else chartfiles.check(command.place, command.mode)
        bound, note = self.query.prepare(command.source, self.max_age)
        chart = Charting(self.lake).chart(command, bound, note)
        if target is None or command.place is None:
            return chart
        return chartfiles.save(chart, target, command.place, command.mode)

    def _changes(self, table: TableName, ago_s: float | None, at: str | None) -> Result:
        from unify.interpreter.changes import Changes

        changes = Changes(self.lake, self.sources)
        moment = changes.moment(at) if at is not None else datetime.now(UTC) - timedelta(seconds=ago_s or 0)
        return changes.since(table, moment)

    def _named(self, table: TableName) -> TableName:
        """The table as it is called where it is, and from now on the one used last. Raises UnknownName."""
        self.query.last_table = self.peek.spelled(table)
        return self.query.last_table

    def _last_used(self) -> TableName:
        if self.query.last_table is None:
            raise UnknownName("no table was used yet: describe SCHEMA.TABLE")
        return self.query.last_table
