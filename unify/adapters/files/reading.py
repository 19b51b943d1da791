"""The SELECT over the files of a table: formats and compressions, typed columns, partitions, ``_file``."""

from __future__ import annotations

import glob
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from unify.adapters.files.paths import partition_types
from unify.adapters.files.spool import FileSpool
from unify.adapters.files.store import FileStore, StoredFile
from unify.adapters.files.tables import FileTable
from unify.adapters.relation import SourceColumn
from unify.config.connection_tables import TableSettings
from unify.engine.connection import quote_literal
from unify.engine.errors import clean_message
from unify.engine.files.formats import (
    SNIFFED_BYTES,
    TEXT_FORMATS,
    FileFormat,
    detect_compression,
    detect_content_format,
    find_format,
)
from unify.engine.files.scan import FileQuery, FileScan, build_file_query, list_file_columns
from unify.engine.stored_types import stored_type
from unify.engine.types import parse_type
from unify.engine.types import quote_identifier as quoted
from unify.errors import ConfigError, Interrupted, SourceError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FILE_COLUMN = "_file"
_PATH_COLUMN = "__unify_path"  # the path as DuckDB has it
_MAX_COMPARED_FILES = 20  # whose columns are compared, for a notice
_LINE_BYTES = 100_000  # of a first line, which has the names of columns
_OBJECT_BYTES, _MAX_OBJECT_BYTES = 16_000_000, 200_000_000  # of one object of a JSON file
_MAGIC_BYTES = 8  # enough for every compression
_FORMAT_NAMES = {str(format): format for format in FileFormat} | {
    "ndjson": FileFormat.JSONL,
    "excel": FileFormat.EXCEL,
}
_CSV_OPTIONS = {"delimiter": "delim", "null": "nullstr"}  # others have DuckDB's name
_DELIMITER_NAMES = {"tab": "\t", r"\t": "\t"}


class TableScan(Struct, frozen=True):
    """The SELECT of a table and its columns, for one version of each file."""

    sql: str
    columns: tuple[SourceColumn, ...]
    notices: tuple[str, ...] = ()


class _FileGroup(Struct, frozen=True):
    """Files that one reader reads, and how many characters of their paths precede the path of the table."""

    paths: tuple[str, ...]
    path_start: int
    compression: str = ""


class TableReader:
    """Builds the SELECTs of one store. Attach the store first: it decides what is read in place."""

    def __init__(self, connection: str, store: FileStore, spool: FileSpool) -> None:
        self._connection = connection
        self._store = store
        self._spool = spool

    def scan(self, duck: DuckDBPyConnection, table: FileTable) -> TableScan:
        """Find the columns over all rows of all files.

        Raises SourceError for what cannot be read, FileChanged, FileError for an unknown format.
        """
        format, files = self._format(table), self._files_with_rows(table)
        if not files:
            raise SourceError(f"{self._connection}.{table.name}: its files are empty: {table.files[0].path}")
        with self._translate_errors(table.name):
            if format is FileFormat.EXCEL:
                return _typed_scan(_described(duck, self._workbooks_sql(files)), table.settings, ())
            return _with_enough_memory(
                lambda max_bytes: self._scan(duck, table.settings, files, format, max_bytes)
            )

    def is_empty(self, table: FileTable) -> bool:
        """Whether no file of a table can have rows: each is a text file without a byte."""
        return not self._files_with_rows(table)

    def _files_with_rows(self, table: FileTable) -> Sequence[StoredFile]:
        if all(file.size for file in table.files):
            return table.files
        is_text = self._format(table) in TEXT_FORMATS
        return [file for file in table.files if file.size or not is_text]

    def _scan(
        self,
        duck: DuckDBPyConnection,
        settings: TableSettings,
        files: Sequence[StoredFile],
        format: FileFormat,
        max_object_bytes: int,
    ) -> TableScan:
        partitions = partition_types([file.path for file in files])
        groups = self._groups(files, format)
        queries, hides_own = [], False
        for group in groups:
            scan = _file_scan(group, format, settings, partitions or {})
            query = build_file_query(duck, replace(scan, max_object_bytes=max_object_bytes))
            hides_own = hides_own or any(name.lower() == FILE_COLUMN for name in query.columns)
            queries.append(_with_file_column(query, group.path_start))
        notices = [] if partitions is not None else ["folders NAME=VALUE differ and are no columns"]
        if _columns_differ(duck, groups, format, settings):
            notices.append("its files have different columns; those that a file lacks are NULL")
        if hides_own:
            notices.append(f"its own column {FILE_COLUMN} is hidden by the path of the file")
        return _typed_scan(_union(duck, queries), settings, tuple(notices))

    def _format(self, table: FileTable) -> FileFormat:
        if name := table.settings.format:
            if (given := _FORMAT_NAMES.get(name)) is None:
                known = ", ".join(_FORMAT_NAMES)
                raise ConfigError(f"{self._connection}.tables.{table.name}.format: {name} is none of {known}")
            return given
        examples: dict[FileFormat, str] = {}
        for file in table.files:
            format = find_format(file.path) or self._detect_format(file)
            examples.setdefault(FileFormat.JSON if format is FileFormat.JSONL else format, file.path)
        if len(examples) > 1:
            found = " and ".join(f"{format} ({path})" for format, path in list(examples.items())[:2])
            raise SourceError(
                f"{self._connection}.{table.name}: its files have several formats: {found}; "
                "write a pattern for the files of one format in tables:"
            )
        return next(iter(examples))

    def _detect_format(self, file: StoredFile) -> FileFormat:
        """Return the format of a file whose suffix says nothing."""
        return detect_content_format(self._store.read_start(file.path, SNIFFED_BYTES))

    def _groups(self, files: Sequence[StoredFile], format: FileFormat) -> Sequence[_FileGroup]:
        """Return what is read in place and what is copied; text files by compression."""
        groups: dict[tuple[int, str], list[str]] = defaultdict(list)
        for file, path, start in self._locate(files, format):
            compression = self._compression(file, path) if format in TEXT_FORMATS else ""
            groups[start, compression].append(path)
        return [_FileGroup(tuple(paths), *key) for key, paths in groups.items()]

    def _locate(
        self, files: Sequence[StoredFile], format: FileFormat
    ) -> Iterator[tuple[StoredFile, str, int]]:
        """Yield each file with what DuckDB reads, and how many characters precede its path in it."""
        copied = []
        for file in files:
            is_copied = format in TEXT_FORMATS and not self._store.is_local
            address = None if is_copied else self._store.scan_address(file)
            if address is None:
                copied.append(file)
            else:
                yield file, address, len(self._store.address_start)
        if copied:
            for file, copy in zip(copied, self._spool.fetch(copied), strict=True):
                yield file, glob.escape(str(copy)), self._spool.path_start

    def _compression(self, file: StoredFile, path: str) -> str:
        """Return the compression of a local text file by its first bytes, whatever its suffix says."""
        with open(_unescape(path), "rb") as opened:
            return detect_compression(f"{self._store.root}/{file.path}", opened.read(_MAGIC_BYTES))

    def _workbooks_sql(self, files: Sequence[StoredFile]) -> str:
        from unify.engine.files import excel

        copies = self._spool.fetch(files)
        labels = {FILE_COLUMN: [file.path for file in files]}
        lines = self._spool.folder / f"rows-{copies[0].parents[len(files[0].path.split('/')) - 1].name}"
        lines.mkdir(exist_ok=True)
        return excel.workbook_query(copies, lines, labels)

    @contextmanager
    def _translate_errors(self, table: str) -> Iterator[None]:
        from unify.engine import duckdb

        try:
            yield
        except duckdb.InterruptException as error:
            raise Interrupted("the statement was interrupted") from error
        except duckdb.Error as error:
            message = clean_message(error).splitlines()[0].rstrip(":")
            shown = message.replace(f"{self._store.address_start}", "")
            raise SourceError(f"{self._connection}.{table}: {self._spool.hide_paths(shown)}") from error


def _with_enough_memory(scan: Callable[[int], TableScan]) -> TableScan:
    """Scan with the buffers that nearly all JSON files need; with larger ones where an object is larger."""
    from unify.engine import duckdb

    try:
        return scan(_OBJECT_BYTES)
    except duckdb.Error as error:
        if "maximum_object_size" not in str(error):
            raise
    return scan(_MAX_OBJECT_BYTES)


def _file_scan(
    group: _FileGroup, format: FileFormat, settings: TableSettings, partitions: Mapping[str, str]
) -> FileScan:
    csv = {
        _CSV_OPTIONS.get(name, name): _DELIMITER_NAMES.get(value, value)
        for name, value in settings.csv.items()
    }
    return FileScan(
        group.paths,
        format,
        compression=group.compression,
        csv={name: quote_literal(value) for name, value in csv.items()},
        file_column=_PATH_COLUMN,
        partitions=partitions,
        types=settings.columns,
    )


def _with_file_column(query: FileQuery, path_start: int) -> FileQuery:
    """Return ``query`` with the path of the row's file in the last column, ``_file``."""
    hidden = (_PATH_COLUMN, FILE_COLUMN)
    kept = {name: type for name, type in query.columns.items() if name.lower() not in hidden}
    path = f"substr({quoted(_PATH_COLUMN)}, {path_start + 1}) AS {FILE_COLUMN}"
    sql = f"SELECT {', '.join([*map(quoted, kept), path])} FROM ({query.sql})"
    return FileQuery(sql, {**kept, FILE_COLUMN: "VARCHAR"})


def _union(duck: DuckDBPyConnection, queries: Sequence[FileQuery]) -> FileQuery:
    if len(queries) == 1:
        return queries[0]
    return _described(duck, " UNION ALL BY NAME ".join(query.sql for query in queries))


def _described(duck: DuckDBPyConnection, sql: str) -> FileQuery:
    rows = duck.execute(f"DESCRIBE {sql}").fetchall()
    return FileQuery(sql, {str(row[0]): str(row[1]) for row in rows})


def _typed_scan(query: FileQuery, settings: TableSettings, notices: tuple[str, ...]) -> TableScan:
    """Return the SELECT with the types that the lake stores, and those of the configuration."""
    declared = {name.lower(): type for name, type in settings.columns.items()}
    columns = [
        SourceColumn(name, declared.get(name.lower(), stored_type(parse_type(type))), type)
        for name, type in query.columns.items()
    ]
    items = (
        quoted(column.name)
        if column.type == column.source_type
        else f"CAST({quoted(column.name)} AS {column.type}) AS {quoted(column.name)}"
        for column in columns
    )
    return TableScan(f"SELECT {', '.join(items)} FROM ({query.sql})", tuple(columns), notices)


def _columns_differ(
    duck: DuckDBPyConnection, groups: Sequence[_FileGroup], format: FileFormat, settings: TableSettings
) -> bool:
    """Whether two of the first files have different columns. Objects of JSON files may lack members."""
    if format in (FileFormat.JSON, FileFormat.JSONL):
        return False
    found: set[frozenset[str]] = set()
    for group in groups:
        for path in _compared_files(group, format):
            one = _file_scan(_FileGroup((path,), 0, group.compression), format, settings, {})
            found.add(frozenset(list_file_columns(duck, one)))
    return len(found) > 1


def _compared_files(group: _FileGroup, format: FileFormat) -> Sequence[str]:
    """Return the files whose columns are compared: of plain text files, one for each different first line."""
    if format not in TEXT_FORMATS or group.compression != "uncompressed":
        return group.paths[:_MAX_COMPARED_FILES]
    by_line: dict[bytes, str] = {}
    for path in group.paths:
        with open(_unescape(path), "rb") as file:
            by_line.setdefault(file.readline(_LINE_BYTES), path)
        if len(by_line) == _MAX_COMPARED_FILES:
            break
    return list(by_line.values())


def _unescape(path: str) -> str:
    """Return what ``glob.escape`` escaped."""
    return path.replace("[*]", "*").replace("[?]", "?").replace("[[]", "[")
