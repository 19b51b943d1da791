r"""Commands of psql and of DuckDB's shell at the prompt: ``\dt``, ``\x``, ``.tables``, ``.mode`` …

Each becomes a statement or an action of the prompt. Scripts do not accept them.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Literal

from unify.errors import UsageError
from unify.render.formats.options import FORMATS, Format
from unify.shell.meta_command_list import (
    LIST_HINT,
    META_COMMAND_NAMES,
    META_COMMANDS,
    REPLACEMENTS,
    TABLES_SQL,
    MetaCommand,
    ShellAction,
)
from unify.text import did_you_mean

_META_COMMAND = re.compile(
    r"[ \t]*(\\!|\\[^\s;!]+|\.[a-z][^\s;]*|\?(?!\?))(?:[ \t]*(?<=[ \t!])(\S.*?))?[ \t]*;?\s*\Z",
    re.IGNORECASE,
)
_META_COMMAND_PREFIX = re.compile(r"[ \t]*(\\|\.[a-z])[^\n]*\Z|[ \t]*\.\Z", re.IGNORECASE)
_SUFFIX = re.compile(r"\\(![^\n]*|[a-z?]+\+?(?:[ \t]+\S[^\n]*)?)[ \t]*;?\s*\Z", re.IGNORECASE)
# Commands about the statement before them, which need not end with a semicolon.
_STATEMENT_ACTIONS = frozenset({"run", "run expanded", "describe", "watch", "print", "reset", "edit"})
_UNFINISHED_ACTIONS = frozenset({"print", "reset", "edit"})  # the statement may have open brackets
_MAX_SHOWN_CHARS = 40
_PATTERN = re.compile(r"[*?]")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
# Names of formats in DuckDB's shell.
_FORMAT_ALIASES: dict[str, Format] = {
    "duckbox": "box",
    "jsonlines": "jsonl",
    "line": "vertical",
    "ascii": "table",
    "aligned": "box",
    "unaligned": "csv",
    "wrapped": "box",
}


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


def split_suffix(text: str) -> tuple[str, str] | None:
    r"""Split ``select 1 \g [FILE]`` into the statement and the command; None for any other text.

    Commands that are not about the statement may follow an unfinished one, too.
    """
    from unify.language.tokenizer import significant_tokens

    if "\\" not in text:
        return None
    for token in significant_tokens(text):
        command = _SUFFIX.match(text, token.start)
        statement = text[: token.start].strip()
        if command is None or not statement:
            continue
        known = _find_meta_command(f"\\{command[1].split()[0].lower()}")
        runs_statement = known is None or known.action in _STATEMENT_ACTIONS - _UNFINISHED_ACTIONS
        if not runs_statement or is_finished(statement):
            return statement, command[0]
    return None


def is_finished(statement: str) -> bool:
    """Whether a statement is complete but for a semicolon."""
    from unify.language.statements import is_complete

    return is_complete(f"{statement}\n;")


def is_about_statement(command: ParsedMetaCommand) -> bool:
    """Whether a command after a statement is about it, instead of what runs after it."""
    return command.action in _STATEMENT_ACTIONS


def script_replacement(text: str) -> str | None:
    r"""Explain what a script uses instead of a meta command in ``text``; None if it has none.

    Scripts read SQL: a backslash that is no part of a text, and a dot or a question mark at the start.
    """
    from unify.language.tokenizer import significant_tokens

    first = next(iter(significant_tokens(text)), None)
    found = first if first is not None and first.text in (".", "?") else None
    found = found or next((token for token in significant_tokens(text) if token.text == "\\"), None)
    if found is None:
        return None
    line = text[found.start :].partition("\n")[0]
    shown = line.split(None, 1)[0].rstrip(";") if found.text != "?" else "?"
    if (known := _find_meta_command(shown.lower())) is None:
        advice = REPLACEMENTS.get(shown.lower().rstrip("+"))
    else:
        advice = known.in_script or _statement_of(line)
    is_known = known is not None or advice is not None
    if not is_known and (found.text != "\\" or shown == "\\"):
        return None
    use = f"; in a script use: {advice}" if advice else "; scripts read SQL and the statements of help"
    return f"{shown[:_MAX_SHOWN_CHARS]} is {'a command of the prompt' if is_known else 'no SQL'}{use}"


def _statement_of(line: str) -> str:
    """Return the statement that a meta command becomes; "" for an action, or for a mistake."""
    try:
        return parse_meta_command(line).statement
    except UsageError:
        return ""


def argument_name(name: str) -> str:
    """Return the argument of a command without brackets: ``TABLE``, ``on|off``; "" if it has none."""
    command = _find_meta_command(name.lower())
    return command.argument.strip("[]") if command else ""


def parse_meta_command(text: str) -> ParsedMetaCommand:
    """Parse one line. Raises UsageError with the closest command, or the missing argument."""
    line = _META_COMMAND.match(text)
    if line is None:
        raise UsageError(f"{text.strip()}: unknown command{LIST_HINT}")
    name, argument = line[1].lower(), unquote(line[2] or "")
    command = _find_meta_command(name)
    if command is None:
        raise UsageError(_unknown_command(name))
    if argument and not command.argument:
        raise UsageError(f"{name} takes no argument")
    if not argument and command.argument and not command.argument.startswith("["):
        raise UsageError(f"missing argument: {name} {command.argument}")
    if command.action is not None:
        return ParsedMetaCommand(action=command.action, argument=_complete_argument(name, argument))
    if not argument:
        return ParsedMetaCommand(command.statement)
    if name.rstrip("+") in (r"\d", r"\dt", ".tables") and _PATTERN.search(argument.removesuffix(".*")):
        return ParsedMetaCommand(_matching_tables(argument))
    if name == r"\copy":
        argument = _quote_copy_file(argument)
    elif "'{}'" in command.statement_with_argument:
        argument = argument.replace("'", "''")
    else:
        argument = argument.removesuffix(".*")  # psql's pattern for all tables of a schema
    return ParsedMetaCommand(command.statement_with_argument.replace("{}", argument))


def _complete_argument(name: str, argument: str) -> str:
    r"""Return the argument of an action: of ``\t``, which hides what ``.headers`` shows, the opposite."""
    if name == r"\t" and argument.lower() in ("on", "off"):
        return "off" if argument.lower() == "on" else "on"
    return argument


def _unknown_command(name: str) -> str:
    if (replacement := REPLACEMENTS.get(name.rstrip("+"))) is not None:
        return f"{name} does not exist here: {replacement}"
    return f"unknown command {name}{did_you_mean(name, META_COMMAND_NAMES) or LIST_HINT}"


def _matching_tables(pattern: str) -> str:
    """Return a SELECT of the tables that match ``[SCHEMA.]TABLE`` with ``*`` and ``?``, as in psql."""
    schema, dot, table = pattern.rpartition(".")
    schema, table = (part.strip('"').replace("'", "''") for part in (schema, table))
    conditions = [f"schema glob '{schema}'"] * bool(dot) + [f"\"table\" glob '{table}'"]
    return TABLES_SQL.replace("{}", " and ".join(conditions))


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


def parse_seconds(word: str) -> float:
    r"""Parse the argument of ``\watch``, ``2`` or ``i=2``. Raises UsageError."""
    text = word.removeprefix("i=").removeprefix("interval=") or "2"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise UsageError(rf"\watch {word}: must be a number of seconds")
    return seconds


def assignment(argument: str) -> str:
    r"""Return the statement of ``\set NAME VALUE``: a number as such, anything else as a text."""
    name, _, value = argument.partition(" ")
    text = unquote(value.strip())
    if _NUMBER.fullmatch(text):
        return f"${name} = {text}"
    literal = text.replace("'", "''")
    return f"${name} = '{literal}'"


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


def unquote(argument: str) -> str:
    """Return a text without the quotes around it."""
    quoted = len(argument) > 1 and argument[0] == argument[-1] == "'"
    return argument[1:-1].replace("''", "'") if quoted else argument
