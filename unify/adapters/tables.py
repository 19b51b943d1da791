"""The tables of a spec, as everybody else knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from unify.adapters.spec import AdapterSpec, TableSpec
from unify.model import Column, TableDef


def defined_tables(spec: AdapterSpec) -> tuple[TableDef, ...]:
    """Every table in the order of the spec."""
    return tuple(map(_defined, spec.tables))


def scheduled(tables: Sequence[TableDef], refresh: Mapping[str, float]) -> Sequence[TableDef]:
    """``tables`` with a connection's own schedules, by table, before the spec's."""
    if not refresh:
        return tables
    return [
        replace(table, refresh_every_s=refresh.get(table.name, table.refresh_every_s)) for table in tables
    ]


def _defined(table: TableSpec) -> TableDef:
    columns = tuple(Column(column.name, column.type or "", column.description) for column in table.columns)
    parents = table.for_each.tables if table.for_each is not None else ()
    cursor = table.incremental.cursor if table.incremental is not None else ""
    return TableDef(table.name, table.description, columns, table.key, table.refresh.every_s, parents, cursor)
