"""Passes each command, by its family, to the module that runs it."""

from __future__ import annotations

from typing import assert_never

from unify.config.preferences import parse_keys, save_keys
from unify.fs.paths import absolute_path
from unify.interpreter.commands.help import help_text
from unify.interpreter.dispatch.files import run_file_command, run_show_files
from unify.interpreter.dispatch.tables import TableCommands
from unify.interpreter.freshness import MaxAge
from unify.interpreter.results import (
    ExitShell,
    KeysChanged,
    LineProjection,
    Message,
    Result,
    TextLines,
    TextOutput,
)
from unify.interpreter.session import Session
from unify.language import commands
from unify.language.sql.analysis import analyse
from unify.model import RowState


def run_command(session: Session, command: commands.UnifyCommand) -> Result:
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
    if isinstance(command, commands.WatchCommand):
        return _run_watch_command(session, command)
    if isinstance(command, commands.ConnectionCommand):
        return _run_connection_command(session, command)
    if isinstance(command, commands.VariableCommand):
        return _run_variable_command(session, command)
    if isinstance(command, commands.FileCommand):
        return run_file_command(session, command)
    if isinstance(command, commands.ScheduleCommand):
        return _run_schedule_command(session, command)
    if isinstance(command, commands.SessionCommand):
        return _run_session_command(session, command)
    if isinstance(command, commands.InspectionCommand):
        return _run_table_command(session, command)
    assert_never(command)


def run_sql(session: Session, sql: str, projection: LineProjection | None) -> Result:
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
            return run_show_files(session, schema, like)
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


def _run_watch_command(session: Session, command: commands.WatchCommand) -> Result:
    match command:
        case commands.WatchRows(target=None, name=""):
            return TextLines(session.shown_changes.lines(command, session.max_age))
        case commands.WatchRows():
            return session.watch_commands.create(command, session.max_age)
        case commands.RunWatch(name):
            return session.watch_commands.run(name, session.max_age)
        case commands.Unwatch(name):
            return session.watch_commands.drop(name)
        case commands.ShowWatches():
            return session.watch_commands.list_watches()
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
        case commands.RunEvery():
            return planning.run_every(command)
        case commands.RunAt():
            return planning.run_at(command)
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
