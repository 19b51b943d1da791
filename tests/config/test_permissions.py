"""Owners and modes of configuration files."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from unify.config.permissions import is_own, writers
from unify.config.trust import require_private_spec
from unify.errors import ConfigError

Status = Callable[..., os.stat_result]
USERS = {0: "root", 1000: "ann", 1001: "bob"}
GROUPS: dict[int, tuple[str, list[str]]] = {
    0: ("root", []),
    1000: ("ann", []),
    1001: ("bob", ["ann"]),
    50: ("staff", ["ann", "bob"]),
    51: ("empty", []),
}


def _user(uid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((USERS[uid], "x", uid, uid, "", "/", "/bin/sh"))


def _group(gid: int) -> grp.struct_group:
    name, members = GROUPS[gid]
    return grp.struct_group((name, "x", gid, members))


@pytest.fixture(autouse=True)
def known_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", _user)
    monkeypatch.setattr(grp, "getgrgid", _group)


def status(mode: int, owner: int, group: int, *, folder: bool = False) -> os.stat_result:
    kind = stat.S_IFDIR if folder else stat.S_IFREG
    return os.stat_result((kind | mode, 1, 1, 1, owner, group, 1, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "owner", "group", "expected"),
    [
        (0o644, 1000, 50, ""),
        (0o664, 1000, 1000, ""),  # a user-private group under a umask of 002
        (0o664, 0, 0, ""),
        (0o664, 1000, 0, ""),  # only root is in it
        (0o664, 4711, 4711, ""),  # a container that has neither name
        (0o664, 1000, 50, "the group staff"),
        (0o664, 1000, 51, "the group empty"),
        (0o664, 1001, 1001, "the group bob"),  # ann is in it
        (0o664, 4711, 4712, "the group 4712"),
        (0o664, 1000, 4711, "the group 4711"),
        (0o666, 1000, 1000, "every user"),
    ],
)
def test_others_who_can_write_are_named(mode: int, owner: int, group: int, expected: str) -> None:
    assert writers(status(mode, owner, group)) == expected


def test_nobody_can_replace_the_files_of_others_in_a_sticky_folder() -> None:
    assert writers(status(0o1777, 0, 0, folder=True)) == ""
    assert writers(status(0o777, 0, 0, folder=True)) == "every user"
    assert writers(status(0o1666, 1000, 1000)) == "every user"


def test_files_of_root_and_of_the_user_who_ran_sudo_are_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1234")
    assert is_own(1234)
    assert not is_own(1235)
    monkeypatch.setattr(os, "geteuid", lambda: 1235)
    assert is_own(0)
    assert not is_own(1234)


@pytest.mark.parametrize(("owners", "own"), [("1001", True), ("ann, bob", True), ("ann", False), ("", False)])
def test_files_of_trusted_owners_are_ones_own(
    monkeypatch: pytest.MonkeyPatch, owners: str, own: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("UNIFY_TRUSTED_OWNERS", owners)
    assert is_own(1001) is own
    assert is_own(1000)


@pytest.mark.parametrize(
    ("owner", "group", "remedy"), [(1001, 1001, "UNIFY_TRUSTED_OWNERS=bob"), (1000, 50, "run chmod go-w")]
)
def test_a_refused_spec_names_a_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: int, group: int, remedy: str
) -> None:
    spec = tmp_path / "x.yaml"
    spec.write_text("")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    real = Path.stat

    def other_status(path: Path, **options: bool) -> os.stat_result:
        return status(0o664, owner, group) if path == spec else real(path, **options)

    monkeypatch.setattr(Path, "stat", other_status)
    with pytest.raises(ConfigError, match=remedy):
        require_private_spec(spec)
