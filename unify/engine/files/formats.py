"""File formats and compressions, by suffix and by the first bytes; table names from file names."""

from __future__ import annotations

import codecs
from enum import StrEnum
from pathlib import PurePath

from unify.errors import FileError
from unify.text import did_you_mean


class FileFormat(StrEnum):
    """Formats of files with rows. Avro is read only."""

    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"
    EXCEL = "xlsx"
    AVRO = "avro"


TEXT_FORMATS = frozenset({FileFormat.CSV, FileFormat.TSV, FileFormat.JSON, FileFormat.JSONL})
SNIFFED_BYTES = 65_536  # of a file, to detect its format
_SUFFIXES = {f".{format}": format for format in FileFormat} | {
    ".ndjson": FileFormat.JSONL,
    ".pq": FileFormat.PARQUET,
    ".tab": FileFormat.TSV,
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}  # of text formats; DuckDB decompresses them
_FORMAT_MAGIC = {b"PAR1": FileFormat.PARQUET, b"PK\x03\x04": FileFormat.EXCEL, b"Obj\x01": FileFormat.AVRO}
_COMPRESSION_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_UNREADABLE_MAGIC = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf": "7-Zip",
    b"\x04\x22\x4d\x18": "LZ4",
}


def find_format(name: str) -> FileFormat | None:
    """Return the format by suffix; ``orders.csv.gz`` is CSV. None for an unknown suffix."""
    format = _SUFFIXES.get(PurePath(strip_compression(name)).suffix.lower())
    if format is not None and (format in TEXT_FORMATS or not is_compressed(name)):
        return format
    return None


def detect_format(name: str) -> FileFormat:
    """Return the format by suffix. Raises FileError for an unknown one."""
    if (format := find_format(name)) is not None:
        return format
    suffix = PurePath(strip_compression(name)).suffix.lower()
    known = ", ".join(known for known in _SUFFIXES)
    hint = did_you_mean(suffix, _SUFFIXES) if suffix else ""
    raise FileError(f"{name}: unknown suffix; the file format is detected by one of {known}{hint}")


def detect_content_format(start: bytes) -> FileFormat:
    """Return the format by the first bytes of a file; CSV if they show no other."""
    for magic, format in _FORMAT_MAGIC.items():
        if start.startswith(magic):
            return format
    text = start.removeprefix(codecs.BOM_UTF8).lstrip()
    if text[:1] in (b"[", b"{"):
        return FileFormat.JSON if text[:1] == b"[" else FileFormat.JSONL
    first_line = text.split(b"\n", 1)[0]
    return FileFormat.TSV if b"\t" in first_line and b"," not in first_line else FileFormat.CSV


def detect_compression(name: str, start: bytes) -> str:
    """Return the compression of a text file by its first bytes: gzip, zstd or uncompressed.

    Raises FileError for a compression that cannot be read, and for a binary format under the suffix of text.
    """
    for magic, compression in _COMPRESSION_MAGIC.items():
        if start.startswith(magic):
            return compression
    for magic, packer in _UNREADABLE_MAGIC.items():
        if start.startswith(magic):
            raise FileError(f"{name} is compressed with {packer}; gzip (.gz) and zstd (.zst) can be read")
    for magic, format in _FORMAT_MAGIC.items():
        if start.startswith(magic):
            raise FileError(f"{name} has another format than its suffix says: {format}")
    return "uncompressed"


def strip_compression(name: str) -> str:
    """Return the name without ``.gz`` or ``.zst``."""
    return name[: -len(PurePath(name).suffix)] if name.lower().endswith(tuple(_COMPRESSIONS)) else name


def is_compressed(name: str) -> bool:
    return strip_compression(name) != name


def suggest_table_name(name: str) -> str:
    """Return the default table name of a file: ``Sales 2026.csv`` becomes ``sales_2026``."""
    stem = PurePath(strip_compression(name)).stem.lower()
    plain = "".join(char if char.isalnum() or char == "_" else "_" for char in stem).strip("_")
    return plain if plain and not plain[0].isdigit() else f"t_{plain}".rstrip("_")
