"""What is promised of the HTTP client and of loads from broken sources, each with its figure.

The long forms run under ``make campaign``.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import Asked, FaultServer, Reply
from tests.test_auth import KEY, OPTIONS, SECRET, WAYS
from tests.test_loader import Shop
from tests.test_rest import PAGE_FAULTS
from unify.adapters.base import Read
from unify.adapters.rest import RESTAdapter
from unify.adapters.spec import AdapterSpec, Auth, Paging, TableSpec
from unify.errors import SourceError, UnifyError
from unify.model import Action
from unify.settings import Settings
from unify.store.lake import Lake
from unify.store.staging import Staging

SLOW = (pytest.mark.slow, pytest.mark.timeout(3600))
# Beside those of a page that cannot be read: what breaks on the way, and what is retried in vain.
BROKEN: dict[str, Reply] = {
    **{name: fault for name, fault in PAGE_FAULTS.items() if name != "bad link"},
    "500": Reply.error(500),
    "503": Reply.error(503),
    "429": Reply.error(429),
    "cut body": Reply(body=b'[{"id":9},{"id":10}]', cut_at=8),
}


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.mark.parametrize("runs", [len(BROKEN), pytest.param(400, marks=SLOW)])
def test_an_error_is_never_a_shorter_table(
    tmp_path: Path, api: FaultServer, monkeypatch: pytest.MonkeyPatch, runs: int
) -> None:
    """A table of two pages is published; then a reload of 2 to 5 pages meets a fault on one of them."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    monkeypatch.setattr("unify.adapters.retry.FIRST_BACKOFF_S", 0.0001)
    monkeypatch.setattr("unify.adapters.retry.PATIENCE_S", 0.0)
    shop = Shop(Settings(tmp_path / "home", tmp_path / "home" / "connections.yaml"), api)
    api.serve("/orders", pages=[[{"id": 1}, {"id": 2}], [{"id": 3}]])
    shop.publish("orders")
    short = []
    kinds = rng.sample(list(BROKEN), len(BROKEN))
    for number in range(runs):
        kind, pages = kinds[number % len(kinds)], rng.randint(2, 5)
        at = rng.randint(1, pages)
        api.serve("/orders", _broken_at(at, BROKEN[kind], pages))
        job = shop.job("orders", Action.RELOAD)
        with pytest.raises(UnifyError):
            shop.run(job)
        if Staging(shop.settings.staging).sealed(job) is not None:
            short.append(f"{kind} on page {at} of {pages}")
    with Lake(shop.settings, read_only=True) as lake:
        assert lake.read("select count(*) from shop.orders") == [(3,)]
    shop.loading.close()
    print(f"{runs} loads, {len(kinds)} kinds of error: {len(short)} short tables, the old one still there")
    assert short == []


def _broken_at(at: int, fault: Reply, pages: int) -> Callable[[Asked], Reply]:
    def answer(asked: Asked) -> Reply:
        number = int(asked.query.get("page", "1"))
        if number == at:
            return fault
        return Reply.json([{"id": 10 * number}, {"id": 10 * number + 1}] if number < pages else [])

    return answer


@pytest.mark.parametrize("asks", [4, pytest.param(50, marks=SLOW)])
def test_eight_workers_keep_one_budget(api: FaultServer, tmp_path: Path, asks: int) -> None:
    api.serve("/x", Reply.json([]))
    words = [sys.executable, "-c", ASKER, api.url, str(tmp_path / "limits"), str(asks)]
    workers = [subprocess.Popen(words) for _ in range(8)]
    assert [worker.wait(120) for worker in workers] == [0] * 8
    moments = sorted(asked.at for asked in api.log)
    busiest = max(sum(1 for other in moments if start <= other < start + 1) for start in moments)
    print(f"8 workers, {len(moments)} requests, 10 a second allowed: {busiest} in the busiest second")
    assert len(moments) == 8 * asks
    assert busiest <= (10 if asks > 4 else 11)  # alone on the machine; a busy server's log is a little late


ASKER = """
import sys
from pathlib import Path
from unify.adapters.budget import SharedBudget
from unify.adapters.messages import Request
from unify.adapters.route import Route
from unify.adapters.transport import Transport

url, folder, asks = sys.argv[1:]
transport = Transport(Route(url), budget=SharedBudget(Path(folder), "c", url, 10.0))
for number in range(int(asks)):
    transport.fetch(Request("GET", f"{url}/x"))
transport.close()
"""

LEADS = ("301", "302", "303", "307", "308", "Link header", "next in the body")
PLACES = ("another scheme", "another host", "another port")


def test_credentials_stay_at_home(api: FaultServer) -> None:
    """Every way of authenticating, led away in every way to every kind of elsewhere."""
    told: list[str] = []
    cases = list(product(WAYS, LEADS, PLACES))
    with FaultServer() as foreign:
        for way, lead, place in cases:
            target = _elsewhere(api.url, foreign.url, place)
            api.serve("/things", _leading(lead, target))
            with pytest.raises(SourceError) as caught:
                _read(api.url, WAYS[way], "next_url" if lead == "next in the body" else "link_header")
            told.append(caught.value.message)
        heard = [repr(asked) for asked in foreign.log]
    print(f"{len(cases)} cases: {len(heard)} requests reached the foreign server, 0 with a secret")
    assert heard == []
    assert not [one for one in told if KEY in one or SECRET in one]


def _elsewhere(own: str, foreign: str, place: str) -> str:
    if place == "another scheme":
        return own.replace("http:", "https:") + "/x"
    return (foreign if place == "another port" else foreign.replace("127.0.0.1", "localhost")) + "/x"


def _leading(lead: str, target: str) -> Reply:
    if lead == "Link header":
        return Reply.json({"items": [{"id": 1}]}).with_headers(Link=f'<{target}>; rel="next"')
    if lead == "next in the body":
        return Reply.json({"items": [{"id": 1}], "next": target})
    return Reply.redirect(target, int(lead))


def _read(url: str, auth: Auth, paging: str) -> None:
    settings: dict[str, Any] = {"path": "next"} if paging == "next_url" else {}
    table = TableSpec("things", "GET", "/things", paging=Paging(paging, **settings), rows="items")  # type: ignore[arg-type]
    adapter = RESTAdapter(AdapterSpec("api", "api.yaml", url, tables=(table,), auth=auth), OPTIONS)
    try:
        list(adapter.pages("things", Read()))
    finally:
        adapter.close()


def test_no_answer_takes_a_workers_memory(api: FaultServer) -> None:
    """A process that is sent a bomb, an abyss and an endless body refuses each and stays small."""
    api.serve("/bomb", Reply.bomb(1024))
    api.serve("/deep", Reply(body=b'[{"id":' + b"[" * 1_000_000))
    api.serve("/endless", Reply(body=b"[" + b" " * 300_000_000, framing="close"))
    done = subprocess.run(
        [sys.executable, "-c", GUEST, api.url], capture_output=True, text=True, timeout=100, check=True
    )
    told = json.loads(done.stdout)
    print(f"1 GiB in 1 MB, 10^6 levels, a body without end: refused, {told['mb']} MB held at most")
    assert set(told["kinds"]) == {"BadResponse"}
    assert len(told["kinds"]) == 3
    assert told["mb"] < 300


GUEST = """
import json, resource, sys
from pathlib import Path
from unify.adapters.base import Read
from unify.adapters.rest import RESTAdapter
from unify.adapters.spec import AdapterSpec, Paging, TableSpec
from unify.errors import UnifyError

kinds = []
for name in ("bomb", "deep", "endless"):
    table = TableSpec(name, "GET", f"/{name}", paging=Paging("none"))
    adapter = RESTAdapter(AdapterSpec("api", "api.yaml", sys.argv[1], tables=(table,)), {})
    try:
        list(adapter.pages(name, Read()))
    except UnifyError as error:
        kinds.append(type(error).__name__)
    adapter.close()
try:  # ru_maxrss would count what our parent held when it started us
    words = Path("/proc/self/status").read_text().split()
    held = int(words[words.index("VmHWM:") + 1]) * 1024
except OSError:
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"kinds": kinds, "mb": held // 1024**2}))
"""
