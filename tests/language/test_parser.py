"""The grammar of commands, and suggestions for syntax errors."""

from __future__ import annotations

import os
import subprocess
import sys
import time as clock
from datetime import UTC, datetime, time
from pathlib import Path
from typing import get_args

import duckdb
import pytest
from msgspec.structs import astuple

from unify.errors import CommandSyntaxError
from unify.language import commands, statements
from unify.language.commands import Command, RunSql
from unify.language.error_position import render_pointer
from unify.language.grammar import CACHE_FILE, grammar_text
from unify.language.parser import expected_next, parse
from unify.language.statements import Statement
from unify.model import TableName
from unify.render.messages import render_error

PULLS = TableName("github", "pulls")

COMMANDS: list[tuple[str, Command]] = [
    ("show connections", commands.ShowConnections()),
    ("show schemas", commands.ShowSchemas()),
    ("show tables", commands.ShowTables()),
    ("show tables from github", commands.ShowTables("github")),
    ('show tables from "My Conn"', commands.ShowTables("My Conn")),
    ("show tables from tables", commands.ShowTables("tables")),
    ("show columns from github.pulls", commands.ShowColumns(PULLS)),
    ("show columns from pulls", commands.ShowColumns(TableName("", "pulls"))),
    ("load table pulls", commands.LoadTable(TableName("", "pulls"))),
    ("show columns from github.pulls like 'user%'", commands.ShowColumns(PULLS, "user%")),
    ("show columns from github.pulls like 'it''s'", commands.ShowColumns(PULLS, "it's")),
    ("show columns from columns.like like ''", commands.ShowColumns(TableName("columns", "like"), "")),
    ("show jobs", commands.ShowJobs()),
    ("show files", commands.ShowFiles()),
    ("show files from main", commands.ShowFiles("main")),
    ("show files from main like '%.csv'", commands.ShowFiles("main", "%.csv")),
    ("show files like '%.csv'", commands.ShowFiles(None, "%.csv")),
    ("show variables", commands.ShowVariables()),
    ("show settings", commands.ShowSettings()),
    ("describe github.pulls", commands.DescribeTable(PULLS)),
    ("desc github.pulls", commands.DescribeTable(PULLS)),
    ("describe lake.github.pulls", commands.DescribeTable(TableName("lake", "github.pulls"))),
    ('describe shop."a.b".orders', commands.DescribeTable(TableName("shop", '"a.b".orders'))),
    ("load table shop.sales.orders", commands.LoadTable(TableName("shop", "sales.orders"))),
    ("refresh table shop.sales.orders never", commands.RefreshNever(TableName("shop", "sales.orders"))),
    ("pause shop.sales.orders", commands.PauseLoads(TableName("shop", "sales.orders"))),
    ("unschedule shop.sales.orders", commands.Unschedule(TableName("shop", "sales.orders"))),
    ("peek shop.sales.orders 3", commands.PeekTable(TableName("shop", "sales.orders"), 3)),
    ("show columns from shop.sales.orders", commands.ShowColumns(TableName("shop", "sales.orders"))),
    ("show schemas from shop", commands.ShowSchemas("shop")),
    ("show tables from shop.sales", commands.ShowTables("shop", "sales")),
    ("query shop 'select 1'", commands.QuerySource("shop", "select 1")),
    ("describe pulls", commands.DescribeTable(TableName("", "pulls"))),
    ("describe system.status", commands.DescribeTable(TableName("system", "status"))),
    ('describe "tables"', commands.DescribeTable(TableName("", "tables"))),
    ("describe", commands.DescribeTable()),
    ("??", commands.DescribeTable()),
    ("peek github.pulls", commands.PeekTable(PULLS)),
    ("peek github.pulls 10", commands.PeekTable(PULLS, 10)),
    ("peek pulls", commands.PeekTable(TableName("", "pulls"))),
    ("count github.pulls", commands.CountRows(PULLS)),
    ("count pulls", commands.CountRows(TableName("", "pulls"))),
    ("count count.count", commands.CountRows(TableName("count", "count"))),
    ("changes github.pulls since 2 hours", commands.ShowChanges(PULLS, 7200)),
    ("changes pulls since '1h 30m'", commands.ShowChanges(TableName("", "pulls"), 5400)),
    ("changes github.pulls since '2026-03-01 08:00'", commands.ShowChanges(PULLS, None, "2026-03-01 08:00")),
    ("load table github.pulls", commands.LoadTable(PULLS)),
    ("load table github.tables", commands.LoadTable(TableName("github", "tables"))),
    ("load table table.table", commands.LoadTable(TableName("table", "table"))),
    ('load table "My Conn"."T"', commands.LoadTable(TableName("My Conn", "T"))),
    ('load table "a""b".t$1', commands.LoadTable(TableName('a"b', "t$1"))),
    ("load table größe.日本", commands.LoadTable(TableName("größe", "日本"))),
    ("load table _x.select", commands.LoadTable(TableName("_x", "select"))),
    ("refresh table github.pulls", commands.RefreshTable(PULLS)),
    ("refresh table every.never", commands.RefreshTable(TableName("every", "never"))),
    ("refresh table github.pulls every 15 minutes", commands.RefreshEvery(PULLS, 900)),
    ("refresh table github.pulls every 15m", commands.RefreshEvery(PULLS, 900)),
    ("refresh table github.pulls every 1.5 hours", commands.RefreshEvery(PULLS, 5400)),
    ("refresh table github.pulls every 1h 30m", commands.RefreshEvery(PULLS, 5400)),
    ("refresh table github.pulls every 1h30m", commands.RefreshEvery(PULLS, 5400)),
    ("refresh table github.pulls every '1 hour'", commands.RefreshEvery(PULLS, 3600)),
    ("refresh table github.pulls every 1 day starting 08:00", commands.RefreshEvery(PULLS, 86400, time(8))),
    (
        "refresh table github.pulls every 1 day starting '8:05'",
        commands.RefreshEvery(PULLS, 86400, time(8, 5)),
    ),
    ("refresh table github.pulls never", commands.RefreshNever(PULLS)),
    ("reload table github.pulls", commands.ReloadTable(PULLS)),
    ("clear table github.pulls", commands.ClearTable(PULLS)),
    ("show writes", commands.ShowWrites()),
    ("show clients", commands.ShowClients()),
    ("system cancel client 4", commands.CancelClient(4)),
    ("approve write 7", commands.ApproveWrite(7)),
    ("retry write 7", commands.RetryWrite(7)),
    ("RETRY WRITE 7 Unknown", commands.RetryWrite(7, "unknown")),
    ("retry write 7 rejected", commands.RetryWrite(7, "rejected")),
    ("cancel write 7", commands.CancelWrite(7)),
    ("accept table github.pulls", commands.AcceptVersion(PULLS)),
    ("system status", commands.SystemStatus()),
    ("system start daemon", commands.StartDaemon()),
    ("system stop daemon", commands.StopDaemon()),
    ("system restart daemon", commands.RestartDaemon()),
    ("system cancel 12", commands.CancelJob(12)),
    ("system retry 12", commands.RetryJob(12)),
    ("system retry all", commands.RetryAllJobs()),
    ("pause github", commands.PauseLoads(TableName("github", ""))),
    ("pause github.pulls", commands.PauseLoads(PULLS)),
    ('resume "My Conn"."T"', commands.ResumeLoads(TableName("My Conn", "T"))),
    ("RESUME resume", commands.ResumeLoads(TableName("resume", ""))),
    ("connect", commands.Connect()),
    ("connect github", commands.Connect("github")),
    ("connect github as work", commands.Connect("github", "work")),
    ("connect git-hub with token = '${T}'", commands.Connect("git-hub", None, (("token", "${T}"),))),
    ("connect x as y with a='1', b = 'it''s'", commands.Connect("x", "y", (("a", "1"), ("b", "it's")))),
    ("disconnect work", commands.Disconnect("work")),
    ("$state = 'open'", commands.Assign("state", "'open'")),
    ("$n=1", commands.Assign("n", "1")),
    ("$pulls = select 'a;b' as x", commands.Assign("pulls", "select 'a;b' as x")),
    ("$t = $$a$$ || 'x'", commands.Assign("t", "$$a$$ || 'x'")),
    ("$state", commands.ShowVariable("state")),
    ("$_X9", commands.ShowVariable("_X9")),
    ("unset $state", commands.Unset("state")),
    ("import 'a.csv'", commands.Import("a.csv")),
    ("import 'a b.csv' into shop.t append", commands.Import("a b.csv", TableName("shop", "t"), "append")),
    ("import 'a.csv' into t", commands.Import("a.csv", TableName("", "t"))),
    ("import 'https://x/a.csv' overwrite", commands.Import("https://x/a.csv", None, "overwrite")),
    ("export github.pulls to 'a.csv'", commands.Export('SELECT * FROM "github"."pulls"', "a.csv")),
    ("export pulls to 'a.csv' append", commands.Export('SELECT * FROM "pulls"', "a.csv", "append")),
    ("import s.'o/*.csv' into t", commands.Import(commands.StorePath("s", "o/*.csv"), TableName("", "t"))),
    ("export t to \"S 1\".'a.csv'", commands.Export('SELECT * FROM "t"', commands.StorePath("S 1", "a.csv"))),
    (
        "copy s.'a' to t.'b/' overwrite",
        commands.CopyFiles(commands.StorePath("s", "a"), commands.StorePath("t", "b/"), True),
    ),
    ("copy 'a' to t.'b'", commands.CopyFiles("a", commands.StorePath("t", "b"))),
    ("copy s.'a' to 'b'", commands.CopyFiles(commands.StorePath("s", "a"), "b")),
    ("remove s.'a''b'", commands.RemoveFiles(commands.StorePath("s", "a'b"))),
    ("remove s.'a/' recursive", commands.RemoveFiles(commands.StorePath("s", "a/"), True)),
    ("url s.'a'", commands.FileUrl(commands.StorePath("s", "a"))),
    ("url s.'a' for 2 hours", commands.FileUrl(commands.StorePath("s", "a"), 7200.0)),
    (
        "export t to mail 'a@b.c'",
        commands.ExportMail('SELECT * FROM "t"', "mail", ("a@b.c",)),
    ),
    (
        "export (select 1) to mail 'a@b.c', 'd@e.f' subject 'It''s new' as csv",
        commands.ExportMail("select 1", "mail", ("a@b.c", "d@e.f"), "It's new", "csv"),
    ),
    (
        "explain export (select 1) to \"My Post\" 'a@b.c' as EXCEL",
        commands.ExportMail("select 1", "My Post", ("a@b.c",), "", "excel", explain=True),
    ),
    ("export t to crm.people", commands.ExportRows('SELECT * FROM "t"', TableName("crm", "people"))),
    (
        'export (select 1) to shop.sales.out upsert by id, "delta" delta when gone clear as n every 1 hour',
        commands.ExportRows(
            "select 1", TableName("shop", "sales.out"), "upsert", ("id", "delta"), True, "clear", "n", 3600.0
        ),
    ),
    (
        "export t to crm.people MIRROR by email when gone delete ADOPT",
        commands.ExportRows(
            'SELECT * FROM "t"', TableName("crm", "people"), "mirror", ("email",), gone="delete", adopt=True
        ),
    ),
    (
        "explain export t to crm.people insert",
        commands.ExportRows('SELECT * FROM "t"', TableName("crm", "people"), "insert", explain=True),
    ),
    ("undo write 7", commands.UndoWrite(7)),
    ("show syncs", commands.ShowSyncs()),
    ("show watches", commands.ShowWatches()),
    ("watch (values(1))", commands.WatchRows("values(1)")),
    ("run watch w", commands.RunWatch("w")),
    ("unwatch w", commands.Unwatch("w")),
    ('run sync "n 1"', commands.RunSync("n 1")),
    ("drop sync n", commands.DropSync("n")),
    (
        "create sync n as upsert into crm.people by email select 'a' as email from t where every > 2",
        commands.CreateSync(
            "n",
            commands.ExportRows(
                "select 'a' as email from t where every > 2",
                TableName("crm", "people"),
                "upsert",
                ("email",),
                delta=True,
            ),
        ),
    ),
    (
        "create sync n as mirror into crm.people by a, b when gone clear adopt cursor at "
        "with x as (select 1) select case when a then 'every 2' else (b) end from x "
        "every 15 minutes then run 'a b.sql'",
        commands.CreateSync(
            "n",
            commands.ExportRows(
                "with x as (select 1) select case when a then 'every 2' else (b) end from x",
                TableName("crm", "people"),
                "mirror",
                ("a", "b"),
                delta=True,
                gone="clear",
                adopt=True,
            ),
            cursor="at",
            every_s=900.0,
            script="a b.sql",
        ),
    ),
    (
        "create sync n as insert into crm.people (select 1 as x) after load of s.t "
        "then 'https://x' secret '${K}'",
        commands.CreateSync(
            "n",
            commands.ExportRows("select 1 as x", TableName("crm", "people"), "insert", delta=True),
            after=TableName("s", "t"),
            address="https://x",
            secret="${K}",
        ),
    ),
    ("export $t to 'a.csv'", commands.Export("SELECT * FROM $t", "a.csv")),
    (
        "export ( select ')' || f((1)) as x ) to 'to).csv'",
        commands.Export("select ')' || f((1)) as x", "to).csv"),
    ),
    (
        "$x = (select max(a) from t where b = 'x')",
        commands.Assign("x", "(select max(a) from t where b = 'x')"),
    ),
    (
        "create chart from github.pulls as bar_chart where x = state and y = comments",
        commands.CreateChart(
            'SELECT * FROM "github"."pulls"', "bar_chart", commands.ChartSettings("state", ("comments",))
        ),
    ),
    (
        "create chart Weekly from $t as line_chart where x = week and y = a and y = b",
        commands.CreateChart(
            "SELECT * FROM $t", "line_chart", commands.ChartSettings("week", ("a", "b"), title="Weekly")
        ),
    ),
    (
        "create chart w from (select ')' as a) as area_chart where color = s and y = 'b c' and x = \"x\" "
        "and title = 'it''s' and x_title = 'X' and y_title = 'Y' to 'a.svg' overwrite",
        commands.CreateChart(
            "select ')' as a",
            "area_chart",
            commands.ChartSettings("x", ("b c",), "s", "it's", "X", "Y"),
            "a.svg",
            "overwrite",
        ),
    ),
    ("run 'report.sql'", commands.RunFile("report.sql")),
    ("run 'a.ipynb'", commands.RunFile("a.ipynb")),
    (
        "run 'a.ipynb' with x = 1, y = -2.5, z = 'it''s', t = TRUE, n = null to 'a.html'",
        commands.RunFile(
            "a.ipynb",
            commands.NotebookOptions(
                (("x", 1), ("y", -2.5), ("z", "it's"), ("t", True), ("n", None)), "a.html"
            ),
        ),
    ),
    (
        "run 'A.IPYNB' every 1 day starting 08:00 with x = 1",
        commands.RunEvery("A.IPYNB", 86400, time(8), commands.NotebookOptions((("x", 1),))),
    ),
    (
        "run 'a.ipynb' at '2026-03-01 08:00' to 'a.html'",
        commands.RunAt("a.ipynb", datetime(2026, 3, 1, 8), commands.NotebookOptions((), "a.html")),
    ),
    ("run 'report.sql' every 15 minutes", commands.RunEvery("report.sql", 900)),
    ("RUN 'report.sql' EVERY 1 day STARTING 08:00", commands.RunEvery("report.sql", 86400, time(8))),
    ("run 'report.sql' at '2026-03-01 08:00'", commands.RunAt("report.sql", datetime(2026, 3, 1, 8))),
    ("run 'report.sql' at 2026-03-01 08:00:30", commands.RunAt("report.sql", datetime(2026, 3, 1, 8, 0, 30))),
    (
        "run 'report.sql' at 2026-03-01T08:00Z",
        commands.RunAt("report.sql", datetime(2026, 3, 1, 8, tzinfo=UTC)),
    ),
    ("run 'report.sql' at '2026-03-01'", commands.RunAt("report.sql", datetime(2026, 3, 1))),
    ("run 'report.sql' at 8:00", commands.RunAt("report.sql", time(8))),
    ("run 'report.sql' at '08:00'", commands.RunAt("report.sql", time(8))),
    ("show schedules", commands.ShowSchedules()),
    ("unschedule report", commands.Unschedule(TableName("", "report"))),
    ("unschedule github.pulls", commands.Unschedule(PULLS)),
    ('unschedule "Sales Report"', commands.Unschedule(TableName("", "Sales Report"))),
    ("help", commands.ShowHelp()),
    ("help load table", commands.ShowHelp("load table")),
    ("help   load\n table", commands.ShowHelp("load table")),
    ("help ??", commands.ShowHelp("??")),
    ("exit", commands.Exit()),
    ("quit", commands.Exit()),
    ("set max_age = '5 minutes'", commands.ChangeSetting("max_age", "5 minutes")),
    ("set max_age = 5 minutes", commands.ChangeSetting("max_age", "5 minutes")),
    ("set max_age='5m'", commands.ChangeSetting("max_age", "5m")),
    ("set max_age = 0", commands.ChangeSetting("max_age", "0")),
    ("set max_age to none", commands.ChangeSetting("max_age", "none")),
    ("set MAX_AGE = none", commands.ChangeSetting("max_age", "none")),
    ("set keys = 'vi'", commands.ChangeSetting("keys", "vi")),
    ("set keys = emacs", commands.ChangeSetting("keys", "emacs")),
]

SQL = [
    "select 1",
    "SELECT * FROM github.pulls",
    "from github.pulls",
    "(select 1)",
    "with x as (select 1) from x",
    "values (1)",
    "table github.pulls",
    "describe select 1",
    "describe from github.pulls",
    "describe (select 1)",
    "describe a.lake.github.pulls",
    "describe 'file.csv'",
    "describe tables",
    "describe all tables",
    "describe databases",
    "describe table pulls",
    "describe values (1)",
    "describe github.pulls where true",
    "desc select 1",
    "summarize github.pulls",
    "show databases",
    "show all tables",
    "show all",
    "show github.pulls",
    "show tables.x",
    "show job_runs",
    "show pulls",
    'show "tabels"',
    "show time zone",
    "show (select 1)",
    "load httpfs",
    "load 'path/to/x.duckdb_extension'",
    "LOAD json;",
    "set threads = 2",
    "set global threads = 2",
    "set variable max_age = 2",
    "set max_memory = '1GB'",
    "reset threads",
    "import database 'x'",
    "export database 'x'",
    "call pragma_version()",
    "pragma version",
    "use github",
    "start transaction",
    "explain show tables",
    "sleect 1",
    "creat table x (a int)",
    "create table chart (a int)",
    "create or replace view charts as select 1",
    "create macro chart() as 1",
    "hello",
    "foo bar",
    "'show tables'",
    '"show" tables',
    "? ?",
    "$$text$$",
    "$tag$text$tag$",
    "$1",
    "$ name",
    "select $name",
    "",
    "-- show tables",
]

# the text with the mistake, the text at the position, a part of the message, the suggestion
MISTAKES = [
    (
        "show tabels",
        "tabels",
        "expected clients, columns, connections, files, jobs, schedules, schemas, settings, syncs, "
        "tables, variables, watches or writes",
        "tables",
    ),
    ("show conections", "conections", "unexpected", "connections"),
    ("show job", "job", "unexpected", "jobs"),
    ("show tablesfrom x", "tablesfrom", "unexpected", "tables"),
    ("show tables form github", "form", "expected from or the end of the command", "from"),
    ("show columns github.pulls", "github", "expected from", None),
    ("show columns from a.b like p", "p", "expected a text in 'quotes'", None),
    ("show", "", "unexpected end", None),
    ("shwo tables", "shwo", "unexpected", "show"),
    ("describe github.", "", "expected a table's name", None),
    ("count", "", "expected a table, written connection.table", None),
    ("count github.pulls where number = 1", "where", "expected the end of the command", None),
    ("peek github.pulls ten", "ten", "expected a number of rows or the end of the command", None),
    ("peek github.pulls 0", "0", "must be at least 1", None),
    ("changes github.pulls", "", "expected since", None),
    ("changes github.pulls since", "", "expected a duration such as 2 hours, or a moment such as", None),
    ("changes github.pulls since 2 parsecs", "2", "'2 parsecs' is not a duration", None),
    ("load", "", "expected table", None),
    ("load tabel github.pulls", "tabel", "expected table", "table"),
    ("load github.pulls", "github", "expected table", None),
    ("load table", "", "expected a table, written connection.table", None),
    ("load table a.b.c.d", ".", "expected the end of the command", None),
    ("load table my-github.pulls", "-", "a name that contains - must be in double quotes", None),
    ("load table 1a.b", "1a.b", "expected a table", None),
    ('load table "open', '"open', "never closed", None),
    ("load table a.b /* open", "/* open", "unterminated comment", None),
    ("refrsh table a.b", "refrsh", "unexpected", "refresh"),
    ("refresh table a.b evry 5 minutes", "evry", "expected every, never or the end of the command", "every"),
    ("refresh table a.b every", "", "expected a duration such as 15 minutes", None),
    ("refresh table a.b every soon", "soon", "expected a duration such as 15 minutes", None),
    ("refresh table a.b every 15", "", "expected a unit such as minutes", None),
    ("refresh table a.b every 15 parsecs", "15", "'15 parsecs' is not a duration", None),
    ("refresh table a.b every 0 minutes", "0", "is not allowed", None),
    ("refresh table a.b every 1 day starting", "", "expected a time of day such as 08:00", None),
    ("run 'a.sql' evry 5 minutes", "evry", "expected at, every, to, with or the end of", "every"),
    ("run 'a.sql' with x = 1", "", "with and to are for notebooks (.ipynb)", None),
    ("run 'a.ipynb' to 'a.pdf'", "", "the page of a notebook is a file .html", None),
    ("run 'a.ipynb' with x = y", "y", "y: must be a number, true, false, null, or a text in 'quotes'", None),
    ("run 'a.ipynb' with 1 = 2", "1", "expected a parameter's name", None),
    ("run 'a.sql' at", "", "expected a time of day such as 08:00 or a moment such as", None),
    ("run 'a.sql' at 25:00", "25:00", "25:00 is not a time of day", None),
    (
        "run 'a.sql' at '2026-02-30 08:00'",
        "'2026-02-30 08:00'",
        "is not a date and time; write it like",
        None,
    ),
    ("run 'a.sql' at 'noon'", "'noon'", "'noon' is not a date and time; write it like", None),
    ("run 'a.sql' every 0 minutes", "0", "is not allowed", None),
    ("unschedule", "", "expected a schedule's name", None),
    ("refresh table a.b every 1 day starting 25:00", "25:00", "25:00 is not a time of day", None),
    ("refresh table a.b every 1 day starting 'noon'", "'noon'", "'noon' is not a time of day", None),
    ("reload table", "", "expected a table, written connection.table", None),
    ("clear github.pulls", "github", "expected table", None),
    ("system", "", "expected cancel, restart, retry, start, status or stop", None),
    ("system stauts", "stauts", "unexpected", "status"),
    ("system stop", "", "expected daemon", None),
    ("system cancel", "", "expected client or a job's number", None),
    ("system cancel all", "all", "expected client or a job's number", None),
    ("system cancel 12a", "12a", "expected client or a job's number", None),
    ("system cancel " + "9" * 30, "9" * 30, "there is no job", None),
    ("connect github work", "work", "expected as, with or the end of the command", None),
    ("connect github with token", "", "expected =", None),
    ("connect github with token = abc", "abc", "expected a text in 'quotes'", None),
    ("disconnect", "", "expected a connection's name", None),
    ("$x =", "", "expected an expression or a SELECT", None),
    ("$x 5", "5", "expected = or the end of the command", None),
    ("unset x", "x", "expected $name", None),
    ("import", "", "expected a file written 'PATH' or CONNECTION.'PATH'", None),
    ("import a.csv", "csv", "expected a text in 'quotes'", None),
    ("import 'a.csv' to t", "to", "expected append, into, overwrite or the end of the command", "into"),
    ("export", "", "expected a table, written connection.table, $name or a SELECT in (brackets)", None),
    ("export (selct 1) to 'x.csv'", "(selct", "expected a SELECT in brackets", None),
    ("export (select 1) two 'x.csv'", "two", "expected to", "to"),
    ("export (select 1 to 'x.csv'", "(", "unexpected", None),
    ("create chart", "", "expected from or a title", None),
    ("create charts from t", "charts", "expected chart", "chart"),
    ("create chart from t as barchart where x = a and y = b", "barchart", "expected area_chart", "bar_chart"),
    ("create chart from t as bar_chart where x = a and titel = b", "titel", "expected color", "title"),
    ("create chart from t as bar_chart", "", "x = COLUMN and y = COLUMN are missing", None),
    (
        "create chart from t as bar_chart where x = a",
        "",
        "y = COLUMN is missing, as in",
        None,
    ),
    ("create chart from t as bar_chart where x = a, y = b", ",", "expected and, to or the end", None),
    ("create chart from t as bar_chart where y = a and y = A and x = b", "y = A", "is given twice", None),
    ("create chart from t as bar_chart where y = a and x = b and x = c", "x = c", "x is set twice", None),
    ("create chart from t as pie_chart where y = a and y = b and x = c", "y = b", "takes one y", None),
    ("create chart from t as pie_chart where y = a and color = b and x = c", "color", "no series", None),
    (
        "create chart from t as bar_chart where y = a and y = b and x = c and series = d",
        "series",
        "several y",
        None,
    ),
    ("create chart from t as bar_chart where x = a and y = b to 'a.svg' append", "append", "overwrite", None),
    ("run report.sql", "report", "expected sync, watch or the file of a script in 'quotes'", None),
    ("exit now", "now", "expected the end of the command", None),
    ("set max_age", "", "expected to or =", None),
    ("set max_ag = 5", "max_ag", "there is no setting max_ag", "max_age"),
    ("set max_age =", "", "expected a value", None),
    ("?? github", "github", "expected the end of the command", None),
    ("show jobs; show tables", ";", "expected the end of the command", None),
]


@pytest.mark.parametrize(("text", "command"), COMMANDS, ids=[text for text, _ in COMMANDS])
def test_a_command_is_parsed(text: str, command: Command) -> None:
    assert parse(text) == command


@pytest.mark.parametrize(("text", "command"), COMMANDS, ids=[text for text, _ in COMMANDS])
def test_comments_blanks_and_a_closing_semicolon_change_nothing(text: str, command: Command) -> None:
    spaced = text if "'" in text or '"' in text else text.replace(" ", " /* a /* nested */ one */\n\t")
    assert parse(f"-- first\n\ufeff {spaced} -- last\n ; ;") == command


@pytest.mark.parametrize("text", [text for text, _ in COMMANDS if '"' not in text])
def test_keywords_are_read_in_any_case(text: str) -> None:
    assert type(parse(text.upper())) is type(parse(text)) is type(parse(text.title()))


def test_names_and_values_keep_their_case() -> None:
    assert parse("LOAD TABLE GitHub.Pulls") == commands.LoadTable(TableName("GitHub", "Pulls"))
    assert parse("Show Columns From a.b Like 'X%'") == commands.ShowColumns(TableName("a", "b"), "X%")


@pytest.mark.parametrize("sql", SQL)
def test_sql_is_passed_to_duckdb_unchanged(sql: str) -> None:
    assert parse(sql) == RunSql(sql)
    assert parse(Statement(f"{sql} ", 7)) == RunSql(f"{sql} ", 7)


@pytest.mark.parametrize(
    ("text", "pointed", "message", "suggestion"), MISTAKES, ids=[mistake[0] for mistake in MISTAKES]
)
def test_a_syntax_error_has_a_position_and_a_suggestion(
    text: str, pointed: str, message: str, suggestion: str | None
) -> None:
    with pytest.raises(CommandSyntaxError) as caught:
        parse(text)
    error = caught.value
    assert error.source == text
    assert text[error.column - 1 :].startswith(pointed) if pointed else error.column == len(text) + 1
    assert message in error.message
    assert ("did you mean" in error.message) == (suggestion is not None)
    assert suggestion is None or error.message.endswith(f"did you mean {suggestion}?")


def test_expected_words_are_those_a_user_types() -> None:
    with pytest.raises(CommandSyntaxError) as caught:
        parse("refresh table github.pulls soon")
    assert caught.value.expected == ("every", "never", "the end of the command")


def test_a_position_counts_lines_of_the_statement_with_comments() -> None:
    with pytest.raises(CommandSyntaxError) as caught:
        parse("show /* one\n two */\n  tabels")
    assert (caught.value.line, caught.value.column) == (3, 3)


def test_an_error_is_drawn_with_its_line_and_a_caret() -> None:
    with pytest.raises(CommandSyntaxError) as caught:
        parse("show\n  tabels")
    assert render_error(caught.value) == (
        'unexpected "tabels", expected clients, columns, connections, files, jobs, schedules, schemas, '
        "settings, syncs, tables, variables, watches or writes"
        "; did you mean tables?\n"
        "LINE 2:   tabels\n"
        "          ^"
    )


@pytest.mark.parametrize(
    ("source", "line", "column", "drawn"),
    [
        ("abc", 1, 1, "LINE 1: abc\n        ^"),
        ("abc", 1, 4, "LINE 1: abc\n           ^"),
        ("日本 x", 1, 4, "LINE 1: 日本 x\n             ^"),
        ("a\tb", 1, 3, "LINE 1: a\\tb\n           ^"),
        ("\x1b[31m b", 1, 7, "LINE 1: \\e[31m b\n               ^"),
        ("a\r\nb\r\n", 2, 1, "LINE 2: b\n        ^"),
        ("", 1, 1, "LINE 1: \n        ^"),
        ("a", 5, 9, "LINE 5: \n        ^"),
    ],
)
def test_the_caret_is_below_its_position(source: str, line: int, column: int, drawn: str) -> None:
    assert render_pointer(source, line, column) == drawn


def test_a_long_line_is_shortened_around_the_position() -> None:
    text, caret = render_pointer("x" * 500 + "!" + "y" * 500, 1, 501).splitlines()
    assert text[len(caret) - 1] == "!"
    assert len(text) <= 110
    assert text.startswith("LINE 1: …x")
    assert text.endswith("y…")


def test_the_expected_words_are_known_at_every_position() -> None:
    assert expected_next("show ") == (
        "clients",
        "columns",
        "connections",
        "files",
        "jobs",
        "schedules",
        "schemas",
        "settings",
        "syncs",
        "tables",
        "variables",
        "watches",
        "writes",
    )
    assert expected_next("load table ") == ("a table, written connection.table",)
    assert expected_next("system start") == ("daemon",)
    assert {"show", "load", "??"} <= set(expected_next(""))


def test_every_word_the_grammar_starts_with_is_recognised() -> None:
    words = set(expected_next("")) - {
        "create",
        "drop",
        "explain",
    }  # words of SQL, and of a command before `chart`
    assert words - {"??", "$name"} == statements._COMMAND_KEYWORDS | statements._SHARED_KEYWORDS
    assert all(statements.is_command(f"{word}") for word in words - {"set", "$name"})


def test_every_listing_of_the_grammar_is_recognised() -> None:
    assert set(expected_next("show ")) == statements._SHOW_LISTINGS


def test_every_command_is_in_the_table_above() -> None:
    assert {type(command) for _, command in COMMANDS} == set(get_args(Command)) - {RunSql}


def test_commands_contain_only_serializable_values() -> None:
    for _, command in COMMANDS:
        values = list(astuple(command))
        settings = next((value for value in values if isinstance(value, commands.ChartSettings)), None)
        if settings is not None:
            values.remove(settings)
            values += astuple(settings)
        values = [
            part
            for value in values
            for part in (
                astuple(value)
                if isinstance(value, commands.ExportRows | commands.NotebookOptions)
                else [value]
            )
        ]
        for value in values:
            parts = list(astuple(value)) if isinstance(value, TableName | commands.StorePath) else [value]
            parts = [part for pair in value for part in pair] if isinstance(value, tuple) else parts
            assert {type(part) for part in parts} <= {str, int, bool, float, time, datetime, type(None)}


@pytest.mark.parametrize("text", [text for text, _ in COMMANDS])
def test_recognised_commands_are_not_valid_sql_except_listings(text: str) -> None:
    shared = ("show", "desc", "set ")  # forms that DuckDB would parse as well
    try:
        duckdb.extract_statements(text)
    except duckdb.Error:
        return
    assert text.startswith(shared)


@pytest.mark.process
def test_sql_alone_imports_neither_lark_nor_sqlglot() -> None:
    code = (
        "import sys\n"
        "from unify.language.parser import parse\n"
        "from unify.language.sql.tables import referenced_tables\n"
        "assert referenced_tables(parse('select 42').sql) == ()\n"
        "print({'lark', 'sqlglot'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_command_takes_less_than_two_milliseconds_after_the_first() -> None:
    text = "refresh table github.pulls every 15 minutes starting 08:00"
    parse(text)
    took = []
    for _ in range(50):
        started = clock.perf_counter()
        parse(text)
        took.append(clock.perf_counter() - started)
    assert sorted(took)[25] < 0.002


@pytest.fixture
def _without_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build the parser anew, as in a new process."""
    monkeypatch.setattr("unify.language.grammar._built_parsers", [])


@pytest.mark.usefixtures("_without_parser")
def test_the_compiled_grammar_is_cached_in_a_private_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert parse("show jobs", tmp_path) == commands.ShowJobs()
    finally:
        os.umask(before)
    kept = tmp_path / CACHE_FILE
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.stat().st_size > 1000


@pytest.mark.usefixtures("_without_parser")
@pytest.mark.parametrize("damage", [b"", b"rubbish", b"\x80\x05."])
def test_a_damaged_grammar_cache_is_rebuilt(
    tmp_path: Path, damage: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / CACHE_FILE).write_bytes(damage)
    assert parse("show jobs", tmp_path) == commands.ShowJobs()
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / CACHE_FILE).stat().st_size > 1000


@pytest.mark.parametrize("folder", ["blocked", "missing"])
@pytest.mark.usefixtures("_without_parser")
def test_a_missing_or_unwritable_cache_folder_is_ignored(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], folder: str
) -> None:
    (tmp_path / "blocked" / CACHE_FILE).mkdir(parents=True)
    assert parse("show jobs", tmp_path / folder) == commands.ShowJobs()
    assert capfd.readouterr() == ("", "")


def test_the_grammar_has_a_builder_for_every_arrow() -> None:
    from unify.language.command_builder import CommandBuilder

    arrows = {line.split("->")[1].strip() for line in grammar_text().splitlines() if "->" in line}
    assert arrows
    assert all(callable(getattr(CommandBuilder, arrow, None)) for arrow in arrows)
