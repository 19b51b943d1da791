"""What a person can ask for: one frozen struct per statement of our own, and ``Query`` for SQL.

They are msgspec's: forty dataclasses take 20 ms to make, whenever a shell starts.
A new command is a struct here, a line in grammar.lark, a method in ``grammar.CommandBuilder``; where
commands are carried out, ``assert_never`` then names every place that has to learn it.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import Literal, get_args

from msgspec import Struct

from unify.model import TableName

ChartKind = Literal["area_chart", "bar_chart", "hbar_chart", "line_chart", "pie_chart", "scatter_chart"]
CHART_KINDS: tuple[ChartKind, ...] = get_args(ChartKind)


class RunSql(Struct, frozen=True):
    """SQL for DuckDB, exactly as it was typed; ``line`` is where it starts in its script, from 1."""

    sql: str
    line: int = 1


class ShowConnections(Struct, frozen=True):
    """``show connections``"""


class ShowSchemas(Struct, frozen=True):
    """``show schemas``"""


class ShowTables(Struct, frozen=True):
    """``show tables [from github]`` — of one schema, or of all (None)."""

    schema: str | None = None


class ShowColumns(Struct, frozen=True):
    """``show columns from github.pulls [like 'p']`` — ``like`` is a pattern of SQL's LIKE, or None."""

    table: TableName
    like: str | None = None


class ShowJobs(Struct, frozen=True):
    """``show jobs``"""


class ShowFiles(Struct, frozen=True):
    """``show files [from S] [like 'p']`` — the files that tables were imported from."""

    schema: str | None = None
    like: str | None = None


class ShowVariables(Struct, frozen=True):
    """``show variables``"""


class ShowSettings(Struct, frozen=True):
    """``show settings``"""


class ShowSchedules(Struct, frozen=True):
    """``show schedules``"""


class DescribeTable(Struct, frozen=True):
    """``describe github.pulls`` · ``??`` — None is the table used last; a bare name has schema ""."""

    table: TableName | None = None


class PeekTable(Struct, frozen=True):
    """``peek github.pulls [10]`` — so many rows, or None for the usual few; a bare name has schema ""."""

    table: TableName
    rows: int | None = None


class CountRows(Struct, frozen=True):
    """``count github.pulls`` — a bare name has schema ""."""

    table: TableName


class ShowChanges(Struct, frozen=True):
    """``changes github.pulls since 2 hours`` · ``since '2026-03-01 08:00'`` — one of ``ago_s`` and ``at``."""

    table: TableName
    ago_s: float | None = None
    since: str | None = None


class LoadTable(Struct, frozen=True):
    """``load table github.pulls`` — fetch it the first time."""

    table: TableName


class RefreshTable(Struct, frozen=True):
    """``refresh table github.pulls`` — fetch what changed, now."""

    table: TableName


class ReloadTable(Struct, frozen=True):
    """``reload table github.pulls`` — fetch everything again."""

    table: TableName


class ClearTable(Struct, frozen=True):
    """``clear table github.pulls`` — forget the rows."""

    table: TableName


class RefreshEvery(Struct, frozen=True):
    """``refresh table github.pulls every 15 minutes [starting 08:00]``

    ``starting``  the time of day of the first refresh, on the clock of whoever typed it; None: from now on.
    """

    table: TableName
    every_s: float
    starting: time | None = None


class RefreshNever(Struct, frozen=True):
    """``refresh table github.pulls never`` — end its schedule."""

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


class RetryJob(Struct, frozen=True):
    """``system retry 12``"""

    job: int


class Assign(Struct, frozen=True):
    """``$name = EXPRESSION-OR-SELECT`` — ``sql`` is all that follows the sign, comments blanked out."""

    name: str
    sql: str


class ShowVariable(Struct, frozen=True):
    """``$name``"""

    name: str


class Unset(Struct, frozen=True):
    """``unset $name``"""

    name: str


class Import(Struct, frozen=True):
    """``import 'orders.csv' [into shop.orders] [overwrite|append]``

    ``place``  a file, a glob or an address.
    ``mode``   "overwrite", "append", or None: there must be no such table.
    """

    location: str
    into: TableName | None = None
    mode: str | None = None


class Export(Struct, frozen=True):
    """``export github.pulls|$name|(SELECT) to 'pulls.csv' [overwrite|append]`` — ``source`` is SQL."""

    source: str
    path: str
    mode: str | None = None


class ChartSettings(Struct, frozen=True):
    """What stands behind ``where`` in ``create chart``: columns, and what is written on the chart.

    ``y``       one column or several, each a series of its own; one where ``series`` names a column.
    ``series``  a column whose values tell the series apart, or None.
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
    ``place``   a file; None draws the chart in the terminal.
    ``mode``    "overwrite", or None: there must be no such file.
    """

    source: str
    kind: ChartKind
    settings: ChartSettings
    path: str | None = None
    mode: str | None = None


class RunFile(Struct, frozen=True):
    """``run 'report.sql'``"""

    path: str


class RunEvery(Struct, frozen=True):
    """``run 'report.sql' every 1 day [starting 08:00]`` — ``starting`` as in RefreshEvery."""

    path: str
    every_s: float
    starting: time | None = None


class RunAt(Struct, frozen=True):
    """``run 'report.sql' at '2026-03-01 08:00'`` · ``at 08:00``

    ``at``  a moment, on the clock of whoever typed it unless it has an offset; or a time of day, the next.
    """

    path: str
    start_at: datetime | time


class Unschedule(Struct, frozen=True):
    """``unschedule report`` · ``unschedule github.pulls`` — a script's name has schema ""."""

    name: TableName


class Connect(Struct, frozen=True):
    """``connect [github [as work] [with token = '${TOKEN}', org = 'duckdb']]``

    ``options``  (name, value) as written; None and () are asked for where somebody can be asked.
    """

    adapter: str | None = None
    name: str | None = None
    options: tuple[tuple[str, str], ...] = ()


class Disconnect(Struct, frozen=True):
    """``disconnect work``"""

    name: str


class ShowHelp(Struct, frozen=True):
    """``help [topic]`` — the words of the topic with one space between them, or None."""

    topic: str | None = None


class Exit(Struct, frozen=True):
    """``exit`` · ``quit``"""


class ChangeSetting(Struct, frozen=True):
    """``set max_age = '5 minutes'`` · ``set keys = 'vi'``

    ``name`` is one of OWN_SETTINGS, in lower case; ``value`` has no quotes.
    """

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
)
LoadCommand = LoadTable | RefreshTable | ReloadTable | ClearTable | RefreshEvery | RefreshNever
SystemCommand = SystemStatus | StartDaemon | StopDaemon | RestartDaemon | CancelJob | RetryJob
FileCommand = Import | Export | RunFile
ScheduleCommand = RunEvery | RunAt | Unschedule
ConnectionCommand = Connect | Disconnect
VariableCommand = Assign | ShowVariable | Unset
SessionCommand = ChangeSetting | ShowHelp | Exit
InspectionCommand = DescribeTable | PeekTable | CountRows | ShowChanges | CreateChart
Command = (
    RunSql
    | ListingCommand
    | InspectionCommand
    | LoadCommand
    | SystemCommand
    | ConnectionCommand
    | VariableCommand
    | FileCommand
    | ScheduleCommand
    | SessionCommand
)
