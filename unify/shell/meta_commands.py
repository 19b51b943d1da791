r"""What hands that know psql or DuckDB's own shell type: ``\dt``, ``\x``, ``.tables``, ``.mode`` …

One table says what each becomes: a statement of ours, or something the prompt itself does. At the
prompt only; a script is made of statements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from unify.errors import UsageError
from unify.render.formats.options import FORMATS, Format
from unify.text import did_you_mean

ShellAction = Literal["expanded", "timing", "edit", "output", "mode", "rows", "help"]
_META_COMMAND = re.compile(
    r"[ \t]*(\\[^\s;]+|\.[a-z][^\s;]*|\?(?!\?))(?:[ \t]+(.*?))?[ \t]*;?\s*\Z", re.IGNORECASE
)
_META_COMMAND_PREFIX = re.compile(r"[ \t]*(\\|\.[a-z])[^\n]*\Z|[ \t]*\.\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MetaCommand:
    """One line of the table.

    ``statement`` and ``given`` are the statements without and with an argument, which stands for ``{}``;
    "" where there is none. ``action`` is what the prompt does instead of a statement.
    """

    names: tuple[str, ...]
    argument: str  # as the help shows it: "" none, [X] may be left out, X has to be there
    description: str
    statement: str = ""
    statement_with_argument: str = ""
    action: ShellAction | None = None


META_COMMANDS = (
    MetaCommand((r"\d",), "[TABLE]", "columns of a table, or all tables", "show tables", "describe {}"),
    MetaCommand((r"\dt", ".tables"), "[SCHEMA]", "tables", "show tables", "show tables from {}"),
    MetaCommand((".schema",), "[TABLE]", "columns of a table, or all tables", "show tables", "describe {}"),
    MetaCommand((r"\l", ".databases"), "", "connections", "show connections"),
    MetaCommand((r"\dn",), "", "schemas", "show schemas"),
    MetaCommand((r"\x",), "[on|off]", "rows as lists of columns, and back", action="expanded"),
    MetaCommand((r"\timing", ".timer"), "[on|off]", "how long each statement takes", action="timing"),
    MetaCommand((r"\e", ".edit"), "", "the last statement in $EDITOR", action="edit"),
    MetaCommand((r"\i", ".read"), "FILE", "run a script", statement_with_argument="run '{}'"),
    MetaCommand((r"\o", ".output"), "[FILE]", "rows into a file, or here again", action="output"),
    MetaCommand((".mode",), "[FORMAT]", f"how rows look: {', '.join(FORMATS)}", action="mode"),
    MetaCommand((".maxrows",), "[N|all]", "how many rows a box shows; as many as fit", action="rows"),
    MetaCommand((r"\h",), "[TOPIC]", "help of statements", "help", "help {}"),
    MetaCommand((r"\?", "?", ".help"), "", "this list", action="help"),
    MetaCommand((r"\q", ".exit", ".quit"), "", "leave", "exit"),
)
LIST_HINT = r" (\? lists what there is)"
# What DuckDB's shell calls the same.
_FORMAT_ALIASES: dict[str, Format] = {
    "duckbox": "box",
    "jsonlines": "jsonl",
    "line": "vertical",
    "ascii": "table",
}
META_COMMAND_NAMES = tuple(name for habit in META_COMMANDS for name in habit.names)


@dataclass(frozen=True, slots=True)
class ParsedMetaCommand:
    """What a line asks for: a ``statement`` to run, or a ``action`` with its argument."""

    statement: str = ""
    action: ShellAction | None = None
    argument: str = ""


def is_meta_command(text: str) -> bool:
    """Whether ``text`` is one line that begins as these do; no statement of SQL does."""
    return _META_COMMAND.match(text) is not None


def is_meta_command_prefix(text: str) -> bool:
    """Whether ``text`` may become one of these when more is typed."""
    return _META_COMMAND_PREFIX.match(text) is not None


def argument_name(name: str) -> str:
    """What stands behind the command in its help, without brackets: ``TABLE``, ``on|off``; "" for nothing."""
    habit = _find_meta_command(name.lower())
    return habit.argument.strip("[]") if habit else ""


def parse_meta_command(text: str) -> ParsedMetaCommand:
    """What ``text`` asks for. Raises UsageError with the nearest there is, or what is missing."""
    line = _META_COMMAND.match(text)
    if line is None:
        raise UsageError(f"{text.strip()}: this is none of the short commands (\\? lists them)")
    name, argument = line[1].lower(), _unquote(line[2] or "")
    habit = _find_meta_command(name)
    if habit is None:
        raise UsageError(f"there is no {name}{did_you_mean(name, META_COMMAND_NAMES) or LIST_HINT}")
    if argument and not habit.argument:
        raise UsageError(f"{name} takes nothing behind it")
    if not argument and habit.argument and not habit.argument.startswith("["):
        raise UsageError(f"{name} {habit.argument}: something has to be named")
    if habit.action is not None:
        return ParsedMetaCommand(action=habit.action, argument=argument)
    if not argument:
        return ParsedMetaCommand(habit.statement)
    if "'{}'" in habit.statement_with_argument:
        return ParsedMetaCommand(habit.statement_with_argument.replace("{}", argument.replace("'", "''")))
    return ParsedMetaCommand(
        habit.statement_with_argument.replace("{}", argument.removesuffix(".*"))
    )  # psql's pattern of a schema


def parse_format(word: str) -> Format:
    """Raises UsageError with the formats there are."""
    for format in FORMATS:
        if word.lower() in (format, *(also for also, meant in _FORMAT_ALIASES.items() if meant == format)):
            return format
    raise UsageError(f"there is no format {word}{did_you_mean(word, FORMATS)} ({', '.join(FORMATS)})")


def parse_switch(word: str, current: bool) -> bool:
    """What ``on`` and ``off`` say; without a word, the other of what is ``now``. Raises UsageError."""
    if word.lower() not in ("", "on", "off"):
        raise UsageError(f"{word}: it is on or off")
    return word.lower() == "on" if word else not current


def parse_row_limit(word: str) -> int | Literal["all", "as many as fit"]:
    """What ``.maxrows`` asks for. Raises UsageError for what is no number of rows."""
    if not word:
        return "as many as fit"
    if word.lower() in ("all", "-1"):  # DuckDB's shell says -1
        return "all"
    if not word.isdecimal() or int(word) == 0:
        raise UsageError(f".maxrows {word}: a number of rows is needed, or all")
    return int(word)


def meta_command_help() -> str:
    """The table for people."""
    heads = [f"{', '.join(habit.names)} {habit.argument}".rstrip() for habit in META_COMMANDS]
    width = max(map(len, heads))
    return "\n".join(
        f"{head:<{width}}  {habit.description}" for head, habit in zip(heads, META_COMMANDS, strict=True)
    )


def _find_meta_command(name: str) -> MetaCommand | None:
    r"""psql's ``\d+`` tells more than its ``\d``; ours tells all at once."""
    plain = name.rstrip("+")
    return next((habit for habit in META_COMMANDS if plain in habit.names), None)


def _unquote(argument: str) -> str:
    quoted = len(argument) > 1 and argument[0] == argument[-1] == "'"
    return argument[1:-1].replace("''", "'") if quoted else argument
