"""Runs one statement: dispatches each command to the module that implements it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, assert_never

from msgspec.structs import replace

from unify.config.preferences import parse_keys, save_keys
from unify.config.settings import Settings
from unify.engine.types import quote_identifier as quoted
from unify.errors import FileError, NoSuchVersion, QueryError, UnknownName
from unify.fs.paths import absolute_path
from unify.interpreter import transactions
from unify.interpreter.commands.help import TOPICS, help_text
from unify.interpreter.freshness import DEFAULT_MAX_AGE, MaxAge
from unify.interpreter.query.missing_tables import explain_missing_table
from unify.interpreter.results import (
    CompletionNames,
    ExitShell,
    KeysChanged,
    LineProjection,
    Message,
    Result,
    Rows,
    RunScript,
    Stager,
    TextOutput,
    Watcher,
    plan_rows,
)
from unify.interpreter.session import Session
from unify.interpreter.system_columns import find_system_table
from unify.lake import catalog
from unify.lake.definitions import attached_table, find_view, temporary_table
from unify.language import commands, error_position
from unify.language.commands import Command
from unify.language.parser import parse
from unify.language.sql.analysis import analyse
from unify.language.statements import Statement
from unify.language.table_names import split_table_name
from unify.model import RowState, TableName
from unify.status import instance
from unify.text import format_count

if TYPE_CHECKING:
    from unify.interpreter.restriction import Restriction


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
        command = parse(Statement(statement, line), self.session.settings.cache)
        try:
            self._check(command, parameters or {})
            if not parameters:
                return self.execute(command, projection)
            with self.session.variables.statement_parameters(parameters):
                return self.execute(command, projection)
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
            return _run_sql(self.session, command.sql, projection)
        return _run_command(self.session, command)

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


def _run_command(session: Session, command: commands.UnifyCommand) -> Result:
    """Run a command of Unify, by its family."""
    if isinstance(command, commands.ListingCommand):
        return _run_listing(session, command)
    if isinstance(command, commands.LoadCommand):
        return _run_load_command(session, command)
    if isinstance(command, commands.SystemCommand):
        return _run_system_command(session, command)
    if isinstance(command, commands.WriteCommand):
        return _run_write_command(session, command)
    if isinstance(command, commands.SyncCommand):
        return _run_sync_command(session, command)
    if isinstance(command, commands.ConnectionCommand):
        return _run_connection_command(session, command)
    if isinstance(command, commands.VariableCommand):
        return _run_variable_command(session, command)
    if isinstance(command, commands.FileCommand):
        return _run_file_command(session, command)
    if isinstance(command, commands.ScheduleCommand):
        return _run_schedule_command(session, command)
    if isinstance(command, commands.SessionCommand):
        return _run_session_command(session, command)
    if isinstance(command, commands.InspectionCommand):
        return _run_table_command(session, command)
    assert_never(command)


def _run_sql(session: Session, sql: str, projection: LineProjection | None) -> Result:
    """Run SQL; a statement that changes rows of a connection becomes a write."""
    written = [ref for ref in analyse(sql).tables if ref.is_written and ref.schema]
    if any(session.connections.is_relational(ref.catalog or ref.schema) for ref in written):
        result = session.database_writes.run_statement(sql, session.max_age)
        if result is not None:
            return result
    if any(session.connections.has(ref.schema) for ref in written):
        result = session.write_commands.run_statement(sql, session.max_age)
        if result is not None:
            return result
    return session.query.run(sql, session.max_age, projection)


def _run_listing(session: Session, command: commands.ListingCommand) -> Result:
    match command:
        case commands.ShowConnections():
            return session.listing_commands.connections()
        case commands.ShowSchemas(connection):
            return session.listing_commands.schemas(connection)
        case commands.ShowTables(schema, inner):
            return session.listing_commands.tables(schema, inner)
        case commands.ShowColumns(table, like):
            return TableCommands(session).columns(table, like)
        case commands.ShowJobs():
            return session.listing_commands.jobs()
        case commands.ShowFiles(schema, like):
            return _run_show_files(session, schema, like)
        case commands.ShowVariables():
            return session.variables.listing()
        case commands.ShowSchedules():
            return session.listing_commands.schedules()
        case commands.ShowSettings():
            return session.listing_commands.settings(session.max_age)
        case commands.ShowWrites():
            return session.write_commands.list_writes()
        case commands.ShowSyncs():
            return session.sync_commands.list_syncs()
        case unknown:
            assert_never(unknown)


def _run_table_command(session: Session, command: commands.InspectionCommand) -> Result:
    looking = TableCommands(session)
    match command:
        case commands.CountRows(table):
            return session.query.count(table, session.max_age)
        case commands.DescribeTable(table):
            return looking.describe(table)
        case commands.PeekTable(table, rows):
            return looking.peek(table, rows)
        case commands.ShowChanges(table, ago_s, at):
            return looking.changes(table, ago_s, at)
        case commands.CreateChart():
            return looking.chart(command)
        case unknown:
            assert_never(unknown)


def _run_load_command(session: Session, command: commands.LoadCommand) -> Result:
    table = session.query.resolver.qualify_connection(command.table)
    match command:
        case commands.LoadTable():
            return session.load_commands.load(table)
        case commands.RefreshTable():
            return session.load_commands.refresh(table)
        case commands.ReloadTable():
            return session.load_commands.reload(table)
        case commands.ClearTable():
            return session.load_commands.clear(table)
        case commands.AcceptVersion():
            return session.load_commands.accept(table)
        case commands.RefreshEvery(_, every_s, starting):
            return session.load_commands.refresh_every(table, every_s, starting)
        case commands.RefreshNever():
            return session.load_commands.refresh_never(table)
        case unknown:
            assert_never(unknown)


def _run_system_command(session: Session, command: commands.SystemCommand) -> Result:
    match command:
        case commands.SystemStatus():
            return session.system_commands.status()
        case commands.StartDaemon():
            return session.system_commands.start()
        case commands.StopDaemon():
            return session.system_commands.stop()
        case commands.RestartDaemon():
            return session.system_commands.restart()
        case commands.CancelJob(job):
            return session.system_commands.cancel(job)
        case commands.ShowClients():
            return session.listing_commands.clients()
        case commands.CancelClient(client):
            return session.system_commands.cancel_client(client)
        case commands.RetryJob(job):
            return session.system_commands.retry(job)
        case commands.RetryAllJobs():
            return session.system_commands.retry_all()
        case commands.PauseLoads(target):
            return session.system_commands.pause(target)
        case commands.ResumeLoads(target):
            return session.system_commands.resume(target)
        case unknown:
            assert_never(unknown)


def _run_write_command(session: Session, command: commands.WriteCommand) -> Result:
    match command:
        case commands.ApproveWrite(write):
            return session.write_commands.approve(write)
        case commands.RetryWrite(write, outcome):
            return session.write_commands.retry(write, None if outcome is None else RowState(outcome))
        case commands.CancelWrite(write):
            return session.write_commands.cancel(write)
        case commands.UndoWrite(write):
            return session.write_commands.undo(write)
        case unknown:
            assert_never(unknown)


def _run_sync_command(session: Session, command: commands.SyncCommand) -> Result:
    match command:
        case commands.CreateSync():
            return session.sync_commands.create(command, session.max_age)
        case commands.RunSync(name):
            return session.sync_commands.run(name, session.max_age)
        case commands.DropSync(name):
            return session.sync_commands.drop(name)
        case unknown:
            assert_never(unknown)


def _run_connection_command(session: Session, command: commands.ConnectionCommand) -> Result:
    if isinstance(command, commands.QuerySource):
        return session.query.query_source(command.connection, command.sql, session.max_age)
    from unify.interpreter.commands.connect import ConnectionCommands

    connecting = ConnectionCommands(session.connections, session.watcher)
    match command:
        case commands.Connect(adapter, name, options):
            return connecting.connect(adapter, name, dict(options))
        case commands.Disconnect(name):
            return session.load_commands.end_schedules(connecting.disconnect(name))
        case unknown:
            assert_never(unknown)


def _export_rows(session: Session, command: commands.ExportRows) -> Result:
    """Write the rows of a SELECT to a table, or make a sync that does."""
    schema = command.table.schema
    if command.every_s is not None and not command.explain:
        return session.sync_commands.create_from_export(command, session.max_age)
    if session.store_files.has_store(schema):
        if command.explain:
            raise QueryError(f"explain export has no plan for files of {schema}; nothing was written")
        return _export_to_store(session, command)
    if session.connections.is_relational(schema):
        return session.database_writes.export(command, session.max_age, explain=command.explain)
    return session.write_commands.export_rows(command, session.max_age)


def _run_file_command(session: Session, command: commands.FileCommand) -> Result:
    match command:
        case commands.Import(place, into, mode):
            if isinstance(place, str):
                return session.importer.import_file(place, into, mode)
            with session.store_files.open_source(place) as files:
                return session.importer.import_files(files, str(place), into, mode)
        case commands.Export(source, place, mode):
            return _export(session, source, place, mode)
        case commands.ExportRows():
            return _export_rows(session, command)
        case commands.ExportMail():
            return session.write_commands.export_mail(command, session.max_age)
        case commands.CopyFiles(source, target, overwrite):
            return session.store_files.copy(source, target, overwrite=overwrite)
        case commands.RemoveFiles(place, recursive):
            return session.store_files.remove(place, recursive=recursive)
        case commands.FileUrl(place, seconds):
            return session.store_files.url(place, seconds)
        case commands.RunFile(path):
            return RunScript(path)
        case unknown:
            assert_never(unknown)


def _export(session: Session, source: str, place: commands.Place, mode: str | None) -> Result:
    from unify.interpreter.files.exporter import FileExporter

    exporter = FileExporter(session.lake)
    if isinstance(place, str):
        bound, _ = session.query.prepare(source, session.max_age)
        return exporter.export(bound, place, mode)
    with session.store_files.open_target(place, mode) as target:
        bound, _ = session.query.prepare(source, session.max_age)
        rows = exporter.write(bound, target.path, target.mode)
    return Message(f"{format_count(rows, 'row')} {'appended' if target.mode else 'written'} to {place}")


def _export_to_store(session: Session, command: commands.ExportRows) -> Result:
    from unify.interpreter.files.exporter import FileExporter
    from unify.interpreter.files.table_targets import StoreTables

    exporting = StoreTables(session.store_files, session.source_tables, FileExporter(session.lake))
    bound, _ = session.query.prepare(command.source, session.max_age)
    result = exporting.export(command, bound)
    if command.explain:
        return plan_rows(result.text)
    session.database_writes.note_change(command.table, only_new_rows=command.mode == "append")
    return result


def _run_show_files(session: Session, schema: str | None, like: str | None) -> Result:
    if schema is not None and session.store_files.has_store(schema):
        return session.store_files.list_files(schema, like)
    if schema is not None:
        session.listing_commands.check_schema(schema)
    return session.importer.list_files(schema, like)


def _run_schedule_command(session: Session, command: commands.ScheduleCommand) -> Result:
    from unify.interpreter.commands.schedules import ScheduleCommands

    planning = ScheduleCommands(
        session.connections,
        session.load_client,
        session.load_commands,
        zone=session.zone,
        folder=absolute_path("."),
    )
    match command:
        case commands.RunEvery(path, every_s, starting):
            return planning.run_every(path, every_s, starting)
        case commands.RunAt(path, at):
            return planning.run_at(path, at)
        case commands.Unschedule(name):
            return planning.unschedule(name)
        case unknown:
            assert_never(unknown)


def _run_variable_command(session: Session, command: commands.VariableCommand) -> Result:
    match command:
        case commands.Assign(name, sql):
            return Message(session.query.assign(name, sql, session.max_age))
        case commands.ShowVariable(name):
            return session.query.run(session.variables.query(name), session.max_age)
        case commands.Unset(name):
            return Message(f"${session.variables.unset(name)} is not set any more")
        case unknown:
            assert_never(unknown)


def _run_session_command(session: Session, command: commands.SessionCommand) -> Result:
    """Run a command of the session. Raises UsageError for an invalid value of a setting."""
    match command:
        case commands.ChangeSetting("keys", value):
            keys = parse_keys(value)
            save_keys(session.settings.home, keys)
            return KeysChanged(keys)
        case commands.ChangeSetting(name, value):
            session.max_age = MaxAge.parse(value)
            return Message(f"{name} = {session.max_age}")
        case commands.ShowHelp(topic):
            return TextOutput(help_text(topic), prose=True)
        case commands.Exit():
            return ExitShell()
        case unknown:
            assert_never(unknown)


class TableCommands:
    """Commands about one table: stored, offered by a connection, a view or one of the system's tables."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def describe(self, table: TableName | None) -> Result:
        """Return the columns of ``table``, or of the table used last."""
        if table is not None and (outside := self._outside_name(table)) is not None:
            return self.session.query.run(f"DESCRIBE {outside}", self.session.max_age)
        result = self.columns(table or self._last_table())
        self.session.query.last_table = table or self.session.query.last_table
        return result

    def columns(self, table: TableName, like: str | None = None) -> Result:
        """Return the columns whose name matches a LIKE pattern."""
        name = self.session.query.resolver.qualify(table)
        if self._is_spec_view(name):
            return self.session.query.view_columns(name, like)
        if self._is_source(name):
            return self.session.listing_commands.columns(name, like)
        if find_view(self.session.lake, name) is not None:
            self.session.query.provide_sources(name)
        return self.session.listing_commands.columns(name, like)

    def peek(self, table: TableName, rows: int | None) -> Result:
        """Return a few rows. A view is computed, and its tables are loaded first."""
        query = self.session.query
        name = query.resolver.qualify(table)
        if self._is_source(name):
            return self._peek_source(name, rows)
        if self._is_spec_view(name) or find_system_table(name) is not None:
            return query.peek_view(name, rows, self.session.max_age)
        if (outside := self._table_outside_lake(name)) is not None:
            return query.peek_view(outside, rows, self.session.max_age)
        if find_view(self.session.lake, name) is not None:
            query.provide_tables(name, self.session.max_age)
        return self.session.peek_command.run(self._resolve_name(name), rows)

    def changes(self, table: TableName, ago_s: float | None, at: str | None) -> Result:
        """Return the rows that changed since ``ago_s`` seconds ago, or since the time ``at``."""
        from unify.interpreter.commands.changes import ChangesQuery

        name = self._resolve_name(table)
        changes = ChangesQuery(self.session.lake, self.session.connections)
        moment = (
            changes.parse_moment(at) if at is not None else datetime.now(UTC) - timedelta(seconds=ago_s or 0)
        )
        return changes.rows_since(name, moment)

    def chart(self, command: commands.CreateChart) -> Result:
        """Show or save a chart. The file is checked before its tables are loaded."""
        from unify.interpreter.charts import vega
        from unify.interpreter.charts.query import ChartBuilder

        target = None if command.path is None else vega.check_chart_file(command.path, command.mode)
        bound, note = self.session.query.prepare(command.source, self.session.max_age)
        chart = ChartBuilder(self.session.lake).build(command, bound, note)
        if target is None or command.path is None:
            return chart
        return vega.save_chart(chart, target, command.path, command.mode)

    def _table_outside_lake(self, name: TableName) -> TableName | None:
        """A temporary table, or one of an attached database where the lake has none of that name."""
        lake, connections = self.session.lake, self.session.connections
        if (temporary := temporary_table(lake, name)) is not None:
            return temporary
        in_lake = connections.has(name.schema) or find_view(lake, name) or catalog.table_columns(lake, name)
        return None if in_lake else attached_table(lake, name)

    def _outside_name(self, table: TableName) -> str | None:
        """``database.schema.table`` in SQL, of a database that the user has attached."""
        if not table.schema or table.schema.lower() == "lake" or self._is_source(table):
            return None
        try:
            schema, name = split_table_name(table.table)
        except ValueError:
            return None
        return ".".join(map(quoted, (table.schema, schema, name))) if schema else None

    def _peek_source(self, name: TableName, rows: int | None) -> Result:
        """Return a few rows of a table of a database or store: stored ones if there are any."""
        stored = self.session.source_tables.stored_name(name)
        max_age = self.session.max_age if stored is not None else MaxAge(limit_s=0)
        result = self.session.query.peek_view(stored or name, rows, max_age)
        return self.session.peek_command.choose_columns(result) if isinstance(result, Rows) else result

    def _is_source(self, name: TableName) -> bool:
        return self.session.connections.is_relational(name.schema)

    def _is_spec_view(self, table: TableName) -> bool:
        connections = self.session.connections
        return connections.has(table.schema) and connections.view(table) is not None

    def _resolve_name(self, table: TableName) -> TableName:
        """Return the canonical name of a table, recorded as the table used last. Raises UnknownName."""
        name = self.session.peek_command.resolve_name(self.session.query.resolver.qualify(table))
        self.session.query.last_table = name
        return name

    def _last_table(self) -> TableName:
        last = self.session.query.last_table
        if last is None:
            raise UnknownName("no table was used yet: describe SCHEMA.TABLE")
        return last
