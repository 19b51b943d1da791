"""``$name`` in a statement: where variables are used, found by DuckDB's own lexical rules.

``$$text$$`` and ``$tag$text$tag$`` are strings, ``$1`` is a parameter of DuckDB's, and so is every
``$name`` in a PREPARE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from unify.language.scanner import Kind, Token, significant, words

_SELECTS = words("select from with values table pivot unpivot pivot_wider pivot_longer")
_DEFINING = words("view macro function")


@dataclass(frozen=True, slots=True)
class Use:
    """A variable at one place; ``start`` and ``end`` count characters from 0, the ``$`` included."""

    name: str
    start: int
    end: int


def uses(sql: str) -> Sequence[Use]:
    """Every mention of a variable in ``sql``, in order."""
    if "$" not in sql:
        return ()
    tokens = list(significant(sql))
    if tokens and tokens[0].folded == "prepare":
        return ()
    return [Use(word.text, sign.start, word.end) for sign, word in pairwise(tokens) if _is_use(sign, word)]


def substituted(sql: str, found: Sequence[Use], names: Mapping[str, str]) -> str:
    """``sql`` with the uses of these variables replaced by what ``names`` holds for them."""
    parts, position = [], 0
    for use in found:
        if use.name in names:
            parts += [sql[position : use.start], names[use.name]]
            position = use.end
    return "".join([*parts, sql[position:]])


def is_select(sql: str) -> bool:
    """Whether ``sql`` gives rows; in brackets it is an expression, as everywhere in SQL."""
    first = next(iter(significant(sql)), None)
    return first is not None and first.folded in _SELECTS


def defines(sql: str) -> bool:
    """Whether ``sql`` makes a view or a macro, which is stored as text and outlives the session."""
    first = [token.folded for _, token in zip(range(5), significant(sql), strict=False)]
    return first[:1] == ["create"] and bool(_DEFINING & set(first))


def _is_use(sign: Token, word: Token) -> bool:
    adjacent = sign.kind is Kind.SYMBOL and sign.text == "$" and sign.end == word.start
    return adjacent and word.kind is Kind.WORD
