"""Publishing: a staged load becomes visible; rows, cursor and ledger row are one transaction.

The writer lock is held from before BEGIN until after COMMIT. Under it the ledger shows whether the load is
already published, and the caller whether the attempt is current. A crash at any point leaves the table as it
was before or after the transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.engine.connection import quote_literal
from unify.engine.types import qualified_name
from unify.engine.types import quote_identifier as quoted
from unify.engine.widening import Place
from unify.errors import ConfigError, DamagedFile, LoadFailed, StoreError
from unify.fs.failpoints import failpoint
from unify.lake import discards, ledger, table_layouts, type_changes
from unify.lake.catalog import columns_in_transaction, comment_in_transaction, value_types
from unify.lake.lake import Lake
from unify.lake.type_changes import ColumnTypeChange
from unify.load.staging import Manifest, StagedLoad
from unify.model import Action, Column, Hold, LoaderJob, LoadRecord, TableName
from unify.publish.merge import RowCounts, has_inexact_integers, store_rows
from unify.publish.plausibility import check_new_version
from unify.publish.schema_evolution import TargetColumn, evolve_columns, replace_columns
from unify.publish.staged_rows import StagedSource, parquet_files_sql
from unify.text import format_count

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# A table whose columns stay keeps its entry in the catalog: a commit that changes the schema costs 75 ms of
# CPU and 40 ms in every reader, another one 20 ms and 15 ms. But DuckLake records each deleted row.
MAX_DELETED_ROWS = 1_000_000

MAX_ROWS_OF_ONE_THREAD = 20_000  # copied or merged in a few milliseconds

PLACEHOLDER_COLUMN = Column("no_rows_yet", "BOOLEAN")  # a table needs a column


class _StoredTable(Struct, frozen=True):
    """The table before the load; ``last_load`` is None if it is not stored."""

    last_load: LoadRecord | None
    columns: tuple[Column, ...]
    comment: str = ""

    @property
    def has_rows(self) -> bool:
        return self.last_load is not None and self.last_load.rows_total > 0


class _Publication(Struct, frozen=True):
    """One load that is being published."""

    job: LoaderJob
    manifest: Manifest
    stored: _StoredTable
    strategy: str
    target_columns: tuple[TargetColumn, ...]

    @property
    def recreates_table(self) -> bool:
        """Whether the table is created again: its columns change, or deleting its rows would cost more."""
        if self.strategy != "reload":
            return any(column.is_type_changed for column in self.target_columns)
        many = self.stored.last_load is None or self.stored.last_load.rows_total > MAX_DELETED_ROWS
        changed = any(column.is_type_changed or column.is_added for column in self.target_columns)
        return many or changed or self.reorders_columns

    @property
    def reorders_columns(self) -> bool:
        """Whether stored columns are dropped or have another place."""
        names = [column.name for column in self.target_columns]
        return [column.name for column in self.stored.columns] != names[: len(self.stored.columns)]

    @property
    def new_columns(self) -> Sequence[str]:
        """The names of columns that the stored rows do not have."""
        if not self.stored.has_rows:
            return ()
        return [column.name for column in self.target_columns if column.is_added]


def publish(
    lake: Lake,
    job: LoaderJob,
    staged: StagedLoad,
    *,
    is_current_attempt: Callable[[], bool],
    now: datetime | None = None,
) -> LoadRecord | None:
    """Publish a staged load and return its ledger row; the existing row if it is already published.

    ``is_current_attempt``  called under the lock; if False, nothing is written and the result is None.

    Memory: DuckDB's limit, whatever the size of the table. Raises StoreError or LoadFailed; the table is
    then unchanged.
    """
    with lake.lock():
        failpoint("publish.locked")
        if (published := ledger.find_load(lake, job.uid)) is not None:
            return published
        if not is_current_attempt():
            return None
        failpoint("publish.fenced")

        def commit(*, replace_stored: bool) -> LoadRecord:
            with lake.write_transaction() as connection:
                connection.execute("SET TimeZone = 'UTC'")  # texts made of moments are the same everywhere
                publication = _plan_publication(lake, connection, job, staged, replace_stored=replace_stored)
                record = _publish_in_transaction(
                    lake, connection, publication, staged, now or datetime.now(UTC)
                )
                if not is_current_attempt():
                    raise StoreError(f"{job.table}: job {job.id} was taken over while it was being published")
                failpoint("publish.before_commit")
            return record

        try:
            record = commit(replace_stored=False)
        except DamagedFile:
            if job.action is Action.REFRESH:
                raise
            record = commit(replace_stored=True)
        failpoint("publish.committed")
    return record


def record_failure(lake: Lake, record: LoadRecord) -> None:
    """Record a failed load in the ledger, unless it has it."""
    with lake.write_transaction() as connection:
        if not ledger.has_failure(connection, record):
            ledger.insert_load(connection, record)


def _publish_in_transaction(
    lake: Lake, connection: DuckDBPyConnection, load: _Publication, staged: StagedLoad, now: datetime
) -> LoadRecord:
    job = load.job
    source = StagedSource(
        paths=staged.file_paths,
        target_columns=load.target_columns,
        key=load.manifest.key,
        cursor_column=load.manifest.cursor_column,
        data_path=lake.settings.data_path,
        tombstones=load.manifest.tombstones,
        removed=load.manifest.removed,
        replaced=load.manifest.replaced,
        key_path=staged.key_path,
    )
    complete = load.manifest.complete and not load.manifest.discarded
    counts = store_rows(
        connection, job.table, source, load.strategy, complete=complete, recreate=load.recreates_table
    )
    failpoint("publish.rows")
    _store_discarded(connection, load, staged)
    type_changes.insert_type_changes(connection, job.table, _type_changes(load), now)
    table_layouts.update_layout(
        connection, job.table, load.manifest.layout, {column.name for column in load.target_columns}
    )
    _write_comments(connection, load)
    failpoint("publish.described")
    record = _make_record(load, counts, now)
    ledger.insert_load(connection, record)
    connection.execute(
        "CALL lake.set_commit_message('unify', ?, extra_info => ?)",
        [f"{load.strategy} {job.table}", job.uid],
    )
    failpoint("publish.recorded")
    return record


def _plan_publication(
    lake: Lake, connection: DuckDBPyConnection, job: LoaderJob, staged: StagedLoad, *, replace_stored: bool
) -> _Publication:
    """Decide strategy and columns before a row is written.

    ``replace_stored``  create the table again without reading its rows: a file of them is damaged.
    """
    manifest = staged.manifest
    before = _read_stored_table(connection, job.table, manifest)
    stored_rows = before.last_load.rows_total if before.last_load is not None else 0
    if max(manifest.rows, stored_rows) > MAX_ROWS_OF_ONE_THREAD:
        lake.use_all_threads()
    if replace_stored:
        connection.execute(f"DROP TABLE {qualified_name(job.table.schema, job.table.table)}")
        discards.delete_discards(connection, job.table)
        before = _StoredTable(None, (), before.comment)
    strategy = _choose_strategy(job, manifest, before)
    _check_key(job.table, manifest, strategy)
    if before.last_load is not None and job.held is not Hold.ACCEPTED:
        check_new_version(
            job.table,
            manifest,
            strategy,
            stored_rows=before.last_load.rows_total,
            stored_columns=before.columns,
        )
    plan = _evolve_columns(connection, job.table, staged, before, strategy)
    return _Publication(job, manifest, before, strategy, plan)


def _read_stored_table(connection: DuckDBPyConnection, table: TableName, manifest: Manifest) -> _StoredTable:
    """Read the stored table. Raises if no load made it, or if the load's cursor is outdated."""
    load = ledger.latest_load_in_transaction(connection, table)
    columns = columns_in_transaction(connection, table)
    if columns and load is None:
        raise StoreError(
            f"{table}: a table of this name exists that no load made; rename or drop it, then load again"
        )
    if manifest.based_on and (load is None or not columns or load.uid != manifest.based_on):
        raise LoadFailed(
            f"{table}: its stored rows were cleared while they were being refreshed; load it again"
        )
    return _StoredTable(load if columns else None, columns, comment_in_transaction(connection, table))


def _choose_strategy(job: LoaderJob, manifest: Manifest, stored: _StoredTable) -> str:
    """Return the strategy: a reload, or any load of a table without rows, replaces everything."""
    if stored.has_rows and job.action is Action.REFRESH:
        return manifest.strategy
    return "reload"


def _check_key(table: TableName, manifest: Manifest, strategy: str) -> None:
    known = {column.name.lower() for column in manifest.columns}
    missing = [name for name in manifest.key if name.lower() not in known]
    if missing and manifest.rows:
        names = ", ".join(column.name for column in manifest.columns[:20])
        raise ConfigError(
            f"{table}: the rows have no column {', '.join(missing)}, which is the key; they have {names}"
        )
    if strategy in ("merge", "merge_delete") and not manifest.key:
        raise ConfigError(f"{table}: refreshing by {strategy} needs a key in the spec")


def _evolve_columns(
    connection: DuckDBPyConnection, table: TableName, staged: StagedLoad, stored: _StoredTable, strategy: str
) -> tuple[TargetColumn, ...]:
    """Return the target columns. The columns of a table without rows need not stay."""
    manifest = staged.manifest
    if manifest.is_whole_schema and strategy == "reload":
        return replace_columns(stored.columns, manifest.columns)
    kept = stored.columns if stored.has_rows else ()
    found = _loaded_columns(manifest, kept)
    by_name = {column.name.lower(): column for column in found}
    differing = [c for c in kept if (f := by_name.get(c.name.lower())) and f.type != c.type]

    def run(sql: str) -> list[tuple[object, ...]]:
        return connection.execute(sql).fetchall()

    def is_exact(name: str, place: Place) -> bool:
        sides = [(qualified_name(table.schema, table.table), name)]
        if staged.file_paths:
            sides.append((parquet_files_sql(staged.file_paths), by_name[name.lower()].name))
        return not any(has_inexact_integers(connection, *side, place) for side in sides)

    return evolve_columns(
        kept,
        found,
        declared=manifest.declared if strategy == "reload" else (),
        value_types={column.name: column.type for column in value_types(run, table, differing)},
        is_exact=is_exact,
    )


def _loaded_columns(manifest: Manifest, stored_columns: Sequence[Column]) -> tuple[Column, ...]:
    if manifest.columns or stored_columns:
        return manifest.columns
    return tuple(Column(name, "VARCHAR") for name in manifest.key) or (PLACEHOLDER_COLUMN,)


def _store_discarded(connection: DuckDBPyConnection, publication: _Publication, staged: StagedLoad) -> None:
    """Store the discarded rows; a reload deletes those of earlier loads."""
    job = publication.job
    if publication.strategy == "reload" and publication.stored.last_load is not None:
        discards.delete_discards(connection, job.table)
    if staged.discarded_path is not None:
        discards.insert_discards(connection, job.table, job.id, job.uid, staged.discarded_path)


def _type_changes(publication: _Publication) -> Iterator[ColumnTypeChange]:
    return (
        ColumnTypeChange(column.name, column.stored_type, column.type)
        for column in publication.target_columns
        if column.is_type_changed
    )


def _write_comments(connection: DuckDBPyConnection, publication: _Publication) -> None:
    """Write descriptions as comments: all of them on a new table, changed ones on others."""
    table = publication.job.table
    name = qualified_name(table.schema, table.table)
    is_new = publication.recreates_table
    stored = {} if is_new else {column.name: column.description for column in publication.stored.columns}
    description = publication.manifest.description or publication.stored.comment
    if description and (is_new or description != publication.stored.comment):
        connection.execute(f"COMMENT ON TABLE {name} IS {quote_literal(description)}")
    for column in publication.target_columns:
        if column.description and column.description != stored.get(column.name):
            connection.execute(
                f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {quote_literal(column.description)}"
            )


def _make_record(publication: _Publication, counts: RowCounts, now: datetime) -> LoadRecord:
    job, manifest = publication.job, publication.manifest
    return LoadRecord(
        job=job.id,
        uid=job.uid,
        action=(Action.RELOAD if manifest.full else job.action).value,
        table=job.table,
        status="partial" if manifest.discarded or manifest.nulled else "success",
        reason=_reason_text(publication, counts),
        rows_read=manifest.rows + manifest.discarded,
        rows_written=counts.inserted + counts.updated,
        rows_inserted=counts.inserted,
        rows_updated=counts.updated,
        rows_deleted=counts.deleted,
        rows_discarded=manifest.discarded,
        rows_total=counts.total,
        requests=manifest.requests,
        bytes=manifest.bytes,
        seconds=manifest.seconds,
        cursor=_next_cursors(publication),
        started_at=job.started_at if job.attempt <= 1 else job.created_at,  # it has pages of earlier attempts
        finished_at=now,
    )


def _next_cursors(publication: _Publication) -> Mapping[str, str]:
    """Return the state by scope; scopes that this load did not read keep theirs, except in a reload."""
    replaces = publication.strategy == "reload" or publication.manifest.is_whole_state
    if replaces or publication.stored.last_load is None:
        return dict(publication.manifest.cursors)
    return {**publication.stored.last_load.cursor, **publication.manifest.cursors}


def _reason_text(publication: _Publication, counts: RowCounts) -> str:
    """Return the notes of the load as text."""
    manifest = publication.manifest
    notes = [
        f"{column.name} is {column.type} now (was {column.stored_type})"
        for column in publication.target_columns
        if column.is_type_changed
    ]
    if publication.new_columns:
        notes.append(f"new: {', '.join(publication.new_columns)}")
    if counts.duplicates:
        notes.append(
            f"{format_count(counts.duplicates, 'row')} came twice (same {', '.join(manifest.key)}), kept once"
        )
    if manifest.discarded:
        notes.append(
            f"{format_count(manifest.discarded, 'row')} discarded, with values that do not fit the spec "
            "(select * from unify.discarded)"
        )
    if manifest.nulled:
        notes.append(
            f"{format_count(manifest.nulled, 'value')} stored as NULL, because the type of the column does "
            "not have them (select * from unify.discarded)"
        )
    return "; ".join([*notes, *manifest.notes])
