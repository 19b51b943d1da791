"""``RESTAdapter`` against a real server: tables, parents, cursors, errors, and stopping."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.faultserver import Asked, FaultServer, Reply
from unify.adapters import cursors, registry
from unify.adapters.base import Listeners, Page, Read, Traffic
from unify.adapters.pace import Clock
from unify.adapters.rest import RESTAdapter
from unify.adapters.route import Bounds
from unify.adapters.scopes import scope_of
from unify.adapters.spec import (
    AdapterSpec,
    Auth,
    ColumnDef,
    ErrorRule,
    ForEach,
    Incremental,
    Limits,
    Option,
    Paging,
    Refresh,
    TableSpec,
)
from unify.connections import Connection, Secret
from unify.errors import (
    BadResponse,
    ConfigError,
    Interrupted,
    NotFound,
    SourceError,
    Unauthorized,
    UnifyError,
    UnknownName,
)

Make = Callable[..., RESTAdapter]


class FixedClock(Clock):
    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def make(api: FaultServer) -> Iterator[Make]:
    """An adapter of these tables to the fault server, closed at the end."""
    made: list[RESTAdapter] = []

    def adapter(*tables: TableSpec, options: dict[str, Any] | None = None, **settings: Any) -> RESTAdapter:
        given = {name: settings.pop(name, None) for name in ("listeners", "clock")}
        spec = AdapterSpec("api", "api.yaml", api.url, tables=tables, **settings)
        adapter = RESTAdapter(spec, options or {}, bounds=Bounds(page_s=5, silence_s=5), **given)
        made.append(adapter)
        return adapter

    yield adapter
    for each in made:
        each.close()


def table(name: str = "things", path: str = "", **settings: Any) -> TableSpec:
    settings.setdefault("paging", Paging("page"))
    return TableSpec(name, settings.pop("method", "GET"), path or f"/{name}", **settings)


def slices_of(incremental: Incremental, at: str, now: float) -> list[cursors.Slice]:
    return list(cursors.slices(incremental, at, datetime.fromtimestamp(now, UTC)))


def rows(pages: Sequence[Page] | Iterator[Page]) -> list[Any]:
    return [json.loads(row) for page in pages for row in page.rows]


def numbered(pages: int, size: int = 2) -> list[list[dict[str, int]]]:
    return [[{"id": page * size + row} for row in range(size)] for page in range(pages)]


class TestPages:
    def test_a_table_is_its_pages_in_order(self, api: FaultServer, make: Make) -> None:
        api.serve("/things", pages=[[{"id": 1}, {"id": 2}], [{"id": 3}]])

        pages = list(make(table()).pages("things", Read()))
        assert [[json.loads(row)["id"] for row in page.rows] for page in pages] == [[1, 2], [3], []]
        assert [(page.number, page.scope, dict(page.variables)) for page in pages] == [
            (0, "", {}),
            (1, "", {}),
            (2, "", {}),
        ]
        assert api.asked == ["/things?page=1", "/things?page=2", "/things?page=3"]

    def test_rows_stay_as_the_source_wrote_them(self, api: FaultServer, make: Make) -> None:
        body = b'[{"n":123456789012345678901234567890,"d":1.50}]'
        api.serve("/things", Reply(body=body))

        (page,) = make(table(paging=Paging("none"))).pages("things", Read())
        assert page.rows == [body[1:-1]]

    def test_pages_known_beforehand_are_fetched_side_by_side_and_stay_in_order(
        self, api: FaultServer, make: Make
    ) -> None:
        api.serve("/things", pages=numbered(24), style="link", totals=True, delay_s=0.1)

        started = time.monotonic()
        pages = list(
            make(table(paging=Paging("link_header")), limits=Limits(None, 8)).pages("things", Read())
        )
        elapsed = time.monotonic() - started
        assert [page.number for page in pages] == list(range(24))
        assert [row["id"] for row in rows(pages)] == list(range(48))
        assert elapsed < 24 * 0.1 / 2
        assert len(api.asked) == 24
        assert api.connections_opened <= 8

    @pytest.mark.parametrize("style", ["page", "offset", "link", "cursor", "next_url"])
    def test_every_style_is_found_out_by_itself(self, api: FaultServer, make: Make, style: Any) -> None:
        api.serve("/things", pages=numbered(4), style=style, totals=style == "page", rows="items")
        paging = {
            "page": Paging("page", total_path="total"),
            "offset": Paging("offset", size_param="limit", size=2),
        }.get(style, Paging("auto"))

        assert [row["id"] for row in rows(make(table(paging=paging)).pages("things", Read()))] == list(
            range(8)
        )

    def test_a_limit_stops_early_and_asks_for_no_more(self, api: FaultServer, make: Make) -> None:
        api.serve("/things", pages=numbered(50), style="link", totals=True)

        pages = list(make(table(paging=Paging("link_header"))).pages("things", Read(limit=3)))
        assert len(rows(pages)) == 4
        assert len(api.asked) == 2

    def test_a_slow_reader_holds_the_threads_back(self, api: FaultServer, make: Make) -> None:
        api.serve("/things", pages=numbered(60), style="link", totals=True)

        reading = make(table(paging=Paging("link_header")), limits=Limits(None, 4)).pages("things", Read())
        next(reading)
        time.sleep(0.3)
        assert len(api.asked) <= 4 + 4 + 2
        assert len(list(reading)) == 59

    def test_rows_filtered_by_where_do_not_end_the_paging(self, api: FaultServer, make: Make) -> None:
        owners = [
            [{"id": 1, "owner": {"login": "Ann"}}],
            [{"id": 2, "owner": {"login": "bob"}}],
            [{"id": 3, "owner": {"login": "ANN"}}],
        ]
        api.serve("/things", pages=owners)
        adapter = make(table(where={"owner.login": ("{org}",)}), options={"org": "ann"}, allowed_origins=())
        assert [row["id"] for row in rows(adapter.pages("things", Read()))] == [1, 3]

    def test_an_unknown_table_is_named_with_the_nearest(self, make: Make) -> None:
        with pytest.raises(UnknownName, match=r"api\.thngs.*did you mean things"):
            list(make(table()).pages("thngs", Read()))

    def test_a_table_without_anything_is_no_rows(self, api: FaultServer, make: Make) -> None:
        api.serve("/things", Reply(status=204))
        assert rows(make(table()).pages("things", Read())) == []


class TestRequests:
    def test_everything_a_spec_says_is_sent(self, api: FaultServer, make: Make) -> None:
        api.serve("/orgs/a%2Fb/things", Reply.json([]))
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
        adapter = make(spec, options={"org": "a/b", "team": None}, headers={"Accept": "text/x"})
        list(adapter.pages("things", Read()))

        (asked,) = api.log
        assert asked.target == "/orgs/a%2Fb/things?q=name%3Aa%2Fb&state=all&tags=x&tags=a%2Fb&n=5&page=1"
        assert (asked.headers["x-org"], asked.headers["accept"]) == ("a/b", "text/x")
        assert "x-team" not in asked.headers
        assert asked.headers["user-agent"].startswith("unify/")

    def test_a_json_body_carries_paging_and_cursor(self, api: FaultServer, make: Make) -> None:
        pages = [["a", "b"], ["c"]]

        def answer(asked: Asked) -> Reply:
            after = asked.json()["variables"].get("after")
            number = 0 if after is None else int(after)
            more = {"hasNextPage": number == 0, "endCursor": str(number + 1)}
            nodes = [{"id": name} for name in pages[number]]
            return Reply.json({"data": {"issues": {"nodes": nodes, "pageInfo": more}}})

        api.serve("POST /graphql", answer)
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
                place="body",
            ),
        )
        assert [row["id"] for row in rows(make(spec).pages("things", Read()))] == ["a", "b", "c"]
        assert api.log[1].json() == {"query": query, "variables": {"first": 2, "after": "1"}}
        assert api.log[1].headers["content-type"] == "application/json"

    def test_a_body_names_the_paging_value_itself(self, api: FaultServer, make: Make) -> None:
        api.serve("POST /search", Reply.json([{"id": 1}]), Reply.json([]))
        spec = table(
            path="/search",
            method="POST",
            body={"at": {"page": "{page}"}, "text": "p{page}"},
            paging=Paging("page", place="body"),
        )
        list(make(spec).pages("things", Read()))
        assert [asked.json() for asked in api.log] == [
            {"at": {"page": 1}, "text": "p1"},
            {"at": {"page": 2}, "text": "p2"},
        ]

    def test_a_form_is_sent_as_one(self, api: FaultServer, make: Make) -> None:
        api.serve("POST /search", Reply.json([]))
        spec = table(path="/search", method="POST", form={"q": "{org} & co"}, paging=Paging("none"))
        list(make(spec, options={"org": "a"}).pages("things", Read()))
        assert api.log[0].body == b"q=a+%26+co"

    def test_a_form_carries_paging_and_cursor(self, api: FaultServer, make: Make) -> None:
        api.serve("POST /search", Reply.json([]))
        spec = table(
            path="/search",
            method="POST",
            form={"q": "x"},
            paging=Paging("page", place="body"),
            incremental=Incremental("at", param="since"),
        )
        list(make(spec).pages("things", Read(since={"": "2026-01-01T00:00:00Z"})))
        assert api.log[0].body == b"q=x&page=1&since=2026-01-01T00%3A00%3A00Z"
        assert api.log[0].target == "/search"

    def test_paging_values_may_lie_in_the_path(self, api: FaultServer, make: Make) -> None:
        api.serve("/things/p/1", Reply.json([{"id": 1}]))
        api.serve("/things/p/2", Reply.json([]))
        spec = table(path="/things/p/{page}", paging=Paging("page", place="path"))
        assert rows(make(spec).pages("things", Read())) == [{"id": 1}]
        assert api.asked == ["/things/p/1", "/things/p/2"]

    def test_a_full_address_stays_within_the_origin(self, api: FaultServer, make: Make) -> None:
        api.serve("/else", Reply.json([{"id": 1}]))
        none = Paging("none")
        adapter = make(
            table("own", f"{api.url}/else", paging=none),
            table("option", "{place}/else", paging=none),
            table("foreign", "http://127.0.0.1:1/else", paging=none),
            options={"place": api.url},
        )
        assert rows(adapter.pages("own", Read())) == rows(adapter.pages("option", Read())) == [{"id": 1}]
        with pytest.raises(SourceError, match="pinned to"):
            list(adapter.pages("foreign", Read()))

    @pytest.mark.parametrize(
        ("org", "team", "asked"),
        [
            ("acme", "one", "/orgs/acme/teams/one/things"),
            ("acme", None, "/orgs/acme/things"),
            (None, "one", "/things"),
            ("", "", "/things"),
        ],
    )
    def test_of_several_requests_the_first_counts_whose_options_have_a_value(
        self, api: FaultServer, make: Make, org: str | None, team: str | None, asked: str
    ) -> None:
        api.serve(asked, Reply.json([]))
        several = table(
            path="/orgs/{org}/teams/{team}/things",
            otherwise=("GET /orgs/{org}/things", "GET /things"),
            paging=Paging("none"),
        )
        adapter = make(several, options={"org": org, "team": team})
        assert rows(adapter.pages("things", Read())) == []
        assert api.asked == [asked]

    def test_a_request_that_finds_nothing_makes_way_for_the_next(self, api: FaultServer, make: Make) -> None:
        api.serve("/orgs/acme/things", Reply.error(404))
        api.serve("/things", pages=numbered(2))
        several = table(path="/orgs/{org}/things", otherwise=("GET /things",))
        adapter = make(several, options={"org": "acme"})
        assert len(rows(adapter.pages("things", Read()))) == 4
        assert [asked.partition("?")[0] for asked in api.asked][:2] == ["/orgs/acme/things", "/things"]
        api.serve("/things", Reply.error(404))
        with pytest.raises(NotFound):
            list(adapter.pages("things", Read()))

    def test_a_variable_without_a_value_is_named(self, api: FaultServer, make: Make) -> None:
        with pytest.raises(SourceError, match=r"api\.things: .*\{org\} has no value"):
            list(make(table(path="/orgs/{org}/x"), options={"org": None}).pages("things", Read()))
        assert api.log == []


PARENTS = [{"owner": "o", "repo": f"r{number}"} for number in range(6)]


def child(**settings: Any) -> TableSpec:
    settings.setdefault("paging", Paging("link_header"))
    return table(
        "pulls", "/repos/{owner}/{repo}/pulls", for_each=ForEach("select 1", tables=("repos",)), **settings
    )


class TestParents:
    def serve(self, api: FaultServer, **faults: Any) -> None:
        for parent in PARENTS:
            pages = [[{"id": f"{parent['repo']}-{number}"}] for number in range(3)]
            api.serve(f"/repos/o/{parent['repo']}/pulls", pages=pages, style="link", **faults)

    def test_each_parent_is_asked_and_its_pages_stay_in_order(self, api: FaultServer, make: Make) -> None:
        self.serve(api, totals=True)

        pages = list(make(child()).pages("pulls", Read(PARENTS)))
        by_scope: dict[str, list[int]] = {}
        for page in pages:
            by_scope.setdefault(page.scope, []).append(page.number)
        assert by_scope == {scope_of(parent): [0, 1, 2] for parent in PARENTS}
        assert len(rows(pages)) == 18

    def test_parents_are_asked_side_by_side(self, api: FaultServer, make: Make) -> None:
        self.serve(api, delay_s=0.1)

        started = time.monotonic()
        assert len(rows(make(child(), limits=Limits(None, 6)).pages("pulls", Read(PARENTS)))) == 18
        assert time.monotonic() - started < 18 * 0.1 / 2

    def test_equal_parents_are_asked_once(self, api: FaultServer, make: Make) -> None:
        self.serve(api)

        pages = make(child()).pages(
            "pulls", Read([PARENTS[0], dict(reversed(PARENTS[0].items())), PARENTS[0]])
        )
        assert len(rows(pages)) == 3
        assert len(api.asked) == 3

    def test_rows_know_their_parent(self, api: FaultServer, make: Make) -> None:
        self.serve(api)
        columns = (
            ColumnDef("repo", source="{repo}"),
            ColumnDef("full", source="{owner}/{repo}"),
            ColumnDef("id_again", source="id"),
        )
        pages = list(make(child(columns=columns)).pages("pulls", Read(PARENTS[:1])))
        assert dict(pages[0].variables) == {"repo": "r0", "full": "o/r0"}
        assert pages[0].scope == '{"owner":"o","repo":"r0"}'

    def test_a_parent_without_a_value_is_named(self, api: FaultServer, make: Make) -> None:
        with pytest.raises(SourceError, match=r"no value for \{repo\}; add: where repo is not null"):
            list(make(child()).pages("pulls", Read([{"owner": "o", "repo": None}])))
        assert api.log == []

    def test_the_number_of_pages_is_told_once_it_is_known(self, api: FaultServer, make: Make) -> None:
        for parent in PARENTS:
            api.serve(f"/repos/o/{parent['repo']}/pulls", pages=numbered(4), style="link", totals=True)
        pages = list(make(child()).pages("pulls", Read(PARENTS)))
        assert pages[-1].pages_total == 24

    def test_no_parents_are_no_requests(self, api: FaultServer, make: Make) -> None:
        assert list(make(child()).pages("pulls", Read())) == []
        assert api.log == []

    def test_one_parents_failure_names_it_and_ends_all(self, api: FaultServer, make: Make) -> None:
        self.serve(api)
        api.serve("/repos/o/r3/pulls", Reply.error(404))

        with pytest.raises(NotFound, match=r"api\.pulls for owner o, repo r3: GET .* 404"):
            list(make(child()).pages("pulls", Read(PARENTS)))

    def test_a_rule_may_skip_one_parent(self, api: FaultServer, make: Make) -> None:
        self.serve(api)
        api.serve("/repos/o/r3/pulls", Reply.error(404))

        pages = make(child(errors=(ErrorRule(404, "skip"),))).pages("pulls", Read(PARENTS))
        assert len(rows(pages)) == 15

    def test_the_first_rule_that_fits_counts_the_tables_own_before(
        self, api: FaultServer, make: Make
    ) -> None:
        adapter = make(child(errors=(ErrorRule(404, "fail"),)), errors=(ErrorRule(404, "skip"),))
        with pytest.raises(NotFound):
            list(adapter.pages("pulls", Read(PARENTS[:1])))

    def test_given_rows_need_no_query(self, api: FaultServer, make: Make) -> None:
        api.serve("/x/a", Reply.json([{"id": 1}]))
        api.serve("/x/b", Reply.json([{"id": 2}]))
        spec = table(path="/x/{k}", for_each=ForEach(rows=({"k": "a"}, {"k": "b"})), paging=Paging("none"))
        assert sorted(row["id"] for row in rows(make(spec).pages("things", Read()))) == [1, 2]

    def test_batches_join_values(self, api: FaultServer, make: Make) -> None:
        api.serve("/things", Reply.json([]))
        spec = table(params={"ids": "{id}"}, for_each=ForEach("select", batch=2), paging=Paging("none"))
        list(make(spec, limits=Limits(None, 1)).pages("things", Read([{"id": n} for n in (1, 2, 2, 3)])))
        assert api.asked == ["/things?ids=1%2C2", "/things?ids=3"]

    def test_a_parent_that_leads_elsewhere_is_refused(self, api: FaultServer, make: Make) -> None:
        with pytest.raises(SourceError, match="another address"):
            list(make(child()).pages("pulls", Read([{"owner": "..", "repo": "x"}])))
        assert api.log == []


class TestCursors:
    def asked_for(self, api: FaultServer, make: Make, incremental: Incremental, **since: str) -> str:
        api.serve("/things", Reply.json([]))
        adapter = make(table(incremental=incremental, paging=Paging("none")))
        list(adapter.pages("things", Read(since=dict(since and {"": since["at"]}))))
        return api.asked[-1]

    @pytest.mark.parametrize(
        ("settings", "at", "sent"),
        [
            ({}, "2026-05-01T10:00:00Z", "since=2026-05-01T10%3A00%3A00Z"),
            ({"lookback_s": 300}, "2026-05-01T10:00:00Z", "since=2026-05-01T09%3A55%3A00Z"),
            (
                {"lookback_s": 300},
                "2026-05-01 12:00:00.5+02",
                "since=2026-05-01T11%3A55%3A00.500000%2B02%3A00",
            ),
            ({"format": "date"}, "2026-05-01T10:00:00Z", "since=2026-05-01"),
            ({"format": "unix", "lookback_s": 60}, "2026-05-01T10:00:00Z", "since=1777629540"),
            ({"format": "unix_ms"}, "1777629600", "since=1777629600000"),
            ({"format": "%d.%m.%Y"}, "2026-05-01", "since=01.05.2026"),
            ({}, "1777629600", "since=1777629600"),  # an id, or seconds: nobody knows
            ({"lookback_s": 60}, "1777629600", "since=1777629540"),
            ({"lookback_s": 60}, "1777629600000", "since=1777629540000"),
            ({"lookback_s": 60}, "1777629600.000123", "since=1777629540.000123"),
            ({"lookback_s": 60}, "4711", "since=4711"),
            ({"format": "iso8601"}, "1777629600", "since=2026-05-01T10%3A00%3A00Z"),
            ({}, "2026-05-01", "since=2026-05-01"),
            ({"lookback_s": 300}, "2026-05-01", "since=2026-04-30"),
            ({"format": "date"}, "2026-05-01T01:00:00+02:00", "since=2026-04-30"),
            ({"format": "date"}, "2026-05-01T23:00:00-05:00", "since=2026-05-01"),
            ({}, "4711", "since=4711"),
            ({}, "opaque", "since=opaque"),
        ],
    )
    def test_a_stored_cursor_is_written_as_the_api_wants_it(
        self, api: FaultServer, make: Make, settings: dict[str, Any], at: str, sent: str
    ) -> None:
        incremental = Incremental("updated_at", param="since", **settings)
        assert self.asked_for(api, make, incremental, at=at) == f"/things?{sent}"

    def test_the_first_load_begins_at_start_or_takes_all(self, api: FaultServer, make: Make) -> None:
        start = Incremental("updated_at", param="since", start="2015-01-01T00:00:00Z", lookback_s=60)
        assert self.asked_for(api, make, start) == "/things?since=2015-01-01T00%3A00%3A00Z"
        assert self.asked_for(api, make, Incremental("updated_at", param="since")) == "/things"
        day = Incremental("day", param="since", start="2015-01-01")
        assert self.asked_for(api, make, day) == "/things?since=2015-01-01"

    @pytest.mark.parametrize("settings", [{"param": "since"}, {"params": {"since": "{cursor}"}}])
    def test_a_page_cursor_of_the_same_name_is_another(
        self, api: FaultServer, make: Make, settings: dict[str, Any]
    ) -> None:
        api.serve("/things", Reply.json({"items": [{"at": 8}], "next": "b"}), Reply.json({"items": []}))
        spec = table(
            rows="items",
            incremental=Incremental("at", param=settings.get("param"), start="7"),
            params=settings.get("params", {}),
            paging=Paging("cursor", cursor_path="next", cursor_param="cursor"),
        )

        list(make(spec).pages("things", Read()))

        assert api.asked == ["/things?since=7", "/things?since=7&cursor=b"]

    def test_each_parent_has_its_own(self, api: FaultServer, make: Make) -> None:
        for parent in PARENTS[:2]:
            api.serve(f"/repos/o/{parent['repo']}/pulls", Reply.json([]))
        adapter = make(child(incremental=Incremental("at", param="since")), limits=Limits(None, 1))
        since = {scope_of(PARENTS[1]): "2026-05-01T10:00:00Z"}
        list(adapter.pages("pulls", Read(PARENTS[:2], since)))
        assert api.asked == ["/repos/o/r0/pulls", "/repos/o/r1/pulls?since=2026-05-01T10%3A00%3A00Z"]

    def test_newest_first_stops_at_the_first_page_that_is_old(self, api: FaultServer, make: Make) -> None:
        days = [
            [{"at": f"2026-05-{30 - 2 * page:02}T00:00:00Z"}, {"at": f"2026-05-{29 - 2 * page:02}T00:00:00Z"}]
            for page in range(10)
        ]
        api.serve("/things", pages=days, style="link", totals=True)
        spec = table(incremental=Incremental("at", order="desc"), paging=Paging("link_header"))

        first = rows(make(spec).pages("things", Read()))
        assert len(first) == 20
        api.clear_log()
        later = rows(make(spec).pages("things", Read(since={"": "2026-05-26T00:00:00Z"})))
        assert [row["at"][8:10] for row in later] == ["30", "29", "28", "27", "26", "25"]
        assert len(api.asked) == 3

        days_back = Incremental("at", order="desc", lookback_s=3 * 86400.0)
        api.clear_log()
        adapter = make(table(incremental=days_back, paging=Paging("link_header")))
        assert len(rows(adapter.pages("things", Read(since={"": "2026-05-26T00:00:00Z"})))) == 10
        assert len(api.asked) == 5  # the 22nd is older than the 23rd


class TestWindows:
    spec = table(
        params={"from": "{cursor}", "to": "{until}"},
        incremental=Incremental("at", start="2026-01-01", format="date", window_s=10 * 86400.0),
        paging=Paging("page"),
    )

    @pytest.fixture
    def january(self) -> FixedClock:
        return FixedClock(datetime(2026, 1, 25, 13, tzinfo=UTC).timestamp())

    def asked(self, api: FaultServer, make: Make, clock: FixedClock, **since: str) -> list[Page]:
        api.serve("/things", lambda asked: Reply.json([{"id": 1}] if asked.query["page"] == "1" else []))
        adapter = make(self.spec, clock=clock, limits=Limits(None, 1))
        return list(adapter.pages("things", Read(since=since)))

    def test_time_is_gone_through_in_slices_that_meet(
        self, api: FaultServer, make: Make, january: FixedClock
    ) -> None:
        pages = self.asked(api, make, january)
        assert [asked for asked in api.asked if asked.endswith("page=1")] == [
            "/things?from=2026-01-01&to=2026-01-11&page=1",
            "/things?from=2026-01-11&to=2026-01-21&page=1",
            "/things?from=2026-01-21&to=2026-01-26&page=1",
        ]
        assert len(rows(pages)) == 3
        assert len({page.number for page in pages}) == len(pages) == 6

    def test_a_stored_cursor_begins_the_first(
        self, api: FaultServer, make: Make, january: FixedClock
    ) -> None:
        self.asked(api, make, january, **{"": "2026-01-24"})
        assert api.asked[0] == "/things?from=2026-01-24&to=2026-01-26&page=1"

    @pytest.mark.parametrize(
        ("at", "slices"),
        [
            ("1768046400", [(1768046400, 1768910400), (1768910400, 1769346000)]),
            ("1768046400000", [(1768046400000, 1768910400000), (1768910400000, 1769346000000)]),
            ("2026-01-10", [("2026-01-10", "2026-01-20"), ("2026-01-20", "2026-01-26")]),
            (
                "2026-01-10T12:00:00Z",
                [
                    ("2026-01-10T12:00:00Z", "2026-01-20T12:00:00Z"),
                    ("2026-01-20T12:00:00Z", "2026-01-25T13:00:00Z"),
                ],
            ),
        ],
    )
    def test_without_a_format_they_are_written_as_the_cursor_came(
        self, january: FixedClock, at: str, slices: list[tuple[str | int, str | int]]
    ) -> None:
        incremental = Incremental("at", start="2026-01-01T00:00:00Z", window_s=10 * 86400.0)
        found = [(part.cursor, part.until) for part in slices_of(incremental, at, january.now)]
        assert found == slices

    def test_a_cursor_ahead_of_the_clock_is_one_slice(
        self, api: FaultServer, make: Make, january: FixedClock
    ) -> None:
        self.asked(api, make, january, **{"": "2026-03-01"})
        assert api.asked[0] == "/things?from=2026-03-01&to=2026-01-26&page=1"


class TestColumns:
    def test_values_around_the_rows_become_columns(self, api: FaultServer, make: Make) -> None:
        body = {"total": 5, "meta": {"currency": "EUR"}, "items": [{"id": 1}]}
        api.serve("/things", Reply.json(body))
        columns = (
            ColumnDef("total", source="$.total"),
            ColumnDef("money", source="$.meta.currency"),
            ColumnDef("none", source="$.x"),
        )
        (page,) = make(table(columns=columns, paging=Paging("none"), rows="items")).pages("things", Read())
        assert dict(page.variables) == {"total": 5, "money": "EUR", "none": None}

    def test_a_secret_is_never_one(self, make: Make) -> None:
        spec = table(columns=(ColumnDef("leak", source="{token}"),))
        with pytest.raises(ConfigError, match="would store the secret"):
            list(make(spec, options={"token": Secret("s3cret")}).pages("things", Read()))


PAGE_FAULTS: dict[str, Reply] = {
    "400": Reply.error(400),
    "401": Reply.error(401),
    "403": Reply.error(403),
    "404": Reply.error(404),
    "410": Reply.error(410),
    "422": Reply.error(422),
    "html": Reply.text("<html>please log in</html>"),
    "empty": Reply(),
    "cut json": Reply(body=b'[{"id":1},'),
    "cut json without length": Reply(body=b'[{"id":1},', framing="close"),
    "object without rows": Reply.json({"message": "oops"}),
    "text": Reply.json("nothing"),
    "null": Reply.json(None),
    "not gzip": Reply(body=b"[]").with_headers(Content_Encoding="gzip"),
    "deep": Reply(body=b'[{"id":' + b"[" * 200_000),
    "large": Reply(body=b"[" + b" " * 40_000_000 + b"]", framing="close"),
    "redirect away": Reply.redirect("http://127.0.0.1:1/x"),
    "redirect to nothing": Reply.redirect("/nowhere"),
    "bad link": Reply.json([{"id": 3}]).with_headers(Link='<http://evil.example/x>; rel="next"'),
    "NaN": Reply(body=b'[{"id":NaN}]'),
    "not utf-8": Reply(body=b'[{"id":"\xff\xfe"}]'),
}


class TestNothingThere:
    def test_null_for_a_parent_is_no_row(self, api: FaultServer, make: Make) -> None:
        api.serve("/item/1", Reply.json({"id": 1}))
        api.serve("/item/2", Reply.json(None))
        spec = table(path="/item/{n}", rows="$", for_each=ForEach("select 1"), paging=Paging("none"))
        assert rows(make(spec).pages("things", Read([{"n": 1}, {"n": 2}]))) == [{"id": 1}]

    def test_null_for_a_table_is_an_error(self, api: FaultServer, make: Make) -> None:
        api.serve("/things", Reply.json(None))
        with pytest.raises(BadResponse):
            list(make(table(rows="$", paging=Paging("none"))).pages("things", Read()))

    def test_only_a_first_page_can_be_skipped(self, api: FaultServer, make: Make) -> None:
        api.serve("/things", Reply.json([{"id": 1}]), Reply.error(404))
        adapter = make(table(errors=(ErrorRule(404, "skip"),)))
        with pytest.raises(NotFound):
            list(adapter.pages("things", Read()))


class TestErrors:
    @pytest.mark.parametrize("fault", PAGE_FAULTS)
    @pytest.mark.parametrize("at", [1, 3])
    def test_a_page_that_cannot_be_had_is_an_error_never_a_shorter_table(
        self, api: FaultServer, make: Make, fault: str, at: int
    ) -> None:
        whole = numbered(4)

        def answer(asked: Asked) -> Reply:
            number = int(asked.query.get("page", "1"))
            if number == at:
                return PAGE_FAULTS[fault]
            link = f'</things?page={number + 1}>; rel="next"' if number < 4 else ""
            return Reply.json({"items": whole[number - 1]}).with_headers(Link=link)

        api.serve("/things", answer)
        adapter = make(table(paging=Paging("link_header"), rows="items"))
        with pytest.raises(SourceError, match=r"^api\.things: "):
            list(adapter.pages("things", Read()))

    def test_a_body_of_another_kind_than_before_is_no_page(self, api: FaultServer, make: Make) -> None:
        link = '</things?page=2>; rel="next"'
        more = Reply.json({"status": "maintenance"})
        api.serve("/things", Reply.json([{"id": 1}]).with_headers(Link=link), more)
        with pytest.raises(BadResponse, match="expected a list, as before"):
            list(make(table(paging=Paging("link_header"))).pages("things", Read()))

    def test_it_ends_all_threads(self, api: FaultServer, make: Make) -> None:
        before = threading.active_count()
        api.serve("/things", pages=numbered(40), style="link", totals=True, delay_s=0.05)
        good = api._routes["/things"].next()
        assert callable(good)

        def answer(asked: Asked) -> Reply:
            if asked.query.get("page") == "9":
                return Reply.error(400)
            if asked.query.get("page") == "8":
                return Reply.json([], delay_s=60)
            return good(asked)

        api.serve("/things", answer)
        adapter = make(table(paging=Paging("link_header")), limits=Limits(None, 6))
        started = time.monotonic()
        with pytest.raises(SourceError):
            list(adapter.pages("things", Read()))
        assert time.monotonic() - started < 3
        assert sum(thread.name == "unify-fetch" for thread in threading.enumerate()) == 0
        assert len(api.asked) < 20
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
    def test_a_first_page_that_comes_again_and_again_is_an_error(
        self, api: FaultServer, make: Make, paging: Paging
    ) -> None:
        counter = count()

        def answer(_asked: Asked) -> Reply:
            number = next(counter)
            body = {
                "items": [{"id": 1}, {"id": 2}],
                "total": 10**9,
                "counter": number,
                "next": f"?n={number}",
            }
            return Reply.json(body)

        api.serve("/things", answer)
        with pytest.raises(
            BadResponse, match=rf"api.things: paging.type {paging.type}: pages with the same rows"
        ):
            list(make(table(paging=paging, rows="items"), limits=Limits(None, 2)).pages("things", Read()))
        assert len(api.asked) <= 8

    @pytest.mark.parametrize("auto", [False, True])
    def test_two_pages_are_enough_where_the_api_does_not_know_the_number(
        self, api: FaultServer, make: Make, auto: bool
    ) -> None:
        api.serve("/things", Reply.json({"items": [{"id": 1}], "page": 1, "total_pages": 2}))
        paging = Paging("auto") if auto else Paging("page", pages_path="total_pages")
        with pytest.raises(BadResponse, match="does not seem to know the parameter"):
            list(make(table(paging=paging)).pages("things", Read()))
        assert api.asked[1:] == ["/things?page=2", "/things?page=3"]

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
    def test_rows_that_are_all_alike_are_read_where_the_api_gets_on(
        self, api: FaultServer, make: Make, paging: Paging
    ) -> None:
        def answer(asked: Asked) -> Reply:
            number = int(asked.query.get("page", int(asked.query.get("offset", 0)) // 10 + 1))
            following = number + 1 if number < 5 else None
            body = {"items": [{"v": "same"}] * 10 if number <= 5 else [], "total": 50, "pages": 5}
            url = f"/things?page={following}" if following else None
            next_url = {"links": {"next": url}} if paging.type == "auto" else {"next": following, "url": url}
            return Reply.json({**body, "more": number < 5, **next_url})

        api.serve("/things", answer)
        assert len(rows(make(table(paging=paging, rows="items")).pages("things", Read()))) == 50

    def test_a_repeated_link_is_an_error_naming_table_and_paging(self, api: FaultServer, make: Make) -> None:
        api.serve("/things", Reply.json([{"id": 1}]).with_headers(Link='</things?page=2>; rel="next"'))
        with pytest.raises(BadResponse, match=r"^api\.things: paging\.type link_header"):
            list(make(table(paging=Paging("link_header"))).pages("things", Read()))

    @pytest.mark.parametrize(
        "link", ["ftp://x/y", "javascript:alert(1)", "http://[bad", "http://x:99999/", "file:///etc"]
    )
    @pytest.mark.parametrize("told", ["link", "redirect"])
    def test_a_link_that_is_no_address_is_an_error(
        self, api: FaultServer, make: Make, link: str, told: str
    ) -> None:
        reply = Reply.json([{"id": 1}]).with_headers(Link=f'<{link}>; rel="next"')
        api.serve("/things", reply if told == "link" else Reply.redirect(link))
        with pytest.raises(SourceError, match=r"^api\.things: "):
            list(make(table(paging=Paging("link_header"))).pages("things", Read()))
        assert len(api.asked) == 1

    def test_xml_is_read_page_by_page(self, api: FaultServer, make: Make) -> None:
        first = "<r><next>b</next><item id='1'><at>x</at></item><item id='2'/></r>"
        replies = [Reply.text(first, "text/xml"), Reply.text("<r><item id='3'/></r>", "text/xml")]
        api.serve("/things", *replies)
        paging = Paging("cursor", cursor_path="next", cursor_param="from")
        pages = list(make(table(format="xml", rows="item", paging=paging)).pages("things", Read()))
        assert [page.rows for page in pages] == [[b'{"id":"1","at":"x"}', b'{"id":"2"}'], [b'{"id":"3"}']]
        assert api.asked == ["/things", "/things?from=b"]
        assert api.log[0].headers["accept"].startswith("application/xml")


class TestStopping:
    @pytest.mark.parametrize("fault", [{"delay_s": 60.0}, {"hang_at": 3}])
    def test_closing_the_generator_ends_what_hangs(
        self, api: FaultServer, make: Make, fault: dict[str, Any]
    ) -> None:
        api.serve("/things", Reply.json([{"id": 1}]), Reply.json([{"id": 2}], **fault))
        reading = make(table()).pages("things", Read())
        next(reading)

        started = time.monotonic()
        reading.close()
        assert time.monotonic() - started < 1

    def test_closing_the_adapter_ends_a_read_in_another_thread(self, api: FaultServer, make: Make) -> None:
        api.serve("/things", Reply.json([], hang_at=1))
        adapter = make(table())
        threading.Timer(0.2, adapter.close).start()

        started = time.monotonic()
        with pytest.raises(Interrupted):
            list(adapter.pages("things", Read()))
        assert time.monotonic() - started < 2

    def test_a_rate_limit_is_announced_and_can_be_left(self, api: FaultServer, make: Make) -> None:
        told: list[Any] = []
        api.serve("/things", Reply.error(429, Retry_After="60"))
        adapter = make(table(), listeners=Listeners(waiting=told.append))
        threading.Timer(0.3, adapter.close).start()

        with pytest.raises(Interrupted):
            list(adapter.pages("things", Read()))
        assert [until is None for until in told] == [False, True]


class TestCheck:
    def test_asks_what_the_spec_names(self, api: FaultServer, make: Make) -> None:
        me = Reply.json({"login": "ann", "id": 1}).with_headers(X_RateLimit_Remaining="41")
        api.serve("/user", me)
        check = make(table(), check="GET /user", check_identity="login").check()
        assert (check.accepted, check.identity, check.quota_left) == (True, "ann", 41)
        assert api.asked == ["/user"]

    def test_asks_the_first_table_otherwise(self, api: FaultServer, make: Make) -> None:
        api.serve("/things", Reply.json([]))
        assert make(child(), table()).check().accepted
        assert api.asked == ["/things?page=1"]

    @pytest.mark.parametrize("status", [401, 403])
    def test_says_why_credentials_are_refused(self, api: FaultServer, make: Make, status: int) -> None:
        api.serve("/things", Reply.error(status, "expired"))
        auth = Auth("bearer", {"token": "{token}"})
        adapter = make(table(), auth=auth, options={"token": Secret("s3cret-token")})
        check = adapter.check()
        assert not check.accepted
        assert "expired" in check.reason
        assert "option token of api" in check.reason

    @pytest.mark.parametrize("check", ["GET /things", None])
    def test_a_web_page_is_no_yes(self, api: FaultServer, make: Make, check: str | None) -> None:
        api.serve("/things", Reply.text("<html>Please log in"))
        with pytest.raises(BadResponse, match="or its web page"):
            make(table(), check=check).check()

    def test_an_empty_answer_is_a_yes(self, api: FaultServer, make: Make) -> None:
        api.serve("/ping", Reply(204))
        assert make(table(), check="GET /ping").check().accepted

    def test_needs_something_to_ask(self, make: Make) -> None:
        with pytest.raises(ConfigError, match="check:"):
            make(child()).check()


SPEC = """
name: sample
description: A sample
documentation: https://example.org
base_url: "{base_url}"
options:
  token: {description: Token, secret: true, required: true}
  base_url: {description: Address, default: "https://api.example.org"}
auth: {type: bearer, token: "{token}"}
paging: {type: none}
limits: {requests_per_second: 50}
tables:
  - name: things
    description: Things
    request: GET /things
    key: id
    refresh: {every: 1 hour}
    columns: {id: {type: bigint, description: Number}}
  - name: parts
    request: GET /things/{thing}/parts
    for_each: select id as thing from things
"""


class TestRegistry:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "sample.yaml").write_text(SPEC)
        return tmp_path

    def test_opens_a_connections_adapter(self, api: FaultServer, folder: Path) -> None:
        api.serve("/things", Reply.json([{"id": 1}]))
        traffic: list[Traffic] = []
        connection = Connection("mine", "sample", {"token": "${TOKEN}", "base_url": api.url})
        adapter = registry.open_adapter(
            connection,
            [folder],
            {"TOKEN": "t0ken-t0ken"},
            listeners=Listeners(traffic.append),
            limits_folder=folder / "limits",
        )
        assert rows(adapter.pages("things", Read())) == [{"id": 1}]
        adapter.close()
        assert api.log[0].headers["authorization"] == "Bearer t0ken-t0ken"
        assert [seen.address for seen in traffic] == [f"{api.url}/things"]
        assert {file.suffix for file in (folder / "limits").iterdir()} == {".slots", ".door", ".place"}

    def test_a_refusal_names_option_variable_and_line(self, api: FaultServer, folder: Path) -> None:
        api.serve("/things", Reply.error(401))
        options = {"token": "${TOKEN}", "base_url": api.url}
        connection = Connection("mine", "sample", options, path="c.yaml", lines={"options.token": 4})
        adapter = registry.open_adapter(connection, [folder], {"TOKEN": "t0ken-t0ken"})
        with pytest.raises(Unauthorized, match=r"option token of mine \(\$\{TOKEN\}, c\.yaml:4\)"):
            list(adapter.pages("things", Read()))
        adapter.close()

    def test_describes_without_secrets_or_requests(self, folder: Path) -> None:
        connection = Connection("mine", "sample", {"token": "${NOT_SET}"}, refresh={"parts": 60.0})
        things, parts = registry.describe_adapter(connection, [folder])
        assert (things.name, things.key, things.refresh_every_s) == ("things", ("id",), 3600.0)
        assert (things.columns[0].type, things.columns[0].description) == ("bigint", "Number")
        assert (parts.parents, parts.refresh_every_s) == (("things",), 60.0)

    def test_a_secret_that_is_not_there_is_told_before_anything_is_sent(self, folder: Path) -> None:
        connection = Connection("mine", "sample", {"token": "${NOT_SET}"})
        with pytest.raises(ConfigError, match="NOT_SET"):
            registry.check_secrets(connection, [folder], {})
        with pytest.raises(ConfigError, match="NOT_SET"):
            registry.open_adapter(connection, [folder], {})

    def test_a_spec_that_changed_is_read_again(self, folder: Path) -> None:
        connection = Connection("mine", "sample", {"token": "x"})
        assert registry.spec_of(connection, [folder]) is registry.spec_of(connection, [folder])
        (folder / "sample.yaml").write_text(
            SPEC.replace("name: things", "name: stuff").replace("from things", "from stuff")
        )
        assert registry.describe_adapter(connection, [folder])[0].name == "stuff"

    @pytest.mark.parametrize(("name", "value"), [("page_timeout", "soon"), ("connect_timeout", "0")])
    def test_times_are_checked(self, folder: Path, name: str, value: str) -> None:
        connection = Connection("mine", "sample", {"token": "x", name: value})
        with pytest.raises(ConfigError, match=f"options.{name}"):
            registry.open_adapter(connection, [folder], {})

    def test_the_page_timeout_is_an_option(self, api: FaultServer, folder: Path) -> None:
        options = {"token": "x", "base_url": api.url, "page_timeout": "1s"}
        adapter = registry.open_adapter(Connection("mine", "sample", options), [folder], {})
        api.serve("/things", Reply.json([1], hang_at=1), Reply.error(400))
        with pytest.raises(UnifyError, match="answered 400"):
            list(adapter.pages("things", Read()))
        adapter.close()


def test_options_and_tables_of_a_spec_are_told(make: Make) -> None:
    spec = table(key=("id",), refresh=Refresh(60.0), columns=(ColumnDef("id", "BIGINT", "Number"),))
    (defined,) = make(spec, options={"a": "b"}, auth=Auth(), headers={}).list_tables()
    assert (defined.name, defined.key, defined.refresh_every_s) == ("things", ("id",), 60.0)
    assert Option("x").required is False
