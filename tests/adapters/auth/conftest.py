"""Fixtures for tests of authentication."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.authenticated_api import OPTIONS, MakeAdapter
from tests.support.fault_server import FaultServer, MockResponse
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.model import AdapterSpec, TableSpec
from unify.adapters.spec.paging import Paging


@pytest.fixture
def foreign() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.serve("/next", MockResponse.json({"items": [{"id": 2}]}))
        yield server


@pytest.fixture
def make_adapter(api: FaultServer) -> Iterator[MakeAdapter]:
    made: list[RESTAdapter] = []

    def adapter(auth: Auth, paging: Paging, **settings: Any) -> RESTAdapter:
        table = TableSpec("things", ("GET /things",), paging=paging, headers={"X-Extra": "{key}"})
        given = {name: settings.pop(name, None) for name in ("listeners", "clock")}
        spec = AdapterSpec("api", "api.yaml", api.url, auth=auth, tables=(table,), **settings)
        made.append(RESTAdapter(spec, OPTIONS, **given))
        return made[-1]

    yield adapter
    for each in made:
        each.close()
