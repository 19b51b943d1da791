"""Fixtures for tests of the HTTP client."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.support.fault_server import FaultServer
from tests.support.http_client import TOKEN, ClientHarness, FakeClock, RecordedEvents
from unify.adapters.auth.base import HeaderAuth
from unify.adapters.http.client import HttpClient
from unify.adapters.http.messages import ClientOptions, Timeouts


@pytest.fixture
def make_client(api: FaultServer) -> Iterator[Callable[..., ClientHarness]]:
    made: list[HttpClient] = []

    def make(route: Mapping[str, Any] | None = None, **options: Any) -> ClientHarness:
        clock, events = FakeClock(), RecordedEvents()
        settings = {
            "auth": HeaderAuth("Authorization", f"Bearer {TOKEN}", TOKEN),
            "timeouts": Timeouts(total_s=5.0, read_s=3.0),
            "clock": clock,
            "rng": random.Random(7),
            "listeners": events.listeners(),
        }
        transport = HttpClient(
            ClientOptions(api.url, credentials_hint="option token", **(route or {})),
            **{**settings, **options},
        )
        made.append(transport)
        return ClientHarness(api, transport, clock, events)

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def client(make_client: Callable[..., ClientHarness]) -> ClientHarness:
    return make_client()
