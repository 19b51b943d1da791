"""Translation of DuckDB's errors to UnifyError."""

from __future__ import annotations

import re
from pathlib import Path

from unify.engine import unsupported
from unify.errors import Interrupted, NoSuchVersion, QueryError, StoreError, UnifyError

_PREFIX = re.compile(r"^[A-Z]\w*(?: \w+){0,3} Error: ")  # also: Not implemented, Out of Memory
_INTERNAL_NAME = re.compile(r"\n{0,2}Did you mean \"[^\"\n]*__ducklake_metadata[^\"\n]*\"\?")
# Around the error of a result that was being read.
_CLOSED_RESULT = re.compile(
    r"^Attempting to execute an unsuccessful or closed pending query result\s+Error: "
)
# Around the error of an Arrow stream in Python (adapters.database.drivers.streams).
_STREAM_ERROR = re.compile(
    r"^arrow_scan: get_(?:next|schema) failed\(\): (?:\w+: )?(?:Unknown error: )?(?P<text>.*?)"
    r"\. Detail: Python exception: .*$",
    re.DOTALL,
)
_STACK = re.compile(r"\n(?:This error signals an assertion failure|Stack Trace:)")

# The whole messages: a text of the user, in error('…') for example, may contain the same words.
_USER_ERROR = "Invalid Input Error: "  # the class of error('…')
_NO_SUCH_NUMBER = re.compile(rf"{_USER_ERROR}No snapshot found at version (\d+)")
_NO_SNAPSHOT = re.compile(
    rf"{_USER_ERROR}No snapshot found at timestamp ([-\d]+(?: \(BC\))?(?: [\d:]+)?)[-+.:\d]*(?: \(BC\))?"
)
# A table or schema that did not exist at that time.
_SUGGESTION = re.compile(r"\nDid you mean .*")  # of DuckDB, for a table of today
_NO_TABLE_YET = re.compile("does not exist at (?:timestamp|version)", re.IGNORECASE)
_NO_SCHEMA = re.compile('schema "[^"]+" does not exist', re.IGNORECASE)
_LINE_WITH_AT = re.compile(r"^LINE \d+: .*\bat\s*\(", re.IGNORECASE | re.MULTILINE)

# Messages of SQLite and the operating system inside DuckDB's, and what to do about them.
_DISK_FULL = re.compile("no space left|disk is full|disk quota|file too large|disk I/O error", re.IGNORECASE)
_DAMAGED_CATALOG = re.compile(
    "not a database|malformed|disk image|creating a new DuckLake|"
    r"Table with name \S{0,200}ducklake_\w{1,64} does not exist",
    re.IGNORECASE,
)
_STORAGE_FAULTS = tuple(
    (re.compile(pattern, re.IGNORECASE), advice)
    for pattern, advice in (
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
            "too many open files",
            "too many files are open; raise the limit (ulimit -n): 64 are enough",
        ),
        (
            "unable to open database",
            "it cannot be opened",
        ),
    )
)


MAX_MESSAGE_CHARS = 5_000  # DuckDB quotes the value that does not convert, however long it is
_KEPT_END_CHARS = 1_000  # the line and caret of the position


def bounded_text(error: BaseException) -> str:
    """Return the text of an error; the middle of a long one is left out."""
    text = str(error)
    if len(text) <= MAX_MESSAGE_CHARS:
        return text
    return f"{text[: MAX_MESSAGE_CHARS - _KEPT_END_CHARS]} … {text[-_KEPT_END_CHARS:]}"


def is_internal_error(error: BaseException) -> bool:
    """Return whether DuckDB is unusable after an internal error."""
    from unify.engine import duckdb

    return isinstance(error, duckdb.FatalException | duckdb.InternalException)


def catalog_damage(error: BaseException) -> str:
    """Return what is wrong with the catalog of a lake that cannot be attached; "" for other errors."""
    if not _DAMAGED_CATALOG.search(bounded_text(error)):
        return ""
    return (
        "has no tables of a lake"
        if "creating a new" in bounded_text(error)
        else f"is damaged ({clean_message(error)})"
    )


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error of DuckDB, the system or Unify says that the disk is full."""
    return is_disk_full_message(bounded_text(error))


def is_disk_full_message(message: str) -> bool:
    """Like ``is_disk_full``, for the text of an error."""
    return bool(_DISK_FULL.search(message))


def clean_message(error: BaseException) -> str:
    """Return DuckDB's message without class name, stack trace and internal names; LINE and caret stay."""
    text = bounded_text(error)
    if (stack := _STACK.search(text)) is not None:
        text = text[: stack.start()].rstrip("\n")
    text = _PREFIX.sub("", text, count=1)
    if _CLOSED_RESULT.match(text):
        text = _PREFIX.sub("", _CLOSED_RESULT.sub("", text), count=1)
    text = _STREAM_ERROR.sub(r"\g<text>", text)
    text = text.replace("bindings: : ", "bindings: ")  # a formatting error of DuckDB
    return _INTERNAL_NAME.sub("", text).strip() or type(error).__name__


def translate_statement_error(error: BaseException, path: Path) -> UnifyError:
    """Translate the error of a user's statement; StoreError if the lake at ``path`` is at fault."""
    from unify.engine import duckdb

    if isinstance(error, duckdb.InterruptException):
        return Interrupted("the statement was interrupted")
    if number := _NO_SUCH_NUMBER.fullmatch(bounded_text(error)):
        return NoSuchVersion(f"there is no version {number[1]}, or it is older than the kept history")
    if too_old := _NO_SNAPSHOT.fullmatch(bounded_text(error)):
        return NoSuchVersion(
            f"there is no version of {too_old[1]} (UTC): nothing was stored then, or it is older than "
            "the kept history (setting history)"
        )
    if _is_before_creation(bounded_text(error)):
        return NoSuchVersion(f"the table did not exist then: {_SUGGESTION.sub('', clean_message(error))}")
    fault = _storage_fault_text(error)
    if fault and (str(path) in bounded_text(error) or "DuckLake" in bounded_text(error)):
        return StoreError(f"{path}: {fault} ({clean_message(error)})")
    return QueryError(unsupported.add_advice(clean_message(error)))


def _is_before_creation(message: str) -> bool:
    """Return whether a table or its schema did not exist at the time that a statement names with AT."""
    if message.startswith(_USER_ERROR):
        return False
    if _NO_TABLE_YET.search(message):
        return True
    missing = _NO_SCHEMA.search(message)
    return missing is not None and _LINE_WITH_AT.search(message, missing.end()) is not None


def translate_lake_error(error: BaseException, path: Path) -> StoreError:
    """Translate an error of Unify's own work on the lake at ``path``."""
    fault = _storage_fault_text(error)
    return StoreError(
        f"{path}: {fault} ({clean_message(error)})" if fault else f"{path}: {clean_message(error)}"
    )


def _storage_fault_text(error: BaseException) -> str:
    text = bounded_text(error)
    return next((said for pattern, said in _STORAGE_FAULTS if pattern.search(text)), "")
