"""The memory of a daemon that publishes many loads stays bounded."""

from __future__ import annotations

import pytest

from tests.support.daemon_home import DaemonHome
from unify.daemon.publisher import COMMANDS_PER_LAKE
from unify.fs.memory import resident_bytes
from unify.model import Action, JobState

MIB = 1024 * 1024
TABLES = 10  # loaded in turn, so that loads are published while others are read


@pytest.mark.parametrize(
    ("loads", "growth_mb"),
    [
        pytest.param(30, 60),  # the first loads import and allocate what the daemon keeps
        pytest.param(1_500, 60, marks=(pytest.mark.slow, pytest.mark.timeout(3600))),
    ],
)
def test_many_small_loads_keep_the_memory_of_the_daemon_bounded(
    daemon_home: DaemonHome, loads: int, growth_mb: int
) -> None:
    """After a warm-up the resident size grows by a bound that does not depend on the number of loads."""
    pid = daemon_home.start_daemon()
    _load(daemon_home, TABLES)
    sizes = [_size_mb(pid)]
    step = min(loads, COMMANDS_PER_LAKE // 4)
    for _ in range(0, loads, step):
        _load(daemon_home, step)
        sizes.append(_size_mb(pid))
    print(f"{loads} loads: {sizes[0]} MB after {TABLES}, {max(sizes)} MB at most, {sizes[-1]} MB at the end")
    print("MB after every", step, "loads:", sizes)
    assert max(sizes) - sizes[0] < growth_mb


def _load(home: DaemonHome, count: int) -> None:
    """Publish ``count`` loads, TABLES at a time."""
    for start in range(0, count, TABLES):
        jobs = [
            home.enqueue_load(f"rows{number}", Action.RELOAD) for number in range(min(TABLES, count - start))
        ]
        for job in jobs:
            assert home.wait_for_end(job).state is JobState.DONE


def _size_mb(pid: int) -> int:
    return resident_bytes([pid])[pid] // MIB
