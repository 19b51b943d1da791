"""Which tables a piece of SQL uses, found without running or binding it.

sqlglot reads the statement; where it cannot, ``tablefinder`` looks for names after the words that
announce a table, so that an unknown piece of syntax costs precision and never the query.
"""

from __future__ import annotations

from collections.abc import Sequence

from unify.language import tablefinder
from unify.language.scanner import Kind, Token, significant, words
from unify.language.statements import split
from unify.language.tableref import TableRef, merged

__all__ = ["TableRef", "explained", "is_explain", "is_listing", "select_tables", "tables"]

# A statement without any of these words names no table, and does not wait for sqlglot's import (90 ms).
_ANNOUNCING = words(
    "from join into update table view desc describe show summarize pivot unpivot pivot_wider pivot_longer "
    "copy truncate index comment analyze vacuum using"
)
_LISTINGS = frozenset({"all", "databases", "schemas", "tables", "variables"})  # `show` of these is no table
_TELLING = words("show describe desc summarize pragma")
_READ_LIMIT = 200_000  # characters; sqlglot reads 500,000 a second, so that a bulk insert would take minutes


def tables(sql: str) -> tuple[TableRef, ...]:
    """The tables ``sql`` reads or writes, each once, in the order of the text.

    Without: names of common table expressions where they are in force, table functions. With: names of
    one part (schema ""), and a file read by its bare name (`from 'a.csv'`), which looks like one.
    Never raises; text that is no SQL has no tables, or those that it seems to name.
    """
    return merged([ref for statement in split(sql) for ref in _of_statement(statement.text)])


def select_tables(sql: str) -> tuple[TableRef, ...]:
    """The tables of one SELECT that somebody else wrote, after seeing that it is no more than that.

    Raises  ValueError with a sentence: more or other than one SELECT, or a table function in it.
    """
    from unify.language import oneselect

    return oneselect.only_select_tables(sql)


def is_explain(sql: str) -> bool:
    """Whether ``sql`` asks for a plan alone: EXPLAIN, and not EXPLAIN ANALYZE, which runs the statement."""
    tokens = list(significant(sql))
    if not tokens or tokens[0].folded != "explain":
        return False
    before = len(sql) - len(explained(sql))
    return not any(token.folded in ("analyze", "analyse") for token in tokens if token.start < before)


def is_listing(sql: str) -> bool:
    """Whether the rows of ``sql`` tell of a table or of DuckDB, rather than being data."""
    first = next(iter(significant(sql)), None)
    return first is not None and first.folded in _TELLING


def _of_statement(sql: str) -> Sequence[TableRef]:
    if len(sql) > _READ_LIMIT:
        return tablefinder.scan_tables(sql)
    inner = explained(sql)
    if not any(token.folded in _ANNOUNCING for token in significant(inner)):
        return ()
    from unify.language import sqltree

    found = sqltree.tree_tables(inner)
    return tablefinder.scan_tables(inner) if found is None else found


def explained(sql: str) -> str:
    """The statement that is looked into: without EXPLAIN or PREPARE around it, and SHOW as DESCRIBE."""
    tokens = list(significant(sql))
    match [token.folded for token in tokens[:2]]:
        case ["explain", *_]:
            start = _after_explain(tokens)
            return explained(sql[start:]) if start < len(sql) else ""
        case ["prepare", *_]:
            start = next((token.end for token in tokens if token.folded == "as"), len(sql))
            return explained(sql[start:])
        case ["show" | "describe" | "desc", listing] if listing in _LISTINGS:
            return ""
        case ["show", _]:
            return f"describe {sql[tokens[0].end :]}"
        case ["copy", "from"]:
            return ""  # copy from database a to b
        case _:
            return sql


def _after_explain(tokens: Sequence[Token]) -> int:
    """Where the statement after EXPLAIN, ANALYZE and options in brackets begins."""
    position = 1
    while position < len(tokens) and tokens[position].folded in ("analyze", "analyse", "verbose"):
        position += 1
    if position + 1 < len(tokens) and _opens_options(tokens[position], tokens[position + 1]):
        while position < len(tokens) and tokens[position].text != ")":
            position += 1
        position += 1
    return tokens[position].start if position < len(tokens) else tokens[-1].end


def _opens_options(bracket: Token, word: Token) -> bool:
    queries = (
        "select",
        "from",
        "with",
        "values",
        "table",
        "pivot",
        "unpivot",
        "describe",
        "summarize",
        "show",
    )
    return bracket.text == "(" and word.kind is Kind.WORD and word.folded not in queries
