"""The SELECT that reads files of one format, with types that keep every value.

DuckDB's own detection reads an integer beyond 64 bits as a double. Such columns are read as
DECIMAL(38,0), or as text where they do not fit; integers within a JSON object leave it JSON. Types are
found over all rows of all files, not over a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from unify.engine.connection import load_optional_extension, quote_literal
from unify.engine.files.formats import FileFormat
from unify.engine.types import quote_identifier as quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXACT_INTEGER_TYPE = "DECIMAL(38,0)"
_LONG_INTEGER = r"[+-]?\d{16,}"  # more digits than a double can hold exactly
_LONG_INTEGER_WITHIN = r"(^|[\[:,\s])-?\d{16,}([\],}\s]|$)"
_DECIMAL_38_INTEGER = r"[+-]?\d{1,38}"


class FileScan(Struct, frozen=True):
    """Files of one format.

    ``paths``        as DuckDB opens them: glob characters in them are expanded.
    ``compression``  of text files, if their suffixes do not say it; "" : by suffix.
    ``csv``          further options of DuckDB's CSV reader, as SQL.
    ``max_object_bytes``  of one JSON object; DuckDB allocates twice as much for each thread.
    ``file_column``  name of a column with the path of the row's file; "": none.
    ``types``        of columns of text files, instead of the types found.
    ``partitions``   types of the columns that folders ``NAME=VALUE`` give; None: as DuckDB detects them.
    """

    paths: tuple[str, ...]
    format: FileFormat
    compression: str = ""
    csv: Mapping[str, str] = {}
    max_object_bytes: int = 1_000_000_000
    file_column: str = ""
    types: Mapping[str, str] = {}
    partitions: Mapping[str, str] | None = None

    @property
    def files_sql(self) -> str:
        return f"[{', '.join(map(quote_literal, self.paths))}]"

    @property
    def options(self) -> Sequence[str]:
        """Options that every reader has."""
        options = [] if self.format is FileFormat.AVRO else ["union_by_name = true"]
        if self.file_column:
            options.append(f"filename = {quote_literal(self.file_column)}")
        if self.partitions:
            options += ["hive_partitioning = true", f"hive_types = {_struct_literal(self.partitions)}"]
        elif self.partitions is not None:
            options.append("hive_partitioning = false")
        return options


class FileQuery(Struct, frozen=True):
    """The SELECT that reads files. ``columns``: the type of each, with those that a FileScan adds."""

    sql: str
    columns: Mapping[str, str]


def build_file_query(connection: DuckDBPyConnection, scan: FileScan) -> FileQuery:
    """Return the SELECT that reads the files. DuckDB's errors pass.

    Raises ConfigError if Avro files need an optional package.
    """
    match scan.format:
        case FileFormat.CSV | FileFormat.TSV:
            return _csv_query(connection, scan)
        case FileFormat.JSON | FileFormat.JSONL:
            return _json_query(connection, scan)
        case FileFormat.AVRO:
            sql = _avro_sql(connection, scan)
        case _:
            sql = _select("read_parquet", scan, [])
    return FileQuery(sql, _describe(connection, sql))


def list_file_columns(connection: DuckDBPyConnection, scan: FileScan) -> Sequence[str]:
    """Return the names of the columns that the files themselves have, without finding their types."""
    match scan.format:
        case FileFormat.CSV | FileFormat.TSV:
            sql = _select("read_csv", scan, ["all_varchar = true", "sample_size = 100", *_csv_options(scan)])
        case FileFormat.AVRO:
            sql = _avro_sql(connection, scan)
        case _:
            sql = _select("read_parquet", scan, [])
    return list(_own_types(_describe(connection, sql), scan))


def _avro_sql(connection: DuckDBPyConnection, scan: FileScan) -> str:
    """Read each file on its own: DuckDB reads several by the columns of the first, which loses others."""
    load_optional_extension(connection, "avro", "avro", "Avro files")
    return " UNION ALL BY NAME ".join(
        _select("read_avro", replace(scan, paths=(path,)), []) for path in scan.paths
    )


def _select(function: str, scan: FileScan, options: Sequence[str]) -> str:
    return f"SELECT * FROM {function}({', '.join([scan.files_sql, *options, *scan.options])})"


def _compression_option(scan: FileScan) -> Sequence[str]:
    return [f"compression = {quote_literal(scan.compression)}"] if scan.compression else []


def _csv_options(scan: FileScan) -> Sequence[str]:
    dialect = {"delim": r"'\t'"} if scan.format is FileFormat.TSV else {}
    given = (f"{name} = {value}" for name, value in {**dialect, **scan.csv}.items())
    return ["allow_quoted_nulls = false", *_compression_option(scan), *given]


def _csv_query(connection: DuckDBPyConnection, scan: FileScan) -> FileQuery:
    options = ["sample_size = -1", *_csv_options(scan)]

    def read(types: Mapping[str, str]) -> str:
        given = [f"types = {_struct_literal(types)}"] if types else []
        return _select("read_csv", scan, [*given, *options])

    columns = _describe(connection, read(scan.types))
    types = _own_types(columns, scan)
    declared = {name.lower() for name in scan.types}
    doubles = [name for name, type in types.items() if type == "DOUBLE" and name.lower() not in declared]
    texts = _select("read_csv", scan, ["all_varchar = true", *options])
    if not doubles or list(_own_types(_describe(connection, texts), scan)) != list(types):
        return FileQuery(read(scan.types), columns)
    exact = _exact_types(connection, texts, doubles)
    return FileQuery(read({**scan.types, **exact}), {**columns, **exact})


def _json_query(connection: DuckDBPyConnection, scan: FileScan) -> FileQuery:
    options = [
        "sample_size = -1",
        f"maximum_object_size = {scan.max_object_bytes}",
        *_compression_option(scan),
    ]

    def read(types: Mapping[str, str]) -> str:
        return _select("read_json", scan, [f"columns = {_struct_literal(types)}", *options])

    query = _select("read_json", scan, options)
    columns = _describe(connection, query)
    types = _own_types(columns, scan)
    declared = {name.lower(): type for name, type in scan.types.items()}
    given = {name: declared[name.lower()] for name in types if name.lower() in declared}
    doubtful = [name for name, type in types.items() if "DOUBLE" in type and name not in given]
    texts = read(dict.fromkeys(types, "VARCHAR"))
    plain = [name for name in doubtful if types[name] == "DOUBLE"]
    exact = _exact_types(connection, texts, plain)
    exact |= _nested_types(connection, texts, [name for name in doubtful if name not in plain])
    if not exact and not given:
        return FileQuery(query, columns)
    return FileQuery(read({**types, **exact, **given}), {**columns, **exact, **given})


def _describe(connection: DuckDBPyConnection, query: str) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE {query}").fetchall()}


def _own_types(columns: Mapping[str, str], scan: FileScan) -> dict[str, str]:
    """Types of the columns that the files themselves have."""
    added = {scan.file_column, *(scan.partitions or ())}
    return {name: type for name, type in columns.items() if name not in added}


def _exact_types(connection: DuckDBPyConnection, texts: str, names: Sequence[str]) -> dict[str, str]:
    """Return types for the columns of ``names`` that contain integers too long for a double."""
    if not names:
        return {}
    tests = ", ".join(
        f"coalesce(bool_or(regexp_full_match({quoted(name)}, '{_LONG_INTEGER}')), false), "
        f"coalesce(bool_and(regexp_full_match({quoted(name)}, '{_DECIMAL_38_INTEGER}')), true)"
        for name in names
    )
    [row] = connection.execute(f"SELECT {tests} FROM ({texts})").fetchall()
    pairs = zip(names, row[0::2], row[1::2], strict=True)
    return {name: _EXACT_INTEGER_TYPE if fits else "VARCHAR" for name, is_long, fits in pairs if is_long}


def _nested_types(connection: DuckDBPyConnection, texts: str, names: Sequence[str]) -> dict[str, str]:
    if not names:
        return {}
    tests = ", ".join(
        f"coalesce(bool_or(regexp_matches({quoted(name)}, '{_LONG_INTEGER_WITHIN}')), false)"
        for name in names
    )
    [row] = connection.execute(f"SELECT {tests} FROM ({texts})").fetchall()
    return {name: "JSON" for name, is_long in zip(names, row, strict=True) if is_long}


def _struct_literal(types: Mapping[str, str]) -> str:
    members = (f"{quote_literal(name)}: {quote_literal(type)}" for name, type in types.items())
    return "{" + ", ".join(members) + "}"
