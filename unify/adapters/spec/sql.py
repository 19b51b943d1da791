"""SQL in specs: one SELECT over the connection's own tables, and nothing that reaches further.

This is the fence an author meets; the query runs on a locked connection besides.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unify.text import did_you_mean

if TYPE_CHECKING:
    from sqlglot import exp

_PLAIN_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_SQL_CHARS = 10_000  # characters
# Functions that look outside the rows they are given: files, settings, catalogs, other statements.
_EXTERNAL_FUNCTIONS = re.compile(
    r"(read|write|json_execute|duckdb|pragma|parquet|sqlite|postgres|pg|mysql|iceberg|delta|sniff|st_read|http|query|glob|seq_scan"
    r"|getenv|getvariable|current_setting|set_config|nextval|currval|which_secret|load_aws|force_checkpoint"
    r"|checkpoint|copy_database|sql_auto_complete|test_all_types|repeat_row|summary|in_search_path|txid_current"
    r"|current_(?:catalog|database|schemas?|user|role|query)|user|session_user|version)(?:_.*)?"
)


@dataclass(frozen=True, slots=True)
class SelectInfo:
    """What a SELECT reads, gives and names. ``columns``: None where only running it tells (``select *``)."""

    tables: tuple[str, ...]
    columns: tuple[str, ...] | None
    referenced_columns: frozenset[str]


def analyze_select(sql: str, own_tables: Collection[str]) -> SelectInfo:
    """Look into a SELECT of a spec.

    ``own``  the names it may read from, compared without regard to case.
    Raises  ValueError with a sentence, where it is anything else.
    """
    from sqlglot import exp

    query = _parse_select(sql)
    made = {_cte_name(cte.alias) for cte in query.find_all(exp.CTE)}
    tables: dict[str, None] = {}
    for node in query.walk():
        _reject_node(node)
        if isinstance(node, exp.Table):
            name = _own_table(node, own_tables, made)
            if name is not None:
                tables[name] = None
    named = frozenset(column.name for column in query.find_all(exp.Column))
    return SelectInfo(tuple(tables), None if query.is_star else tuple(query.named_selects), named)


def _parse_select(sql: str) -> exp.Query:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    if len(sql) > _MAX_SQL_CHARS:
        raise ValueError(f"the SELECT is longer than {_MAX_SQL_CHARS:,} characters")
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns on stderr of what we refuse below
    try:
        tokens = sqlglot.tokenize(sql, read="duckdb")
        statements = [found for found in sqlglot.parse(sql, read="duckdb") if found is not None]
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"this is not SQL that can be read{_error_position(error)}") from error
    if len(statements) != 1:
        raise ValueError("expected exactly one SELECT" if statements else "expected a SELECT")
    if any(token.token_type.name == "SEMICOLON" for token in tokens):
        raise ValueError("leave the ; out: the SELECT becomes part of another one")
    query = statements[0]
    if not isinstance(query, exp.Query):
        raise ValueError(f"only a SELECT is allowed here, not {sql.split(maxsplit=1)[0].upper()[:20]!r}")
    return query


def _error_position(error: Exception) -> str:
    details = getattr(error, "errors", None)
    word = details[0].get("highlight") if details else None
    return f", near {word!r}" if word else ""


def _cte_name(name: str) -> str:
    """The name of a CTE. One that could mean a file or a system table elsewhere in the query is refused."""
    if not _PLAIN_IDENTIFIER.fullmatch(name) or _EXTERNAL_FUNCTIONS.fullmatch(name.lower()):
        raise ValueError(f"{name!r}: give the part of the query after WITH a plain name")
    return name.lower()


def _reject_node(node: exp.Expr) -> None:
    from sqlglot import exp

    if isinstance(node, (exp.Command, exp.DDL, exp.DML, exp.Into)) and not isinstance(node, exp.Query):
        raise ValueError(f"only a SELECT is allowed here, not {node.key.upper()!r}")
    if isinstance(node, (exp.Placeholder, exp.Parameter)):
        raise ValueError("a SELECT in a spec has no parameters")
    if isinstance(node, (exp.Anonymous, exp.Func)):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        if _EXTERNAL_FUNCTIONS.fullmatch(name):
            raise ValueError(
                f"the function {name} looks outside the connection's tables, so it is not allowed"
            )


def _own_table(node: exp.Table, own_tables: Collection[str], cte_names: set[str]) -> str | None:
    """The own table a node reads; None for a name that the query makes itself."""
    from sqlglot import exp

    if not isinstance(node.this, exp.Identifier):
        raise ValueError(
            f"{node.sql('duckdb')}: only the connection's own tables are allowed, no table functions"
        )
    if node.args.get("db") or node.args.get("catalog"):
        raise ValueError(
            f"{node.sql('duckdb')}: write the table's name alone; other connections are not allowed"
        )
    name = node.name.lower()
    if name in cte_names:
        return None
    found = next((table for table in own_tables if table.lower() == name), None)
    if found is None:
        raise ValueError(f"no table {node.name} here{did_you_mean(node.name, own_tables)}")
    return found


def find_cycles(parents: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Every circle of tables that wait for each other, each once, starting with its first name."""
    seen: set[frozenset[str]] = set()
    for start in parents:
        circle = _find_cycle(start, parents)
        if circle and frozenset(circle) not in seen:
            seen.add(frozenset(circle))
            yield circle


def _find_cycle(start: str, parents: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """A way from ``start`` back to itself, or nothing."""
    ways: list[tuple[str, ...]] = [(start,)]
    visited: set[str] = set()
    while ways:
        way = ways.pop()
        for parent in parents.get(way[-1], ()):
            if parent == start:
                return way
            if parent not in visited:
                visited.add(parent)
                ways.append((*way, parent))
    return ()
