"""Checks the SQL of specs: a single SELECT over the connection's own tables, without external access.

Queries also run on a locked connection; this check gives authors the reason.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unify.text import did_you_mean

if TYPE_CHECKING:
    from sqlglot import exp

_PLAIN_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_SQL_CHARS = 10_000
# Functions that access files, settings, catalogs or other statements.
_EXTERNAL_FUNCTIONS = re.compile(
    r"(read|write|json_execute|duckdb|pragma|parquet|sqlite|postgres|pg|mysql|iceberg|delta|sniff|st_read"
    r"|http|query|glob|seq_scan|getenv|getvariable|current_setting|set_config|nextval|currval|which_secret"
    r"|load_aws|force_checkpoint|checkpoint|copy_database|sql_auto_complete|test_all_types|repeat_row"
    r"|summary|in_search_path|txid_current|current_(?:catalog|database|schemas?|user|role|query)|user"
    r"|session_user|version)(?:_.*)?"
)


@dataclass(frozen=True, slots=True)
class SelectInfo:
    """The tables and columns of a SELECT. ``columns`` is None if only running it shows them (``*``)."""

    tables: tuple[str, ...]
    columns: tuple[str, ...] | None
    referenced_columns: frozenset[str]


def analyze_select(sql: str, own_tables: Collection[str]) -> SelectInfo:
    """Check and analyze a SELECT of a spec; names in ``own_tables`` match in any case.

    Raises: ValueError if it is not a SELECT, or accesses anything but ``own_tables``.
    """
    from sqlglot import exp

    query = _parse_select(sql)
    cte_names = {_cte_name(cte.alias) for cte in query.find_all(exp.CTE)}
    tables: dict[str, None] = {}
    for node in query.walk():
        _reject_node(node)
        if isinstance(node, exp.Table):
            name = _own_table(node, own_tables, cte_names)
            if name is not None:
                tables[name] = None
    referenced = frozenset(column.name for column in query.find_all(exp.Column))
    return SelectInfo(tuple(tables), None if query.is_star else tuple(query.named_selects), referenced)


def _parse_select(sql: str) -> exp.Query:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    if len(sql) > _MAX_SQL_CHARS:
        raise ValueError(f"the SELECT is longer than {_MAX_SQL_CHARS:,} characters")
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # its warnings are about SQL that is rejected below
    try:
        tokens = sqlglot.tokenize(sql, read="duckdb")
        statements = [each for each in sqlglot.parse(sql, read="duckdb") if each is not None]
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"the SQL cannot be parsed{_error_position(error)}") from error
    if len(statements) != 1:
        raise ValueError("expected exactly one SELECT" if statements else "expected a SELECT")
    if any(token.token_type.name == "SEMICOLON" for token in tokens):
        raise ValueError("remove the ;: the SELECT is used as a subquery")
    query = statements[0]
    if not isinstance(query, exp.Query):
        raise ValueError(f"only a SELECT is allowed here, not {sql.split(maxsplit=1)[0].upper()[:20]!r}")
    return query


def _error_position(error: Exception) -> str:
    details = getattr(error, "errors", None)
    word = details[0].get("highlight") if details else None
    return f", near {word!r}" if word else ""


def _cte_name(name: str) -> str:
    """The name of a CTE. Names that could refer to a file or a system table are rejected."""
    if not _PLAIN_IDENTIFIER.fullmatch(name) or _EXTERNAL_FUNCTIONS.fullmatch(name.lower()):
        raise ValueError(f"{name!r}: a name after WITH must be a plain identifier, not that of a function")
    return name.lower()


def _reject_node(node: exp.Expr) -> None:
    from sqlglot import exp

    if isinstance(node, (exp.Command, exp.DDL, exp.DML, exp.Into)) and not isinstance(node, exp.Query):
        raise ValueError(f"only a SELECT is allowed here, not {node.key.upper()!r}")
    if isinstance(node, (exp.Placeholder, exp.Parameter)):
        raise ValueError("a SELECT in a spec cannot have parameters")
    if isinstance(node, (exp.Anonymous, exp.Func)):
        name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        if _EXTERNAL_FUNCTIONS.fullmatch(name):
            raise ValueError(
                f"the function {name} is not allowed: it accesses more than the connection's tables"
            )


def _own_table(node: exp.Table, own_tables: Collection[str], cte_names: set[str]) -> str | None:
    """The own table that a node reads; None for a CTE."""
    from sqlglot import exp

    if not isinstance(node.this, exp.Identifier):
        raise ValueError(f"{node.sql('duckdb')}: table functions are not allowed")
    if node.args.get("db") or node.args.get("catalog"):
        raise ValueError(f"{node.sql('duckdb')}: only tables of this connection, by name alone, are allowed")
    name = node.name.lower()
    if name in cte_names:
        return None
    own = next((table for table in own_tables if table.lower() == name), None)
    if own is None:
        raise ValueError(f"unknown table {node.name}{did_you_mean(node.name, own_tables)}")
    return own
