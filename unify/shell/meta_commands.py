r"""Commands of psql and of DuckDB's shell at the prompt: ``\dt``, ``\x``, ``.tables``, ``.mode`` …

META_COMMANDS maps each to a statement or to an action of the prompt. Scripts do not accept them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from unify.errors import UsageError
from unify.render.formats.options import FORMATS, Format
from unify.text import did_you_mean

ShellAction = Literal["expanded", "timing", "edit", "output", "mode", "rows", "help", "run", "run expanded"]
_META_COMMAND = re.compile(
    r"[ \t]*(\\[^\s;]+|\.[a-z][^\s;]*|\?(?!\?))(?:[ \t]+(.*?))?[ \t]*;?\s*\Z", re.IGNORECASE
)
_META_COMMAND_PREFIX = re.compile(r"[ \t]*(\\|\.[a-z])[^\n]*\Z|[ \t]*\.\Z", re.IGNORECASE)
_RUN_SUFFIX = re.compile(r"\\(gx?)(?:[ \t]+(\S.*?))?[ \t]*;?\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MetaCommand:
    """One line of META_COMMANDS.

    ``statement``                the statement without an argument; "" if the argument is required.
    ``statement_with_argument``  the statement with an argument, which replaces ``{}``.
    ``action``                   what the prompt does instead of running a statement.
    """

    names: tuple[str, ...]
    argument: str  # as the help shows it: "" for none, [X] optional, X required
    description: str
    statement: str = ""
    statement_with_argument: str = ""
    action: ShellAction | None = None


_FUNCTIONS = (
    "select schema_name as schema, function_name as name, return_type as result, parameters, "
    "function_type as type from duckdb_functions() where {} order by all"
)
META_COMMANDS = (
    MetaCommand((r"\d",), "[TABLE]", "columns of a table, or all tables", "show tables", "describe {}"),
    MetaCommand((r"\dt", ".tables"), "[SCHEMA]", "tables", "show tables", "show tables from {}"),
    MetaCommand((".schema",), "[TABLE]", "columns of a table, or all tables", "show tables", "describe {}"),
    MetaCommand((r"\l", ".databases"), "", "connections", "show connections"),
    MetaCommand((r"\dn",), "", "schemas", "show schemas"),
    MetaCommand(
        (r"\df",),
        "[PATTERN]",
        "your own functions, or all that match, such as date*",
        _FUNCTIONS.replace("{}", "not internal"),
        _FUNCTIONS.replace("{}", "function_name glob lower('{}')"),
    ),
    MetaCommand(
        (r"\g",), "[FILE]", "run the last statement again; also at the end of a statement", action="run"
    ),
    MetaCommand((r"\gx",), "[FILE]", r"as \g, with the rows as lists of columns", action="run expanded"),
    MetaCommand((r"\x",), "[on|off]", "rows as lists of columns, and back", action="expanded"),
    MetaCommand((r"\timing", ".timer"), "[on|off]", "how long each statement takes", action="timing"),
    MetaCommand((r"\e", ".edit"), "", "edit the last statement in $EDITOR", action="edit"),
    MetaCommand((r"\i", ".read"), "FILE", "run a script", statement_with_argument="run '{}'"),
    MetaCommand(
        (r"\o", ".output"), "[FILE]", "write rows to a file, or to the screen again", action="output"
    ),
    MetaCommand(
        (r"\copy",),
        "TABLE|(SELECT) to|from FILE [OPTIONS]",
        "copy rows to or from a file",
        statement_with_argument="copy {}",
    ),
    MetaCommand((".mode",), "[FORMAT]", f"format of rows: {', '.join(FORMATS)}", action="mode"),
    MetaCommand((".maxrows",), "[N|all]", "rows shown in a box; default: as many as fit", action="rows"),
    MetaCommand((r"\h",), "[TOPIC]", "help on statements", "help", "help {}"),
    MetaCommand((r"\?", "?", ".help"), "", "this list", action="help"),
    MetaCommand((r"\q", ".exit", ".quit"), "", "exit", "exit"),
)
LIST_HINT = r" (\? lists the commands)"
# Names of formats in DuckDB's shell.
_FORMAT_ALIASES: dict[str, Format] = {
    "duckbox": "box",
    "jsonlines": "jsonl",
    "line": "vertical",
    "ascii": "table",
}
META_COMMAND_NAMES = tuple(name for command in META_COMMANDS for name in command.names)


@dataclass(frozen=True, slots=True)
class ParsedMetaCommand:
    """A parsed line: a ``statement`` to run, or an ``action`` with its argument."""

    statement: str = ""
    action: ShellAction | None = None
    argument: str = ""


def is_meta_command(text: str) -> bool:
    """Whether ``text`` is one line that starts like a meta command; no SQL statement does."""
    return _META_COMMAND.match(text) is not None


def is_meta_command_prefix(text: str) -> bool:
    """Whether ``text`` can be the beginning of a meta command."""
    return _META_COMMAND_PREFIX.match(text) is not None


def split_run_suffix(text: str) -> tuple[str, ParsedMetaCommand] | None:
    r"""Split ``select 1 \g [FILE]`` into the statement and the command; None for any other text."""
    from unify.language.statements import is_complete
    from unify.language.tokenizer import significant_tokens

    if "\\g" not in text.lower():
        return None
    for token in significant_tokens(text):
        command = _RUN_SUFFIX.match(text, token.start)
        statement = text[: token.start].strip()
        if command and statement and is_complete(f"{statement}\n;"):
            action: ShellAction = "run expanded" if command[1].lower() == "gx" else "run"
            return statement, ParsedMetaCommand(action=action, argument=_unquote(command[2] or ""))
    return None


def argument_name(name: str) -> str:
    """Return the argument of a command without brackets: ``TABLE``, ``on|off``; "" if it has none."""
    command = _find_meta_command(name.lower())
    return command.argument.strip("[]") if command else ""


def parse_meta_command(text: str) -> ParsedMetaCommand:
    """Parse one line. Raises UsageError with the closest command, or the missing argument."""
    line = _META_COMMAND.match(text)
    if line is None:
        raise UsageError(f"{text.strip()}: unknown command{LIST_HINT}")
    name, argument = line[1].lower(), _unquote(line[2] or "")
    command = _find_meta_command(name)
    if command is None:
        raise UsageError(f"unknown command {name}{did_you_mean(name, META_COMMAND_NAMES) or LIST_HINT}")
    if argument and not command.argument:
        raise UsageError(f"{name} takes no argument")
    if not argument and command.argument and not command.argument.startswith("["):
        raise UsageError(f"missing argument: {name} {command.argument}")
    if command.action is not None:
        return ParsedMetaCommand(action=command.action, argument=argument)
    if not argument:
        return ParsedMetaCommand(command.statement)
    if name == r"\copy":
        argument = _quote_copy_file(argument)
    elif "'{}'" in command.statement_with_argument:
        argument = argument.replace("'", "''")
    else:
        argument = argument.removesuffix(".*")  # psql's pattern for all tables of a schema
    return ParsedMetaCommand(command.statement_with_argument.replace("{}", argument))


def _quote_copy_file(argument: str) -> str:
    r"""Quote the file name of ``\copy``, which psql accepts without quotes. Raises UsageError."""
    parts = list(re.finditer(r"(?:\s|\))(to|from)\s+(?=\S)", argument, re.IGNORECASE))
    if not parts:
        raise UsageError(r"missing argument: \copy TABLE|(SELECT) to|from FILE [OPTIONS]")
    head, file = argument[: parts[-1].end()], argument[parts[-1].end() :]
    if file.startswith("'"):
        return argument
    name, space, options = file.partition(" ")
    if name.lower() in ("stdout", "pstdout", "stdin", "pstdin", "program"):
        raise UsageError(rf"\copy … {name}: not supported; name a file")
    quoted = name.replace("'", "''")
    return f"{head}'{quoted}'{space}{options}"


def parse_format(word: str) -> Format:
    """Parse a format name of Unify or of DuckDB's shell. Raises UsageError."""
    name = _FORMAT_ALIASES.get(word.lower(), word.lower())
    for format in FORMATS:
        if name == format:
            return format
    raise UsageError(f"unknown format {word}{did_you_mean(word, FORMATS)} (formats: {', '.join(FORMATS)})")


def parse_switch(word: str, current: bool) -> bool:
    """Parse ``on`` or ``off``; "" toggles ``current``. Raises UsageError."""
    if word.lower() not in ("", "on", "off"):
        raise UsageError(f"{word}: must be on or off")
    return word.lower() == "on" if word else not current


def parse_row_limit(word: str) -> int | Literal["all", "as many as fit"]:
    """Parse the argument of ``.maxrows``. Raises UsageError."""
    if not word:
        return "as many as fit"
    if word.lower() in ("all", "-1"):  # -1 in DuckDB's shell
        return "all"
    if not word.isdecimal() or int(word) == 0:
        raise UsageError(f".maxrows {word}: must be a number of rows, or all")
    return int(word)


def meta_command_help() -> str:
    """Return the list of commands with descriptions."""
    heads = [f"{', '.join(command.names)} {command.argument}".rstrip() for command in META_COMMANDS]
    width = max(len(head) for head in heads if len(head) <= 30)
    return "\n".join(
        f"{head:<{width}}  {command.description}" for head, command in zip(heads, META_COMMANDS, strict=True)
    )


def _find_meta_command(name: str) -> MetaCommand | None:
    r"""Find a command by name; psql's ``\d+`` is ``\d``."""
    plain = name.rstrip("+")
    return next((command for command in META_COMMANDS if plain in command.names), None)


def _unquote(argument: str) -> str:
    quoted = len(argument) > 1 and argument[0] == argument[-1] == "'"
    return argument[1:-1].replace("''", "'") if quoted else argument
