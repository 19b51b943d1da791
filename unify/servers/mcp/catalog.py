"""Tables and columns as agents see them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from unify.errors import UnknownName
from unify.interpreter.results import Rows
from unify.interpreter.state import TableState
from unify.model import TableName
from unify.servers.mcp.limits import MAX_COLUMNS, MAX_LISTED_TABLES
from unify.servers.statements.sessions import RestrictedSession
from unify.text import format_age

MAX_DESCRIPTION_CHARS = 300


def list_tables(session: RestrictedSession, search: str, connection: str) -> dict[str, Any]:
    """Return the tables whose name or description has all words of ``search``, at most MAX_LISTED_TABLES."""
    words = search.lower().split()
    found = [
        table
        for table in _readable_tables(session, connection)
        if all(word in f"{table.name} {table.description}".lower() for word in words)
    ]
    now = datetime.now(UTC)
    listed = [_table(table, now) for table in found[:MAX_LISTED_TABLES]]
    return {"tables": listed, "complete": len(listed) == len(found), "found": len(found)}


def describe_table(session: RestrictedSession, table: str) -> dict[str, Any]:
    """Return the columns of a table, its state, and what a query of it needs. Raises UnknownName."""
    name = _parse_name(table)
    result = session.interpreter.run(f'describe "{name.schema}"."{name.table}"')
    assert isinstance(result, Rows)
    columns = [
        {"name": row[0], "type": row[1] or "unknown until the first load", "description": row[2] or ""}
        for batch in result.batches
        for row in batch
    ]
    states = _readable_tables(session, name.schema)
    state = next((one for one in states if str(one.name).lower() == str(name).lower()), None)
    described: dict[str, Any] = {"table": str(name)}
    if state is not None:
        described = _table(state, datetime.now(UTC))
    connections = session.interpreter.session.connections
    if connections.has(name.schema) and connections.view(name) is None:
        definition = connections.table(name)
        described |= {"key": list(definition.key), "loads_first": list(definition.parents)}
        live = connections.live_table(name)
        if live is not None:
            described["required_filters"] = [each.column for each in live.filters if each.required]
    shown = columns[:MAX_COLUMNS]
    return {**described, "columns": shown, "complete": len(shown) == len(columns), "note": result.note}


def _readable_tables(session: RestrictedSession, connection: str) -> Iterator[TableState]:
    schemas = session.restriction.schemas
    state = session.interpreter.session.state
    for table in state.table_states(connection or None):
        if schemas is None or table.name.schema.lower() in schemas:
            yield table


def _table(table: TableState, now: datetime) -> dict[str, Any]:
    loaded_at = table.loaded_at
    return {
        "table": str(table.name),
        "description": table.description[:MAX_DESCRIPTION_CHARS],
        "kind": table.kind,
        "state": table.state,
        "rows": table.rows,
        "age": format_age((now - loaded_at).total_seconds()) if loaded_at is not None else None,
    }


def _parse_name(table: str) -> TableName:
    schema, dot, name = table.replace('"', "").partition(".")
    if not dot or not schema or not name:
        raise UnknownName(f"{table[:100]}: must be SCHEMA.TABLE, such as github.pulls (list_tables)")
    return TableName(schema, name)
