"""The daemon's publisher: the one thread that writes loads into the lake, one after the other.

It has a lake of its own and leaves the queue alone. A load takes it milliseconds to seconds;
meanwhile the daemon's loop answers everybody.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import assert_never

from unify.errors import LoadFailed, StoreError, UnifyError
from unify.loading import publish
from unify.loading.task import Failure, failure_of, unforeseen
from unify.model import LoaderJob, LoadRecord
from unify.settings import Settings
from unify.store import ledger, upkeep
from unify.store.lake import Lake
from unify.store.staging import Staging
from unify.store.upkeep import Tended

TRIES = "recoveries"  # a file beside the staged rows; its length is the number
RECOVERIES = 10


@dataclass(frozen=True, slots=True)
class Prepare:
    """Have the lake open before the first load needs it."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A load whose rows are staged: publish it."""

    job: LoaderJob


@dataclass(frozen=True, slots=True)
class Orphan:
    """A job an older daemon was busy with: perhaps published, perhaps staged, perhaps neither."""

    job: LoaderJob


@dataclass(frozen=True, slots=True)
class Failed:
    """A load that ended without rows: a row for the ledger."""

    job: LoaderJob
    record: LoadRecord


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended: what its attempts have staged can go."""

    job: LoaderJob


@dataclass(frozen=True, slots=True)
class Tend:
    """The lake's upkeep, as long as ``go_on`` says so: asked between its steps, from another thread."""

    go_on: Callable[[], bool]


Order = Prepare | Sealed | Orphan | Failed | Ended | Tend


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order. At most one of the rest is set.

    ``record``  the ledger's row of a load that is published; None for any other order, for an orphan
                that has to start over, and for an attempt that is not the job's any more.
    ``tended``  what the upkeep did.
    """

    order: Order
    record: LoadRecord | None = None
    tended: Tended | None = None
    failure: Failure | None = None


class Desk:
    """What the publisher does with an order. Opens its lake when the first one comes, in its own thread.

    ``still_ours``  whether a job's attempt is the one at work: the fence before every commit.
    """

    def __init__(self, settings: Settings, still_ours: Callable[[LoaderJob], bool]) -> None:
        self._settings = settings
        self._still_ours = still_ours
        self._staging = Staging(settings.staging)
        self._lake: Lake | None = None
        self.place = settings.lake

    def carry_out(self, order: Order) -> LoadRecord | Tended | None:
        match order:
            case Prepare():
                self._opened()
            case Sealed(job):
                return self._publish(job)
            case Orphan(job):
                return ledger.find(self._opened(), job.uid) or self._publish_again(job)
            case Failed(_, record):
                publish.record_failure(self._opened(), record)
            case Ended(job):
                self._staging.discard(job)
            case Tend(go_on):
                keep = timedelta(seconds=self._settings.kept_history_s)
                return upkeep.tend(self._opened(), datetime.now(UTC), keep, go_on)
            case unknown:
                assert_never(unknown)
        return None

    def close(self) -> None:
        if self._lake is not None:
            self._lake.close()
            self._lake = None

    def _publish(self, job: LoaderJob) -> LoadRecord | None:
        staged = self._staging.sealed(job)
        if staged is None:
            return None
        return publish.publish(self._opened(), job, staged, still_ours=lambda: self._still_ours(job))

    def _publish_again(self, job: LoaderJob) -> LoadRecord | None:
        """Publish what an older daemon left; counted on the disk, lest publishing be what ends daemons."""
        staged = self._staging.sealed(job)
        if staged is None:
            return None
        if _count_try(staged.folder / TRIES) > RECOVERIES:
            raise LoadFailed(f"{job.table}: {RECOVERIES} daemons ended while they published it")
        return self._publish(job)

    def _opened(self) -> Lake:
        if self._lake is None:
            self._lake = Lake(self._settings, purpose="daemon")
        return self._lake


class Publisher:
    """Takes orders from the daemon's loop and wakes it when one is done."""

    def __init__(self, desk: Desk, wake: Callable[[], None]) -> None:
        self._desk = desk
        self._wake = wake
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._done: deque[Done] = deque()
        self._thread = threading.Thread(target=self._work, name="publisher", daemon=True)
        self._thread.start()

    def submit(self, order: Order) -> None:
        self._orders.put(order)

    def collect(self) -> Sequence[Done]:
        """What was done since the last call."""
        done = []
        while self._done:
            done.append(self._done.popleft())
        return done

    def close(self, within_s: float) -> bool:
        """Carry out what was ordered and end; False if that takes longer than ``within_s``."""
        self._orders.put(None)
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            self._done.append(self._result(order))
            self._wake()
        self._desk.close()

    def _result(self, order: Order) -> Done:
        try:
            result = self._desk.carry_out(order)
        except StoreError as error:
            self._desk.close()  # perhaps the lake was replaced; the next order opens it anew
            return Done(order, failure=failure_of(error))
        except UnifyError as error:
            return Done(order, failure=failure_of(error))
        except Exception as error:  # noqa: BLE001 - a bug must not end the only publisher; the log shows it
            return Done(order, failure=unforeseen(error, self._desk.place))
        if isinstance(result, Tended):
            return Done(order, tended=result)
        return Done(order, record=result)


def _count_try(path: Path) -> int:
    """How often this was called for ``path``, this time included; on the disk before it is told."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as tries:
            tries.write(b".")
            tries.flush()
            os.fsync(tries.fileno())
            return tries.tell()
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from error
