"""A statement as DuckDB's own tokenizer cuts it, for the little that has to be known before it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_IDENTIFIER = re.compile(r'"(?:[^"]|"")*"|[\w$]+')


@dataclass(frozen=True, slots=True)
class Token:
    """One token. ``start`` and ``end`` count characters; ``word`` is lower case, quoted names as written."""

    start: int
    end: int
    word: str


@dataclass(frozen=True, slots=True)
class TableStatement:
    """CREATE TABLE or ALTER TABLE: what it makes or changes.

    ``name``   its table's name, part by part, unquoted.
    ``query``  where the SELECT of CREATE TABLE … AS begins and ends in the text; None without one.
    """

    name: tuple[str, ...]
    temporary: bool
    query: tuple[int, int] | None


def tokens(sql: str) -> tuple[Token, ...]:
    """The tokens of ``sql``, comments left out."""
    import duckdb

    data = sql.encode()  # the tokenizer counts bytes
    starts = [position for position, _ in duckdb.tokenize(sql)]
    found = []
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        text = data[start:end].decode(errors="replace")
        match = _IDENTIFIER.match(text)
        word = match.group() if match else text[:1]
        at = len(data[:start].decode(errors="replace"))
        found.append(Token(at, at + len(word), word if word.startswith('"') else word.lower()))
    return tuple(found)


def outermost(found: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """The tokens outside every bracket, with their places in ``found``."""
    depth = 0
    for place, token in enumerate(found):
        depth -= token.word in (")", "]", "}")
        if depth == 0:
            yield place, token
        depth += token.word in ("(", "[", "{")


def table_statement(sql: str) -> TableStatement | None:
    """What CREATE TABLE or ALTER TABLE is about; None for any other statement."""
    found = tokens(sql)
    words = [token.word for token in found]
    if not words or words[0] not in ("create", "alter") or "table" not in words[:5]:
        return None
    place = words.index("table") + 1
    temporary = bool({"temp", "temporary"} & set(words[:place]))
    while place < len(words) and words[place] in ("if", "not", "exists"):
        place += 1
    name, place = _name(words, place)
    if not name:
        return None
    query = _query(sql, found, place) if words[0] == "create" else None
    return TableStatement(name, temporary, query)


def _name(words: Sequence[str], place: int) -> tuple[tuple[str, ...], int]:
    """A dotted name that begins at ``place``, and the place after it."""
    parts: list[str] = []
    while place < len(words):
        word = words[place]
        parts.append(word[1:-1].replace('""', '"') if word.startswith('"') else word)
        if place + 1 >= len(words) or words[place + 1] != ".":
            return tuple(parts), place + 1
        place += 2
    return (), place


def _query(sql: str, found: Sequence[Token], place: int) -> tuple[int, int] | None:
    """Where the query after AS begins and ends, without ``;`` and WITH [NO] DATA."""
    begin = next((at for at, token in outermost(found) if at >= place and token.word == "as"), None)
    if begin is None:
        return None
    last = len(found)
    while last > begin and found[last - 1].word == ";":
        last -= 1
    for tail in (["with", "no", "data"], ["with", "data"]):
        if [token.word for token in found[last - len(tail) : last]] == tail:
            last -= len(tail)
    end = found[last].start if last < len(found) else len(sql)
    return found[begin].end, end
