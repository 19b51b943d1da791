"""Users of the servers and their tokens."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from pathlib import Path

import pytest

from tests.support.stores import settings_for_home
from unify.errors import StoreError, UnknownName, UsageError
from unify.servers.tokens import TokenHash, create_token, split_token
from unify.servers.users import Role, UserStore


@pytest.fixture
def users(empty_home: Path) -> UserStore:
    return UserStore(settings_for_home(empty_home))


def test_a_token_names_its_user_until_the_user_is_removed(users: UserStore) -> None:
    token = users.add_user("prometheus", Role.READER)
    users.add_user("loads", Role.LOADER)
    found = users.verify(token)
    assert found is not None
    assert (found.name, found.role) == ("prometheus", Role.READER)
    users.remove_user("prometheus")
    assert users.verify(token) is None
    assert [user.name for user in users.list_users()] == ["loads"]


def test_another_process_sees_changes_at_once(users: UserStore, empty_home: Path) -> None:
    server = UserStore(settings_for_home(empty_home))
    assert server.list_users() == []
    token = users.add_user("a", Role.READER)
    assert server.verify(token) is not None
    users.remove_user("a")
    assert server.verify(token) is None
    again = users.add_user("a", Role.READER)
    assert (server.verify(token), server.verify(again) is None) == (None, False)


def test_the_file_has_salted_hashes_and_no_token(users: UserStore) -> None:
    tokens = [users.add_user(name, Role.READER) for name in ("a", "b")]
    text = users.path.read_text()
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600
    assert not [part for token in tokens for part in token.split(".")[2:] if part in text]
    hashes = [user["token"] for user in json.loads(text)["users"]]
    assert len({one["salt"] for one in hashes}) == 2
    secret = tokens[0].rpartition(".")[2]
    values = {name: hashes[0][name] for name in ("n", "r", "p")}
    assert values["n"] >= 4096
    expected = hashlib.scrypt(secret.encode(), salt=bytes.fromhex(hashes[0]["salt"]), dklen=32, **values)
    assert hashes[0]["digest"] == expected.hex()


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token.swapcase(),
        lambda token: token.replace(".a.", ".b."),
        lambda token: token.replace(".a.", ".nobody."),
        lambda token: token.rpartition(".")[2],
        lambda token: token.rpartition(".")[0] + ".",
        lambda _token: "",
        lambda _token: "unify.a." + "x" * 10_000,
        lambda _token: "Bearer\udc80",
    ],
)
def test_a_token_that_was_changed_is_not_valid(users: UserStore, change: object) -> None:
    token = users.add_user("a", Role.READER)
    users.add_user("b", Role.WRITER)
    assert callable(change)
    assert users.verify(change(token)) is None


def test_a_verified_token_is_not_hashed_again(users: UserStore, monkeypatch: pytest.MonkeyPatch) -> None:
    token = users.add_user("a", Role.READER)
    first = users.verify(token)
    monkeypatch.setattr(TokenHash, "matches", lambda *_: pytest.fail("hashed again"))
    assert users.verify(token) == first


def test_a_token_of_an_unknown_user_is_hashed_too(users: UserStore, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    monkeypatch.setattr(TokenHash, "matches", lambda _, secret: hashed.append(secret))
    assert users.verify("unify.nobody.secret") is None
    assert hashed == ["secret"]


def test_tokens_are_random_and_can_be_sent_in_a_header() -> None:
    tokens = {create_token("a-b_1")[0] for _ in range(20)}
    assert len(tokens) == 20
    for token in tokens:
        parts = split_token(token)
        assert parts is not None
        assert parts[0] == "a-b_1"
        assert len(parts[1]) == 43
        assert token.isascii()
        assert not set(token) & set(" \"',;\\")


@pytest.mark.parametrize("name", ["", "A", "a b", "a.b", "../x", "a" * 33, "-a", "ä", "a\n"])
def test_a_name_that_could_be_misread_is_refused(users: UserStore, name: str) -> None:
    with pytest.raises(UsageError, match="a name has at most 32"):
        users.add_user(name, Role.READER)


def test_a_name_is_used_once(users: UserStore) -> None:
    users.add_user("a", Role.READER)
    with pytest.raises(UsageError, match="user a exists; for a new token, remove the user first"):
        users.add_user("a", Role.WRITER)


def test_an_unknown_user_is_named_with_a_suggestion(users: UserStore) -> None:
    users.add_user("prometheus", Role.READER)
    with pytest.raises(UnknownName, match="there is no user promteheus; did you mean prometheus"):
        users.remove_user("promteheus")


def test_users_added_at_once_are_all_kept(users: UserStore, empty_home: Path) -> None:
    stores = [UserStore(settings_for_home(empty_home)) for _ in range(8)]
    threads = [
        threading.Thread(target=store.add_user, args=(f"u{number}", Role.READER))
        for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [user.name for user in users.list_users()] == [f"u{number}" for number in range(8)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "damaged; remove it and add the users again"),
        (b'{"format": 1, "users": [{"name": "a", "role": "admin"}]}', "damaged"),
        (b'{"format": 2, "users": []}', "newer version of Unify"),
    ],
)
def test_a_file_that_cannot_be_read_lets_nobody_in(users: UserStore, content: bytes, message: str) -> None:
    token = users.add_user("a", Role.READER)
    users.path.write_bytes(content)
    for call in (users.list_users, lambda: users.verify(token), lambda: users.add_user("b", Role.READER)):
        with pytest.raises(StoreError, match=message):
            call()
    assert users.path.read_bytes() == content


def test_a_file_that_others_can_access_lets_nobody_in(users: UserStore) -> None:
    token = users.add_user("a", Role.READER)
    users.path.chmod(0o640)
    with pytest.raises(StoreError, match=r"other users of this machine can access it; .* chmod 600"):
        users.verify(token)
