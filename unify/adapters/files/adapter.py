"""FileAdapter: the tables of one store, as relations and as loads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from secrets import token_hex
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from unify.adapters.base import Check
from unify.adapters.files.incremental import plan_changes
from unify.adapters.files.reading import TableReader, TableScan
from unify.adapters.files.spool import FileSpool
from unify.adapters.files.store import FileChanged, FileStore, StoredFile
from unify.adapters.files.tables import FileTable, TableFinder, describe_files
from unify.adapters.relation import (
    LoadPart,
    Relation,
    RelationalAdapter,
    RelationRead,
    SourceLoad,
    SourceLoadRequest,
    SourceTable,
)
from unify.config.connection_tables import TableSettings
from unify.config.secrets import Secret
from unify.errors import NotFound, QueryError, Unauthorized
from unify.model import Column, TableDef

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.table_writes import DatabaseWriter

_ATTEMPTS = 3  # to list and read files that change meanwhile
_Result = TypeVar("_Result")


class FileAdapter(RelationalAdapter):
    """One folder or object store. A subclass has the options and opens the store."""

    def __init__(
        self,
        connection: str,
        options: Mapping[str, str | Secret | None],
        tables: Mapping[str, TableSettings],
    ) -> None:
        super().__init__(connection, options, tables)
        self._scans: dict[str, tuple[FileTable, TableScan]] = {}

    @abstractmethod
    def open_store(self) -> FileStore:
        """Return the store that the options describe. Raises ConfigError; connects to nothing."""

    @cached_property
    def store(self) -> FileStore:
        return self.open_store()

    @cached_property
    def spool(self) -> FileSpool:
        return FileSpool(self.store)

    @cached_property
    def _finder(self) -> TableFinder:
        return TableFinder(self.connection, self.store, self.tables)

    @cached_property
    def _reader(self) -> TableReader:
        return TableReader(self.connection, self.store, self.spool)

    def attach(self, duck: DuckDBPyConnection) -> None:
        self.store.attach(duck)

    def list_schemas(self, duck: DuckDBPyConnection) -> Sequence[str]:
        return ()

    def list_tables(self, duck: DuckDBPyConnection, schema: str = "") -> Sequence[TableDef]:
        if schema:
            return ()
        if self._finder.configured:
            return [
                self._definition(name, f"files {self.settings_of(name).files}")
                for name in self._finder.configured
            ]
        return [
            self._definition(one.name, describe_files(one.files)) for one in self._finder.list_suggested()
        ]

    def find_table(self, duck: DuckDBPyConnection, table: str) -> SourceTable | None:
        """Return a table with its columns, of all rows as they are now.

        Of a table with ``incremental: files``, the columns are those of the last file that is not empty, so
        that a load reads no file twice.
        """
        found = self._finder.find(table)
        if found is None:
            return None
        if found.settings.by_files:
            last_file = next((file for file in reversed(found.files) if file.size), found.files[-1])
            last = replace(found, files=(last_file,))
            columns = self._reader.scan(duck, last).columns
        else:
            columns = self._scan(duck, found.name)[1].columns
        return SourceTable(found.name, columns, found.settings.key, describe_files(found.files))

    def relation(self, duck: DuckDBPyConnection, table: SourceTable, read: RelationRead) -> Relation:
        found, scan = self._scan(duck, table.name)
        columns = tuple(Column(column.name, column.type) for column in scan.columns)
        read_text = f"{describe_files(found.files)}: {self.store.root}/{found.pattern}"
        return Relation(scan.sql, columns, (read_text,), scan.notices)

    @contextmanager
    def plan_load(
        self, duck: DuckDBPyConnection, table: SourceTable, request: SourceLoadRequest
    ) -> Iterator[SourceLoad]:
        """Raises FileChanged at the end of the block if a file is not the one that was listed."""
        found = self._find(table.name)
        changes = plan_changes(found.files, request)
        changed = replace(found, files=changes.files)
        is_partial = found.settings.by_files and changes.strategy != "reload"
        if is_partial and self._reader.is_empty(changed):
            yield SourceLoad(
                table,
                (),
                changes.strategy,
                changes.key,
                cursors=changes.cursors,
                removed=changes.removed,
                notes=changes.notes,
            )
            return
        scan = self._reader.scan(duck, changed)
        yield SourceLoad(
            replace(table, columns=scan.columns),
            (LoadPart(scan.sql),),
            changes.strategy,
            changes.key,
            cursors=changes.cursors,
            removed=changes.removed,
            notes=(*changes.notes, *scan.notices),
        )
        self._check_unchanged(changes.files)

    def query(self, duck: DuckDBPyConnection, sql: str) -> Relation:
        raise QueryError(
            f"{self.connection} has files, which have no SQL of their own; "
            f"write select … from {self.connection}.TABLE"
        )

    def open_writer(self, duck: DuckDBPyConnection) -> DatabaseWriter:
        raise QueryError(
            f"{self.connection} has files, whose rows cannot be changed one by one: "
            f"export (SELECT …) to {self.connection}.TABLE append or replace"
        )

    def check(self, duck: DuckDBPyConnection) -> Check:
        try:
            return Check(accepted=True, identity=self.store.describe())
        except Unauthorized as error:
            return Check(accepted=False, reason=error.message)

    def check_writing(self) -> None:
        """Write a small hidden file and remove it. Raises what refuses it."""
        path = f".unify-check-{token_hex(8)}"
        content = self.spool.folder / path
        content.write_bytes(b"")
        self.store.upload(content, path, None)
        self.store.remove([path])

    def close(self) -> None:
        if "spool" in vars(self):
            self.spool.forget()
        if "store" in vars(self):
            self.store.close()

    def _scan(self, duck: DuckDBPyConnection, name: str) -> tuple[FileTable, TableScan]:
        """List the files of a table and find its columns, again only if a file has changed."""

        def scan() -> tuple[FileTable, TableScan]:
            found = self._find(name)
            known = self._scans.get(found.name)
            if known is None or known[0] != found:
                known = self._scans[found.name] = (found, self._reader.scan(duck, found))
            return known

        return _retry_changed(scan)

    def _find(self, name: str) -> FileTable:
        found = self._finder.find(name)
        if found is None:
            raise NotFound(f"{self.connection}.{name}: its files are gone")
        return found

    def _check_unchanged(self, files: Sequence[StoredFile]) -> None:
        for file in files:
            now = self.store.find_file(file.path)
            if now is None or now.version != file.version:
                what = "was removed" if now is None else "changed"
                raise FileChanged(f"{self.store.root}/{file.path} {what} while it was read; run it again")

    def _definition(self, name: str, description: str) -> TableDef:
        settings = self.settings_of(name)
        return TableDef(name, description, key=settings.key, refresh_every_s=settings.every_s)


def _retry_changed(read: Callable[[], _Result]) -> _Result:
    for _ in range(_ATTEMPTS - 1):
        try:
            return read()
        except FileChanged:
            continue
    return read()
