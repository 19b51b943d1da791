"""Checks the ledger against the tables: each loaded table has the rows that its last load stored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from unify.config.settings import Settings
from unify.engine.types import qualified_name
from unify.homes.catalog_copy import CatalogCopy, CatalogReader, open_reader
from unify.homes.report import Finding
from unify.lake import ledger, table_layouts
from unify.model import LoadRecord, TableName


def check_ledger(
    catalog: Path, copy: CatalogCopy, reader: CatalogReader, loads: Mapping[TableName, LoadRecord]
) -> Iterator[Finding]:
    """Compare the latest load of each table with the table. ``catalog`` is the file in the home."""
    tables = frozenset(copy.tables)
    rows = _catalog_rows(copy)
    for table, load in loads.items():
        if table not in tables:
            fault = f"its rows are not stored, and the ledger names {load.rows_total:,}"
        elif rows[table] != load.rows_total and (count := _count(reader, table)) != load.rows_total:
            fault = f"it has {count:,} rows, and its last load stored {load.rows_total:,}"
        else:
            continue
        remedy = f"if no statement changed it, reload table {table} fetches all rows again"
        yield Finding(str(table), catalog, fault, remedy, table=table)
    layouts = reader.read(f"SELECT connection, table_name FROM {table_layouts.TABLE}")
    for table in sorted({TableName(*row) for row in layouts} & tables - loads.keys()):
        remedy = f"clear table {table} removes it, and load table {table} fetches it again"
        yield Finding(str(table), catalog, "it has no row in the ledger", remedy)


def _catalog_rows(copy: CatalogCopy) -> Mapping[TableName, int]:
    """Return the rows of each table as the catalog counts them: a hundred times faster than SQL."""
    rows: dict[TableName, int] = defaultdict(int)
    for file in copy.files:
        if file.is_current:
            rows[file.table] += -file.rows if file.is_delete else file.rows
    return rows


def _count(reader: CatalogReader, table: TableName) -> int:
    return int(reader.read(f"SELECT count(*) FROM {qualified_name(table.schema, table.table)}")[0][0])


def loaded_tables(settings: Settings, copy: CatalogCopy) -> Collection[TableName]:
    """Return the tables that a reload fetches again; none if the ledger cannot be read."""
    from unify.engine import duckdb

    try:
        with open_reader(settings, copy.path) as reader:
            return frozenset(ledger.recorded_loads(reader))
    except duckdb.Error:
        return frozenset()
