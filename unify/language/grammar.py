"""The Lark parser of commands and the transformer that builds a command from its parse tree.

Imported by the first command of a session, so that SQL alone does not import Lark.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, time
from importlib.resources import files
from pathlib import Path
from typing import Literal

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import VisitError
from msgspec.structs import replace

from unify.durations import parse_duration
from unify.engine.types import quote_identifier
from unify.language import chart_settings, commands
from unify.language.commands import Command
from unify.language.statements import UNIFY_SETTINGS
from unify.language.sync_source import mask_sql
from unify.language.table_names import join_table_name
from unify.language.tokenizer import is_select, unquote
from unify.model import TableName
from unify.text import did_you_mean

GRAMMAR_FILE = "grammar.lark"
CACHE_FILE = "grammar.cache"
_CLOCK_PATTERN = re.compile(r"\d{1,2}:\d{2}")
# The options of an export of rows, as the grammar has them: mode, key, delta, gone, name, every.
RowOptions = tuple[
    commands.RowMode | None,
    tuple[str, ...] | None,
    bool | None,
    commands.GoneRows | None,
    str | None,
    float | None,
]
# Those of a sync: key, gone, cursor, SELECT, trigger, callback.
SyncOptions = tuple[
    tuple[str, ...] | None,
    commands.GoneRows | None,
    Token | None,
    str,
    tuple[float | None, TableName | None] | None,
    tuple[str, str, str] | None,
]
_build_lock = threading.Lock()
_built_parsers: list[Lark] = []  # the one of this process, for sessions of any home


class BadValue(Exception):
    """A value of the right form that is invalid, such as 25:00. ``start`` is its position in the text."""

    def __init__(self, message: str, start: int) -> None:
        super().__init__(message)
        self.message = message
        self.start = start


class _CachePath(str):
    """The path of the cache, left out of what Lark compares: the cache of a copied or moved home is valid."""

    __slots__ = ()

    def __str__(self) -> str:
        return CACHE_FILE


def grammar_text() -> str:
    """Return grammar.lark: from the package if installed, from the top of the repository in a checkout."""
    packaged = files("unify") / GRAMMAR_FILE
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / GRAMMAR_FILE).read_text(encoding="utf-8")


def load_parser(cache_folder: Path | None = None) -> Lark:
    """Return the parser, built once per process and cached in ``cache_folder`` for the next one.

    A cache that cannot be read or written only costs the time to build the parser.
    """
    with _build_lock:
        if not _built_parsers:
            _built_parsers.append(build_parser(cache_folder))
        return _built_parsers[0]


def build_parser(cache_folder: Path | None) -> Lark:
    stored: str | bool = False
    if cache_folder is not None:
        path = cache_folder / CACHE_FILE
        with suppress(OSError):  # Lark keeps the mode of an existing file: created here as 0600
            path.touch(mode=0o600)
        if path.is_file():  # a pipe would block for ever
            stored = _CachePath(path)
    return Lark(grammar_text(), parser="lalr", lexer="contextual", cache=stored)


def parse_command(text: str, cache_folder: Path | None = None) -> Command:
    """Parse ``text``, whose comments are replaced by blanks, into a command.

    Raises:
        lark.exceptions.UnexpectedInput: a syntax error.
        BadValue: an invalid value.
    """
    tree = load_parser(cache_folder).parse(mask_sql(text))
    try:
        return CommandBuilder(text).transform(tree)
    except VisitError as error:
        raise error.orig_exc from None


@v_args(inline=True)
class CommandBuilder(Transformer[Token, Command]):
    """Builds a command for each rule of the grammar, in the order of grammar.lark.

    ``text``  the parsed text; SQL in brackets is taken from it.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

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
        return commands.PeekTable(table, None if rows is None else _parse_row_count(rows))

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
        return commands.CancelJob(_parse_job(job))

    def cancel_client(self, client: Token) -> Command:
        return commands.CancelClient(_parse_job(client))

    def retry_job(self, job: Token) -> Command:
        return commands.RetryJob(_parse_job(job))

    def retry_all_jobs(self) -> Command:
        return commands.RetryAllJobs()

    def pause(self, target: TableName) -> Command:
        return commands.PauseLoads(target)

    def resume(self, target: TableName) -> Command:
        return commands.ResumeLoads(target)

    # --- Writes

    def show_syncs(self) -> Command:
        return commands.ShowSyncs()

    def create_sync(
        self, name: str, mode: commands.RowMode, table: TableName, *options: *SyncOptions
    ) -> Command:
        key, gone, cursor, source, trigger, callback = options
        rows = commands.ExportRows(source, table, mode, key or (), delta=True, gone=gone)
        every_s, after = trigger or (None, None)
        return commands.CreateSync(
            name,
            rows,
            "" if cursor is None else unquote(cursor),
            every_s,
            after,
            *(callback or ("", "", "")),
        )

    def bare_select(self, text: Token) -> str:
        return self._source_text(text).strip()

    def sync_every(self, every_s: float) -> tuple[float | None, TableName | None]:
        return every_s, None

    def sync_after(self, table: TableName) -> tuple[float | None, TableName | None]:
        return None, table

    def callback(self, target: Token | str, secret: str | None = None) -> tuple[str, str, str]:
        if not isinstance(target, Token):
            return target, "", ""
        address = unquote(target)
        if not address.lower().startswith(("https://", "http://")):
            raise BadValue("expected an address with https:// or http://", _start_position(target))
        return "", address, secret or ""

    def run_sync(self, name: str) -> Command:
        return commands.RunSync(name)

    def drop_sync(self, name: str) -> Command:
        return commands.DropSync(name)

    def approve_write(self, write: Token) -> Command:
        return commands.ApproveWrite(_parse_job(write))

    def retry_write(self, write: Token, outcome: Literal["rejected", "unknown"] | None) -> Command:
        return commands.RetryWrite(_parse_job(write), outcome)

    def cancel_write(self, write: Token) -> Command:
        return commands.CancelWrite(_parse_job(write))

    def undo_write(self, write: Token) -> Command:
        return commands.UndoWrite(_parse_job(write))

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
        return commands.Assign(_variable_name(name), self._source_text(sql))

    def show_variable(self, name: Token) -> Command:
        return commands.ShowVariable(_variable_name(name))

    def unset(self, name: Token) -> Command:
        return commands.Unset(_variable_name(name))

    # --- Files

    def import_file(self, place: commands.Place, into: TableName | None, mode: str | None) -> Command:
        return commands.Import(place, into, mode)

    def export(self, source: TableName | str, place: commands.Place, mode: str | None) -> Command:
        return commands.Export(_select_sql(source), place, mode)

    def export_rows(
        self,
        source: TableName | str,
        table: TableName,
        *options: *RowOptions,
    ) -> Command:
        mode, key, delta, gone, name, every_s = options
        return commands.ExportRows(
            _select_sql(source), table, mode, key or (), delta is True, gone, name or "", every_s
        )

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
        return commands.ExportMail(_select_sql(source), mailer, to, subject or "", kind)

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
        return TableName(unquote(connection), _table_part(table, inner))

    def store_path(self, connection: Token, path: Token) -> commands.StorePath:
        return commands.StorePath(unquote(connection), unquote(path))

    def run_file(self, path: str) -> Command:
        return commands.RunFile(path)

    def run_every(self, path: str, every_s: float, starting: time | None) -> Command:
        return commands.RunEvery(path, every_s, starting)

    def run_at(self, path: str, at: datetime | time) -> Command:
        return commands.RunAt(path, at)

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
        return commands.CreateChart(_select_sql(source), kind, settings, *(destination or (None, None)))

    def chart(self, name: Token) -> str:
        return unquote(name)

    def kind(self, word: Token) -> commands.ChartKind:
        return next(kind for kind in commands.CHART_KINDS if kind == word.lower())

    def settings(self, *given: chart_settings.ChartAssignment) -> tuple[chart_settings.ChartAssignment, ...]:
        return given

    def setting(self, name: Token, value: Token) -> chart_settings.ChartAssignment:
        return chart_settings.ChartAssignment(name.lower(), unquote(value), _start_position(name))

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
                f"there is no setting {name}{did_you_mean(name, UNIFY_SETTINGS)}", _start_position(name)
            )
        return commands.ChangeSetting(str(name).lower(), value)

    # --- Shared rules

    def table(self, first: Token, second: Token | None, third: Token | None) -> TableName:
        """Return the name; of three parts, the last two are the table: ``sales.orders``."""
        if second is None:
            return TableName("", unquote(first))
        return TableName(unquote(first), _table_part(second, third))

    any_table = table

    def scope(self, connection: Token, schema: Token | None) -> tuple[str, str]:
        return unquote(connection), "" if schema is None else unquote(schema)

    def schema(self, name: Token) -> str:
        return unquote(name)

    def connection(self, name: Token) -> str:
        return unquote(name)

    def option(self, name: Token, value: Token) -> tuple[str, str]:
        return str(name), unquote(value)

    def string(self, text: Token) -> str:
        return unquote(text)

    script = string

    def variable(self, name: Token) -> str:
        return f"SELECT * FROM {name}"

    def query(self, brackets: Token) -> str:
        sql = self._source_text(brackets)[1:-1].strip()
        if not is_select(sql):
            raise BadValue("expected a SELECT in brackets", _start_position(brackets))
        return sql

    def duration(self, *parts: Token) -> float:
        return _parse_interval(parts)

    def moment(self, *parts: Token) -> tuple[float | None, str | None]:
        return _parse_since(parts)

    def clock(self, text: Token) -> time:
        return _parse_clock(text)

    def at(self, text: Token) -> datetime | time:
        return _parse_start_at(text)

    def scheduled(self, first: Token, second: Token | None, third: Token | None) -> TableName:
        return self.any_table(first, second, third)

    def target(self, connection: Token, table: Token | None, inner: Token | None) -> TableName:
        return TableName(unquote(connection), "" if table is None else _table_part(table, inner))

    def value(self, *words: Token) -> str:
        return " ".join(unquote(word) for word in words)

    def _source_text(self, token: Token) -> str:
        """Return the text of a token, including the content of its brackets."""
        return self.text[_start_position(token) : _start_position(token) + len(token)]


def _table_part(table: Token, inner: Token | None) -> str:
    """Return the name of a table within its connection: ``orders``, or ``sales.orders``."""
    return unquote(table) if inner is None else join_table_name(unquote(table), unquote(inner))


def _variable_name(name: Token) -> str:
    return str(name).removeprefix("$")


def _select_sql(source: TableName | str) -> str:
    return source if isinstance(source, str) else f"SELECT * FROM {_quoted_name(source)}"


def _quoted_name(table: TableName) -> str:
    return ".".join(quote_identifier(part) for part in (table.schema, table.table) if part)


def _parse_interval(parts: Sequence[Token]) -> float:
    text = " ".join(unquote(part) for part in parts)
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise BadValue(str(error), _start_position(parts[0])) from None
    if seconds <= 0:
        raise BadValue(
            f"every {text} is not allowed; write an interval such as every 15 minutes",
            _start_position(parts[0]),
        )
    return seconds


def _parse_since(parts: Sequence[Token]) -> tuple[float | None, str | None]:
    """Return seconds ago, or the text of a timestamp, which DuckDB parses later."""
    text = " ".join(unquote(part) for part in parts)
    try:
        return parse_duration(text), None
    except ValueError as error:
        if len(parts) == 1:
            return None, text
        raise BadValue(str(error), _start_position(parts[0])) from None


def _parse_clock(text: Token) -> time:
    hours, _, minutes = unquote(text).partition(":")
    try:
        return time(int(hours), int(minutes))
    except ValueError:
        raise BadValue(f"{text} is not a time of day; write it like 08:00", _start_position(text)) from None


def _parse_start_at(text: Token) -> datetime | time:
    moment = " ".join(unquote(text).split())
    if text.type == "CLOCK" or _CLOCK_PATTERN.fullmatch(moment):
        return _parse_clock(text)
    try:
        return datetime.fromisoformat(moment)
    except ValueError:
        example = "write it like '2026-03-01 08:00'"
        raise BadValue(f"{text} is not a date and time; {example}", _start_position(text)) from None


def _parse_job(number: Token) -> int:
    if len(number) > 18:  # larger than any SQLite integer
        raise BadValue(f"there is no job {number[:18]}…", _start_position(number))
    return int(number)


def _parse_row_count(number: Token) -> int:
    if not 0 < int(number[:19]) <= 10**9:
        raise BadValue("the number of rows must be at least 1", _start_position(number))
    return int(number)


def _start_position(token: Token) -> int:
    return token.start_pos or 0
