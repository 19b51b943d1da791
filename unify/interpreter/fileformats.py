"""The kinds of files that can be imported and exported, told by their names."""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath

from unify.errors import FileError
from unify.text import did_you_mean


class FileFormat(StrEnum):
    """What is in a file."""

    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"
    EXCEL = "xlsx"


_SUFFIXES = {f".{format}": format for format in FileFormat} | {
    ".ndjson": FileFormat.JSONL,
    ".pq": FileFormat.PARQUET,
    ".tab": FileFormat.TSV,
}
_PACKED = (".gz", ".zst")  # around a text format, and read by DuckDB as it is
TEXT = frozenset({FileFormat.CSV, FileFormat.TSV, FileFormat.JSON, FileFormat.JSONL})


def format_of(name: str) -> FileFormat:
    """The format of a file by its suffix; ``orders.csv.gz`` is CSV. Raises FileError for any other."""
    suffix = PurePath(unpacked(name)).suffix.lower()
    found = _SUFFIXES.get(suffix)
    if found is not None and (found in TEXT or unpacked(name) == name):
        return found
    known = ", ".join(known for known in _SUFFIXES)
    hint = did_you_mean(suffix, _SUFFIXES) if suffix else ""
    raise FileError(f"{name}: the suffix says what is in a file, and there has to be one of {known}{hint}")


def unpacked(name: str) -> str:
    """The name without the suffix of a compression."""
    return name[: -len(PurePath(name).suffix)] if name.lower().endswith(_PACKED) else name


def is_packed(name: str) -> bool:
    return unpacked(name) != name


def table_name(name: str) -> str:
    """The table a file is imported into if nobody names one: ``Sales 2026.csv`` becomes ``sales_2026``."""
    stem = PurePath(unpacked(name)).stem.lower()
    plain = "".join(char if char.isalnum() or char == "_" else "_" for char in stem).strip("_")
    return plain if plain and not plain[0].isdigit() else f"t_{plain}".rstrip("_")
