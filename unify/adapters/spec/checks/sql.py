"""Checks the SQL of specs: a single SELECT over the connection's own tables.

``language.sql.untrusted`` decides what such SQL may contain; this module finds its tables and columns.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.language.sql.untrusted import check_select
from unify.text import did_you_mean

if TYPE_CHECKING:
    from sqlglot import exp

_PLAIN_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_SQL_CHARS = 10_000


class SelectInfo(Struct, frozen=True):
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
    try:
        check_select(sql)
    except ValueError as error:
        raise ValueError(f"the SELECT {error}") from error
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
    """The name of a CTE. Names that could refer to a file are rejected."""
    if not _PLAIN_IDENTIFIER.fullmatch(name):
        raise ValueError(f"{name!r}: a name after WITH must be a plain identifier")
    return name.lower()


def _reject_node(node: exp.Expr) -> None:
    from sqlglot import exp

    if isinstance(node, (exp.Command, exp.DDL, exp.DML, exp.Into)) and not isinstance(node, exp.Query):
        raise ValueError(f"only a SELECT is allowed here, not {node.key.upper()!r}")
    if isinstance(node, (exp.Placeholder, exp.Parameter)):
        raise ValueError("a SELECT in a spec cannot have parameters")


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
