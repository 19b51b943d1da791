"""Tables with ``shares``: one request gives the rows of several tables."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.rest_tables import decode_rows
from unify.adapters.base import Read
from unify.adapters.rest import shared_responses
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.spec.loader import load_spec

SPEC = """\
name: dns
base_url: {url}
auth: {{type: api_key, in: query, name: key, value: s3cret-canary}}
paging: {{type: page, more_path: more}}
tables:
  - {{name: zones, request: GET /zones, rows: zones, key: id}}
  - {{name: records, shares: zones, rows: records, key: id}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def adapter(api: FaultServer, tmp_path: Path, folder: Path) -> Iterator[RESTAdapter]:
    def respond(request: RecordedRequest) -> MockResponse:
        page = int(request.query["page"])
        version = sum(each.query["page"] == str(page) for each in api.requests)
        zones = [{"id": page, "version": version}]
        records = [{"id": page * 10, "v": version}]
        return MockResponse.json({"more": page < 2, "zones": zones, "records": records})

    api.serve("/zones", respond)
    path = tmp_path / "dns.yaml"
    path.write_text(SPEC.format(url=api.url))
    opened = RESTAdapter(load_spec(path), {}, shared_folder=folder)
    yield opened
    opened.close()


def read(adapter: RESTAdapter, table: str) -> list[object]:
    return decode_rows(adapter.pages(table, Read()))


def test_the_api_is_asked_once_for_both_tables(adapter: RESTAdapter, api: FaultServer, folder: Path) -> None:
    assert read(adapter, "zones") == [{"id": 1, "version": 1}, {"id": 2, "version": 1}]
    assert read(adapter, "records") == [{"id": 10, "v": 1}, {"id": 20, "v": 1}]
    assert len(api.requests) == 2
    kept = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert b"s3cret-canary" not in kept
    assert {file.stat().st_mode & 0o77 for file in folder.rglob("*")} == {0}


def test_a_second_load_of_a_table_sends_its_requests(adapter: RESTAdapter, api: FaultServer) -> None:
    read(adapter, "zones")
    read(adapter, "records")
    assert read(adapter, "records") == [{"id": 10, "v": 2}, {"id": 20, "v": 2}]
    assert read(adapter, "zones") == [{"id": 1, "version": 2}, {"id": 2, "version": 2}]
    assert len(api.requests) == 4


def test_old_responses_are_not_shared(
    adapter: RESTAdapter, api: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(adapter, "zones")
    monkeypatch.setattr(shared_responses, "SHARED_S", 0.0)
    assert read(adapter, "records") == [{"id": 10, "v": 2}, {"id": 20, "v": 2}]


def test_tables_loaded_at_the_same_time_ask_the_api_once(adapter: RESTAdapter, api: FaultServer) -> None:
    threads = [threading.Thread(target=read, args=(adapter, table)) for table in ("zones", "records")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(api.requests) == 2
