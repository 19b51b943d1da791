"""Tables that would be short: pages that end before the total, lists that an API cuts within an object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.rest_tables import MakeAdapter, decode_rows, table
from unify.adapters.base import Listeners, Read
from unify.adapters.spec.paging import Paging
from unify.errors import BadResponse, SourceError

ROWS = [{"id": number} for number in range(250)]
SIZED: dict[str, Any] = {"size_param": "limit", "size": 10}


def capped(request: RecordedRequest) -> MockResponse:
    """Respond with ten rows of a hundred, and the total of all 250."""
    query = request.query
    at = int(query.get("offset", (int(query.get("page", 1)) - 1) * 10))
    rows = ROWS[at : at + 10] if at < 100 else []
    following = f"/things?offset={at + 10}" if at < 90 else None
    return MockResponse.json(
        {"total": 250, "pages": 25, "offset": at, "limit": 10, "items": rows, "next": following}
    )


@pytest.mark.parametrize(
    "paging",
    [
        Paging("offset", total_path="total", **SIZED),
        Paging("page", total_path="total", **SIZED),
        Paging("page", pages_path="pages", **SIZED),
        Paging("next_url", path="next", total_path="total"),
        Paging(),
    ],
    ids=["offset", "page", "pages", "next_url", "auto"],
)
def test_pages_that_end_before_the_total_are_an_error(
    paging: Paging, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    api.serve("/things", capped)
    adapter = make_adapter(table(paging=paging, rows="items", key=("id",)))
    with pytest.raises(BadResponse, match=r"the API reports 250 rows .* end after 100"):
        decode_rows(adapter.pages("things", Read()))


def test_a_total_that_counts_rows_left_out_of_the_pages_is_no_error(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        at = (int(request.query["page"]) - 1) * 10
        seen = [row for row in ROWS[at : at + 10] if row["id"] % 7 and row["id"] < 200]
        return MockResponse.json({"total": 250, "items": seen})

    api.serve("/things", respond)
    adapter = make_adapter(table(paging=Paging("page", total_path="total", **SIZED), rows="items"))
    assert len(decode_rows(adapter.pages("things", Read()))) == 171


@pytest.mark.parametrize("beyond", [[], MockResponse.error(404), MockResponse.error(400)])
@pytest.mark.parametrize("paging", [Paging("page", **SIZED), Paging("offset", **SIZED), Paging(**SIZED)])
def test_short_pages_before_the_last_one_do_not_end_the_pages(
    paging: Paging, beyond: Any, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    notes: list[str] = []

    def respond(request: RecordedRequest) -> MockResponse:
        query = request.query
        at = int(query.get("offset", (int(query.get("page", 1)) - 1) * 10))
        seen = [row for row in ROWS[at : at + 10] if at < 30 or row["id"] % 7]
        missing: MockResponse = beyond if isinstance(beyond, MockResponse) else MockResponse.json(beyond)
        return MockResponse.json(seen) if at < len(ROWS) else missing

    api.serve("/things", respond)
    adapter = make_adapter(table(paging=paging), listeners=Listeners(note=notes.append))
    expected = [row for row in ROWS if row["id"] < 30 or row["id"] % 7]
    assert decode_rows(adapter.pages("things", Read())) == expected
    assert notes == [
        "pages before the last one have fewer rows than paging.size; reading ends at empty pages"
    ]


def test_an_error_after_a_short_page_names_the_setting(api: FaultServer, make_adapter: MakeAdapter) -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        at = (int(request.query["page"]) - 1) * 10
        return MockResponse.json(ROWS[at:25][:10]) if at < 30 else MockResponse.error(403)

    api.serve("/things", respond)
    with pytest.raises(SourceError, match=r"the page after a short one; .* set paging\.short_page: ends"):
        decode_rows(make_adapter(table(paging=Paging("page", **SIZED))).pages("things", Read()))
    adapter = make_adapter(table(paging=Paging("page", short_page="ends", **SIZED)))
    assert decode_rows(adapter.pages("things", Read())) == ROWS[:25]


LINES = [{"n": 1}, {"n": 2}]
COMPLETE = {"id": 1, "lines": {"has_more": False, "data": LINES}}


@pytest.mark.parametrize(
    ("order", "rows"),
    [
        ({"lines": {"has_more": True, "data": LINES}}, "orders.lines.data"),
        ({"lines": {"pageInfo": {"hasNextPage": True}, "nodes": LINES}}, "orders.lines.nodes"),
        ({"lines": {"data": LINES, "paging": {"next": "http://x/y?after=2"}}}, "orders.lines.data"),
        ({"lines": {"startAt": 0, "maxResults": 2, "total": 5, "lines": LINES}}, "orders.lines.lines"),
        ({"lines": LINES, "lines_next_page": "abc"}, "orders.lines"),
    ],
)
def test_a_list_that_is_cut_within_an_object_is_an_error(
    order: Mapping[str, Any], rows: str, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    api.serve("/things", MockResponse.json({"orders": [{"id": 0}, order]}))
    for paging in (Paging(), Paging("cursor", cursor_path="next")):
        with pytest.raises(BadResponse, match=r"so that its list is not complete; .* with for_each"):
            decode_rows(make_adapter(table(paging=paging, rows=rows)).pages("things", Read()))
    adapter = make_adapter(table(paging=Paging("none"), rows=rows))
    assert decode_rows(adapter.pages("things", Read())) == LINES


def test_pages_of_a_list_within_the_only_object_are_read(api: FaultServer, make_adapter: MakeAdapter) -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        at = int(request.query.get("after", 0))
        return MockResponse.json({"orders": [{"lines": {"cursor": [1, None][at], "items": [LINES[at]]}}]})

    api.serve("/things", respond)
    paging = Paging("cursor", cursor_path="orders.0.lines.cursor", cursor_param="after")
    adapter = make_adapter(table(paging=paging, rows="orders.lines.items"))
    assert decode_rows(adapter.pages("things", Read())) == LINES


def test_members_of_the_objects_around_the_rows_are_no_hints(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    order = {"id": 1, "done": False, "total": 120.5, "status": "partial", "lines": LINES}
    api.serve("/things", MockResponse.json({"orders": [order, {**order, "total": 3}]}))
    adapter = make_adapter(table(paging=Paging(), rows="orders.lines"))
    assert decode_rows(adapter.pages("things", Read())) == LINES * 2


def test_a_later_page_of_csv_without_the_header_line_is_an_error(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        number = int(request.query["page"])
        return MockResponse.text(f"{'id,n' if number == 1 else f'{number},x'}\n7,y\n8,z\n")

    api.serve("/things", respond)
    adapter = make_adapter(table(paging=Paging("page"), format="csv"))
    with pytest.raises(BadResponse, match="the header line of page 2 has no column of page 1: 2, x"):
        decode_rows(adapter.pages("things", Read()))


@pytest.mark.parametrize("rows", [None, "1"])
def test_rows_beside_an_object_in_a_list_are_read(
    rows: str | None, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        number = int(request.query.get("page", "1"))
        return MockResponse.json([{"page": number, "pages": 3}, ROWS[:5][number * 2 - 2 : number * 2]])

    api.serve("/things", respond)
    for paging in (Paging(), Paging("page", pages_path="0.pages")):
        adapter = make_adapter(table(paging=paging, rows=rows))
        assert decode_rows(adapter.pages("things", Read())) == ROWS[:5]
