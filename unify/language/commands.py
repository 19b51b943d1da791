"""What a person can ask for: one frozen dataclass per statement of our own, and ``Query`` for SQL.

A new command is a dataclass here, a line in grammar.lark, a method in ``grammar.Builder``; where
commands are carried out, ``assert_never`` then names every place that has to learn it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import Literal, get_args

from unify.model import TableName

ChartKind = Literal["area_chart", "bar_chart", "hbar_chart", "line_chart", "pie_chart", "scatter_chart"]
CHART_KINDS: tuple[ChartKind, ...] = get_args(ChartKind)


@dataclass(frozen=True, slots=True)
class Query:
    """SQL for DuckDB, exactly as it was typed; ``line`` is where it starts in its script, from 1."""

    sql: str
    line: int = 1


@dataclass(frozen=True, slots=True)
class ShowConnections:
    """``show connections``"""


@dataclass(frozen=True, slots=True)
class ShowSchemas:
    """``show schemas``"""


@dataclass(frozen=True, slots=True)
class ShowTables:
    """``show tables [from github]`` — of one schema, or of all (None)."""

    schema: str | None = None


@dataclass(frozen=True, slots=True)
class ShowColumns:
    """``show columns from github.pulls [like 'p']`` — ``like`` is a pattern of SQL's LIKE, or None."""

    table: TableName
    like: str | None = None


@dataclass(frozen=True, slots=True)
class ShowJobs:
    """``show jobs``"""


@dataclass(frozen=True, slots=True)
class ShowFiles:
    """``show files [from S] [like 'p']`` — the files that tables were imported from."""

    schema: str | None = None
    like: str | None = None


@dataclass(frozen=True, slots=True)
class ShowVariables:
    """``show variables``"""


@dataclass(frozen=True, slots=True)
class ShowSettings:
    """``show settings``"""


@dataclass(frozen=True, slots=True)
class ShowSchedules:
    """``show schedules``"""


@dataclass(frozen=True, slots=True)
class Describe:
    """``describe github.pulls`` · ``??`` — None is the table used last; a bare name has schema ""."""

    table: TableName | None = None


@dataclass(frozen=True, slots=True)
class Peek:
    """``peek github.pulls [10]`` — so many rows, or None for the usual few; a bare name has schema ""."""

    table: TableName
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """``count github.pulls`` — a bare name has schema ""."""

    table: TableName


@dataclass(frozen=True, slots=True)
class Changes:
    """``changes github.pulls since 2 hours`` · ``since '2026-03-01 08:00'`` — one of ``ago_s`` and ``at``."""

    table: TableName
    ago_s: float | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """``load table github.pulls`` — fetch it the first time."""

    table: TableName


@dataclass(frozen=True, slots=True)
class Refresh:
    """``refresh table github.pulls`` — fetch what changed, now."""

    table: TableName


@dataclass(frozen=True, slots=True)
class Reload:
    """``reload table github.pulls`` — fetch everything again."""

    table: TableName


@dataclass(frozen=True, slots=True)
class Clear:
    """``clear table github.pulls`` — forget the rows."""

    table: TableName


@dataclass(frozen=True, slots=True)
class RefreshEvery:
    """``refresh table github.pulls every 15 minutes [starting 08:00]``

    ``starting``  the time of day of the first refresh, on the clock of whoever typed it; None: from now on.
    """

    table: TableName
    every_s: float
    starting: time | None = None


@dataclass(frozen=True, slots=True)
class RefreshNever:
    """``refresh table github.pulls never`` — end its schedule."""

    table: TableName


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """``system status``"""


@dataclass(frozen=True, slots=True)
class StartDaemon:
    """``system start daemon``"""


@dataclass(frozen=True, slots=True)
class StopDaemon:
    """``system stop daemon``"""


@dataclass(frozen=True, slots=True)
class RestartDaemon:
    """``system restart daemon``"""


@dataclass(frozen=True, slots=True)
class CancelJob:
    """``system cancel 12``"""

    job: int


@dataclass(frozen=True, slots=True)
class RetryJob:
    """``system retry 12``"""

    job: int


@dataclass(frozen=True, slots=True)
class Assign:
    """``$name = EXPRESSION-OR-SELECT`` — ``sql`` is all that follows the sign, comments blanked out."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class ShowVariable:
    """``$name``"""

    name: str


@dataclass(frozen=True, slots=True)
class Unset:
    """``unset $name``"""

    name: str


@dataclass(frozen=True, slots=True)
class Import:
    """``import 'orders.csv' [into shop.orders] [overwrite|append]``

    ``place``  a file, a glob or an address.
    ``mode``   "overwrite", "append", or None: there must be no such table.
    """

    place: str
    into: TableName | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """``export github.pulls|$name|(SELECT) to 'pulls.csv' [overwrite|append]`` — ``source`` is SQL."""

    source: str
    place: str
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class ChartSettings:
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


@dataclass(frozen=True, slots=True)
class CreateChart:
    """``create chart [NAME] from S.T|$name|(SELECT) as bar_chart where x = … and y = … [to 'FILE']``

    ``source``  SQL.
    ``place``   a file; None draws the chart in the terminal.
    ``mode``    "overwrite", or None: there must be no such file.
    """

    source: str
    kind: ChartKind
    settings: ChartSettings
    place: str | None = None
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class RunFile:
    """``run 'report.sql'``"""

    path: str


@dataclass(frozen=True, slots=True)
class RunEvery:
    """``run 'report.sql' every 1 day [starting 08:00]`` — ``starting`` as in RefreshEvery."""

    path: str
    every_s: float
    starting: time | None = None


@dataclass(frozen=True, slots=True)
class RunAt:
    """``run 'report.sql' at '2026-03-01 08:00'`` · ``at 08:00``

    ``at``  a moment, on the clock of whoever typed it unless it has an offset; or a time of day, the next.
    """

    path: str
    at: datetime | time


@dataclass(frozen=True, slots=True)
class Unschedule:
    """``unschedule report`` · ``unschedule github.pulls`` — a script's name has schema ""."""

    name: TableName


@dataclass(frozen=True, slots=True)
class Connect:
    """``connect [github [as work] [with token = '${TOKEN}', org = 'duckdb']]``

    ``options``  (name, value) as written; None and () are asked for where somebody can be asked.
    """

    adapter: str | None = None
    name: str | None = None
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Disconnect:
    """``disconnect work``"""

    name: str


@dataclass(frozen=True, slots=True)
class Help:
    """``help [topic]`` — the words of the topic with one space between them, or None."""

    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """``exit`` · ``quit``"""


@dataclass(frozen=True, slots=True)
class Set:
    """``set max_age = '5 minutes'`` · ``set keys = 'vi'``

    ``name`` is one of OWN_SETTINGS, in lower case; ``value`` has no quotes.
    """

    name: str
    value: str


Show = (
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
Fill = Load | Refresh | Reload | Clear | RefreshEvery | RefreshNever
Steer = SystemStatus | StartDaemon | StopDaemon | RestartDaemon | CancelJob | RetryJob
Move = Import | Export | RunFile
Plan = RunEvery | RunAt | Unschedule
Link = Connect | Disconnect
Vary = Assign | ShowVariable | Unset
Converse = Set | Help | Exit
Look = Describe | Peek | Count | Changes | CreateChart
Command = Query | Show | Look | Fill | Steer | Link | Vary | Move | Plan | Converse
