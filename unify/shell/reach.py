"""What a statement being typed names itself: its tables by their aliases, and so the columns in reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

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
    return found + [(alias.lower(), alias) for alias, _ in _bracketed(tokens) if alias]


def with_own(tokens: Sequence[Token], names: Names) -> Names:
    """``names`` and the columns of what the statement makes itself: ``with c as (…)``, ``from (…) as s``."""
    for alias, inside in _bracketed(tokens):
        if alias:
            names = replace(names, columns={**names.columns, alias: _selected(inside, names)})
    return names


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


def _bracketed(tokens: Sequence[Token]) -> Iterator[tuple[str, Sequence[Token]]]:
    """What a SELECT in brackets is called, before or behind it, and the tokens in the brackets."""
    for at, token in enumerate(tokens[:-1]):
        if token.text != "(" or tokens[at + 1].folded != "select" or not at:
            continue
        end = _closing(tokens, at)
        named_before = tokens[at - 1].folded == "as" and at > 1
        yield unquoted(tokens[at - 2].text) if named_before else _alias(tokens, end + 1), tokens[at + 1 : end]


def _closing(tokens: Sequence[Token], at: int) -> int:
    """Where the bracket at ``at`` closes, or the end."""
    depth = 0
    for place in range(at, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[place].text, 0)
        if not depth:
            return place
    return len(tokens)


def _selected(select: Sequence[Token], names: Names) -> tuple[str, ...]:
    """The columns that a SELECT gives, as far as they have names."""
    found: dict[str, None] = {}
    depth, last = 0, None
    for token in [*select[1:], None]:
        if token is None or (not depth and (token.text == "," or token.folded in BEFORE_TABLES)):
            if last is not None and last.text == "*":
                found.update(dict.fromkeys(columns_in_reach((name for _, name in tables(select)), names)))
            elif last is not None and last.kind in (Kind.WORD, Kind.QUOTED):
                found[unquoted(last.text)] = None
            if token is None or token.text != ",":
                break
        else:
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        last = token
    return tuple(found)


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
