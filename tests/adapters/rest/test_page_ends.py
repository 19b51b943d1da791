"""The end of the pages and the links between them, in the forms of public APIs, against a server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.rest_tables import MakeAdapter, decode_rows, table
from unify.adapters.base import Listeners, Read
from unify.adapters.spec.model import ErrorRule, Limits
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import Incremental
from unify.errors import BadResponse, NotFound, SourceError

ROWS = [{"id": n} for n in range(7)]
Query = Mapping[str, str]


def serve(api: FaultServer, respond_to: Callable[[Query], Any], path: str = "/things") -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        found = respond_to(request.query)
        return found if isinstance(found, MockResponse) else MockResponse.json(found)

    api.serve(path, respond)


def read(make: MakeAdapter, paging: Paging, notes: list[str] | None = None, **settings: Any) -> list[Any]:
    listeners = Listeners(note=(notes if notes is not None else []).append)
    settings.setdefault("key", ("id",))
    adapter = make(table(paging=paging, **settings), listeners=listeners)
    return decode_rows(adapter.pages("things", Read()))


def page(query: Query, name: str = "page", first: int = 1, size: int = 3) -> list[Any]:
    at = (int(query.get(name, first)) - first) * size
    return ROWS[at : at + size]


class TestCursors:
    def test_a_scroll_cursor_can_be_the_same_on_every_page(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        parts = [ROWS[:3], ROWS[3:6], ROWS[6:], []]
        serve(api, lambda query: {"data": parts.pop(0) if "s" in query or len(parts) == 4 else 1, "s": "T"})
        assert read(make_adapter, Paging("cursor", cursor_path="s", cursor_param="s")) == ROWS

    @pytest.mark.parametrize("again", [0, 1])
    def test_a_cursor_equal_to_the_sent_one_ends_the_read(
        self, again: int, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        def respond_to(query: Query) -> Any:
            at = int(query.get("next", "0"))
            end = min(at + 3, len(ROWS))
            return {"events": ROWS[at - again if at == end else at : end], "next": end}

        serve(api, respond_to)
        paging = Paging("cursor", cursor_path="next", cursor_param="next")
        rows = read(make_adapter, paging, rows="events")
        assert (rows[:7], rows[7:]) == (ROWS, ROWS[-1:] * again)
        if again:
            with pytest.raises(BadResponse, match="came a second time, with rows that were already read"):
                read(make_adapter, paging, rows="events", key=())

    def test_a_cursor_ignored_by_the_api_is_an_error(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        serve(api, lambda _query: {"data": ROWS[:3], "next": "c"})
        with pytest.raises(BadResponse, match="came a second time"):
            read(make_adapter, Paging("cursor", cursor_path="next"))

    @pytest.mark.parametrize("key", [(), ("id",)])
    def test_new_cursors_without_rows_end_with_an_error(
        self, key: tuple[str, ...], api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        serve(api, lambda query: {"data": [], "next": str(int(query.get("cursor", "0")) + 1)})
        with pytest.raises(BadResponse, match=r"paging\.type cursor: 41 pages in a row have no rows"):
            read(make_adapter, Paging("cursor", cursor_path="next"), key=key)

    def test_empty_pages_before_the_end_are_passed(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        pages = [[], [1, 2], [], [], [], [], [3], []]

        def respond_to(query: Query) -> Any:
            at = int(query.get("page", 1)) - 1
            here = [{"id": n} for n in pages[at]] if at < len(pages) else []
            return {
                "data": here,
                "has_more": at + 1 < len(pages),
                "pages": len(pages),
                "next": at + 2 if at + 1 < len(pages) else None,
            }

        serve(api, respond_to)
        for paging in (
            Paging("page", more_path="has_more"),
            Paging("page", pages_path="pages"),
            Paging("cursor", cursor_path="next", cursor_param="page", more_path="has_more"),
        ):
            assert [row["id"] for row in read(make_adapter, paging, rows="data")] == [1, 2, 3]


class TestEnds:
    def test_a_missing_page_is_the_end_with_action_end(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        serve(api, lambda query: page(query) or MockResponse.error(404))
        assert read(make_adapter, Paging("page"), errors=(ErrorRule(404, "end"),)) == ROWS
        with pytest.raises(NotFound):
            read(make_adapter, Paging("page"))

    def test_a_missing_page_before_one_with_rows_is_an_error(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        missing = MockResponse.error(404)
        serve(api, lambda query: missing if query["page"] == "2" else {"data": page(query), "pages": 3})
        with pytest.raises(NotFound, match="page 2 is missing, and page 3 has rows"):
            read(
                make_adapter, Paging("page", pages_path="pages"), rows="data", errors=(ErrorRule(404, "end"),)
            )

    @pytest.mark.parametrize("flag", [True, "true", 1])
    def test_a_flag_of_the_last_page_is_read(
        self, flag: Any, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        serve(api, lambda query: {"data": page(query), "end": flag if query["page"] == "3" else False})
        assert read(make_adapter, Paging("page", last_path="end"), rows="data") == ROWS
        assert len(api.requests) == 3

    @pytest.mark.parametrize("beyond", [[], MockResponse.error(404), MockResponse.error(400)])
    def test_a_flag_that_no_page_has_says_nothing(
        self, beyond: Any, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        notes: list[str] = []
        serve(api, lambda query: page(query) or beyond)
        for paging in (Paging("page", more_path="more"), Paging("page", last_path="last")):
            assert read(make_adapter, paging, notes) == ROWS
        assert notes == ["in no response: paging.more_path more", "in no response: paging.last_path last"]

    def test_a_flag_left_out_on_the_last_page_is_false(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        flags = {"1": {"more": True}, "2": {"more": True}}
        serve(api, lambda query: {"data": page(query), **flags.get(query["page"], {})})
        assert read(make_adapter, Paging("page", more_path="more"), rows="data") == ROWS
        assert len(api.requests) == 3

    def test_a_total_of_the_page_alone_does_not_end_the_pages(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        serve(api, lambda query: {"data": page(query), "total": len(page(query))})
        paging = Paging("page", size_param="n", size=3, total_path="total")
        assert read(make_adapter, paging, rows="data") == ROWS

    @pytest.mark.parametrize("end", [-1, "null", "none", False, "-1"])
    def test_other_texts_for_no_cursor_end_the_pages(
        self, end: Any, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        def respond_to(query: Query) -> Any:
            at = int(query.get("cursor", "0"))
            return {"data": ROWS[at : at + 3], "next": at + 3 if at + 3 < len(ROWS) else end}

        serve(api, respond_to)
        assert read(make_adapter, Paging("cursor", cursor_path="next"), rows="data", key=()) == ROWS

    @pytest.mark.parametrize("end", [0, "0"])
    @pytest.mark.parametrize("beyond", ["first page", [], MockResponse.error(400)], ids=str)
    def test_a_cursor_of_zero_that_leads_to_no_other_page_is_the_end(
        self, end: Any, beyond: Any, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        def respond_to(query: Query) -> Any:
            if query.get("cursor") == "0" and beyond != "first page":
                return beyond if isinstance(beyond, MockResponse) else {"data": beyond, "next_cursor": end}
            at = int(query.get("cursor", "0"))
            return {"data": ROWS[at : at + 3], "next_cursor": at + 3 if at + 3 < len(ROWS) else end}

        serve(api, respond_to)
        paging = Paging("cursor", cursor_path="next_cursor")
        assert read(make_adapter, paging, rows="data", key=()) == ROWS
        assert len(api.requests) == 4
        assert read(make_adapter, Paging(), rows="data", key=()) == ROWS

    def test_a_cursor_of_zero_that_leads_to_new_rows_is_followed(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        pages = {None: (ROWS[:3], 1), "1": (ROWS[3:6], 0), "0": (ROWS[6:], None)}

        def respond_to(query: Query) -> Any:
            rows, following = pages[query.get("cursor")]
            return {"data": rows, "next": following}

        serve(api, respond_to)
        assert read(make_adapter, Paging("cursor", cursor_path="next"), rows="data", key=()) == ROWS

    @pytest.mark.parametrize("end", [0, "0", False, -1, "null"])
    def test_other_texts_for_no_link_end_the_pages(
        self, end: Any, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        serve(api, lambda query: {"data": page(query), "next": "?page=3" if "page" not in query else end})
        expected = [*ROWS[:3], *ROWS[6:]]
        assert read(make_adapter, Paging("next_url", path="next"), rows="data") == expected

    def test_cursors_that_begin_again_are_an_error_that_names_the_flag(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        pages = {None: (ROWS[:3], "b"), "a": (ROWS[:3], "b"), "b": (ROWS[3:6], "a")}

        def respond_to(query: Query) -> Any:
            rows, following = pages[query.get("cursor")]
            return {"data": rows, "next": following}

        serve(api, respond_to)
        with pytest.raises(BadResponse, match=r"set paging\.more_path or paging\.last_path"):
            read(make_adapter, Paging("cursor", cursor_path="next"), rows="data")

    def test_a_repeated_last_page_ends_the_read(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        serve(api, lambda query: {"data": page({"page": str(min(int(query["page"]), 3))})})
        assert read(make_adapter, Paging("page"), rows="data") == [*ROWS, ROWS[-1]]
        with pytest.raises(BadResponse, match="three pages have the same rows"):
            read(make_adapter, Paging("page"), rows="data", key=())

    def test_a_capped_total_does_not_end_the_read(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        rows = [{"id": n} for n in range(143)]

        def respond_to(query: Query) -> Any:
            at = int(query["from"])
            return {"hits": {"total": min(len(rows), 100), "hits": rows[at : at + 10]}}

        serve(api, respond_to)
        paging = Paging("offset", offset_param="from", size_param="n", size=10, total_path="hits.total")
        assert read(make_adapter, paging, rows="hits.hits") == rows

    def test_a_total_is_believed_where_the_api_returns_rows_for_any_page(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        def respond_to(query: Query) -> Any:
            at = (int(query["page"]) - 1) * 10
            return {"total": 100, "data": [{"id": n} for n in range(at, at + 10)]}

        serve(api, respond_to)
        paging = Paging("page", size_param="n", size=10, total_path="total")
        assert read(make_adapter, paging, rows="data") == [{"id": n} for n in range(100)]

    def test_an_exact_total_needs_no_request_after_the_last_page(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        rows = [{"id": n} for n in range(100)]

        def respond_to(query: Query) -> Any:
            at = int(query["offset"])
            return {"total": 100, "data": rows[at : at + 50]} if at < 100 else MockResponse.error(404)

        serve(api, respond_to)
        assert read(make_adapter, Paging("offset", total_path="total"), rows="data") == rows

    def test_until_empty_and_first_bare_are_followed(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        def respond_to(query: Query) -> Any:
            if query.get("page") == "1":
                return MockResponse.error(400)
            return {"data": page(query)[: 2 if query.get("page") == "2" else 3], "total": 3}

        serve(api, respond_to)
        paging = Paging("page", size_param="n", size=3, total_path="total", until_empty=True, first_bare=True)
        assert [row["id"] for row in read(make_adapter, paging, rows="data")] == [0, 1, 2, 3, 4, 6]

    def test_an_empty_first_page_of_a_positive_total_is_an_error(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        serve(api, lambda _query: {"total": 9, "data": []})
        with pytest.raises(BadResponse, match="the first page has no rows, and the API reports a total of 9"):
            read(make_adapter, Paging("page", total_path="total"), rows="data")

    def test_nested_rows_are_paged_by_their_outermost_list(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        orders = [
            {"lines": [{"id": f"{n}a"}, {"id": f"{n}b"}] if n not in (3, 4, 5) else []} for n in range(8)
        ]

        def respond_to(query: Query) -> Any:
            at = int(query.get("offset", (int(query.get("page", 1)) - 1) * 3))
            return {
                "orders": orders[at : at + 3],
                "total": len(orders),
                "more": at + 3 < len(orders),
                "next": at + 3,
            }

        serve(api, respond_to)
        for paging in (
            Paging("offset"),
            Paging("offset", size_param="limit", size=3),
            Paging("offset", total_path="total"),
            Paging("page"),
            Paging("page", total_path="total"),
            Paging("cursor", cursor_path="next", cursor_param="offset", more_path="more"),
        ):
            rows = read(make_adapter, paging, rows="orders.lines")
            assert [row["id"] for row in rows] == ["0a", "0b", "1a", "1b", "2a", "2b", "6a", "6b", "7a", "7b"]

    def test_more_without_rows_and_without_a_cursor_is_an_error(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        serve(api, lambda _query: {"data": [], "more": True})
        with pytest.raises(BadResponse, match="more indicates more pages, and the response has no cursor"):
            read(make_adapter, Paging("cursor", cursor_path="next", more_path="more"), rows="data")


class TestLinks:
    @pytest.mark.parametrize(
        "link",
        [
            "/api/things?page={n}",
            "http://localhost/v1/api/things?page={n}",
            "http://10.0.0.7:8080/api/things?page={n}",
        ],
    )
    def test_a_link_of_an_api_behind_a_proxy_is_followed(
        self, link: str, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        def respond_to(query: Query) -> Any:
            n = int(query.get("page", 1))
            return {"data": page(query), "next": link.format(n=n + 1) if n < 3 else None}

        serve(api, respond_to, "/v1/api/things")
        for paging in (Paging("next_url", path="next"), Paging()):
            assert read(make_adapter, paging, path="/v1/api/things", rows="data") == ROWS

    @pytest.mark.parametrize(
        ("paging", "last"),
        [
            (Paging("next_url", path="next", last_path="flag"), True),
            (Paging("next_url", path="next", more_path="flag"), False),
        ],
    )
    def test_a_flag_ends_links_that_never_end(
        self, paging: Paging, last: bool, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        def respond_to(query: Query) -> Any:
            n = int(query.get("page", 1))
            return {"data": page(query), "next": f"/things?page={n + 1}", "flag": last == (n == 3)}

        serve(api, respond_to)
        assert read(make_adapter, paging, rows="data") == ROWS

    def test_a_flag_for_more_pages_without_a_link_is_an_error(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        serve(api, lambda _query: {"data": ROWS[:3], "last": False})
        with pytest.raises(
            BadResponse, match="last indicates more pages, and the response has no link at next"
        ):
            read(make_adapter, Paging("next_url", path="next", last_path="last"), rows="data")

    def test_keep_address_uses_only_the_query_of_a_link(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        def respond_to(query: Query) -> Any:
            n = int(query.get("page", 1))
            return {
                "data": page(query),
                "next": f"https://inner.example/other?page={n + 1}" if n < 3 else None,
            }

        serve(api, respond_to)
        assert read(make_adapter, Paging("next_url", path="next", keep="address"), rows="data") == ROWS
        with pytest.raises(SourceError, match=r"inner\.example"):
            read(make_adapter, Paging("next_url", path="next"), rows="data")

    def test_a_link_that_is_not_found_suggests_keep(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        serve(api, lambda _query: {"data": ROWS[:3], "next": "/elsewhere?page=2"})
        with pytest.raises(NotFound, match=r"set paging\.keep: address"):
            read(make_adapter, Paging("next_url", path="next"), rows="data")

    def test_next_page_and_total_are_read_from_headers(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        def respond_to(query: Query) -> Any:
            n = int(query.get("page", 1))
            following = {"Next-Page": f"/things?page={n + 1}", "X-Next": str(n + 1)} if n < 3 else {}
            return MockResponse.json(page(query)).with_headers(
                **{name.replace("-", "_"): value for name, value in following.items()}, X_Total_Count="7"
            )

        serve(api, respond_to)
        for paging in (
            Paging("next_url", header="Next-Page"),
            Paging("cursor", cursor_header="X-Next", cursor_param="page"),
            Paging("page", total_header="X-Total-Count"),
        ):
            assert read(make_adapter, paging) == ROWS

    def test_a_list_of_links_is_followed(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        def respond_to(query: Query) -> Any:
            n = int(query.get("page", 1))
            links = [{"relation": "self", "url": "/x"}]
            return {
                "data": page(query),
                "links": links + [{"relation": "next", "url": f"?page={n + 1}"}] * (n < 3),
            }

        serve(api, respond_to)
        paging = Paging("next_url", path="links[relation=next].url")
        assert read(make_adapter, paging, rows="data") == ROWS


class TestNotes:
    def test_a_path_that_no_response_has_is_named(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        notes: list[str] = []
        serve(api, lambda query: {"data": page(query), "next": None})
        read(make_adapter, Paging("page", total_path="meta.totl"), notes, rows="data")
        assert notes == ["in no response: paging.total_path meta.totl"]

    def test_a_round_number_of_rows_is_named(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        notes: list[str] = []
        serve(api, lambda _query: [{"id": n} for n in range(50)])
        assert len(read(make_adapter, Paging(), notes)) == 50
        assert notes == ["the only page has exactly 50 rows, which may be a page size"]

    def test_a_cursor_that_rises_under_order_desc_is_named_and_read_to_the_end(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        notes: list[str] = []
        serve(api, page)
        spec = table(paging=Paging("page"), key=("id",), incremental=Incremental("id", order="desc"))
        adapter = make_adapter(spec, listeners=Listeners(note=notes.append))
        assert decode_rows(adapter.pages("things", Read(since={"": "5"}))) == ROWS
        assert notes == ["incremental.order is desc, but id rises along the rows; every page is read"]


def test_an_auto_parameter_with_an_empty_second_page_is_verified(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    paging = Paging(size_param="limit", size=3)
    serve(api, lambda query: ROWS[:3] if "page" not in query else [])
    with pytest.raises(BadResponse, match="with page=1 does not return the first page"):
        read(make_adapter, paging)
    serve(api, lambda query: ROWS[:3] if query.get("page", "1") == "1" else [])
    assert read(make_adapter, paging) == ROWS[:3]


def test_a_table_of_empty_pages_does_not_block_another(api: FaultServer, make_adapter: MakeAdapter) -> None:
    """A table of endless empty pages fails while another table of the connection is read."""
    serve(api, lambda query: {"data": [], "next": str(int(query.get("cursor", "0")) + 1)}, "/endless")
    serve(api, page, "/things")
    endless = table("endless", paging=Paging("cursor", cursor_path="next"), rows="data")
    adapter = make_adapter(endless, table(paging=Paging("page")), limits=Limits(concurrency=1))
    failed: list[str] = []

    def read_endless() -> None:
        try:
            list(adapter.pages("endless", Read()))
        except BadResponse as error:
            failed.append(error.message)

    thread = threading.Thread(target=read_endless)
    thread.start()
    assert decode_rows(adapter.pages("things", Read())) == ROWS
    thread.join(20)
    assert "paging.type cursor" in failed[0]


@pytest.mark.parametrize(
    "rule",
    [
        ErrorRule(200, "fail", body="THROTTLED"),
        ErrorRule(None, "fail", where={"errors.0.extensions.code": "throttled"}),
    ],
)
def test_error_rules_search_outside_the_rows(
    rule: ErrorRule, api: FaultServer, make_adapter: MakeAdapter
) -> None:
    rows = [{"id": 1, "title": "THROTTLED (band shirt)"}]
    serve(api, lambda _query: {"data": {"nodes": rows}})
    assert read(make_adapter, Paging("none"), rows="data.nodes", errors=(rule,)) == rows
    serve(api, lambda _query: {"errors": [{"extensions": {"code": "THROTTLED"}}], "data": {"nodes": []}})
    with pytest.raises(SourceError, match="returned 200"):
        read(make_adapter, Paging("none"), rows="data.nodes", errors=(rule,))
