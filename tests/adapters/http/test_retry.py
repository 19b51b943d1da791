"""Which requests are retried, and after which delay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate
from itertools import pairwise
from typing import Any

import pytest

from tests.support.fault_server import MockResponse
from tests.support.http_client import ClientHarness
from unify.adapters.http.messages import Request
from unify.adapters.http.retry import quota_left, reset_after_s
from unify.adapters.spec.model import ErrorRule
from unify.errors import (
    Forbidden,
    NotFound,
    RateLimited,
    ServerFault,
    SourceError,
    Unauthorized,
    UnifyError,
    Unreachable,
)


class TestRetries:
    @pytest.mark.parametrize("status", [202, 408, 425, 429, 500, 502, 503, 504])
    @pytest.mark.parametrize("retry_after", ["", "2", "date", "garbage", "-5"])
    def test_a_temporary_error_is_retried_and_never_too_early(
        self, client: ClientHarness, status: int, retry_after: str
    ) -> None:
        value = formatdate(client.clock.now + 2, usegmt=True) if retry_after == "date" else retry_after
        headers = {"Retry_After": value} if value else {}
        client.api.serve(
            "/x",
            MockResponse.error(status, **headers),
            MockResponse.error(status, **headers),
            MockResponse.json([1]),
        )

        assert client.get("/x").body == b"[1]"
        assert len(client.api.request_targets) == 3
        least = 2.0 if retry_after in ("2", "date") else 0.25
        assert sum(client.clock.waits[:1]) >= least
        assert sum(client.clock.waits) >= least + 0.5

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_a_very_long_wait_ends_the_attempt(self, client: ClientHarness, status: int) -> None:
        client.api.serve("/x", MockResponse.error(status, Retry_After="1e9"))

        error = client.fetch_error("/x")
        assert len(client.api.request_targets) == 1
        assert client.clock.waits == []
        assert isinstance(error, RateLimited)
        assert error.retry_after_s == 1e9

    @pytest.mark.parametrize("rules", [(), (ErrorRule(202, "retry"),)])
    def test_a_response_that_is_not_ready_is_awaited_longer(
        self, client: ClientHarness, rules: tuple[ErrorRule, ...]
    ) -> None:
        client.api.serve("/x", *[MockResponse(202, b"{}")] * 11, MockResponse.json([1]))
        assert client.get("/x", *rules).body == b"[1]"
        assert 80 < sum(client.clock.waits) < 200

    def test_a_response_that_is_never_ready_is_an_error(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse(202, b""))
        error = client.fetch_error("/x")
        assert isinstance(error, ServerFault)
        assert "/x returned 202 Accepted: the response is not ready; try again later" in error.message

    def test_a_rule_of_the_spec_decides_about_status_202(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse(202, b"{}"))
        assert client.get("/x", ErrorRule(202, "skip")).skipped
        assert len(client.api.request_targets) == 1

    def test_delays_grow_and_vary(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse.error(503))

        assert isinstance(client.fetch_error("/x"), ServerFault)
        assert len(client.api.request_targets) == 5
        assert all(later > earlier for earlier, later in pairwise(client.clock.waits))
        assert 3.5 < sum(client.clock.waits) < 7.5

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(400, SourceError), (403, Forbidden), (404, NotFound), (422, SourceError), (401, Unauthorized)],
    )
    def test_a_refused_request_is_not_retried(
        self, client: ClientHarness, status: int, kind: type[UnifyError]
    ) -> None:
        client.api.serve("/x", MockResponse.error(status, "no way"))

        error = client.fetch_error("/x")
        assert type(error) is kind
        assert "no way" in error.message
        assert str(status) in error.message
        assert len(client.api.request_targets) == 1

    @pytest.mark.parametrize(
        "fault",
        [
            {"cut_at": 10},
            {"cut_at": 10, "framing": "chunks"},
            {"reset": True, "cut_at": 5},
            {"raw": b""},
        ],
        ids=["cut", "cut chunk", "reset", "no answer"],
    )
    def test_a_broken_connection_is_retried(self, client: ClientHarness, fault: dict[str, Any]) -> None:
        client.api.serve("/x", MockResponse.json([1] * 20, **fault), MockResponse.json([2]))

        assert client.get("/x").body == b"[2]"
        assert len(client.api.request_targets) == 2

    def test_a_connection_that_always_breaks_raises_unreachable(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse.json([1] * 20, cut_at=10))

        error = client.fetch_error("/x")
        assert isinstance(error, Unreachable)
        assert "before the response was complete" in error.message
        assert len(client.api.request_targets) == 3

    def test_a_post_that_only_reads_is_retried(self, client: ClientHarness) -> None:
        client.api.serve("POST /graphql", MockResponse.error(502), MockResponse.json({"data": []}))
        request = Request("POST", f"{client.api.url}/graphql", body=b"{}")

        assert client.transport.fetch(request).status == 200
        assert [request.body for request in client.api.requests] == [b"{}", b"{}"]


class TestRateLimits:
    def test_a_used_up_quota_with_403_is_waited_for(self, client: ClientHarness) -> None:
        reset = str(int(client.clock.now) + 40)
        spent = MockResponse.error(403, X_RateLimit_Remaining="0", X_RateLimit_Reset=reset)
        client.api.serve("/x", spent, MockResponse.json([]))

        assert client.get("/x").status == 200
        assert sum(client.clock.waits) >= 40

    def test_a_secondary_limit_without_a_time_is_waited_for_a_minute(self, client: ClientHarness) -> None:
        message = "You have exceeded a secondary rate limit"
        client.api.serve("/x", MockResponse.error(403, message), MockResponse.json([]))

        assert client.get("/x").status == 200
        assert sum(client.clock.waits) >= 60

    def test_the_last_request_of_a_quota_delays_the_next(self, client: ClientHarness) -> None:
        client.api.serve(
            "/x", MockResponse.json([]).with_headers(X_RateLimit_Remaining="0", X_RateLimit_Reset="30")
        )

        client.get("/x")
        assert client.clock.waits == []
        client.get("/x")
        assert sum(client.clock.waits) >= 30

    @pytest.mark.parametrize("family", ["X-RateLimit", "X-Sentry-Rate-Limit", "X-RateLimit-Requests"])
    @pytest.mark.parametrize("form", ["seconds", "moment", "milliseconds", "iso", "http"])
    def test_each_format_of_a_reset_header_is_read(
        self, client: ClientHarness, family: str, form: str
    ) -> None:
        at = datetime.fromtimestamp(int(client.clock.now) + 40, UTC)
        reset = {
            "seconds": "40",
            "moment": str(int(at.timestamp())),
            "milliseconds": str(int(at.timestamp() * 1000)),
            "iso": at.isoformat().replace("+00:00", "Z"),
            "http": format_datetime(at, usegmt=True),
        }[form]
        spent = replace(
            MockResponse.error(429), headers={f"{family}-Remaining": "0", f"{family}-Reset": reset}
        )
        client.api.serve("/x", spent, MockResponse.json([]))
        assert client.get("/x").status == 200
        assert sum(client.clock.waits) >= 39

    @pytest.mark.parametrize(
        ("header", "left", "wait_s"),
        [
            ('"hour";r=0;t=40', 0, 40),
            ('"burst";r=90;t=1, "day";r=0;t=40', 0, 40),
            ('"a";r=0;t=5, "b";r=0;t=40', 0, 40),
            ("limit=10, remaining=0, reset=40", 0, 40),
            ('"hour";r=7;t=40', 7, 40),
            ("nonsense", None, None),
        ],
    )
    def test_the_ratelimit_header_of_each_ietf_draft_is_read(
        self, header: str, left: int | None, wait_s: float | None
    ) -> None:
        headers = {"ratelimit": header}
        assert (quota_left(headers), reset_after_s(headers, 0.0)) == (left, wait_s)

    def test_a_quota_reset_in_an_hour_ends_the_attempt(self, client: ClientHarness) -> None:
        client.api.serve(
            "/x", MockResponse.json([]).with_headers(RateLimit_Remaining="0", RateLimit_Reset="3600")
        )
        client.get("/x")

        error = client.fetch_error("/x")
        assert isinstance(error, RateLimited)
        assert error.retry_after_s is not None
        assert 3590 < error.retry_after_s <= 3600
        assert len(client.api.request_targets) == 1

    def test_a_date_is_relative_to_the_clock_of_the_server(self, client: ClientHarness) -> None:
        elsewhen = client.clock.now - 86400
        headers = {
            "Retry_After": formatdate(elsewhen + 30, usegmt=True),
            "Date": formatdate(elsewhen, usegmt=True),
        }
        client.api.serve("/x", MockResponse.error(503, **headers), MockResponse.json([]))

        client.get("/x")
        assert sum(client.clock.waits) >= 30

    def test_a_long_wait_is_reported(self, client: ClientHarness) -> None:
        client.api.serve("/x", MockResponse.error(429, Retry_After="20"), MockResponse.json([]))

        client.get("/x")
        assert [until is None for until in client.events.waits] == [False, True]
        first = client.events.waits[0]
        assert first is not None
        assert first.timestamp() == pytest.approx(1_800_000_020, abs=1)
