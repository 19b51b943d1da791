"""Session authentication: a login request supplies the token or cookie of later requests."""

from __future__ import annotations

import base64
from typing import ClassVar

import pytest

from tests.support.authenticated_api import SECRET, MakeAdapter
from tests.support.fault_server import FaultServer, MockResponse
from unify.adapters.base import Read
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.paging import Paging
from unify.errors import Unauthorized


class TestSession:
    login: ClassVar = {
        "request": "POST /login",
        "body": {"u": "{user}", "p": "{secret}"},
        "token": "data.token",
    }

    def test_logs_in_once_and_sends_the_token_as_configured(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("POST /login", MockResponse.json({"data": {"token": "sess-1"}}))
        api.serve("/things", MockResponse.json([]))
        adapter = make_adapter(
            Auth("session", {**self.login, "name": "X-Session", "value": "S {session}"}), Paging("none")
        )
        for _ in range(2):
            list(adapter.pages("things", Read()))
        assert api.requests[0].json() == {"u": "ann", "p": SECRET}
        assert [request.headers.get("x-session") for request in api.requests] == [
            None,
            "S sess-1",
            "S sess-1",
        ]

    def test_the_log_in_has_headers_and_basic_authentication(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("POST /login", MockResponse.json({"data": {"token": "sess-1"}}))
        api.serve("/things", MockResponse.json([]))
        login = {"headers": {"X-Version": "{user}"}, "username": "{user}", "password": "{secret}"}
        adapter = make_adapter(Auth("session", {**self.login, **login}), Paging("none"))
        list(adapter.pages("things", Read()))

        sent = api.requests[0].headers
        credentials = base64.b64encode(f"ann:{SECRET}".encode()).decode()
        assert (sent["x-version"], sent["authorization"]) == ("ann", f"Basic {credentials}")
        assert api.requests[1].headers["authorization"] == "Bearer sess-1"

    @pytest.mark.parametrize(
        ("token", "headers"),
        [
            ("cookies.sid", {"Set-Cookie": "a=1; Path=/, sid=abc-1; Path=/; HttpOnly"}),
            ("headers.Set-Cookie", {"Set-Cookie": "sid=abc-1; Expires=Wed, 21 Oct 2026 07:28:00 GMT"}),
            ("headers.X-Subject-Token", {"X-Subject-Token": "abc-1"}),
        ],
    )
    @pytest.mark.parametrize("body", [b"", b'{"code": 200}', b"welcome"])
    def test_the_token_can_be_in_a_cookie_or_header(
        self,
        api: FaultServer,
        make_adapter: MakeAdapter,
        token: str,
        headers: dict[str, str],
        body: bytes,
    ) -> None:
        api.serve("POST /login", MockResponse(200, body, headers))
        api.serve("/things", MockResponse.json([]))
        settings = {**self.login, "token": token, "in": "cookie", "name": "sid", "value": "{session}"}
        list(make_adapter(Auth("session", settings), Paging("none")).pages("things", Read()))
        assert api.requests[1].headers["cookie"] == "sid=abc-1"

    def test_a_login_without_the_cookie_is_an_error(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("POST /login", MockResponse(200, b"{}", {"Set-Cookie": "xsid=abc-1"}))
        settings = {**self.login, "token": "cookies.sid", "in": "cookie", "name": "sid"}
        with pytest.raises(Unauthorized, match=r"auth\.token: the response has no value at cookies\.sid"):
            list(make_adapter(Auth("session", settings), Paging("none")).pages("things", Read()))

    def test_logs_in_again_when_the_session_has_expired(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve(
            "POST /login",
            MockResponse.json({"data": {"token": "old1"}}),
            MockResponse.json({"data": {"token": "new1"}}),
        )
        api.serve(
            "/things",
            lambda request: (
                MockResponse.json([]) if request.headers["cookie"] == "sid=new1" else MockResponse.error(401)
            ),
        )
        settings = {**self.login, "in": "cookie", "name": "sid", "value": "{session}"}
        list(make_adapter(Auth("session", settings), Paging("none")).pages("things", Read()))
        assert [request.path for request in api.requests] == ["/login", "/things", "/login", "/things"]

    def test_a_form_is_sent_url_encoded(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("POST /login", MockResponse.json({"t": 5}))
        api.serve("/things", MockResponse.json([]))
        settings = {
            "request": "POST /login",
            "form": {"u": "{user}"},
            "token": "t",
            "in": "query",
            "name": "s",
        }
        list(
            make_adapter(Auth("session", {**settings, "value": "{session}"}), Paging("none")).pages(
                "things", Read()
            )
        )
        assert api.requests[0].body == b"u=ann"
        assert api.request_targets[1] == "/things?s=5"

    def test_a_login_without_a_token_is_an_error(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("POST /login", MockResponse.json({"data": {}}))
        with pytest.raises(Unauthorized, match="no token was issued"):
            list(make_adapter(Auth("session", self.login), Paging("none")).pages("things", Read()))

    @pytest.mark.parametrize(
        ("reply", "message"),
        [
            (
                MockResponse.json({"data": {"tok": "sess-0123456789"}}),
                r"auth\.token: the response has no value at data\.token",
            ),
            (MockResponse.text("sess-0123456789", "text/plain"), "not a JSON object"),
            (MockResponse.json("sess-0123456789"), "not a JSON object"),
        ],
        ids=["elsewhere", "text", "JSON text"],
    )
    def test_a_token_in_another_member_is_not_in_the_error(
        self, api: FaultServer, make_adapter: MakeAdapter, reply: MockResponse, message: str
    ) -> None:
        api.serve("POST /login", reply)
        with pytest.raises(Unauthorized, match=message) as caught:
            list(make_adapter(Auth("session", self.login), Paging("none")).pages("things", Read()))
        assert "sess-0123" not in caught.value.message
