"""A SELECT written by somebody else, such as a spec's author: shown to be a SELECT and nothing more.

Two witnesses. DuckDB's own parser says what would run, so that no difference between two readings of a
comment or a quote hides anything; sqlglot says which of the names are tables. They must agree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from unify.language.tableref import TableRef, merged

if TYPE_CHECKING:
    import duckdb

_HARMLESS_FUNCTIONS = frozenset({"unnest"})  # reads only the row it stands beside
_FILE_SIGNS = frozenset("./\\:*?[")  # from 'a.csv', from "s3://…": DuckDB opens a name it does not know


def only_select_tables(sql: str) -> tuple[TableRef, ...]:
    """The tables of the one SELECT in ``sql``. Raises ValueError with a sentence if it is anything else."""
    tree = _statement(sql)
    functions = sorted(_functions(tree) - _HARMLESS_FUNCTIONS)
    if functions:
        raise ValueError(f"calls the table function {functions[0]}; only tables can be read here")
    if any(node.get("type") == "SHOW_REF" for node in _nodes(tree)):
        raise ValueError("is not a SELECT but a SHOW, DESCRIBE or SUMMARIZE")
    found = _tables(sql, {_key(node) for node in _nodes(tree) if node.get("type") == "BASE_TABLE"})
    files = [table.table for table in found if _FILE_SIGNS & set(table.table)]
    if files:
        raise ValueError(f"reads {files[0]!r}, which is no table's name; only tables can be read here")
    return found


def _statement(sql: str) -> Any:
    """DuckDB's tree of the only statement in ``sql``."""
    parsed = _parsed(sql)
    if parsed["error"] and parsed.get("error_type") == "parser":
        raise ValueError(f"cannot be read: {_first_line(str(parsed['error_message']))}")
    if parsed["error"]:
        raise ValueError("is not a SELECT; nothing else is allowed here")
    if len(parsed["statements"]) != 1:
        raise ValueError(f"holds {len(parsed['statements'])} statements; exactly one SELECT is allowed here")
    return parsed["statements"][0]


def _parsed(sql: str) -> Any:
    if "\x00" in sql:
        raise ValueError("holds a NUL character, after which DuckDB would stop reading")
    with _parser().cursor() as cursor:
        answer = cursor.execute("select json_serialize_sql(?)", [sql]).fetchone()
    assert answer is not None  # a SELECT of one value has one row
    try:
        return json.loads(answer[0])
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except json.JSONDecodeError:  # seen with control characters in names
        raise ValueError("cannot be read: it has characters that belong in no SQL") from None


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """A database with nothing in it that can reach nothing; it only parses."""
    import duckdb

    return duckdb.connect(":memory:", config={"enable_external_access": "false", "threads": "1"})


def _tables(sql: str, seen: set[tuple[str, ...]]) -> tuple[TableRef, ...]:
    """sqlglot's answer, if it sees the same names as DuckDB."""
    from sqlglot import exp

    from unify.language import sqltree

    tree = sqltree.read(sql)
    if tree is None:
        raise ValueError("uses syntax whose tables cannot be told for certain; write it more plainly")
    nodes = [node for node in tree.find_all(exp.Table) if sqltree.is_table(node)]
    if {(node.catalog.lower(), node.db.lower(), node.name.lower()) for node in nodes} != seen:
        raise ValueError("can be read in two ways; write it more plainly, without odd comments and quotes")
    return merged(list(sqltree.in_tree(tree)))


def _functions(tree: Any) -> set[str]:
    calls = (node for node in _nodes(tree) if node.get("type") == "TABLE_FUNCTION")
    return {str(call["function"]["function_name"]).lower() for call in calls}


def _key(table: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(table[part]).lower() for part in ("catalog_name", "schema_name", "table_name"))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value, without recursion: depth is somebody else's choice."""
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
