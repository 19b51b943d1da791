"""The check of a home: each kind of damage is found, with the table, the file and the remedy."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.homes.conftest import ROWS, data_file
from tests.support.publishing import KEYED
from tests.support.stores import create_home, make_job, stage_rows
from unify.config.settings import Settings
from unify.fs.durable import private_umask
from unify.fs.locks import FileLock
from unify.homes.check import check_home
from unify.homes.data_files import CHANGED
from unify.homes.report import Finding, Repair
from unify.lake.lake import Lake
from unify.model import TableName


def findings(settings: Settings, *, deep: bool = False) -> list[Finding]:
    return list(check_home(settings, deep=deep).findings)


def test_an_intact_home_has_no_fault(filled: Settings) -> None:
    report = check_home(filled, deep=True)
    assert (report.findings, report.notices) == ((), ())
    assert (report.tables, report.files) == (2, 3)


def test_an_empty_home_has_no_fault(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    report = check_home(Settings(home, home / "connections.yaml"))
    assert (report.findings, report.tables) == ((), 0)


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def overwrite(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def overwrite_footer(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-300] + b"\xff" * 292 + content[-8:])


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def replace_by_other_rows(path: Path) -> None:
    """Another table's file under this name."""
    shutil.copyfile(next(other for other in path.parents[2].rglob("*.parquet") if other != path), path)


DAMAGES = [remove, cut, empty, overwrite, overwrite_footer, replace_by_folder, replace_by_other_rows]
damages = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


@damages
def test_a_damaged_file_of_a_loaded_table_is_named_with_its_reload(
    filled: Settings, damage: Callable[[Path], None]
) -> None:
    path = data_file(filled, "github", "pulls")
    damage(path)
    [finding] = findings(filled)
    assert str(finding).startswith(f"github.pulls: {path}: ")
    assert "reload table github.pulls" in finding.remedy
    assert (finding.repair, finding.table) == (Repair.RELOAD, TableName("github", "pulls"))


@damages
def test_a_damaged_file_of_a_table_of_the_user_advises_to_restore_or_drop_it(
    filled: Settings, damage: Callable[[Path], None]
) -> None:
    path = data_file(filled, "main", "words")
    damage(path)
    [finding] = findings(filled)
    assert str(finding).startswith(f"main.words: {path}: ")
    assert "drop table main.words" in finding.remedy
    assert finding.repair is Repair.NONE


def test_a_damaged_file_of_deleted_rows_is_named(filled: Settings) -> None:
    [path] = filled.data_path.rglob("*-delete.parquet")
    path.unlink()
    [finding] = findings(filled)
    assert str(finding).startswith(f"main.words: {path}: is missing; ")


@pytest.mark.parametrize("table", [("github", "pulls"), ("main", "words")])
def test_a_flipped_bit_is_found_by_a_deep_check(filled: Settings, table: tuple[str, str]) -> None:
    """Of a load and of a statement. DuckDB reads about half of such files without an error."""
    path = data_file(filled, *table)
    content = path.read_bytes()
    for position in (5, len(content) // 3, len(content) // 2):
        flipped = bytearray(content)
        flipped[position] ^= 1
        path.write_bytes(flipped)
        assert findings(filled) == []
        [finding] = findings(filled, deep=True)
        assert (finding.path, finding.fault) == (path, CHANGED)


def test_files_without_a_checksum_are_read_by_a_deep_check(filled: Settings) -> None:
    (filled.lake / "checksums").unlink()
    assert findings(filled, deep=True) == []
    path = data_file(filled, "github", "pulls")
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[: middle - 200] + b"\xff" * 400 + content[middle + 200 :])
    [finding] = findings(filled, deep=True)
    assert (finding.path, finding.fault) == (path, "cannot be read to its end")


def test_a_file_that_only_an_older_version_needs_does_not_ask_for_a_reload(filled: Settings) -> None:
    old = data_file(filled, "main", "words")
    with Lake(filled) as lake:
        lake.execute("create or replace table words as select 1 as i")
    old.unlink()
    [finding] = findings(filled)
    assert finding.path == old
    assert "only older versions" in finding.remedy
    assert finding.repair is Repair.NONE


def test_a_file_that_the_catalog_does_not_name_is_an_orphan_with_its_size(filled: Settings) -> None:
    orphan = filled.data_path / "main" / "words" / "notes.txt"
    orphan.write_bytes(b"x" * 1234)
    orphan.chmod(0o600)
    [finding] = findings(filled)
    assert (finding.subject, finding.path) == ("orphan", orphan)
    assert "1,234 bytes" in finding.fault


def test_files_of_an_open_transaction_are_not_called_orphans(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.homes.catalog_check.LOCK_TIMEOUT_S", 0.0)
    lock = FileLock(filled.lake_lock, "shell")
    with lock.hold():
        unfinished = filled.data_path / "main" / "words" / "new.parquet"
        unfinished.touch(mode=0o600)
        report = check_home(filled)
    assert report.findings == ()
    [notice] = report.notices
    assert f"process {os.getpid()} (shell) is writing" in notice


def test_the_files_of_a_renamed_table_are_known(filled: Settings) -> None:
    with Lake(filled) as lake:
        lake.execute("alter table words rename to terms")
        lake.execute("insert into terms values (9999, 'new')")
    assert findings(filled, deep=True) == []


class TestCatalog:
    def catalog(self, settings: Settings) -> Path:
        return settings.lake / "catalog.sqlite"

    @pytest.mark.parametrize(
        ("size", "fault"),
        [(0, "is empty"), (8192 - 100, "is truncated"), (8192 * 4, "is damaged"), (None, "is missing")],
    )
    def test_a_lost_or_cut_one_is_found(self, filled: Settings, size: int | None, fault: str) -> None:
        if size is None:
            self.catalog(filled).unlink()
        else:
            os.truncate(self.catalog(filled), size)
        [finding] = findings(filled)
        assert (finding.subject, finding.path) == ("catalog", self.catalog(filled))
        assert fault in finding.fault or "cannot be read" in finding.fault
        assert "unify restore" in finding.remedy

    def test_a_damaged_page_is_found(self, filled: Settings) -> None:
        content = self.catalog(filled).read_bytes()
        middle = len(content) // 8192 * 4096
        self.catalog(filled).write_bytes(content[:middle] + b"\xff" * 4096 + content[middle + 4096 :])
        [finding] = findings(filled)
        assert "is damaged" in finding.fault

    def test_noise_is_found(self, filled: Settings) -> None:
        self.catalog(filled).write_bytes(os.urandom(8192))
        [finding] = findings(filled)
        assert "cannot be read (file is not a database)" in finding.fault

    def test_another_database_is_found(self, filled: Settings) -> None:
        self.catalog(filled).unlink()
        with sqlite3.connect(self.catalog(filled)) as connection:
            connection.execute("create table notes (text)")
        connection.close()
        self.catalog(filled).chmod(0o600)
        [finding] = findings(filled)
        assert "has no tables of a lake" in finding.fault

    def test_that_of_another_lake_is_found(self, filled: Settings, tmp_path: Path) -> None:
        other = create_home(tmp_path / "other")
        for name in ("identity.json", "ready", "catalog.sqlite"):
            (other.lake / name).unlink()
        with Lake(other) as lake:
            lake.execute("create table words as select 1 as i")
        shutil.copyfile(other.lake / "catalog.sqlite", self.catalog(filled))
        [finding] = findings(filled)
        assert "is that of another lake" in finding.fault

    def test_an_older_copy_is_found(self, filled: Settings, tmp_path: Path) -> None:
        shutil.copyfile(self.catalog(filled), tmp_path / "older")
        with Lake(filled) as lake:
            lake.execute("create table later as select 1 as i")
        shutil.copyfile(tmp_path / "older", self.catalog(filled))
        assert {finding.subject for finding in findings(filled)} == {"catalog", "orphan"}


class TestLedger:
    def change(self, settings: Settings, statement: str) -> None:
        with Lake(settings) as lake, lake.write_transaction() as connection:
            connection.execute(statement)

    def test_another_number_of_rows_is_found(self, filled: Settings) -> None:
        self.change(filled, "delete from lake.github.pulls where id < 3")
        [finding] = findings(filled)
        assert finding.subject == "github.pulls"
        assert "4,997 rows, and its last load stored 5,000" in finding.fault

    def test_a_table_without_rows_in_the_lake_is_found(self, filled: Settings) -> None:
        self.change(filled, "drop table lake.github.pulls")
        [finding] = findings(filled)
        assert "the ledger names 5,000" in finding.fault
        assert "reload table github.pulls" in finding.remedy

    def test_a_loaded_table_without_a_row_is_found(self, filled: Settings) -> None:
        self.change(
            filled,
            "insert into lake._unify.table_layouts select 'github', 'pulls', '{}' "
            "where not exists (from lake._unify.table_layouts)",
        )
        self.change(filled, "delete from lake._unify.loads")
        [finding] = findings(filled)
        assert str(finding).startswith("github.pulls: ")
        assert "no row in the ledger" in finding.fault


class TestQueue:
    def test_a_damaged_one_is_found(self, filled: Settings) -> None:
        filled.queue.write_bytes(os.urandom(8192))
        [finding] = findings(filled)
        assert (finding.subject, finding.path, finding.repair) == ("queue", filled.queue, Repair.QUEUE)
        assert "is damaged" in finding.fault

    def test_a_missing_one_is_found_if_there_are_schedules_to_restore(self, filled: Settings) -> None:
        filled.queue.unlink()
        (filled.home / "schedules.json").write_text("{}")
        (filled.home / "schedules.json").chmod(0o600)
        [finding] = findings(filled)
        assert "is missing" in finding.fault

    def test_one_of_a_newer_version_is_left_alone(self, filled: Settings) -> None:
        with sqlite3.connect(filled.queue) as connection:
            connection.execute("pragma user_version = 99")
        connection.close()
        [finding] = findings(filled)
        assert (finding.fault, finding.repair) == ("was made by a newer version of Unify", Repair.NONE)


def test_staged_rows_of_no_job_are_found(filled: Settings) -> None:
    with private_umask():
        stage_rows(filled, make_job(uid="leftover"), KEYED, ROWS[:10])
    [finding] = findings(filled)
    assert finding.path == filled.staging / "leftover"
    assert finding.repair is Repair.STAGING


def test_what_a_failed_load_has_read_is_no_fault(filled: Settings) -> None:
    with private_umask():
        (filled.staging / "kept" / "7-1.000000").mkdir(parents=True)
    assert findings(filled) == []


def test_a_damaged_variable_is_found(filled: Settings) -> None:
    (filled.home / "variables" / "LIMIT.parquet").write_bytes(b"x")
    [finding] = findings(filled)
    assert finding.subject == "$LIMIT"


def test_access_of_other_users_is_found_in_what_unify_writes(filled: Settings) -> None:
    (filled.home / "notes.txt").write_text("mine")
    (filled.home / "notes.txt").chmod(0o644)
    filled.home.chmod(0o755)
    path = data_file(filled, "github", "pulls")
    path.chmod(0o644)
    found = findings(filled)
    assert [(finding.path, finding.paths) for finding in found] == [
        (filled.home, (filled.home,)),
        (path.parent, (path,)),
    ]
