"""DuckDB's errors in our own tree: the one border where they are translated."""

from __future__ import annotations

import re
from pathlib import Path

from unify.errors import Interrupted, NoSuchVersion, QueryError, StoreError, UnifyError

_PREFIX = re.compile(r"^[A-Z]\w*(?: \w+){0,3} Error: ")  # also of: Not implemented, Out of Memory
_INTERNAL_NAME = re.compile(r"\n*Did you mean \"[^\"\n]*__ducklake_metadata[^\"\n]*\"\?")
_STACK = re.compile(r"\n+(?:This error signals an assertion failure|Stack Trace:).*", re.DOTALL)

_TOO_OLD = re.compile(r"No snapshot found at timestamp (\S+ [\d:]+)")
# Of a table that is younger than the lake, or whose whole schema is.
_NOT_YET = re.compile(
    r'does not exist at (?:timestamp|version)|schema "[^"]+" does not exist.*^LINE \d+: .*\bat\s*\(',
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)

# What SQLite and the operating system say under DuckDB's words, and what a person does about it.
_FULL = re.compile("no space left|disk is full|disk quota|file too large|disk I/O error", re.IGNORECASE)
_STORE_FAULTS = tuple(
    (re.compile(pattern, re.IGNORECASE), said)
    for pattern, said in (
        (_FULL.pattern, "the disk is full or failing; make room and try again"),
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


def is_inner_fault(error: BaseException) -> bool:
    """Whether DuckDB failed inside itself, and will refuse everything from now on."""
    import duckdb

    return isinstance(error, duckdb.FatalException | duckdb.InternalException)


def is_full_disk(error: BaseException) -> bool:
    """Whether there was no room to write: DuckDB's error, the system's, or ours made of one."""
    return says_full_disk(str(error))


def says_full_disk(message: str) -> bool:
    """The same of an error of which only the words are left."""
    return bool(_FULL.search(message))


def plain(error: BaseException) -> str:
    """DuckDB's explanation without its class name, its stack and names of its own; LINE and caret stay."""
    text = _STACK.sub("", str(error))
    text = _PREFIX.sub("", text, count=1).replace("bindings: : ", "bindings: ")  # DuckDB's slip
    return _INTERNAL_NAME.sub("", text).strip() or type(error).__name__


def refusal(error: BaseException, place: Path) -> UnifyError:
    """What a user's statement ended with: their mistake, unless the lake at ``place`` is in trouble."""
    import duckdb

    if isinstance(error, duckdb.InterruptException):
        return Interrupted("the statement was interrupted")
    if too_old := _TOO_OLD.search(str(error)):
        return NoSuchVersion(
            f"there is no version of {too_old[1]} (UTC): nothing had been stored by then, or it is older "
            "than what is kept (show settings says how long: history)"
        )
    if _NOT_YET.search(str(error)):
        return NoSuchVersion(f"there was no such table then: {plain(error)}")
    fault = _fault(error)
    if fault and (str(place) in str(error) or "DuckLake" in str(error)):
        return StoreError(f"{place}: {fault} ({plain(error)})")
    return QueryError(plain(error))


def trouble(error: BaseException, place: Path) -> StoreError:
    """What went wrong with the lake at ``place`` when Unify itself worked on it."""
    fault = _fault(error)
    return StoreError(f"{place}: {fault} ({plain(error)})" if fault else f"{place}: {plain(error)}")


def _fault(error: BaseException) -> str:
    text = str(error)
    return next((said for pattern, said in _STORE_FAULTS if pattern.search(text)), "")
