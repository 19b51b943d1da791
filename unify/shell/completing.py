"""What could come next at the cursor: commands by their grammar, tables, columns, words of SQL.

Deciding only: text and known names in, offers out, no terminal and no database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest

from unify.interpreter.results import Names
from unify.language.recognition import is_command
from unify.language.scanner import Kind, Token, scan, significant, unquoted

MOST_OFFERS = 200  # more than anybody scrolls through
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
_BEFORE_TABLES = frozenset({"from", "join", "into", "update", "table", "describe", "summarize", "view"})
_WITH_FILES = frozenset({"import", "export", "run", "copy"})
_BEFORE_FILES = frozenset({"from", "join"})
_ENDS_TABLE = frozenset(SQL_WORDS) - _BEFORE_TABLES

Files = Callable[[str], Sequence[str]]
Following = Callable[[str], tuple[str, ...]]  # what the grammar says may come after a text


def _no_files(_begun: str) -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Offer:
    """One completion: ``text`` replaces the last ``replaces`` characters before the cursor."""

    text: str
    replaces: int
    kind: str  # command, word, connection, table, column, function, file, schedule


@dataclass(frozen=True, slots=True)
class Situation:
    """Where the cursor is. ``word`` is what is being typed, quotes taken off; ``before`` what precedes it."""

    statement: str
    before: Sequence[Token]
    word: str
    replaces: int
    all: Sequence[Token] = field(default=())


def offers(
    text: str,
    after: str,
    names: Names,
    following: Following,
    *,
    functions: Sequence[str] = (),
    files: Files = _no_files,
) -> list[Offer]:
    """The offers for a cursor between ``text`` and ``after``, the best first; none inside text or comment.

    ``functions``  names of SQL's functions.
    ``files``      the paths that begin as a text does: for a quote where a statement names a file.
    """
    if (begun := _begun_path(text)) is not None:
        return [Offer(path, len(begun), "file") for path in files(begun)][:MOST_OFFERS]
    here = _situation(text, after)
    if here is None:
        return []
    return _best(_candidates(here, names, following, functions), here)


def _situation(text: str, after: str) -> Situation | None:
    tokens = list(scan(text))
    if tokens and tokens[-1].kind in (Kind.STRING, Kind.COMMENT, Kind.OPEN_COMMENT):
        return None
    if tokens and tokens[-1].kind is Kind.OPEN_QUOTE and not tokens[-1].text.startswith('"'):
        return None
    start = max((token.end for token in tokens if token.text == ";"), default=0)
    word = tokens[-1] if tokens and tokens[-1].kind in (Kind.WORD, Kind.OPEN_QUOTE) else None
    end = word.start if word else len(text)
    before = list(significant(text[start:end]))
    rest = after.partition(";")[0]
    return Situation(
        statement=text[start:end],
        before=before,
        word=word.text.lstrip('"') if word else "",
        replaces=len(word.text) if word else 0,
        all=list(significant(text[start:] + rest)),
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
) -> Iterator[tuple[str, str]]:
    """(text, kind) of everything that fits the place, whatever was typed of it."""
    last = here.before[-1] if here.before else None
    if last is None:
        yield from ((word, "command") for word in following("") if word[0].isalpha())
        yield from ((word, "word") for word in STARTS)
    elif last.text == ".":
        yield from _after_dot(here, names)
    elif is_command(here.statement):
        yield from _in_command(here, names, following)
    elif last.folded in _BEFORE_TABLES or _in_table_list(here.before):
        yield from _tables(names)
    else:
        yield from ((column, "column") for column in _columns_in_reach(here, names))
        yield from ((word, "word") for word in SQL_WORDS)
        yield from ((alias, "table") for alias in _aliases(here.all))
        if here.word:  # there are hundreds
            yield from ((f"{name}(", "function") for name in functions if name not in SQL_WORDS)


def _in_command(here: Situation, names: Names, following: Following) -> Iterator[tuple[str, str]]:
    for expected in following(here.statement):
        if expected.startswith("a table"):
            yield from _tables(names)
        elif expected.startswith("a schema"):
            yield from ((quoted(schema), "connection") for schema in names.schemas)
        elif expected == "a column":
            yield from ((column, "column") for column in _columns_in_reach(here, names))
        elif expected.startswith("a schedule"):
            yield from ((_typed(name), "schedule") for name in names.schedules)
        elif expected.replace("_", "").isalpha():
            yield expected, "command"


def _typed(scheduled: str) -> str:
    """The name of a table or of a script as ``unschedule`` reads it."""
    return ".".join(map(quoted, scheduled.split(".")))


def _tables(names: Names) -> Iterator[tuple[str, str]]:
    for schema, tables in names.tables.items():
        yield from ((f"{quoted(schema)}.{quoted(table)}", "table") for table in tables)
    yield from ((f"{quoted(schema)}.", "connection") for schema in names.schemas)


def _after_dot(here: Situation, names: Names) -> Iterator[tuple[str, str]]:
    """The tables of a schema, or the columns of a table or alias, named before the dot."""
    if len(here.before) < 2:
        return
    owner = unquoted(here.before[-2].text)
    known = {schema.lower(): tables for schema, tables in names.tables.items()}
    yield from ((quoted(table), "table") for table in known.get(owner.lower(), ()))
    table = _aliases(here.all).get(owner.lower())
    if table is None and len(here.before) >= 4 and here.before[-3].text == ".":
        table = f"{unquoted(here.before[-4].text)}.{owner}"
    yield from ((quoted(column), "column") for column in _columns(table, names))


def _in_table_list(before: Sequence[Token]) -> bool:
    """After the comma of ``from a, ``."""
    if before[-1].text != ",":
        return False
    for token in reversed(before):
        if token.folded in _BEFORE_TABLES:
            return True
        if token.folded in _ENDS_TABLE or token.text == "(":
            return False
    return False


def _columns_in_reach(here: Situation, names: Names) -> Iterator[str]:
    seen: set[str] = set()
    for table in dict.fromkeys(_aliases(here.all).values()):
        for column in _columns(table, names):
            if column not in seen:
                seen.add(column)
                yield quoted(column)


def _columns(table: str | None, names: Names) -> Sequence[str]:
    if table is None:
        return ()
    for candidate in (table, f"main.{table}"):
        if candidate in names.columns:
            return names.columns[candidate]
    lowered = table.lower()
    return next((found for name, found in names.columns.items() if name.lower() == lowered), ())


def _aliases(tokens: Sequence[Token]) -> dict[str, str]:
    """The tables of a statement by what they are called in it: ``from github.pulls as p``: p, pulls."""
    found: dict[str, str] = {}
    at = 0
    while at < len(tokens):
        if tokens[at].folded in _BEFORE_TABLES or _in_table_list(tokens[: at + 1]):
            name, at = _table_name(tokens, at + 1)
            if name:
                found[name.rpartition(".")[2].lower()] = name
                alias = _alias(tokens, at)
                if alias:
                    found[alias.lower()] = name
        else:
            at += 1
    return found


def _table_name(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    parts = []
    while at < len(tokens) and tokens[at].kind in (Kind.WORD, Kind.QUOTED):
        if tokens[at].folded in _ENDS_TABLE:
            break
        parts.append(unquoted(tokens[at].text))
        at += 1
        if at >= len(tokens) or tokens[at].text != ".":
            break
        at += 1
    return ".".join(parts[-2:]), at


def _alias(tokens: Sequence[Token], at: int) -> str:
    if at < len(tokens) and tokens[at].folded == "as":
        at += 1
    if at >= len(tokens) or tokens[at].kind not in (Kind.WORD, Kind.QUOTED):
        return ""
    token = tokens[at]
    return "" if token.folded in _ENDS_TABLE | _BEFORE_TABLES else unquoted(token.text)


def quoted(name: str) -> str:
    """A name as SQL reads it: in quotes only if it needs them."""
    plain = name.isidentifier() and name.isascii() and name.lower() not in SQL_WORDS
    return name if plain else '"' + name.replace('"', '""') + '"'


def _best(candidates: Iterable[tuple[str, str]], here: Situation) -> list[Offer]:
    """Those that begin with the word, then those that contain it, then those with its letters in order."""
    word = here.word.lower()
    ranked = (
        (rank, number, text, kind)
        for number, (text, kind) in enumerate(candidates)
        if (rank := _rank(text, word))
    )
    best = nsmallest(MOST_OFFERS, ranked, key=lambda one: one[:2])
    unique = dict.fromkeys((text, kind) for _, _, text, kind in best)
    return [Offer(text, here.replaces, kind) for text, kind in unique]


def _rank(text: str, word: str) -> int:
    """1 is best; 0 does not match."""
    lowered = text.lower().lstrip('"')
    if lowered.startswith(word):
        return 1
    at = lowered.find(word)
    if at >= 0:
        return 2 if lowered[at - 1] in "._ " else 3
    letters = iter(lowered)
    return 4 if len(word) > 1 and all(char in letters for char in word) else 0
