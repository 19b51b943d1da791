"""What an error in the daemon ends: one job, or all work until the disk has space or the lock is free."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from unify.config.settings import Settings
from unify.daemon.disk_space import DiskSpaceMonitor
from unify.daemon.jobs.running_jobs import RunningJobs
from unify.engine.errors import is_disk_full_message
from unify.errors import LockTimeout, NewerVersion, StoreError, UnifyError
from unify.load.protocol import (
    Failure,
    make_bug_failure,
    make_failure,
)
from unify.load.staging import StagingArea

FAULT_LOG_INTERVAL_S = 60.0  # a fault that repeats is logged once in this time


class FaultHandler:
    """Contains errors of the daemon.

    ``is_queue_synced``  whether the running jobs are the jobs in progress of the queue: not until the daemon
                         has taken them over, nor after an error of the disk, which may have left them undone.
    """

    def __init__(
        self,
        settings: Settings,
        running_jobs: RunningJobs,
        disk_space: DiskSpaceMonitor,
        staging: StagingArea,
    ) -> None:
        self.settings = settings
        self.running_jobs = running_jobs
        self.disk_space = disk_space
        self.is_queue_synced = False
        self._staging = staging
        self._faults: dict[str, float] = {}  # when each was last logged

    @contextmanager
    def contain(self, job: int | None = None) -> Iterator[None]:
        """Fail ``job`` for an error in the block, so that the daemon continues.

        Errors that stop all work pass: a full disk, a lock that another process holds.
        """
        try:
            yield
        except (UnifyError, OSError) as error:
            if self.stops_all_work(error):
                raise
            self._fail_job(job, error)
        except Exception as error:  # noqa: BLE001 - a bug fails its job; the log has the traceback
            self._fail_job(job, error)

    def _fail_job(self, job: int | None, error: Exception) -> None:
        failure = make_failure(error) if isinstance(error, UnifyError) else make_bug_failure(error)
        run = self.running_jobs.by_id.get(job or 0)
        if run is None:
            self.report(failure)
            return
        try:
            self.running_jobs.handle_failure(run, failure)
        except StoreError:
            raise
        except Exception as second:  # noqa: BLE001 - the next daemon counts a crash of the job
            self.report(make_bug_failure(second))
            self.running_jobs.by_id.pop(run.job.id, None)

    def report(self, failure: Failure) -> None:
        """Log an error that belongs to no job; one that repeats, once a minute."""
        now = time.monotonic()
        if now - self._faults.get(failure.message, -FAULT_LOG_INTERVAL_S) >= FAULT_LOG_INTERVAL_S:
            self._faults = {text: at for text, at in self._faults.items() if now - at < FAULT_LOG_INTERVAL_S}
            self._faults[failure.message] = now
            self.running_jobs.log.write_event(
                "daemon.internal_error", error=failure.message, trace=failure.trace
            )

    def stops_all_work(self, error: Exception) -> bool:
        if isinstance(error, LockTimeout | NewerVersion) or not self.settings.home.is_dir():
            return True
        return isinstance(error, StoreError | OSError) and self.disk_space.is_disk_full_error(error)

    @contextmanager
    def pause_on_store_error(self) -> Iterator[None]:
        """Pause work when the home folder cannot be written to; the queue tells later what was left undone.

        Raises what waiting does not change: the home folder is gone, or a newer version has taken it over.
        """
        try:
            yield
        except (StoreError, OSError) as error:
            if isinstance(error, NewerVersion) or not self.settings.home.is_dir():
                raise
            self.is_queue_synced = False
            if isinstance(error, LockTimeout):
                self._pause(error.message, error.message.partition(" after ")[0])
            elif self.disk_space.is_disk_full_error(error):
                self._pause(str(error))
            else:
                self._pause(str(error), str(error))

    def _pause(self, error: str, reason: str = "") -> None:
        if self.disk_space.pause(error, reason):
            if not reason:  # the disk is full
                with suppress(StoreError):  # the pause says that files cannot be written
                    self._staging.remove_kept_checkpoints(datetime.now(UTC))
            self.running_jobs.publish_pause_reason(reason or self.disk_space.pause_reason)

    def check_for_full_disk(self, failure: Failure | None) -> None:
        """Pause when a load has found the disk full, before the next ones find it too."""
        if (
            failure is not None
            and failure.kind == StoreError.__name__
            and is_disk_full_message(failure.message)
        ):
            self._pause(failure.message)
