"""Homes with an empty lake, jobs, and staged loads made from rows."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from tests.support.database import open_cursor
from unify.config.settings import Settings
from unify.engine.connection import quote_literal
from unify.engine.types import quote_identifier as quoted
from unify.lake import catalog, ledger
from unify.lake.lake import Lake
from unify.language.grammar import build_parser
from unify.load import staging
from unify.load.staging import Manifest, StagedLoad, StagingArea
from unify.model import Action, Column, ConfigPaths, JobState, LoaderJob, TableName

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


TABLE = TableName("github", "pulls")


PULLS = TableName("github", "pulls")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_ids = itertools.count(1)


def settings_for_home(folder: Path) -> Settings:
    return Settings(home=folder, connections=folder / "connections.yaml")


@cache
def _template_home() -> tempfile.TemporaryDirectory[str]:
    """Create a home with an empty lake and the compiled grammar, once a process: it takes 0.3 s."""
    folder = tempfile.TemporaryDirectory(prefix="unify-lake-")
    settings = settings_for_home(Path(folder.name) / "home")
    with Lake(settings):
        settings.cache.mkdir(mode=0o700, exist_ok=True)
        build_parser(settings.cache)
    return folder


def create_home(folder: Path) -> Settings:
    """Create ``home`` in ``folder`` with an empty lake and return its settings."""
    shutil.copytree(Path(_template_home().name) / "home", folder / "home", dirs_exist_ok=True)
    return settings_for_home(folder / "home")


def drop_all_tables(settings: Settings) -> None:
    """Drop all tables and views with the ledger, as if nothing had been loaded or created."""
    with Lake(settings) as lake, lake.write_transaction() as connection:
        for schema in catalog.schemas(lake):
            if schema != "main":
                connection.execute(f"DROP SCHEMA lake.{quoted(schema)} CASCADE")
        for name, kind in connection.execute(
            "SELECT table_name, if(table_type = 'VIEW', 'VIEW', 'TABLE') FROM information_schema.tables "
            "WHERE table_catalog = 'lake' AND table_schema = 'main'"
        ).fetchall():
            connection.execute(f"DROP {kind} lake.main.{quoted(name)}")
        connection.execute(f"DELETE FROM {ledger.TABLE}")


def make_job(
    table: TableName = PULLS, action: Action = Action.LOAD, *, uid: str = "", attempt: int = 1
) -> LoaderJob:
    """Return a job in the state in which a worker receives it: running."""
    return LoaderJob(
        id=next(_ids),
        uid=uid or uuid.uuid4().hex,
        tenant="default",
        action=action,
        table=table,
        origin=ConfigPaths("/connections.yaml"),
        priority=0,
        state=JobState.RUNNING,
        attempt=attempt,
        epoch=1,
        created_at=NOON,
        start_at=NOON,
        started_at=NOON,
    )


def stage_rows(
    settings: Settings,
    job: LoaderJob,
    columns: Mapping[str, str],
    *files: Sequence[Sequence[object]],
    **manifest: object,
) -> StagedLoad:
    """Commit a staged load of ``files``, each a sequence of rows; ``columns`` maps names to DuckDB types."""
    folder = StagingArea(settings.staging).create_attempt_folder(job)
    fields = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    names = []
    connection = open_cursor()
    for number, rows in enumerate(files):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE rows ({fields})")
        if rows:
            marks = ", ".join([f"({', '.join('?' * len(columns))})"] * len(rows))
            connection.execute(f"INSERT INTO rows VALUES {marks}", [cell for row in rows for cell in row])
        names.append(f"{number}.parquet")
        connection.execute(f"COPY rows TO {quote_literal(str(folder / names[-1]))} (FORMAT parquet)")
    described = tuple(Column(name, kind) for name, kind in columns.items())
    values = {"columns": described, "rows": sum(map(len, files)), **manifest}
    return staging.commit_staged_load(folder, Manifest(files=tuple(names), **values))  # type: ignore[arg-type]


def fetch_rows(lake: Lake, sql: str, parameters: object = None) -> list[tuple[object, ...]]:
    """Return all rows of a query."""
    return [row for batch in lake.execute(sql, parameters).batches() for row in batch]
