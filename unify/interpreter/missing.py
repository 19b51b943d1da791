"""What is said of a table that is not there: where somebody most likely finds what they meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from unify.model import TableName
from unify.text import did_you_mean, nearest

if TYPE_CHECKING:
    from unify.interpreter.state import State

_MOST_MEANT = 3
# DuckDB's words, and its guess, which knows of pg_class and of no table that is not loaded.
_DUCKDB = re.compile(
    r'Table with name "?(?P<name>[^"\n]+?)"? does not exist!(?:\nDid you mean "(?P<guess>[^"\n]*)"\?)?'
)


def no_table(name: TableName, known: Iterable[TableName], schemas: Iterable[str]) -> str:
    """``there is no table pulls — did you mean github.pulls? (show tables)``

    ``known``  every table there is, stored or not; ``schemas`` all connections and schemas.
    """
    known = tuple(known)
    if name.schema not in ("", "main"):
        return f"there is no table {name}{did_you_mean(str(name), map(str, known))} (show tables)"
    word = name.table
    schema = next((schema for schema in schemas if schema.lower() == word.lower()), None)
    if schema is not None:
        return f"{schema} is no table but has some{_such_as(schema, known)} (show tables from {schema})"
    called = [_shown(table) for table in known if table.table.lower() == word.lower()]
    if called:
        return f"there is no table {word} — did you mean {' or '.join(called[:_MOST_MEANT])}? (show tables)"
    by_name = {table.table: _shown(table) for table in known}
    found = nearest(word, by_name)
    return f"there is no table {word}{f' — did you mean {by_name[found]}?' if found else ''} (show tables)"


def told(message: str, state: State) -> str:
    """DuckDB's message, with our words for a table that it does not find."""
    found = _DUCKDB.search(message)
    if found is None or "." in found["name"]:
        return message
    known = (table.name for table in state.tables())
    return message.replace(found[0], no_table(TableName("", found["name"]), known, state.schemas()))


def _such_as(schema: str, known: Iterable[TableName]) -> str:
    first = next((table for table in known if table.schema.lower() == schema.lower()), None)
    return f", such as {first}" if first is not None else ""


def _shown(table: TableName) -> str:
    return table.table if table.schema == "main" else str(table)
