"""Publishing: a sealed load becomes visible, rows, cursor and ledger row in one transaction.

The lock is taken before BEGIN and held past COMMIT; within it the ledger is asked whether this load
is published already, and the caller whether the attempt is still the job's. A crash at any point
leaves the table as it was, or as it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unify.errors import ConfigError, LoadFailed, StoreError
from unify.loading import rows
from unify.loading.evolution import Target, targets
from unify.loading.rows import Counts, Source
from unify.model import Action, Column, LoaderJob, LoadRecord, TableName
from unify.store import discards, ledger, widenings
from unify.store.catalog import columns_within, comment_within
from unify.store.duck import literal, quoted
from unify.store.failpoints import failpoint
from unify.store.lake import Lake
from unify.store.staging import Manifest, Staged
from unify.store.widenings import Widened
from unify.text import counted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# A table that keeps its columns keeps its place in the catalog: a commit that changes the schema costs 75 ms
# of CPU and has every process read the catalog anew (40 ms), one that does not 20 and 15. But DuckLake
# remembers each row it deletes.
EMPTIED_ROWS = 1_000_000

PLACEHOLDER = Column("no_rows_yet", "BOOLEAN")  # a table needs a column even where no row told of any


@dataclass(frozen=True, slots=True)
class _Before:
    """The table before the load. ``load`` is its ledger row; None for a table not stored."""

    load: LoadRecord | None
    columns: tuple[Column, ...]
    comment: str = ""

    @property
    def has_rows(self) -> bool:
        return self.load is not None and self.load.rows_total > 0


@dataclass(frozen=True, slots=True)
class _Publication:
    """One load on its way: whose, what, onto what, how, into which columns."""

    job: LoaderJob
    manifest: Manifest
    before: _Before
    strategy: str
    plan: tuple[Target, ...]

    @property
    def anew(self) -> bool:
        """Whether the table is made again, for other columns or because emptying it would cost more."""
        if self.strategy != "reload":
            return any(column.changed for column in self.plan)
        many = self.before.load is None or self.before.load.rows_total > EMPTIED_ROWS
        return many or any(column.changed or column.added for column in self.plan)


def publish(
    lake: Lake,
    job: LoaderJob,
    staged: Staged,
    *,
    still_ours: Callable[[], bool],
    now: datetime | None = None,
) -> LoadRecord | None:
    """Make a sealed load visible and give its ledger row; that of the first time if it was published before.

    ``still_ours``  whether ``job.attempt`` is still the one at work; asked under the lock. If not,
                    nothing is written and None is given.
    Memory          DuckDB's own, whatever the size of the table: rows go from file to file.
    Raises          StoreError or LoadFailed, leaving the table as it was.
    """
    with lake.lock():
        failpoint("publish.locked")
        if (published := ledger.find(lake, job.uid)) is not None:
            return published
        if not still_ours():
            return None
        failpoint("publish.fenced")
        with lake.writing() as connection:
            connection.execute("SET TimeZone = 'UTC'")  # texts made of moments are the same everywhere
            record = _publish(lake, connection, job, staged, now or datetime.now(UTC))
            if not still_ours():
                raise StoreError(f"{job.table}: job {job.id} was taken over while it was being published")
            failpoint("publish.before_commit")
        failpoint("publish.committed")
    return record


def record_failure(lake: Lake, record: LoadRecord) -> None:
    """Write a load that ended without rows into the ledger."""
    with lake.writing() as connection:
        ledger.record(connection, record)


def _publish(
    lake: Lake, connection: DuckDBPyConnection, job: LoaderJob, staged: Staged, now: datetime
) -> LoadRecord:
    load = _prepare(connection, job, staged)
    source = Source(
        paths=staged.paths,
        plan=load.plan,
        key=load.manifest.key,
        cursor_column=load.manifest.cursor_column,
        data_path=lake.settings.data_path,
    )
    complete = load.manifest.complete and not load.manifest.discarded
    counts = rows.store(connection, job.table, source, load.strategy, complete=complete, anew=load.anew)
    failpoint("publish.rows")
    _keep_discarded(connection, load, staged)
    widenings.keep(connection, job.table, _widened(load), now)
    _describe(connection, load)
    failpoint("publish.described")
    record = _record(load, counts, now)
    ledger.record(connection, record)
    connection.execute(
        "CALL lake.set_commit_message('unify', ?, extra_info => ?)",
        [f"{load.strategy} {job.table}", job.uid],
    )
    failpoint("publish.recorded")
    return record


def _prepare(connection: DuckDBPyConnection, job: LoaderJob, staged: Staged) -> _Publication:
    """Decide everything before a row is touched."""
    manifest = staged.manifest
    before = _before(connection, job.table, manifest)
    strategy = _strategy(job, manifest, before)
    _check_key(job.table, manifest, strategy)
    plan = _plan(connection, job.table, staged, before, strategy)
    return _Publication(job, manifest, before, strategy, plan)


def _before(connection: DuckDBPyConnection, table: TableName, manifest: Manifest) -> _Before:
    """What is stored. Raises if somebody's own table has the name, or the load's cursor is outdated."""
    load = ledger.last_within(connection, table)
    columns = columns_within(connection, table)
    if columns and load is None:
        raise StoreError(
            f"{table}: there is a table of this name that no load made; rename or drop it, then load again"
        )
    if manifest.based_on and (load is None or not columns or load.uid != manifest.based_on):
        raise LoadFailed(
            f"{table}: its stored rows were cleared while they were being refreshed; load it again"
        )
    return _Before(load if columns else None, columns, comment_within(connection, table))


def _strategy(job: LoaderJob, manifest: Manifest, before: _Before) -> str:
    """Everything read anew replaces what is stored; so does anything where nothing is stored."""
    if before.has_rows and job.action is Action.REFRESH:
        return manifest.strategy
    return "reload"


def _check_key(table: TableName, manifest: Manifest, strategy: str) -> None:
    known = {column.name.lower() for column in manifest.columns}
    missing = [name for name in manifest.key if name.lower() not in known]
    if missing and manifest.rows:
        names = ", ".join(column.name for column in manifest.columns[:20])
        raise ConfigError(
            f"{table}: its key {', '.join(missing)} is no column of the rows (they have {names})"
        )
    if strategy in ("merge", "merge_delete") and not manifest.key:
        raise ConfigError(f"{table}: refreshing by {strategy} needs a key in the spec")


def _plan(
    connection: DuckDBPyConnection, table: TableName, staged: Staged, before: _Before, strategy: str
) -> tuple[Target, ...]:
    """The columns as they will be. Of a table without rows nothing has to be kept."""
    manifest = staged.manifest
    kept = before.columns if before.has_rows else ()
    found = _found(manifest, kept)
    by_name = {column.name.lower(): column for column in found}
    differing = [c for c in kept if (f := by_name.get(c.name.lower())) and f.type != c.type]
    return targets(
        kept,
        found,
        declared=manifest.declared if strategy == "reload" else (),
        empty=rows.columns_without_values(connection, table, [column.name for column in differing]),
        exact=lambda name: rows.exact_as_doubles(
            connection, table, staged.paths, name, by_name[name.lower()].name
        ),
    )


def _found(manifest: Manifest, kept: Sequence[Column]) -> tuple[Column, ...]:
    if manifest.columns or kept:
        return manifest.columns
    return tuple(Column(name, "VARCHAR") for name in manifest.key) or (PLACEHOLDER,)


def _keep_discarded(connection: DuckDBPyConnection, load: _Publication, staged: Staged) -> None:
    """Keep what could not be stored; what earlier loads left of a table that is replaced is out of date."""
    job = load.job
    if load.strategy == "reload" and load.before.load is not None:
        discards.forget(connection, job.table)
    if staged.discarded is not None:
        discards.keep(connection, job.table, job.id, job.uid, staged.discarded)


def _widened(load: _Publication) -> Iterator[Widened]:
    return (Widened(column.name, column.stored, column.type) for column in load.plan if column.changed)


def _describe(connection: DuckDBPyConnection, load: _Publication) -> None:
    """Put descriptions where people and tools find them: as comments, in the same transaction.

    A table made anew has lost its own; on one that stays only what changed is written.
    """
    table = load.job.table
    name = f"lake.{quoted(table.schema)}.{quoted(table.table)}"
    anew = load.anew
    said = {} if anew else {column.name: column.description for column in load.before.columns}
    description = load.manifest.description or load.before.comment
    if description and (anew or description != load.before.comment):
        connection.execute(f"COMMENT ON TABLE {name} IS {literal(description)}")
    for column in load.plan:
        if column.description and column.description != said.get(column.name):
            connection.execute(
                f"COMMENT ON COLUMN {name}.{quoted(column.name)} IS {literal(column.description)}"
            )


def _record(load: _Publication, counts: Counts, now: datetime) -> LoadRecord:
    job, manifest = load.job, load.manifest
    return LoadRecord(
        job=job.id,
        uid=job.uid,
        action=job.action.value,
        table=job.table,
        status="partial" if manifest.discarded else "success",
        reason=_reason(load, counts),
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
        cursor=_cursor(load),
        started_at=job.started_at,
        finished_at=now,
    )


def _cursor(load: _Publication) -> Mapping[str, str]:
    """The state by scope; one this load did not see keeps what it had, unless everything was read anew."""
    if load.strategy == "reload" or load.before.load is None:
        return dict(load.manifest.cursors)
    return {**load.before.load.cursor, **load.manifest.cursors}


def _reason(load: _Publication, counts: Counts) -> str:
    """What happened beside the plain loading, in words."""
    manifest = load.manifest
    said = [
        f"{column.name} is {column.type} now (was {column.stored})" for column in load.plan if column.changed
    ]
    if load.before.has_rows and (added := [column.name for column in load.plan if column.added]):
        said.append(f"new: {', '.join(added)}")
    if counts.twice:
        said.append(f"{counted(counts.twice, 'row')} came twice (same {', '.join(manifest.key)}), kept once")
    if manifest.discarded:
        said.append(f"{counted(manifest.discarded, 'row')} with values that do not fit the spec")
    return "; ".join([*said, *manifest.remarks])
