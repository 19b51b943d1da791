"""Checksums of data files, recorded before the commit that names them, so that a later change is found.

Parquet files of DuckDB have none: of random flips of a bit, half gave other values without an error (DuckDB
1.5.5). ``checksums`` in the lake's folder has a line for each file: CRC-32, size and path. It is only used by
checks and backups, so it is not synced; a line that is torn or missing leaves its file without a checksum.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from unify.fs import durable

CHECKSUM_FILE = "checksums"  # in the lake's folder
CHUNK_BYTES = 1_000_000

_LINE = re.compile(r"(?P<crc>[0-9a-f]{8}) (?P<size>\d{1,18}) (?P<path>.+)", re.DOTALL)


class Checksum(Struct, frozen=True):
    """CRC-32 and size of a file."""

    crc: int
    size: int


def compute_checksum(path: Path) -> Checksum:
    """Read a file. 2 GB/s for a file in the page cache. Raises OSError."""
    crc = size = 0
    with durable.open_regular_file(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
    return Checksum(crc, size)


def record_checksums(lake: Path, data_path: Path, files: Iterable[Path]) -> None:
    """Append the checksums of new files. Call with the writers' lock. Raises OSError."""
    lines = "".join(format_checksum(path.relative_to(data_path), compute_checksum(path)) for path in files)
    if lines:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        with open(os.open(lake / CHECKSUM_FILE, flags, 0o600), "ab") as file:
            file.write(lines.encode("utf-8", "surrogateescape"))


def format_checksum(path: Path, checksum: Checksum) -> str:
    """Return the line of a file; ``path`` is relative to the folder of data files."""
    return f"{checksum.crc:08x} {checksum.size} {path.as_posix()}\n"


def read_checksums(lake: Path, data_path: Path) -> Mapping[Path, Checksum]:
    """Return the recorded checksums by path. A file that was written again has its last one."""
    try:
        lines = durable.read_regular_file(lake / CHECKSUM_FILE).decode("utf-8", "surrogateescape").split("\n")
    except OSError:
        return {}
    matches = filter(None, map(_LINE.fullmatch, lines))
    return {data_path / line["path"]: Checksum(int(line["crc"], 16), int(line["size"])) for line in matches}


def remove_old_checksums(lake: Path, data_path: Path) -> None:
    """Drop the lines of files that no longer exist. Call with the writers' lock. Raises OSError."""
    recorded = read_checksums(lake, data_path)
    kept = {path: checksum for path, checksum in recorded.items() if path.exists()}
    if len(kept) < len(recorded):
        lines = "".join(format_checksum(path.relative_to(data_path), kept[path]) for path in kept)
        durable.atomic_write(lake / CHECKSUM_FILE, lines.encode("utf-8", "surrogateescape"))
