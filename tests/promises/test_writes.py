"""Worker processes are killed while they write to an API that loses responses: nothing is doubled or lost."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.support.command import InProcessCommand, UnifyCommand
from tests.support.fault_server import FaultServer
from tests.support.paths import CHECKOUT
from tests.support.writable_api import Protection
from tests.support.write_campaign import CampaignResult, run_campaign


@pytest.fixture
def quick_writes(home: Path, monkeypatch: pytest.MonkeyPatch) -> UnifyCommand:
    """The command in a home whose workers settle lost rows without waiting."""
    unify = InProcessCommand(home)
    unify.environment["PYTHONPATH"] = str(CHECKOUT)
    monkeypatch.setattr("unify.status.launch.DAEMON_MODULE", "tests.support.daemon_quick_writes")
    return unify


def require_nothing_doubled_or_lost(result: CampaignResult, protection: Protection, seed: int) -> None:
    assert (result.doubled, result.lost, result.reused_keys) == (0, 0, 0), (result, seed)
    assert protection == "nothing" or not result.unknown, (result, seed)


@pytest.mark.parametrize("protection", ["settle"])
def test_killed_workers_double_and_lose_nothing(
    quick_writes: UnifyCommand, api: FaultServer, protection: Protection
) -> None:
    result = run_campaign(quick_writes, api, protection, kills=2, rows=20, seed=20261201)

    assert result.kills >= 1
    require_nothing_doubled_or_lost(result, protection, 20261201)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("protection", ["key", "settle", "put", "nothing"])
def test_two_hundred_kills_double_and_lose_nothing(
    quick_writes: UnifyCommand, api: FaultServer, protection: Protection
) -> None:
    seed = random.randrange(10**9)
    result = run_campaign(quick_writes, api, protection, kills=200, rows=4_000, seed=seed)

    sys.stderr.write(f"{protection}: {result}, seed {seed}\n")
    assert result.kills >= 200, (result, seed)
    require_nothing_doubled_or_lost(result, protection, seed)
