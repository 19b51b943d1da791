"""Concurrency slots of a connection: awaited in order, shared fairly, released by processes that die."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import pytest

from unify.adapters.http import concurrency
from unify.adapters.http.concurrency import ConcurrencySlots
from unify.errors import Interrupted

MakeSlots = Callable[[int], ConcurrencySlots]
RUNNING = threading.Event()  # never set
HOLDER = """
import sys, threading
from pathlib import Path
from unify.adapters.http.concurrency import ConcurrencySlots
slots = ConcurrencySlots(Path(sys.argv[1]), "c", 1)
print(slots.acquire(threading.Event()), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def make_slots(tmp_path: Path) -> Iterator[MakeSlots]:
    made: list[ConcurrencySlots] = []

    def make(count: int) -> ConcurrencySlots:
        made.append(ConcurrencySlots(tmp_path, "c", count))
        return made[-1]

    yield make
    for slots in made:
        slots.close()


@pytest.fixture
def pool(make_slots: MakeSlots) -> Iterator[ThreadPoolExecutor]:
    threads = ThreadPoolExecutor(8)
    yield threads
    threads.shutdown(wait=False)  # closing the slots ends every wait


def wait_until_queued(slots: ConcurrencySlots, count: int = 1) -> None:
    deadline = time.monotonic() + 5
    while len(slots._waiters) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_released_slot_goes_to_the_waiting_process_at_once(
    make_slots: MakeSlots, pool: ThreadPoolExecutor
) -> None:
    first, second = (make_slots(1) for _ in range(2))
    held = first.acquire(RUNNING)
    waits = pool.submit(second.acquire, RUNNING)
    wait_until_queued(second)
    started = time.monotonic()
    first.release(held)
    assert waits.result(5) == 0
    assert time.monotonic() - started < concurrency.RECHECK_S / 2
    second.release(0)


def test_waiting_takes_no_processor_time(make_slots: MakeSlots, pool: ThreadPoolExecutor) -> None:
    slots = make_slots(1)
    slot = slots.acquire(RUNNING)
    waiting = [pool.submit(slots.acquire, RUNNING) for _ in range(3)]
    wait_until_queued(slots, 3)
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.05
    for _ in range(3):
        slots.release(slot)
        slot = next(as_completed(waiting, 5)).result()
        waiting = [future for future in waiting if not future.done()]
    slots.release(slot)


def test_each_process_gets_its_share(make_slots: MakeSlots, pool: ThreadPoolExecutor) -> None:
    """The slow table holds every slot; once its first requests end, half of the slots are the other's."""
    slow, quick = (make_slots(4) for _ in range(2))
    held = [slow.acquire(RUNNING) for _ in range(4)]
    more: list[Future[int]] = [pool.submit(slow.acquire, RUNNING) for _ in range(4)]
    wait_until_queued(slow, 4)
    waiting = [pool.submit(quick.acquire, RUNNING) for _ in range(2)]
    wait_until_queued(quick, 2)
    slow._active = (0.0, 1)  # the processes are counted again
    for slot in held[:2]:
        slow.release(slot)
    ours = [future.result(5) for future in waiting]
    for _ in range(20):  # requests of the quick table come and go
        quick.release(ours[0])
        ours[0] = quick.acquire(RUNNING)
    assert not any(future.done() for future in more)
    for slot in ours:
        quick.release(slot)
    slow.release(held[2])
    slow.release(held[3])
    for future in as_completed(more, 10):
        slow.release(future.result())


def test_one_process_alone_uses_every_slot(make_slots: MakeSlots) -> None:
    slots = make_slots(3)
    assert sorted(slots.acquire(RUNNING) for _ in range(3)) == [0, 1, 2]


def test_a_process_that_was_idle_for_long_leaves_its_share(
    tmp_path: Path, make_slots: MakeSlots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrency, "COUNT_INTERVAL_S", 0.0)
    idle, busy = (make_slots(2) for _ in range(2))
    idle.release(idle.acquire(RUNNING))
    busy.acquire(RUNNING)
    assert busy._share() == 1
    os.utime(tmp_path / "c.0.member", (1, 1))
    assert busy._share() == 2


@pytest.mark.process
def test_the_slot_of_a_killed_process_is_free(tmp_path: Path, make_slots: MakeSlots) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"0\n"
    slots = make_slots(1)
    threading.Timer(0.2, holder.kill).start()
    assert slots.acquire(RUNNING) == 0
    holder.wait()
    holder.stdout.close()
    assert holder.stdin is not None
    holder.stdin.close()


def test_a_closed_limiter_ends_its_waits(make_slots: MakeSlots, pool: ThreadPoolExecutor) -> None:
    slots = make_slots(1)
    slots.acquire(RUNNING)
    waits = pool.submit(slots.acquire, RUNNING)
    wait_until_queued(slots)
    slots.close()
    with pytest.raises(Interrupted):
        waits.result(5)
