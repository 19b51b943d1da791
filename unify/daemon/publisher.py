"""The thread that publishes loads and runs maintenance, one command after the other.

It has its own connection to the lake and does not write to the queue. While it works, the daemon's main
loop answers requests.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import assert_never

from msgspec import Struct

from unify.config.settings import Settings
from unify.daemon.command_queue import CommandQueue
from unify.errors import LoadFailed, StoreError, UnifyError
from unify.lake import ledger, maintenance
from unify.lake.history.changed_tables import ChangedTables, find_changed_tables
from unify.lake.lake import Lake
from unify.lake.maintenance import LakeMaintenanceResult
from unify.load.protocol import Failure, make_failure, make_unexpected_failure
from unify.load.staging import StagingArea
from unify.model import LoaderJob, LoadRecord
from unify.publish import publish

RECOVERY_COUNT_FILE = "recoveries"  # a file beside the staged rows; its length is the number
MAX_RECOVERIES = 10
# DuckLake keeps what it read of old versions: 50 kB a published load. Reopening the lake frees it; the daemon
# grew from 126 to 305 MB in 3,220 loads without, and stays below 135 MB with it (docs/promises.md).
COMMANDS_PER_LAKE = 200


class Warmup(Struct, frozen=True):
    """Open the lake before the first load needs it."""


class PublishStaged(Struct, frozen=True):
    """Publish a staged load. ``size`` is that of its responses in bytes: a larger one takes longer."""

    job: LoaderJob
    size: int = 0


class RecoverOrphan(Struct, frozen=True):
    """Determine whether a job in progress is published, staged, or neither."""

    job: LoaderJob


class RecordFailure(Struct, frozen=True):
    """Write a failed load to the ledger."""

    job: LoaderJob
    record: LoadRecord


class DiscardStaged(Struct, frozen=True):
    """Remove what the attempts of an ended job have staged."""

    job: LoaderJob


class RunMaintenance(Struct, frozen=True):
    """Run maintenance; ``should_continue`` is called between its steps, in the publisher's thread."""

    should_continue: Callable[[], bool]


class FindChangedTables(Struct, frozen=True):
    """Find the tables that have changed since a snapshot of the lake."""

    since: int


PublisherCommand = (
    Warmup
    | PublishStaged
    | RecoverOrphan
    | RecordFailure
    | DiscardStaged
    | RunMaintenance
    | FindChangedTables
)


class PublisherResult(Struct, frozen=True):
    """The result of a command. At most one field beside ``command`` is set.

    ``record``  the ledger's row of a published load; None for an orphan that has to start again, and for an
                attempt that is no longer active.
    """

    command: PublisherCommand
    record: LoadRecord | None = None
    maintenance: LakeMaintenanceResult | None = None
    changed: ChangedTables | None = None
    failure: Failure | None = None


class PublishHandler:
    """Carries out commands, in the publisher's thread.

    ``is_current_attempt``  the fence before every commit.
    """

    def __init__(self, settings: Settings, is_current_attempt: Callable[[LoaderJob], bool]) -> None:
        self._settings = settings
        self._is_current_attempt = is_current_attempt
        self._staging = StagingArea(settings.staging)
        self._lake: Lake | None = None
        self._commands_left = COMMANDS_PER_LAKE
        self.lake_folder = settings.lake

    def execute(self, command: PublisherCommand) -> LoadRecord | LakeMaintenanceResult | ChangedTables | None:
        """Carry out one command. Raises UnifyError."""
        self._commands_left -= 1
        if self._commands_left <= 0:
            self.close()
        match command:
            case Warmup():
                self._open_lake()
            case PublishStaged(job, _):
                return self._publish_staged(job)
            case RecoverOrphan(job):
                return ledger.find_load(self._open_lake(), job.uid) or self._recover_orphan(job)
            case RecordFailure(_, record):
                publish.record_failure(self._open_lake(), record)
                return record
            case DiscardStaged(job):
                self._staging.remove_attempts(job)
            case RunMaintenance(go_on):
                keep = timedelta(seconds=self._settings.history_retention_s)
                return maintenance.run_maintenance(self._open_lake(), datetime.now(UTC), keep, go_on)
            case FindChangedTables(since):
                return find_changed_tables(self._open_lake(), since)
            case unknown:
                assert_never(unknown)
        return None

    def read_ahead(self) -> None:
        """Read the catalog, which the last command may have changed, before the next load waits for it."""
        if self._lake is not None:
            ledger.read_ahead(self._lake)

    def close(self) -> None:
        if self._lake is not None:
            self._lake.close()
            self._lake = None
        self._commands_left = COMMANDS_PER_LAKE

    def _publish_staged(self, job: LoaderJob) -> LoadRecord | None:
        staged = self._staging.find_staged_load(job)
        if staged is None:
            return None
        return publish.publish(
            self._open_lake(), job, staged, is_current_attempt=lambda: self._is_current_attempt(job)
        )

    def _recover_orphan(self, job: LoaderJob) -> LoadRecord | None:
        """Publish what is staged; attempts are counted on disk, in case publishing is what ends daemons."""
        staged = self._staging.find_staged_load(job)
        if staged is None:
            return None
        if _count_recovery(staged.folder / RECOVERY_COUNT_FILE) > MAX_RECOVERIES:
            raise LoadFailed(f"{job.table}: {MAX_RECOVERIES} daemons ended while they published it")
        return self._publish_staged(job)

    def _open_lake(self) -> Lake:
        if self._lake is None:
            self._lake = Lake(self._settings, purpose="daemon")
        return self._lake


class Publisher:
    """Runs the commands of the daemon's loop, and wakes it when one is done."""

    def __init__(self, handler: PublishHandler, wake: Callable[[], None]) -> None:
        self._handler = handler
        self._wake = wake
        self._commands: CommandQueue[PublisherCommand] = CommandQueue(_size_of)
        self._results: deque[PublisherResult] = deque()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def submit(self, command: PublisherCommand) -> None:
        self._commands.put(command)

    def take_results(self) -> Sequence[PublisherResult]:
        """Return the results since the last call."""
        return [self._results.popleft() for _ in range(len(self._results))]

    def close(self, within_s: float) -> bool:
        """Carry out the pending commands and end; False if that takes longer than ``within_s``."""
        self._commands.close()
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (command := self._commands.get()) is not None:
            self._results.append(self._execute(command))
            self._wake()
            if self._commands.is_empty():
                with suppress(StoreError):  # the next command reports it
                    self._handler.read_ahead()
        self._handler.close()

    def _execute(self, command: PublisherCommand) -> PublisherResult:
        try:
            result = self._handler.execute(command)
        except StoreError as error:
            self._handler.close()  # the lake may have been replaced; the next command reopens it
            return PublisherResult(command, failure=make_failure(error))
        except UnifyError as error:
            return PublisherResult(command, failure=make_failure(error))
        except Exception as error:  # noqa: BLE001 - a bug fails its load, not the only publisher
            return PublisherResult(command, failure=make_unexpected_failure(error, self._handler.lake_folder))
        if isinstance(result, LakeMaintenanceResult):
            return PublisherResult(command, maintenance=result)
        if isinstance(result, ChangedTables):
            return PublisherResult(command, changed=result)
        return PublisherResult(command, record=result)


def _size_of(command: PublisherCommand) -> int | None:
    return command.size if isinstance(command, PublishStaged) else None


def _count_recovery(path: Path) -> int:
    """Return how often this was called for ``path``, this call included; durable before it returns."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as tries:
            tries.write(b".")
            tries.flush()
            os.fsync(tries.fileno())
            return tries.tell()
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from error
