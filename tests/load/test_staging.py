"""Staged loads are complete or absent."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.paths import CHECKOUT
from tests.support.stores import make_job, settings_for_home, stage_rows
from unify.errors import StoreError
from unify.load import staging
from unify.load.staging import MANIFEST, Manifest, StagingArea, read_manifest
from unify.model import Column


@pytest.fixture
def staging_area(tmp_path: Path) -> StagingArea:
    return StagingArea(tmp_path / "staging")


def empty(**more: object) -> Manifest:
    return Manifest(files=(), columns=(), rows=0, **more)  # type: ignore[arg-type]


def test_a_manifest_is_read_as_it_was_written(staging_area: StagingArea) -> None:
    job = make_job()
    folder = staging_area.create_attempt_folder(job)
    (folder / "0.parquet").write_bytes(b"rows")
    manifest = Manifest(
        files=("0.parquet",),
        columns=(Column("id", "BIGINT", "who"), Column('a "b"', "STRUCT(x VARCHAR)[]")),
        rows=7,
        strategy="merge",
        discarded=1,
        cursors={'{"repo":"é"}': "2026-01-01T00:00:00Z"},
        requests=3,
        bytes=2**40,
        seconds=1.5,
        key=("id",),
        description="What's there",
        declared=("id",),
        complete=False,
        cursor_column="id",
        based_on="u1",
    )
    sealed = staging.commit_staged_load(folder, manifest)

    assert sealed == staging_area.find_staged_load(job)
    assert sealed.manifest == manifest
    assert sealed.file_paths == (folder / "0.parquet",)
    assert folder == staging_area.folder / job.uid / "1"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_an_attempt_without_a_manifest_is_not_a_staged_load(staging_area: StagingArea) -> None:
    job = make_job()
    (staging_area.create_attempt_folder(job) / "0.parquet").write_bytes(b"half")
    assert staging_area.find_staged_load(job) is None


def test_a_new_attempt_has_an_empty_folder(staging_area: StagingArea) -> None:
    job = make_job()
    staging.commit_staged_load(staging_area.create_attempt_folder(job), empty())
    folder = staging_area.create_attempt_folder(job)
    assert list(folder.iterdir()) == []
    assert staging_area.find_staged_load(job) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a manifest"),
        ("{", "not a manifest"),
        ('{"files": [], "columns": [], "rows": "seven"}', "not a manifest"),
        ('{"files": ["../../catalog.sqlite"], "columns": [], "rows": 1}', "not the name of a file"),
        ('{"files": ["/etc/passwd"], "columns": [], "rows": 1}', "not the name of a file"),
        ('{"files": [".."], "columns": [], "rows": 1}', "not the name of a file"),
        ('{"files": ["gone.parquet"], "columns": [], "rows": 1}', "is missing"),
        ('{"files": [], "columns": [], "rows": 1, "strategy": "drop"}', "unknown strategy"),
    ],
)
def test_an_invalid_manifest_is_refused_with_its_path(
    staging_area: StagingArea, text: str, reason: str
) -> None:
    folder = staging_area.create_attempt_folder(make_job())
    (folder / MANIFEST).write_text(text)
    with pytest.raises(StoreError, match=reason) as caught:
        read_manifest(folder)
    assert str(folder) in caught.value.message


def test_folders_without_a_job_are_removed(staging_area: StagingArea) -> None:
    kept, gone = make_job(), make_job()
    staging.commit_staged_load(staging_area.create_attempt_folder(kept), empty())
    second = replace(kept, attempt=2)
    staging.commit_staged_load(staging_area.create_attempt_folder(second), empty())
    staging.commit_staged_load(staging_area.create_attempt_folder(gone), empty())
    (staging_area.folder / "stray").mkdir()

    removed = staging_area.remove_orphaned_attempts([(kept.uid, 2)])

    assert removed == sorted([staging_area.attempt_folder(kept), staging_area.attempt_folder(gone)])
    assert staging_area.find_staged_load(second) is not None
    assert [path.name for path in staging_area.folder.iterdir()] == [kept.uid]


def test_the_folders_of_an_ended_job_are_removed(staging_area: StagingArea) -> None:
    job = make_job()
    staging.commit_staged_load(staging_area.create_attempt_folder(job), empty())
    staging.commit_staged_load(staging_area.create_attempt_folder(replace(job, attempt=2)), empty())
    staging_area.remove_attempts(job)
    staging_area.remove_attempts(job)
    assert list(staging_area.folder.iterdir()) == []


def test_sweeping_without_a_staging_folder_does_nothing(staging_area: StagingArea) -> None:
    assert staging_area.remove_orphaned_attempts([]) == []


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "staging").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"staging.*cannot be written"):
        StagingArea(tmp_path / "staging").create_attempt_folder(make_job())


_SEALER = """
import sys
from pathlib import Path
from tests.support.stores import make_job, settings_for_home
from tests.support.stores import stage_rows
settings = settings_for_home(Path(sys.argv[1]))
stage_rows(settings, make_job(uid=sys.argv[2]), {"id": "BIGINT"}, [(1,), (2,)])
"""


@pytest.mark.process
@pytest.mark.parametrize("place", ["staging.before_manifest", "durable.before_rename", "staging.sealed"])
def test_a_worker_killed_during_the_commit_leaves_a_complete_load_or_none(tmp_path: Path, place: str) -> None:
    settings = settings_for_home(tmp_path)
    job = make_job()
    done = subprocess.run(
        [sys.executable, "-c", _SEALER, str(tmp_path), job.uid],
        cwd=CHECKOUT,
        env={"PATH": "/usr/bin:/bin", "UNIFY_FAILPOINT": f"{place}:kill"},
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    found = StagingArea(settings.staging).find_staged_load(job)
    assert (found is not None) == (place == "staging.sealed")
    if found is not None:
        assert found.manifest.rows == 2


def test_a_full_disk_is_an_error_with_the_path(staging_area: StagingArea) -> None:
    """A limit on the file size causes the same kind of error as a full disk."""
    folder = staging_area.create_attempt_folder(make_job())
    manifest = empty(description="x" * 100_000)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with pytest.raises(StoreError, match="cannot be written") as caught:
            staging.commit_staged_load(folder, manifest)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, old)
    assert str(folder) in caught.value.message
    assert not (folder / MANIFEST).exists()


def test_rows_staged_by_the_helper_can_be_read(tmp_path: Path) -> None:
    job = make_job()
    found = stage_rows(settings_for_home(tmp_path), job, {"id": "BIGINT"}, [(1,)], [(2,), (3,)])
    assert (found.manifest.files, found.manifest.rows) == (("0.parquet", "1.parquet"), 3)


def test_the_folders_of_a_job_can_be_removed_by_two_threads_at_once(staging_area: StagingArea) -> None:
    for round_number in range(20):
        job = make_job(uid=f"job{round_number}")
        folder = staging_area.create_attempt_folder(job)
        for number in range(50):
            (folder / f"{number}.parquet").touch()
        with ThreadPoolExecutor(4) as pool:
            for removal in [pool.submit(staging_area.remove_attempts, job) for _ in range(4)]:
                removal.result()
        assert not folder.parent.exists()
