"""What a statement is to DuckDB: its kind, whether it writes, whether it gives rows of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.engine import sources
from unify.engine.tokens import tokenize, top_level_tokens
from unify.engine.volatility import is_volatile
from unify.errors import QueryError
from unify.text import format_count

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement

_READ_ONLY_KINDS = frozenset(
    {"SELECT", "EXPLAIN", "SET", "VARIABLE_SET", "PRAGMA", "LOAD", "ATTACH", "DETACH"}
)
_INTERNAL_READ_ONLY_KINDS = frozenset(
    {"EXPORT", "PREPARE", "RELATION", "LOGICAL_PLAN", "EXTENSION", "TRANSACTION"}
)
_WRAPPER_KINDS = frozenset({"TRANSACTION", "SET"})  # around the parts of a compound statement
_KINDS_RETURNING_ROWS = frozenset({"CALL", "EXECUTE", "PRAGMA"})
# Words of a select that may see every row before it gives its first; of others, the start costs nothing.
_BLOCKING_WORDS = frozenset(
    {
        "where",
        "group",
        "order",
        "distinct",
        "over",
        "join",
        "union",
        "intersect",
        "except",
        "pivot",
    }
    | {"sum", "avg", "min", "max", "any_value", "first", "last", "arg_min", "arg_max", "median", "mode"}
)
DEFINITION_WORDS = frozenset({"view", "macro", "function"})
_COUNT_VERBS = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted", "MERGE_INTO": "merged"}
DONE_TEXTS = {"CREATE": "created", "DROP": "dropped", "ALTER": "altered", "ATTACH": "attached", "SET": "set"}


class ParsedStatement(Struct, frozen=True):
    """A statement as DuckDB's parser sees it: ``kind`` is its StatementType.

    ``is_compound``  it is neither described nor run twice, because each run creates its enumeration again.
    ``runs_once``    a SELECT that may take its whole time before its first row, or act again in a second
                     run: it is described first.
    ``reads_once``   one of its sources may be a pipe: it is neither described nor run twice.
    """

    sql: str
    kind: str
    words: tuple[str, ...]  # its tokens outside brackets, in lower case, without comments
    is_write: bool
    is_compound: bool = False  # several statements to DuckDB: a PIVOT creates an enumeration first
    runs_once: bool = False
    returns_rows: bool = False  # rows that only the statement itself gives: RETURNING, CALL, EXECUTE …
    reads_once: bool = False


def parse_statement(
    sql: str, kinds: Sequence[str], definitions: Sequence[str], *, has_own_definitions: bool
) -> ParsedStatement:
    """Describe ``sql``, in which DuckDB's parser found statements of the types ``kinds``.

    ``definitions``          the SQL of the views and macros that it uses.
    ``has_own_definitions``  there may be others: those of attached databases.
    """
    if not kinds:
        raise QueryError("there is no statement here")
    acting = [kind for kind in kinds if kind not in _WRAPPER_KINDS]
    kind = acting[-1] if acting else kinds[-1]
    tokens = tokenize(sql)
    words = tuple(token.word for _, token in top_level_tokens(tokens))
    return ParsedStatement(
        sql,
        kind,
        words,
        _is_write(kind, words),
        is_compound=len(acting) > 1,
        runs_once=has_own_definitions
        or any(token.word in _BLOCKING_WORDS for token in tokens)
        or is_volatile(sql, definitions),
        returns_rows=_returns_rows(kind, words, [token.word for token in tokens]),
        reads_once=kind in ("SELECT", "CREATE", "EXECUTE") and sources.reads_once(sql, definitions),
    )


def run_before_last(connection: DuckDBPyConnection, sql: str) -> str | Statement:
    """Run all but the last part of a compound statement; return what is left to run, which has the result.

    What DuckDB puts around the parts, a transaction or settings, is left out: its end would have the result.
    """
    if "pivot" not in sql.lower():
        return sql
    parts = [part for part in connection.extract_statements(sql) if part.type.name not in _WRAPPER_KINDS]
    if len(parts) < 2:
        return sql
    for part in parts[:-1]:
        connection.execute(part)  # it has no parameters: DuckDB refuses them in the source of such a PIVOT
    return parts[-1]


def summary_text(kind: str, columns: Sequence[tuple[str, str]], rows: Sequence[tuple[object, ...]]) -> str:
    """Return the message of a statement that gave no rows of its own."""
    verb = _COUNT_VERBS.get(kind, "written" if kind in ("CREATE", "COPY") else "")
    if verb and rows and columns and columns[0][0] == "Count":
        return f"{format_count(int(str(rows[0][0])), 'row')} {verb}"
    return DONE_TEXTS.get(kind, "done")


def _returns_rows(kind: str, words: Sequence[str], all_words: Sequence[str]) -> bool:
    if kind == "COPY":
        return "return_files" in all_words or "return_stats" in all_words
    return kind in _KINDS_RETURNING_ROWS or (kind in _COUNT_VERBS and "returning" in words)


def _is_write(kind: str, words: Sequence[str]) -> bool:
    match kind:
        case "EXPLAIN":  # EXPLAIN ANALYZE runs what it explains
            return "analyze" in words[1:4] and any(is_write_word(word) for word in words[2:])
        case "COPY":
            return _is_copy_from(words)
        case _:
            return kind not in _READ_ONLY_KINDS and kind not in _INTERNAL_READ_ONLY_KINDS


def is_write_word(word: str) -> bool:
    return word in ("insert", "update", "delete", "merge", "create", "truncate", "alter", "drop", "copy")


def _is_copy_from(words: Sequence[str]) -> bool:
    """COPY t FROM writes, COPY t TO and COPY (select) TO do not: the first of the two words tells."""
    return next((word for word in words if word in ("from", "to")), "from") == "from"
