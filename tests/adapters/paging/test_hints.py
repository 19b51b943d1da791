"""``paging: auto`` on members and headers of names that no envelope has: followed, or named in an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.rest_tables import MakeAdapter, decode_rows, table
from unify.adapters.base import Listeners, Read
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse

ROWS = [{"id": number} for number in range(17)]  # not a round number, which would be noted
PAGE = 7

HINTS: list[Mapping[str, Any]] = [
    {"total": "1,045"},
    {"range": "1-7 of 17"},
    {"range": {"from": 0, "to": 6, "of": 17}},
    {"stats": {"matched": 17, "returned": 7}},
    {"summary": {"records": 17}},
    {"counts": {"total": 17}},
    {"showing": 7, "of": 17},
    {"message": "Showing 7 of 17 results"},
    {"warnings": ["Result set truncated to 7 rows"]},
    {"warning": "results are limited to 7"},
    {"page": "1 of 3"},
    {"page": {"number": 1, "total": 3}},
    {"limited": True},
    {"resultsLimited": True},
    {"isPartialResult": True},
    {"incomplete": True},
    {"limitReached": True},
    {"maxResultsReached": True},
    {"jobComplete": False},
    {"lastKey": "abc"},
    {"LastEvaluatedKey": {"id": {"N": "6"}}},
    {"continuationToken": {"token": "abc"}},
    {"search_after": [6]},
    {"link": "</things?page=2>; rel=next"},
]
HEADERS = {
    "X-Pages": "3",
    "X-Page-Count": "3",
    "X-Last-Page": "3",
    "X-Record-Count": "17",
    "X-Result-Count": "17",
    "X-Collection-Total": "17",
    "X-More": "1",
    "X-Partial": "true",
    "X-Incomplete": "true",
    "X-Remaining-Items": "10",
    "X-Scroll-Id": "abc",
    "X-Bookmark": "abc",
}
HARMLESS: list[Mapping[str, Any]] = [
    {"total": 7},
    {"message": "Found in 7 of your folders"},
    {"warnings": []},
    {"took": 120, "version": 17, "status": 200},
    {"limited": False},
    {"links": {"rel": "self", "href": "/things"}},
]


def read(api: FaultServer, make: MakeAdapter, response: MockResponse, notes: list[str] | None = None) -> Any:
    api.serve("/things", response)
    listeners = Listeners(note=(notes if notes is not None else []).append)
    return decode_rows(make(table(paging=Paging()), listeners=listeners).pages("things", Read()))


@pytest.mark.parametrize("members", HINTS, ids=str)
def test_a_member_that_indicates_more_pages_fails_the_load(
    members: Mapping[str, Any], api: FaultServer, make_adapter: MakeAdapter
) -> None:
    with pytest.raises(BadResponse, match=r"paging\.type"):
        read(api, make_adapter, MockResponse.json({**members, "items": ROWS[:PAGE]}))


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_indicates_more_pages_fails_the_load(
    name: str, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    response = MockResponse.json(ROWS[:PAGE]).with_headers(**{name.replace("-", "_"): HEADERS[name]})
    with pytest.raises(BadResponse, match=r"paging\.type"):
        read(api, make_adapter, response)


def test_status_206_without_a_total_fails_the_load(api: FaultServer, make_adapter: MakeAdapter) -> None:
    with pytest.raises(BadResponse, match="the status: 206 Partial Content"):
        read(api, make_adapter, MockResponse.json(ROWS[:PAGE], status=206))


@pytest.mark.parametrize("members", HARMLESS, ids=str)
def test_other_members_indicate_nothing(
    members: Mapping[str, Any], api: FaultServer, make_adapter: MakeAdapter
) -> None:
    notes: list[str] = []
    rows = read(api, make_adapter, MockResponse.json({**members, "items": ROWS[:PAGE]}), notes)
    assert (len(rows), notes) == (PAGE, [])


def test_other_headers_indicate_nothing(api: FaultServer, make_adapter: MakeAdapter) -> None:
    response = MockResponse.json(ROWS[:PAGE]).with_headers(
        Age="100",
        X_Cache_Hits="99",
        X_RateLimit_Remaining="50",
        X_Request_Id="abc",
        X_Auth_Token="t0ken-t0ken",
    )
    assert len(read(api, make_adapter, response)) == PAGE


def test_a_member_that_may_be_a_cursor_is_noted(api: FaultServer, make_adapter: MakeAdapter) -> None:
    notes: list[str] = []
    read(api, make_adapter, MockResponse.json({"items": ROWS[:PAGE], "last_id": 6}), notes)
    assert notes == ["the response has last_id: 6, which may indicate more pages"]


def test_a_cursor_named_next_in_an_object_named_cursor_is_followed(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        at = int(request.query.get("cursor", "0"))
        following = at + PAGE if at + PAGE < len(ROWS) else None
        meta = {"cursor": {"current": at, "next": following, "count": PAGE}}
        return MockResponse.json({"data": ROWS[at : at + PAGE], "meta": meta})

    api.serve("/things", respond)
    assert decode_rows(make_adapter(table(paging=Paging())).pages("things", Read())) == ROWS
