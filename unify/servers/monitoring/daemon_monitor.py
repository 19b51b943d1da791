"""Reads whether the daemon runs and what its loads wait for, and counts the events of its log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from enum import StrEnum

import msgspec
from msgspec import Struct

from unify.config.settings import Settings
from unify.errors import DaemonUnreachable
from unify.model import JobState, LoaderStatus, RequestRecord
from unify.servers.monitoring.log_tail import LogTail
from unify.status.client import StatusClient
from unify.status.launch import is_daemon_running, unresponsive_message
from unify.status.messages import DaemonInfo

REPLY_TIMEOUT_S = 1.0  # the daemon replies within milliseconds
NOTIFICATION_RESULTS = ("sent", "failed", "dropped", "invalid")
STATUS_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", "none")  # none: no response

_record_decoder = msgspec.json.Decoder(RequestRecord)


class WaitReason(StrEnum):
    """What a load waits for."""

    RATE_LIMIT = "rate_limit"  # of the API
    RETRY = "retry"  # after a failed attempt
    BLOCKED = "blocked"  # another process writes to the lake, or the work is paused


class DaemonSummary(Struct, frozen=True):
    """The daemon at one moment.

    ``problem``  why it cannot work: it does not run or does not respond; "" if it can.
    ``info``     None if it does not run or does not respond.
    ``waiting``  the number of loads that wait, by connection and reason.
    """

    problem: str
    is_running: bool = False
    info: DaemonInfo | None = None
    waiting: Mapping[tuple[str, WaitReason], int] = {}


def read_daemon(settings: Settings, now: datetime) -> DaemonSummary:
    """Ask the daemon for its state; its instance lock tells whether it runs at all."""
    if not is_daemon_running(settings):
        return DaemonSummary("the daemon is not running; start it with unify daemon start")
    try:
        with StatusClient(settings.socket_folder, REPLY_TIMEOUT_S) as client:
            info, statuses = client.ping(), client.snapshot()
    except DaemonUnreachable:
        return DaemonSummary(unresponsive_message(settings), is_running=True)
    waiting = Counter(
        (status.table.schema, reason)
        for status in statuses
        if (reason := _wait_reason(status, now)) is not None
    )
    problem = f"no work starts: {info.waiting}" if info.waiting else ""
    return DaemonSummary(problem, True, info, waiting)


def _wait_reason(status: LoaderStatus, now: datetime) -> WaitReason | None:
    if status.state not in (JobState.QUEUED, JobState.RUNNING, JobState.PUBLISHING):
        return None
    if status.waiting_until is not None and status.waiting_until > now:
        return WaitReason.RETRY if status.error else WaitReason.RATE_LIMIT
    return WaitReason.BLOCKED if status.blocked_by else None


class EventCounter:
    """Counts requests to APIs and notifications since it was made, from the files that the daemon writes."""

    def __init__(self, settings: Settings) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()  # by connection and class of the status code
        self.notifications: Counter[str] = Counter()
        log, requests = settings.logs / "daemon.log", settings.request_log
        self._log = LogTail(log, log.with_name(f"{log.name}.1"))
        self._requests = LogTail(requests, requests.with_name(f"{requests.name}.1"))

    def update(self) -> None:
        """Count what was written since the last call; a file that cannot be read is counted later."""
        with suppress(OSError):
            for line in self._requests.read_lines():
                self._count_request(line)
        with suppress(OSError):
            for line in self._log.read_lines():
                self._count_event(line)

    def _count_request(self, line: bytes) -> None:
        try:
            record = _record_decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # cut short by a crash
        status = record.status
        known = status is not None and 100 <= status < 600
        self.requests[record.connection, f"{status // 100}xx" if known and status else "none"] += 1

    def _count_event(self, line: bytes) -> None:
        words = line.split(maxsplit=3)  # time, epoch, event, fields
        subject, _, result = (
            words[2].decode(errors="replace").partition(".") if len(words) > 2 else ("", "", "")
        )
        if subject == "notify" and result in NOTIFICATION_RESULTS:
            self.notifications[result] += 1
