"""DuckDB's errors in our own tree: the one border where they are translated."""

from __future__ import annotations

import re
from pathlib import Path

from unify.errors import Interrupted, NoSuchVersion, QueryError, StoreError, UnifyError

_PREFIX = re.compile(r"^[A-Z]\w*(?: \w+){0,3} Error: ")  # also of: Not implemented, Out of Memory
_INTERNAL_NAME = re.compile(r"\n*Did you mean \"[^\"\n]*__ducklake_metadata[^\"\n]*\"\?")
_STACK = re.compile(r"\n+(?:This error signals an assertion failure|Stack Trace:).*", re.DOTALL)

_NO_SNAPSHOT = re.compile(r"No snapshot found at timestamp (\S+ [\d:]+)")
# Of a table that is younger than the lake, or whose whole schema is.
_NO_TABLE_YET = re.compile(
    r'does not exist at (?:timestamp|version)|schema "[^"]+" does not exist.*^LINE \d+: .*\bat\s*\(',
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)

# What SQLite and the operating system say under DuckDB's words, and what a person does about it.
_DISK_FULL = re.compile("no space left|disk is full|disk quota|file too large|disk I/O error", re.IGNORECASE)
_STORAGE_FAULTS = tuple(
    (re.compile(pattern, re.IGNORECASE), said)
    for pattern, said in (
        (_DISK_FULL.pattern, "the disk is full or failing; free space and try again"),
        (
            "readonly database|read-only mode|read-only file system|permission denied",
            "it is read-only for this user",
        ),
        (
            "not a database|malformed|disk image|no magic bytes|too small to be a parquet",
            "it is damaged; restore it from a backup, or move it away and load again",
        ),
        (
            "database is locked",
            "another program holds it open; only Unify should write to it",
        ),
        (
            "unable to open database",
            "it cannot be opened",
        ),
    )
)


def is_internal_error(error: BaseException) -> bool:
    """Whether DuckDB failed inside itself, and will refuse everything from now on."""
    import duckdb

    return isinstance(error, duckdb.FatalException | duckdb.InternalException)


def is_disk_full(error: BaseException) -> bool:
    """Whether there was no room to write: DuckDB's error, the system's, or ours made of one."""
    return is_disk_full_message(str(error))


def is_disk_full_message(message: str) -> bool:
    """The same of an error of which only the words are left."""
    return bool(_DISK_FULL.search(message))


def clean_message(error: BaseException) -> str:
    """DuckDB's explanation without its class name, its stack and names of its own; LINE and caret stay."""
    text = _STACK.sub("", str(error))
    text = _PREFIX.sub("", text, count=1).replace("bindings: : ", "bindings: ")  # DuckDB's slip
    return _INTERNAL_NAME.sub("", text).strip() or type(error).__name__


def translate_statement_error(error: BaseException, path: Path) -> UnifyError:
    """What a user's statement ended with: their mistake, unless the lake at ``place`` is in trouble."""
    import duckdb

    if isinstance(error, duckdb.InterruptException):
        return Interrupted("the statement was interrupted")
    if too_old := _NO_SNAPSHOT.search(str(error)):
        return NoSuchVersion(
            f"there is no version of {too_old[1]} (UTC): nothing had been stored by then, or it is older "
            "than what is kept (show settings says how long: history)"
        )
    if _NO_TABLE_YET.search(str(error)):
        return NoSuchVersion(f"there was no such table then: {clean_message(error)}")
    fault = _storage_fault_text(error)
    if fault and (str(path) in str(error) or "DuckLake" in str(error)):
        return StoreError(f"{path}: {fault} ({clean_message(error)})")
    return QueryError(clean_message(error))


def translate_lake_error(error: BaseException, path: Path) -> StoreError:
    """What went wrong with the lake at ``place`` when Unify itself worked on it."""
    fault = _storage_fault_text(error)
    return StoreError(
        f"{path}: {fault} ({clean_message(error)})" if fault else f"{path}: {clean_message(error)}"
    )


def _storage_fault_text(error: BaseException) -> str:
    text = str(error)
    return next((said for pattern, said in _STORAGE_FAULTS if pattern.search(text)), "")
