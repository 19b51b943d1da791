"""``export (SELECT) to exports.orders``: rows into a table of a folder or store, as a file of their own.

A table of several files gets one more; none that exists is changed. To replace the table, the new file is
written before the old ones are removed: a store has no transaction over several files.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from secrets import token_hex
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.files.paths import check_path, fixed_folder, has_magic
from unify.adapters.files.reading import FILE_COLUMN
from unify.engine.exact import describe_query
from unify.engine.files.formats import TEXT_FORMATS, detect_format, find_format
from unify.engine.types import DuckDBType
from unify.errors import FileError, QueryError
from unify.interpreter.files.exporter import FileExporter
from unify.interpreter.files.reader import translate_file_errors
from unify.interpreter.files.stores import StoreFiles
from unify.interpreter.results import Message
from unify.interpreter.sources.source_tables import SourceTables
from unify.interpreter.variables import BoundQuery
from unify.language.commands import ExportRows, StorePath
from unify.language.table_names import split_table_name
from unify.model import TableName
from unify.text import did_you_mean, format_count

if TYPE_CHECKING:
    from unify.adapters.files.store import FileStore, StoredFile

_MODES = {None: None, "insert": "append", "append": "append", "replace": "replace"}


class _TableFiles(Struct, frozen=True):
    """The files of a table. ``pattern``: a path, a pattern, or a folder with a final slash."""

    name: TableName
    pattern: str
    files: tuple[StoredFile, ...]


class StoreTables:
    """Exports to tables of folders and stores."""

    def __init__(self, stores: StoreFiles, sources: SourceTables, exporter: FileExporter) -> None:
        self._stores = stores
        self._sources = sources
        self._exporter = exporter

    def export(self, command: ExportRows, bound: BoundQuery) -> Message:
        """Write the rows of a SELECT. Raises QueryError, FileError; then the table is as it was."""
        mode = _mode_of(command)
        bound = self._without_file_column(bound)
        with self._stores.open_store(command.table.schema, writes=True) as store:
            table = self._find(command.table, store)
            if mode is None and table.files:
                raise FileError(f"{command.table} has files already; end with append or replace")
        if not has_magic(table.pattern) and not table.pattern.endswith("/"):
            if command.explain:
                return Message(f"{mode or 'write'} rows: {table.name}: {table.pattern}")
            return self._export_file(table, mode, bound)
        if mode == "append" and table.files:
            self._check_columns(table, bound)
        path = _new_path(table)
        if command.explain:
            removes = f", and remove {format_count(len(table.files), 'file')}" if mode == "replace" else ""
            return Message(f"write rows to {table.name}: {path}{removes}")
        with self._stores.open_target(StorePath(command.table.schema, path), None) as target:
            rows = self._exporter.write(bound, target.path, None)
        removed = 0
        if mode == "replace" and table.files:
            with self._stores.open_store(command.table.schema, writes=True) as store:
                store.remove(file.path for file in table.files)
            removed = len(table.files)
        gone = f", {format_count(removed, 'file')} removed" if removed else ""
        return Message(f"{format_count(rows, 'row')} written to {table.name}: {path}{gone}", rows)

    def _without_file_column(self, bound: BoundQuery) -> BoundQuery:
        """Leave out the column that each table of files has for the path."""
        if all(name != FILE_COLUMN for name, _ in self._describe(bound)):
            return bound
        return replace(bound, sql=f"SELECT * EXCLUDE ({FILE_COLUMN}) FROM (\n{bound.sql}\n)")

    def _describe(self, bound: BoundQuery) -> Sequence[tuple[str, DuckDBType]]:
        with translate_file_errors(self._exporter.lake, "export"):
            return describe_query(self._exporter.lake.connection, bound.sql, bound.parameters)

    def _export_file(self, table: _TableFiles, mode: str | None, bound: BoundQuery) -> Message:
        """A table of one file is that file."""
        if mode == "append" and table.files:
            self._check_columns(table, bound)
        place = StorePath(table.name.schema, table.pattern)
        with self._stores.open_target(place, "overwrite" if mode == "replace" else mode) as target:
            rows = self._exporter.write(bound, target.path, target.mode)
        verb = "appended" if target.mode else "written"
        return Message(f"{format_count(rows, 'row')} {verb} to {table.name}: {table.pattern}", rows)

    def _find(self, name: TableName, store: FileStore) -> _TableFiles:
        """Return the files of a table of connections.yaml, else of a folder or file of that name."""
        from unify.adapters.files.tables import TableFinder, match_files

        connection = self._stores.connections.connection(name.schema)
        named = TableName(connection.name, name.table)
        plain = split_table_name(name.table)[1] if name.table.startswith('"') else name.table
        for known, settings in connection.tables.items():
            if known.lower() == plain.lower() and settings.files:
                pattern = check_path(settings.files, store.root)
                return _TableFiles(named, pattern, match_files(store, pattern))
        finder = TableFinder(connection.name, store, connection.tables)
        found = None if finder.configured else finder.find(name.table)
        if found is None:
            known_names = finder.configured or [one.name for one in finder.list_suggested()]
            raise QueryError(
                f"{named} is no table{did_you_mean(name.table, known_names)}; name its files in "
                f'connections.yaml (tables: {{{name.table}: "{name.table}/*.parquet"}}), or export to '
                f"{connection.name}.'PATH'"
            )
        return _TableFiles(named, found.pattern, found.files)

    def _check_columns(self, table: _TableFiles, bound: BoundQuery) -> None:
        """Raise QueryError if the table does not have the columns, or a typed format other types of them."""
        known = {column.name.lower(): column for column in self._sources.columns(table.name)}
        is_typed = find_format(table.files[-1].path) not in TEXT_FORMATS
        for name, type in self._describe(bound):
            column = known.get(name.lower())
            if column is None:
                listed = ", ".join(one.name for one in known.values())
                hint = did_you_mean(name, known) or f"; it has {listed}"
                raise QueryError(f"{table.name} has no column {name}{hint}")
            if is_typed and column.type != type.text:
                raise QueryError(
                    f"{table.name}.{column.name} is a {column.type} in its files, and a {type.text} here; "
                    f"cast it: {name}::{column.type}"
                )


def _mode_of(command: ExportRows) -> str | None:
    """Return "append", "replace" or None. Raises QueryError for what files cannot do."""
    options = (command.delta, command.gone, command.name, command.every_s)
    if command.mode not in _MODES or command.key or any(options):
        raise QueryError(
            f"{command.table} is a table of files, whose rows have no key: export to it takes append and "
            "replace; to merge, export the merged rows: export (SELECT …) to … replace"
        )
    return _MODES[command.mode]


def _new_path(table: _TableFiles) -> str:
    """Return a free path that the pattern of a table has: orders/20261201T101500-1f2e3d4c.parquet.

    Names sort by their time. Raises QueryError for a pattern of folders, which are partitions.
    """
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{token_hex(4)}"
    if table.pattern.endswith("/"):
        return f"{table.pattern}{stamp}{_suffix_of(table.files)}"
    pattern = table.pattern.replace("**/", "")
    folder, name = fixed_folder(pattern), pattern[len(fixed_folder(pattern)) :]
    if "/" in name or "*" not in name or has_magic(name.replace("*", "")):
        raise QueryError(
            f"{table.name}: its pattern {table.pattern} does not tell where a new file goes; export to a "
            f"path: export (SELECT …) to {table.name.schema}.'PATH'"
        )
    path = folder + name.replace("**", "*").replace("*", stamp, 1).replace("*", "")
    detect_format(path)
    return path


def _suffix_of(files: Sequence[StoredFile]) -> str:
    """Return the suffixes of the last file: .csv.gz."""
    name = PurePosixPath(files[-1].path).name
    return name[name.index(".") :]
