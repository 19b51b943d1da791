"""Rate and concurrency limits, also between processes."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.http_client import ClientHarness
from unify.adapters.http.messages import Request
from unify.adapters.http.rate_limit import Clock, RateLimiter, SharedRateLimiter
from unify.errors import (
    Interrupted,
)

CLIENT_SCRIPT = """
import sys
from pathlib import Path
from unify.adapters.http.rate_limit import SharedRateLimiter
from unify.adapters.http.messages import Request
from unify.adapters.auth.base import HeaderAuth
from unify.adapters.http.messages import ClientOptions
from unify.adapters.http.client import HttpClient

url, folder = sys.argv[1:]
client = HttpClient(ClientOptions(url), rate_limiter=SharedRateLimiter(Path(folder), "c", url, 20.0))
for number in range(12):
    client.fetch(Request("GET", f"{url}/x"))
client.close()
"""


class TestLimits:
    @pytest.mark.process
    def test_processes_share_one_budget(self, api: FaultServer, tmp_path: Path) -> None:
        api.serve("/x", MockResponse.json([]))
        command = [sys.executable, "-c", CLIENT_SCRIPT, api.url, str(tmp_path / "limits")]
        workers = [subprocess.Popen(command) for _ in range(4)]
        assert [worker.wait(60) for worker in workers] == [0] * 4

        moments = sorted(request.received_at for request in api.requests)
        assert len(moments) == 48
        busiest = max(sum(1 for other in moments if start <= other < start + 1) for start in moments)
        assert busiest <= 20
        assert moments[-1] - moments[0] < 5.0

    @pytest.mark.process
    def test_processes_share_the_concurrency_limit(self, api: FaultServer, tmp_path: Path) -> None:
        running, most, lock = 0, 0, threading.Lock()

        def respond(_request: RecordedRequest) -> MockResponse:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)  # long enough to overlap with another request
            with lock:
                running -= 1
            return MockResponse.json([])

        api.serve("/x", respond)
        code = CLIENT_SCRIPT.replace("20.0)", "None, 2)")
        command = [sys.executable, "-c", code, api.url, str(tmp_path / "limits")]
        workers = [subprocess.Popen(command) for _ in range(4)]
        assert [worker.wait(60) for worker in workers] == [0] * 4
        assert (len(api.requests), most) == (48, 2)

    def test_waiting_for_a_slot_can_be_stopped(
        self, make_client: Callable[..., ClientHarness], tmp_path: Path
    ) -> None:
        taken = SharedRateLimiter(tmp_path, "c", "o", None, 1).concurrency_slots
        assert taken is not None
        assert taken.acquire(threading.Event()) == 0
        client = make_client(rate_limiter=SharedRateLimiter(tmp_path, "c", "o", None, 1), clock=Clock())
        stop = threading.Event()
        threading.Timer(0.1, lambda: client.transport.cancel(stop)).start()
        started = time.monotonic()
        with pytest.raises(Interrupted):
            client.transport.fetch(Request("GET", f"{client.api.url}/x"), (), stop)
        assert time.monotonic() - started < 0.9  # no wait for the next check
        assert client.api.request_targets == []
        taken.release(0)
        client.api.serve("/x", MockResponse.json([]))
        assert client.get("/x").status == 200

    def test_a_rate_limit_delays_every_process(
        self, api: FaultServer, make_client: Callable[..., ClientHarness], tmp_path: Path
    ) -> None:
        clients = [
            make_client(rate_limiter=SharedRateLimiter(tmp_path, "c", api.url, None)) for _ in range(2)
        ]
        api.serve("/x", MockResponse.error(429, Retry_After="30"), MockResponse.json([]))
        clients[0].get("/x")

        clients[1].get("/x")
        assert sum(clients[1].clock.waits) >= 30

    def test_request_times_are_reserved_once_and_evenly(self) -> None:
        budget = RateLimiter(10)
        slots = [budget.reserve_slot(1000.0, 2000.0) for _ in range(21)]

        assert slots[0] == 1000.0
        assert all(later - earlier == pytest.approx(0.11) for earlier, later in pairwise(slots))

    def test_a_clock_set_back_causes_no_wait(self, tmp_path: Path) -> None:
        budget = SharedRateLimiter(tmp_path, "c", "o", 1.0)
        budget.pause_until(5000.0, now=4000.0)

        assert budget.reserve_slot(1000.0, 9999.0) == 1000.0
        budget.close()

    def test_the_file_is_private_and_contains_no_url(self, tmp_path: Path) -> None:
        budget = SharedRateLimiter(tmp_path / "limits", "github", "https://api.github.com", 1.0)
        budget.reserve_slot(1000.0, 2000.0)

        assert budget.path.stat().st_mode & 0o077 == 0
        assert "github" not in budget.path.name
        budget.close()
