"""Statements as DuckDB's tokenizer splits them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache

from msgspec import Struct

from unify.engine.constant_runs import FromLists, called_functions, constant_run, may_have_run

_RUN_STARTS = (",", "w", "W")
_IDENTIFIER = re.compile(r'"(?:[^"]|"")*"|[\w$]+')


class DuckDBToken(Struct, frozen=True):
    """A token. ``start`` and ``end`` count characters. ``word`` is in lower case; quoted names as written."""

    start: int
    end: int
    word: str


class TableStatement(Struct, frozen=True):
    """A CREATE TABLE or ALTER TABLE statement.

    ``name``   the parts of the table's name, unquoted.
    ``query``  start and end of the SELECT of CREATE TABLE … AS, or None.
    """

    name: tuple[str, ...]
    temporary: bool
    query: tuple[int, int] | None


@lru_cache(maxsize=2)  # a statement is tokenized several times
def tokenize(sql: str, *, all_constants: bool = False) -> tuple[DuckDBToken, ...]:
    """Return the tokens of ``sql`` without comments; long runs of constants are left out.

    ``all_constants``  leave out none: for statements in which a constant names a file.
    """
    from unify.engine import duckdb

    has_runs = not all_constants and may_have_run(sql)
    data = sql.encode()  # positions are byte offsets
    starts = [position for position, _ in duckdb.tokenize(sql)]
    ends = [*starts[1:], len(data)]
    found: list[DuckDBToken] = []
    from_lists = FromLists()
    number, at = 0, len(data[: starts[0]].decode(errors="replace")) if starts else 0
    while number < len(starts):
        text = data[starts[number] : ends[number]].decode(errors="replace")
        can_start = has_runs and text[0] in _RUN_STARTS and not from_lists.is_open
        run = constant_run().match(sql, at) if can_start else None
        if run is not None:
            found += _call_tokens(run.group(), at)
            end = starts[number] + len(run.group().encode())
            number = bisect_left(starts, end, lo=number)
            at = run.end() + len(data[end : ends[number - 1]].decode(errors="replace"))
            continue
        match = _IDENTIFIER.match(text)
        word = match.group() if match else text[:1]
        found.append(DuckDBToken(at, at + len(word), word if word.startswith('"') else word.lower()))
        from_lists.add(found[-1].word)
        number, at = number + 1, at + len(text)
    return tuple(found)


def _call_tokens(run: str, start: int) -> Iterator[DuckDBToken]:
    """Yield name and brackets of the functions that a run of constants calls, each once."""
    for begin, end in called_functions(run):
        bracket = run.index("(", begin)
        yield DuckDBToken(start + begin, start + bracket, run[begin:bracket].lower())
        yield DuckDBToken(start + bracket, start + bracket + 1, "(")
        yield DuckDBToken(start + end - 1, start + end, ")")


def top_level_tokens(tokens: Sequence[DuckDBToken]) -> Iterator[tuple[int, DuckDBToken]]:
    """Yield the tokens outside brackets with their indexes."""
    depth = 0
    for place, token in enumerate(tokens):
        depth -= token.word in (")", "]", "}")
        if depth == 0:
            yield place, token
        depth += token.word in ("(", "[", "{")


def parse_table_statement(sql: str) -> TableStatement | None:
    """Parse CREATE TABLE or ALTER TABLE; None for any other statement."""
    found = tokenize(sql)
    words = [token.word for token in found]
    if not words or words[0] not in ("create", "alter") or "table" not in words[:5]:
        return None
    place = words.index("table") + 1
    temporary = bool({"temp", "temporary"} & set(words[:place]))
    while place < len(words) and words[place] in ("if", "not", "exists"):
        place += 1
    name, place = _parse_name(words, place)
    if not name:
        return None
    query = _find_query(sql, found, place) if words[0] == "create" else None
    return TableStatement(name, temporary, query)


def versioned_tables(sql: str) -> Iterator[str]:
    """Yield the name of each table that ``sql`` reads AT a time or version: its last part, in lower case."""
    tokens = tokenize(sql)
    for name, word, bracket in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if word.word == "at" and bracket.word == "(":
            yield _unquoted(name.word).lower()


def identifiers(sql: str) -> set[str]:
    """Return the words and quoted names of a statement in lower case, unquoted."""
    return {_unquoted(token.word).lower() for token in tokenize(sql)}


def _unquoted(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word


def _parse_name(words: Sequence[str], position: int) -> tuple[tuple[str, ...], int]:
    """Return the dotted name at ``position`` and the index after it."""
    parts: list[str] = []
    while position < len(words):
        parts.append(_unquoted(words[position]))
        if position + 1 >= len(words) or words[position + 1] != ".":
            return tuple(parts), position + 1
        position += 2
    return (), position


def _find_query(sql: str, tokens: Sequence[DuckDBToken], position: int) -> tuple[int, int] | None:
    """Return start and end of the query after AS, without ``;`` and WITH [NO] DATA."""
    begin = next(
        (at for at, token in top_level_tokens(tokens) if at >= position and token.word == "as"), None
    )
    if begin is None:
        return None
    last = len(tokens)
    while last > begin and tokens[last - 1].word == ";":
        last -= 1
    for tail in (["with", "no", "data"], ["with", "data"]):
        if [token.word for token in tokens[last - len(tail) : last]] == tail:
            last -= len(tail)
    end = tokens[last].start if last < len(tokens) else len(sql)
    return tokens[begin].end, end
