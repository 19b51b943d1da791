"""Credentials are sent to no other server and appear in no message."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from tests.support.authenticated_api import (
    ALL_AUTHS,
    KEY,
    REDIRECTIONS,
    SECRET,
    STATIC_AUTHS,
    TOKEN_AUTHS,
    MakeAdapter,
    NoWaitClock,
    encoded_secrets,
    make_signed_in_adapter,
    serve_sign_in_routes,
    sign_in_and_read,
    with_server_url,
)
from tests.support.fault_server import FaultServer, MockResponse
from unify.adapters.base import Listeners, Read, Traffic
from unify.adapters.spec.paging import Paging
from unify.errors import UnifyError


class TestForeignOrigins:
    """13 authentication methods × 5 redirections × 4 foreign origins; and 65 cases with an allowed origin."""

    @pytest.mark.parametrize("redirection", REDIRECTIONS)
    @pytest.mark.parametrize("origin", ["port", "host", "scheme", "user"])
    @pytest.mark.parametrize("method", ALL_AUTHS)
    def test_no_redirection_sends_credentials_to_another_origin(
        self,
        api: FaultServer,
        foreign: FaultServer,
        make_adapter: MakeAdapter,
        method: str,
        origin: str,
        redirection: str,
    ) -> None:
        paging, reply = REDIRECTIONS[redirection]
        port, own = foreign.url.rpartition(":")[2], api.url.rpartition(":")[2]
        target = {
            "port": f"{foreign.url}/next",
            "host": f"http://localhost:{port}/next",
            "scheme": f"https://127.0.0.1:{own}/next",
            "user": f"http://127.0.0.1:{own}@127.0.0.1:{port}/next",
        }[origin]
        api.serve("/things", reply(target))

        with pytest.raises(UnifyError, match="outside this connection's host") as caught:
            list(make_signed_in_adapter(make_adapter, method, api, paging).pages("things", Read()))
        assert api.requests[-1].path == "/things"
        assert foreign.requests == []
        assert not any(form in caught.value.message for form in encoded_secrets())

    @pytest.mark.parametrize("redirection", REDIRECTIONS)
    @pytest.mark.parametrize("method", ALL_AUTHS)
    def test_an_allowed_origin_receives_no_credentials(
        self, api: FaultServer, foreign: FaultServer, make_adapter: MakeAdapter, method: str, redirection: str
    ) -> None:
        paging, reply = REDIRECTIONS[redirection]
        api.serve("/things", reply(f"{foreign.url}/next"))

        adapter = make_signed_in_adapter(make_adapter, method, api, paging, allowed_origins=(foreign.url,))
        assert [page.rows for page in adapter.pages("things", Read())][-1] == [b'{"id": 2}']
        (request,) = foreign.requests
        assert set(request.headers) <= {"host", "user-agent", "accept", "accept-encoding"}
        assert (request.target, request.body) == ("/next", b"")
        assert not any(form in repr(foreign.requests) for form in encoded_secrets())

    @pytest.mark.parametrize("redirection", REDIRECTIONS)
    @pytest.mark.parametrize("method", ["bearer", "basic", "cookie"])
    def test_an_origin_that_the_spec_names_for_it_receives_credentials(
        self, api: FaultServer, foreign: FaultServer, make_adapter: MakeAdapter, method: str, redirection: str
    ) -> None:
        paging, reply = REDIRECTIONS[redirection]
        api.serve("/things", reply(f"{foreign.url}/next"))

        adapter = make_signed_in_adapter(make_adapter, method, api, paging, credential_origins=(foreign.url,))
        assert [page.rows for page in adapter.pages("things", Read())][-1] == [b'{"id": 2}']
        (request,) = foreign.requests
        assert any(form in repr(request) for form in encoded_secrets())
        assert request.headers["x-extra"] == KEY

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("allowed", [False, True])
    @pytest.mark.parametrize(
        "method", [method for method in TOKEN_AUTHS if TOKEN_AUTHS[method].type in ("oauth2", "session")]
    )
    def test_a_redirected_token_request_sends_no_credentials(
        self,
        api: FaultServer,
        foreign: FaultServer,
        make_adapter: MakeAdapter,
        method: str,
        status: int,
        allowed: bool,
    ) -> None:
        """The authorization server redirects a request with secrets in its body or in a header."""
        api.serve("/token", MockResponse.redirect(f"{foreign.url}/next", status))
        settings = {"allowed_origins": (foreign.url,)} if allowed else {}
        adapter = make_adapter(
            with_server_url(TOKEN_AUTHS[method], api), Paging("none"), clock=NoWaitClock(), **settings
        )
        serve_sign_in_routes(api)
        with pytest.raises(UnifyError):
            sign_in_and_read(adapter, method)
        assert "/token" in api.request_targets
        assert not any(form in repr(foreign.requests) for form in encoded_secrets())
        assert all(
            request.method == "GET" and "authorization" not in request.headers for request in foreign.requests
        )
        assert allowed or foreign.requests == []

    @pytest.mark.parametrize("method", STATIC_AUTHS)
    def test_no_error_or_request_record_contains_credentials(
        self, api: FaultServer, make_adapter: MakeAdapter, method: str
    ) -> None:
        traffic: list[Traffic] = []
        message = f"no: {KEY} {SECRET} {quote(SECRET)}"
        api.serve("/things", MockResponse.error(503, message), MockResponse.error(400, message))

        with pytest.raises(UnifyError) as caught:
            list(
                make_adapter(STATIC_AUTHS[method], Paging("none"), listeners=Listeners(traffic.append)).pages(
                    "things", Read()
                )
            )
        assert len(traffic) == 2
        assert KEY in repr(api.requests) or base64.b64encode(f"ann:{SECRET}".encode()).decode() in repr(
            api.requests
        )
        output = caught.value.message + repr(traffic)
        assert not any(form in output for form in encoded_secrets())
