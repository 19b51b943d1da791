"""The interface of the lake for the modules of this package, which must not import ``lake.lake``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec import Struct

from unify.errors import Interrupted, StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.config.settings import Settings

Value = TypeVar("Value")

CATALOG = "lake"  # the name under which DuckDB has the lake attached
METADATA = f"__ducklake_metadata_{CATALOG}"  # DuckLake's own tables, described in its specification
SCHEMA = "_unify"  # Unify's own tables in the lake


class Definition(Struct, frozen=True):
    """A view or macro. ``sql`` is what can be searched for tables: a SELECT, or CREATE VIEW."""

    schema: str
    name: str
    is_view: bool
    sql: str


class RowProjection(Protocol):
    """A form of the rows of a result in which their reader can use them.

    ``applies_always``  also for small results, which otherwise are values.
    """

    @property
    def applies_always(self) -> bool: ...

    def expressions(self, columns: Sequence[tuple[str, str]]) -> Sequence[str]:
        """SQL over ``c0``, ``c1``, … the values of ``columns``, which are (name, DuckDB type)."""


class Reader(Protocol):
    """Reads committed rows with SQL of Unify's own."""

    def read(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]: ...

    def read_cached(self, name: str, read: Callable[[], Value], /) -> Value: ...


class FileReader(Reader, Protocol):
    """A reader that can also read the lake's files."""

    settings: Settings


class Writer(Protocol):
    """The user's connection, and the writers' lock that its writing statements hold."""

    path: Path

    @property
    def connection(self) -> DuckDBPyConnection: ...

    @property
    def read_only(self) -> bool: ...

    @property
    def hides_first_load(self) -> bool: ...

    def end_interrupted(self) -> Interrupted: ...

    def watch_interrupts(self) -> AbstractContextManager[None]: ...

    def lock(self, timeout_s: float | None = None) -> AbstractContextManager[None]: ...

    def acquire_lock(self, timeout_s: float | None = None) -> None: ...

    def release_lock(self) -> None: ...

    def switch_to_catalog_copy(self, error: BaseException) -> bool: ...

    def reopen(self, *failed: DuckDBPyConnection) -> None: ...

    def sync_files(self, since_ns: int) -> None: ...

    def explain_damaged_file(self, error: BaseException) -> StoreError | None: ...

    def remove_orphaned_files(self, error: BaseException, since_ns: int) -> None: ...
