"""Views and live tables of specs, through the command and a server on loopback."""

from __future__ import annotations

import pytest

from tests.support.command import UnifyCommand
from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.shop import SPEC_WITH_TOKEN, connect_shop

SPEC = (
    SPEC_WITH_TOKEN
    + """\
  - name: orders
    request: GET /orders
    key: id
  - name: search
    request: GET /search
    live: {cache: 60 seconds}
    filters:
      q: {required: true}
      state: {param: status, ops: ["=", in]}
      changed: {param: since, ops: [">="], format: iso8601}
      title: {ops: [like]}
    columns: {changed: {type: timestamptz}}
  - name: customer
    request: GET /customers/{id}
    rows: $
    paging: {type: none}
    live: {}
    filters: {id: {required: true}}
  - name: several
    request: GET /several
    paging: {type: none}
    live: {}
    filters: {id: {param: ids, required: true, ops: ["=", in]}}
  - name: weather
    request: GET /weather
    rows: $
    paging: {type: none}
    live: {}
    filters: {latitude: {required: true}, longitude: {required: true}}
    columns:
      latitude: {from: "{latitude}", type: double}
      longitude: {from: "{longitude}", type: double}
  - name: events
    request: GET /events
    live: {}
    filters: {kind: {}}
  - name: parcels
    request: GET /orders/{order_id}/parcels
    for_each: select id as order_id, state as order_state from orders
    paging: {type: none}
    live: {cache: 60 seconds}
    columns: {order_id: {from: "{order_id}"}, order_state: {from: "{order_state}"}}
    filters: {weight: {ops: [">="]}}
  - name: log
    request: GET /log
    rows: $
    paging: {type: none}
    live: {}
    filters:
      made: {param: {">=": since, "<=": until}, required: true, format: unix}
    columns: {made: {type: timestamptz}}
  - name: shelves
    request: GET /shelves
    rows: shelves.books
    paging: {type: none}
    columns:
      shelf: {from: $.shelves.name, description: Shelf it stands on}
      stored_on: {from: $.shelves.since, type: date}
      library: {from: $.library}
    key: [shelf, id]
    incremental: {cursor: stored_on, param: since}
  - name: boards
    request: GET /boards
    paging: {type: none}
    live: {}
  - name: cards
    request: GET /boards/{board}/cards
    for_each: select id as board from boards where open
    paging: {type: none}
    live: {}
    columns: {board: {from: "{board}"}}
views:
  - name: open_orders
    description: Orders still open
    query: select id, amount from orders where state = 'open'
  - name: big_orders
    query: select * from open_orders where amount > 10
  - name: larks
    query: select title from search where q = 'lark'
"""
)
ORDERS = [
    [{"id": 1, "state": "open", "amount": 5, "customer": 7}, {"id": 2, "state": "done", "amount": 50}],
    [{"id": 3, "state": "open", "amount": 20, "customer": 8}],
]


@pytest.fixture
def unify(shared_unify: UnifyCommand) -> UnifyCommand:
    return shared_unify


@pytest.fixture
def shop(unify: UnifyCommand, api: FaultServer) -> FaultServer:
    connect_shop(unify, api, SPEC)
    api.serve("/orders", pages=ORDERS)
    api.serve("/search", found)
    api.serve(
        "/events", pages=[[{"n": 3 * page + n, "kind": "ab"[n % 2]} for n in range(2)] for page in range(5)]
    )
    api.serve("/customers/7", MockResponse.json({"id": 7, "name": "Ada"}))
    api.serve("/customers/8", MockResponse.json({"id": 8, "name": "Bob"}))
    api.serve(
        "/several",
        lambda request: MockResponse.json([{"id": int(one)} for one in request.query["ids"].split(",")]),
    )
    api.serve(
        "/weather",
        lambda request: MockResponse.json({"latitude": 52.519, "degrees": float(request.query["latitude"])}),
    )
    return api


def found(request: RecordedRequest) -> MockResponse:
    """Return two pages for any search, with the filters that the API supports."""
    query = request.query
    rows = [
        {
            "title": f"{query.get('q', 'all')} {n}",
            "state": "ab"[n % 2],
            "changed": f"2026-01-0{n + 1}T00:00:00Z",
        }
        for n in range(4)
        if "ab"[n % 2] in query.get("status", "a,b").split(",")
    ]
    page = int(query.get("page", "1"))
    return MockResponse.json(rows[2 * page - 2 : 2 * page])


def queries_of(api: FaultServer, path: str) -> list[dict[str, str]]:
    return [request.query for request in api.requests if request.path == path]


class TestAView:
    def test_loads_its_tables_and_returns_rows(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify("select * from shop.open_orders order by id")
        assert answer.rows == [["id", "amount"], ["1", "5"], ["3", "20"]], answer
        assert "shop.orders" in answer.stderr
        shop.clear_requests()
        assert unify("count shop.open_orders").single_value == "2"
        assert shop.request_targets == []

    def test_can_read_earlier_views(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify("select b.id, shop.orders.state from shop.big_orders b join shop.orders using (id)")
        assert answer.rows[1:] == [["3", "open"]], answer

    def test_can_be_used_like_a_table(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify(
            "create table mine as from shop.open_orders",
            "with o as (from shop.open_orders) select shop.open_orders.id, o.amount "
            "from shop.open_orders, o where shop.open_orders.id = o.id order by all",
            "select count(*) from mine",
        )
        assert answer.exit_status == 0, answer
        assert answer.stdout.split()[1:3] == ["1,5", "3,20"]
        assert unify("describe select * from shop.open_orders").rows[1][:2] == ["id", "BIGINT"]

    def test_is_listed_as_a_view(self, unify: UnifyCommand, shop: FaultServer) -> None:
        listed = unify(
            "select \"table\", kind, state, description from unify.tables where schema = 'shop'"
        ).rows
        assert ["open_orders", "view", "view", "Orders still open"] in listed
        assert ["search", "live", "live", ""] in listed
        assert "open_orders" in unify("show tables from shop").stdout

    def test_cannot_be_loaded_written_or_scheduled(self, unify: UnifyCommand, shop: FaultServer) -> None:
        for statement, message in (
            ("load table shop.open_orders", "is a view of orders"),
            ("insert into shop.open_orders values (1, 2)", "cannot be written"),
            ("create view mine as select * from shop.open_orders", "outlives this session"),
            ("load table shop.search", "is a live table"),
        ):
            answer = unify(statement)
            assert (answer.exit_status, message in answer.stderr) == (1, True), answer


class TestALiveTable:
    def test_is_requested_with_the_constants_of_where(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify(
            "select q, title, state from shop.search where q = 'lark' and state = 'b' order by title"
        )
        assert answer.rows[1:] == [["lark", "lark 1", "b"], ["lark", "lark 3", "b"]], answer
        assert queries_of(shop, "/search")[0] == {"q": "lark", "status": "b", "page": "1", "size": "2"}

    def test_accepts_variables_lists_timestamps_and_patterns(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        answer = unify(
            "$word = 'lark'",
            "select title from shop.search where q = $word and state in ('a', 'b') and title like '%1'"
            " and changed >= timestamptz '2026-01-02 00:00:00Z'",
        )
        assert answer.rows == [["title"], ["lark 1"]], answer
        wanted = {"q": "lark", "status": "a,b", "title": "1", "since": "2026-01-02T00:00:00Z"}
        assert {name: queries_of(shop, "/search")[0].get(name) for name in wanted} == wanted

    def test_accepts_both_ends_of_a_range(self, unify: UnifyCommand, shop: FaultServer) -> None:
        shop.serve(
            "/log",
            MockResponse.json([{"made": f"2026-01-0{day}T00:00:00Z", "n": day} for day in range(1, 6)]),
        )
        answer = unify(
            "select n from shop.log where made between timestamptz '2026-01-02 00:00:00Z' "
            "and timestamptz '2026-01-04 00:00:00Z' order by n",
            "select n from shop.log where made > timestamptz '2026-01-03 12:00:00Z'",
            args=["--keep-going"],
        )
        assert answer.stdout.split() == ["n", "2", "3", "4"], answer
        [query] = queries_of(shop, "/log")
        assert int(query["since"]) == 1767312000
        assert 1767484800 < int(query["until"]) <= 1767484800 + 86400
        assert "select * from shop.log where made >= '...' and made <= '...'" in answer.stderr

    def test_that_requires_a_filter_explains_it(self, unify: UnifyCommand, shop: FaultServer) -> None:
        for statement in ("select * from shop.search", "select * from shop.search where q > 'a' or q = 'b'"):
            answer = unify(statement)
            assert answer.exit_status == 1
            assert "select * from shop.search where q = '...'" in answer.stderr
        assert "q takes =" in unify("select * from shop.search where q like 'a%'").stderr
        assert shop.request_targets == []

    def test_is_requested_once_while_the_response_is_fresh(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        one = "select count(*) from shop.search where q = 'lark'"
        answer = unify(one, one, "select count(*) from shop.search where q = 'owl'")
        assert answer.stdout.split()[1::2] == ["4", "4", "4"], answer
        assert [request["q"] for request in queries_of(shop, "/search")].count("lark") == 3

    def test_with_a_limit_requests_only_the_needed_pages(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        assert len(unify("select n from shop.events limit 3").rows) == 4
        assert [request["page"] for request in queries_of(shop, "/events")] == ["1", "2"]
        shop.clear_requests()
        answer = unify("select n from shop.events where n > 9 limit 2")
        assert answer.rows[1:] == [["10"], ["12"]] or len(answer.rows) == 3, answer
        assert queries_of(shop, "/events")[-1]["page"] == "6"

    def test_can_have_filters_in_the_path_and_in_columns(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        assert unify("select name from shop.customer where id = 7").rows[1:] == [["Ada"]]
        answer = unify("select * from shop.weather where latitude = 52.52 and longitude = 13.41")
        assert sorted(zip(*answer.rows, strict=True))[1] == ("latitude", "52.52"), answer

    def test_without_rows_is_an_empty_result(self, unify: UnifyCommand, shop: FaultServer) -> None:
        shop.serve("/search", MockResponse.json([]))
        assert unify("select title, upper(state) from shop.search where q = 'x'").rows == [
            ["title", "upper(state)"]
        ]

    def test_that_fails_is_an_error(self, unify: UnifyCommand, shop: FaultServer) -> None:
        shop.serve(
            "/search",
            lambda request: found(request) if request.query["page"] == "1" else MockResponse.error(403),
        )
        answer = unify("select * from shop.search where q = 'x'")
        assert (answer.exit_status, answer.stdout) == (1, "")
        assert "403" in answer.stderr
        assert "s3cret-canary" not in answer.stderr

    def test_can_be_used_twice_in_a_view_and_in_a_transaction(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        answer = unify(
            "select a.title, b.title from shop.search a join shop.search b on a.state = b.state "
            "where a.q = 'lark' and b.q = 'owl' and a.title = 'lark 0' order by 2",
            "select * from shop.larks order by 1 limit 1",
            "begin",
            "create table mine as select n from shop.events",
            "rollback",
            "select count(*) from shop.events",
        )
        assert answer.exit_status == 0, answer
        assert answer.stdout.split("\n")[:4] == ["title,title", "lark 0,owl 0", "lark 0,owl 2", "title"]
        assert answer.stdout.endswith("10\n")


class TestLiveParents:
    @pytest.fixture(autouse=True)
    def parcels(self, shop: FaultServer) -> None:
        for order in (1, 2, 3):
            shop.serve(f"/orders/{order}/parcels", MockResponse.json([{"id": 10 * order, "weight": order}]))
        shop.serve("/boards", MockResponse.json([{"id": n, "open": n < 3} for n in range(1, 4)]))
        for board in (1, 2):
            shop.serve(f"/boards/{board}/cards", MockResponse.json([{"title": f"card of {board}"}]))

    def parcel_requests(self, shop: FaultServer) -> list[str]:
        return [request.path for request in shop.requests if request.path.endswith(("parcels", "cards"))]

    def test_that_were_never_loaded_are_loaded_first(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify("select order_id, id from shop.parcels order by id")
        assert answer.rows == [["order_id", "id"], ["1", "10"], ["2", "20"], ["3", "30"]], answer
        assert "shop.orders" in answer.stderr
        assert "shop.parcels: sending 3 requests, one for each row of for_each" in answer.stderr
        assert sorted(self.parcel_requests(shop)) == [f"/orders/{n}/parcels" for n in (1, 2, 3)]
        shop.clear_requests()
        assert unify("count shop.parcels").single_value == "3"
        assert queries_of(shop, "/orders") == []

    def test_are_limited_by_filters_on_their_columns(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify(
            "select id from shop.parcels where order_id in (1, 3) and weight >= 2 and order_state = 'open'",
            "select id from shop.parcels where order_state = 'open' and order_id = 2",
        )
        assert answer.stdout.split() == ["id", "30", "id"], answer
        assert sorted(self.parcel_requests(shop)) == ["/orders/1/parcels", "/orders/3/parcels"]

    def test_can_be_live(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify("select title from shop.cards where board = 2", "select count(*) from shop.cards")
        assert answer.stdout.split("\n")[:4] == ["title", "card of 2", "count_star()", "2"], answer
        assert sorted(self.parcel_requests(shop)) == ["/boards/1/cards", "/boards/2/cards", "/boards/2/cards"]

    def test_are_named_if_one_fails(self, unify: UnifyCommand, shop: FaultServer) -> None:
        shop.serve("/orders/3/parcels", MockResponse.error(403))
        answer = unify("select id from shop.parcels")
        assert (answer.exit_status, answer.stdout) == (1, "")
        assert "shop.parcels for order_id 3" in answer.stderr

    def test_that_are_too_many_are_an_error(self, unify: UnifyCommand, shop: FaultServer) -> None:
        many = [{"id": n, "state": "open", "amount": 1} for n in range(1, 1202)]
        shop.serve("/orders", lambda request: MockResponse.json(many if request.query["page"] == "1" else []))
        answer = unify("select id from shop.parcels")
        assert answer.exit_status == 1
        assert "the statement needs 1,201 requests" in answer.stderr
        assert "narrow the query: where order_id = '...'" in answer.stderr
        assert self.parcel_requests(shop) == []
        few = unify("select id from shop.parcels where order_id = 3", "select id from shop.parcels limit 1")
        assert few.stdout.split() == ["id", "30", "id", "10"], few

    def test_are_shown_by_explain(self, unify: UnifyCommand, shop: FaultServer) -> None:
        unknown = unify("explain select * from shop.parcels")
        assert f"load shop.orders: GET {shop.url}/orders?size=2&page=1" in unknown.stdout
        assert (
            "    paging: {type: page, page_param: page, size_param: size, size: 2}\n    rows: "
            in unknown.stdout
        )
        joined = unify("explain select * from shop.parcels join shop.orders on true").stdout
        assert joined.count("load shop.orders") == 1
        assert "shop.parcels: one request for each row of: select id as order_id" in unknown.stdout
        assert shop.request_targets == []
        unify("load table shop.orders")
        shop.clear_requests()
        known = unify("explain select * from shop.parcels where weight >= 2 and order_id in (2, 3)")
        assert [f"/orders/{n}/parcels?weight=2" in known.stdout for n in (1, 2, 3)] == [False, True, True]
        live = unify("explain select * from shop.cards").stdout
        assert f"shop.boards: GET {shop.url}/boards" in live
        assert "shop.cards: one request for each row of: select id as board" in live
        assert shop.request_targets == []

    def test_are_read_by_peek(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify("peek shop.parcels 2", "peek shop.cards")
        assert (answer.exit_status, "weight" in answer.stdout, "card of 1" in answer.stdout) == (
            0,
            True,
            True,
        )


class TestAJoin:
    def test_supplies_the_filter_values(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify(
            "select o.id, c.name from shop.orders o join shop.customer c on c.id = o.customer order by 1"
        )
        assert answer.rows[1:] == [["1", "Ada"], ["3", "Bob"]], answer
        assert [request.path for request in shop.requests if "customers" in request.path] == [
            "/customers/7",
            "/customers/8",
        ]
        assert "shop.customer: sending 2 requests" in answer.stderr

    def test_supplies_several_values_in_one_request_if_possible(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        answer = unify(
            "create table mine as select range as id from range(120)",
            "select count(*) from mine join shop.several s using (id)",
        )
        assert answer.stdout.split()[-1] == "120", answer
        assert [len(request["ids"].split(",")) for request in queries_of(shop, "/several")] == [50, 50, 20]

    def test_supplies_pairs_as_pairs(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify(
            "create table places as from (values (1.5, 2.5), (3.5, 4.5), (1.5, 2.5)) t(lat, lon)",
            "select lat, degrees from places p "
            "join shop.weather w on w.latitude = p.lat and w.longitude = p.lon",
        )
        assert len(queries_of(shop, "/weather")) == 2, answer
        assert sorted(answer.stdout.split()[-3:]) == ["1.5,1.5", "1.5,1.5", "3.5,3.5"]


class TestExplain:
    def test_lists_the_requests_and_sends_none(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify(
            "explain select * from shop.big_orders",
            "explain select count(*) from shop.search where q = 's3cret-canary' and state = 'a'",
        )
        assert answer.exit_status == 0, answer
        assert f"load shop.orders: GET {shop.url}/orders?size=2&page=1" in answer.stdout
        assert f"shop.search: GET {shop.url}/search?q=***&status=a&size=2&page=1" in answer.stdout
        assert "s3cret-canary" not in answer.stdout
        assert "physical_plan" in answer.stdout
        assert shop.request_targets == []

    def test_of_a_stored_table_is_that_of_duckdb(self, unify: UnifyCommand, shop: FaultServer) -> None:
        unify("load table shop.orders")
        answer = unify("explain select * from shop.orders", "explain analyze select * from shop.larks")
        assert answer.rows[1][0] == "physical_plan", answer
        assert queries_of(shop, "/search") != []


class TestLiveListings:
    def test_describe_and_peek_support_views_and_filters(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        assert "load" in unify("describe shop.open_orders").stderr
        assert unify("peek shop.open_orders 1").rows[0] == ["id", "amount"]
        described = unify("describe shop.open_orders").rows
        assert described[1:] == [["id", "BIGINT", ""], ["amount", "BIGINT", ""]]
        assert ["q", "", "filter (=), required"] in unify("describe shop.search").rows
        assert "where q = '...'" in unify("peek shop.search").stderr
        assert queries_of(shop, "/search") == []

    def test_requests_of_live_tables_are_in_unify_requests(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        unify("select * from shop.weather where latitude = 1 and longitude = 2")
        sql = f"select address, status, job from unify.requests where address like '{shop.url}%'"
        found = unify(sql).rows[1:]
        assert found == [[f"GET {shop.url}/weather?latitude=1&longitude=2".removeprefix("GET "), "200", ""]]


def test_rows_of_nested_lists_inherit_outer_columns(unify: UnifyCommand, shop: FaultServer) -> None:
    shelves = [
        {"name": "top", "since": "2026-01-01", "books": [{"id": 1}, {"id": 2}]},
        {"name": "low", "since": "2026-02-01", "books": [{"id": 1}]},
    ]
    shop.serve("/shelves", MockResponse.json({"library": "town", "shelves": shelves}))
    answer = unify("select shelf, stored_on, library, id from shop.shelves order by all")
    assert answer.rows[1:] == [
        ["low", "2026-02-01", "town", "1"],
        ["top", "2026-01-01", "town", "1"],
        ["top", "2026-01-01", "town", "2"],
    ], answer
    assert unify("refresh table shop.shelves").exit_status == 0
    assert [request.get("since") for request in queries_of(shop, "/shelves")] == [None, "2026-02-01"]


HOSTILE = """\
name: evil
base_url: "{base_url}"
options: {base_url: {}, token: {secret: true}}
auth: {type: bearer, token: "{token}"}
tables:
  - name: orders
    request: GET /orders
    params: {a: "{token.__class__}"}
  - {name: away, request: GET file:///etc/passwd}
  - {name: up, request: GET /a/../b}
  - {name: read, request: 'GET /r/{r}', for_each: "select content as r from read_text('MARK')"}
views:
  - {name: v1, query: "copy (select 1) to 'MARK'"}
  - {name: v2, query: "select 1; attach 'MARK' as x"}
  - {name: v3, query: "install httpfs"}
  - {name: v4, query: "select * from 'MARK'"}
"""


def test_a_malicious_spec_has_no_effect_and_other_specs_work(unify: UnifyCommand, shop: FaultServer) -> None:
    mark = unify.home / "touched"
    (unify.home / "specs" / "evil.yaml").write_text(HOSTILE.replace("MARK", str(mark)), encoding="utf-8")
    unify.write_connections(
        f"shop:\n  adapter: shop\n  options: {{base_url: '{shop.url}', token: x}}\n"
        f"evil:\n  adapter: evil\n  options: {{base_url: '{shop.url}', token: s3cret-canary}}\n"
    )
    checked = unify.run("spec", "check", "specs/evil.yaml")
    assert checked.exit_status == 1
    for line, message in (
        (8, "{token.__class__} is not a variable"),
        (9, "is not a path"),
        (10, "must not contain . or .. segments"),
        (11, "table functions are not allowed"),
        (13, "only a SELECT is allowed here, not 'COPY'"),
        (14, "expected exactly one SELECT"),
        (15, "only a SELECT is allowed here"),
        (16, "unknown table"),
    ):
        found = [one for one in checked.stdout.splitlines() if f"evil.yaml:{line}:" in one and message in one]
        assert found, (line, message, checked)
    answer = unify.run("--keep-going", "-c", "select * from evil.orders", "-c", "count shop.orders")
    assert "specs/evil.yaml:8:" in answer.stderr
    assert answer.stdout.split()[-1] == "3", answer
    assert "Traceback" not in answer.stderr + checked.stderr
    assert {request.headers.get("authorization") for request in shop.requests} == {"Bearer x"}
    assert not mark.exists()
