r"""The commands of psql and of DuckDB's shell that the prompt has, and what to use in place of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from unify.render.formats.options import FORMATS

ShellAction = Literal[
    "expanded",
    "timing",
    "edit",
    "output",
    "mode",
    "rows",
    "help",
    "run",
    "run expanded",
    "describe",
    "print",
    "reset",
    "echo",
    "warn",
    "watch",
    "shell",
    "set",
    "option",
    "header",
    "null",
]


@dataclass(frozen=True, slots=True)
class MetaCommand:
    """One line of META_COMMANDS.

    ``statement``                the statement without an argument; "" if the argument is required.
    ``statement_with_argument``  the statement with an argument, which replaces ``{}``.
    ``action``                   what the prompt does instead of running a statement.
    ``in_script``                what a script, which has no meta commands, uses instead of the action.
    """

    names: tuple[str, ...]
    argument: str  # as the help shows it: "" for none, [X] optional, X required
    description: str
    statement: str = ""
    statement_with_argument: str = ""
    action: ShellAction | None = None
    in_script: str = ""


_FUNCTIONS = (
    "select schema_name as schema, function_name as name, return_type as result, parameters, "
    "function_type as type from duckdb_functions() where {} order by all"
)
TABLES_SQL = (
    'select schema, "table", rows, loaded_at, state, description from unify.tables where {} order by all'
)
_VIEWS = TABLES_SQL.replace("{}", "state = 'view'")
META_COMMANDS = (
    MetaCommand((r"\d",), "[TABLE]", "columns of a table, or all tables", "show tables", "describe {}"),
    MetaCommand((r"\dt", ".tables"), "[SCHEMA]", "tables", "show tables", "show tables from {}"),
    MetaCommand((".schema",), "[TABLE]", "columns of a table, or all tables", "show tables", "describe {}"),
    MetaCommand((r"\dv",), "", "views", _VIEWS),
    MetaCommand((r"\l", r"\conninfo", ".databases"), "", "connections", "show connections"),
    MetaCommand((r"\dn",), "", "schemas", "show schemas"),
    MetaCommand(
        (r"\df",),
        "[PATTERN]",
        "your own functions, or all that match, such as date*",
        _FUNCTIONS.replace("{}", "not internal"),
        _FUNCTIONS.replace("{}", "function_name glob lower('{}')"),
    ),
    MetaCommand((r"\c", r"\connect"), "SCHEMA", "look for tables there first", "", "use {}"),
    MetaCommand(
        (r"\g",),
        "[FILE]",
        "run the last statement again; also at the end of a statement",
        action="run",
        in_script="; and -o FILE",
    ),
    MetaCommand(
        (r"\gx",),
        "[FILE]",
        r"as \g, with the rows as lists of columns",
        action="run expanded",
        in_script="; and --format vertical",
    ),
    MetaCommand(
        (r"\gdesc",),
        "",
        "columns of the last statement; also at the end of one",
        action="describe",
        in_script="describe SELECT …",
    ),
    MetaCommand(
        (r"\watch",),
        "[SECONDS]",
        "run the last statement every 2 seconds until Ctrl-C",
        action="watch",
        in_script="a loop of the shell, or run 'FILE' every 1 minute",
    ),
    MetaCommand((r"\p",), "", "the last statement", action="print", in_script="--echo"),
    MetaCommand((r"\r",), "", "forget what was typed", action="reset"),
    MetaCommand(
        (r"\x",),
        "[on|off]",
        "rows as lists of columns, and back",
        action="expanded",
        in_script="--format vertical",
    ),
    MetaCommand(
        (r"\timing", ".timer"),
        "[on|off]",
        "how long each statement takes",
        action="timing",
        in_script="time unify …",
    ),
    MetaCommand((r"\e", ".edit"), "", "edit the last statement in $EDITOR", action="edit"),
    MetaCommand((r"\i", r"\ir", ".read"), "FILE", "run a script", statement_with_argument="run '{}'"),
    MetaCommand(
        (r"\o", ".output"),
        "[FILE]",
        "write rows to a file, or to the screen again",
        action="output",
        in_script="-o FILE, or export (SELECT …) to 'FILE'",
    ),
    MetaCommand(
        (r"\copy",),
        "TABLE|(SELECT) to|from FILE [OPTIONS]",
        "copy rows to or from a file",
        statement_with_argument="copy {}",
    ),
    MetaCommand(
        (r"\echo", r"\qecho", ".print"),
        "[TEXT]",
        "write a text",
        action="echo",
        in_script="select 'TEXT', or echo TEXT in the shell",
    ),
    MetaCommand((r"\warn",), "[TEXT]", "write a text to stderr", action="warn", in_script="echo TEXT >&2"),
    MetaCommand(
        (r"\set",),
        "[NAME [VALUE]]",
        "variables, or set one, which SQL reads as $NAME",
        action="set",
        in_script="$NAME = VALUE, or --var NAME=VALUE",
    ),
    MetaCommand((r"\unset",), "NAME", "remove a variable", "", "unset ${}"),
    MetaCommand(
        (".mode",),
        "[FORMAT]",
        f"format of rows: {', '.join(FORMATS)}",
        action="mode",
        in_script="--format FORMAT",
    ),
    MetaCommand(
        (r"\pset",),
        "[format|expanded|tuples_only|null [VALUE]]",
        "how rows are shown",
        action="option",
        in_script="--format FORMAT, --no-header, --null TEXT",
    ),
    MetaCommand(
        (r"\t", ".headers", ".header"),
        "[on|off]",
        r"column names: \t on hides them, .headers on shows them",
        action="header",
        in_script="--no-header",
    ),
    MetaCommand((".nullvalue",), "[TEXT]", "the text of NULL", action="null", in_script="--null TEXT"),
    MetaCommand(
        (".maxrows",),
        "[N|all]",
        "rows shown in a box; default: as many as fit",
        action="rows",
        in_script="--max-rows N",
    ),
    MetaCommand((r"\!", ".shell", ".system"), "[COMMAND]", "run a command of the system", action="shell"),
    MetaCommand((r"\h",), "[TOPIC]", "help on statements", "help", "help {}"),
    MetaCommand((r"\?", "?", ".help"), "", "this list", action="help", in_script="help"),
    MetaCommand((r"\q", ".exit", ".quit"), "", "exit", "exit"),
)
# Other commands of psql and of DuckDB's shell: what to use in their place.
REPLACEMENTS: Mapping[str, str] = {
    **dict.fromkeys((r"\a", r"\f"), ".mode FORMAT, such as .mode csv or .mode html"),
    **dict.fromkeys((r"\du", r"\dg"), "the users of unify serve are listed by: unify user list"),
    r"\password": "unify user add NAME gives a user of unify serve a token",
    **dict.fromkeys((r"\dp", r"\z", r"\ddp", r"\drg"), "there are no privileges on tables"),
    **dict.fromkeys((r"\di", r"\dx", r"\db"), "from duckdb_indexes(), or from duckdb_extensions()"),
    r"\ds": "from duckdb_sequences()",
    r"\dc": "from duckdb_constraints()",
    **dict.fromkeys(
        (r"\sv", r"\sf", r"\ev", r"\ef"), "select sql from duckdb_views(), or duckdb_functions()"
    ),
    r"\cd": r"\! cd ends with its shell; start unify in that folder, or name files with their paths",
    r"\s": "Ctrl-R searches the history, and the arrow keys go through it",
    r"\w": r"\e edits the last statement in $EDITOR, which can save it",
    r"\encoding": "texts are always UTF-8",
    r"\gset": "$name = SELECT …, and then $name in SQL",
    r"\gexec": "export the statements to a file with --no-header, and run it",
    r"\crosstabview": "pivot … on COLUMN using FUNCTION(…)",
    **dict.fromkeys((r"\if", r"\elif", r"\else", r"\endif"), "case when …, or a script of the shell"),
    r"\prompt": "$name = VALUE, or --var NAME=VALUE",
    r"\errverbose": "unify --debug shows tracebacks",
    **dict.fromkeys((r"\lo_import", r"\lo_export", r"\lo_list"), "import 'FILE' into TABLE"),
    r"\parse": "prepare NAME as SELECT …",
    r"\bind": "$name = VALUE, and then $name in SQL",
    r"\copyright": "the file LICENSE",
    ".import": "import 'FILE' into TABLE",
    **dict.fromkeys((".dump", ".backup", ".save", ".clone"), "unify backup FILE, or export TABLE to 'FILE'"),
    **dict.fromkeys((".restore",), "unify restore FILE"),
    **dict.fromkeys((".open",), "attach 'FILE' as NAME, or unify --home FOLDER"),
    **dict.fromkeys((".once", ".excel"), r"\g FILE at the end of the statement"),
    **dict.fromkeys((".separator", ".width", ".columns", ".rows"), ".mode FORMAT, such as .mode csv"),
    **dict.fromkeys((".echo", ".bail"), "--echo and --keep-going, for scripts"),
    ".cd": "start unify in that folder, or name files with their paths",
    ".show": "show settings",
    **dict.fromkeys((".indexes", ".indices"), "from duckdb_indexes()"),
    **dict.fromkeys((".log", ".changes"), r"\o FILE"),
    ".prompt": "the prompt is fixed",
}
LIST_HINT = r" (\? lists the commands)"
META_COMMAND_NAMES = tuple(name for command in META_COMMANDS for name in command.names)
