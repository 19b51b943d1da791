"""``$name`` in SQL: a value bound by DuckDB, never text put into text."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from unify.language.scanner import Kind, significant


def bound(sql: str, variables: Mapping[str, object]) -> dict[str, object] | None:
    """The variables that ``sql`` uses, as DuckDB's parameters; None if it uses none.

    Case does not count, as in DuckDB. A PREPARE keeps its ``$name`` for its own EXECUTE, and what is no
    variable is left for DuckDB to name.
    """
    tokens = list(significant(sql))
    if not variables or not tokens or tokens[0].folded == "prepare":
        return None
    known = {name.lower(): value for name, value in variables.items()}
    used = {
        token.text: known[token.folded]
        for sign, token in pairwise(tokens)
        if sign.kind is Kind.SYMBOL and sign.text == "$" and sign.end == token.start and token.folded in known
    }
    return used or None
