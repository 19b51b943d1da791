"""``peek`` and ``??``: the first rows of a table without a load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import InProcessCommand, UnifyCommand, is_daemon_running
from tests.support.demo_api import DemoAPI
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.shop import SPEC_WITH_TOKEN, connect_shop
from unify.adapters.base import Page
from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.table_keys import ColumnDef
from unify.interpreter.commands.peek import MAX_COLUMNS, MAX_WIDTH_CHARS, flatten_rows, rank_columns
from unify.interpreter.results import ResultColumn

SPEC = (
    SPEC_WITH_TOKEN
    + """\
  - name: orders
    request: GET /orders
    key: id
    exclude: ["*_url"]
  - name: lines
    request: GET /orders/{order_id}/lines
    for_each: select id as order_id from orders where paid
    columns: {order_id: {from: "{order_id}"}}
"""
)
ORDERS: list[list[dict[str, object]]] = [
    [{"id": 1, "paid": False, "self_url": "x"}, {"id": 2, "paid": True, "customer": {"name": "Ada"}}],
    [{"id": 3, "paid": True}],
]


@pytest.fixture
def unify(shared_unify: UnifyCommand) -> UnifyCommand:
    return shared_unify


@pytest.fixture
def shop(unify: UnifyCommand, api: FaultServer) -> FaultServer:
    """A connection ``shop`` to the fault server: three orders on two pages, with lines."""
    connect_shop(unify, api, SPEC)
    api.serve("/orders", pages=ORDERS)
    for order in (1, 2, 3):
        api.serve(f"/orders/{order}/lines", pages=[[{"sku": f"s{order}", "amount": order * 1.5}]])
    return api


class TestPeekInANewHome:
    @pytest.fixture
    def unify(self, home: Path) -> UnifyCommand:
        return InProcessCommand(home)

    def test_requests_one_page_and_loads_nothing(self, unify: UnifyCommand, shop: FaultServer) -> None:
        looked = unify("peek shop.orders 2")

        assert looked.rows == [["id", "paid", "customer_name"], ["1", "false", ""], ["2", "true", "Ada"]], (
            looked
        )
        assert shop.request_targets == ["/orders?size=2&page=1"]
        assert not is_daemon_running(unify.home)
        assert "not loaded" in unify("show tables from shop").stdout


class TestPeek:
    def test_requests_as_many_pages_as_the_rows_need(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert [row[0] for row in unify("peek shop.orders 3").rows] == ["id", "1", "2", "3"]

    def test_of_a_stored_table_sends_no_request(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("count shop.orders").single_value == "3"
        shop.clear_requests()

        assert unify("peek shop.orders 1").rows[1][0] == "1"
        assert shop.request_targets == []

    def test_reads_parents_from_the_first_page_of_their_table(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        looked = unify("peek shop.lines 1")

        assert looked.rows == [["order_id", "sku", "amount"], ["2", "s2", "3.0"]], looked
        assert "/orders/1/lines" not in " ".join(shop.request_targets)

    def test_reads_stored_parents(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("count shop.orders").single_value == "3"
        shop.clear_requests()

        assert [row[0] for row in unify("peek shop.lines 2").rows] == ["order_id", "2", "3"]
        assert not [target for target in shop.request_targets if target.startswith("/orders?")]

    def test_of_a_user_table_shows_its_rows(self, unify: UnifyCommand) -> None:
        looked = unify("create table t as select 1 as id, 'x' as name", "peek t", "peek main.t 1")
        assert looked.stdout == "id,name\n1,x\nid,name\n1,x\n"

    def test_leaves_out_uninformative_columns(self, demo_unify: UnifyCommand) -> None:
        looked = demo_unify("peek github.repos 3")

        header = looked.rows[0]
        assert {"id", "name"} <= set(header)
        assert len(header) <= MAX_COLUMNS
        assert not [name for name in header if name.endswith("_url")]
        assert len(looked.rows) == 4

    def test_explains_mistakes(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert "did you mean orders?" in unify("peek shop.order").stderr
        assert "table nothing does not exist" in unify("peek nothing").stderr
        assert unify("peek shop.order").exit_status == 1
        shop.serve("/orders", MockResponse.error(401))
        refused = unify("peek shop.orders")
        assert refused.exit_status == 1
        assert "401" in refused.stderr
        assert "s3cret-canary" not in refused.stderr


class TestLastTable:
    def test_is_described_by_question_marks(self, unify: UnifyCommand, shop: FaultServer) -> None:
        described = unify("peek shop.lines 1", "??")
        assert described.stdout.endswith("column_name,column_type,description\norder_id,,\n"), described

    def test_is_required_by_question_marks(self, unify: UnifyCommand) -> None:
        answer = unify("??")
        assert answer.exit_status == 1
        assert "no table was used yet" in answer.stderr


class TestInformativeColumns:
    def test_are_in_the_order_of_the_table(self) -> None:
        names = ["body", "state", "html_url", "title", "node_id", "number"]
        rows = [["long " * 50, "open", "https://x", "A bug", "MDU6", 7]]
        assert chosen(names, rows) == ["state", "title", "number"]

    def test_leave_out_empty_ones_and_lists(self) -> None:
        columns = [
            ResultColumn("id", "BIGINT"),
            ResultColumn("label", "VARCHAR"),
            ResultColumn("tags", "VARCHAR[]"),
        ]
        assert rank_columns(columns, [[1, None, ["a"]], [2, None, ["b"]]]) == (0,)

    def test_prefer_names_to_identifiers(self) -> None:
        assert chosen(["user_id", "user_login", "team_id"], [[1, "ada", 2]]) == ["user_login", "team_id"]

    def test_fit_the_width(self) -> None:
        names = [f"field{number}" for number in range(40)]
        found = chosen(names, [["x" * 30 for _ in names], ["y" * 30 for _ in names]])
        assert 2 <= len(found) <= MAX_WIDTH_CHARS // 30

    def test_include_at_least_one(self) -> None:
        assert chosen(["avatar_url"], [["https://x/y"]]) == ["avatar_url"]
        assert rank_columns([], []) == ()

    def test_without_rows_are_chosen_by_name(self) -> None:
        assert "name" in chosen(["node_id", "name"], [])


class TestFlatRows:
    def test_have_members_as_columns(self) -> None:
        found = shape(
            TableSpec("t", ("GET /t",)), [b'{"a": {"b": {"c": 1}}, "d": [1, 2]}', b'{"a": null, "e": 0.5}']
        )
        assert found.columns == (
            ResultColumn("a_b_c", "BIGINT"),
            ResultColumn("d", "JSON"),
            ResultColumn("a", "VARCHAR"),
            ResultColumn("e", "DOUBLE"),
        )
        assert found.rows == ((1, "[1,2]", None, None), (None, None, None, 0.5))

    def test_follow_the_rules_of_the_spec(self) -> None:
        table = TableSpec(
            "t",
            ("GET /t",),
            key=("x_url",),
            exclude=("*_url", "user"),
            flatten=1,
            columns=(ColumnDef("who", source="user.name"), ColumnDef("repo", source="{repo}")),
        )
        row = b'{"x_url": 1, "y_url": 2, "user": {"name": "Ada"}, "a": {"b": {"c": 1}}}'
        found = flatten_rows(table, [Page([row], {"repo": "lark"})], 9)
        assert [column.name for column in found.columns] == ["repo", "who", "x_url", "a_b"]
        assert found.rows == (("lark", "Ada", 1, '{"c":1}'),)

    def test_keep_large_numbers_exact(self) -> None:
        found = shape(TableSpec("t", ("GET /t",)), [b'{"n": 98765432109876543210}'])
        assert found.rows == (("98765432109876543210",),)

    def test_can_be_scalar_values(self) -> None:
        assert shape(TableSpec("t", ("GET /t",)), [b"1", b'"x"']).rows == (("1",), ("x",))


def shape(table: TableSpec, rows: list[bytes]):  # type: ignore[no-untyped-def]
    return flatten_rows(table, [Page(rows)], len(rows))


def chosen(names: list[str], rows: list[list[object]]) -> list[str]:
    columns = [ResultColumn(name, "BIGINT" if name in ("number", "id") else "VARCHAR") for name in names]
    return [names[place] for place in rank_columns(columns, rows)]


def test_tables_of_the_demo_can_be_peeked_into(demo_unify: UnifyCommand, demo_api: DemoAPI) -> None:
    before = len(demo_api.logged_requests())
    looked = demo_unify("peek github.pulls")

    assert looked.exit_status == 0, looked
    assert {"number", "title", "state"} & set(looked.rows[0])
    assert len(looked.rows) == 6
    assert len(demo_api.logged_requests()) - before <= 3
