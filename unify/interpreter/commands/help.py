"""The texts of ``help``, one per command."""

from __future__ import annotations

from msgspec import Struct

from unify.errors import UnknownName
from unify.text import did_you_mean


class HelpTopic(Struct, frozen=True):
    """The paragraph of ``help NAME``; ``forms`` are the syntax of the command."""

    name: str
    forms: tuple[str, ...]
    text: str


TOPICS = (
    HelpTopic(
        "select",
        ("select … from CONNECTION.TABLE …;",),
        "Any SQL of DuckDB on tables named connection.table, which can be joined across connections. A "
        "table that was never loaded is loaded first, with progress shown; Ctrl-C stops waiting, and the "
        "load goes on in the background. You can create tables of your own: create table t as select …;",
    ),
    HelpTopic(
        "show",
        (
            "show connections",
            "show schemas [from CONNECTION]",
            "show tables [from SCHEMA|CONNECTION.SCHEMA]",
            "show columns from SCHEMA.TABLE [like 'PATTERN']",
            "show jobs",
            "show files [from SCHEMA] [like 'PATTERN']",
            "show variables",
            "show settings",
            "show schedules",
            "show writes",
            "show syncs",
            "show watches",
            "show clients",
        ),
        "Lists objects. show tables includes tables that are not loaded yet, with rows, age and state; show "
        "files lists the files of a folder or object store (from CONNECTION), or those that tables were "
        "imported from, show schedules the scheduled refreshes and "
        "scripts, with next and last times; show clients the statements that clients of unify serve run now.",
    ),
    HelpTopic(
        "describe",
        ("describe [SCHEMA.TABLE]", "??"),
        "The columns of a table with their types and descriptions; without a name, and as ??, those of the "
        "table used last.",
    ),
    HelpTopic(
        "peek",
        ("peek SCHEMA.TABLE [ROWS]",),
        "A few rows of a table, with its most informative columns. For a table that is not loaded, one page "
        "is fetched from the source and not stored.",
    ),
    HelpTopic("count", ("count SCHEMA.TABLE",), "The number of rows: select count(*) from SCHEMA.TABLE."),
    HelpTopic(
        "changes",
        ("changes SCHEMA.TABLE since DURATION", "changes SCHEMA.TABLE since 'TIMESTAMP'"),
        "Rows inserted, updated and deleted since a time: since 2 hours, or since '2026-03-01 08:00'. "
        "Deleted rows have their old values, the others their current ones. In a table without a key, a "
        "changed row counts as deleted and inserted.",
    ),
    HelpTopic(
        "load",
        ("load table SCHEMA.TABLE",),
        "Fetches a table for the first time, as the first query on it does automatically.",
    ),
    HelpTopic(
        "refresh",
        (
            "refresh table SCHEMA.TABLE",
            "refresh table SCHEMA.TABLE every DURATION [starting HH:MM]",
            "refresh table SCHEMA.TABLE never",
        ),
        "Fetches the changes since the last load if the API supports it, else everything. With every, the "
        "daemon repeats it: every 15 minutes, every 1 day starting 06:00, local time including daylight "
        "saving. never removes the schedule.",
    ),
    HelpTopic(
        "reload",
        ("reload table SCHEMA.TABLE",),
        "Fetches everything again. Queries read the old rows until the new ones are complete.",
    ),
    HelpTopic(
        "clear",
        ("clear table SCHEMA.TABLE",),
        "Deletes the stored rows of a table and cancels its loads. The next query loads the table again.",
    ),
    HelpTopic(
        "accept",
        ("accept table SCHEMA.TABLE",),
        "Publishes a version that was held back. A load that would replace a table is held back if it has no "
        "rows, less than a tenth of the stored rows, or less than half of the stored columns. The stored "
        "version stays until then; a later complete load replaces both.",
    ),
    HelpTopic(
        "write",
        (
            "insert into CONNECTION.TABLE (COLUMN, …) values …|select … [returning *];",
            "update CONNECTION.TABLE set COLUMN = VALUE … [where …];",
            "delete from CONNECTION.TABLE [where …];",
            "merge into CONNECTION.TABLE using … on … when matched then … when not matched then …;",
            "explain insert …;",
            "approve write NUMBER",
            "retry write NUMBER [rejected|unknown]",
            "cancel write NUMBER",
            "undo write NUMBER",
        ),
        "Writes rows to the API behind a connection, if its adapter can and the connection lists the table "
        "under writes. The rows are planned and shown first; nothing is sent until you agree, or a script "
        "says --yes. --max-writes and --max-deletes bound the rows of a statement. Each row has an outcome "
        "of its own in unify.write_rows; a row whose response was lost is never sent again blindly. update, "
        "delete and merge choose among the stored rows. explain shows the requests and sends nothing. See "
        "also: help rows, help sync.",
    ),
    HelpTopic(
        "rows",
        (
            "export SCHEMA.TABLE|$NAME|(SELECT …) to CONNECTION.TABLE",
            "    [insert|update|upsert|mirror|append|replace|merge] [by COLUMN, …] [delta]",
            "    [when gone nothing|clear|delete] [adopt] [as NAME] [every DURATION]",
            "explain export … to CONNECTION.TABLE …",
        ),
        "Writes the rows of a SELECT to a table of an API or a database. by names the columns that identify "
        "a row. upsert changes the rows that exist and adds the others; mirror also deletes the rows that it "
        "has written before and that are gone from the SELECT, a tenth of them at most without "
        "--max-deletes, and none if the SELECT is empty; with adopt, those that others have written, too. "
        "delta sends only the rows that differ from the last success under the name (as NAME, else that of "
        "the table). every makes a sync of it. A table of a database is written in one transaction, and "
        "created if it is missing (not by update and insert); append, replace, upsert, update and mirror "
        "apply to it. See also: help databases.",
    ),
    HelpTopic(
        "databases",
        (
            "insert into CONNECTION.TABLE …; update CONNECTION.TABLE …; delete from CONNECTION.TABLE …;",
            "create [or replace] table CONNECTION.TABLE as select …;",
            "truncate CONNECTION.TABLE; drop table CONNECTION.TABLE;",
            "export SCHEMA.TABLE|$NAME|(SELECT …) to CONNECTION.TABLE",
            "    [append|replace|upsert|merge|update|mirror] [by COLUMN, …]",
        ),
        "What may change a database with writable: true in connections.yaml. The rows are checked before "
        "the first one is sent, and written in one transaction: all of them, or none. append adds them, "
        "replace puts them in place of all, upsert (or merge) updates rows with the same key and inserts "
        "the others, update only updates, mirror also deletes the rows that the SELECT does not have. "
        "Without by, the key is that of the table. update and delete choose among the rows that the "
        "database has now. Deletions are confirmed, or allowed by --max-deletes; drop and truncate by "
        "--yes. explain shows what would be sent.",
    ),
    HelpTopic(
        "approve",
        ("approve write NUMBER",),
        "Sends a planned write. show writes lists them. See also: help write.",
    ),
    HelpTopic(
        "retry",
        ("retry write NUMBER [rejected|unknown]",),
        "Sends again the rows of a write that were refused or not sent, or those of one outcome. A row that "
        "is unknown may have been written: look for it in the system before you retry it.",
    ),
    HelpTopic(
        "undo",
        ("undo write NUMBER",),
        "Plans the write that takes another one back: created rows are deleted, changed ones get their old "
        "values, deleted ones are restored where the API can. Rows that were changed since stay as they are.",
    ),
    HelpTopic(
        "sync",
        (
            "create sync NAME as insert|update|upsert|mirror into CONNECTION.TABLE [by COLUMN, …]",
            "    [when gone nothing|clear|delete] [adopt] [cursor COLUMN] SELECT …",
            "    [every DURATION|after load of SCHEMA.TABLE]",
            "    [then run 'FILE.sql'|then 'https://…' [secret '${NAME}']]",
            "run sync NAME",
            "drop sync NAME",
            "show syncs",
        ),
        "Writes the rows of a SELECT again and again: the daemon runs it on a schedule, or after each load "
        "of a table. A run sends the rows that differ from what the sync has written before; with cursor, it "
        "reads only rows with a greater value than the last ones. Creating it is the approval of its runs: "
        "the plan of the first one is shown. unify.sync_runs has the status and the counts of each run. then "
        "runs a script after each run, or posts its result, signed with a secret that a reference names.",
    ),
    HelpTopic(
        "watch",
        (
            "watch SELECT … [by COLUMN, …] [every DURATION]",
            "    [to 'https://…' [secret '${NAME}']|to 'FILE.jsonl'|to CONNECTION.TABLE|to MAIL 'a@b', …]",
            "    [when rows > NUMBER] [as NAME]",
            "run watch NAME",
            "unwatch NAME",
            "show watches",
        ),
        "Tells what changes in the rows of a SELECT. Without to, the session shows them until Ctrl-C: + "
        "inserted, - deleted, ~ updated. With to, the daemon sends them: posted as JSON and signed, appended "
        "to a file of JSON lines or to a table of a database, or by mail. by names the columns that identify "
        "a row; without, an update is a deletion and an insertion. It looks when a table that it reads has "
        "changed; with every, on a schedule, and outdated tables are loaded. when sends changes only while "
        "the SELECT returns so many rows. What fails is sent again for a day, in order. "
        "unify.deliveries has what was sent. The name comes after another option, or after a SELECT in "
        "brackets.",
    ),
    HelpTopic(
        "cancel",
        ("cancel write NUMBER",),
        "Sends nothing more of a write. Rows that were sent keep their outcome; undo write takes them back.",
    ),
    HelpTopic(
        "system",
        (
            "system status",
            "system start daemon",
            "system stop daemon",
            "system restart daemon",
            "system cancel JOB",
            "system cancel client CLIENT",
            "system retry JOB",
            "system retry all",
        ),
        "Shows and controls background work. JOB is a number listed by show jobs; all are the tables whose "
        "last load failed. CLIENT is a number listed by show clients: its statement ends, and its loads go "
        "on.",
    ),
    HelpTopic(
        "pause",
        ("pause SCHEMA", "pause SCHEMA.TABLE"),
        "Pauses the loads of a connection or of one table: queued loads, refreshes and schedules wait until "
        "resume. Stored rows are still read. A load that is running goes on; system cancel ends it. system "
        "status and show connections list what is paused.",
    ),
    HelpTopic(
        "resume",
        ("resume SCHEMA", "resume SCHEMA.TABLE"),
        "Ends a pause. Queued loads start, and a schedule that became due during the pause runs once.",
    ),
    HelpTopic(
        "set",
        ("set max_age = 'DURATION'", "set max_age = 0", "set max_age = none", "set keys = 'vi'|'emacs'"),
        "max_age is the maximum age of the data of a query. With a duration, a query waits until older "
        "tables are refreshed; with 0 it always refreshes; with none it never does; with default it reads "
        "the stored rows and queues a refresh of tables whose schedule is overdue. keys sets the key "
        "bindings of the prompt and is saved. Other names are settings of DuckDB and end with ;: set "
        "threads = 4;",
    ),
    HelpTopic(
        "connect",
        ("connect [ADAPTER [as NAME]] [with OPTION = 'VALUE', …]", "connect NAME"),
        "Adds a connection, whose tables form a schema. Prompts for missing options without echoing "
        "secrets, and tests the credentials before it writes connections.yaml. A secret should be a "
        "reference: with token = '${GITHUB_TOKEN}', or ${keyring:SERVICE/USER}, or ${file:PATH}. If the API "
        "requires a sign-in, the browser opens or a code is shown; connect NAME signs in again to an "
        "existing connection.",
    ),
    HelpTopic(
        "disconnect",
        ("disconnect NAME",),
        "Removes a connection from connections.yaml, with its schedules and tokens. Loaded rows are kept.",
    ),
    HelpTopic(
        "query",
        ("query CONNECTION 'SQL'",),
        "Runs a statement on the original database, in its own SQL and read-only, and shows the rows. In a "
        "FROM clause: select * from query('CONNECTION', 'SQL'). Variables in the SQL are not replaced.",
    ),
    HelpTopic(
        "import",
        (
            "import 'FILE-OR-ADDRESS-OR-GLOB' [into SCHEMA.TABLE] [overwrite|append]",
            "import CONNECTION.'FILE-OR-GLOB' [into SCHEMA.TABLE] [overwrite|append]",
        ),
        "Creates a table from a file: CSV, TSV, JSON, JSON lines, Parquet, Excel or Avro by its suffix; text "
        "formats may be compressed (.gz). A glob reads several files as one; an http or https URL is "
        "downloaded first, and a pipe, such as /dev/stdin, is read to its end. Without into, the table is "
        "named after the file: 'Sales 2026.csv' becomes sales_2026. If the table exists, overwrite replaces "
        "it, append adds the rows by column name; else it is an error.",
    ),
    HelpTopic(
        "export",
        (
            "export SCHEMA.TABLE|$NAME|(SELECT …) to 'FILE'|CONNECTION.'FILE' [overwrite|append]",
            "export SCHEMA.TABLE|$NAME|(SELECT …) to CONNECTION.TABLE [append|replace]",
        ),
        "Writes rows to a file in the format of its suffix; the formats are those of import. The file "
        "appears when it is complete. If it exists, overwrite replaces it, append adds the rows; else it is "
        "an error. Tables that were never loaded are loaded first. A file of a connection is written to "
        "its folder or object store, which needs writable: true in connections.yaml. A table of a folder "
        "or store gets one more file; replace removes the old ones.",
    ),
    HelpTopic(
        "mail",
        (
            "export SCHEMA.TABLE|$NAME|(SELECT …) to mail 'ADDRESS' [, 'ADDRESS' …] [subject 'TEXT']",
            "    [as csv|excel|html]",
        ),
        "Sends rows as a mail, through the connection of adapter smtp (connect smtp as mail; with several, "
        "write the name of one instead of mail). html, the default, shows up to 1,000 rows in the mail; csv "
        "and excel attach a file. The mail is planned and shown, and sent once you agree or a script says "
        "--yes. unify.writes lists it. If the reply of the server is lost it is unknown, and is not sent "
        "again unless you say so (retry write N unknown).",
    ),
    HelpTopic(
        "copy",
        ("copy 'FILE'|CONNECTION.'FILE' to 'FILE'|CONNECTION.'FILE' [overwrite]",),
        "Copies files within a folder or object store, between two of them, or from and to this machine. "
        "A pattern (exports.'2026/*.csv') or a folder (exports.'2026/') is copied into a folder: end the "
        "target with /. A file that exists is an error unless overwrite is given. What is written needs "
        "writable: true in connections.yaml.",
    ),
    HelpTopic(
        "remove",
        ("remove CONNECTION.'FILE-OR-GLOB' [recursive]",),
        "Removes files of a folder or object store, once you agree to their number; a script needs --yes. A "
        "folder needs recursive. Needs writable: true in connections.yaml.",
    ),
    HelpTopic(
        "url",
        ("url CONNECTION.'FILE' [for DURATION]",),
        "Shows an address that reads one file of an object store without credentials, for an hour or as "
        "long as you write, such as for 2 days. Whoever has the address can read the file.",
    ),
    HelpTopic(
        "chart",
        (
            "create chart [NAME] from SCHEMA.TABLE|$NAME|(SELECT …) as KIND where x = COLUMN and y = COLUMN",
            "    [and y = COLUMN …|and series = COLUMN] [and title = 'TEXT'] [to 'FILE' [overwrite]]",
        ),
        "Draws a chart in the terminal, or to a file: .svg, .png or .html (pip install "
        "'unify-sql[charts]'). KIND is bar_chart, hbar_chart, line_chart, area_chart, pie_chart or "
        "scatter_chart. y is a column of numbers, x of any type. Each y is a series; series (or color) = "
        "COLUMN makes a series of each value of a column. In bars, pies and areas, y is added up over rows "
        "with the same x. title, x_title and y_title are texts; without title, NAME is the title. Tables "
        "that were never loaded are loaded first.",
    ),
    HelpTopic(
        "run",
        (
            "run 'FILE.sql'",
            "run 'FILE.sql' every DURATION [starting HH:MM]",
            "run 'FILE.sql' at 'TIMESTAMP'",
            "run 'FILE.ipynb' [every …|at …] [with NAME = VALUE, …] [to 'FILE.html']",
        ),
        "Runs the statements of a script and stops at the first error, with file and line. In a script, "
        "relative paths start at the folder of the script. With every or at, the daemon runs the script, "
        "also while no shell is open: every 1 day starting 06:00, at '2026-03-01 08:00', at 08:00. select * "
        "from unify.script_runs shows status, output and errors of these runs. A Jupyter notebook (.ipynb) "
        "is run cell by cell in a kernel of its own: with gives values to its parameters, to writes it as a "
        "page of HTML, and an error names the cell. The executed copy is kept in the home folder.",
    ),
    HelpTopic(
        "unschedule",
        ("unschedule NAME",),
        "Removes the schedule of a script or a table, by the name listed by show schedules. A run of the "
        "script in progress is ended.",
    ),
    HelpTopic(
        "variables",
        ("$NAME = EXPRESSION", "$NAME = SELECT …", "$NAME", "unset $NAME", "show variables"),
        "In SQL, $NAME is a constant; its value is bound as a parameter, not inserted into the text. The "
        "rows of a SELECT are stored and used as a table: select * from $NAME. (A SELECT in parentheses is "
        "one value.) A variable in CAPITALS is kept after the session. --var NAME=VALUE sets a text. In a "
        "transaction, rollback restores the variables.",
    ),
    HelpTopic("help", ("help [TOPIC]",), "This list, or the description of one command."),
    HelpTopic("exit", ("exit", "quit"), "Leaves the shell. Loads go on in the background."),
)

_TOPIC_ALIASES = {
    "desc": "describe",
    "??": "describe",
    "quit": "exit",
    "unset": "variables",
    "create": "chart",
    "drop": "sync",
    "explain": "rows",
    "syncs": "sync",
    "watches": "watch",
    "unwatch": "watch",
}


def help_text(topic: str | None) -> str:
    """Return the list of commands, or the text of one. Raises UnknownName with the closest topic."""
    if topic is None:
        return _overview_text()
    word = topic.lower().split()[0]
    name = "variables" if word.startswith("$") else _TOPIC_ALIASES.get(word, word)
    entry = next((one for one in TOPICS if one.name == name), None)
    if entry is None:
        known = [one.name for one in TOPICS]
        raise UnknownName(f"help has no topic {topic}{did_you_mean(topic, known)} (help lists the topics)")
    return "\n".join([*(f"  {form}" for form in entry.forms), "", entry.text])


def _overview_text() -> str:
    forms = dict.fromkeys(f"  {form}" for topic in TOPICS for form in topic.forms)
    topics = ", ".join(topic.name for topic in TOPICS)
    return "\n".join(
        [
            "SQL runs when a ; closes it; a command below runs on Enter.",
            "",
            *forms,
            "",
            f"help TOPIC explains one: {topics}",
        ]
    )
