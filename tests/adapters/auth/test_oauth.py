"""OAuth 2.0 grants that need no user: tokens are fetched, reused and renewed."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, quote

import pytest

from tests.support.authenticated_api import (
    KEY,
    SECRET,
    TOKEN_AUTHS,
    FixedClock,
    MakeAdapter,
    encoded_secrets,
    with_server_url,
)
from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from unify.adapters.base import Listeners, Read, Traffic
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.paging import Paging
from unify.errors import Unauthorized, UnifyError


def token_server(*lifetimes: float | str | None) -> FaultServer:
    """Return a server that issues the tokens tok-0000, tok-0001 …, each with its lifetime."""
    server = FaultServer()
    given = [
        MockResponse.json(
            {"access_token": f"tok-{number:04}", "token_type": "bearer", "expires_in": lifetime}
        )
        for number, lifetime in enumerate(lifetimes)
    ]
    server.serve("POST /token", *given)
    return server


def serve_with_tokens(api: FaultServer, *good: str) -> None:
    """Serve ``/things`` for requests with one of these tokens."""

    def respond(request: RecordedRequest) -> MockResponse:
        known = request.headers.get("authorization", "") in [f"Bearer {token}" for token in good]
        return MockResponse.json([{"id": 1}]) if known else MockResponse.error(401, "expired")

    api.serve("/things", respond)


class TestOAuth2:
    def auth(self, server: FaultServer, **settings: Any) -> Auth:
        given = {"token_url": f"{server.url}/token", "client_id": "{user}", "client_secret": "{secret}"}
        return Auth("oauth2", {**given, **settings})

    def read(self, adapter: RESTAdapter) -> int:
        return sum(len(page.rows) for page in adapter.pages("things", Read()))

    def test_a_token_is_fetched_once_and_reused(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        with token_server(3600) as tokens:
            serve_with_tokens(api, "tok-0000")
            adapter = make_adapter(self.auth(tokens, scopes=["read", "{user}"]), Paging("none"))
            assert [self.read(adapter) for _ in range(3)] == [1, 1, 1]
            (request,) = tokens.requests
        assert request.body == b"grant_type=client_credentials&scope=read+ann"
        pair = f"ann:{quote(SECRET, safe='')}"
        assert request.headers["authorization"] == f"Basic {base64.b64encode(pair.encode()).decode()}"

    def test_a_token_can_come_as_a_form(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        with token_server() as tokens:
            body = b"access_token=tok-0000&expires_in=3600&token_type=bearer"
            tokens.serve("POST /token", MockResponse(200, body, {"Content-Type": "text/plain"}))
            serve_with_tokens(api, "tok-0000")
            assert self.read(make_adapter(self.auth(tokens), Paging("none"))) == 1

    def test_an_error_can_come_as_a_form(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        with token_server() as tokens:
            tokens.serve("POST /token", MockResponse(200, b"error=invalid_grant&error_description=no"))
            with pytest.raises(Unauthorized):
                self.read(make_adapter(self.auth(tokens), Paging("none")))
            assert len(tokens.requests) == 1

    def test_extra_fields_are_sent_and_replace_others(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        with token_server(3600) as tokens:
            serve_with_tokens(api, "tok-0000")
            extra = {"audience": "https://x.example/{user}", "grant_type": "account_credentials"}
            assert self.read(make_adapter(self.auth(tokens, extra=extra), Paging("none"))) == 1
            (request,) = tokens.requests
        assert request.body == b"grant_type=account_credentials&audience=https%3A%2F%2Fx.example%2Fann"

    def test_many_threads_fetch_one_token(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        with token_server(3600) as tokens:
            serve_with_tokens(api, "tok-0000")
            adapter = make_adapter(self.auth(tokens), Paging("none"))
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(self.read, [adapter] * 16)) == [1] * 16
            assert len(tokens.requests) == 1

    def test_a_client_secret_can_be_sent_in_the_body(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        with token_server(3600) as tokens:
            good = MockResponse.json({"access_token": "tok-0000"})
            tokens.serve("POST /token", MockResponse.error(401, "invalid_client"), good)
            serve_with_tokens(api, "tok-0000")
            assert self.read(make_adapter(self.auth(tokens), Paging("none"))) == 1
            assert b"client_id=ann&client_secret=" in tokens.requests[1].body
            assert "authorization" not in tokens.requests[1].headers

    def test_a_token_is_renewed_before_it_expires(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        with token_server("100", None) as tokens:
            serve_with_tokens(api, "tok-0000", "tok-0001")
            clock = FixedClock()
            adapter = make_adapter(self.auth(tokens), Paging("none"), clock=clock)
            self.read(adapter)
            clock.now += 89
            self.read(adapter)
            assert len(tokens.requests) == 1
            clock.now += 2
            self.read(adapter)
            assert len(tokens.requests) == 2
        assert api.requests[-1].headers["authorization"] == "Bearer tok-0001"

    def test_a_refused_token_is_renewed_once(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        with token_server(3600, 3600) as tokens:
            serve_with_tokens(api, "tok-0001")
            assert self.read(make_adapter(self.auth(tokens), Paging("none"))) == 1
            assert len(tokens.requests) == 2
        assert len(api.requests) == 2

    def test_a_renewed_token_that_is_refused_is_an_error(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        with token_server(3600) as tokens:
            serve_with_tokens(api, "never")
            with pytest.raises(Unauthorized, match="option"):
                self.read(make_adapter(self.auth(tokens), Paging("none")))
            assert len(tokens.requests) == 2
        assert len(api.requests) == 2

    def test_a_replaced_refresh_token_is_used_from_then_on(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        with token_server() as tokens:
            replies = [
                MockResponse.json({"access_token": f"tok-000{n}", "refresh_token": f"next-{n}"})
                for n in range(2)
            ]
            tokens.serve("POST /token", *replies)
            serve_with_tokens(api, "tok-0001")
            auth = self.auth(tokens, grant="refresh_token", refresh_token="{key}")
            assert self.read(make_adapter(auth, Paging("none"))) == 1
            sent = [parse_qs(request.body.decode())["refresh_token"] for request in tokens.requests]
        assert sent == [[KEY], ["next-0"]]

    @pytest.mark.parametrize(
        "reply",
        [
            MockResponse.error(400, "invalid_grant"),
            MockResponse.error(403, "no"),
            MockResponse.json({"ok": True}),
            MockResponse.text("<p>hello"),
        ],
        ids=["400", "403", "no token", "no JSON"],
    )
    def test_a_response_without_a_token_is_an_error(
        self, api: FaultServer, make_adapter: MakeAdapter, reply: MockResponse
    ) -> None:
        with token_server() as tokens:
            tokens.serve("POST /token", reply)
            with pytest.raises(Unauthorized, match="no token was issued; check option"):
                self.read(make_adapter(self.auth(tokens), Paging("none")))
        assert api.requests == []

    def test_a_token_in_an_unknown_member_is_not_in_the_error(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        with token_server() as tokens:
            tokens.serve("POST /token", MockResponse.json({"accessToken": "tok-0123456789"}))
            with pytest.raises(Unauthorized, match="no token was issued") as caught:
                self.read(make_adapter(self.auth(tokens), Paging("none")))
        assert "tok-0123" not in caught.value.message

    @pytest.mark.parametrize("way", ["client credentials", "refresh token", "session", "session cookie"])
    def test_a_quoted_refusal_contains_no_secret(
        self, api: FaultServer, make_adapter: MakeAdapter, way: str
    ) -> None:
        proof = base64.b64encode(f"ann:{quote(SECRET, safe='')}".encode()).decode()
        api.serve(
            "/token", lambda request: MockResponse.error(400, f"{request.headers} {request.body.decode()}")
        )
        with pytest.raises(Unauthorized, match="no token was issued") as caught:
            self.read(make_adapter(with_server_url(TOKEN_AUTHS[way], api), Paging("none")))
        assert not any(form in caught.value.message for form in [*encoded_secrets(), proof])

    def test_no_error_or_request_record_contains_token_or_secret(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        traffic: list[Traffic] = []
        with token_server(3600) as tokens:
            api.serve("/things", MockResponse.error(400, f"tok-0000 {SECRET}"))
            adapter = make_adapter(self.auth(tokens), Paging("none"), listeners=Listeners(traffic.append))
            with pytest.raises(UnifyError) as caught:
                self.read(adapter)
        output = caught.value.message + repr(traffic)
        assert len(traffic) == 2
        assert not any(form in output for form in [*encoded_secrets(), "tok-0000"])
