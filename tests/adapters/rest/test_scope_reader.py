"""Scopes of ``for_each`` tables: parents, missing pages, errors and stopping."""

from __future__ import annotations

import threading
import time
from itertools import count
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.rest_tables import (
    PAGE_FAULTS,
    PARENT_ROWS,
    MakeAdapter,
    child_table,
    decode_rows,
    numbered_pages,
    table,
)
from unify.adapters.base import Listeners, Read
from unify.adapters.rest.read_plan import scope_key
from unify.adapters.spec.model import ErrorRule, Limits
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import ColumnDef, ForEach
from unify.errors import (
    BadResponse,
    Interrupted,
    NotFound,
    SourceError,
)


class TestParents:
    def serve(self, api: FaultServer, **faults: Any) -> None:
        for parent in PARENT_ROWS:
            pages = [[{"id": f"{parent['repo']}-{number}"}] for number in range(3)]
            api.serve(f"/repos/o/{parent['repo']}/pulls", pages=pages, style="link", **faults)

    def test_each_parent_is_read_and_its_pages_stay_in_order(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        self.serve(api, totals=True)

        pages = list(make_adapter(child_table()).pages("pulls", Read(PARENT_ROWS)))
        by_scope: dict[str, list[int]] = {}
        for page in pages:
            by_scope.setdefault(page.scope, []).append(page.number)
        assert by_scope == {scope_key(parent): [0, 1, 2] for parent in PARENT_ROWS}
        assert len(decode_rows(pages)) == 18

    def test_parents_are_read_in_parallel(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        self.serve(api, delay_s=0.1)

        started = time.monotonic()
        assert (
            len(
                decode_rows(
                    make_adapter(child_table(), limits=Limits(None, 6)).pages("pulls", Read(PARENT_ROWS))
                )
            )
            == 18
        )
        assert time.monotonic() - started < 18 * 0.1 / 2

    def test_equal_parents_are_read_once(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        self.serve(api)

        pages = make_adapter(child_table()).pages(
            "pulls", Read([PARENT_ROWS[0], dict(reversed(PARENT_ROWS[0].items())), PARENT_ROWS[0]])
        )
        assert len(decode_rows(pages)) == 3
        assert len(api.request_targets) == 3

    def test_rows_have_columns_of_their_parent(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        self.serve(api)
        columns = (
            ColumnDef("repo", source="{repo}"),
            ColumnDef("full", source="{owner}/{repo}"),
            ColumnDef("id_again", source="id"),
        )
        pages = list(make_adapter(child_table(columns=columns)).pages("pulls", Read(PARENT_ROWS[:1])))
        assert dict(pages[0].variables) == {"repo": "r0", "full": "o/r0"}
        assert pages[0].scope == '{"owner":"o","repo":"r0"}'

    def test_a_parent_without_a_value_is_named(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        with pytest.raises(SourceError, match=r"no value for \{repo\}; add: where repo is not null"):
            list(make_adapter(child_table()).pages("pulls", Read([{"owner": "o", "repo": None}])))
        assert api.requests == []

    def test_the_number_of_pages_is_reported_when_known(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        for parent in PARENT_ROWS:
            api.serve(f"/repos/o/{parent['repo']}/pulls", pages=numbered_pages(4), style="link", totals=True)
        pages = list(make_adapter(child_table()).pages("pulls", Read(PARENT_ROWS)))
        assert pages[-1].pages_total == 24

    def test_without_parents_no_request_is_sent(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        assert list(make_adapter(child_table()).pages("pulls", Read())) == []
        assert api.requests == []

    def test_the_error_of_a_parent_names_it_and_ends_the_read(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        self.serve(api)
        api.serve("/repos/o/r3/pulls", MockResponse.error(404))

        with pytest.raises(NotFound, match=r"api\.pulls for owner o, repo r3: GET .* 404"):
            list(make_adapter(child_table()).pages("pulls", Read(PARENT_ROWS)))

    def test_a_rule_can_skip_one_parent(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        self.serve(api)
        api.serve("/repos/o/r3/pulls", MockResponse.error(404))

        pages = make_adapter(child_table(errors=(ErrorRule(404, "skip"),))).pages("pulls", Read(PARENT_ROWS))
        assert len(decode_rows(pages)) == 15

    def test_the_first_matching_rule_applies_and_table_rules_come_first(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        adapter = make_adapter(
            child_table(errors=(ErrorRule(404, "fail"),)), errors=(ErrorRule(404, "skip"),)
        )
        with pytest.raises(NotFound):
            list(adapter.pages("pulls", Read(PARENT_ROWS[:1])))

    def test_listed_rows_need_no_query(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("/x/a", MockResponse.json([{"id": 1}]))
        api.serve("/x/b", MockResponse.json([{"id": 2}]))
        spec = table(path="/x/{k}", for_each=ForEach(rows=({"k": "a"}, {"k": "b"})), paging=Paging("none"))
        assert sorted(row["id"] for row in decode_rows(make_adapter(spec).pages("things", Read()))) == [1, 2]

    def test_batches_join_values(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("/things", MockResponse.json([]))
        spec = table(params={"ids": "{id}"}, for_each=ForEach("select", batch=2), paging=Paging("none"))
        list(
            make_adapter(spec, limits=Limits(None, 1)).pages(
                "things", Read([{"id": n} for n in (1, 2, 2, 3)])
            )
        )
        assert api.request_targets == ["/things?ids=1%2C2", "/things?ids=3"]

    def test_a_parent_value_that_changes_the_path_is_refused(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        with pytest.raises(SourceError, match="not allowed in a path"):
            list(make_adapter(child_table()).pages("pulls", Read([{"owner": "..", "repo": "x"}])))
        assert api.requests == []


class TestEmptyResponses:
    def test_a_null_body_for_a_parent_has_no_rows(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("/item/1", MockResponse.json({"id": 1}))
        api.serve("/item/2", MockResponse.json(None))
        spec = table(path="/item/{n}", rows="$", for_each=ForEach("select 1"), paging=Paging("none"))
        assert decode_rows(make_adapter(spec).pages("things", Read([{"n": 1}, {"n": 2}]))) == [{"id": 1}]

    def test_a_null_body_for_a_table_is_an_error(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("/things", MockResponse.json(None))
        with pytest.raises(BadResponse):
            list(make_adapter(table(rows="$", paging=Paging("none"))).pages("things", Read()))

    def test_a_missing_page_is_skipped_only_after_the_last(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        rows = MockResponse.json([{"id": 1}])
        api.serve("/things", rows, MockResponse.error(404))
        adapter = make_adapter(table(errors=(ErrorRule(404, "skip"),)))
        assert decode_rows(adapter.pages("things", Read())) == [{"id": 1}]

        api.serve("/things", rows, MockResponse.error(404), MockResponse.json([{"id": 3}]))
        with pytest.raises(NotFound, match="status 404 on page 2; errors: skip holds for the first page"):
            list(adapter.pages("things", Read()))


class TestErrors:
    @pytest.mark.parametrize("fault", PAGE_FAULTS)
    @pytest.mark.parametrize("at", [1, 3])
    def test_an_unreadable_page_is_an_error_and_never_a_shorter_table(
        self, api: FaultServer, make_adapter: MakeAdapter, fault: str, at: int
    ) -> None:
        whole = numbered_pages(4)

        def respond(request: RecordedRequest) -> MockResponse:
            number = int(request.query.get("page", "1"))
            if number == at:
                return PAGE_FAULTS[fault]
            link = f'</things?page={number + 1}>; rel="next"' if number < 4 else ""
            return MockResponse.json({"items": whole[number - 1]}).with_headers(Link=link)

        api.serve("/things", respond)
        adapter = make_adapter(table(paging=Paging("link_header"), rows="items"))
        with pytest.raises(SourceError, match=r"^api\.things: "):
            list(adapter.pages("things", Read()))

    def test_a_body_of_another_format_is_an_error(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        link = '</things?page=2>; rel="next"'
        more = MockResponse.json({"status": "maintenance"})
        api.serve("/things", MockResponse.json([{"id": 1}]).with_headers(Link=link), more)
        with pytest.raises(BadResponse, match="expected a list, as before"):
            list(make_adapter(table(paging=Paging("link_header"))).pages("things", Read()))

    def test_an_error_ends_all_threads(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        before = threading.active_count()
        api.serve("/things", pages=numbered_pages(40), style="link", totals=True, delay_s=0.05)
        good = api._routes["/things"].next_responder()
        assert callable(good)

        def respond(request: RecordedRequest) -> MockResponse:
            if request.query.get("page") == "9":
                return MockResponse.error(400)
            if request.query.get("page") == "8":
                return MockResponse.json([], delay_s=60)
            return good(request)

        api.serve("/things", respond)
        adapter = make_adapter(table(paging=Paging("link_header")), limits=Limits(None, 6))
        started = time.monotonic()
        with pytest.raises(SourceError):
            list(adapter.pages("things", Read()))
        assert time.monotonic() - started < 3
        assert sum(thread.name == "unify-fetch" for thread in threading.enumerate()) == 0
        assert len(api.request_targets) < 20
        assert before >= 1

    @pytest.mark.parametrize(
        "paging",
        [
            Paging("page", total_path="total", size_param="size", size=2),
            Paging("page", pages_path="total"),
            Paging("offset", total_path="total"),
            Paging("cursor", cursor_path="counter"),
            Paging("next_url", path="next"),
        ],
        ids=lambda paging: str(paging.type),
    )
    def test_a_repeated_first_page_is_an_error(
        self, api: FaultServer, make_adapter: MakeAdapter, paging: Paging
    ) -> None:
        counter = count()

        def respond(_request: RecordedRequest) -> MockResponse:
            number = next(counter)
            body = {
                "items": [{"id": 1}, {"id": 2}],
                "total": 10**9,
                "counter": number,
                "next": f"?n={number}",
            }
            return MockResponse.json(body)

        api.serve("/things", respond)
        with pytest.raises(
            BadResponse, match=rf"api.things: paging.type {paging.type}: pages with the same rows"
        ):
            list(
                make_adapter(table(paging=paging, rows="items"), limits=Limits(None, 2)).pages(
                    "things", Read()
                )
            )
        assert len(api.request_targets) <= 8

    @pytest.mark.parametrize("auto", [False, True])
    def test_an_ignored_page_number_is_detected_after_two_pages(
        self, api: FaultServer, make_adapter: MakeAdapter, auto: bool
    ) -> None:
        api.serve("/things", MockResponse.json({"items": [{"id": 1}], "page": 1, "total_pages": 2}))
        paging = Paging("auto") if auto else Paging("page", pages_path="total_pages")
        with pytest.raises(BadResponse, match="does not seem to know the parameter"):
            list(make_adapter(table(paging=paging)).pages("things", Read()))
        assert api.request_targets[1:] == ["/things?page=2", "/things?page=3"]

    @pytest.mark.parametrize(
        "paging",
        [
            Paging("page", total_path="total"),
            Paging("page", pages_path="pages"),
            Paging("page", more_path="more"),
            Paging("page"),
            Paging("offset", total_path="total"),
            Paging("offset", more_path="more"),
            Paging("cursor", cursor_path="next", cursor_param="page"),
            Paging("next_url", path="url"),
            Paging("auto"),
        ],
        ids=lambda paging: f"{paging.type} {paging.total_path or paging.pages_path or paging.more_path}",
    )
    def test_equal_rows_are_read_if_the_api_advances(
        self, api: FaultServer, make_adapter: MakeAdapter, paging: Paging
    ) -> None:
        def respond(request: RecordedRequest) -> MockResponse:
            number = int(request.query.get("page", int(request.query.get("offset", 0)) // 10 + 1))
            following = number + 1 if number < 5 else None
            body = {"items": [{"v": "same"}] * 10 if number <= 5 else [], "total": 50, "pages": 5}
            url = f"/things?page={following}" if following else None
            next_url = {"links": {"next": url}} if paging.type == "auto" else {"next": following, "url": url}
            return MockResponse.json({**body, "more": number < 5, **next_url})

        api.serve("/things", respond)
        assert (
            len(decode_rows(make_adapter(table(paging=paging, rows="items")).pages("things", Read()))) == 50
        )

    def test_a_repeated_link_is_an_error_naming_table_and_paging(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("/things", MockResponse.json([{"id": 1}]).with_headers(Link='</things?page=2>; rel="next"'))
        with pytest.raises(BadResponse, match=r"^api\.things: paging\.type link_header"):
            list(make_adapter(table(paging=Paging("link_header"))).pages("things", Read()))

    @pytest.mark.parametrize(
        "link", ["ftp://x/y", "javascript:alert(1)", "http://[bad", "http://x:99999/", "file:///etc"]
    )
    @pytest.mark.parametrize("source", ["link", "redirect"])
    def test_an_invalid_link_is_an_error(
        self, api: FaultServer, make_adapter: MakeAdapter, link: str, source: str
    ) -> None:
        reply = MockResponse.json([{"id": 1}]).with_headers(Link=f'<{link}>; rel="next"')
        api.serve("/things", reply if source == "link" else MockResponse.redirect(link))
        with pytest.raises(SourceError, match=r"^api\.things: "):
            list(make_adapter(table(paging=Paging("link_header"))).pages("things", Read()))
        assert len(api.request_targets) == 1

    def test_xml_is_read_page_by_page(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        first = "<r><next>b</next><item id='1'><at>x</at></item><item id='2'/></r>"
        replies = [
            MockResponse.text(first, "text/xml"),
            MockResponse.text("<r><item id='3'/></r>", "text/xml"),
        ]
        api.serve("/things", *replies)
        paging = Paging("cursor", cursor_path="next", cursor_param="from")
        pages = list(make_adapter(table(format="xml", rows="item", paging=paging)).pages("things", Read()))
        assert [page.rows for page in pages] == [[b'{"id":"1","at":"x"}', b'{"id":"2"}'], [b'{"id":"3"}']]
        assert api.request_targets == ["/things", "/things?from=b"]
        assert api.requests[0].headers["accept"].startswith("application/xml")


class TestStopping:
    @pytest.mark.parametrize("fault", [{"delay_s": 60.0}, {"hang_at": 3}])
    def test_closing_the_generator_ends_hanging_requests(
        self, api: FaultServer, make_adapter: MakeAdapter, fault: dict[str, Any]
    ) -> None:
        api.serve("/things", MockResponse.json([{"id": 1}]), MockResponse.json([{"id": 2}], **fault))
        reading = make_adapter(table()).pages("things", Read())
        next(reading)

        started = time.monotonic()
        reading.close()
        assert time.monotonic() - started < 1

    def test_closing_the_adapter_ends_a_read_in_another_thread(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("/things", MockResponse.json([], hang_at=1))
        adapter = make_adapter(table())
        threading.Timer(0.2, adapter.close).start()

        started = time.monotonic()
        with pytest.raises(Interrupted):
            list(adapter.pages("things", Read()))
        assert time.monotonic() - started < 2

    def test_a_rate_limit_is_reported_and_its_wait_can_be_stopped(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        waits: list[Any] = []
        api.serve("/things", MockResponse.error(429, Retry_After="60"))
        adapter = make_adapter(table(), listeners=Listeners(waiting=waits.append))
        threading.Timer(0.3, adapter.close).start()

        with pytest.raises(Interrupted):
            list(adapter.pages("things", Read()))
        assert [until is None for until in waits] == [False, True]
