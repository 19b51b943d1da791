"""One text a command: what ``help`` prints."""

from __future__ import annotations

from dataclasses import dataclass

from unify.errors import UnknownName
from unify.text import did_you_mean


@dataclass(frozen=True, slots=True)
class HelpTopic:
    """A command as ``help NAME`` explains it, in a paragraph; ``forms`` are what can be typed."""

    name: str
    forms: tuple[str, ...]
    text: str


TOPICS = (
    HelpTopic(
        "select",
        ("select … from CONNECTION.TABLE …;",),
        "Any SQL that DuckDB knows, over tables named connection.table, in any mix. A table that was "
        "never loaded is loaded first, with its progress in view; Ctrl-C stops waiting, and the load goes "
        "on in the background. Your own tables live beside them: create table t as select …;",
    ),
    HelpTopic(
        "show",
        (
            "show connections",
            "show schemas",
            "show tables [from SCHEMA]",
            "show columns from SCHEMA.TABLE [like 'PATTERN']",
            "show jobs",
            "show files [from SCHEMA] [like 'PATTERN']",
            "show variables",
            "show settings",
            "show schedules",
        ),
        "Lists what there is. show tables lists what can be loaded too, with rows, age and state; "
        "show files lists the files that tables were imported from, show schedules what is refreshed and "
        "run by itself, with next and last times.",
    ),
    HelpTopic(
        "describe",
        ("describe [SCHEMA.TABLE]", "??"),
        "The columns of a table with their types and descriptions; without a name, and as ??, those of "
        "the table used last.",
    ),
    HelpTopic(
        "peek",
        ("peek SCHEMA.TABLE [ROWS]",),
        "A few rows of a table, and the columns that tell most about them. A table that is not loaded is "
        "asked for one page at its source; nothing is loaded and nothing stored.",
    ),
    HelpTopic("count", ("count SCHEMA.TABLE",), "The number of rows: select count(*) from SCHEMA.TABLE."),
    HelpTopic(
        "changes",
        ("changes SCHEMA.TABLE since DURATION", "changes SCHEMA.TABLE since 'TIMESTAMP'"),
        "Rows inserted, updated and deleted between then and now, however many loads lie between: those "
        "deleted as they were, the others as they are. since 2 hours, or since '2026-03-01 08:00'. Rows "
        "of a table without a key are not matched with each other: a changed one is deleted and inserted.",
    ),
    HelpTopic(
        "load",
        ("load table SCHEMA.TABLE",),
        "Fetches a table the first time. A query does so by itself; this waits without one.",
    ),
    HelpTopic(
        "refresh",
        (
            "refresh table SCHEMA.TABLE",
            "refresh table SCHEMA.TABLE every DURATION [starting HH:MM]",
            "refresh table SCHEMA.TABLE never",
        ),
        "Fetches what changed since the last load, where the API can tell; else everything. With every, "
        "the daemon goes on doing so: every 15 minutes, every 1 day starting 06:00, which is 06:00 on this "
        "machine's clock in summer and in winter. never ends that.",
    ),
    HelpTopic(
        "reload",
        ("reload table SCHEMA.TABLE",),
        "Fetches everything again. The old rows answer until the new ones are complete.",
    ),
    HelpTopic(
        "clear",
        ("clear table SCHEMA.TABLE",),
        "Forgets the stored rows of a table, and cancels what is loading it. The next query loads it anew.",
    ),
    HelpTopic(
        "system",
        (
            "system status",
            "system start daemon",
            "system stop daemon",
            "system restart daemon",
            "system cancel JOB",
            "system retry JOB",
        ),
        "Shows and steers the background work. JOB is the number that show jobs lists.",
    ),
    HelpTopic(
        "set",
        ("set max_age = 'DURATION'", "set max_age = 0", "set max_age = none", "set keys = 'vi'|'emacs'"),
        "How old an answer may be. With a duration, a query waits for data at least that fresh; with 0 "
        "it always refreshes; with none it never does. default: answer at once, refresh behind it what "
        "is past its schedule. keys are those of the prompt, and remembered. Other names are settings of "
        "DuckDB's, which a ; ends: set threads = 4;",
    ),
    HelpTopic(
        "connect",
        ("connect [ADAPTER [as NAME]] [with OPTION = 'VALUE', …]", "connect NAME"),
        "Sets up a connection: a schema of tables. Whatever is missing is asked for, secrets unseen; the "
        "API has to take the credentials before anything is written to connections.yaml. A secret is best "
        "a reference: with token = '${GITHUB_TOKEN}', or ${keyring:SERVICE/USER}, or ${file:PATH}. "
        "Where an API wants a person to sign in, the browser opens, or a code is shown; connect NAME "
        "signs in again to a connection that is there.",
    ),
    HelpTopic(
        "disconnect",
        ("disconnect NAME",),
        "Takes a connection out of connections.yaml, ends its schedules and forgets who signed in. "
        "Rows that were loaded stay.",
    ),
    HelpTopic(
        "import",
        ("import 'FILE-OR-ADDRESS-OR-GLOB' [into SCHEMA.TABLE] [overwrite|append]",),
        "Makes a table of a file: CSV, TSV, JSON, JSON lines, Parquet or Excel by its suffix, .gz around "
        "the text formats. A glob reads several files as one; an http or https address is fetched first. "
        "Without into, the table is called like the file: 'Sales 2026.csv' becomes sales_2026. A table that "
        "is there is left alone unless overwrite replaces it, or append adds to it by the columns' names.",
    ),
    HelpTopic(
        "export",
        ("export SCHEMA.TABLE|$NAME|(SELECT …) to 'FILE' [overwrite|append]",),
        "Writes rows to a file, in the format of its suffix, as import reads them. The file appears when it "
        "is complete. One that is there already is left alone unless overwrite replaces it, or append adds "
        "to it. Tables that were never loaded are loaded first.",
    ),
    HelpTopic(
        "chart",
        (
            "create chart [NAME] from SCHEMA.TABLE|$NAME|(SELECT …) as KIND where x = COLUMN and y = COLUMN",
            "    [and y = COLUMN …|and series = COLUMN] [and title = 'TEXT'] [to 'FILE' [overwrite]]",
        ),
        "Draws a chart here, or into a file: .svg, .png or .html (pip install 'unify-sql[charts]'). KIND is "
        "bar_chart, hbar_chart, line_chart, area_chart, pie_chart or scatter_chart. y holds numbers, x what "
        "you like. Several y are several series; so are the values of a column: series (or color) = COLUMN. "
        "In bars, pies and areas, y is added up over rows with the same x. title, x_title and y_title are "
        "texts; NAME is the title unless title sets one, and is not saved. A table that was never loaded is "
        "loaded first.",
    ),
    HelpTopic(
        "run",
        (
            "run 'FILE.sql'",
            "run 'FILE.sql' every DURATION [starting HH:MM]",
            "run 'FILE.sql' at 'TIMESTAMP'",
        ),
        "Runs the statements of a script, and stops at the first that fails, with file and line. Within a "
        "script, a relative path starts at the folder of that script. With every or at, the daemon runs it "
        "then, whether a shell is open or not: every 1 day starting 06:00, at '2026-03-01 08:00', at 08:00. "
        "select * from unify.script_runs shows what came of it: status, output, errors.",
    ),
    HelpTopic(
        "unschedule",
        ("unschedule NAME",),
        "Ends what happens by itself: a script, or the refreshes of a table, by the name that "
        "show schedules lists. A script that runs just now is ended.",
    ),
    HelpTopic(
        "variables",
        ("$NAME = EXPRESSION", "$NAME = SELECT …", "$NAME", "unset $NAME", "show variables"),
        "A value goes into any SQL as $NAME, wherever a constant may stand; it is bound, never pasted into "
        "the text. The rows of a SELECT are kept and used as a table: select * from $NAME. (A SELECT in "
        "brackets is one value.) A name in CAPITALS outlives the session. --var NAME=VALUE sets a text.",
    ),
    HelpTopic("help", ("help [TOPIC]",), "This list, or one command explained."),
    HelpTopic("exit", ("exit", "quit"), "Leaves the shell. Loads go on in the background."),
)

_TOPIC_ALIASES = {
    "desc": "describe",
    "??": "describe",
    "quit": "exit",
    "unset": "variables",
    "create": "chart",
}


def help_text(topic: str | None) -> str:
    """The list of all commands, or one explained. Raises UnknownName with the nearest topic."""
    if topic is None:
        return _overview_text()
    word = topic.lower().split()[0]
    name = "variables" if word.startswith("$") else _TOPIC_ALIASES.get(word, word)
    found = next((known for known in TOPICS if known.name == name), None)
    if found is None:
        known = [known.name for known in TOPICS]
        raise UnknownName(f"there is no help on {topic}{did_you_mean(topic, known)} (help lists the topics)")
    return "\n".join([*(f"  {form}" for form in found.forms), "", found.text])


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
