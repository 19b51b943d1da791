"""What could come next at the cursor: commands by their grammar, tables, columns, variables, words of SQL.

Deciding only: text and known names in, offers out, no terminal and no database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from unify.interpreter.results import Names
from unify.language.ownsettings import OWN_SETTINGS
from unify.language.recognition import is_command
from unify.language.scanner import Kind, Token, scan, significant, unquoted
from unify.shell import habits, reach
from unify.shell.display.look import FORMATS
from unify.shell.matching import MOST_OFFERS, Candidate, best

STARTS: tuple[str, ...] = (
    *("select", "from", "with", "create table", "create view", "insert into", "update", "delete from"),
    *("drop table", "explain", "summarize", "copy", "pivot", "attach", "begin", "commit", "rollback"),
)
WORDS = (
    "select from where group by order by having limit offset join left right full inner cross on using "
    "union all except intersect distinct as and or not in is null like ilike between case when then else "
    "end cast asc desc nulls first last exists values set into qualify window over partition by true false "
    "count sum avg min max coalesce lower upper length substring date_trunc now interval list struct "
    "string_agg row_number round abs extract strftime regexp_matches unnest"
)
SQL_WORDS = tuple(dict.fromkeys(WORDS.split()))
_QUOTED = frozenset(SQL_WORDS)
_QUOTABLE = frozenset({"table", "column", "connection"})
_WITH_FILES = frozenset({"import", "export", "run", "copy"})
_BEFORE_FILES = frozenset({"from", "join"})

Files = Callable[[str], Sequence[str]]
Following = Callable[[str], tuple[str, ...]]  # what the grammar says may come after a text


def _no_files(_begun: str) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Offer:
    """One completion: ``text`` replaces the last ``replaces`` characters before the cursor."""

    text: str
    replaces: int
    kind: str  # command, word, connection, table, column, variable, function, file …


@dataclass(frozen=True, slots=True)
class Situation:
    """Where the cursor is. ``word`` is what is being typed, quotes taken off; ``before`` what precedes it.

    ``others`` are all tokens of the statement but that word.
    """

    statement: str
    before: Sequence[Token]
    others: Sequence[Token]
    word: str
    replaces: int

    @property
    def in_quotes(self) -> bool:
        """Within double quotes: what is being typed is a name, whatever words it looks like."""
        return self.replaces > len(self.word)

    @property
    def in_variable(self) -> bool:
        """Right behind a ``$``."""
        return self.statement.endswith("$")

    @property
    def tables(self) -> Sequence[tuple[str, str]]:
        return reach.tables(self.others)


def offers(
    text: str,
    after: str,
    names: Names,
    following: Following,
    *,
    functions: Sequence[str] = (),
    files: Files = _no_files,
) -> list[Offer]:
    """The offers for a cursor between ``text`` and ``after``, the best first.

    None inside text and comments, and none behind a number.
    ``functions``  names of SQL's functions.
    ``files``      the paths that begin as a text does: for a quote where a statement names a file.
    """
    if habits.is_begun(text):
        return _in_habit(text.lstrip(), names, files)
    if (begun := _begun_path(text)) is not None:
        return _paths(begun, files)
    here = _situation(text, after)
    if here is None:
        return []
    candidates = _candidates(here, reach.with_own(here.others, names), following, functions)
    if here.in_quotes:
        candidates = (one for one in candidates if one[1] in _QUOTABLE)
    found = best(candidates, here.word)
    return [
        Offer(quoted(offered) if kind == "column" else offered, here.replaces, kind)
        for offered, kind in found
    ]


def _in_habit(text: str, names: Names, files: Files) -> list[Offer]:
    """The short commands of psql and DuckDB's shell, and what they take."""
    name, blank, begun = text.partition(" ")
    if not blank:
        return [Offer(each, len(name), "command") for each in habits.NAMES if each.startswith(name.lower())]
    begun = begun.lstrip()
    candidates: Iterator[Candidate]
    match habits.takes(name):
        case "FILE":
            return _paths(begun, files)
        case "TABLE":
            candidates = _tables(names)
        case "SCHEMA":
            candidates = ((quoted(schema), "connection") for schema in names.schemas)
        case "FORMAT":
            candidates = ((format, "word") for format in FORMATS)
        case "TOPIC":
            candidates = ((topic, "topic") for topic in names.topics)
        case choices:
            candidates = ((choice, "word") for choice in choices.split("|") if choice.islower())
    return [Offer(offered, len(begun), kind) for offered, kind in best(candidates, begun)]


def _paths(begun: str, files: Files) -> list[Offer]:
    return [Offer(path, len(begun), "file") for path in files(begun)][:MOST_OFFERS]


def _situation(text: str, after: str) -> Situation | None:
    tokens = list(scan(text))
    last = tokens[-1] if tokens else None
    if last and last.kind in (Kind.STRING, Kind.NUMBER, Kind.COMMENT, Kind.OPEN_COMMENT):
        return None
    if last and last.kind is Kind.OPEN_QUOTE and not last.text.startswith('"'):
        return None
    start = max((token.end for token in tokens if token.text == ";"), default=0)
    word = last if last and last.kind in (Kind.WORD, Kind.OPEN_QUOTE) else None
    end = word.start if word else len(text)
    rest = re.sub(r"\A\w+", "", after.partition(";")[0])
    return Situation(
        statement=text[start:end],
        before=list(significant(text[start:end])),
        others=list(significant(f"{text[start:end]} {rest}")),
        word=word.text.lstrip('"') if word else "",
        replaces=len(word.text) if word else 0,
    )


def _begun_path(text: str) -> str | None:
    """What is typed of a file's name: an open quote where a statement names a file, or after FROM."""
    tokens = list(scan(text))
    if not tokens or tokens[-1].kind is not Kind.OPEN_QUOTE or not tokens[-1].text.startswith("'"):
        return None
    start = max((token.end for token in tokens if token.text == ";"), default=0)
    before = list(significant(text[start : tokens[-1].start]))
    if not before or not (_names_files(before) or before[-1].folded in _BEFORE_FILES):
        return None
    return tokens[-1].text[1:]


def _names_files(before: Sequence[Token]) -> bool:
    """Whether a quote may open a file's name wherever it stands in this statement, or just here."""
    first, second = before[0].folded, before[1].folded if len(before) > 1 else ""
    return first in _WITH_FILES or ((first, second) == ("create", "chart") and before[-1].folded == "to")


def _candidates(
    here: Situation, names: Names, following: Following, functions: Sequence[str]
) -> Iterator[Candidate]:
    """(text, kind) of everything that fits the place, whatever was typed of it."""
    last = here.before[-1] if here.before else None
    if last is None:
        yield from ((word, "command") for word in following("") if word[0].isalpha())
        yield from ((word, "word") for word in STARTS)
    elif here.in_variable:
        yield from ((variable, "variable") for variable in names.variables)
    elif last.text == ".":
        yield from _after_dot(here, names)
    elif [token.folded or token.text for token in here.before] == ["set", "keys", "="]:
        yield from ((f"'{keys}'", "setting") for keys in ("emacs", "vi"))
    elif last.folded == "set" and len(here.before) == 1:
        yield from ((f"{name} =", "setting") for name in sorted(OWN_SETTINGS))
    elif is_command(here.statement):
        yield from _in_command(here, names, following)
    elif last.folded in reach.BEFORE_TABLES or reach.in_table_list(here.before):
        yield from ((quoted(name), "table") for name in reach.common_tables(here.others))
        yield from _tables(names)
        yield from ((f"${variable}", "variable") for variable in names.variables)
    else:
        yield from _in_sql(here, names, functions)


def _in_sql(here: Situation, names: Names, functions: Sequence[str]) -> Iterator[Candidate]:
    tables = here.tables
    columns = reach.columns_in_reach((name for _, name in tables), names)
    yield from ((column, "column") for column in columns)
    yield from ((word, "word") for word in SQL_WORDS)
    yield from ((alias, "table") for alias, _ in tables)
    if here.word:  # there are hundreds
        yield from ((f"{name}(", "function") for name in functions if name not in SQL_WORDS)


def _in_command(here: Situation, names: Names, following: Following) -> Iterator[Candidate]:
    for expected in following(here.statement):
        match expected.partition(",")[0]:
            case "a table" | "a table's name":
                yield from _tables(names)
            case "a schema's name" | "a connection's name":
                yield from ((quoted(schema), "connection") for schema in names.schemas)
            case "an adapter's name":
                yield from ((adapter, "adapter") for adapter in names.adapters)
            case "a topic":
                yield from ((topic, "topic") for topic in names.topics)
            case "$name":
                yield from ((f"${variable}", "variable") for variable in names.variables)
            case "a schedule's name":
                yield from ((_typed(name), "schedule") for name in names.schedules)
            case "a column":
                found = reach.columns_in_reach((name for _, name in here.tables), names)
                yield from ((column, "column") for column in found)
            case word if word.replace("_", "").isalpha():
                yield word, "command"


def _typed(scheduled: str) -> str:
    """The name of a table or of a script as ``unschedule`` reads it."""
    return ".".join(map(quoted, scheduled.split(".")))


def _tables(names: Names) -> Iterator[Candidate]:
    for schema, tables in names.tables.items():
        yield from ((f"{quoted(schema)}.{quoted(table)}", "table") for table in tables)
    yield from ((f"{quoted(schema)}.", "connection") for schema in names.schemas)


def _after_dot(here: Situation, names: Names) -> Iterator[Candidate]:
    """The tables of a schema, or the columns of a table or alias, named before the dot."""
    if len(here.before) < 2:
        return
    owner = unquoted(here.before[-2].text)
    known = {schema.lower(): tables for schema, tables in names.tables.items()}
    yield from ((quoted(table), "table") for table in known.get(owner.lower(), ()))
    table = dict(here.tables).get(owner.lower())
    if table is None and len(here.before) >= 4 and here.before[-3].text == ".":
        table = f"{unquoted(here.before[-4].text)}.{owner}"
    yield from ((column, "column") for column in reach.columns_of(table, names))


def quoted(name: str) -> str:
    """A name as SQL reads it: in quotes only if it needs them."""
    plain = name.isascii() and name.isidentifier() and name.lower() not in _QUOTED
    return name if plain else '"' + name.replace('"', '""') + '"'
