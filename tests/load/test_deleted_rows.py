"""Rows that the API deletes: parents, full reloads beside incremental, and tombstones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.loader_shop import SPEC, LoaderHome
from unify.errors import BadResponse, NotFound
from unify.lake.lake import Lake
from unify.load.protocol import TaskStatus
from unify.model import Action, LoadRecord, TableName


@pytest.fixture
def shop(loader_home: LoaderHome, api: FaultServer) -> LoaderHome:
    api.serve("/orders", pages=[[{"id": 1}, {"id": 2}], []])
    return loader_home


def change_spec(shop: LoaderHome, old: str, new: str) -> None:
    assert old in SPEC
    (shop.specs / "shop.yaml").write_text(SPEC.replace(old, new))


def stored(shop: LoaderHome, table: str) -> list[tuple[object, ...]]:
    with Lake(shop.settings) as lake:
        return lake.read(f"select id, updated_at::varchar from lake.shop.{table} order by all")


QUERY = "select distinct id as order_id from orders where id < 3"


class TestParents:
    @pytest.mark.parametrize("status", [404, 410])
    def test_a_deleted_parent_fails_its_child_with_the_rule_to_add(
        self, shop: LoaderHome, status: int
    ) -> None:
        shop.publish("orders")
        shop.api.serve("/orders/1/lines", pages=[[{"sku": "a", "at": "2026-01-01T00:00:00Z"}]])
        shop.api.serve("/orders/2/lines", MockResponse.error(status))
        with pytest.raises(NotFound) as caught:
            shop.run_load(shop.make_job("lines"))
        assert caught.value.message.endswith(
            "if the row of orders is deleted there, add errors: "
            f"[{{status: {status}, action: skip}}] to the table, or for_each.refresh: before"
        )

    @pytest.mark.parametrize(
        ("refresh", "age", "outdated"),
        [
            ("before", timedelta(seconds=1), True),
            ("before", timedelta(seconds=-60), False),
            ("every 1 hour", timedelta(minutes=59), False),
            ("every 1 hour", timedelta(minutes=61), True),
            ("never", timedelta(days=300), False),
        ],
    )
    def test_parents_are_refreshed_before_the_load(
        self, shop: LoaderHome, refresh: str, age: timedelta, outdated: bool
    ) -> None:
        change_spec(shop, f"for_each: {QUERY}", f"for_each: {{query: {QUERY}, refresh: {refresh}}}")
        loaded = shop.publish("orders")
        assert loaded.finished_at is not None
        for order in (1, 2):
            shop.api.serve(f"/orders/{order}/lines", pages=[[{"sku": "a", "at": "2026-01-01T00:00:00Z"}]])
        outcome = shop.run_load(shop.make_job("lines", start_at=loaded.finished_at + age))
        if outdated:
            assert outcome.ending is TaskStatus.MISSING_PARENTS
            assert outcome.missing == (TableName("shop", "orders"),)
            assert outcome.parents_action is Action.REFRESH
        else:
            assert outcome.ending is TaskStatus.STAGED

    def test_a_table_refreshed_for_its_child_is_not_refreshed_again(self, shop: LoaderHome) -> None:
        change_spec(shop, f"for_each: {QUERY}", f"for_each: {{query: {QUERY}, refresh: before}}")
        shop.publish("orders")
        start_at = datetime.now(UTC)
        assert shop.run_load(shop.make_job("lines", start_at=start_at)).ending is TaskStatus.MISSING_PARENTS
        shop.api.serve("/orders", pages=[[{"id": 1}]])
        shop.publish("orders", Action.REFRESH)
        shop.api.serve("/orders/1/lines", pages=[[{"sku": "a", "at": "2026-01-01T00:00:00Z"}]])
        assert shop.run_load(shop.make_job("lines", start_at=start_at)).ending is TaskStatus.STAGED


class TestFullReload:
    @pytest.mark.parametrize(("every", "left"), [("every 0.01 seconds", [2]), ("every 1 day", [1, 2])])
    def test_a_refresh_reads_everything_at_the_interval(
        self, shop: LoaderHome, every: str, left: list[int]
    ) -> None:
        change_spec(
            shop,
            "incremental: {cursor: updated_at, param: since}",
            "incremental: {cursor: updated_at, param: since}\n"
            f"    refresh: {{every: 15 minutes, reload: {every}}}",
        )
        at = "2026-01-01T00:00:00Z"
        shop.api.serve("/changes", pages=[[{"id": 1, "updated_at": at}, {"id": 2, "updated_at": at}], []])
        shop.publish("changes")
        shop.api.serve("/changes", pages=[[{"id": 2, "updated_at": at}]])
        record = shop.publish("changes", Action.REFRESH)
        assert [row[0] for row in stored(shop, "changes")] == left
        assert record.action == ("refresh" if left == [1, 2] else "reload")
        assert shop.api.requests[-1].query.get("since") == (at if left == [1, 2] else None)


class TestTombstones:
    def rows(self, *rows: tuple[int, str, bool]) -> list[dict[str, object]]:
        return [
            {"id": id, "updated_at": f"2026-01-{day}T00:00:00Z", "state": {"gone": gone}}
            for id, day, gone in rows
        ]

    def serve(self, shop: LoaderHome, *rows: tuple[int, str, bool]) -> None:
        shop.api.serve("/changes", pages=[self.rows(*rows), []])

    @pytest.mark.parametrize("strategy", ["merge", "append"])
    def test_a_tombstone_deletes_the_row_of_its_key(self, shop: LoaderHome, strategy: str) -> None:
        change_spec(
            shop,
            "incremental: {cursor: updated_at, param: since}",
            "incremental: {cursor: updated_at, param: since}\n"
            f"    refresh: {{strategy: {strategy}}}\n"
            '    deleted: {where: {state.gone: ["TRUE", "yes"]}}',
        )
        self.serve(shop, (1, "01", False), (2, "01", False))
        shop.publish("changes")
        self.serve(shop, (2, "02", True), (3, "02", False))
        record = shop.publish("changes", Action.REFRESH)
        assert stored(shop, "changes") == [(1, "2026-01-01 00:00:00+00"), (3, "2026-01-02 00:00:00+00")]
        assert (record.rows_deleted, record.rows_inserted, record.rows_total) == (1, 1, 2)

    def test_a_first_load_stores_no_tombstone_and_the_newest_row_of_a_key_counts(
        self, shop: LoaderHome
    ) -> None:
        change_spec(
            shop,
            "incremental: {cursor: updated_at, param: since}",
            "incremental: {cursor: updated_at, param: since}\n    deleted: {where: {state.gone: true}}",
        )
        self.serve(shop, (1, "01", False), (1, "02", True))
        assert shop.publish("changes").rows_total == 0
        self.serve(shop, (1, "03", True), (1, "04", False))
        shop.publish("changes", Action.REFRESH)
        assert stored(shop, "changes") == [(1, "2026-01-04 00:00:00+00")]
        self.serve(shop, (1, "05", True))
        assert shop.publish("changes", Action.REFRESH).rows_deleted == 1
        shop.api.serve("/changes", pages=[[]])
        assert shop.publish("changes", Action.REFRESH).rows_total == 0


class TestDeletedList:
    @pytest.mark.parametrize(
        ("keys", "items"),
        [
            ("request: GET /gone", [{"id": 2}]),
            ("request: GET /gone, rows: ids", {"ids": [2], "total": 1}),
            ("request: GET /gone, key: item.no", [{"item": {"no": 2}}]),
        ],
    )
    def test_rows_in_a_list_of_deleted_rows_are_deleted(
        self, shop: LoaderHome, keys: str, items: object
    ) -> None:
        params = 'params: {since: "{cursor}"}'
        change_spec(
            shop,
            "incremental: {cursor: updated_at, param: since}",
            f"incremental: {{cursor: updated_at, param: since}}\n    deleted: {{{keys}, {params}}}",
        )
        at = "2026-01-01T00:00:00Z"
        shop.api.serve("/changes", pages=[[{"id": 1, "updated_at": at}, {"id": 2, "updated_at": at}], []])
        shop.publish("changes")
        assert "/gone" not in {request.path for request in shop.api.requests}
        shop.api.serve("/changes", pages=[[{"id": 3, "updated_at": at}], []])
        shop.api.serve("/gone", MockResponse.json(items), MockResponse.json([]))
        record = shop.publish("changes", Action.REFRESH)
        assert [row[0] for row in stored(shop, "changes")] == [1, 3]
        assert (record.rows_deleted, record.rows_inserted) == (1, 1)
        assert {request.query.get("since") for request in shop.api.requests if request.path == "/gone"} == {
            at
        }

    @pytest.mark.parametrize("updated_at", [None, "2999-01-01T00:00:00Z"])
    def test_a_refresh_that_has_no_cursor_to_start_from_keeps_no_deleted_row(
        self, shop: LoaderHome, updated_at: str | None
    ) -> None:
        change_spec(
            shop,
            "incremental: {cursor: updated_at, param: since}",
            "incremental: {cursor: updated_at, param: since}\n    columns: {updated_at: timestamptz}\n"
            '    deleted: {request: GET /gone, params: {since: "{cursor}"}}',
        )
        rows = [{"id": number, "updated_at": updated_at} for number in (1, 2, 3)]
        shop.api.serve("/changes", pages=[rows[:2], rows[2:], []])
        shop.publish("changes")
        shop.api.serve("/changes", pages=[rows[:1], rows[2:], []])
        record = shop.publish("changes", Action.REFRESH)
        assert [row[0] for row in stored(shop, "changes")] == [1, 3]
        assert record.action == "reload"
        assert "/gone" not in {request.path for request in shop.api.requests}

    def test_a_row_that_is_deleted_during_the_first_load_goes_with_the_next(self, shop: LoaderHome) -> None:
        change_spec(
            shop,
            "incremental: {cursor: updated_at, param: since}",
            "incremental: {cursor: updated_at, param: since}\n"
            '    deleted: {request: GET /gone, params: {since: "{cursor}"}}',
        )
        began = datetime.now(UTC)
        later = (began + timedelta(hours=1)).isoformat()  # a row that changes while the load runs
        rows = [{"id": 1, "updated_at": "2026-01-01T00:00:00Z"}, {"id": 2, "updated_at": later}]
        shop.api.serve("/changes", pages=[rows, []])
        shop.publish("changes")
        shop.api.serve("/changes", pages=[[]])
        shop.api.serve("/gone", pages=[[{"id": 1}], []])
        shop.publish("changes", Action.REFRESH)
        assert [row[0] for row in stored(shop, "changes")] == [2]
        [since] = {request.query["since"] for request in shop.api.requests if request.path == "/gone"}
        assert datetime.fromisoformat(since) <= began

    @pytest.mark.parametrize("strategy", ["merge", "append"])
    def test_a_row_that_is_deleted_after_its_page_was_read_is_not_stored(
        self, shop: LoaderHome, strategy: str
    ) -> None:
        change_spec(
            shop,
            "incremental: {cursor: updated_at, param: since}",
            "incremental: {cursor: updated_at, param: since}\n"
            f"    refresh: {{strategy: {strategy}}}\n    deleted: {{request: GET /gone}}",
        )
        rows = [{"id": number, "updated_at": f"2026-01-0{number}T00:00:00Z"} for number in range(1, 7)]
        shop.api.serve("/changes", pages=[rows[:2], []])
        shop.publish("changes")
        shop.api.serve("/changes", pages=[[rows[1], rows[2]], [rows[3], rows[4]], []])
        shop.api.serve("/gone", pages=[[{"id": 2}, {"id": 3}], []])
        record = shop.publish("changes", Action.REFRESH)
        assert [row[0] for row in stored(shop, "changes")] == [1, 4, 5]
        assert (record.rows_deleted, record.rows_inserted, record.rows_total) == (1, 2, 3)
        shop.api.serve("/changes", pages=[[rows[2], rows[5]], []])
        shop.api.serve("/gone", pages=[[]])
        shop.publish("changes", Action.REFRESH)
        assert [row[0] for row in stored(shop, "changes")] == [1, 3, 4, 5, 6]

    def test_an_item_without_the_key_fails_the_load(self, shop: LoaderHome) -> None:
        change_spec(
            shop,
            "incremental: {cursor: updated_at, param: since}",
            "incremental: {cursor: updated_at, param: since}\n    deleted: {request: GET /gone}",
        )
        at = "2026-01-01T00:00:00Z"
        shop.api.serve("/changes", pages=[[{"id": 1, "updated_at": at}], []])
        shop.publish("changes")
        shop.api.serve("/gone", MockResponse.json([{"no": 1}]))
        with pytest.raises(BadResponse, match=r"an item of the list has no id: .* set deleted\.key"):
            shop.run_load(shop.make_job("changes", Action.REFRESH))


class TestGoneParents:
    def publish_lines(self, shop: LoaderHome, second: list[dict[str, str]] | int) -> LoadRecord:
        at = "2026-01-01T00:00:00Z"
        shop.api.serve("/orders/1/lines", pages=[[{"sku": "a", "at": at}], []])
        if isinstance(second, int):
            shop.api.serve("/orders/2/lines", MockResponse.error(second))
        else:
            shop.api.serve("/orders/2/lines", pages=[second, []])
        return shop.publish("lines", Action.REFRESH)

    def lines(self, shop: LoaderHome) -> list[tuple[object, ...]]:
        with Lake(shop.settings) as lake:
            return lake.read("select order_id, sku from lake.shop.lines order by all")

    @pytest.mark.parametrize(("status", "left"), [(410, [(1, "a")]), (404, [(1, "a"), (2, "b"), (2, "c")])])
    def test_a_skipped_410_deletes_the_rows_of_its_parent(
        self, shop: LoaderHome, status: int, left: list[tuple[object, ...]]
    ) -> None:
        rule = f"errors: [{{status: {status}, action: skip}}]"
        change_spec(shop, "key: [order_id, sku]", f"key: [order_id, sku]\n    {rule}")
        shop.publish("orders")
        at = "2026-01-01T00:00:00Z"
        rows = [{"sku": "b", "at": at}, {"sku": "c", "at": at}]
        self.publish_lines(shop, rows)
        record = self.publish_lines(shop, status)
        assert self.lines(shop) == left
        assert record.rows_deleted == 3 - len(left)
        assert "1 request skipped" in record.reason
        self.publish_lines(shop, rows)  # it is back: everything of it is read again
        assert self.lines(shop) == [(1, "a"), (2, "b"), (2, "c")]
        requests = [request for request in shop.api.requests if "/2/" in request.path]
        since = [request.query.get("since") for request in requests if request.query["page"] == "1"]
        assert since == [None, at, None if status == 410 else at]

    def test_rows_without_a_column_of_the_parent_stay_and_are_named(self, shop: LoaderHome) -> None:
        change_spec(
            shop,
            'columns: {order_id: {from: "{order_id}"}}\n    key: [order_id, sku]',
            "key: sku\n    errors: [{status: 410, action: skip}]",
        )
        shop.publish("orders")
        self.publish_lines(shop, [{"sku": "b", "at": "2026-01-01T00:00:00Z"}])
        record = self.publish_lines(shop, 410)
        assert record.rows_total == 2
        assert (
            "rows of deleted parents (status 410) are kept; to delete them, "
            'set columns: {order_id: {from: "{order_id}"}}'
        ) in record.reason
