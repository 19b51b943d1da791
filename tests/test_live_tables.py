"""Views and live tables of specs, from the outside: a real command line and a real server on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faultserver import Asked, FaultServer, Reply
from tests.support import Unify

SPEC = """\
name: shop
base_url: "{base_url}"
options:
  base_url: {required: true}
  token: {secret: true}
auth: {type: bearer, token: "{token}"}
paging: {type: page, page_param: page, size_param: size, size: 2}
tables:
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
views:
  - name: open_orders
    description: Orders still open
    query: select id, amount from orders where state = 'open'
  - name: big_orders
    query: select * from open_orders where amount > 10
  - name: larks
    query: select title from search where q = 'lark'
"""
ORDERS = [
    [{"id": 1, "state": "open", "amount": 5, "customer": 7}, {"id": 2, "state": "done", "amount": 50}],
    [{"id": 3, "state": "open", "amount": 20, "customer": 8}],
]


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def shop(unify: Unify, api: FaultServer) -> FaultServer:
    specs = unify.home / "specs"
    specs.mkdir()
    (specs / "shop.yaml").write_text(SPEC, encoding="utf-8")
    unify.environment |= {"UNIFY_SPECS": str(specs), "SHOP_TOKEN": "s3cret-canary"}
    unify.connect(f"shop:\n  adapter: shop\n  options: {{base_url: '{api.url}', token: '${{SHOP_TOKEN}}'}}\n")
    api.serve("/orders", pages=ORDERS)
    api.serve("/search", found)
    api.serve(
        "/events", pages=[[{"n": 3 * page + n, "kind": "ab"[n % 2]} for n in range(2)] for page in range(5)]
    )
    api.serve("/customers/7", Reply.json({"id": 7, "name": "Ada"}))
    api.serve("/customers/8", Reply.json({"id": 8, "name": "Bob"}))
    api.serve(
        "/several", lambda asked: Reply.json([{"id": int(one)} for one in asked.query["ids"].split(",")])
    )
    api.serve(
        "/weather", lambda asked: Reply.json({"latitude": 52.519, "degrees": float(asked.query["latitude"])})
    )
    return api


def found(asked: Asked) -> Reply:
    """Two pages for any search; the API does what it is asked, as far as it knows how."""
    query = asked.query
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
    return Reply.json(rows[2 * page - 2 : 2 * page])


def asked_of(api: FaultServer, path: str) -> list[dict[str, str]]:
    return [asked.query for asked in api.log if asked.path == path]


class TestAView:
    def test_loads_its_tables_and_answers(self, unify: Unify, shop: FaultServer) -> None:
        answer = unify("select * from shop.open_orders order by id")
        assert answer.rows == [["id", "amount"], ["1", "5"], ["3", "20"]], answer
        assert "shop.orders" in answer.stderr
        shop.clear_log()
        assert unify("count shop.open_orders").value == "2"
        assert shop.asked == []

    def test_may_read_views_before_it(self, unify: Unify, shop: FaultServer) -> None:
        answer = unify("select b.id, shop.orders.state from shop.big_orders b join shop.orders using (id)")
        assert answer.rows[1:] == [["3", "open"]], answer

    def test_may_stand_where_a_table_stands(self, unify: Unify, shop: FaultServer) -> None:
        answer = unify(
            "create table mine as from shop.open_orders",
            "with o as (from shop.open_orders) select shop.open_orders.id, o.amount "
            "from shop.open_orders, o where shop.open_orders.id = o.id order by all",
            "select count(*) from mine",
        )
        assert answer.status == 0, answer
        assert answer.stdout.split()[1:3] == ["1,5", "3,20"]
        assert unify("describe select * from shop.open_orders").rows[1][:2] == ["id", "BIGINT"]

    def test_is_listed_as_one(self, unify: Unify, shop: FaultServer) -> None:
        listed = unify(
            "select \"table\", kind, state, description from unify.tables where schema = 'shop'"
        ).rows
        assert ["open_orders", "view", "view", "Orders still open"] in listed
        assert ["search", "live", "live", ""] in listed
        assert "open_orders" in unify("show tables from shop").stdout

    def test_cannot_be_loaded_written_or_outlived(self, unify: Unify, shop: FaultServer) -> None:
        for statement, said in (
            ("load table shop.open_orders", "is a view of orders"),
            ("insert into shop.open_orders values (1, 2)", "cannot be written to"),
            ("create view mine as select * from shop.open_orders", "outlives this session"),
            ("load table shop.search", "asked live"),
        ):
            answer = unify(statement)
            assert (answer.status, said in answer.stderr) == (1, True), answer


class TestALiveTable:
    def test_is_asked_with_the_constants_of_where(self, unify: Unify, shop: FaultServer) -> None:
        answer = unify(
            "select q, title, state from shop.search where q = 'lark' and state = 'b' order by title"
        )
        assert answer.rows[1:] == [["lark", "lark 1", "b"], ["lark", "lark 3", "b"]], answer
        assert asked_of(shop, "/search")[0] == {"q": "lark", "status": "b", "page": "1", "size": "2"}
