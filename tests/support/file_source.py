"""A connection to files as an adapter, and its tables as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from unify.adapters.files.adapter import FileAdapter
from unify.adapters.registry import open_relational
from unify.adapters.relation import RelationRead
from unify.config.connection_tables import TableSettings
from unify.config.connections import Connection


class FileSource:
    """One open adapter with a DuckDB of its own."""

    def __init__(self, adapter: FileAdapter) -> None:
        self.adapter = adapter
        self.duck = duckdb.connect(config={"autoload_known_extensions": "false"})
        adapter.attach(self.duck)

    def close(self) -> None:
        self.adapter.close()
        self.duck.close()

    def tables(self) -> Sequence[str]:
        return [table.name for table in self.adapter.list_tables(self.duck)]

    def columns(self, table: str) -> Mapping[str, str]:
        found = self.adapter.find_table(self.duck, table)
        assert found is not None
        return {column.name: column.type for column in found.columns}

    def rows(
        self, table: str, query: str = "select * from source order by all"
    ) -> Sequence[tuple[object, ...]]:
        """Rows of a query over the relation, which is named ``source``."""
        found = self.adapter.find_table(self.duck, table)
        assert found is not None
        relation = self.adapter.relation(self.duck, found, RelationRead())
        self.duck.execute(f"create or replace temp view source as {relation.sql}")
        return self.duck.execute(query).fetchall()

    def notices(self, table: str) -> Sequence[str]:
        found = self.adapter.find_table(self.duck, table)
        assert found is not None
        return self.adapter.relation(self.duck, found, RelationRead()).notices


def open_source(
    adapter: str,
    options: Mapping[str, str],
    tables: Mapping[str, TableSettings] | None = None,
    name: str = "files",
) -> FileSource:
    connection = Connection(name, adapter, options, tables=tables or {})
    opened = open_relational(connection, {})
    assert isinstance(opened, FileAdapter)
    return FileSource(opened)


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
