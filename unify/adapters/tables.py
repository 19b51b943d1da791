"""The tables of a spec, as everybody else knows them."""

from __future__ import annotations

from collections.abc import Mapping

from unify.adapters.spec import AdapterSpec, TableSpec
from unify.model import Column, TableDef


def defined_tables(spec: AdapterSpec, refresh: Mapping[str, float] | None = None) -> tuple[TableDef, ...]:
    """Every table in the order of the spec. ``refresh`` holds a connection's own schedules, by table."""
    overrides = refresh or {}
    return tuple(_defined(table, overrides.get(table.name, table.refresh.every_s)) for table in spec.tables)


def _defined(table: TableSpec, every_s: float | None) -> TableDef:
    columns = tuple(Column(column.name, column.type or "", column.description) for column in table.columns)
    parents = table.for_each.tables if table.for_each is not None else ()
    cursor = table.incremental.cursor if table.incremental is not None else ""
    return TableDef(table.name, table.description, columns, table.key, every_s, parents, cursor)
