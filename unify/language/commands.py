"""Commands: one frozen struct for each statement of Unify's own, and ``RunSql`` for SQL.

msgspec Structs, because forty dataclasses add 20 ms to every start.
A new command is a struct here, a rule in grammar.lark and a method of ``command_builder.CommandBuilder``; the
type checker then lists every ``match`` that has to handle it (``assert_never``).
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Literal, get_args

from msgspec import Struct

from unify.model import RowCondition, TableName, WatchTarget

ChartKind = Literal["area_chart", "bar_chart", "hbar_chart", "line_chart", "pie_chart", "scatter_chart"]
RowMode = Literal["insert", "update", "upsert", "mirror", "append", "replace", "merge"]
ROW_MODES: tuple[RowMode, ...] = get_args(RowMode)
GoneRows = Literal["nothing", "clear", "delete"]
GONE_ROWS: tuple[GoneRows, ...] = get_args(GoneRows)
CHART_KINDS: tuple[ChartKind, ...] = get_args(ChartKind)


class RunSql(Struct, frozen=True):
    """SQL for DuckDB, unchanged. ``line``: its first line in the script, from 1."""

    sql: str
    line: int = 1


class ShowConnections(Struct, frozen=True):
    """``show connections``"""


class ShowSchemas(Struct, frozen=True):
    """``show schemas [from shop]``: those of a database, or of the session (None)."""

    connection: str | None = None


class ShowTables(Struct, frozen=True):
    """``show tables [from github|shop.sales]``: one schema, or all (None).

    ``inner``  a schema of the database ``schema``; "" for its configured ones.
    """

    schema: str | None = None
    inner: str = ""


class ShowColumns(Struct, frozen=True):
    """``show columns from github.pulls [like 'p']``: ``like`` is an SQL LIKE pattern or None."""

    table: TableName
    like: str | None = None


class ShowJobs(Struct, frozen=True):
    """``show jobs``"""


class ShowFiles(Struct, frozen=True):
    """``show files [from S] [like 'p']``: files that tables were imported from, or those of a connection."""

    schema: str | None = None
    like: str | None = None


class ShowVariables(Struct, frozen=True):
    """``show variables``"""


class ShowSettings(Struct, frozen=True):
    """``show settings``"""


class ShowSchedules(Struct, frozen=True):
    """``show schedules``"""


class DescribeTable(Struct, frozen=True):
    """``describe github.pulls`` or ``??`` (None: the last table used). A bare name has schema ""."""

    table: TableName | None = None


class PeekTable(Struct, frozen=True):
    """``peek github.pulls [10]``. ``rows`` is None for the default number. A bare name has schema ""."""

    table: TableName
    rows: int | None = None


class CountRows(Struct, frozen=True):
    """``count github.pulls``. A bare name has schema ""."""

    table: TableName


class ShowChanges(Struct, frozen=True):
    """``changes github.pulls since 2 hours|'2026-03-01 08:00'``: either ``ago_s`` or ``since`` is set."""

    table: TableName
    ago_s: float | None = None
    since: str | None = None


class LoadTable(Struct, frozen=True):
    """``load table github.pulls``: load it for the first time."""

    table: TableName


class RefreshTable(Struct, frozen=True):
    """``refresh table github.pulls``: load the changes now."""

    table: TableName


class ReloadTable(Struct, frozen=True):
    """``reload table github.pulls``: load all rows again."""

    table: TableName


class ClearTable(Struct, frozen=True):
    """``clear table github.pulls``: delete the stored rows."""

    table: TableName


class AcceptVersion(Struct, frozen=True):
    """``accept table github.pulls``: publish the version that was held back."""

    table: TableName


class RefreshEvery(Struct, frozen=True):
    """``refresh table github.pulls every 15 minutes [starting 08:00]``

    ``starting``  local time of day of the first refresh; None: now.
    """

    table: TableName
    every_s: float
    starting: time | None = None


class RefreshNever(Struct, frozen=True):
    """``refresh table github.pulls never``: remove its schedule."""

    table: TableName


class SystemStatus(Struct, frozen=True):
    """``system status``"""


class StartDaemon(Struct, frozen=True):
    """``system start daemon``"""


class StopDaemon(Struct, frozen=True):
    """``system stop daemon``"""


class RestartDaemon(Struct, frozen=True):
    """``system restart daemon``"""


class CancelJob(Struct, frozen=True):
    """``system cancel 12``"""

    job: int


class CancelClient(Struct, frozen=True):
    """``system cancel client 4``: end the statement that a client of a server runs."""

    client: int


class RetryJob(Struct, frozen=True):
    """``system retry 12``"""

    job: int


class RetryAllJobs(Struct, frozen=True):
    """``system retry all``"""


class ShowWrites(Struct, frozen=True):
    """``show writes``"""


class ExportRows(Struct, frozen=True):
    """``export github.pulls|$name|(SELECT) to S.T [upsert …] [by KEY] [delta] [when gone …] [as NAME] …``

    ``source``  SQL.
    ``mode``    None: as it suits the target.
    ``key``     columns that identify a row of the target.
    ``delta``   only rows that differ from what was written before under this name.
    ``gone``    what becomes of rows that were written before and are gone from the source.
    ``adopt``   rows of the target that others have written count as written by it.
    ``name``    "" for the name of the table.
    ``every_s`` repeat it.
    ``explain`` show the plan and send nothing.
    """

    source: str
    table: TableName
    mode: RowMode | None = None
    key: tuple[str, ...] = ()
    delta: bool = False
    gone: GoneRows | None = None
    name: str = ""
    every_s: float | None = None
    explain: bool = False
    adopt: bool = False


class ShowSyncs(Struct, frozen=True):
    """``show syncs``"""


class CreateSync(Struct, frozen=True):
    """``create sync NAME as upsert into S.T by KEY [when gone …] [cursor COL] SELECT … [every …] [then …]``

    ``rows``     what it writes.
    ``cursor``   the column of the SELECT that says which rows are new.
    ``after``    it runs after each load of this table.
    ``script``   the file that runs after each run.
    ``address``  receives the result of each run, signed with ``secret``.
    """

    name: str
    rows: ExportRows
    cursor: str = ""
    every_s: float | None = None
    after: TableName | None = None
    script: str = ""
    address: str = ""
    secret: str = ""


class RunSync(Struct, frozen=True):
    """``run sync NAME``"""

    name: str


class DropSync(Struct, frozen=True):
    """``drop sync NAME``"""

    name: str


class WatchRows(Struct, frozen=True):
    """``watch SELECT … [by KEY] [every D] [to …] [when rows > N] [as NAME]``

    ``source``     the SELECT.
    ``key``        columns that identify a row, so that a changed one is an update.
    ``target``     where changes are sent; None: the session shows them.
    ``condition``  on the number of rows of the result; None: any.
    """

    source: str
    key: tuple[str, ...] = ()
    every_s: float | None = None
    target: WatchTarget | None = None
    condition: RowCondition | None = None
    name: str = ""


class RunWatch(Struct, frozen=True):
    """``run watch NAME``: looks now."""

    name: str


class Unwatch(Struct, frozen=True):
    """``unwatch NAME``"""

    name: str


class ShowWatches(Struct, frozen=True):
    """``show watches``"""


class ShowClients(Struct, frozen=True):
    """``show clients``"""


class ApproveWrite(Struct, frozen=True):
    """``approve write 7``: send a planned write."""

    write: int


class RetryWrite(Struct, frozen=True):
    """``retry write 7``: send again what was refused or not sent; or the rows of that outcome alone."""

    write: int
    outcome: Literal["rejected", "unknown"] | None = None


class CancelWrite(Struct, frozen=True):
    """``cancel write 7``: send nothing more of it."""

    write: int


class UndoWrite(Struct, frozen=True):
    """``undo write 7``: plan the write that takes it back."""

    write: int


class PauseLoads(Struct, frozen=True):
    """``pause github`` or ``pause github.pulls``: a table name of "" is the whole connection."""

    target: TableName


class ResumeLoads(Struct, frozen=True):
    """``resume github`` or ``resume github.pulls``"""

    target: TableName


class Assign(Struct, frozen=True):
    """``$name = EXPRESSION-OR-SELECT``. ``sql`` is the text after ``=``, comments replaced by blanks."""

    name: str
    sql: str


class ShowVariable(Struct, frozen=True):
    """``$name``"""

    name: str


class Unset(Struct, frozen=True):
    """``unset $name``"""

    name: str


class StorePath(Struct, frozen=True):
    """``exports.'orders/a.csv'``: a path or pattern within the folder or store of a connection."""

    connection: str
    path: str

    def __str__(self) -> str:
        return f"{self.connection}.'{self.path}'"


Place = str | StorePath


class Import(Struct, frozen=True):
    """``import 'orders.csv'|exports.'orders.csv' [into shop.orders] [overwrite|append]``

    ``location``  a file, a glob or a URL; or files of a connection.
    ``mode``      "overwrite", "append", or None: the table must not exist.
    """

    location: Place
    into: TableName | None = None
    mode: str | None = None


class Export(Struct, frozen=True):
    """``export github.pulls|$name|(SELECT) to PLACE [overwrite|append]``. ``source`` is SQL.

    A place is ``'pulls.csv'`` or ``exports.'pulls.csv'``.
    """

    source: str
    path: Place
    mode: str | None = None


MailFormat = Literal["csv", "excel", "html"]
MAIL_FORMATS: tuple[MailFormat, ...] = ("csv", "excel", "html")


class ExportMail(Struct, frozen=True):
    """``[explain] export github.pulls|$name|(SELECT) to mail 'a@b', … [subject '…'] [as csv|excel|html]``

    ``source``   SQL.
    ``mailer``   ``mail``, or the connection that sends it.
    ``subject``  "" for one that says what the rows are.
    ``explain``  show the plan and send nothing.
    """

    source: str
    mailer: str
    to: tuple[str, ...]
    subject: str = ""
    format: MailFormat = "html"
    explain: bool = False


class CopyFiles(Struct, frozen=True):
    """``copy exports.'a.csv'|'a.csv' to archive.'a.csv'|'a.csv' [overwrite]``"""

    source: Place
    target: Place
    overwrite: bool = False


class RemoveFiles(Struct, frozen=True):
    """``remove exports.'a.csv' [recursive]``"""

    place: StorePath
    recursive: bool = False


class FileUrl(Struct, frozen=True):
    """``url exports.'a.csv' [for 1 hour]``: ``seconds`` is None for the default."""

    place: StorePath
    seconds: float | None = None


class ChartSettings(Struct, frozen=True):
    """The settings after ``where`` in ``create chart``: columns and labels.

    ``y``       columns, each a series; exactly one if ``series`` is set.
    ``series``  the column whose values separate the series, or None.
    """

    x: str
    y: tuple[str, ...]
    series: str | None = None
    title: str | None = None
    x_title: str | None = None
    y_title: str | None = None


class CreateChart(Struct, frozen=True):
    """``create chart [NAME] from S.T|$name|(SELECT) as bar_chart where x = … and y = … [to 'FILE']``

    ``source``  SQL.
    ``path``    the file; None draws in the terminal.
    ``mode``    "overwrite", or None: the file must not exist.
    """

    source: str
    kind: ChartKind
    settings: ChartSettings
    path: str | None = None
    mode: str | None = None


NOTEBOOK_SUFFIX = ".ipynb"


def is_notebook(path: str) -> bool:
    """Whether ``run`` runs a path as a Jupyter notebook, not as a script."""
    return path.lower().endswith(NOTEBOOK_SUFFIX)


class NotebookOptions(Struct, frozen=True):
    """``with month = '2026-11', top = 10 to 'report.html'`` of ``run 'report.ipynb'``."""

    values: tuple[tuple[str, str | int | float | bool | None], ...] = ()
    html: str | None = None


class RunFile(Struct, frozen=True):
    """``run 'report.sql'``, ``run 'report.ipynb' [with x = 1] [to 'report.html']``"""

    path: str
    notebook: NotebookOptions = NotebookOptions()


class RunEvery(Struct, frozen=True):
    """``run 'report.sql' every 1 day [starting 08:00]``. ``starting`` as in RefreshEvery."""

    path: str
    every_s: float
    starting: time | None = None
    notebook: NotebookOptions = NotebookOptions()


class RunAt(Struct, frozen=True):
    """``run 'report.sql' at '2026-03-01 08:00'|08:00``

    ``start_at``  local time unless it has an offset; a time of day means its next occurrence.
    """

    path: str
    start_at: datetime | time
    notebook: NotebookOptions = NotebookOptions()


class Unschedule(Struct, frozen=True):
    """``unschedule report|github.pulls``. The name of a script has schema ""."""

    name: TableName


class Connect(Struct, frozen=True):
    """``connect [github [as work] [with token = '${TOKEN}', org = 'duckdb']]``

    ``options``  (name, value) as written. What is missing is prompted for on a terminal.
    """

    adapter: str | None = None
    name: str | None = None
    options: tuple[tuple[str, str], ...] = ()


class Disconnect(Struct, frozen=True):
    """``disconnect work``"""

    name: str


class QuerySource(Struct, frozen=True):
    """``query shop 'select …'``: rows of a statement that the database itself runs."""

    connection: str
    sql: str


class ShowHelp(Struct, frozen=True):
    """``help [topic]``: the words of the topic joined by single spaces, or None."""

    topic: str | None = None


class Exit(Struct, frozen=True):
    """``exit`` or ``quit``"""


class ChangeSetting(Struct, frozen=True):
    """``set max_age = '5 minutes'``: ``name`` is one of UNIFY_SETTINGS in lower case, ``value`` unquoted."""

    name: str
    value: str


ListingCommand = (
    ShowConnections
    | ShowSchemas
    | ShowTables
    | ShowColumns
    | ShowJobs
    | ShowFiles
    | ShowVariables
    | ShowSettings
    | ShowSchedules
    | ShowWrites
    | ShowSyncs
)
LoadCommand = (
    LoadTable | RefreshTable | ReloadTable | ClearTable | AcceptVersion | RefreshEvery | RefreshNever
)
SystemCommand = (
    SystemStatus
    | StartDaemon
    | StopDaemon
    | RestartDaemon
    | CancelJob
    | ShowClients
    | CancelClient
    | RetryJob
    | RetryAllJobs
    | PauseLoads
    | ResumeLoads
)
FileCommand = Import | Export | ExportRows | ExportMail | CopyFiles | RemoveFiles | FileUrl | RunFile
ScheduleCommand = RunEvery | RunAt | Unschedule
WriteCommand = ApproveWrite | RetryWrite | CancelWrite | UndoWrite
SyncCommand = CreateSync | RunSync | DropSync
WatchCommand = WatchRows | RunWatch | Unwatch | ShowWatches
ConnectionCommand = Connect | Disconnect | QuerySource
VariableCommand = Assign | ShowVariable | Unset
SessionCommand = ChangeSetting | ShowHelp | Exit
InspectionCommand = DescribeTable | PeekTable | CountRows | ShowChanges | CreateChart
UnifyCommand = (
    ListingCommand
    | InspectionCommand
    | LoadCommand
    | SystemCommand
    | WriteCommand
    | SyncCommand
    | WatchCommand
    | ConnectionCommand
    | VariableCommand
    | FileCommand
    | ScheduleCommand
    | SessionCommand
)
Command = RunSql | UnifyCommand
