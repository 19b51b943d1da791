"""``RESTAdapter`` reads tables from a server."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.rest_tables import MakeAdapter, child_table, decode_rows, numbered_pages, table
from unify.adapters.base import Read
from unify.adapters.spec.auth import Auth
from unify.adapters.spec.elements import Option
from unify.adapters.spec.model import CheckSpec, Limits
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import ColumnDef, RefreshSpec
from unify.config.secrets import Secret
from unify.errors import (
    BadResponse,
    ConfigError,
    UnknownName,
)


class TestPages:
    def test_pages_are_read_in_order(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("/things", pages=[[{"id": 1}, {"id": 2}], [{"id": 3}]])

        pages = list(make_adapter(table()).pages("things", Read()))
        assert [[json.loads(row)["id"] for row in page.rows] for page in pages] == [[1, 2], [3], []]
        assert [(page.number, page.scope, dict(page.variables)) for page in pages] == [
            (0, "", {}),
            (1, "", {}),
            (2, "", {}),
        ]
        assert api.request_targets == ["/things?page=1", "/things?page=2", "/things?page=3"]

    def test_rows_keep_the_bytes_of_the_source(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        body = b'[{"n":123456789012345678901234567890,"d":1.50}]'
        api.serve("/things", MockResponse(body=body))

        (page,) = make_adapter(table(paging=Paging("none"))).pages("things", Read())
        assert page.rows == [body[1:-1]]

    def test_pages_of_known_number_are_fetched_in_parallel_and_stay_in_order(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("/things", pages=numbered_pages(24), style="link", totals=True, delay_s=0.1)

        started = time.monotonic()
        pages = list(
            make_adapter(table(paging=Paging("link_header")), limits=Limits(None, 8)).pages("things", Read())
        )
        elapsed = time.monotonic() - started
        assert [page.number for page in pages] == list(range(24))
        assert [row["id"] for row in decode_rows(pages)] == list(range(48))
        assert elapsed < 24 * 0.1 / 2
        assert len(api.request_targets) == 24
        assert api.connection_count <= 8

    @pytest.mark.parametrize("style", ["page", "offset", "link", "cursor", "next_url"])
    def test_every_paging_style_is_detected(
        self, api: FaultServer, make_adapter: MakeAdapter, style: Any
    ) -> None:
        api.serve("/things", pages=numbered_pages(4), style=style, totals=style == "page", rows="items")
        paging = {
            "page": Paging("page", total_path="total"),
            "offset": Paging("offset", size_param="limit", size=2),
        }.get(style, Paging("auto"))

        assert [
            row["id"] for row in decode_rows(make_adapter(table(paging=paging)).pages("things", Read()))
        ] == list(range(8))

    def test_a_row_limit_stops_the_requests(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("/things", pages=numbered_pages(50), style="link", totals=True)

        pages = list(make_adapter(table(paging=Paging("link_header"))).pages("things", Read(limit=3)))
        assert len(decode_rows(pages)) == 4
        assert len(api.request_targets) == 2

    def test_a_slow_reader_limits_the_pages_fetched_ahead(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("/things", pages=numbered_pages(60), style="link", totals=True)

        reading = make_adapter(table(paging=Paging("link_header")), limits=Limits(None, 4)).pages(
            "things", Read()
        )
        next(reading)
        time.sleep(0.3)
        assert len(api.request_targets) <= 4 + 4 + 2
        assert len(list(reading)) == 59

    def test_rows_filtered_by_where_do_not_end_the_paging(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        owners = [
            [{"id": 1, "owner": {"login": "Ann"}}],
            [{"id": 2, "owner": {"login": "bob"}}],
            [{"id": 3, "owner": {"login": "ANN"}}],
        ]
        api.serve("/things", pages=owners)
        adapter = make_adapter(
            table(where={"owner.login": ("{org}",)}), options={"org": "ann"}, allowed_origins=()
        )
        assert [row["id"] for row in decode_rows(adapter.pages("things", Read()))] == [1, 3]

    def test_an_unknown_table_has_a_suggestion(self, make_adapter: MakeAdapter) -> None:
        with pytest.raises(UnknownName, match=r"api\.thngs.*did you mean things"):
            list(make_adapter(table()).pages("thngs", Read()))

    def test_an_empty_table_has_no_rows(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("/things", MockResponse(status=204))
        assert decode_rows(make_adapter(table()).pages("things", Read())) == []


class TestCheck:
    def test_sends_the_request_of_the_spec(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        me = MockResponse.json({"login": "ann", "id": 1}).with_headers(X_RateLimit_Remaining="41")
        api.serve("/user", me)
        check = make_adapter(table(), check=CheckSpec("GET /user", "login")).check()
        assert (check.accepted, check.identity, check.quota_left) == (True, "ann", 41)
        assert api.request_targets == ["/user"]

    def test_requests_the_first_table_by_default(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("/things", MockResponse.json([]))
        assert make_adapter(child_table(), table()).check().accepted
        assert api.request_targets == ["/things?page=1"]

    @pytest.mark.parametrize("status", [401, 403])
    def test_names_the_reason_of_a_refusal(
        self, api: FaultServer, make_adapter: MakeAdapter, status: int
    ) -> None:
        api.serve("/things", MockResponse.error(status, "expired"))
        auth = Auth("bearer", {"token": "{token}"})
        adapter = make_adapter(table(), auth=auth, options={"token": Secret("s3cret-token")})
        check = adapter.check()
        assert not check.accepted
        assert "expired" in check.reason
        assert "option token of api" in check.reason

    @pytest.mark.parametrize("check", [CheckSpec("GET /things"), None])
    def test_does_not_accept_a_web_page(
        self, api: FaultServer, make_adapter: MakeAdapter, check: CheckSpec | None
    ) -> None:
        api.serve("/things", MockResponse.text("<html>Please log in"))
        with pytest.raises(BadResponse, match="or its web page"):
            make_adapter(table(), check=check).check()

    def test_accepts_an_empty_response(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("/ping", MockResponse(204))
        assert make_adapter(table(), check=CheckSpec("GET /ping")).check().accepted

    def test_needs_a_request(self, make_adapter: MakeAdapter) -> None:
        with pytest.raises(ConfigError, match="check:"):
            make_adapter(child_table()).check()


def test_options_and_tables_of_a_spec_are_listed(make_adapter: MakeAdapter) -> None:
    spec = table(key=("id",), refresh=RefreshSpec(60.0), columns=(ColumnDef("id", "BIGINT", "Number"),))
    (defined,) = make_adapter(spec, options={"a": "b"}, auth=Auth("none"), headers={}).list_tables()
    assert (defined.name, defined.key, defined.refresh_every_s) == ("things", ("id",), 60.0)
    assert Option("x").required is False
