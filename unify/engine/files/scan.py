"""The SELECT that reads files of one format, with types that keep every value.

DuckDB's own detection reads an integer beyond 64 bits as a double. Such columns are read as
DECIMAL(38,0), or as text where they do not fit; integers within a JSON object leave it JSON. Types are
found over all rows of all files, not over a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

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
    ``file_column``  name of a column with the path of the row's file; "": none.
    ``partitions``   types of the columns that folders ``NAME=VALUE`` give; None: as DuckDB detects them.
    """

    paths: tuple[str, ...]
    format: FileFormat
    compression: str = ""
    csv: Mapping[str, str] = {}
    file_column: str = ""
    partitions: Mapping[str, str] | None = None

    @property
    def files_sql(self) -> str:
        return f"[{', '.join(map(quote_literal, self.paths))}]"

    @property
    def options(self) -> Sequence[str]:
        """Options that every reader has."""
        options = ["union_by_name = true"]
        if self.file_column:
            options.append(f"filename = {quote_literal(self.file_column)}")
        if self.partitions:
            options += ["hive_partitioning = true", f"hive_types = {_struct_literal(self.partitions)}"]
        elif self.partitions is not None:
            options.append("hive_partitioning = false")
        return options


def build_file_query(connection: DuckDBPyConnection, scan: FileScan) -> str:
    """Return the SELECT that reads the files. DuckDB's errors pass.

    Raises ConfigError if Avro files need an optional package.
    """
    match scan.format:
        case FileFormat.CSV:
            return _csv_query(connection, scan, {})
        case FileFormat.TSV:
            return _csv_query(connection, scan, {"delim": r"'\t'"})
        case FileFormat.JSON | FileFormat.JSONL:
            return _json_query(connection, scan)
        case FileFormat.AVRO:
            load_optional_extension(connection, "avro", "avro", "Avro files")
            return _select("read_avro", scan, [])
        case _:
            return _select("read_parquet", scan, [])


def _select(function: str, scan: FileScan, options: Sequence[str]) -> str:
    return f"SELECT * FROM {function}({', '.join([scan.files_sql, *options, *scan.options])})"


def _text_options(scan: FileScan) -> list[str]:
    compression = [f"compression = {quote_literal(scan.compression)}"] if scan.compression else []
    return ["sample_size = -1", *compression]


def _csv_query(connection: DuckDBPyConnection, scan: FileScan, dialect: Mapping[str, str]) -> str:
    given = [f"{name} = {value}" for name, value in {**dialect, **scan.csv}.items()]
    options = ["allow_quoted_nulls = false", *_text_options(scan), *given]
    query = _select("read_csv", scan, options)
    types = _own_types(connection, query, scan)
    doubles = [name for name, type in types.items() if type == "DOUBLE"]
    texts = _select("read_csv", scan, ["all_varchar = true", *options])
    if not doubles or list(_own_types(connection, texts, scan)) != list(types):
        return query
    exact = _exact_types(connection, texts, doubles)
    return _select("read_csv", scan, [f"types = {_struct_literal(exact)}", *options]) if exact else query


def _json_query(connection: DuckDBPyConnection, scan: FileScan) -> str:
    options = ["maximum_object_size = 1000000000", *_text_options(scan)]
    query = _select("read_json", scan, options)
    types = _own_types(connection, query, scan)
    doubtful = [name for name, type in types.items() if "DOUBLE" in type]
    if not doubtful:
        return query
    texts = _select(
        "read_json", scan, [f"columns = {_struct_literal(dict.fromkeys(types, 'VARCHAR'))}", *options]
    )
    plain = [name for name in doubtful if types[name] == "DOUBLE"]
    exact = _exact_types(connection, texts, plain)
    exact |= _nested_types(connection, texts, [name for name in doubtful if name not in plain])
    if not exact:
        return query
    return _select("read_json", scan, [f"columns = {_struct_literal({**types, **exact})}", *options])


def _own_types(connection: DuckDBPyConnection, query: str, scan: FileScan) -> dict[str, str]:
    """Types of the columns that the files themselves have."""
    rows = connection.execute(f"DESCRIBE {query}").fetchall()
    added = {scan.file_column, *(scan.partitions or ())}
    return {str(row[0]): str(row[1]) for row in rows if row[0] not in added}


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
