"""The HTTP client: requests, redirects and the pinned origin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer, MockResponse, unused_port
from tests.support.http_client import TOKEN, ClientHarness
from unify.adapters.http.messages import Request, origin_of
from unify.errors import (
    SourceError,
)


class TestOrigins:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirects_within_the_origin_are_followed(self, client: ClientHarness, status: int) -> None:
        client.api.serve("/old", MockResponse.redirect("/new?x=1", status))
        client.api.serve("/new", MockResponse.json([1]))

        assert client.get("/old", params=(("page", "2"),)).body == b"[1]"
        assert client.api.request_targets == ["/old?page=2", "/new?x=1"]
        assert client.api.requests[1].headers["authorization"] == f"Bearer {TOKEN}"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize(
        "place", ["http://localhost:{port}/x", "https://127.0.0.1:{own}/x", "//127.0.0.1:{port}/x"]
    )
    def test_redirects_to_another_origin_are_errors_naming_both(
        self, client: ClientHarness, status: int, place: str
    ) -> None:
        with FaultServer() as foreign:
            port, own = foreign.url.rpartition(":")[2], client.api.url.rpartition(":")[2]
            target = place.format(port=port, own=own)
            client.api.serve("/x", MockResponse.redirect(target, status))

            error = client.fetch_error("/x")
            assert foreign.requests == []
        assert type(error) is SourceError
        assert client.api.url in error.message
        assert origin_of(target if "://" in target else f"http:{target}") in error.message
        assert TOKEN not in error.message

    def test_an_allowed_origin_gets_the_request_but_no_credentials(
        self, make_client: Callable[..., ClientHarness]
    ) -> None:
        with FaultServer() as foreign:
            foreign.serve("/x", MockResponse.json([1]))
            door = make_client({"allowed_origins": (foreign.url,)})
            door.api.serve("/x", MockResponse.redirect(f"{foreign.url}/x"))

            answer = door.get("/x", headers={"X-Custom": TOKEN, "Accept": "application/json"})
            (request,) = foreign.requests
        assert answer.body == b"[1]"
        assert TOKEN not in repr(request)
        assert request.headers["accept"] == "application/json"

    def test_a_redirect_loop_ends_with_an_error(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse.redirect("/x"))

        assert "more than 5 redirects" in client.fetch_error("/x").message

    def test_a_redirected_post_is_repeated_only_with_307_and_308(self, client: ClientHarness) -> None:
        client.api.serve("/a", MockResponse.redirect("/b", 308))
        client.api.serve("/b", MockResponse.redirect("/c", 303))
        client.api.serve("/c", MockResponse.json([]))

        client.transport.fetch(Request("POST", f"{client.api.url}/a", body=b"{}"))
        assert [(request.method, request.body) for request in client.api.requests] == [
            ("POST", b"{}"),
            ("POST", b"{}"),
            ("GET", b""),
        ]

    def test_a_request_to_a_foreign_origin_is_never_sent(self, client: ClientHarness) -> None:
        with FaultServer() as foreign:
            with pytest.raises(SourceError, match="outside this connection's host"):
                client.transport.fetch(Request("GET", f"{foreign.url}/x"))
            assert foreign.requests == []

    def test_proxies_and_netrc_of_the_environment_are_ignored(
        self, client: ClientHarness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login intruder password netrc-secret\n")
        (tmp_path / ".netrc").chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
        client.api.serve("/x", MockResponse.json([]))

        client.get("/x")
        assert client.api.requests[0].headers["authorization"] == f"Bearer {TOKEN}"

    def test_a_proxy_is_used_only_by_option(self, make_client: Callable[..., ClientHarness]) -> None:
        with FaultServer() as proxy:
            door = make_client({"proxy": proxy.url})
            proxy.serve("/x", lambda request: MockResponse.json([request.target]))

            assert door.get("/x").body == f'["{door.api.url}/x"]'.encode()
        assert door.api.requests == []

    def test_connections_are_reused(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse.json([]))

        for _ in range(20):
            client.get("/x")
        assert client.api.connection_count == 1
