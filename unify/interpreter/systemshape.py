"""What the tables of the schema ``unify`` are called, and which columns they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unify.model import Column, TableName

SCHEMA = "unify"
TEXT = "VARCHAR"
COUNT = "BIGINT"
MOMENT = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True)
class Shape:
    """What a table of the system tells, and its columns as (name, type)."""

    about: str
    columns: Sequence[tuple[str, str]]


SHAPES: Mapping[str, Shape] = {
    "connections": Shape(
        "the connections of connections.yaml, with what is wrong with each",
        (
            ("name", TEXT),
            ("adapter", TEXT),
            ("tables", COUNT),
            ("stored", COUNT),
            ("state", TEXT),
            ("problem", TEXT),
        ),
    ),
    "tables": Shape(
        "what can be selected from, stored or not",
        (
            ("schema", TEXT),
            ("table", TEXT),
            ("kind", TEXT),
            ("state", TEXT),
            ("rows", COUNT),
            ("loaded_at", MOMENT),
            ("description", TEXT),
            ("error", TEXT),
        ),
    ),
    "columns": Shape(
        "the columns of stored tables, and what they were before their type gave way",
        (
            ("schema", TEXT),
            ("table", TEXT),
            ("position", COUNT),
            ("column", TEXT),
            ("type", TEXT),
            ("description", TEXT),
            ("was", TEXT),  # its type before a load brought what did not fit
            ("changed_at", MOMENT),
        ),
    ),
    "jobs": Shape(
        "every load of the last 30 days, waiting, running or ended",
        (
            ("job", COUNT),
            ("uid", TEXT),
            ("tenant", TEXT),
            ("action", TEXT),
            ("connection", TEXT),
            ("table", TEXT),
            ("state", TEXT),
            ("priority", COUNT),
            ("attempt", COUNT),
            ("created_at", MOMENT),
            ("start_at", MOMENT),
            ("started_at", MOMENT),
            ("finished_at", MOMENT),
            ("error", TEXT),
        ),
    ),
    "loads": Shape(
        "how each load ended: rows read, written, discarded, requests, bytes, seconds",
        (
            ("job", COUNT),
            ("uid", TEXT),
            ("connection", TEXT),
            ("table", TEXT),
            ("action", TEXT),
            ("status", TEXT),
            ("reason", TEXT),
            ("rows_read", COUNT),
            ("rows_written", COUNT),
            ("rows_inserted", COUNT),
            ("rows_updated", COUNT),
            ("rows_deleted", COUNT),
            ("rows_discarded", COUNT),
            ("rows_total", COUNT),
            ("requests", COUNT),
            ("bytes", COUNT),
            ("seconds", "DOUBLE"),
            ("cursor", TEXT),
            ("error", TEXT),
            ("started_at", MOMENT),
            ("finished_at", MOMENT),
        ),
    ),
    "discarded": Shape(
        "rows that did not fit a declared type, with the value and the reason",
        (
            ("job", COUNT),
            ("uid", TEXT),
            ("connection", TEXT),
            ("table", TEXT),
            ("scope", TEXT),
            ("column", TEXT),
            ("value", TEXT),
            ("reason", TEXT),
            ("row", TEXT),
        ),
    ),
    "requests": Shape(
        "the last 10,000 requests of the last seven days, without secrets",
        (
            ("at", MOMENT),
            ("method", TEXT),
            ("address", TEXT),
            ("status", COUNT),
            ("milliseconds", "DOUBLE"),
            ("bytes", COUNT),
            ("job", COUNT),
            ("error", TEXT),
        ),
    ),
    "schedules": Shape(
        "what is refreshed and run by itself, with next and last times",
        (
            ("name", TEXT),
            ("kind", TEXT),
            ("connection", TEXT),
            ("table", TEXT),
            ("script", TEXT),
            ("every", "INTERVAL"),
            ("starting", TEXT),
            ("time_zone", TEXT),
            ("next_at", MOMENT),
            ("last_at", MOMENT),
            ("last_status", TEXT),
            ("origin", TEXT),
        ),
    ),
    "script_runs": Shape(
        "the runs of scheduled scripts: status, output, errors",
        (
            ("run", COUNT),
            ("name", TEXT),
            ("script", TEXT),
            ("status", TEXT),
            ("due_at", MOMENT),
            ("started_at", MOMENT),
            ("ended_at", MOMENT),
            ("exit_status", COUNT),
            ("output", TEXT),
            ("error", TEXT),
        ),
    ),
    "settings": Shape(
        "what show settings lists",
        (("name", TEXT), ("value", TEXT), ("description", TEXT)),
    ),
}


def shape(table: TableName) -> Shape | None:
    """What is known of ``table`` where it is one of the system's; names are told apart without case."""
    return SHAPES.get(table.table.lower()) if table.schema.lower() == SCHEMA else None


def columns(table: TableName) -> tuple[Column, ...]:
    """The columns of a table of the system; none for any other."""
    found = shape(table)
    return tuple(Column(name, type) for name, type in found.columns) if found is not None else ()
