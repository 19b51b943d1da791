"""An HTTP client with a fake clock and recorded events."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from tests.support.fault_server import FaultServer
from unify.adapters.base import Listeners, Traffic
from unify.adapters.http.client import HttpClient
from unify.adapters.http.messages import Request, Response
from unify.adapters.http.rate_limit import Clock
from unify.adapters.spec.model import ErrorRule
from unify.errors import (
    UnifyError,
)

TOKEN = "sesame-0123456789"


class FakeClock(Clock):
    """A clock that advances only by waiting."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.waits: list[float] = []

    def time(self) -> float:
        return self.now

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return stop.is_set()


@dataclass
class RecordedEvents:
    """The events that listeners received."""

    requests: list[Traffic] = field(default_factory=list)
    waits: list[datetime | None] = field(default_factory=list)

    def listeners(self) -> Listeners:
        return Listeners(self.requests.append, self.waits.append)


@dataclass
class ClientHarness:
    """A client of the fault server, its clock and its events."""

    api: FaultServer
    transport: HttpClient
    clock: FakeClock
    events: RecordedEvents

    def get(self, path: str, *rules: ErrorRule, **options: Any) -> Response:
        return self.transport.fetch(Request("GET", self.api.url + path, **options), rules)

    def fetch_error(self, path: str, *rules: ErrorRule) -> UnifyError:
        with pytest.raises(UnifyError) as caught:
            self.get(path, *rules)
        return caught.value
