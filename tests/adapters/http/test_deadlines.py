"""Deadlines of requests: total time, silence, slow responses and cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fault_server import MockResponse
from tests.support.http_client import ClientHarness
from unify.adapters.http.messages import Request, Timeouts
from unify.adapters.http.rate_limit import Clock
from unify.errors import (
    Interrupted,
    Unreachable,
)


class TestDeadlines:
    @pytest.mark.parametrize(
        "fault",
        [
            {"drip_s": 0.02},
            {"drip_s": 0.02, "framing": "chunks"},
            {"head_drip_s": 0.02},
            {"hang_at": 30},
            {"hang_at": 0, "framing": "close"},
            {"delay_s": 30.0},
        ],
        ids=["drip", "dripping chunks", "dripping headers", "hang", "hang without length", "silence"],
    )
    def test_no_request_is_endless(
        self, make_client: Callable[..., ClientHarness], fault: dict[str, Any]
    ) -> None:
        door = make_client(timeouts=Timeouts(total_s=0.3, read_s=20.0))
        door.api.serve("/x", MockResponse.json(list(range(200)), **fault))

        error = door.fetch_error("/x")
        assert isinstance(error, Unreachable)
        assert "0.3 s" in error.message
        assert all(250 <= seen.milliseconds < 1300 for seen in door.events.requests)

    def test_a_silent_server_ends_the_request_before_the_page_deadline(
        self, make_client: Callable[..., ClientHarness]
    ) -> None:
        door = make_client(timeouts=Timeouts(total_s=20.0, read_s=0.2))
        door.api.serve("/x", MockResponse.json([], delay_s=30.0))

        error = door.fetch_error("/x")
        assert isinstance(error, Unreachable)
        assert "no data from the server for 0.2 s" in error.message

    @pytest.mark.parametrize("fault", [{"delay_s": 60.0}, {"hang_at": 5}, {"drip_s": 0.05}])
    def test_stopping_ends_a_hanging_request(self, client: ClientHarness, fault: dict[str, Any]) -> None:
        client.api.serve("/x", MockResponse.json([1] * 100, **fault))
        stop = threading.Event()
        threading.Timer(0.2, client.transport.cancel, [stop]).start()

        started = time.monotonic()
        with pytest.raises(Interrupted):
            client.transport.fetch(Request("GET", f"{client.api.url}/x"), (), stop)
        assert time.monotonic() - started < 1.0

    def test_stopping_ends_a_wait(self, make_client: Callable[..., ClientHarness]) -> None:
        door = make_client(clock=Clock())
        door.api.serve("/x", MockResponse.error(429, Retry_After="60"))
        stop = threading.Event()
        threading.Timer(0.2, door.transport.cancel, [stop]).start()

        started = time.monotonic()
        with pytest.raises(Interrupted):
            door.transport.fetch(Request("GET", f"{door.api.url}/x"), (), stop)
        assert time.monotonic() - started < 1.0
