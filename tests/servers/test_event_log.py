"""Events of a server."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from unify.servers.event_log import MAX_REPEATS, EventLog

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class LogAt:
    """A log whose clock a test sets."""

    def __init__(self) -> None:
        self.now = NOON
        self.stream = io.StringIO()
        self.log = EventLog(self.stream, now=lambda: self.now)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def test_an_event_is_one_line_with_time_and_fields() -> None:
    at = LogAt()
    at.log.write_event("server.started", address="http://127.0.0.1:1", home="/a b", problem="", port=None)
    assert at.lines == ['2026-03-01T12:00:00.000Z server.started address=http://127.0.0.1:1 home="/a b"']


def test_no_value_breaks_a_line_or_shows_a_known_secret() -> None:
    at = LogAt()
    at.log.redactor.add("s3cret-canary")
    at.log.write_event(
        "server.request_refused", path="/x\n2026 daemon.stopped\x1b[2J", reason="s3cret-canary"
    )
    [line] = at.lines
    assert "s3cret" not in line
    assert "\\n2026 daemon.stopped\\e[2J" in line


def test_events_that_clients_cause_are_limited_and_counted() -> None:
    at = LogAt()
    for _ in range(MAX_REPEATS + 5):
        at.log.write_limited("server.request_refused", path="/x")
    at.log.write_limited("server.warning", message="another event")
    assert len(at.lines) == MAX_REPEATS + 1
    at.now += timedelta(minutes=1)
    at.log.write_limited("server.request_refused", path="/y")
    assert at.lines[-1].endswith("server.request_refused path=/y suppressed=5")


def test_a_closed_stream_is_not_an_error() -> None:
    at = LogAt()
    at.stream.close()
    at.log.write_event("server.stopped")
    assert at.stream.closed
    EventLog(None).write_event("server.stopped")
