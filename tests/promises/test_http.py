"""Promises about the HTTP client and about loads from faulty sources.

Each test prints its figure; ``make campaign`` runs the long forms.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.support.authenticated_api import KEY, OPTIONS, SECRET, STATIC_AUTHS
from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.loader_shop import LoaderHome
from tests.support.rest_tables import PAGE_FAULTS
from tests.support.stores import create_home
from unify.adapters.base import Read
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.paging import Paging
from unify.errors import SourceError, UnifyError
from unify.lake.lake import Lake
from unify.load.staging import StagingArea
from unify.model import Action

SLOW = (pytest.mark.slow, pytest.mark.timeout(3600))
# Unreadable pages, and faults that are retried until the client gives up.
PAGE_FAULTS_AND_RETRIES: dict[str, MockResponse] = {
    **{name: fault for name, fault in PAGE_FAULTS.items() if name != "bad link"},
    "500": MockResponse.error(500),
    "503": MockResponse.error(503),
    "429": MockResponse.error(429),
    "cut body": MockResponse(body=b'[{"id":9},{"id":10}]', cut_at=8),
}


@pytest.mark.parametrize("runs", [len(PAGE_FAULTS_AND_RETRIES), pytest.param(400, marks=SLOW)])
def test_an_error_is_never_a_shorter_table(
    tmp_path: Path, api: FaultServer, monkeypatch: pytest.MonkeyPatch, runs: int
) -> None:
    """A reload of 2 to 5 pages, one of which is faulty, fails and keeps the published table."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    monkeypatch.setattr("unify.adapters.http.retry.INITIAL_BACKOFF_S", 0.0001)
    monkeypatch.setattr("unify.adapters.http.retry.MAX_WAIT_S", 0.0)
    shop = LoaderHome(create_home(tmp_path), api)
    api.serve("/orders", pages=[[{"id": 1}, {"id": 2}], [{"id": 3}]])
    shop.publish("orders")
    short = []
    kinds = rng.sample(list(PAGE_FAULTS_AND_RETRIES), len(PAGE_FAULTS_AND_RETRIES))
    for number in range(runs):
        kind, pages = kinds[number % len(kinds)], rng.randint(2, 5)
        at = rng.randint(1, pages)
        api.serve("/orders", _broken_at(at, PAGE_FAULTS_AND_RETRIES[kind], pages))
        job = shop.make_job("orders", Action.RELOAD)
        with pytest.raises(UnifyError):
            shop.run_load(job)
        if StagingArea(shop.settings.staging).find_staged_load(job) is not None:
            short.append(f"{kind} on page {at} of {pages}")
    with Lake(shop.settings, read_only=True) as lake:
        assert lake.read("select count(*) from lake.shop.orders") == [(3,)]
    shop.close()
    print(f"{runs} loads, {len(kinds)} kinds of error: {len(short)} short tables, the stored one unchanged")
    assert short == []


def _broken_at(at: int, fault: MockResponse, pages: int) -> Callable[[RecordedRequest], MockResponse]:
    def respond(request: RecordedRequest) -> MockResponse:
        number = int(request.query.get("page", "1"))
        if number == at:
            return fault
        return MockResponse.json([{"id": 10 * number}, {"id": 10 * number + 1}] if number < pages else [])

    return respond


@pytest.mark.parametrize("requests", [4, pytest.param(50, marks=SLOW)])
def test_eight_workers_share_one_request_budget(api: FaultServer, tmp_path: Path, requests: int) -> None:
    api.serve("/x", MockResponse.json([]))
    words = [sys.executable, "-c", CLIENT_SCRIPT, api.url, str(tmp_path / "limits"), str(requests)]
    began_at = time.time()
    workers = [subprocess.Popen(words) for _ in range(8)]
    assert [worker.wait(120) for worker in workers] == [0] * 8
    moments = sorted(request.received_at for request in api.requests)
    busiest = max(sum(1 for other in moments if start <= other < start + 1) for start in moments)
    print(f"8 workers, {len(moments)} requests, 10 a second allowed: {busiest} in the busiest second")
    assert len(moments) == 8 * requests
    # A busy server records requests late, never early.
    assert all(moment >= began_at + (number - 10) / 10 for number, moment in enumerate(moments))
    assert busiest <= 10 or requests == 4


CLIENT_SCRIPT = """
import sys
from pathlib import Path
from unify.adapters.http.rate_limit import SharedRateLimiter
from unify.adapters.http.messages import Request
from unify.adapters.http.messages import ClientOptions
from unify.adapters.http.client import HttpClient

url, folder, requests = sys.argv[1:]
client = HttpClient(ClientOptions(url), rate_limiter=SharedRateLimiter(Path(folder), "c", url, 10.0))
for number in range(int(requests)):
    client.fetch(Request("GET", f"{url}/x"))
client.close()
"""

REDIRECT_KINDS = ("301", "302", "303", "307", "308", "Link header", "next in the body")
FOREIGN_ORIGINS = ("another scheme", "another host", "another port")


def test_credentials_are_sent_to_their_own_host_only(api: FaultServer) -> None:
    """Each authentication method, redirected in each way to each kind of foreign origin."""
    messages: list[str] = []
    cases = list(product(STATIC_AUTHS, REDIRECT_KINDS, FOREIGN_ORIGINS))
    with FaultServer() as foreign:
        for auth, redirect, origin in cases:
            target = _foreign_url(api.url, foreign.url, origin)
            api.serve("/things", _redirect_response(redirect, target))
            with pytest.raises(SourceError) as caught:
                _read(
                    api.url,
                    STATIC_AUTHS[auth],
                    "next_url" if redirect == "next in the body" else "link_header",
                )
            messages.append(caught.value.message)
        foreign_requests = [repr(request) for request in foreign.requests]
    print(f"{len(cases)} cases: {len(foreign_requests)} requests reached the foreign server, 0 with a secret")
    assert foreign_requests == []
    assert not [message for message in messages if KEY in message or SECRET in message]


def _foreign_url(own: str, foreign: str, origin: str) -> str:
    if origin == "another scheme":
        return own.replace("http:", "https:") + "/x"
    return (foreign if origin == "another port" else foreign.replace("127.0.0.1", "localhost")) + "/x"


def _redirect_response(redirect: str, target: str) -> MockResponse:
    if redirect == "Link header":
        return MockResponse.json({"items": [{"id": 1}]}).with_headers(Link=f'<{target}>; rel="next"')
    if redirect == "next in the body":
        return MockResponse.json({"items": [{"id": 1}], "next": target})
    return MockResponse.redirect(target, int(redirect))


def _read(url: str, auth: Auth, paging: str) -> None:
    settings: dict[str, Any] = {"path": "next"} if paging == "next_url" else {}
    table = TableSpec("things", ("GET /things",), paging=Paging(paging, **settings), rows="items")  # type: ignore[arg-type]
    adapter = RESTAdapter(AdapterSpec("api", "api.yaml", url, tables=(table,), auth=auth), OPTIONS)
    try:
        list(adapter.pages("things", Read()))
    finally:
        adapter.close()


def test_no_response_exhausts_the_memory_of_a_worker(api: FaultServer) -> None:
    """A gzip bomb, deep nesting and an endless body are refused with little memory."""
    api.serve("/bomb", MockResponse.gzip_bomb(1024))
    api.serve("/deep", MockResponse(body=b'[{"id":' + b"[" * 1_000_000))
    api.serve("/endless", MockResponse(body=b"[" + b" " * 300_000_000, framing="close"))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_SCRIPT, api.url],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    report = json.loads(done.stdout)
    print(f"1 GiB in 1 MB, 10^6 levels, a body without end: refused, {report['mb']} MB at most")
    assert set(report["kinds"]) == {"BadResponse"}
    assert len(report["kinds"]) == 3
    assert report["mb"] < 300


MEMORY_SCRIPT = """
import json, resource, sys
from pathlib import Path
from unify.adapters.base import Read
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.paging import Paging
from unify.errors import UnifyError

kinds = []
for name in ("bomb", "deep", "endless"):
    table = TableSpec(name, (f"GET /{name}",), paging=Paging("none"))
    adapter = RESTAdapter(AdapterSpec("api", "api.yaml", sys.argv[1], tables=(table,)), {})
    try:
        list(adapter.pages(name, Read()))
    except UnifyError as error:
        kinds.append(type(error).__name__)
    adapter.close()
try:  # ru_maxrss includes the memory of the parent at the start
    words = Path("/proc/self/status").read_text().split()
    held = int(words[words.index("VmHWM:") + 1]) * 1024
except OSError:
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"kinds": kinds, "mb": held // 1024**2}))
"""
