"""What a statement being typed names itself: its tables by their aliases, and so the columns in reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from unify.interpreter.results import Names
from unify.language.scanner import Kind, Token, unquoted, words

BEFORE_TABLES = words("from join into update table describe summarize view")
ENDS_TABLE = words(
    "select where group by order having limit offset left right full inner cross on using union all except "
    "intersect distinct as and or not in is null like ilike between case when then else end cast asc desc "
    "nulls first last exists values set qualify window over partition true false"
)


def in_table_list(before: Sequence[Token]) -> bool:
    """After the comma of ``from a, ``."""
    if before[-1].text != ",":
        return False
    for token in reversed(before):
        if token.folded in BEFORE_TABLES:
            return True
        if token.folded in ENDS_TABLE or token.text == "(":
            return False
    return False


def tables(tokens: Sequence[Token]) -> Sequence[tuple[str, str]]:
    """The tables of a statement by what they are called in it: ``from github.pulls as p``: p, and pulls."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(tokens):
        if tokens[at].folded in BEFORE_TABLES or (tokens[at].text == "," and in_table_list(tokens[: at + 1])):
            name, at = _table_name(tokens, at + 1)
            if name:
                found.append((name.rpartition(".")[2].lower(), name))
                alias = _alias(tokens, at)
                if alias:
                    found.append((alias.lower(), name))
        else:
            at += 1
    return found


def common_tables(tokens: Sequence[Token]) -> Iterator[str]:
    """The names that ``with NAME as (…), NAME as (…)`` gives."""
    if not tokens or tokens[0].folded != "with":
        return
    for name, word, bracket in zip(tokens[1:], tokens[2:], tokens[3:], strict=False):
        if name.kind in (Kind.WORD, Kind.QUOTED) and word.folded == "as" and bracket.text == "(":
            yield unquoted(name.text)


def columns_in_reach(tables: Iterable[str], names: Names) -> Iterable[str]:
    """The columns of all these tables, each name once."""
    return dict.fromkeys(column for table in dict.fromkeys(tables) for column in columns_of(table, names))


def columns_of(table: str | None, names: Names) -> Sequence[str]:
    """What is known of the columns of ``schema.table``, or of a table of one's own."""
    if table is None:
        return ()
    for candidate in (table, f"main.{table}"):
        if candidate in names.columns:
            return names.columns[candidate]
    lowered = table.lower()
    return next((found for name, found in names.columns.items() if name.lower() == lowered), ())


def _table_name(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    parts = []
    while at < len(tokens) and tokens[at].kind in (Kind.WORD, Kind.QUOTED):
        if tokens[at].folded in ENDS_TABLE:
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
    return "" if token.folded in ENDS_TABLE | BEFORE_TABLES else unquoted(token.text)
