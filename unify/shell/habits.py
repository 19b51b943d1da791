r"""What hands that know psql or DuckDB's own shell type: ``\dt``, ``\x``, ``.tables``, ``.mode`` …

One table says what each becomes: a statement of ours, or something the prompt itself does. At the
prompt only; a script is made of statements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from unify.errors import UsageError
from unify.shell.display.look import FORMATS, Format
from unify.text import did_you_mean

Deed = Literal["expanded", "timing", "edit", "output", "mode", "rows", "help"]
_LINE = re.compile(r"[ \t]*(\\[^\s;]+|\.[a-z][^\s;]*|\?(?!\?))(?:[ \t]+(.*?))?[ \t]*;?\s*\Z", re.IGNORECASE)
_BEGUN = re.compile(r"[ \t]*(\\|\.[a-z])[^\n]*\Z|[ \t]*\.\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Habit:
    """One line of the table.

    ``alone`` and ``given`` are the statements without and with an argument, which stands for ``{}``;
    "" where there is none. ``deed`` is what the prompt does instead of a statement.
    """

    names: tuple[str, ...]
    argument: str  # as the help shows it: "" none, [X] may be left out, X has to be there
    text: str
    alone: str = ""
    given: str = ""
    deed: Deed | None = None


HABITS = (
    Habit((r"\d",), "[TABLE]", "columns of a table, or all tables", "show tables", "describe {}"),
    Habit((r"\dt", ".tables"), "[SCHEMA]", "tables", "show tables", "show tables from {}"),
    Habit((".schema",), "[TABLE]", "columns of a table, or all tables", "show tables", "describe {}"),
    Habit((r"\l", ".databases"), "", "connections", "show connections"),
    Habit((r"\dn",), "", "schemas", "show schemas"),
    Habit((r"\x",), "[on|off]", "rows as lists of columns, and back", deed="expanded"),
    Habit((r"\timing", ".timer"), "[on|off]", "how long each statement takes", deed="timing"),
    Habit((r"\e", ".edit"), "", "the last statement in $EDITOR", deed="edit"),
    Habit((r"\i", ".read"), "FILE", "run a script", given="run '{}'"),
    Habit((r"\o", ".output"), "[FILE]", "rows into a file, or here again", deed="output"),
    Habit((".mode",), "[FORMAT]", f"how rows look: {', '.join(FORMATS)}", deed="mode"),
    Habit((".maxrows",), "[N|all]", "how many rows a box shows; as many as fit", deed="rows"),
    Habit((r"\h",), "[TOPIC]", "help of statements", "help", "help {}"),
    Habit((r"\?", "?", ".help"), "", "this list", deed="help"),
    Habit((r"\q", ".exit", ".quit"), "", "leave", "exit"),
)
LISTED = r" (\? lists what there is)"
# What DuckDB's shell calls the same.
_ALSO: dict[str, Format] = {"duckbox": "box", "jsonlines": "jsonl", "line": "vertical", "ascii": "table"}
NAMES = tuple(name for habit in HABITS for name in habit.names)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a line asks for: a ``statement`` to run, or a ``deed`` with its argument."""

    statement: str = ""
    deed: Deed | None = None
    argument: str = ""


def is_habit(text: str) -> bool:
    """Whether ``text`` is one line that begins as these do; no statement of SQL does."""
    return _LINE.match(text) is not None


def is_begun(text: str) -> bool:
    """Whether ``text`` may become one of these when more is typed."""
    return _BEGUN.match(text) is not None


def takes(name: str) -> str:
    """What stands behind the command in its help, without brackets: ``TABLE``, ``on|off``; "" for nothing."""
    habit = _named(name.lower())
    return habit.argument.strip("[]") if habit else ""


def parse(text: str) -> Asked:
    """What ``text`` asks for. Raises UsageError with the nearest there is, or what is missing."""
    line = _LINE.match(text)
    if line is None:
        raise UsageError(f"{text.strip()}: this is none of the short commands (\\? lists them)")
    name, argument = line[1].lower(), _unquoted(line[2] or "")
    habit = _named(name)
    if habit is None:
        raise UsageError(f"there is no {name}{did_you_mean(name, NAMES) or LISTED}")
    if argument and not habit.argument:
        raise UsageError(f"{name} takes nothing behind it")
    if not argument and habit.argument and not habit.argument.startswith("["):
        raise UsageError(f"{name} {habit.argument}: something has to be named")
    if habit.deed is not None:
        return Asked(deed=habit.deed, argument=argument)
    if not argument:
        return Asked(habit.alone)
    if "'{}'" in habit.given:
        return Asked(habit.given.replace("{}", argument.replace("'", "''")))
    return Asked(habit.given.replace("{}", argument.removesuffix(".*")))  # psql's pattern of a schema


def format_named(word: str) -> Format:
    """Raises UsageError with the formats there are."""
    for format in FORMATS:
        if word.lower() in (format, *(also for also, meant in _ALSO.items() if meant == format)):
            return format
    raise UsageError(f"there is no format {word}{did_you_mean(word, FORMATS)} ({', '.join(FORMATS)})")


def switched(word: str, now: bool) -> bool:
    """What ``on`` and ``off`` say; without a word, the other of what is ``now``. Raises UsageError."""
    if word.lower() not in ("", "on", "off"):
        raise UsageError(f"{word}: it is on or off")
    return word.lower() == "on" if word else not now


def row_limit(word: str) -> int | Literal["all", "as many as fit"]:
    """What ``.maxrows`` asks for. Raises UsageError for what is no number of rows."""
    if not word:
        return "as many as fit"
    if word.lower() in ("all", "-1"):  # DuckDB's shell says -1
        return "all"
    if not word.isdecimal() or int(word) == 0:
        raise UsageError(f".maxrows {word}: a number of rows is needed, or all")
    return int(word)


def help_text() -> str:
    """The table for people."""
    heads = [f"{', '.join(habit.names)} {habit.argument}".rstrip() for habit in HABITS]
    width = max(map(len, heads))
    return "\n".join(f"{head:<{width}}  {habit.text}" for head, habit in zip(heads, HABITS, strict=True))


def _named(name: str) -> Habit | None:
    r"""psql's ``\d+`` tells more than its ``\d``; ours tells all at once."""
    plain = name.rstrip("+")
    return next((habit for habit in HABITS if plain in habit.names), None)


def _unquoted(argument: str) -> str:
    quoted = len(argument) > 1 and argument[0] == argument[-1] == "'"
    return argument[1:-1].replace("''", "'") if quoted else argument
