"""Requests built from a spec: path, parameters, headers and body."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.rest_tables import MakeAdapter, decode_rows, numbered_pages, table
from unify.adapters.base import Read
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import Incremental
from unify.errors import (
    NotFound,
    SourceError,
)


class TestRequests:
    def test_path_parameters_and_headers_of_a_spec_are_sent(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("/orgs/a%2Fb/things", MockResponse.json([]))
        spec = table(
            path="/orgs/{org}/things",
            params={
                "q": "name:{org}",
                "state": "all",
                "tags": ["x", "{org}"],
                "unset": "{team}",
                "none": None,
            },
            headers={"X-Org": "{org}", "X-Team": "{team}"},
            paging=Paging("page", size_param="n", size=5),
        )
        adapter = make_adapter(spec, options={"org": "a/b", "team": None}, headers={"Accept": "text/x"})
        list(adapter.pages("things", Read()))

        (request,) = api.requests
        assert request.target == "/orgs/a%2Fb/things?q=name%3Aa%2Fb&state=all&tags=x&tags=a%2Fb&n=5&page=1"
        assert (request.headers["x-org"], request.headers["accept"]) == ("a/b", "text/x")
        assert "x-team" not in request.headers
        assert request.headers["user-agent"].startswith("unify/")

    def test_a_value_stays_one_value_of_a_query_language(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("/people", MockResponse.json([]))
        spec = table(path="/people", params={"$filter": "name eq '{person:odata}'"})
        for person in ("O'Neil", "' or '1' eq '1"):
            list(make_adapter(spec, options={"person": person}).pages("things", Read()))

        filters = [parse_qs(request.target.partition("?")[2])["$filter"][0] for request in api.requests]
        assert filters == ["name eq 'O''Neil'", "name eq ''' or ''1'' eq ''1'"]

    def test_a_json_body_carries_paging_and_cursor(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        pages = [["a", "b"], ["c"]]

        def respond(request: RecordedRequest) -> MockResponse:
            after = request.json()["variables"].get("after")
            number = 0 if after is None else int(after)
            more = {"hasNextPage": number == 0, "endCursor": str(number + 1)}
            nodes = [{"id": name} for name in pages[number]]
            return MockResponse.json({"data": {"issues": {"nodes": nodes, "pageInfo": more}}})

        api.serve("POST /graphql", respond)
        query = "query($after: String) { issues(first: 2, after: $after) { nodes { id } } }"
        spec = table(
            path="/graphql",
            method="POST",
            rows="data.issues.nodes",
            body={"query": query, "variables": {"first": 2}},
            paging=Paging(
                "cursor",
                cursor_path="data.issues.pageInfo.endCursor",
                more_path="data.issues.pageInfo.hasNextPage",
                cursor_param="variables.after",
                location="body",
            ),
        )
        assert [row["id"] for row in decode_rows(make_adapter(spec).pages("things", Read()))] == [
            "a",
            "b",
            "c",
        ]
        assert api.requests[1].json() == {"query": query, "variables": {"first": 2, "after": "1"}}
        assert api.requests[1].headers["content-type"] == "application/json"

    def test_a_body_can_contain_the_paging_value(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("POST /search", MockResponse.json([{"id": 1}]), MockResponse.json([]))
        spec = table(
            path="/search",
            method="POST",
            body={"at": {"page": "{page}"}, "text": "p{page}"},
            paging=Paging("page", location="body"),
        )
        list(make_adapter(spec).pages("things", Read()))
        assert [request.json() for request in api.requests] == [
            {"at": {"page": 1}, "text": "p1"},
            {"at": {"page": 2}, "text": "p2"},
        ]

    def test_a_get_request_has_a_body_if_the_api_requires_one(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("/things", MockResponse.json([]))
        paging = Paging("page", location="body", size_param="n", size=5)
        spec = table(body={"q": "x"}, body_of_get=True, paging=paging)
        list(make_adapter(spec).pages("things", Read()))

        assert api.requests[0].json() == {"q": "x", "page": 1, "n": 5}
        assert api.request_targets == ["/things"]

    def test_a_form_is_sent_url_encoded(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("POST /search", MockResponse.json([]))
        spec = table(path="/search", method="POST", form={"q": "{org} & co"}, paging=Paging("none"))
        list(make_adapter(spec, options={"org": "a"}).pages("things", Read()))
        assert api.requests[0].body == b"q=a+%26+co"

    def test_a_form_carries_paging_and_cursor(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("POST /search", MockResponse.json([]))
        spec = table(
            path="/search",
            method="POST",
            form={"q": "x"},
            paging=Paging("page", location="body"),
            incremental=Incremental("at", param="since"),
        )
        list(make_adapter(spec).pages("things", Read(since={"": "2026-01-01T00:00:00Z"})))
        assert api.requests[0].body == b"q=x&page=1&since=2026-01-01T00%3A00%3A00Z"
        assert api.requests[0].target == "/search"

    def test_paging_values_can_be_part_of_the_path(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        api.serve("/things/p/1", MockResponse.json([{"id": 1}]))
        api.serve("/things/p/2", MockResponse.json([]))
        spec = table(path="/things/p/{page}", paging=Paging("page", location="path"))
        assert decode_rows(make_adapter(spec).pages("things", Read())) == [{"id": 1}]
        assert api.request_targets == ["/things/p/1", "/things/p/2"]

    def test_a_full_url_has_to_be_of_the_same_origin(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("/else", MockResponse.json([{"id": 1}]))
        none = Paging("none")
        adapter = make_adapter(
            table("own", f"{api.url}/else", paging=none),
            table("option", "{place}/else", paging=none),
            table("foreign", "http://127.0.0.1:1/else", paging=none),
            options={"place": api.url},
        )
        assert (
            decode_rows(adapter.pages("own", Read()))
            == decode_rows(adapter.pages("option", Read()))
            == [{"id": 1}]
        )
        with pytest.raises(SourceError, match="outside this connection's host"):
            list(adapter.pages("foreign", Read()))

    @pytest.mark.parametrize(
        ("org", "team", "path"),
        [
            ("acme", "one", "/orgs/acme/teams/one/things"),
            ("acme", None, "/orgs/acme/things"),
            (None, "one", "/things"),
            ("", "", "/things"),
        ],
    )
    def test_the_first_request_whose_options_have_values_is_sent(
        self, api: FaultServer, make_adapter: MakeAdapter, org: str | None, team: str | None, path: str
    ) -> None:
        api.serve(path, MockResponse.json([]))
        several = table(
            path="/orgs/{org}/teams/{team}/things",
            fallback_requests=("GET /orgs/{org}/things", "GET /things"),
            paging=Paging("none"),
        )
        adapter = make_adapter(several, options={"org": org, "team": team})
        assert decode_rows(adapter.pages("things", Read())) == []
        assert api.request_targets == [path]

    def test_a_request_that_is_not_found_is_followed_by_the_next(
        self, api: FaultServer, make_adapter: MakeAdapter
    ) -> None:
        api.serve("/orgs/acme/things", MockResponse.error(404))
        api.serve("/things", pages=numbered_pages(2))
        several = table(path="/orgs/{org}/things", fallback_requests=("GET /things",))
        adapter = make_adapter(several, options={"org": "acme"})
        assert len(decode_rows(adapter.pages("things", Read()))) == 4
        assert [target.partition("?")[0] for target in api.request_targets][:2] == [
            "/orgs/acme/things",
            "/things",
        ]
        api.serve("/things", MockResponse.error(404))
        with pytest.raises(NotFound):
            list(adapter.pages("things", Read()))

    def test_a_variable_without_a_value_is_named(self, api: FaultServer, make_adapter: MakeAdapter) -> None:
        with pytest.raises(SourceError, match=r"api\.things: .*\{org\} has no value"):
            list(make_adapter(table(path="/orgs/{org}/x"), options={"org": None}).pages("things", Read()))
        assert api.requests == []
