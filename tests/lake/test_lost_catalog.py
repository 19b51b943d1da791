"""A lake whose catalog is lost or replaced: no new one is created, and no data file is deleted."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.command import InProcessCommand
from tests.support.stores import create_home, fetch_rows
from unify.config.settings import Settings
from unify.errors import StoreError
from unify.lake.integrity.identity import IDENTITY_FILE, RETENTION, read_identity
from unify.lake.lake import Lake
from unify.lake.maintenance import run_maintenance

DAY = timedelta(days=1)


def catalog(settings: Settings) -> Path:
    return settings.lake / "catalog.sqlite"


def data_files(settings: Settings) -> set[Path]:
    return set(settings.data_path.rglob("*.parquet"))


def fill(settings: Settings) -> None:
    with Lake(settings) as lake:
        lake.execute("create table words as select i from range(1000) r(i)")


def make_files_old(settings: Settings) -> None:
    past = (datetime.now(UTC) - 3 * DAY).timestamp()
    for path in data_files(settings):
        os.utime(path, (past, past))


def remove(settings: Settings) -> None:
    catalog(settings).unlink()


def remove_with_marker(settings: Settings) -> None:
    remove(settings)
    (settings.lake / "ready").unlink()


def empty(settings: Settings) -> None:
    catalog(settings).write_bytes(b"")


def cut(size: Callable[[int], int]) -> Callable[[Settings], None]:
    def truncate(settings: Settings) -> None:
        os.truncate(catalog(settings), size(catalog(settings).stat().st_size))

    return truncate


def overwrite(settings: Settings) -> None:
    catalog(settings).write_bytes(os.urandom(8192))


def put_another_database(settings: Settings) -> None:
    remove(settings)
    connection = sqlite3.connect(catalog(settings))
    connection.execute("create table notes (text)")
    connection.commit()
    connection.close()


def put_another_lake(settings: Settings) -> None:
    other = Settings(settings.home / "other", settings.connections)
    fill(other)
    shutil.copyfile(catalog(other), catalog(settings))


FAULTS = {
    "missing": (remove, "is missing"),
    "missing with its marker": (remove_with_marker, "is missing"),
    "empty": (empty, "is empty"),
    "cut within a page": (cut(lambda size: size - 100), "is truncated"),
    "cut between pages": (cut(lambda size: size - 4096), "is damaged"),
    "cut in the middle": (cut(lambda size: size // 8192 * 4096), "is damaged"),
    "one page": (cut(lambda size: 4096), "is damaged"),
    "overwritten": (overwrite, "is damaged"),
    "another database": (put_another_database, "has no tables of a lake"),
    "another lake": (put_another_lake, "is that of another lake"),
}


@pytest.mark.parametrize(("damage", "message"), FAULTS.values(), ids=list(FAULTS))
def test_a_lost_catalog_is_refused_with_both_paths_and_no_file_is_deleted(
    tmp_path: Path, damage: Callable[[Settings], None], message: str
) -> None:
    settings = create_home(tmp_path)
    fill(settings)
    make_files_old(settings)
    before = data_files(settings)
    saved = shutil.copytree(settings.lake, tmp_path / "saved")
    damage(settings)

    for read_only in (False, True):
        with pytest.raises(StoreError) as refused, Lake(settings, read_only=read_only) as lake:
            run_maintenance(lake, datetime.now(UTC))
        assert str(catalog(settings)) in refused.value.message
        assert str(settings.data_path) in refused.value.message
        assert message in refused.value.message
    assert data_files(settings) == before

    for suffix in ("", "-wal", "-shm"):
        catalog(settings).with_name(f"catalog.sqlite{suffix}").unlink(missing_ok=True)
    shutil.copyfile(saved / "catalog.sqlite", catalog(settings))
    shutil.copyfile(saved / "ready", settings.lake / "ready")
    with Lake(settings) as lake:
        assert fetch_rows(lake, "select count(*) from words") == [(1000,)]


def test_the_command_ends_with_an_error_when_the_catalog_is_missing(unify: InProcessCommand) -> None:
    assert unify("create table words as select 1 as i").exit_status == 0
    (unify.home / "lake" / "catalog.sqlite").unlink()
    for statement in ("show tables", "select * from words", "create table other as select 1 as i"):
        result = unify(statement)
        assert result.exit_status == 1
        assert "catalog.sqlite: the catalog of the lake is missing" in result.stderr
        assert str(unify.home / "lake" / "files") in result.stderr


def test_an_empty_folder_is_still_a_new_lake(tmp_path: Path) -> None:
    settings = create_home(tmp_path)
    fill(settings)
    shutil.rmtree(settings.lake)
    with Lake(settings) as lake:
        lake.execute("create table words as select 1 as i")
        assert fetch_rows(lake, "select * from words") == [(1,)]


def test_an_interrupted_creation_is_continued(tmp_path: Path) -> None:
    settings = create_home(tmp_path)
    for name in ("ready", IDENTITY_FILE):  # written at the end
        (settings.lake / name).unlink()
    empty(settings)
    with Lake(settings) as lake:
        assert fetch_rows(lake, "select count(*) from lake._unify.loads") == [(0,)]


class TestAnOlderCopy:
    """The catalog was restored from a backup: later data files are not in it."""

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        settings = create_home(tmp_path)
        fill(settings)
        shutil.copyfile(catalog(settings), tmp_path / "older.sqlite")
        with Lake(settings) as lake:
            lake.execute("create table later as select i from range(500) r(i)")
            lake.execute("create or replace table words as select i from range(10) r(i)")
        shutil.copyfile(catalog(settings), tmp_path / "newer.sqlite")
        make_files_old(settings)
        return settings

    def restore(self, settings: Settings, name: str) -> None:
        for suffix in ("-wal", "-shm"):
            catalog(settings).with_name(f"catalog.sqlite{suffix}").unlink(missing_ok=True)
        shutil.copyfile(settings.home.parent / name, catalog(settings))

    def test_is_readable_and_announced_once(self, settings: Settings) -> None:
        self.restore(settings, "older.sqlite")
        notices: list[str] = []
        for _ in range(2):
            with Lake(settings, notice=notices.append) as lake:
                assert fetch_rows(lake, "select count(*) from words") == [(1000,)]
        assert len(notices) == 1
        assert "replaced by an older copy" in notices[0]
        assert str(catalog(settings)) in notices[0]

    def test_keeps_every_file_for_thirty_days_whatever_is_written_meanwhile(self, settings: Settings) -> None:
        before = data_files(settings)
        self.restore(settings, "older.sqlite")
        now = datetime.now(UTC)
        with Lake(settings) as lake:
            for number in range(8):
                lake.execute(f"create or replace table t{number} as select 1 as i")
            result = run_maintenance(lake, now + 10 * DAY, retention=timedelta(0))
            assert result.keeps_files
            assert result.removed_files == 0
        assert before <= data_files(settings)

        self.restore(settings, "newer.sqlite")
        with Lake(settings) as lake:
            assert fetch_rows(lake, "select count(*) from later") == [(500,)]
            assert fetch_rows(lake, "select count(*) from words") == [(10,)]

    def test_is_cleaned_up_after_thirty_days(self, settings: Settings) -> None:
        before = data_files(settings)
        self.restore(settings, "older.sqlite")
        with Lake(settings) as lake:
            result = run_maintenance(lake, datetime.now(UTC) + RETENTION + DAY)
        assert result.set_aside == 2
        assert len(before - data_files(settings)) == 2

    def test_is_found_when_it_is_put_there_while_the_lake_is_open(self, settings: Settings) -> None:
        with Lake(settings) as lake:
            replacement = settings.lake / "copy"
            shutil.copyfile(settings.home.parent / "older.sqlite", replacement)
            replacement.replace(catalog(settings))
            with pytest.raises(StoreError, match="replaced while it was open"):
                lake.execute("create table lost as select 1 as i")
            lake.execute("create table stored as select 1 as i")
        recorded = read_identity(settings.lake)
        assert recorded is not None
        assert recorded.replaced_at is not None
        with Lake(settings) as lake:
            assert fetch_rows(lake, "select * from stored") == [(1,)]


def test_a_lake_of_an_earlier_version_gets_an_identity(tmp_path: Path) -> None:
    settings = create_home(tmp_path)
    before = read_identity(settings.lake)
    (settings.lake / IDENTITY_FILE).unlink()
    with Lake(settings):
        pass
    assert read_identity(settings.lake) == before
