"""Hides the databases that Unify attaches for itself from DuckDB's listings.

A source is attached under an alias of Unify's. DuckDB lists it like a database of the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from unify.language.sql.analysis import analyse
from unify.language.tokenizer import SqlToken, TokenKind, unquote

_SHOWN = {"databases": "database_name", "tables": "database"}  # of SHOW DATABASES, SHOW ALL TABLES
# The column with the name of the database, by the function that lists.
_FUNCTIONS: Mapping[str, str] = {
    **{
        f"duckdb_{what}": "database_name"
        for what in (
            *("columns", "constraints", "databases", "functions", "indexes", "schemas", "sequences"),
            *("tables", "types", "views"),
        )
    },
    "duckdb_secrets": "name",
}
_MENTIONED = re.compile(r"duckdb_|information_schema|pg_catalog|\b(?:show|describe|pragma)\b", re.IGNORECASE)
_DATABASE_LIST = (  # as DuckDB has it
    "SELECT database_oid AS seq, database_name AS name, path AS file FROM duckdb_databases() "
    "WHERE NOT internal"
)
# The same by the view of the standard's information_schema, and of pg_catalog.
_VIEWS: Mapping[str, Mapping[str, str]] = {
    "information_schema": {
        "columns": "table_catalog",
        "schemata": "catalog_name",
        "tables": "table_catalog",
    },
    "pg_catalog": {"pg_database": "datname"},
}


def hide_internal_databases(sql: str) -> str:
    """Return ``sql`` with listings of databases, schemas, tables and columns that leave them out."""
    if _MENTIONED.search(sql) is None:
        return sql
    analysed = analyse(sql)
    match [token.keyword for token in analysed.tokens if token.text != ";"]:
        case ["show" | "describe", *words] if words in (["databases"], ["all", "tables"]):
            listing = " ".join(words)
            return f"SELECT * FROM (SHOW {listing}) WHERE {_is_shown(_SHOWN[words[-1]])}"
        case ["pragma", "show_databases"]:
            return f"SELECT * FROM (SHOW databases) WHERE {_is_shown(_SHOWN['databases'])}"
        case ["pragma", "database_list"]:
            return f"{_DATABASE_LIST} AND {_is_shown('name')} ORDER BY seq"
    lists = analysed.functions & _FUNCTIONS.keys() or any(
        ref.schema.lower() in _VIEWS for ref in analysed.tables
    )
    for start, end, listing in reversed(list(_listings(analysed.tokens)) if lists else []):
        sql = f"{sql[:start]}{listing}{sql[end:]}"
    return sql


def _listings(tokens: Sequence[SqlToken]) -> Iterator[tuple[int, int, str]]:
    """Yield the places of listings in FROM, and what they are replaced by."""
    for position, token in enumerate(tokens):
        texts = [one.text for one in tokens[position : position + 3]]
        before = tokens[position - 1].text if position else ""
        name = unquote(token.text).lower()
        if before == "." or token.kind not in (TokenKind.WORD, TokenKind.QUOTED):
            continue
        if name in _FUNCTIONS and texts[1:] == ["(", ")"]:
            column, length = _FUNCTIONS[name], 3
        elif name in _VIEWS and len(texts) == 3 and texts[1] == ".":
            name = unquote(texts[2]).lower()
            column, length = _VIEWS[unquote(token.text).lower()].get(name, ""), 3
        else:
            continue
        if column:
            last = tokens[position + length - 1]
            shown = "".join(one.text for one in tokens[position : position + length])
            alias = "" if _has_alias(tokens[position + length :]) else f" AS {name}"
            yield token.start, last.end, f"(SELECT * FROM {shown} WHERE {_is_shown(column)}){alias}"


def _has_alias(following: Sequence[SqlToken]) -> bool:
    if not following:
        return False
    token = following[0]
    is_name = token.kind is TokenKind.QUOTED or (
        token.kind is TokenKind.WORD and token.keyword not in _AFTER_TABLE
    )
    return token.keyword == "as" or is_name


_AFTER_TABLE = frozenset(
    [
        *("where", "group", "order", "having", "limit", "offset", "join", "inner", "left", "right", "full"),
        *("cross", "natural", "asof", "positional", "semi", "anti", "on", "using", "union", "intersect"),
        *("except", "window", "qualify", "sample", "tablesample", "select", "pivot", "unpivot"),
    ]
)


def _is_shown(column: str) -> str:
    return f"{column} NOT LIKE '\\_\\_unify\\_%' ESCAPE '\\'"
