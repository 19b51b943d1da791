"""The tables of the schema ``unify`` and their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from unify.model import Column, TableName

SCHEMA = "unify"
VARCHAR = "VARCHAR"
BIGINT = "BIGINT"
BOOLEAN = "BOOLEAN"
TIMESTAMPTZ = "TIMESTAMP WITH TIME ZONE"
WRITE_OUTCOMES = ("created", "updated", "deleted", "unchanged", "rejected", "unknown")  # states, as columns


class SystemTableDef(Struct, frozen=True):
    """A system table: its description, and its columns as (name, type)."""

    description: str
    columns: Sequence[tuple[str, str]]


SYSTEM_TABLES: Mapping[str, SystemTableDef] = {
    "connections": SystemTableDef(
        "the connections of connections.yaml, with the error of each",
        (
            ("name", VARCHAR),
            ("adapter", VARCHAR),
            ("tables", BIGINT),
            ("stored", BIGINT),
            ("writable", BOOLEAN),
            ("state", VARCHAR),
            ("problem", VARCHAR),
        ),
    ),
    "tables": SystemTableDef(
        "all tables and views, stored or not",
        (
            ("schema", VARCHAR),
            ("table", VARCHAR),
            ("kind", VARCHAR),
            ("state", VARCHAR),
            ("rows", BIGINT),
            ("loaded_at", TIMESTAMPTZ),
            ("description", VARCHAR),
            ("error", VARCHAR),
        ),
    ),
    "columns": SystemTableDef(
        "the columns of all tables: stored ones, with their earlier types, and those that a first load finds",
        (
            ("schema", VARCHAR),
            ("table", VARCHAR),
            ("position", BIGINT),
            ("column", VARCHAR),
            ("type", VARCHAR),
            ("description", VARCHAR),
            ("was", VARCHAR),  # its type before a load brought what did not fit
            ("changed_at", TIMESTAMPTZ),
        ),
    ),
    "jobs": SystemTableDef(
        "the loads of the last 30 days: queued, running and ended",
        (
            ("job", BIGINT),
            ("uid", VARCHAR),
            ("tenant", VARCHAR),
            ("action", VARCHAR),
            ("connection", VARCHAR),
            ("table", VARCHAR),
            ("state", VARCHAR),
            ("priority", BIGINT),
            ("attempt", BIGINT),
            ("created_at", TIMESTAMPTZ),
            ("start_at", TIMESTAMPTZ),
            ("started_at", TIMESTAMPTZ),
            ("finished_at", TIMESTAMPTZ),
            ("error", VARCHAR),
        ),
    ),
    "loads": SystemTableDef(
        "the result of each load: rows read, written, discarded, requests, bytes, seconds",
        (
            ("job", BIGINT),
            ("uid", VARCHAR),
            ("connection", VARCHAR),
            ("table", VARCHAR),
            ("action", VARCHAR),
            ("status", VARCHAR),
            ("reason", VARCHAR),
            ("rows_read", BIGINT),
            ("rows_written", BIGINT),
            ("rows_inserted", BIGINT),
            ("rows_updated", BIGINT),
            ("rows_deleted", BIGINT),
            ("rows_discarded", BIGINT),
            ("rows_total", BIGINT),
            ("requests", BIGINT),
            ("bytes", BIGINT),
            ("seconds", "DOUBLE"),
            ("cursor", VARCHAR),
            ("error", VARCHAR),
            ("started_at", TIMESTAMPTZ),
            ("finished_at", TIMESTAMPTZ),
        ),
    ),
    "discarded": SystemTableDef(
        "rows that did not fit a declared type, with the value and the reason",
        (
            ("job", BIGINT),
            ("uid", VARCHAR),
            ("connection", VARCHAR),
            ("table", VARCHAR),
            ("scope", VARCHAR),
            ("column", VARCHAR),
            ("value", VARCHAR),
            ("reason", VARCHAR),
            ("row", VARCHAR),
        ),
    ),
    "requests": SystemTableDef(
        "the last 10,000 requests of the last seven days, without secrets",
        (
            ("at", TIMESTAMPTZ),
            ("method", VARCHAR),
            ("address", VARCHAR),
            ("status", BIGINT),
            ("milliseconds", "DOUBLE"),
            ("bytes", BIGINT),
            ("job", BIGINT),
            ("error", VARCHAR),
        ),
    ),
    "schedules": SystemTableDef(
        "scheduled refreshes and scripts, with their next and last times",
        (
            ("name", VARCHAR),
            ("kind", VARCHAR),
            ("connection", VARCHAR),
            ("table", VARCHAR),
            ("script", VARCHAR),
            ("every", "INTERVAL"),
            ("starting", VARCHAR),
            ("time_zone", VARCHAR),
            ("next_at", TIMESTAMPTZ),
            ("last_at", TIMESTAMPTZ),
            ("last_status", VARCHAR),
            ("origin", VARCHAR),
        ),
    ),
    "script_runs": SystemTableDef(
        "the runs of scheduled scripts: status, output, errors",
        (
            ("run", BIGINT),
            ("name", VARCHAR),
            ("script", VARCHAR),
            ("status", VARCHAR),
            ("due_at", TIMESTAMPTZ),
            ("started_at", TIMESTAMPTZ),
            ("ended_at", TIMESTAMPTZ),
            ("exit_status", BIGINT),
            ("output", VARCHAR),
            ("error", VARCHAR),
        ),
    ),
    "writes": SystemTableDef(
        "the writes of the last 30 days: what was planned, by whom, and how many rows were written",
        (
            ("id", BIGINT),
            ("connection", VARCHAR),
            ("table", VARCHAR),
            ("mode", VARCHAR),
            ("state", VARCHAR),
            ("rows", BIGINT),
            ("requests", BIGINT),
            *((name, BIGINT) for name in WRITE_OUTCOMES),
            ("asked_by", VARCHAR),
            ("approved_by", VARCHAR),
            ("planned_at", TIMESTAMPTZ),
            ("started_at", TIMESTAMPTZ),
            ("finished_at", TIMESTAMPTZ),
            ("error", VARCHAR),
            ("undo_of", BIGINT),
        ),
    ),
    "syncs": SystemTableDef(
        "SELECTs whose rows are written to a system again and again",
        (
            *(("name", VARCHAR), ("connection", VARCHAR), ("table", VARCHAR), ("mode", VARCHAR)),
            *(("key", VARCHAR), ("source", VARCHAR), ("every", "INTERVAL"), ("after_load_of", VARCHAR)),
            *(("cursor_column", VARCHAR), ("cursor", VARCHAR), ("callback", VARCHAR)),
            *(("created_by", VARCHAR), ("last_status", VARCHAR), ("last_run_at", TIMESTAMPTZ)),
        ),
    ),
    "sync_runs": SystemTableDef(
        "the runs of syncs: rows read, left out, planned, written and failed",
        (
            *(("id", BIGINT), ("sync", VARCHAR), ("status", VARCHAR), ("reason", VARCHAR)),
            *(("read", BIGINT), ("filtered", BIGINT), ("formatted", BIGINT)),
            *(("written", BIGINT), ("failed", BIGINT), ("write", BIGINT)),
            *(("cursor", VARCHAR), ("callback", VARCHAR)),
            *(("started_at", TIMESTAMPTZ), ("ended_at", TIMESTAMPTZ)),
        ),
    ),
    "deliveries": SystemTableDef(
        "the changes that watches have sent, or have to send",
        (
            *(("watch", VARCHAR), ("sequence", BIGINT), ("target", VARCHAR), ("state", VARCHAR)),
            *(("inserted", BIGINT), ("updated", BIGINT), ("deleted", BIGINT), ("note", VARCHAR)),
            *(("attempts", BIGINT), ("created_at", TIMESTAMPTZ), ("next_attempt_at", TIMESTAMPTZ)),
            *(("delivered_at", TIMESTAMPTZ), ("error", VARCHAR)),
        ),
    ),
    "write_rows": SystemTableDef(
        "the rows of these writes, each with its outcome",
        (
            ("write", BIGINT),
            ("row", BIGINT),
            ("key", "JSON"),
            ("action", VARCHAR),
            ("values", "JSON"),
            ("state", VARCHAR),
            ("status", BIGINT),
            ("created", "JSON"),
            ("message", VARCHAR),
            ("attempts", BIGINT),
            ("sent_at", TIMESTAMPTZ),
            ("settled_at", TIMESTAMPTZ),
            ("before", "JSON"),
        ),
    ),
    "clients": SystemTableDef(
        "the statements that clients of unify serve and agents run now",
        (
            ("client", BIGINT),
            ("user", VARCHAR),
            ("application", VARCHAR),
            ("address", VARCHAR),
            ("protocol", VARCHAR),
            ("statement", VARCHAR),
            ("since", TIMESTAMPTZ),
        ),
    ),
    "statements": SystemTableDef(
        "the last 10,000 statements of clients and agents, with rows, loads and errors",
        (
            ("id", BIGINT),
            ("user", VARCHAR),
            ("application", VARCHAR),
            ("address", VARCHAR),
            ("protocol", VARCHAR),
            ("statement", VARCHAR),
            ("state", VARCHAR),
            ("rows", BIGINT),
            ("loads", BIGINT),
            ("seconds", "DOUBLE"),
            ("started_at", TIMESTAMPTZ),
            ("finished_at", TIMESTAMPTZ),
            ("error", VARCHAR),
        ),
    ),
    "agent_calls": SystemTableDef(
        "the last 10,000 calls of tools by agents (unify mcp)",
        (
            ("called_at", TIMESTAMPTZ),
            ("agent", VARCHAR),
            ("tool", VARCHAR),
            ("statement", VARCHAR),
            ("decision", VARCHAR),
            ("rows", BIGINT),
            ("calls", BIGINT),
            ("seconds", "DOUBLE"),
            ("error", VARCHAR),
        ),
    ),
    "freshness": SystemTableDef(
        "how each table is kept up to date, how old its rows are, and whether a refresh is overdue",
        (
            *(("schema", VARCHAR), ("table", VARCHAR), ("kept", VARCHAR), ("every", "INTERVAL")),
            *(("loaded_at", TIMESTAMPTZ), ("age", "INTERVAL")),
            *(("next_refresh_at", TIMESTAMPTZ), ("is_overdue", "BOOLEAN")),
        ),
    ),
    "lineage": SystemTableDef(
        "which tables a table reads: for each row of its parents, as a view, or through a sync",
        (
            *(("schema", VARCHAR), ("table", VARCHAR)),
            *(("reads_schema", VARCHAR), ("reads_table", VARCHAR)),
            *(("via", VARCHAR), ("sync", VARCHAR)),
        ),
    ),
    "settings": SystemTableDef(
        "the settings that show settings lists",
        (("name", VARCHAR), ("value", VARCHAR), ("description", VARCHAR)),
    ),
}


def find_system_table(table: TableName) -> SystemTableDef | None:
    """Return the definition of a system table, by case-insensitive name."""
    return SYSTEM_TABLES.get(table.table.lower()) if table.schema.lower() == SCHEMA else None


def system_table_columns(table: TableName) -> tuple[Column, ...]:
    """Return the columns of a system table; empty for other tables."""
    definition = find_system_table(table)
    return tuple(Column(name, type) for name, type in definition.columns) if definition is not None else ()
