"""Whose statement is this: one of our own commands, or SQL?

Decided by the first few words, without the grammar, so that SQL never waits for a parser. The rule:
what DuckDB could run goes to DuckDB; what nobody could run comes to us when it looks like a slip in
one of our commands, because our grammar then says what was meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from itertools import islice

from unify.language.ownsettings import OWN_SETTINGS
from unify.language.scanner import Kind, Token, significant, words

# Words no SQL statement starts with.
_OURS = frozenset(
    {
        "count",
        "peek",
        "changes",
        "refresh",
        "reload",
        "clear",
        "system",
        "unset",
        "run",
        "unschedule",
        "connect",
        "disconnect",
        "help",
        "exit",
        "quit",
    }
)
# Words that both languages start with: what follows decides.
_SHARED = frozenset({"show", "describe", "desc", "load", "set", "import", "export"})
# Words DuckDB's statements start with: never read as a slip in one of ours.
_SQL = words(
    "abort alter analyse analyze attach begin call checkpoint comment commit copy create deallocate delete "
    "detach drop end execute explain export force from import insert install merge pivot pivot_longer "
    "pivot_wider pragma prepare reset rollback select start summarize table truncate unpivot update use "
    "vacuum values with"
)
_LISTINGS = frozenset(
    {"connections", "schemas", "tables", "columns", "jobs", "files", "variables", "settings", "schedules"}
)
_SQL_LISTINGS = frozenset({"all", "databases", "schemas", "tables"})  # what DuckDB's `show` knows
_SQL_CREATIONS = words(
    "function index macro or persistent recursive role schema secret sequence table temp temporary type "
    "unique view"
)
_SLIP = 0.75  # of difflib's ratio: tabels/tables 0.83, shwo/show 0.75; job_runs/jobs, a table's name, 0.67
_LOOK_AHEAD = 6  # tokens; the longest form told apart is `describe schema.table;`


def is_command(text: str) -> bool:
    """Whether ``text``, one statement, is for our grammar; else it is SQL. Never raises."""
    tokens = [token for token in islice(significant(text), _LOOK_AHEAD) if token.text != ";"]
    if not tokens:
        return False
    first, rest = tokens[0].folded, tokens[1:]
    match first:
        case "show":
            return _is_our_show(rest)
        case "describe" | "desc":
            return _is_our_describe(rest)
        case "import" | "export":
            return not rest or rest[0].folded != "database"  # DuckDB's own: export database 'folder'
        case "create":
            return bool(rest) and _is_chart(rest[0].folded)
        case "load":
            return _is_our_load(rest)
        case "set":
            return bool(rest) and _is_setting(rest[0].folded)
        case "":
            return text[tokens[0].start :].startswith("??") or _is_variable(tokens)
        case _:
            return first in _OURS or (first not in _SQL and _is_slip(first, _OURS | _SHARED, _SQL))


def _is_our_show(rest: Sequence[Token]) -> bool:
    """`show` and its listings, slips included; `show all tables`, `show t`, `show s.t` are DuckDB's."""
    if not rest:
        return True
    if _is_symbol(rest[1:2], "."):
        return False
    word = rest[0].folded
    return word in _LISTINGS or _is_slip(word, _LISTINGS, _SQL_LISTINGS)


def _is_chart(word: str) -> bool:
    """`create chart`, slips included; whatever else is created is DuckDB's."""
    return word == "chart" or _is_slip(word, {"chart"}, _SQL_CREATIONS)


def _is_setting(word: str) -> bool:
    """One of our settings, slips included; DuckDB has none that is called alike."""
    return word in OWN_SETTINGS or _is_slip(word, OWN_SETTINGS, ())


def _is_our_describe(rest: Sequence[Token]) -> bool:
    """`describe`, `describe t`, `describe s.t`, and `describe s.` cut short; all else is DuckDB's."""
    names, dots = rest[0::2], rest[1::2]
    if len(rest) > 3 or not all(_is_symbol([dot], ".") for dot in dots):
        return False
    if not all(name.kind in (Kind.WORD, Kind.QUOTED) for name in names):
        return False
    return len(rest) != 1 or rest[0].folded not in _SQL | _SQL_LISTINGS


def _is_our_load(rest: Sequence[Token]) -> bool:
    """`load table …` and what may be a slip in it; `load httpfs` and `load 'file'` are DuckDB's."""
    if len(rest) == 1 and rest[0].folded != "table":
        return False
    return not (rest and rest[0].kind is Kind.STRING)


def _is_variable(tokens: Sequence[Token]) -> bool:
    """`$name`: no statement of SQL starts so. `$$text$$` is a string, `$1` a parameter."""
    sign, name = tokens[0], tokens[1:2]
    return sign.text == "$" and bool(name) and name[0].kind is Kind.WORD and name[0].start == sign.end


def _is_slip(word: str, ours: Iterable[str], sql: Iterable[str]) -> bool:
    """Whether ``word`` is a misspelling, and of one of our words rather than of one of SQL's."""
    if not word or word in sql:
        return False
    close = difflib.get_close_matches(word, [*ours, *sql], n=1, cutoff=_SLIP)
    return bool(close) and close[0] in ours


def _is_symbol(tokens: Sequence[Token], symbol: str) -> bool:
    return bool(tokens) and tokens[0].kind is Kind.SYMBOL and tokens[0].text == symbol
