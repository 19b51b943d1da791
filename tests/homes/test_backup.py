"""Backups of homes and their restoration: whole, verified, all or nothing."""

from __future__ import annotations

import os
import random
import shutil
import stat
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from tests.homes.conftest import data_file
from tests.support.stores import fetch_rows, settings_for_home
from unify.config.settings import Settings
from unify.errors import FileError, StoreError
from unify.fs.failpoints import FailpointHit
from unify.fs.locks import FileLock
from unify.homes.archive import MANIFEST_MEMBER, is_allowed_name, open_archive
from unify.homes.backup import BackupOptions, BackupResult, write_backup
from unify.homes.check import check_home
from unify.homes.restore import restore_home
from unify.lake.lake import Lake
from unify.lake.saved_variables import SavedVariables
from unify.model import ConfigPaths, PlannedRow, TableName
from unify.queue.queue import Queue
from unify.queue.rows import Schedule
from unify.writes.records import NewWrite
from unify.writes.store import WriteStore


def back_up(settings: Settings, path: Path, **options: bool) -> BackupResult:
    return write_backup(settings, path, BackupOptions(**options))


@pytest.fixture
def archive(filled: Settings, tmp_path: Path) -> Path:
    return back_up(filled, tmp_path / "home.zip").path


@pytest.fixture
def target(tmp_path: Path) -> Settings:
    return settings_for_home(tmp_path / "restored")


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestBackup:
    def test_is_a_private_archive_whose_members_are_listed(self, archive: Path) -> None:
        assert stat.S_IMODE(archive.stat().st_mode) == 0o600
        with open_archive(archive) as (_, manifest):
            names = [member.name for member in manifest.members]
        assert {"lake/catalog.sqlite", "lake/identity.json", "lake/ready"} < set(names)
        assert sum(name.startswith("lake/files/") for name in names) == 3
        assert "variables/LIMIT.parquet" in names
        assert entries(archive.parent) == ["home", "home.zip"]

    def test_does_not_replace_a_file_without_force(self, filled: Settings, tmp_path: Path) -> None:
        path = tmp_path / "home.zip"
        path.write_bytes(b"mine")
        with pytest.raises(FileError, match="--force"):
            back_up(filled, path)
        assert path.read_bytes() == b"mine"
        back_up(filled, path, force=True)
        with open_archive(path):
            pass
        with pytest.raises(FileError, match="is a folder"):
            back_up(filled, tmp_path, force=True)

    @pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 9)])
    def test_of_a_home_with_a_lost_file_names_the_remedy(
        self, filled: Settings, tmp_path: Path, damage: Callable[[Path], None]
    ) -> None:
        path = data_file(filled, "github", "pulls")
        damage(path)
        with pytest.raises(StoreError, match=r"reload table github\.pulls") as refused:
            back_up(filled, tmp_path / "home.zip")
        assert str(path) in refused.value.message
        assert entries(tmp_path) == ["home"]

    def test_of_a_file_that_has_changed_is_refused(self, filled: Settings, tmp_path: Path) -> None:
        path = data_file(filled, "github", "pulls")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(StoreError, match=r"changed since it was written .* reload table github"):
            back_up(filled, tmp_path / "home.zip")

    def test_leaves_out_a_lost_file_of_an_older_version_and_says_so(
        self, filled: Settings, tmp_path: Path
    ) -> None:
        old = data_file(filled, "main", "words")
        with Lake(filled) as lake:
            lake.execute("create or replace table words as select 1 as i")
        old.unlink()
        result = back_up(filled, tmp_path / "home.zip")
        assert any(str(old) in notice for notice in result.notices)

    def test_of_a_lost_catalog_is_refused(self, filled: Settings, tmp_path: Path) -> None:
        (filled.lake / "catalog.sqlite").unlink()
        with pytest.raises(StoreError, match=r"catalog\.sqlite: is missing"):
            back_up(filled, tmp_path / "home.zip")
        assert entries(tmp_path) == ["home"]

    def test_of_a_damaged_queue_has_the_second_copy_of_its_schedules(
        self, filled: Settings, tmp_path: Path
    ) -> None:
        set_schedule(filled)
        filled.queue.write_bytes(os.urandom(8192))
        result = back_up(filled, tmp_path / "home.zip")
        assert any("the schedules are those of schedules.json" in notice for notice in result.notices)
        with open_archive(result.path) as (archive, _):
            assert b"pulls" in archive.read("schedules.json")

    def test_has_the_writes_and_none_that_is_to_be_sent(
        self, filled: Settings, target: Settings, tmp_path: Path
    ) -> None:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        new = NewWrite("default", TableName("crm", "people"), "insert", ConfigPaths("/c"))
        rows = [PlannedRow(number, "insert", {"email": str(number)}) for number in (1, 2)]
        with WriteStore(filled.writes) as store:
            planned, approved = store.plan(new, rows, now), store.plan(new, rows, now)
            store.approve(approved.id, "ada", now)
            started = store.start(approved, now)
            store.mark_sent(started, rows[:1], "k", now)

        restore_home(target, back_up(filled, tmp_path / "home.zip").path)

        with WriteStore(target.writes) as store:
            assert not store.open_tables()
            states = [[row.state for row in store.rows(write.id)] for write in (planned, approved)]
            assert store.approve(planned.id, "ada", now) is None  # the original may send it, too
        assert states == [["not sent", "not sent"], ["unknown", "not sent"]]

    def test_does_not_wait_for_an_open_transaction(
        self, filled: Settings, tmp_path: Path, target: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("unify.homes.catalog_check.LOCK_TIMEOUT_S", 0.0)
        with FileLock(filled.lake_lock, "shell").hold():
            path = back_up(filled, tmp_path / "home.zip").path
        restore_home(target, path)
        assert check_home(target, deep=True).findings == ()

    def test_that_fails_leaves_nothing_and_keeps_the_old_file(
        self, filled: Settings, archive: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = archive.read_bytes()
        monkeypatch.setenv("UNIFY_FAILPOINT", "backup.before_rename:raise")
        with pytest.raises(FailpointHit):
            back_up(filled, archive, force=True)
        assert archive.read_bytes() == before
        assert entries(archive.parent) == ["home", "home.zip"]

    def test_writes_over_what_a_killed_process_left(self, filled: Settings, tmp_path: Path) -> None:
        (tmp_path / "home.zip.partial").write_bytes(b"half" * 1_000_000)
        back_up(filled, tmp_path / "home.zip")
        assert entries(tmp_path) == ["home", "home.zip"]

    def test_does_not_write_through_a_symbolic_link(self, filled: Settings, tmp_path: Path) -> None:
        (tmp_path / "victim").write_bytes(b"mine")
        (tmp_path / "home.zip.partial").symlink_to(tmp_path / "victim")
        with pytest.raises(FileError, match="cannot be written"):
            back_up(filled, tmp_path / "home.zip")
        assert (tmp_path / "victim").read_bytes() == b"mine"


class TestConfiguration:
    CONNECTIONS = "github: {adapter: github, options: {token: '%s', org: duckdb}}\n"

    def write(self, settings: Settings, token: str) -> None:
        settings.connections.write_text(self.CONNECTIONS % token, encoding="utf-8")
        settings.connections.chmod(0o600)

    def members(self, path: Path) -> set[str]:
        with open_archive(path) as (_, manifest):
            return {member.name for member in manifest.members}

    def test_references_are_kept_as_written(self, filled: Settings, tmp_path: Path, target: Settings) -> None:
        self.write(filled, "${GITHUB_TOKEN}")
        result = back_up(filled, tmp_path / "home.zip")
        assert result.notices == ()
        restore_home(target, result.path, use_configuration=lambda _files: True)
        assert "${GITHUB_TOKEN}" in target.connections.read_text("utf-8")
        assert stat.S_IMODE(target.connections.stat().st_mode) == 0o600

    def test_is_not_used_without_consent(self, filled: Settings, tmp_path: Path, target: Settings) -> None:
        self.write(filled, "${GITHUB_TOKEN}")
        filled.notifications.write_text("webhook: {url: 'https://hooks.example.org/'}\n", encoding="utf-8")
        archive = back_up(filled, tmp_path / "home.zip").path
        shown: list[str] = []

        def refuse(files: Sequence[Path]) -> bool:
            shown.extend(file.read_text("utf-8") for file in files)
            return False

        outcome = restore_home(target, archive, use_configuration=refuse)
        assert ["${GITHUB_TOKEN}" in shown[0], "hooks.example.org" in shown[1]] == [True, True]
        assert not target.connections.exists()
        assert not target.notifications.exists()
        names = [target.home / "connections.yaml.restored", target.home / "notify.yaml.restored"]
        assert (outcome.used, outcome.unused) == ((), tuple(names))
        assert "${GITHUB_TOKEN}" in names[0].read_text("utf-8")
        assert check_home(target).findings == ()

    def test_that_is_the_same_is_used_without_a_question(self, filled: Settings, tmp_path: Path) -> None:
        self.write(filled, "${GITHUB_TOKEN}")
        archive = back_up(filled, tmp_path / "home.zip").path
        outcome = restore_home(filled, archive, force=True)
        assert (outcome.used, outcome.unused) == ((filled.connections,), ())
        assert "${GITHUB_TOKEN}" in filled.connections.read_text("utf-8")

    def test_secrets_in_plain_text_are_named_but_not_shown(self, filled: Settings, tmp_path: Path) -> None:
        self.write(filled, "ghp_verysecret")
        filled.notifications.write_text("webhook: {url: 'https://hooks.example.org/T/x'}\n", encoding="utf-8")
        [first, second] = back_up(filled, tmp_path / "home.zip").notices
        assert "(github.token)" in first
        assert "ghp_verysecret" not in first
        assert "(webhook.url)" in second

    def test_is_left_out_on_request(self, filled: Settings, tmp_path: Path) -> None:
        self.write(filled, "ghp_verysecret")
        result = back_up(filled, tmp_path / "home.zip", connections=False)
        assert result.notices == ()
        assert "connections.yaml" not in self.members(result.path)
        assert b"ghp_verysecret" not in result.path.read_bytes()

    def test_tokens_are_included_on_request_only(self, filled: Settings, tmp_path: Path) -> None:
        filled.token_folder.mkdir(mode=0o700)
        (filled.token_folder / "github-1.json").write_text("{}")
        result = back_up(filled, tmp_path / "home.zip")
        assert "--with-tokens" in result.notices[0]
        assert not any(name.startswith("tokens/") for name in self.members(result.path))
        back_up(filled, tmp_path / "home.zip", force=True, tokens=True)
        assert "tokens/github-1.json" in self.members(tmp_path / "home.zip")


def set_schedule(settings: Settings) -> None:
    origin = ConfigPaths(str(settings.connections))
    with Queue(settings.queue) as queue:
        queue.set_schedule(Schedule("default", TableName("github", "pulls"), origin, 3600.0, None))


class TestRestore:
    def test_brings_back_tables_history_schedules_and_variables(
        self, filled: Settings, tmp_path: Path, target: Settings
    ) -> None:
        set_schedule(filled)
        with Lake(filled) as lake:
            lake.execute("create view firsts as select min(i) as i from words")
        path = back_up(filled, tmp_path / "home.zip").path
        shutil.rmtree(filled.home)
        outcome = restore_home(target, path)
        assert outcome.aside is None
        assert check_home(target, deep=True).findings == ()
        with Lake(target) as lake:
            assert fetch_rows(lake, "select count(*), count(distinct id) from github.pulls") == [(5000, 5000)]
            assert fetch_rows(lake, "select i from firsts") == [(10,)]
            assert SavedVariables(target.home / "variables").names() == ("LIMIT",)
            lake.execute("insert into words values (1, 'new')")
        with Queue(target.queue) as queue:
            assert [schedule.table.table for schedule in queue.schedules()] == ["pulls"]
        assert check_home(target, deep=True).findings == ()
        assert entries(tmp_path) == ["home.zip", "restored"]

    def test_into_an_empty_folder(self, archive: Path, target: Settings) -> None:
        target.home.mkdir()
        restore_home(target, archive)
        assert check_home(target).findings == ()

    def test_refuses_a_home_with_a_lake_and_names_it(self, archive: Path, filled: Settings) -> None:
        with pytest.raises(StoreError, match="home with a lake") as refused:
            restore_home(filled, archive)
        assert str(filled.home) in refused.value.message
        assert check_home(filled).findings == ()

    def test_refuses_a_folder_with_other_files(self, archive: Path, target: Settings) -> None:
        target.home.mkdir()
        (target.home / "notes.txt").write_text("mine")
        with pytest.raises(StoreError, match=r"not empty \(notes\.txt\)"):
            restore_home(target, archive)

    def test_with_force_moves_the_old_home_aside_but_not_those_of_tenants(
        self, archive: Path, filled: Settings
    ) -> None:
        (filled.home / "notes.txt").write_text("mine")
        (filled.home / "tenants" / "acme").mkdir(parents=True)
        outcome = restore_home(filled, archive, force=True)
        assert outcome.aside is not None
        assert (outcome.aside / "notes.txt").read_text() == "mine"
        assert (outcome.aside / "lake" / "catalog.sqlite").exists()
        assert (filled.home / "tenants" / "acme").is_dir()
        assert check_home(filled).findings == ()

    def test_refuses_the_home_of_a_running_daemon(self, archive: Path, target: Settings) -> None:
        target.home.mkdir()
        with FileLock(target.daemon_lock).hold(), pytest.raises(StoreError, match="daemon is running"):
            restore_home(target, archive, force=True)

    def test_that_fails_leaves_nothing(
        self, archive: Path, target: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("UNIFY_FAILPOINT", "restore.before_rename:raise")
        with pytest.raises(FailpointHit):
            restore_home(target, archive)
        assert entries(archive.parent) == ["home", "home.zip"]

    def test_writes_over_what_a_killed_process_left(self, archive: Path, target: Settings) -> None:
        left = target.home.with_name("restored.restoring")
        (left / "lake").mkdir(parents=True)
        (left / "lake" / "ready").write_text("99")
        restore_home(target, archive)
        assert check_home(target).findings == ()
        assert not left.exists()

    def test_of_a_missing_file_is_an_error(self, target: Settings, tmp_path: Path) -> None:
        with pytest.raises(FileError, match=r"none\.zip"):
            restore_home(target, tmp_path / "none.zip")


def rewrite(
    archive: Path,
    change: Callable[[dict[str, bytes], dict[str, object]], None],
) -> None:
    """Change members and manifest of an archive, as a hostile program could."""
    with zipfile.ZipFile(archive) as source:
        members = {name: source.read(name) for name in source.namelist()}
    manifest = msgspec.json.decode(members.pop(MANIFEST_MEMBER))
    change(members, manifest)
    with zipfile.ZipFile(archive, "w") as target:
        for name, data in members.items():
            target.writestr(name, data)
        target.writestr(MANIFEST_MEMBER, msgspec.json.encode(manifest))


class TestDamagedArchives:
    def assert_refused(self, target: Settings, archive: Path, message: str) -> None:
        with pytest.raises(FileError, match=message) as refused:
            restore_home(target, archive)
        assert refused.value.message.startswith(f"{archive}: ")
        assert not target.home.exists()
        assert entries(archive.parent) == ["home", "home.zip"]

    @pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
    def test_a_truncated_one_is_refused(self, archive: Path, target: Settings, part: float) -> None:
        os.truncate(archive, int(archive.stat().st_size * part))
        self.assert_refused(target, archive, "truncated")

    def test_another_archive_is_refused(self, archive: Path, target: Settings) -> None:
        with zipfile.ZipFile(archive, "w") as other:
            other.writestr("photo.jpg", b"x")
        self.assert_refused(target, archive, "no backup of Unify")

    def test_a_flipped_bit_is_found_wherever_it_is(self, archive: Path, target: Settings) -> None:
        seed = 20260301
        content = archive.read_bytes()
        source = random.Random(seed)
        refused = 0
        for _ in range(60):
            position = source.randrange(len(content))
            flipped = bytearray(content)
            flipped[position] ^= 1 << source.randrange(8)
            archive.write_bytes(flipped)
            try:
                restore_home(target, archive)
            except FileError:
                refused += 1
                assert not target.home.exists()
            else:  # a byte that says nothing about the content, such as a time
                assert check_home(target, deep=True).findings == (), (seed, position)
                shutil.rmtree(target.home)
        assert refused > 30

    def test_changed_content_is_refused(self, archive: Path, target: Settings) -> None:
        def change(members: dict[str, bytes], _: dict[str, object]) -> None:
            members["lake/ready"] = b"9\n"

        rewrite(archive, change)
        self.assert_refused(target, archive, "lake/ready is damaged: its SHA-256")

    def test_a_missing_or_additional_member_is_refused(self, archive: Path, target: Settings) -> None:
        def remove(members: dict[str, bytes], _: dict[str, object]) -> None:
            del members["lake/ready"]

        def add(members: dict[str, bytes], _: dict[str, object]) -> None:
            members["lake/files/x"] = b""

        original = archive.read_bytes()
        for change in (remove, add):
            archive.write_bytes(original)
            rewrite(archive, change)
            self.assert_refused(target, archive, "not those of its manifest")

    @pytest.mark.parametrize(
        "name",
        ["../x", "/etc/x", "lake/files/../../../x", "lake/files//x", "lake/files/", "daemon.lock", "lake/x"],
    )
    def test_a_name_outside_of_a_home_is_refused(self, archive: Path, target: Settings, name: str) -> None:
        def change(members: dict[str, bytes], manifest: dict[str, object]) -> None:
            members[name] = b""
            listed = manifest["members"]
            assert isinstance(listed, list)
            listed.append({"name": name, "size": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb924"})

        rewrite(archive, change)
        self.assert_refused(target, archive, "not the name of a file in a home")

    @pytest.mark.parametrize(("key", "value"), [("version", "99.0.0"), ("format", 2), ("lake_schema", 1000)])
    def test_one_of_a_newer_version_is_refused(
        self, archive: Path, target: Settings, key: str, value: object
    ) -> None:
        def change(_: dict[str, bytes], manifest: dict[str, object]) -> None:
            manifest[key] = value
            manifest["added_later"] = {}

        rewrite(archive, change)
        self.assert_refused(target, archive, "newer version of Unify")

    def test_a_member_larger_than_it_says_is_not_unpacked(self, archive: Path, target: Settings) -> None:
        def declare(members: dict[str, bytes], manifest: dict[str, object]) -> None:
            members["preferences"] = b"\0" * 50_000_000
            listed = manifest["members"]
            assert isinstance(listed, list)
            listed.append({"name": "preferences", "size": 10, "sha256": "00"})

        rewrite(archive, declare)
        self.assert_refused(target, archive, "preferences is damaged")


def test_names_with_unusual_characters_are_allowed_in_folders_of_tables() -> None:
    assert is_allowed_name("lake/files/main/naïve table\\x/a.parquet")
    assert not is_allowed_name("lake/files/a\0b")
    assert not is_allowed_name("")
