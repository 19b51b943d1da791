"""Loads run in this process, with a spec, a server on loopback and a lake."""

from __future__ import annotations

import json

import pytest

from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.loader_shop import SPEC, LoaderHome
from unify.errors import (
    BadResponse,
    LoadFailed,
    NotFound,
    ServerFault,
    Unauthorized,
    UnifyError,
    UnknownName,
    UnresolvedSecret,
)
from unify.lake import ledger
from unify.lake.lake import Lake
from unify.load.protocol import (
    LoadProgress,
    RequestBatch,
    TaskStatus,
)
from unify.load.staging import StagingArea
from unify.model import Action, TableName
from unify.publish.plausibility import VersionHeld


@pytest.fixture
def shop(loader_home: LoaderHome, api: FaultServer) -> LoaderHome:
    api.serve("/orders", pages=[[{"id": 1, "a": {"b": "x"}}, {"id": 2}], [{"id": 3}]])
    return loader_home


def since(request: RecordedRequest) -> str:
    return f"{request.path}?{request.query.get('since', '')}"


def test_a_load_stages_every_page_and_its_manifest(shop: LoaderHome) -> None:
    job = shop.make_job("orders")
    outcome = shop.run_load(job)
    assert (outcome.ending, outcome.every_s) == (TaskStatus.STAGED, 900.0)
    assert shop.staged_rows(job) == [(1, "x"), (2, None), (3, None)]
    manifest = shop.sealed_load(job).manifest
    assert (manifest.rows, manifest.strategy, manifest.key) == (3, "reload", ("id",))
    assert (manifest.description, manifest.declared) == ("What was ordered", ("id",))
    assert manifest.columns[0].description == "Number of the order"
    assert (manifest.requests, manifest.complete) == (len(shop.api.requests), True)


def test_progress_counts_rows_pages_requests_and_bytes(shop: LoaderHome) -> None:
    progress = shop.run_load(shop.make_job("orders")).progress
    assert (progress.rows, progress.pages, progress.requests) == (3, 3, len(shop.api.requests))
    assert progress.bytes > 30
    assert all(isinstance(report, LoadProgress | RequestBatch) for report in shop.reports)


def test_a_load_without_rows_is_staged(shop: LoaderHome) -> None:
    shop.api.serve("/orders", pages=[[]])
    assert shop.publish("orders").rows_total == 0
    with Lake(shop.settings) as lake:
        assert lake.read("select count(*) from lake.shop.orders") == [(0,)]


def test_a_load_with_missing_parents_reports_them_and_sends_no_request(shop: LoaderHome) -> None:
    outcome = shop.run_load(shop.make_job("lines"))
    assert outcome.ending is TaskStatus.MISSING_PARENTS
    assert outcome.missing == (TableName("shop", "orders"),)
    assert shop.api.request_targets == []


def test_each_parent_row_is_requested_once_with_its_own_cursor(shop: LoaderHome) -> None:
    shop.publish("orders")
    shop.api.serve("/orders/1/lines", pages=[[{"sku": "a", "at": "2026-01-01T00:00:00Z"}]])
    shop.api.serve("/orders/2/lines", pages=[[{"sku": "b", "at": "2026-01-02T00:00:00Z"}]])
    record = shop.publish("lines")
    assert {json.loads(scope)["order_id"] for scope in record.cursor} == {1, 2}
    before = len(shop.api.requests)
    shop.api.serve("/orders/2/lines", pages=[[{"sku": "c", "at": "2026-01-09T00:00:00Z"}]])
    shop.publish("lines", Action.REFRESH)
    targets = {since(request) for request in shop.api.requests[before:]}
    assert targets == {"/orders/1/lines?2026-01-01T00:00:00Z", "/orders/2/lines?2026-01-02T00:00:00Z"}
    with Lake(shop.settings) as lake:
        assert lake.read("select order_id, sku from lake.shop.lines order by all") == [
            (1, "a"),
            (2, "b"),
            (2, "c"),
        ]


def test_a_refresh_requests_changes_and_a_reload_everything(shop: LoaderHome) -> None:
    shop.api.serve("/changes", pages=[[{"id": 1, "updated_at": "2026-01-01T00:00:00Z"}]])
    shop.publish("changes")
    before = len(shop.api.requests)
    shop.publish("changes", Action.REFRESH)
    shop.publish("changes", Action.RELOAD)
    targets = [since(request) for request in shop.api.requests[before:] if request.query.get("page") == "1"]
    assert targets == ["/changes?2026-01-01T00:00:00Z", "/changes?"]


def test_a_refresh_without_changes_keeps_rows_and_cursor(shop: LoaderHome) -> None:
    shop.api.serve("/changes", pages=[[{"id": 1, "updated_at": "2026-01-01T00:00:00Z"}]])
    shop.publish("changes")
    shop.api.serve("/changes", pages=[[]])
    record = shop.publish("changes", Action.REFRESH)
    assert (record.rows_read, record.rows_total) == (0, 1)
    assert list(record.cursor.values()) == ["2026-01-01T00:00:00Z"]


def test_a_row_with_an_unusable_cursor_is_stored_counted_and_does_not_change_the_cursor(
    shop: LoaderHome,
) -> None:
    times = ["2026-01-01T00:00:00Z", None, "soon", "2026-13-45"]
    rows = [{"id": number, "updated_at": time} for number, time in enumerate(times)]
    shop.api.serve("/changes", pages=[[*rows, {"id": 9}]])
    first = shop.publish("changes")
    assert (first.rows_total, first.reason) == (5, "4 rows without a usable updated_at")
    shop.api.serve("/changes", pages=[[{"id": 10, "updated_at": "later"}]])
    before = len(shop.api.requests)
    second = shop.publish("changes", Action.REFRESH)
    assert since(shop.api.requests[before]) == "/changes?2026-01-01T00:00:00Z"
    assert (second.rows_total, list(second.cursor.values())) == (6, ["2026-01-01T00:00:00Z"])


def test_a_column_without_values_takes_any_type_later(shop: LoaderHome) -> None:
    shop.api.serve("/changes", pages=[[{"id": 1, "n": None, "updated_at": "2026-01-01T00:00:00Z"}]])
    shop.publish("changes")
    shop.api.serve("/changes", pages=[[{"id": 2, "n": 7, "updated_at": "2026-01-02T00:00:00Z"}]])
    shop.publish("changes", Action.REFRESH)
    with Lake(shop.settings) as lake:
        assert lake.read("select id, n, typeof(n) from lake.shop.changes order by id") == [
            (1, None, "BIGINT"),
            (2, 7, "BIGINT"),
        ]


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ([MockResponse.error(401)], Unauthorized),
        ([MockResponse.error(404)], NotFound),
        ([MockResponse.json([{"id": 1}, {"id": 2}]), MockResponse.text("<html>")], BadResponse),
        ([MockResponse.json([{"id": 1}, {"id": 2}]), MockResponse.error(500)], ServerFault),
    ],
)
def test_an_error_on_any_page_leaves_no_staged_load(
    shop: LoaderHome, replies: list[MockResponse], error: type[UnifyError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.adapters.http.retry.INITIAL_BACKOFF_S", 0.001)
    shop.api.serve("/orders", *replies)
    job = shop.make_job("orders")
    with pytest.raises(error) as caught:
        shop.run_load(job)
    assert "s3cret-canary" not in str(caught.value)
    assert StagingArea(shop.settings.staging).find_staged_load(job) is None


def test_an_unknown_table_or_connection_is_named(shop: LoaderHome) -> None:
    with pytest.raises(UnknownName, match="connection shop has no table ordrs; did you mean orders"):
        shop.run_load(shop.make_job("ordrs"))
    with pytest.raises(UnknownName, match="no connection shp"):
        shop.run_load(shop.make_job("orders", schema="shp"))


def test_an_unset_variable_is_named_before_any_load_request(shop: LoaderHome) -> None:
    shop.environment.clear()
    with pytest.raises(UnresolvedSecret, match="SHOP_TOKEN"):
        shop.run_load(shop.make_job("orders"))
    assert shop.api.request_targets == []


@pytest.mark.parametrize(
    "query",
    [
        "select content as order_id from read_text('/etc/hostname')",
        "select 1 as order_id from orders; drop table orders",
        "select 1 as order_id from sqlite_scan('queue.db', 'job')",
    ],
)
def test_sql_of_a_spec_reads_only_tables_of_its_connection(shop: LoaderHome, query: str) -> None:
    shop.publish("orders")
    path = shop.specs / "shop.yaml"
    path.write_text(SPEC.replace("select distinct id as order_id from orders where id < 3", query))
    before = len(shop.api.requests)
    with pytest.raises(UnifyError, match=r"shop|for_each"):
        shop.run_load(shop.make_job("lines"))
    assert len(shop.api.requests) == before


def test_sql_of_a_spec_opens_no_file_even_without_the_first_check(shop: LoaderHome) -> None:
    from unify.load.plan import read_parent_rows

    shop.publish("orders")
    shop.loading.prepare()
    lake = shop.loading._open_lake()
    table = TableName("shop", "lines")
    for query in (
        "select * from read_text('/etc/hostname')",
        "select * from read_csv('/etc/hostname')",
        "select * from sqlite_scan('/nowhere/queue.db', 'job')",
        "select * from orders) as a; attach '/tmp/x.db'; select * from (select 1",
    ):
        with pytest.raises(LoadFailed, match=r"shop\.lines: the query of for_each failed"):
            read_parent_rows(lake, table, query)
    assert len(read_parent_rows(lake, table, "select id from orders -- all of them")) == 3
    assert ledger.latest_load(lake, TableName("shop", "orders")) is not None


def test_values_of_parents_are_json_values(shop: LoaderHome) -> None:
    from unify.load.plan import read_parent_rows

    shop.publish("orders")
    query = (
        "select 1 as i, true as b, 'x' as t, 1.5::double as d, date '2026-01-02' as day, 1.25 as n, null as z"
    )
    [row] = read_parent_rows(shop.loading._open_lake(), TableName("shop", "lines"), f"{query} from orders")
    assert row == {"i": 1, "b": True, "t": "x", "d": 1.5, "day": "2026-01-02", "n": "1.25", "z": None}


def test_skipped_requests_and_detected_paging_are_in_the_reason(shop: LoaderHome, api: FaultServer) -> None:
    spec = SPEC.replace(
        "tables:\n",
        """errors: [{status: 404, action: skip}, {status: 410, action: skip}]
tables:
  - name: notes
    request: GET /notes
    paging: {type: auto}
  - name: pages
    request: GET /pages/{page}
    for_each: {rows: [{page: a}, {page: b}, {page: c}, {page: d}]}
    paging: {type: auto}
""",
    )
    (shop.specs / "shop.yaml").write_text(spec)
    api.serve(
        "/notes",
        MockResponse.json({"data": [{"id": 1}], "meta": {"next_cursor": "x"}}),
        MockResponse.json({"data": []}),
    )
    api.serve("/pages/a", MockResponse.json([{"id": 1}]))
    for page, status in {"b": 404, "c": 410, "d": 404}.items():
        api.serve(f"/pages/{page}", MockResponse.error(status))

    assert shop.publish("notes").reason == (
        "detected paging: {type: cursor, cursor_param: cursor, cursor_path: meta.next_cursor}"
    )
    found = shop.publish("pages")
    assert found.reason == (
        "2 requests skipped (status 404); 1 request skipped (status 410); "
        "detected paging: nothing in the response indicates more pages"
    )
    assert (found.status, found.rows_total) == ("success", 1)


def test_a_from_path_that_is_in_no_row_is_named_in_the_reason(shop: LoaderHome) -> None:
    columns = "columns: {id: bigint, zone: {from: user.zone}, kind: {from: a.kind}, body: {from: $.x}}"
    spec = SPEC.replace("columns: {id: {type: bigint, description: Number of the order}}", columns)
    (shop.specs / "shop.yaml").write_text(spec)
    shop.api.serve("/orders", pages=[[{"id": 1, "a": {"kind": None}}]])
    assert "in no row: columns.zone.from user.zone" in shop.publish("orders").reason
    assert "a.kind" not in shop.publish("orders", Action.REFRESH).reason


@pytest.mark.parametrize("place", ["connection", "spec"])
def test_a_table_that_may_shrink_is_published_whatever_it_loses(shop: LoaderHome, place: str) -> None:
    shop.api.serve("/orders", pages=[[{"id": number} for number in range(120)], []])
    shop.publish("orders")
    shop.api.serve("/orders", pages=[[{"id": 1}], []])
    with pytest.raises(VersionHeld):
        shop.publish("orders", Action.REFRESH)
    if place == "spec":
        spec = SPEC.replace("refresh: {every: 15 minutes}", "refresh: {every: 15 minutes, shrink: allow}")
        (shop.specs / "shop.yaml").write_text(spec)
    else:
        written = shop.settings.connections.read_text().rstrip("}\n")
        shop.settings.connections.write_text(
            f"{written}}}, refresh: {{orders: {{every: 5 minutes, shrink: allow}}}}}}\n"
        )
    assert shop.publish("orders", Action.REFRESH).rows_total == 1
