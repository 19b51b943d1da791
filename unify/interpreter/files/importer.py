"""``import`` and ``show files``: creates tables from files and lists their origin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from unify.config.connections import RESERVED
from unify.engine.connection import quote_literal
from unify.engine.files.formats import FileFormat
from unify.engine.types import quote_identifier as quoted
from unify.errors import FileError, QueryError
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.files.reader import (
    SourceFiles,
    build_import_query,
    is_stream,
    open_source_files,
    translate_file_errors,
)
from unify.interpreter.files.writer import WriteMode
from unify.interpreter.results import Message, Rows, display_name, listing_rows
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.model import TableName
from unify.text import format_count

# The comment of an imported table has one such line per import; `show files` reads them.
_IMPORT_COMMENT = re.compile(
    r"^imported (?P<rows>\d+) rows? from (?P<location>.+) at (?P<at>\S+)$", re.MULTILINE
)


class FileImporter:
    """Creates or extends tables from files, each in one transaction."""

    def __init__(self, lake: Lake, connections: ConnectionCatalog) -> None:
        self.lake = lake
        self.connections = connections

    def import_file(self, location: str, into: TableName | None, mode: WriteMode) -> Message:
        """Create or extend a table from a file, several files or a URL.

        Raises FileError, QueryError or SourceError, and leaves the table unchanged.
        """
        if is_stream(location):
            self.lake.statements.claim_streams([location])
        with open_source_files(location, self.connections.settings.cache) as files:
            origin = location if "://" in location else _describe_files(files)
            return self.import_files(files, location, into, mode, origin)

    def import_files(
        self,
        files: SourceFiles,
        location: str,
        into: TableName | None,
        mode: WriteMode,
        origin: str = "",
    ) -> Message:
        """Create or extend a table from files; ``origin``, else ``location``, is recorded as their source."""
        with self._open_query(files, location) as source:
            name = into or TableName("main", files.table)
            name = name if name.schema else TableName("main", name.table)
            rows = self._store_rows(name, source, mode, origin or location)
        return Message(f"{format_count(rows, 'row')} imported into {display_name(name)}")

    def list_files(self, schema: str | None, like: str | None) -> Rows:
        """List the files that tables were imported from; ``like`` is a LIKE pattern for the file."""
        rows = [
            (
                table.name.schema,
                table.name.table,
                line["location"],
                int(line["rows"]),
                _parse_imported_at(line["at"]),
            )
            for table in catalog.user_tables(self.lake)
            if schema is None or table.name.schema.lower() == schema.lower()
            for line in _IMPORT_COMMENT.finditer(table.comment)
            if like is None or self._matches_like(line["location"], like)
        ]
        columns = [("schema", "VARCHAR"), ("table", "VARCHAR"), ("file", "VARCHAR"), ("rows", "BIGINT")]
        return listing_rows([*columns, ("imported_at", "TIMESTAMP WITH TIME ZONE")], rows)

    @contextmanager
    def _open_query(self, files: SourceFiles, location: str) -> Iterator[str]:
        """The SELECT that reads the files; workbooks are first converted to JSON lines."""
        if files.format is not FileFormat.EXCEL:
            with translate_file_errors(self.lake, location):
                source = build_import_query(self.lake, files.paths, files.format)
            with translate_file_errors(self.lake, location):
                yield source
            return
        from tempfile import TemporaryDirectory

        from unify.config.settings import create_private_folder
        from unify.engine.files import excel

        create_private_folder(self.connections.settings.cache)
        cache = self.connections.settings.cache
        with (
            TemporaryDirectory(prefix="excel-", dir=cache) as folder,
            translate_file_errors(self.lake, location),
        ):
            yield excel.workbook_query(files.paths, Path(folder))

    def _store_rows(self, name: TableName, source: str, mode: WriteMode, location: str) -> int:
        """Create or extend a table and record the origin of the rows in its comment, in one transaction."""
        self._refuse_reserved_target(name)
        exists = bool(catalog.table_columns(self.lake, name))
        if exists and mode is None:
            raise FileError(f"table {display_name(name)} exists already; end with overwrite or append")
        target = f"lake.{quoted(name.schema)}.{quoted(name.table)}"
        with self._transaction():
            self.lake.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{quoted(name.schema)}")
            if exists and mode == "append":
                before, comment = self._count_rows(target), catalog.table_comment(self.lake, name)
                self.lake.execute(f"INSERT INTO {target} BY NAME {source}")
            else:
                before, comment = 0, ""
                self.lake.execute(f"CREATE OR REPLACE TABLE {target} AS {source}")
            rows = self._count_rows(target) - before
            at = datetime.now(UTC).isoformat(timespec="seconds")
            shown = self.connections.redactor.redact(location)  # an address may have a password or a token
            line = f"imported {rows} {'row' if rows == 1 else 'rows'} from {shown} at {at}"
            comment = "\n".join(filter(None, [comment, line]))
            self.lake.execute(f"COMMENT ON TABLE {target} IS {quote_literal(comment)}")
        return rows

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction, or the one that the user has open."""
        is_own = not self.lake.in_transaction
        if is_own:
            self.lake.execute("BEGIN")
        try:
            yield
        except BaseException:
            if is_own and self.lake.in_transaction:  # an error may have ended it
                self.lake.execute("ROLLBACK")
            raise
        if is_own:
            self.lake.execute("COMMIT")

    def _refuse_reserved_target(self, name: TableName) -> None:
        if name.schema.lower() in RESERVED - {"main"}:
            raise FileError(f"schema {name.schema} is reserved; choose another")
        if self.connections.has(name.schema) and name.table.lower() in self.connections.tables(name.schema):
            raise QueryError(f"{name} is a table of its connection; import into another table")

    def _count_rows(self, target: str) -> int:
        [batch] = self.lake.execute(f"SELECT count(*) FROM {target}").batches()
        return int(str(batch[0][0]))

    def _matches_like(self, location: str, like: str) -> bool:
        return bool(self.lake.read("SELECT ? ILIKE ?", [location, like])[0][0])


def _describe_files(files: SourceFiles) -> str:
    first, *others = files.paths
    return f"{first} and {len(others)} more" if others else str(first)


def _parse_imported_at(text: str) -> datetime | None:
    """Parse a time of a table comment; None if the user has changed it."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
