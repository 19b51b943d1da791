"""The OAuth 2 grant of service accounts: the assertion, the token request, keys that cannot sign."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.authenticated_api import FixedClock
from tests.support.fault_server import FaultServer, MockResponse
from unify.adapters.auth.factory import build_authentication
from unify.adapters.auth.token_cache import TokenCacheFolder
from unify.adapters.base import Read
from unify.adapters.options import choose_auth
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.paging import Paging
from unify.config.secrets import Secret
from unify.errors import ConfigError, Unauthorized

PRIVATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PASSPHRASE = "correct horse"


def pem(passphrase: str = "") -> str:
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    return PRIVATE_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


KEY_FILE = json.dumps(
    {
        "type": "service_account",
        "private_key_id": "k-1",
        "private_key": pem(),
        "client_email": "loader@project.iam.example",
        "token_uri": "https://unused.example/token",
    }
)


def read_rows(
    api: FaultServer, key: str, token_cache: TokenCacheFolder | None = None, **settings: Any
) -> int:
    """Read a table with the key, and return the number of its rows."""
    auth = Auth(
        "oauth2", {"grant": "jwt_bearer", "token_url": f"{api.url}/token", "key": "{key}", **settings}
    )
    table = TableSpec("things", ("GET /things",), paging=Paging("none"))
    spec = AdapterSpec("api", "api.yaml", api.url, auth=auth, tables=(table,))
    options = {"key": Secret(key), "subject": None, "user": "ann", "passphrase": Secret(PASSPHRASE)}
    adapter = RESTAdapter(spec, options, clock=FixedClock(), token_cache=token_cache)
    try:
        return sum(len(page.rows) for page in adapter.pages("things", Read()))
    finally:
        adapter.close()


@pytest.fixture
def service(api: FaultServer) -> FaultServer:
    """An API whose token endpoint issues one token."""
    api.serve("POST /token", MockResponse.json({"access_token": "tok-0000", "expires_in": 3600}))
    api.serve("/things", MockResponse.json([{"id": 1}]))
    return api


def assertion_of(api: FaultServer) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """The header and claims of the assertion in the only token request, and its other fields."""
    (request,) = [each for each in api.requests if each.method == "POST"]
    fields = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    assertion = fields.pop("assertion")
    claims = jwt.decode(
        assertion,
        PRIVATE_KEY.public_key(),
        ["RS256"],
        options={"verify_exp": False, "verify_aud": False, "verify_iat": False},
    )
    return jwt.get_unverified_header(assertion), claims, fields


def test_a_key_file_states_the_issuer_and_the_id_of_the_key(service: FaultServer) -> None:
    assert read_rows(service, KEY_FILE, scopes=["sheets", "drive"], subject="{subject}") == 1
    header, claims, fields = assertion_of(service)
    assert header["kid"] == "k-1"
    assert fields == {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    assert len(claims.pop("jti")) == 36
    now = int(FixedClock.now)
    assert claims == {
        "iss": "loader@project.iam.example",
        "aud": f"{service.url}/token",
        "scope": "sheets drive",
        "iat": now,
        "exp": now + 120,
    }
    assert service.requests[-1].headers["authorization"] == "Bearer tok-0000"


def test_issuer_subject_audience_and_claims_are_those_of_the_spec(service: FaultServer) -> None:
    settings: dict[str, Any] = {
        "issuer": "app",
        "subject": "{user}",
        "audience": "https://login.example",
        "key_id": "k-2",
        "claims": {"box_sub_type": "enterprise"},
        "lifetime": 45.0,
        "passphrase": "{passphrase}",
        "client_id": "app",
        "client_secret": "{passphrase}",
    }
    assert read_rows(service, pem(PASSPHRASE), **settings) == 1
    header, claims, _ = assertion_of(service)
    assert header["kid"] == "k-2"
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("app", "ann", "https://login.example")
    assert claims["box_sub_type"] == "enterprise"
    assert claims["exp"] - claims["iat"] == 45


def test_a_token_is_used_by_other_processes(service: FaultServer, tmp_path: Path) -> None:
    folder = TokenCacheFolder(tmp_path, "api")
    assert [read_rows(service, KEY_FILE, folder) for _ in range(2)] == [1, 1]
    assertion_of(service)  # there is one token request
    (file,) = tmp_path.glob("*.json")
    assert "PRIVATE" not in file.read_text()


def test_a_refused_assertion_names_the_options(api: FaultServer) -> None:
    api.serve("POST /token", MockResponse.json({"error": "invalid_grant"}, status=400))
    with pytest.raises(Unauthorized, match="option key of api"):
        read_rows(api, KEY_FILE)


@pytest.mark.parametrize(
    ("key", "settings", "message"),
    [
        ('{"type": "authorized_user"}', {}, r"auth\.key: is no key file of a service account"),
        ("-----BEGIN NOTHING-----", {"issuer": "app"}, r"auth\.key is not an RSA private key in PEM"),
        (pem(), {}, r"auth\.issuer: is missing"),
        (pem(PASSPHRASE), {"issuer": "app", "passphrase": "wrong"}, r"check auth\.passphrase"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_before_any_request(
    key: str, settings: dict[str, str], message: str
) -> None:
    auth = Auth(
        "oauth2", {"grant": "jwt_bearer", "token_url": "https://a.example", "key": "{key}", **settings}
    )
    with pytest.raises(ConfigError, match=message) as caught:
        build_authentication(auth, {"key": Secret(key)}, "api (api.yaml)")
    assert "PRIVATE" not in caught.value.message


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({"key": Secret("k"), "token": None}, "jwt"),
        ({"key": None, "token": Secret("t")}, "bearer"),
        ({"key": Secret("k"), "token": Secret("t")}, "jwt"),
        ({"key": None, "token": None}, "bearer"),
    ],
)
def test_the_first_authentication_whose_options_have_values_is_used(
    options: dict[str, Secret | None], chosen: str
) -> None:
    auths = Auth("jwt", {"key": "{key}", "claims": {"sub": "{user}"}}), Auth("bearer", {"token": "{token}"})
    spec = AdapterSpec("api", "api.yaml", "https://a.example", (), auth=auths[0], other_auths=auths[1:])
    assert choose_auth(spec, options).auth.type == chosen
