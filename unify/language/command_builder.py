"""Builds a command from each parse tree: a method for each rule of grammar.lark."""

from __future__ import annotations

from datetime import datetime, time
from typing import Literal

from lark import Token, v_args
from msgspec.structs import replace

from unify.language import chart_settings, commands
from unify.language.command_values import (
    BadValue,
    NotebookOption,
    RowOptions,
    parse_job,
    parse_row_count,
    select_sql,
    start_position,
    table_part,
    variable_name,
)
from unify.language.commands import Command
from unify.language.statements import UNIFY_SETTINGS
from unify.language.sync_builder import SyncBuilder
from unify.language.tokenizer import unquote
from unify.model import TableName
from unify.text import did_you_mean


@v_args(inline=True)
class CommandBuilder(SyncBuilder):
    """Builds a command for each rule of the grammar, in the order of grammar.lark."""

    # --- Listings

    def show_connections(self) -> Command:
        return commands.ShowConnections()

    def show_schemas(self, connection: str | None) -> Command:
        return commands.ShowSchemas(connection)

    def show_tables(self, scope: tuple[str, str] | None) -> Command:
        return commands.ShowTables(*(scope or (None, "")))

    def show_columns(self, table: TableName, like: str | None) -> Command:
        return commands.ShowColumns(table, like)

    def show_jobs(self) -> Command:
        return commands.ShowJobs()

    def show_files(self, schema: str | None, like: str | None) -> Command:
        return commands.ShowFiles(schema, like)

    def show_variables(self) -> Command:
        return commands.ShowVariables()

    def show_settings(self) -> Command:
        return commands.ShowSettings()

    def show_schedules(self) -> Command:
        return commands.ShowSchedules()

    def show_writes(self) -> Command:
        return commands.ShowWrites()

    def show_clients(self) -> Command:
        return commands.ShowClients()

    def describe(self, table: TableName | None) -> Command:
        return commands.DescribeTable(table)

    def describe_last(self) -> Command:
        return commands.DescribeTable(None)

    def peek(self, table: TableName, rows: Token | None) -> Command:
        return commands.PeekTable(table, None if rows is None else parse_row_count(rows))

    def count(self, table: TableName) -> Command:
        return commands.CountRows(table)

    def changes(self, table: TableName, since: tuple[float | None, str | None]) -> Command:
        return commands.ShowChanges(table, *since)

    # --- Loads

    def load(self, table: TableName) -> Command:
        return commands.LoadTable(table)

    def refresh(self, table: TableName) -> Command:
        return commands.RefreshTable(table)

    def refresh_every(self, table: TableName, every_s: float, starting: time | None) -> Command:
        return commands.RefreshEvery(table, every_s, starting)

    def refresh_never(self, table: TableName) -> Command:
        return commands.RefreshNever(table)

    def reload(self, table: TableName) -> Command:
        return commands.ReloadTable(table)

    def clear(self, table: TableName) -> Command:
        return commands.ClearTable(table)

    def accept(self, table: TableName) -> Command:
        return commands.AcceptVersion(table)

    # --- Daemon and jobs

    def system_status(self) -> Command:
        return commands.SystemStatus()

    def start_daemon(self) -> Command:
        return commands.StartDaemon()

    def stop_daemon(self) -> Command:
        return commands.StopDaemon()

    def restart_daemon(self) -> Command:
        return commands.RestartDaemon()

    def cancel_job(self, job: Token) -> Command:
        return commands.CancelJob(parse_job(job))

    def cancel_client(self, client: Token) -> Command:
        return commands.CancelClient(parse_job(client))

    def retry_job(self, job: Token) -> Command:
        return commands.RetryJob(parse_job(job))

    def retry_all_jobs(self) -> Command:
        return commands.RetryAllJobs()

    def pause(self, target: TableName) -> Command:
        return commands.PauseLoads(target)

    def resume(self, target: TableName) -> Command:
        return commands.ResumeLoads(target)

    # --- Writes

    def approve_write(self, write: Token) -> Command:
        return commands.ApproveWrite(parse_job(write))

    def retry_write(self, write: Token, outcome: Literal["rejected", "unknown"] | None) -> Command:
        return commands.RetryWrite(parse_job(write), outcome)

    def cancel_write(self, write: Token) -> Command:
        return commands.CancelWrite(parse_job(write))

    def undo_write(self, write: Token) -> Command:
        return commands.UndoWrite(parse_job(write))

    def rejected(self) -> str:
        return "rejected"

    def unknown(self) -> str:
        return "unknown"

    # --- Connections

    def connect(self, adapter: Token | None, name: str | None, *options: tuple[str, str] | None) -> Command:
        given = tuple(option for option in options if option is not None)
        return commands.Connect(None if adapter is None else str(adapter), name, given)

    def disconnect(self, name: str) -> Command:
        return commands.Disconnect(name)

    def query_source(self, connection: str, sql: str) -> Command:
        return commands.QuerySource(connection, sql)

    # --- Variables

    def assign(self, name: Token, sql: Token) -> Command:
        return commands.Assign(variable_name(name), self._source_text(sql))

    def show_variable(self, name: Token) -> Command:
        return commands.ShowVariable(variable_name(name))

    def unset(self, name: Token) -> Command:
        return commands.Unset(variable_name(name))

    # --- Files

    def import_file(self, place: commands.Place, into: TableName | None, mode: str | None) -> Command:
        return commands.Import(place, into, mode)

    def export(self, source: TableName | str, place: commands.Place, mode: str | None) -> Command:
        return commands.Export(select_sql(source), place, mode)

    def export_rows(
        self,
        source: TableName | str,
        table: TableName,
        *options: *RowOptions,
    ) -> Command:
        mode, key, delta, gone, adopt, name, every_s = options
        rows = commands.ExportRows(
            select_sql(source), table, mode, key or (), delta is True, gone, name or "", every_s
        )
        return replace(rows, adopt=adopt is True)

    def explain_export(self, source: TableName | str, table: TableName, *options: *RowOptions) -> Command:
        plain = self.export_rows(source, table, *options)
        assert isinstance(plain, commands.ExportRows)
        return replace(plain, explain=True)

    def export_mail(
        self,
        source: TableName | str,
        mailer: str,
        *options: str | commands.MailFormat | None,
    ) -> commands.ExportMail:
        *addresses, subject, format = options
        to = tuple(address for address in addresses if address is not None)
        kind: commands.MailFormat = next((each for each in commands.MAIL_FORMATS if each == format), "html")
        return commands.ExportMail(select_sql(source), mailer, to, subject or "", kind)

    def explain_mail(
        self, source: TableName | str, mailer: str, *options: str | commands.MailFormat | None
    ) -> Command:
        return replace(self.export_mail(source, mailer, *options), explain=True)

    def mailer(self, name: Token) -> str:
        return unquote(name)

    def subject(self, text: str) -> str:
        return text

    def mail_format(self, word: Token) -> commands.MailFormat:
        return next(format for format in commands.MAIL_FORMATS if format == word.lower())

    def row_mode(self, word: Token) -> commands.RowMode:
        """Return the mode; overwrite is the word for files."""
        written = "replace" if word.lower() == "overwrite" else word.lower()
        return next(mode for mode in commands.ROW_MODES if mode == written)

    def gone(self, word: Token) -> commands.GoneRows:
        return next(gone for gone in commands.GONE_ROWS if gone == word.lower())

    def keys(self, *names: Token) -> tuple[str, ...]:
        return tuple(unquote(name) for name in names)

    def delta(self) -> bool:
        return True

    def adopt(self) -> bool:
        return True

    def sync(self, name: Token) -> str:
        return unquote(name)

    def copy_files(self, source: commands.Place, target: commands.Place, mode: str | None) -> Command:
        return commands.CopyFiles(source, target, mode == "overwrite")

    def remove_files(self, place: commands.StorePath, recursive: bool | None) -> Command:
        return commands.RemoveFiles(place, recursive is True)

    def file_url(self, place: commands.StorePath, seconds: float | None) -> Command:
        return commands.FileUrl(place, seconds)

    def recursive(self) -> bool:
        return True

    def exported_file(self, connection: Token, path: Token) -> commands.StorePath:
        return self.store_path(connection, path)

    def exported_table(self, connection: Token, table: Token, inner: Token | None) -> TableName:
        return TableName(unquote(connection), table_part(table, inner))

    def store_path(self, connection: Token, path: Token) -> commands.StorePath:
        return commands.StorePath(unquote(connection), unquote(path))

    def run_file(self, path: str, *options: NotebookOption) -> Command:
        return commands.RunFile(path, self.notebook_options(path, options))

    def run_every(
        self, path: str, every_s: float, starting: time | None, *options: NotebookOption
    ) -> Command:
        return commands.RunEvery(path, every_s, starting, self.notebook_options(path, options))

    def run_at(self, path: str, at: datetime | time, *options: NotebookOption) -> Command:
        return commands.RunAt(path, at, self.notebook_options(path, options))

    def unschedule(self, name: TableName) -> Command:
        return commands.Unschedule(name)

    def overwrite(self) -> str:
        return "overwrite"

    def append(self) -> str:
        return "append"

    # --- Charts

    def create_chart(
        self,
        name: str | None,
        source: TableName | str,
        kind: commands.ChartKind,
        given: tuple[chart_settings.ChartAssignment, ...] | None,
        destination: tuple[str, str | None] | None,
    ) -> Command:
        try:
            settings = chart_settings.build_chart_settings(kind, name, given or ())
        except chart_settings.InvalidChartSettings as error:
            raise BadValue(str(error), len(self.text) if error.start is None else error.start) from None
        return commands.CreateChart(select_sql(source), kind, settings, *(destination or (None, None)))

    def chart(self, name: Token) -> str:
        return unquote(name)

    def kind(self, word: Token) -> commands.ChartKind:
        return next(kind for kind in commands.CHART_KINDS if kind == word.lower())

    def settings(self, *given: chart_settings.ChartAssignment) -> tuple[chart_settings.ChartAssignment, ...]:
        return given

    def setting(self, name: Token, value: Token) -> chart_settings.ChartAssignment:
        return chart_settings.ChartAssignment(name.lower(), unquote(value), start_position(name))

    def column_setting(self, name: Token) -> Token:
        return name

    def text_setting(self, name: Token) -> Token:
        return name

    def destination(self, place: str, mode: str | None) -> tuple[str, str | None]:
        return place, mode

    # --- Session

    def help(self, *topic: Token) -> Command:
        return commands.ShowHelp(" ".join(topic) or None)

    def exit(self) -> Command:
        return commands.Exit()

    def set(self, name: Token, value: str) -> Command:
        if name.lower() not in UNIFY_SETTINGS:
            raise BadValue(
                f"there is no setting {name}{did_you_mean(name, UNIFY_SETTINGS)}", start_position(name)
            )
        return commands.ChangeSetting(str(name).lower(), value)
