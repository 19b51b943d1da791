"""Checks the data files of the lake: missing, of another size, unreadable, or unknown to the catalog."""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unify.engine import connection as engine_connection
from unify.engine import errors
from unify.homes.catalog_check import LakeView
from unify.homes.catalog_copy import CatalogCopy, DataFile
from unify.homes.report import Finding, Progress, Repair
from unify.lake.integrity import damage
from unify.lake.integrity.checksums import Checksum, compute_checksum
from unify.lake.maintenance import FILE_RETENTION, SET_ASIDE_FOLDER
from unify.model import TableName

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BATCH_FILES = 200  # footers read by one query: 0.1 ms a file instead of 1 ms
CHANGED = "its content has changed since it was written (checksum)"
_COUNTS_SQL = "SELECT file_name, num_rows FROM parquet_file_metadata(?)"


def check_data_files(
    copy: CatalogCopy,
    loaded: Collection[TableName],
    recorded: Mapping[Path, Checksum] | None,
    progress: Progress,
) -> Iterator[Finding]:
    """Check that every file that the catalog names exists, has its size and can be read.

    ``loaded``    tables that a reload fetches again.
    ``recorded``  checksums, to read the files whole and compare them; None: read the footers only.
    """
    readable = []
    for file in copy.files:
        if fault := file_fault(file):
            yield _damage_finding(file, fault, loaded)
        else:
            readable.append(file)
    total = sum(file.size for file in readable)
    done = 0
    for start in range(0, len(readable), BATCH_FILES):
        batch = readable[start : start + BATCH_FILES]
        counts = _count_rows(batch)
        for file in batch:
            progress("checking data files", done, total)
            if fault := _content_fault(file, counts[file.path], recorded):
                yield _damage_finding(file, fault, loaded)
            done += file.size


def file_fault(file: DataFile) -> str:
    """Return what is wrong with a file before it is opened; "" if nothing."""
    try:
        status = file.path.stat()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_size != file.size:
        return f"has {status.st_size:,} bytes, and the catalog names {file.size:,}"
    return ""


def find_unknown_files(view: LakeView, known: CatalogCopy) -> Iterator[Finding]:
    """Return the files in the folder of data files that the catalog does not name."""
    named = {file.path for file in known.files} | known.scheduled
    hours = FILE_RETENTION.total_seconds() / 3600
    for path, size in sorted((view.listed or {}).items()):
        if path not in named:
            yield Finding(
                "orphan",
                path,
                f"the catalog does not name this file of {size:,} bytes",
                f"the daemon moves it to lake/{SET_ASIDE_FOLDER} once it is {hours:.0f} hours old",
            )


def _damage_finding(file: DataFile, fault: str, loaded: Collection[TableName]) -> Finding:
    repair = Repair.RELOAD if file.is_current and file.table in loaded else Repair.NONE
    return Finding(str(file.table), file.path, fault, table_remedy(file, loaded), repair, file.table)


def table_remedy(file: DataFile, loaded: Collection[TableName]) -> str:
    """Return how a table gets the rows of a damaged file again."""
    if not file.is_current:
        return "only older versions of the table need it (at, changes); it expires with them"
    return damage.remedy(file.table, is_loaded=file.table in loaded)


def _count_rows(files: Sequence[DataFile]) -> Mapping[Path, int | str]:
    """Return the number of rows in each footer, or why it cannot be read."""
    from unify.engine import duckdb

    try:
        with _open_engine() as connection:
            rows = connection.execute(_COUNTS_SQL, [[str(file.path) for file in files]]).fetchall()
        return {Path(path): count for path, count in rows}
    except duckdb.Error:
        return {file.path: _count_rows_of(file.path) for file in files}


def _count_rows_of(path: Path) -> int | str:
    from unify.engine import duckdb

    try:
        with _open_engine() as connection:
            return int(connection.execute(_COUNTS_SQL, [[str(path)]]).fetchall()[0][1])
    except duckdb.Error as error:
        return errors.clean_message(error).replace(f'"{path}"', "it").replace(f"'{path}'", "it")


def _content_fault(file: DataFile, count: int | str, recorded: Mapping[Path, Checksum] | None) -> str:
    if isinstance(count, str):
        return f"cannot be read ({' '.join(count.split())})"
    if file.is_whole and count != file.rows:
        return f"has {count:,} rows, and the catalog names {file.rows:,}"
    if recorded is None:
        return ""
    if (checksum := recorded.get(file.path)) is not None:
        return "" if compute_checksum(file.path) == checksum else CHANGED
    with _open_engine() as connection:  # written by an earlier version
        return "" if damage.can_be_read(connection, file.path) else "cannot be read to its end"


def _open_engine() -> DuckDBPyConnection:
    """Open a DuckDB of its own: an internal error of a damaged file would make a shared one unusable."""
    return engine_connection.open_database()
