"""Stages a table of a database or store: copies the parts of a SourceLoad to Parquet, side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.relation import LoadPart, SourceLoad
from unify.convert.sql import ROW_GROUP_ROWS, copy_to_parquet_sql
from unify.engine.connection import DUCKDB_CONFIG, open_database, quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.errors import LoadFailed, OutOfMemory
from unify.fs.failpoints import failpoint
from unify.model import Column

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_MB = (
    512  # limit of DuckDB at first; a part is copied in some 100 MB, columns or rows of megabytes take more
)
MIB = 1024 * 1024
MEMORY_SHARE = 0.75  # of the limit of the worker process, at most
MAX_ROW_GROUP_BYTES = 64 * MIB
MAX_ROW_GROUP_CELLS = 4_000_000  # DuckDB holds a row group of each reader in memory
MIN_ROW_GROUP_ROWS = 2048  # of DuckDB
PROGRESS_INTERVAL_S = 0.5  # between readings of the size of the staged files
REJECTED_COLUMNS = ("scope", "column", "value", "reason", "row")


class StagedParts(Struct, frozen=True):
    """The staged parts of a load.

    ``files``            without empty ones.
    ``cursor``           the greatest value of the cursor column as DuckDB's text, up to the limit; "": none.
    ``rows_in_advance``  rows whose cursor is beyond the limit.
    ``key_file``         the keys of all rows of the source, ``key_rows`` many.
    ``rejected_file``    values that are stored as NULL.
    """

    files: tuple[Path, ...]
    columns: tuple[Column, ...]
    rows: int
    bytes: int
    cursor: str = ""
    rows_without_cursor: int = 0
    rows_in_advance: int = 0
    key_file: Path | None = None
    key_rows: int = 0
    rejected_file: Path | None = None
    rejected: int = 0


class CopiedParts(Struct, frozen=True):
    """Progress: ``parts`` that are complete, their ``rows``, and the ``bytes`` of all files so far."""

    parts: int = 0
    rows: int = 0
    bytes: int = 0


class PartStage:
    """A DuckDB in memory, which reads the source and writes Parquet files into ``folder``.

    ``progress``      called from the caller's thread; it may raise to end the load.
    ``memory_bytes``  limit of this process.

    Memory: a row group of each reader, whatever the size of the table.
    """

    def __init__(self, folder: Path, progress: Callable[[CopiedParts], None], memory_bytes: int) -> None:
        self._folder = folder
        self._progress = progress
        self.duck = _open_worker_database(folder, int(memory_bytes * MEMORY_SHARE) // MIB)

    def __enter__(self) -> PartStage:
        return self

    def __exit__(self, *_: object) -> None:
        self.duck.close()

    def stage(self, load: SourceLoad, cancel: Callable[[], None]) -> StagedParts:
        """Copy every part. ``cancel`` ends the statements that run at the source, in any thread.

        Raises errors of DuckDB, and what ``progress`` raises; ``cancel`` raises nothing.
        """
        group_rows = _row_group_rows(len(load.table.columns))
        files = [self._folder / f"rows-{number:06}.parquet" for number in range(len(load.parts))]
        counts = self._copy_parts(load, files, group_rows, cancel)
        columns = self._describe(files[0]) if files else _declared_columns(load)
        key_rows, key_file = self._stage_side_file(load.key_parts, "keys.parquet")
        without_values = self._columns_with_nulls(files) if load.rejected else ()
        rejects = [part for part in load.rejected if part.scope in without_values]
        rejected, rejected_file = self._stage_side_file(rejects, "discarded.parquet")
        kept = tuple(path for path, count in zip(files, counts, strict=True) if count)
        for path in set(files) - set(kept):
            path.unlink()
        staged = StagedParts(
            kept,
            _with_descriptions(columns, load),
            sum(counts),
            sum(path.stat().st_size for path in kept),
            key_file=key_file,
            key_rows=key_rows,
            rejected_file=rejected_file,
            rejected=rejected,
        )
        return self._with_cursor(staged, load)

    def _copy_parts(
        self, load: SourceLoad, files: Sequence[Path], group_rows: int, cancel: Callable[[], None]
    ) -> Sequence[int]:
        """Copy each part into its file; return the numbers of rows."""
        todo: SimpleQueue[int] = SimpleQueue()
        for number in range(len(files)):
            todo.put(number)
        counts = [0] * len(files)
        copied: list[int] = []
        stop = Event()

        def copy(cursor: DuckDBPyConnection) -> None:
            while not stop.is_set():
                try:
                    number = todo.get_nowait()
                except Empty:
                    return
                sql = copy_to_parquet_sql(
                    load.parts[number].sql, files[number], group_rows, MAX_ROW_GROUP_BYTES
                )
                counts[number] = _copied_rows(cursor, sql)
                copied.append(number)
                failpoint("relational.part")

        def report() -> None:
            done = list(copied)
            size = sum(path.stat().st_size for path in files if path.exists())
            self._progress(CopiedParts(len(done), sum(counts[number] for number in done), size))

        self._run_readers(load, copy, report, stop, cancel)
        report()
        return counts

    def _run_readers(
        self,
        load: SourceLoad,
        copy: Callable[[DuckDBPyConnection], None],
        report: Callable[[], None],
        stop: Event,
        cancel: Callable[[], None],
    ) -> None:
        """Run ``copy`` on every reader; the first failure of one ends the others."""
        readers = max(1, min(load.readers, len(load.parts)))
        with ThreadPoolExecutor(readers, thread_name_prefix="reader") as pool:
            running: set[Future[None]] = {pool.submit(copy, self.duck)}
            for _ in range(readers - 1):
                running.add(pool.submit(self._copy_as_reader, load.setup, copy))
            try:
                while running:
                    done, running = wait(running, PROGRESS_INTERVAL_S, FIRST_COMPLETED)
                    for reader in done:
                        reader.result()
                    report()
            except BaseException:
                stop.set()
                if running:
                    cancel()
                raise

    def _copy_as_reader(self, setup: Sequence[str], copy: Callable[[DuckDBPyConnection], None]) -> None:
        """Copy parts in a transaction that reads the snapshot of the load."""
        with self._transaction() as cursor:
            for statement in setup:
                cursor.execute(statement)
            copy(cursor)

    @contextmanager
    def _transaction(self) -> Iterator[DuckDBPyConnection]:
        cursor = self.duck.cursor()
        try:
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.execute("BEGIN")
            yield cursor
        finally:
            cursor.close()  # rolls back

    def _describe(self, path: Path) -> Sequence[Column]:
        rows = self.duck.execute(f"DESCRIBE FROM read_parquet({quote_literal(os.fspath(path))})").fetchall()
        return [Column(str(row[0]), str(row[1])) for row in rows]

    def _columns_with_nulls(self, files: Sequence[Path]) -> Collection[str]:
        """Return the columns that have no value in a staged row, from the statistics of the files."""
        names = ", ".join(quote_literal(os.fspath(path)) for path in files)
        rows = self.duck.execute(
            f"SELECT DISTINCT path_in_schema FROM parquet_metadata([{names}]) "
            "WHERE coalesce(stats_null_count, 1) > 0"
        ).fetchall()
        return {str(row[0]) for row in rows}

    def _stage_side_file(self, parts: Sequence[LoadPart], name: str) -> tuple[int, Path | None]:
        """Copy the rows of ``parts`` into one file; no file without parts, or rows but of keys."""
        if not parts:
            return 0, None
        path = self._folder / name
        select = " UNION ALL ".join(part.sql for part in parts)
        return _copied_rows(self.duck, copy_to_parquet_sql(select, path)), path

    def _with_cursor(self, staged: StagedParts, load: SourceLoad) -> StagedParts:
        """Return the result with what the rows say of the cursor."""
        from msgspec.structs import replace

        if not load.cursor_column or not staged.files:
            return staged
        cursor = quoted(load.cursor_column)
        names = ", ".join(quote_literal(os.fspath(path)) for path in staged.files)
        type = next(c.type for c in staged.columns if c.name.lower() == load.cursor_column.lower())
        limit = f"CAST({quote_literal(load.cursor_limit)} AS {type})" if load.cursor_limit else "NULL"
        usable = f"isfinite({cursor})" if type.startswith(("DATE", "TIMESTAMP")) else "true"
        row = self.duck.execute(
            f"SELECT CAST(CASE WHEN max({cursor}) FILTER ({usable}) IS NOT NULL "
            f"THEN least(max({cursor}) FILTER ({usable}), {limit}) END AS VARCHAR), "
            f"count(*) FILTER ({cursor} IS NULL OR NOT {usable}), "
            f"count(*) FILTER ({usable} AND {cursor} > {limit}) FROM read_parquet([{names}])"
        ).fetchone()
        assert row is not None
        return replace(
            staged, cursor=row[0] or "", rows_without_cursor=int(row[1]), rows_in_advance=int(row[2])
        )


def next_cursors(load: SourceLoad, staged: StagedParts) -> Mapping[str, str]:
    """Return the state for the next load."""
    if not load.cursor_column or not staged.cursor:
        return load.cursors
    return {**load.cursors, load.cursor_column: staged.cursor}


def _open_worker_database(folder: Path, memory_mb: int) -> DuckDBPyConnection:
    """Open the database. Each reader's thread executes its own queries."""
    config: dict[str, str | int | bool] = {
        **DUCKDB_CONFIG,
        "memory_limit": f"{memory_mb}MB",
        "threads": 1,
        "temp_directory": os.fspath(folder / "spill"),
    }
    duck = open_database(config)
    duck.execute("SET TimeZone = 'UTC'")
    duck.execute("SET preserve_insertion_order = false")  # required by ROW_GROUP_SIZE_BYTES
    return duck


def _row_group_rows(columns: int) -> int:
    return max(MIN_ROW_GROUP_ROWS, min(ROW_GROUP_ROWS, MAX_ROW_GROUP_CELLS // max(1, columns)))


def _copied_rows(cursor: DuckDBPyConnection, copy_sql: str) -> int:
    """Run a COPY; return the number of rows. Raises OutOfMemory if 2,048 rows do not fit."""
    from unify.engine import duckdb

    try:
        row = cursor.execute(copy_sql).fetchone()
    except duckdb.OutOfMemoryException as error:
        raise OutOfMemory(
            "the rows of this table are too long for the memory of a load; give it more "
            "(UNIFY_WORKER_MEMORY), or load a view without the long columns"
        ) from error
    if row is None:
        raise LoadFailed("DuckDB did not say how many rows it has copied")
    return int(row[0])


def _declared_columns(load: SourceLoad) -> Sequence[Column]:
    return [Column(column.name, column.type) for column in load.table.columns]


def _with_descriptions(columns: Sequence[Column], load: SourceLoad) -> tuple[Column, ...]:
    texts = {column.name: column.description for column in load.table.columns}
    return tuple(Column(column.name, column.type, texts.get(column.name, "")) for column in columns)
