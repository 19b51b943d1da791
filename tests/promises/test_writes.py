"""Worker processes are killed while they write to an API that loses responses: nothing is doubled or lost."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from tests.support.command import InProcessCommand, UnifyCommand
from tests.support.crm import make_crm
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.paths import CHECKOUT
from tests.support.waiting import scaled_limit_s, wait_until
from tests.support.writable_api import Protection
from tests.support.write_campaign import CampaignResult, run_campaign
from unify.model import RowState, WriteState
from unify.writes.store import WriteStore


@pytest.fixture
def quick_writes(home: Path, monkeypatch: pytest.MonkeyPatch) -> UnifyCommand:
    """The command in a home whose workers settle lost rows without waiting."""
    unify = InProcessCommand(home)
    unify.environment["PYTHONPATH"] = str(CHECKOUT)
    monkeypatch.setattr("unify.status.launch.DAEMON_MODULE", "tests.support.daemon_quick_writes")
    return unify


def require_nothing_doubled_or_lost(result: CampaignResult, protection: Protection, seed: int) -> None:
    assert (result.doubled, result.lost, result.reused_keys) == (0, 0, 0), (result, seed)
    assert not result.mistaken, (result, seed)
    assert protection == "nothing" or not result.unknown, (result, seed)


def test_killed_workers_double_and_lose_nothing(quick_writes: UnifyCommand, api: FaultServer) -> None:
    protection: Protection = "settle"
    result = run_campaign(quick_writes, api, protection, kills=2, rows=40, seed=20261201, batches=True)

    assert result.kills >= 1
    require_nothing_doubled_or_lost(result, protection, 20261201)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("batches", [False, True], ids=["one row", "batches"])
@pytest.mark.parametrize("protection", ["key", "settle", "put", "nothing"])
def test_two_hundred_kills_double_and_lose_nothing(
    quick_writes: UnifyCommand, api: FaultServer, protection: Protection, batches: bool
) -> None:
    seed = random.randrange(10**9)
    result = run_campaign(quick_writes, api, protection, kills=200, rows=4_000, seed=seed, batches=batches)

    sys.stderr.write(f"{protection}, batches {batches}: {result}, seed {seed}\n")
    assert result.kills >= 200, (result, seed)
    require_nothing_doubled_or_lost(result, protection, seed)


@pytest.mark.parametrize(
    ("response", "first"),
    [
        (MockResponse.json({"id": 1}, status=201, delay_s=120), RowState.UNKNOWN),
        (MockResponse.error(429, Retry_After="120"), RowState.NOT_SENT),
    ],
    ids=["during a request", "during a wait"],
)
def test_a_cancelled_write_sends_nothing_more(
    quick_writes: UnifyCommand, api: FaultServer, response: MockResponse, first: RowState
) -> None:
    crm = make_crm(quick_writes, api)
    api.serve("/people", response)
    crm("insert into crm.people (email) values ('a@x'), ('b@x')", args=("--yes", "--no-wait"))
    wait_until(lambda: bool(crm.sent))

    cancelled_at = time.monotonic()
    crm("cancel write 1")
    with WriteStore(quick_writes.home / "writes.db") as store:
        wait_until(lambda: store.counts(1).get(RowState.NOT_SENT, 0) > 0, timeout_s=30)
        elapsed_s = time.monotonic() - cancelled_at
        assert [row.state for row in store.rows(1)] == [first, RowState.NOT_SENT]
        ended = store.find(1)
        assert ended is not None
        assert ended.state is WriteState.CANCELLED
    assert elapsed_s < scaled_limit_s(2)
    assert len(crm.sent) == 1
