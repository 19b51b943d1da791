"""Whom loads wait for: what the running daemon knows of them, and the queue does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from unify.errors import DaemonUnreachable
from unify.model import JobState, LoaderJob, LoaderStatus
from unify.settings import Settings

_ASKED_S = 1.0  # a daemon that does not answer leaves a listing without it


def why(task: LoaderStatus) -> str:
    """``waiting for another session's transaction: process 4711 (a shell)``, or nothing."""
    if not task.blocked_by:
        return ""
    what = "" if task.state is JobState.QUEUED else " for another session's transaction"
    return f"waiting{what}: {task.blocked_by}"


def reasons(settings: Settings, jobs: Sequence[LoaderJob]) -> Mapping[int, str]:
    """Why jobs do not go on, by their number; ZeroMQ is imported where one may be waiting."""
    if not any(job.state in (JobState.QUEUED, JobState.PUBLISHING) for job in jobs):
        return {}
    from unify.status.client import StatusClient
    from unify.status.launch import daemon_running

    if not daemon_running(settings):
        return {}
    with suppress(DaemonUnreachable), StatusClient(settings.run, _ASKED_S) as client:
        return {told.job: why(told) for told in client.snapshot() if told.blocked_by and told.state.active}
    return {}
