"""``paging: auto`` on envelopes of public APIs: every page is read, or the load fails and names the hint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.envelopes import COMPLETE, ENVELOPES, PAGES, UNKNOWN, Envelope
from tests.support.fault_server import FaultServer
from tests.support.rest_tables import MakeAdapter, decode_rows, table
from unify.adapters.base import Listeners, Read
from unify.adapters.spec.model import TableSpec
from unify.errors import BadResponse

KEYS = ("none", "id")


def serve(api: FaultServer, envelope: Envelope) -> None:
    api.serve("/things", lambda request: envelope.response(envelope.page_of(request), api.url))


def things(envelope: Envelope, **settings: Any) -> TableSpec:
    return table("things", **{"paging": envelope.paging, **envelope.table, **settings})


@pytest.mark.parametrize("envelope", ENVELOPES, ids=lambda each: each.name)
@pytest.mark.parametrize("key", KEYS)
def test_every_page_of_an_envelope_is_read(
    envelope: Envelope, key: str, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    serve(api, envelope)
    spec = things(envelope, key=(key,) if key == "id" else ())
    rows = decode_rows(make_adapter(spec).pages("things", Read()))
    expected = [row for page in range(PAGES) for row in envelope.rows(page)]
    assert rows == expected
    assert len(api.requests) <= PAGES + 1


def test_there_are_at_least_sixty_envelopes() -> None:
    assert len({envelope.name for envelope in ENVELOPES}) >= 60


@pytest.mark.parametrize("body", COMPLETE, ids=lambda body: json.dumps(body)[:70])
def test_members_that_only_resemble_hints_are_one_page(
    body: Any, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    envelope = Envelope("one page", body, [])
    serve(api, envelope)
    found: list[str] = []
    adapter = make_adapter(things(envelope), listeners=Listeners(paging_detected=found.append))
    rows = decode_rows(adapter.pages("things", Read()))
    assert rows in (envelope.rows(0), [body], body)
    assert found == ["nothing in the response indicates more pages"]
    assert len(api.requests) == 1


@pytest.mark.parametrize(("body", "hint"), UNKNOWN, ids=lambda value: json.dumps(value)[:70])
def test_a_hint_that_cannot_be_followed_is_an_error_that_names_it(
    body: Any, hint: str, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    serve(api, Envelope("unknown", body, []))
    with pytest.raises(BadResponse, match=r"set paging\.type for this table") as caught:
        decode_rows(make_adapter(things(Envelope("unknown", body, []))).pages("things", Read()))
    assert hint in caught.value.message
