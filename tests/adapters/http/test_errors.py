"""Responses and network failures become errors that say what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse, unused_port
from tests.support.http_client import TOKEN, ClientHarness, FakeClock
from unify.adapters.http.client import HttpClient
from unify.adapters.http.messages import ClientOptions, Request
from unify.adapters.spec.model import ErrorRule
from unify.errors import (
    BadResponse,
    ConfigError,
    RateLimited,
    SourceError,
)
from unify.redaction import Redactor


class TestRules:
    def test_skip_treats_an_error_as_a_response_without_rows(self, client: ClientHarness) -> None:
        assert client.get("/missing", ErrorRule(404, "skip")).skipped

    def test_a_used_up_quota_is_not_skipped(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse.error(403, Retry_After="3"), MockResponse.json([1]))

        answer = client.get("/x", ErrorRule(403, "skip"))
        assert not answer.skipped
        assert answer.body == b"[1]"

    def test_a_rule_for_the_body_makes_a_success_a_failure(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse.json({"ok": False, "error": "not_in_channel"}))

        error = client.fetch_error("/x", ErrorRule(200, "fail", body='"ok": false'))
        assert isinstance(error, BadResponse)
        assert "not_in_channel" in error.message

    def test_a_rule_for_the_body_makes_a_success_a_rate_limit(self, client: ClientHarness) -> None:
        client.api.serve(
            "/x",
            MockResponse.json({"error": "ratelimited"}).with_headers(Retry_After="9"),
            MockResponse.json([]),
        )

        assert client.get("/x", ErrorRule(None, "wait", body="ratelimited")).body == b"[]"
        assert sum(client.clock.waits) >= 9

    def test_rules_override_the_default_of_a_status(self, client: ClientHarness) -> None:
        client.api.serve("/busy", MockResponse.error(409), MockResponse.json([]))
        client.api.serve("/down", MockResponse.error(503))

        assert client.get("/busy", ErrorRule(409, "retry")).status == 200
        assert (
            type(client.fetch_error("/down", ErrorRule(503, "fail"))) is SourceError
        )  # such an error is not retried
        assert client.api.request_targets == ["/busy", "/busy", "/down"]


class TestReports:
    def test_every_attempt_is_reported_without_secrets(
        self, make_client: Callable[..., ClientHarness]
    ) -> None:
        door = make_client(redactor=Redactor([TOKEN], ["key"]))
        door.api.serve("/x", MockResponse.error(503), MockResponse.json([1, 2]))

        door.get("/x", params=(("key", "k1"), ("q", TOKEN), ("page", "1"), ("access_token", "zz")))
        assert [(seen.status, seen.bytes) for seen in door.events.requests] == [(503, 25), (200, 6)]
        shown = door.events.requests[0].address
        assert shown == f"{door.api.url}/x?key=***&q=***&page=1&access_token=***"

    def test_an_attempt_without_a_response_is_reported(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse(raw=b""), MockResponse.json([]))

        client.get("/x")
        first, second = client.events.requests
        assert (first.status, second.status) == (None, 200)
        assert "closed the connection" in first.error

    def test_a_refusal_names_the_option_and_not_the_secret(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse.error(401, f"Bad token {TOKEN}"))

        error = client.fetch_error("/x")
        assert error.message == (
            f'GET {client.api.url}/x returned 401 Unauthorized ("Bad token ***"): '
            "the credentials were refused; check option token"
        )

    @pytest.mark.parametrize(
        "message",
        ["TotalRequests Limit exceeded.", "You have exceeded your daily quota", "Request was throttled"],
    )
    def test_status_403_about_a_limit_is_no_missing_permission(
        self, message: str, client: ClientHarness
    ) -> None:
        client.api.serve("/x", MockResponse.error(403, message))
        client.api.serve("/y", MockResponse.error(403, "Your role is limited to reading"))

        error = client.fetch_error("/x")
        assert isinstance(error, RateLimited)
        assert "a limit or quota is reached" in error.message
        assert "lack the permission" in client.fetch_error("/y").message

    def test_an_api_message_is_shortened(self, client: ClientHarness) -> None:
        client.api.serve("/page", MockResponse.text("<html><style>x{}</style><h1>Not  here</h1>", status=404))
        client.api.serve("/nested", MockResponse.json({"errors": [{"detail": "bad field"}]}, status=400))
        client.api.serve("/long", MockResponse.error(400, "x" * 5000))

        assert '404 Not Found ("Not here")' in client.fetch_error("/page").message
        assert '("bad field")' in client.fetch_error("/nested").message
        assert len(client.fetch_error("/long").message) < 500


class TestNetworkErrors:
    def explain(self, url: str, **options: Any) -> str:
        transport = HttpClient(ClientOptions(url), clock=FakeClock(), **options)
        try:
            with pytest.raises(SourceError) as caught:
                transport.fetch(Request("GET", url))
        finally:
            transport.close()
        return caught.value.message

    @pytest.mark.socket
    def test_a_closed_port_is_explained(self) -> None:
        message = self.explain(f"http://127.0.0.1:{unused_port()}/x")
        assert "connection refused" in message
        assert "base_url" in message

    def test_an_unknown_host_is_explained(self) -> None:
        assert "cannot be resolved" in self.explain("http://no-such-host.invalid/x")

    def test_a_response_that_is_not_http_is_explained(self, api: FaultServer) -> None:
        api.serve("/x", MockResponse(raw=b"220 mail.example ESMTP\r\n\r\n"))
        assert "the response is not HTTP" in self.explain(f"{api.url}/x")

    def test_endless_headers_are_explained(self, api: FaultServer) -> None:
        api.serve("/x", MockResponse(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000))
        assert "headers of the response are too large" in self.explain(f"{api.url}/x")

    def test_http_instead_of_https_is_explained(self, api: FaultServer) -> None:
        assert "check that it uses https" in self.explain(api.url.replace("http:", "https:"))

    def test_an_invalid_url_is_explained(self) -> None:
        with pytest.raises(ConfigError, match="starts with http"):
            HttpClient(ClientOptions("ftp://example.org"))
