"""Functions that give other values, or do something, each time that a statement runs."""

from __future__ import annotations

from collections.abc import Iterable

from unify.engine.tokens import tokenize

# Those that duckdb_functions(), which takes 60 ms, calls VOLATILE.
VOLATILE_FUNCTIONS = frozenset(
    {"nextval", "currval", "random", "setseed", "uuid", "gen_random_uuid", "uuidv4", "uuidv7"}
    | {"current_connection_id", "current_query", "current_query_id", "current_transaction_id"}
    | {"error", "sleep_ms", "stats", "write_log"}
)
# What takes a random part of the rows, or runs SQL that is the content of a string.
_OPAQUE_WORDS = frozenset({"sample", "tablesample", "query", "query_table"})


def is_volatile(sql: str, definitions: Iterable[str] = ()) -> bool:
    """Whether ``sql``, or a view or macro that it uses, may differ or act again when it runs again.

    ``definitions``  the SQL of those views and macros. In doubt the answer is True.
    """
    names = VOLATILE_FUNCTIONS | _OPAQUE_WORDS
    return any(
        token.word.strip('"').lower() in names for text in (sql, *definitions) for token in tokenize(text)
    )
