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
from unify.adapters.spec.model import Paging
from unify.errors import UnifyError


class TestCredentialsStayHome:
    """13 ways of authenticating by 5 detours by 4 other places: 260 cases; 65 more to an allowed origin."""

    @pytest.mark.parametrize("detour", REDIRECTIONS)
    @pytest.mark.parametrize("elsewhere", ["port", "host", "scheme", "user"])
    @pytest.mark.parametrize("way", ALL_AUTHS)
    def test_no_detour_takes_them_along(
        self,
        api: FaultServer,
        foreign: FaultServer,
        make_adapter: MakeAdapter,
        way: str,
        elsewhere: str,
        detour: str,
    ) -> None:
        paging, reply = REDIRECTIONS[detour]
        port, own = foreign.url.rpartition(":")[2], api.url.rpartition(":")[2]
        target = {
            "port": f"{foreign.url}/next",
            "host": f"http://localhost:{port}/next",
            "scheme": f"https://127.0.0.1:{own}/next",
            "user": f"http://127.0.0.1:{own}@127.0.0.1:{port}/next",
        }[elsewhere]
        api.serve("/things", reply(target))

        with pytest.raises(UnifyError, match="pinned to") as caught:
            list(make_signed_in_adapter(make_adapter, way, api, paging).pages("things", Read()))
        assert api.requests[-1].path == "/things"
        assert foreign.requests == []
        assert not any(form in caught.value.message for form in encoded_secrets())

    @pytest.mark.parametrize("detour", REDIRECTIONS)
    @pytest.mark.parametrize("way", ALL_AUTHS)
    def test_an_allowed_origin_is_asked_without_them(
        self, api: FaultServer, foreign: FaultServer, make_adapter: MakeAdapter, way: str, detour: str
    ) -> None:
        paging, reply = REDIRECTIONS[detour]
        api.serve("/things", reply(f"{foreign.url}/next"))

        adapter = make_signed_in_adapter(make_adapter, way, api, paging, allowed_origins=(foreign.url,))
        assert [page.rows for page in adapter.pages("things", Read())][-1] == [b'{"id": 2}']
        (asked,) = foreign.requests
        assert set(asked.headers) <= {"host", "user-agent", "accept", "accept-encoding"}
        assert (asked.target, asked.body) == ("/next", b"")
        assert not any(form in repr(foreign.requests) for form in encoded_secrets())

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("allowed", [False, True])
    @pytest.mark.parametrize(
        "way", [way for way in TOKEN_AUTHS if TOKEN_AUTHS[way].type in ("oauth2", "session")]
    )
    def test_what_asks_for_a_token_goes_nowhere_else(
        self,
        api: FaultServer,
        foreign: FaultServer,
        make_adapter: MakeAdapter,
        way: str,
        status: int,
        allowed: bool,
    ) -> None:
        """An authorization server that sends us on: with the secrets in the body, or in a header."""
        api.serve("/token", MockResponse.redirect(f"{foreign.url}/next", status))
        settings = {"allowed_origins": (foreign.url,)} if allowed else {}
        adapter = make_adapter(
            with_server_url(TOKEN_AUTHS[way], api), Paging("none"), clock=NoWaitClock(), **settings
        )
        serve_sign_in_routes(api)
        with pytest.raises(UnifyError):
            sign_in_and_read(adapter, way)
        assert "/token" in api.request_targets
        assert not any(form in repr(foreign.requests) for form in encoded_secrets())
        assert all(
            asked.method == "GET" and "authorization" not in asked.headers for asked in foreign.requests
        )
        assert allowed or foreign.requests == []

    @pytest.mark.parametrize("way", STATIC_AUTHS)
    def test_nothing_that_is_told_holds_them(
        self, api: FaultServer, make_adapter: MakeAdapter, way: str
    ) -> None:
        traffic: list[Traffic] = []
        said = f"no: {KEY} {SECRET} {quote(SECRET)}"
        api.serve("/things", MockResponse.error(503, said), MockResponse.error(400, said))

        with pytest.raises(UnifyError) as caught:
            list(
                make_adapter(STATIC_AUTHS[way], Paging("none"), listeners=Listeners(traffic.append)).pages(
                    "things", Read()
                )
            )
        assert len(traffic) == 2
        assert KEY in repr(api.requests) or base64.b64encode(f"ann:{SECRET}".encode()).decode() in repr(
            api.requests
        )
        told = caught.value.message + repr(traffic)
        assert not any(form in told for form in encoded_secrets())
