"""SQL from outside a shell: the check that a text is one SELECT that reads tables and nothing else.

DuckDB's own parser decides what would run: differences about comments and quotes cannot hide anything.
Functions are an allow-list: those of DuckDB without extensions, less those that reach the system, run SQL of
their own, or read tables that a text names. For SELECTs of specs sqlglot must find the same tables.
This is one of two fences; the other is the restricted lake, in which such SQL runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from unify.language.sql.refs import TableRef, merge_refs
from unify.language.tokenizer import keyword_set

if TYPE_CHECKING:
    import duckdb

_TABLE_FUNCTIONS = frozenset(
    ("generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest")
)
# Of the functions that DuckDB itself has: settings, variables, sequences, the log, waiting, the catalog.
_REFUSED_FUNCTIONS = keyword_set(
    "col_description current_setting currval getenv getvariable in_search_path json_execute_serialized_sql "
    "json_serialize_plan nextval obj_description parse_duckdb_log_message query query_table setseed "
    "shobj_description sleep_ms stats which_secret write_log"
)
# Not listed by duckdb_functions().
_WINDOW_FUNCTIONS = keyword_set(
    "cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense "
    "row_number"
)
_HARMLESS_CATALOG_FUNCTIONS = frozenset(("pg_size_pretty", "pg_typeof"))
_REFUSED_PREFIXES = ("__", "pg_", "has_", "inet_")
_SYSTEM_SCHEMAS = frozenset(("_unify", "information_schema", "memory", "pg_catalog", "system", "temp"))
_SYSTEM_VIEW = re.compile(r"(?:duckdb|pg|pragma|sqlite)_")
_CATALOGS = frozenset(("", "lake", "unify"))
_FILE_CHARACTERS = frozenset("./\\:*?[")  # DuckDB opens unknown names such as 'a.csv' as files


class ReadTable(Struct, frozen=True):
    """A table as a SELECT names it, as DuckDB's parser sees it; "" for parts that are not given."""

    catalog: str
    schema: str
    table: str

    @property
    def folded(self) -> tuple[str, str, str]:
        return self.catalog.lower(), self.schema.lower(), self.table.lower()

    def __str__(self) -> str:
        return ".".join(part for part in (self.catalog, self.schema, self.table) if part)


class CheckedSelect(Struct, frozen=True):
    """What one SELECT reads. ``cte_names``: its common table expressions, in lower case."""

    tables: tuple[ReadTable, ...]
    cte_names: frozenset[str]


def check_select(
    sql: str,
    is_macro: Callable[[str], bool] = lambda _name: False,
    databases: Collection[str] = (),
) -> CheckedSelect:
    """Check that ``sql`` is one SELECT that reads tables and nothing else.

    ``is_macro``   whether the owner of the lake has defined a macro of that name, in lower case.
    ``databases``  connections, in lower case, whose tables may be named with a schema: shop.sales.orders.
    Raises ValueError with what the statement is or does instead, as a predicate: ``calls the function …``.
    """
    nodes = list(walk_tree(parse_tree(sql)))
    if any(node.get("type") == "SHOW_REF" for node in nodes):
        raise ValueError("is not a SELECT but a SHOW, DESCRIBE or SUMMARIZE")
    _check_functions(nodes, is_macro)
    tables = tuple(dict.fromkeys(_read_table(node) for node in nodes if node.get("type") == "BASE_TABLE"))
    for table in tables:
        _check_table(table, databases)
    return CheckedSelect(tables, frozenset(_cte_names(nodes)))


def select_tables(sql: str) -> tuple[TableRef, ...]:
    """Return the tables of a SELECT of a spec. Raises ValueError as ``check_select``."""
    from unify.language.sql import parse

    checked = check_select(sql)
    tree = parse.parse_sql(sql)
    if tree is None:
        raise ValueError("uses syntax whose tables cannot be determined; rewrite it in simpler SQL")
    if parse.all_table_names(tree) != {table.folded for table in checked.tables}:
        raise ValueError("is ambiguous; rewrite it in simpler SQL, without unusual comments and quotes")
    return merge_refs(list(parse.tree_table_refs(tree)))


def _check_functions(nodes: Sequence[dict[str, Any]], is_macro: Callable[[str], bool]) -> None:
    calls = [node["function"] for node in nodes if node.get("type") == "TABLE_FUNCTION"]
    sources = {str(call.get("function_name", "")).lower() for call in calls}
    if refused := sorted(sources - _TABLE_FUNCTIONS):
        raise ValueError(f"calls the table function {refused[0]}; only tables can be read here")
    called = {str(node["function_name"]).lower() for node in nodes if "function_name" in node}
    unknown = called - _allowed_functions() - _TABLE_FUNCTIONS
    if refused := sorted(name for name in unknown if not is_macro(name) or name in _own_functions()):
        raise ValueError(f"calls the function {refused[0]}, which is not allowed here")


def _check_table(table: ReadTable, databases: Collection[str]) -> None:
    schema, catalog = table.schema.lower(), table.catalog.lower()
    is_known = catalog in _CATALOGS or catalog in databases
    if not is_known or schema in _SYSTEM_SCHEMAS or schema.startswith("__"):
        raise ValueError(f"reads {table}, which is not a table of a connection or of the user")
    if not schema and _SYSTEM_VIEW.match(table.table.lower()):
        raise ValueError(f"reads {table}, which is not a table of a connection or of the user")
    if not schema and _FILE_CHARACTERS & set(table.table):
        raise ValueError(f"reads {table.table!r}, which is no table's name; only tables can be read here")


def parse_tree(sql: str) -> Any:
    """Return DuckDB's serialized tree of the only statement in ``sql``, a SELECT. Raises ValueError."""
    parsed = _serialize_sql(sql)
    if parsed["error"] and parsed.get("error_type") == "parser":
        raise ValueError(f"cannot be read: {_first_line(str(parsed['error_message']))}")
    if parsed["error"]:
        raise ValueError("is not a SELECT; nothing else is allowed here")
    if len(parsed["statements"]) != 1:
        raise ValueError(f"holds {len(parsed['statements'])} statements; exactly one SELECT is allowed here")
    return parsed["statements"][0]


def _serialize_sql(sql: str) -> Any:
    if "\x00" in sql:
        raise ValueError("holds a NUL character, after which DuckDB would stop reading")
    with _bare_database().cursor() as cursor:
        answer = cursor.execute("select json_serialize_sql(?)", [sql]).fetchone()
    assert answer is not None  # one row by definition
    try:
        return json.loads(answer[0])
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except json.JSONDecodeError:  # seen with control characters in names
        raise ValueError("cannot be read: it has characters that belong in no SQL") from None


@cache
def _bare_database() -> duckdb.DuckDBPyConnection:
    """Return an empty in-memory database without external access, used only for parsing."""
    from unify.engine import duckdb

    return duckdb.connect(":memory:", config={"enable_external_access": "false", "threads": "1"})


@cache
def _own_functions() -> frozenset[str]:
    """Return the functions of DuckDB without extensions that belong in expressions, in lower case."""
    with _bare_database().cursor() as cursor:
        found = cursor.execute(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
            "WHERE function_type IN ('scalar', 'aggregate', 'macro')"
        ).fetchall()
    return frozenset(str(name) for (name,) in found)


@cache
def _allowed_functions() -> frozenset[str]:
    return (
        frozenset(
            name
            for name in _own_functions() - _REFUSED_FUNCTIONS
            if not name.startswith(_REFUSED_PREFIXES) or name in _HARMLESS_CATALOG_FUNCTIONS
        )
        | _WINDOW_FUNCTIONS
    )


def _cte_names(nodes: Sequence[dict[str, Any]]) -> Iterator[str]:
    for node in nodes:
        clause = node.get("cte_map")
        for entry in clause.get("map", ()) if isinstance(clause, dict) else ():
            yield str(entry["key"]).lower()


def _read_table(node: dict[str, Any]) -> ReadTable:
    return ReadTable(str(node["catalog_name"]), str(node["schema_name"]), str(node["table_name"]))


def walk_tree(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a JSON value, without recursion: the depth comes from outside."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _first_line(message: str) -> str:
    return message.splitlines()[0] if message else "it is empty"
