"""The folders of a home: private, wherever they are."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from unify.config.settings import Settings


@pytest.fixture
def long_home(tmp_path: Path) -> Iterator[Settings]:
    """A home whose path is too long for sockets."""
    home = tmp_path / ("x" * 120)
    settings = Settings(home, home / "connections.yaml")
    yield settings
    folder = settings.socket_folder
    if folder.parent == Path("/tmp") and folder.is_dir():
        folder.rmdir()


def test_the_sockets_of_a_long_home_are_in_a_private_folder_of_the_temp_folder(long_home: Settings) -> None:
    long_home.create_folders()
    folder = long_home.socket_folder
    assert folder.parent == Path("/tmp")
    assert len(os.fsencode(folder)) < 60
    assert stat.S_IMODE(folder.lstat().st_mode) == 0o700
    assert (long_home.home / "run").readlink() == folder
    long_home.create_folders()
    assert long_home.socket_folder == folder
    assert sorted(path.name for path in long_home.home.glob("run*")) == ["run", "run.lock"]


def test_two_long_homes_have_two_folders(long_home: Settings) -> None:
    other = Settings(long_home.home.with_name("y" * 120), long_home.connections)
    for settings in (long_home, other):
        settings.create_folders()
    assert long_home.socket_folder != other.socket_folder
    other.socket_folder.rmdir()


@pytest.mark.parametrize("attack", ["removed", "a link", "open to others", "another user's"])
def test_a_folder_that_is_not_ours_any_more_is_replaced(
    long_home: Settings, tmp_path: Path, attack: str
) -> None:
    long_home.create_folders()
    folder = long_home.socket_folder
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o755)
    if attack in ("removed", "a link"):
        folder.rmdir()
    if attack == "a link":
        folder.symlink_to(victim)
    elif attack == "open to others":
        folder.chmod(0o777)
    elif attack == "another user's":
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder to another user")
        os.chown(folder, 65_534, -1)
    assert long_home.socket_folder == long_home.home / "run"

    long_home.create_folders()
    assert long_home.socket_folder != folder
    assert stat.S_IMODE(long_home.socket_folder.lstat().st_mode) == 0o700
    assert stat.S_IMODE(victim.stat().st_mode) == 0o755
    assert list(victim.iterdir()) == []
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        folder.rmdir()


def test_the_sockets_of_a_short_home_are_in_it(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path / "connections.yaml")
    settings.create_folders()
    assert settings.socket_folder == tmp_path / "run"
