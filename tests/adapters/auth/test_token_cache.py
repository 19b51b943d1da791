"""The token cache that processes share, and JSON Web Tokens signed with private keys."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from unify.adapters.auth.factory import build_authentication
from unify.adapters.auth.token_cache import CachedToken, TokenCacheFolder
from unify.adapters.base import Read
from unify.adapters.http.messages import Request
from unify.adapters.http.rate_limit import Clock
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.paging import Paging
from unify.config.secrets import Secret
from unify.errors import ConfigError, StoreError, Unauthorized, UnifyError

FIRST = "given-refresh-canary"


class TokenServer:
    """An authorization server with refresh tokens valid once, and an API that accepts the newest token."""

    def __init__(self, server: FaultServer, lifetime_s: int = 3600) -> None:
        self.server = server
        self.lifetime_s = lifetime_s
        self.good = FIRST
        self.given = 0
        server.serve("POST /token", self.exchange)
        server.serve("/things", self.things)

    def exchange(self, request: RecordedRequest) -> MockResponse:
        fields = parse_qs(request.body.decode())
        if fields["grant_type"] == ["refresh_token"]:
            if fields["refresh_token"] != [self.good]:
                return MockResponse.error(400, "invalid_grant")
            self.good = f"replaced-{self.given + 1}"
        self.given += 1
        token = {"access_token": f"access-{self.given}", "expires_in": self.lifetime_s}
        return MockResponse.json({**token, "refresh_token": self.good})

    def things(self, request: RecordedRequest) -> MockResponse:
        newest = request.headers.get("authorization") == f"Bearer access-{self.given}"
        return MockResponse.json([{"id": 1}]) if newest else MockResponse.error(401)


class OffsetClock(Clock):
    def __init__(self, after_s: float) -> None:
        self.after_s = after_s

    def time(self) -> float:
        return super().time() + self.after_s


Process = Callable[..., int]


@pytest.fixture
def token_server() -> Iterator[TokenServer]:
    with FaultServer() as server:
        yield TokenServer(server)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)


@pytest.fixture
def process(token_server: TokenServer, folder: Path) -> Process:
    """Read the table with an adapter that shares only the folder, as in another process."""

    def read(refresh_token: str = FIRST, after_s: float = 0.0, base_url: str = "", **settings: Any) -> int:
        given = {"grant": "refresh_token", "client_id": "unify", "refresh_token": "{refresh_token}"}
        auth = Auth("oauth2", {"token_url": f"{token_server.server.url}/token", **given, **settings})
        spec = AdapterSpec(
            "a",
            "a.yaml",
            base_url or token_server.server.url,
            auth=auth,
            paging=Paging("none"),
            tables=(TableSpec("things", ("GET /things",)),),
        )
        adapter = RESTAdapter(
            spec,
            {"refresh_token": Secret(refresh_token)},
            clock=OffsetClock(after_s),
            token_cache=TokenCacheFolder(folder, "mine"),
        )
        try:
            return sum(len(page.rows) for page in adapter.pages("things", Read()))
        finally:
            adapter.close()

    return read


class TestTokenCache:
    def test_a_token_is_fetched_once_for_all_processes(
        self, token_server: TokenServer, process: Process
    ) -> None:
        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(lambda _: process(), range(12))) == [1] * 12
        assert token_server.given == 1

    def test_a_replaced_refresh_token_is_used_by_the_next_process(
        self, token_server: TokenServer, process: Process
    ) -> None:
        assert [process(), process(after_s=3600), process(after_s=7200)] == [1, 1, 1]
        assert token_server.given == 3

    def test_a_token_refused_in_one_process_is_replaced_for_all(
        self, token_server: TokenServer, process: Process
    ) -> None:
        process()
        token_server.given += 1  # a newer token was issued, so the stored one is invalid
        assert [process(), process()] == [1, 1]
        assert token_server.given == 3

    def test_a_configured_refresh_token_that_changed_replaces_the_stored_one(
        self, token_server: TokenServer, process: Process
    ) -> None:
        process()
        token_server.good = "consented-again"
        assert process("consented-again") == 1
        assert token_server.good == "replaced-2"

    def test_a_revoked_stored_refresh_token_is_replaced_by_the_configured_one(
        self, token_server: TokenServer, process: Process
    ) -> None:
        process()
        token_server.good = FIRST
        assert process(after_s=3600) == 1

    def test_a_token_is_not_sent_to_an_origin_for_which_it_was_not_issued(
        self, token_server: TokenServer, process: Process
    ) -> None:
        assert process() == 1
        with FaultServer() as other:
            other.serve("/things", MockResponse.json([{"id": 1}]))
            with pytest.raises(UnifyError):  # the configured refresh token is replaced: it is refused
                process(base_url=other.url)
            assert other.requests == []
        assert process() == 1

    def test_a_token_of_client_credentials_is_shared(
        self, token_server: TokenServer, process: Process
    ) -> None:
        settings = {"grant": "client_credentials", "client_secret": "s"}
        assert [process(**settings), process(**settings)] == [1, 1]
        assert token_server.given == 1

    @pytest.mark.socket
    def test_a_session_is_shared(self, folder: Path) -> None:
        auth = Auth("session", {"request": "POST /login", "body": {"p": "{p}"}, "token": "t"})
        with FaultServer() as api:
            api.serve("POST /login", MockResponse.json({"t": "session-1"}))
            api.serve("/things", MockResponse.json([{"id": 1}]))
            spec = AdapterSpec(
                "a", "a.yaml", api.url, auth=auth, tables=(TableSpec("things", ("GET /things",)),)
            )
            for _ in range(2):
                adapter = RESTAdapter(
                    spec, {"p": Secret("pass")}, token_cache=TokenCacheFolder(folder, "mine")
                )
                assert len(list(adapter.pages("things", Read()))) == 1
                adapter.close()
            assert api.request_targets == ["/login", "/things", "/things"]

    def test_the_file_is_private_and_contains_no_configured_secret(
        self, folder: Path, process: Process
    ) -> None:
        before = os.umask(0)
        try:
            process()
        finally:
            os.umask(before)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        assert not any(FIRST in path.read_text() + path.name for path in folder.iterdir())

    def test_a_failed_token_request_releases_the_lock(
        self, token_server: TokenServer, process: Process
    ) -> None:
        token_server.server.serve("POST /token", MockResponse.error(404))
        with pytest.raises(UnifyError) as caught:
            process()
        token_server.server.serve("POST /token", token_server.exchange)
        assert process() == 1
        assert FIRST not in caught.value.message

    def test_a_response_without_a_token_names_the_reason(
        self, token_server: TokenServer, process: Process
    ) -> None:
        token_server.good = "something else"
        with pytest.raises(Unauthorized, match="no token was issued"):
            process()

    def test_a_damaged_file_is_named(self, folder: Path, process: Process) -> None:
        process()
        (file,) = folder.glob("*.json")
        file.write_text("{")
        with pytest.raises(StoreError, match=r"mine-.*\.json: is damaged"):
            process(after_s=3600)


def test_a_damaged_file_is_replaced_if_no_user_is_needed(tmp_path: Path) -> None:
    folder = TokenCacheFolder(tmp_path, "mine")
    for damage in (b"{", b"", b"\xff\xfe"):
        cache = folder.open_cache("https://api.example", "https://login.example", replaceable=True)
        cache.write(CachedToken("first"))
        (file,) = tmp_path.glob("*.json")
        file.write_bytes(damage)
        assert cache.read() is None
        cache.write(CachedToken("second"))
        assert cache.read() == CachedToken("second")
        file.write_bytes(damage)
        with pytest.raises(StoreError, match="is damaged"):
            folder.open_cache("https://api.example", "https://login.example").read()


def test_every_token_of_a_connection_is_deleted_and_none_of_another(tmp_path: Path) -> None:
    folder = TokenCacheFolder(tmp_path, "mine")
    other = TokenCacheFolder(tmp_path, "mine-2").open_cache("https://a.example", "x")
    caches = [folder.open_cache(url, "x") for url in ("https://a.example", "https://b.example")]
    for cache in (*caches, other):
        cache.write(CachedToken("t"))
    folder.delete_all()
    assert [cache.read() for cache in caches] == [None, None]
    assert other.read() == CachedToken("t")


class TestKeyring:
    @pytest.fixture
    def keyring(self, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
        stored: dict[tuple[str, str], str] = {}
        module = types.ModuleType("keyring")
        module.get_password = lambda service, user: stored.get((service, user))  # type: ignore[attr-defined]
        module.set_password = lambda service, user, text: stored.update({(service, user): text})  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "keyring", module)
        return stored

    def test_the_keyring_contains_the_token_and_the_file_does_not(
        self, token_server: TokenServer, folder: Path, process: Process, keyring: dict[tuple[str, str], str]
    ) -> None:
        assert [process(), process(), process(after_s=3600)] == [1, 1, 1]
        assert token_server.given == 2
        assert "replaced-2" in next(iter(keyring.values()))
        assert not any("replaced" in path.read_text() for path in folder.iterdir())

    def test_a_deleted_token_is_in_neither_place(
        self, folder: Path, keyring: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def delete(service: str, user: str) -> None:
            del keyring[service, user]

        monkeypatch.setattr(sys.modules["keyring"], "delete_password", delete, raising=False)
        cache = TokenCacheFolder(folder, "mine").open_cache("https://api.example", "who")
        with cache.lock():
            cache.write(CachedToken("token-canary"))
            assert len(keyring) == 1
            cache.delete()
            assert cache.read() is None
        assert (keyring, list(folder.glob("*.json"))) == ({}, [])

    def test_a_keyring_that_is_no_longer_available_is_named(
        self, process: Process, keyring: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        process()
        monkeypatch.setitem(sys.modules, "keyring", None)
        with pytest.raises(StoreError, match="pip install keyring"):
            process()

    def test_a_keyring_that_refuses_the_token_leaves_it_to_the_file(
        self,
        token_server: TokenServer,
        process: Process,
        keyring: dict[tuple[str, str], str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refuse(*_given: str) -> None:
            raise RuntimeError("no store")

        monkeypatch.setattr(sys.modules["keyring"], "set_password", refuse)
        assert [process(), process()] == [1, 1]
        assert (token_server.given, keyring) == (1, {})


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def token(algorithm: str, key: str) -> tuple[dict[str, Any], bytes, bytes]:
    """Return the header of a token, the signed text and the signature."""
    auth = Auth("jwt", {"algorithm": algorithm, "key": "{key}", "claims": {"iss": "app"}})
    proof = build_authentication(auth, {"key": Secret(key)}, "c").apply(Request("GET", "http://x"), 1000.0)
    signed, _, signature = proof.headers["Authorization"].removeprefix("Bearer ").rpartition(".")
    return json.loads(decoded(signed.split(".")[0])), signed.encode(), decoded(signature)


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class TestPrivateKeys:
    @pytest.mark.parametrize("written", [pem(RSA_KEY), pem(RSA_KEY).replace("\n", "\\n")])
    def test_rs256(self, written: str) -> None:
        header, signed, signature = token("RS256", written)
        assert header == {"alg": "RS256", "typ": "JWT"}
        RSA_KEY.public_key().verify(signature, signed, PKCS1v15(), SHA256())  # raises if it is wrong

    def test_es256(self) -> None:
        _, signed, signature = token("ES256", pem(EC_KEY))
        assert len(signature) == 64
        numbers = [int.from_bytes(part, "big") for part in (signature[:32], signature[32:])]
        EC_KEY.public_key().verify(encode_dss_signature(*numbers), signed, ec.ECDSA(SHA256()))

    @pytest.mark.parametrize(
        ("algorithm", "key", "message"),
        [
            ("RS256", "no-key-canary", r"^c: auth\.key is not an RSA private key in PEM"),
            ("RS256", pem(EC_KEY), "auth.key is not an RSA private key"),
            ("RS256", public_pem(RSA_KEY), "auth.key is not an RSA private key"),
            ("ES256", pem(RSA_KEY), "auth.key is not a P-256 private key"),
            ("ES256", "no-key-canary", "auth.key is not a P-256 private key"),
            ("ES256", pem(ec.generate_private_key(ec.SECP384R1())), "auth.key is not a P-256 private key"),
            ("HS256", pem(RSA_KEY), "auth.key is not a shared secret"),
            ("PS512", "other-canary", r"auth\.algorithm must be HS256, RS256 or ES256"),
        ],
    )
    def test_an_unsuitable_key_is_refused_and_not_shown(self, algorithm: str, key: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as caught:
            token(algorithm, key)
        assert key not in caught.value.message

    @pytest.mark.parametrize("package", ["jwt", "cryptography"])
    def test_a_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "jwt"]:
            monkeypatch.delitem(sys.modules, name)
        for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
            monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ConfigError, match=r"pip install 'unify-sql\[jwt\]'"):
            token("RS256", pem(RSA_KEY))
