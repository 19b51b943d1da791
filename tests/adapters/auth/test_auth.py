"""Every authentication method: what a request carries, and when credentials are refused."""

from __future__ import annotations

import base64

import pytest

from tests.support.authenticated_api import KEY, OPTIONS, SECRET, STATIC_AUTHS, apply_auth
from tests.support.fault_server import FaultServer, MockResponse
from unify.adapters.auth.factory import build_authentication
from unify.adapters.base import Read
from unify.adapters.http.messages import Request
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.paging import Paging
from unify.errors import ConfigError


class TestAuthMethods:
    def test_none(self) -> None:
        assert apply_auth(Auth("none")) == Request("GET", "http://api/x")

    def test_bearer(self) -> None:
        assert apply_auth(STATIC_AUTHS["bearer"]).headers == {"Authorization": f"Bearer {KEY}"}

    def test_basic(self) -> None:
        scheme, _, proof = apply_auth(STATIC_AUTHS["basic"]).headers["Authorization"].partition(" ")
        assert scheme == "Basic"
        assert base64.b64decode(proof).decode() == f"ann:{SECRET}"

    def test_basic_with_a_token_as_user_name(self) -> None:
        auth = Auth("basic", {"username": "{key}"})
        proof = apply_auth(auth).headers["Authorization"].partition(" ")[2]
        assert base64.b64decode(proof).decode() == f"{KEY}:"

    def test_api_key_in_a_header(self) -> None:
        assert apply_auth(STATIC_AUTHS["header"]).headers == {"X-API-Key": KEY}

    def test_api_key_in_the_query_replaces_the_key_of_a_link(self) -> None:
        request = Request("GET", "http://api/x?api+key=old&page=2")
        way = build_authentication(STATIC_AUTHS["query"], OPTIONS, "c")
        assert way.apply(request, 0.0).full_url == f"http://api/x?page=2&api%20key={KEY}"

    def test_api_key_in_a_cookie_keeps_other_cookies(self) -> None:
        assert apply_auth(STATIC_AUTHS["cookie"], headers={"Cookie": "a=b"}).headers == {
            "Cookie": f"a=b; sid={KEY}"
        }

    def test_an_empty_token_is_an_error(self) -> None:
        assert apply_auth(Auth("bearer", {"token": "{empty}"})).headers == {}

    @pytest.mark.parametrize(
        ("auth", "message"),
        [
            (Auth("bearer", {}), r"auth\.token is missing"),
            (Auth("bearer", {"token": "{unset}"}), r"auth\.token: .*\{unset\} has no value"),
            (
                Auth("api_key", {"name": "x", "value": "y", "in": "body"}),
                r"auth\.in must be header, query or cookie",
            ),
            (Auth("bearer", {"token": "two\nlines"}), "line break"),
            (Auth("jwt", {"key": "x"}), r"auth\.key is not an RSA private key"),
            (
                Auth("oauth2", {"grant": "password"}),
                r"auth\.grant must be one of .*, jwt_bearer, not 'password'",
            ),
            (Auth("oauth2", {"token_url": "https://x", "client_id": "{unset}"}), r"auth\.client_id"),
        ],
    )
    def test_invalid_settings_are_refused_before_any_request(self, auth: Auth, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as caught:
            build_authentication(auth, OPTIONS, "conn (spec.yaml)")
        assert caught.value.message.startswith("conn (spec.yaml): ")


def test_a_table_can_have_an_authentication_of_its_own(api: FaultServer) -> None:
    api.serve("/things", MockResponse.json([{"id": 1}]))
    own = TableSpec("own", ("GET /things",), paging=Paging("none"), auth=STATIC_AUTHS["header"])
    common = TableSpec("common", ("GET /things",), paging=Paging("none"))
    spec = AdapterSpec("api", "api.yaml", api.url, (own, common), auth=STATIC_AUTHS["bearer"])
    adapter = RESTAdapter(spec, OPTIONS)
    try:
        assert [len(list(adapter.pages(name, Read()))) for name in ("own", "common", "own")] == [1, 1, 1]
    finally:
        adapter.close()
    sent = [
        (request.headers.get("x-api-key"), request.headers.get("authorization")) for request in api.requests
    ]
    assert sent == [(KEY, None), (None, f"Bearer {KEY}"), (KEY, None)]


def test_a_base_url_with_a_password_is_refused() -> None:
    with pytest.raises(ConfigError, match="use the spec's auth for them") as caught:
        RESTAdapter(AdapterSpec("a", "a.yaml", "https://ann:s3cret@example.org", ()), {})
    assert "s3cret" not in caught.value.message
