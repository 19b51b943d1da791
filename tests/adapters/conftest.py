"""An adapter that reads from the fault server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.fault_server import FaultServer
from tests.support.rest_tables import MakeAdapter
from unify.adapters.http.messages import Timeouts
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.model import AdapterSpec, TableSpec


@pytest.fixture
def make_adapter(api: FaultServer) -> Iterator[MakeAdapter]:
    """An adapter of these tables to the fault server, closed at the end."""
    made: list[RESTAdapter] = []

    def adapter(*tables: TableSpec, options: dict[str, Any] | None = None, **settings: Any) -> RESTAdapter:
        given = {name: settings.pop(name, None) for name in ("listeners", "clock")}
        spec = AdapterSpec("api", "api.yaml", api.url, tables=tables, **settings)
        adapter = RESTAdapter(spec, options or {}, timeouts=Timeouts(total_s=5, read_s=5), **given)
        made.append(adapter)
        return adapter

    yield adapter
    for each in made:
        each.close()
