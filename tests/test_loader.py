"""One load in this process: a real spec, a real server on loopback, a real lake, up to the sealed attempt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from tests.faultserver import Asked, FaultServer, Reply
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
from unify.loading import publish
from unify.loading.loader import Loading
from unify.loading.task import Ending, Outcome, Progress, Report, Requested, Task, make_task
from unify.loading.worker import Reporter
from unify.model import Action, JobState, LoaderJob, LoadRecord, Origin, TableName
from unify.settings import Settings
from unify.store import ledger
from unify.store.lake import Lake
from unify.store.staging import Staged, Staging

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
    description: What was ordered
    request: GET /orders
    key: id
    refresh: {every: 15 minutes}
    columns: {id: {type: bigint, description: Number of the order}}
  - name: changes
    request: GET /changes
    key: id
    incremental: {cursor: updated_at, param: since}
  - name: lines
    request: GET /orders/{order_id}/lines
    for_each: select distinct id as order_id from orders where id < 3
    columns: {order_id: {from: "{order_id}"}}
    key: [order_id, sku]
    incremental: {cursor: at, param: since}
"""


@dataclass
class Shop:
    """A home with a connection ``shop``, and loads carried out in it one by one."""

    settings: Settings
    api: FaultServer
    environment: dict[str, str] = field(default_factory=lambda: {"SHOP_TOKEN": "s3cret-canary"})
    said: list[Report] = field(default_factory=list)
    jobs: int = 0

    def __post_init__(self) -> None:
        self.settings.prepare()
        self.specs = self.settings.home / "specs"
        self.specs.mkdir()
        (self.specs / "shop.yaml").write_text(SPEC)
        self.settings.connections.write_text(
            f"shop: {{adapter: shop, options: {{base_url: '{self.api.url}', token: '${{SHOP_TOKEN}}'}}}}\n"
        )
        self.settings.connections.chmod(0o600)
        self.loading = Loading(self.settings.home, self.settings.tenant)

    def job(self, table: str, action: Action = Action.LOAD, schema: str = "shop") -> LoaderJob:
        self.jobs += 1
        now = datetime.now(UTC)
        return LoaderJob(
            id=self.jobs,
            uid=f"uid-{self.jobs}",
            tenant="default",
            action=action,
            table=TableName(schema, table),
            origin=Origin(str(self.settings.connections), (str(self.specs),)),
            priority=0,
            state=JobState.RUNNING,
            attempt=1,
            epoch=1,
            created_at=now,
            start_at=now,
        )

    def run(self, job: LoaderJob) -> Outcome:
        """What a worker does with the job."""
        folder = Staging(self.settings.staging).begin(job)
        task: Task = make_task(job, self.settings.home, folder, self.environment)
        return self.loading(task, Reporter(task, self.said.append))

    def staged(self, job: LoaderJob) -> Staged:
        staged = Staging(self.settings.staging).sealed(job)
        assert staged is not None
        return staged

    def rows(self, job: LoaderJob, sql: str = "select * from rows order by all") -> list[tuple[object, ...]]:
        """The staged rows of a job."""
        with duckdb.connect() as connection:
            files = [str(path) for path in self.staged(job).paths]
            connection.read_parquet(files, union_by_name=True).create_view("rows")
            return connection.execute(sql).fetchall()

    def publish(self, table: str, action: Action = Action.LOAD) -> LoadRecord:
        """Load and publish, as worker and daemon together do."""
        job = self.job(table, action)
        assert self.run(job).ending is Ending.SEALED
        with Lake(self.settings) as lake:
            record = publish.publish(lake, job, self.staged(job), still_ours=lambda: True)
        assert record is not None
        return record


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, api: FaultServer) -> Iterator[Shop]:
    home = tmp_path / "home"
    shop = Shop(Settings(home, home / "connections.yaml"), api)
    api.serve("/orders", pages=[[{"id": 1, "a": {"b": "x"}}, {"id": 2}], [{"id": 3}]])
    yield shop
    shop.loading.close()


def since(asked: Asked) -> str:
    return f"{asked.path}?{asked.query.get('since', '')}"


def test_a_load_stages_every_page_and_says_so(shop: Shop) -> None:
    job = shop.job("orders")
    outcome = shop.run(job)
    assert (outcome.ending, outcome.every_s) == (Ending.SEALED, 900.0)
    assert shop.rows(job) == [(1, "x"), (2, None), (3, None)]
    manifest = shop.staged(job).manifest
    assert (manifest.rows, manifest.strategy, manifest.key) == (3, "reload", ("id",))
    assert (manifest.description, manifest.declared) == ("What was ordered", ("id",))
    assert manifest.columns[0].description == "Number of the order"
    assert (manifest.requests, manifest.complete) == (len(shop.api.log), True)


def test_progress_counts_rows_pages_requests_and_bytes(shop: Shop) -> None:
    progress = shop.run(shop.job("orders")).progress
    assert (progress.rows, progress.pages, progress.requests) == (3, 2, len(shop.api.log))
    assert progress.bytes > 30
    assert all(isinstance(report, Progress | Requested) for report in shop.said)


def test_a_table_without_rows_is_a_load_too(shop: Shop) -> None:
    shop.api.serve("/orders", pages=[[]])
    assert shop.publish("orders").rows_total == 0
    with Lake(shop.settings) as lake:
        assert lake.read("select count(*) from shop.orders") == [(0,)]


def test_parents_that_are_missing_are_asked_for_and_nothing_else_is_done(shop: Shop) -> None:
    outcome = shop.run(shop.job("lines"))
    assert outcome.ending is Ending.MISSING
    assert outcome.missing == (TableName("shop", "orders"),)
    assert shop.api.asked == []


def test_each_parent_row_is_asked_for_once_with_a_cursor_of_its_own(shop: Shop) -> None:
    shop.publish("orders")
    shop.api.serve("/orders/1/lines", pages=[[{"sku": "a", "at": "2026-01-01T00:00:00Z"}]])
    shop.api.serve("/orders/2/lines", pages=[[{"sku": "b", "at": "2026-01-02T00:00:00Z"}]])
    record = shop.publish("lines")
    assert {json.loads(scope)["order_id"] for scope in record.cursor} == {1, 2}
    before = len(shop.api.log)
    shop.api.serve("/orders/2/lines", pages=[[{"sku": "c", "at": "2026-01-09T00:00:00Z"}]])
    shop.publish("lines", Action.REFRESH)
    asked = {since(asked) for asked in shop.api.log[before:]}
    assert asked == {"/orders/1/lines?2026-01-01T00:00:00Z", "/orders/2/lines?2026-01-02T00:00:00Z"}
    with Lake(shop.settings) as lake:
        assert lake.read("select order_id, sku from shop.lines order by all") == [
            (1, "a"),
            (2, "b"),
            (2, "c"),
        ]


def test_a_refresh_asks_for_what_changed_a_reload_for_everything(shop: Shop) -> None:
    shop.api.serve("/changes", pages=[[{"id": 1, "updated_at": "2026-01-01T00:00:00Z"}]])
    shop.publish("changes")
    before = len(shop.api.log)
    shop.publish("changes", Action.REFRESH)
    shop.publish("changes", Action.RELOAD)
    asked = [since(asked) for asked in shop.api.log[before:] if asked.query.get("page") == "1"]
    assert asked == ["/changes?2026-01-01T00:00:00Z", "/changes?"]


def test_a_refresh_merges_and_a_quiet_one_keeps_the_cursor(shop: Shop) -> None:
    shop.api.serve("/changes", pages=[[{"id": 1, "updated_at": "2026-01-01T00:00:00Z"}]])
    shop.publish("changes")
    shop.api.serve("/changes", pages=[[]])
    record = shop.publish("changes", Action.REFRESH)
    assert (record.rows_read, record.rows_total) == (0, 1)
    assert list(record.cursor.values()) == ["2026-01-01T00:00:00Z"]


def test_a_row_whose_cursor_is_missing_or_malformed_is_kept_counted_and_no_beginning(shop: Shop) -> None:
    times = ["2026-01-01T00:00:00Z", None, "soon", "2026-13-45"]
    rows = [{"id": number, "updated_at": time} for number, time in enumerate(times)]
    shop.api.serve("/changes", pages=[[*rows, {"id": 9}]])
    first = shop.publish("changes")
    assert (first.rows_total, first.reason) == (5, "4 rows without a usable updated_at")
    shop.api.serve("/changes", pages=[[{"id": 10, "updated_at": "later"}]])
    before = len(shop.api.log)
    second = shop.publish("changes", Action.REFRESH)
    assert since(shop.api.log[before]) == "/changes?2026-01-01T00:00:00Z"
    assert (second.rows_total, list(second.cursor.values())) == (6, ["2026-01-01T00:00:00Z"])


def test_a_column_that_never_had_a_value_takes_any_type_later(shop: Shop) -> None:
    shop.api.serve("/changes", pages=[[{"id": 1, "n": None, "updated_at": "2026-01-01T00:00:00Z"}]])
    shop.publish("changes")
    shop.api.serve("/changes", pages=[[{"id": 2, "n": 7, "updated_at": "2026-01-02T00:00:00Z"}]])
    shop.publish("changes", Action.REFRESH)
    with Lake(shop.settings) as lake:
        assert lake.read("select id, n, typeof(n) from shop.changes order by id") == [
            (1, None, "BIGINT"),
            (2, 7, "BIGINT"),
        ]


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ([Reply.error(401)], Unauthorized),
        ([Reply.error(404)], NotFound),
        ([Reply.json([{"id": 1}, {"id": 2}]), Reply.text("<html>")], BadResponse),
        ([Reply.json([{"id": 1}, {"id": 2}]), Reply.error(500)], ServerFault),
    ],
)
def test_an_error_on_any_page_leaves_nothing_sealed(
    shop: Shop, replies: list[Reply], error: type[UnifyError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.adapters.retry.FIRST_BACKOFF_S", 0.001)
    shop.api.serve("/orders", *replies)
    job = shop.job("orders")
    with pytest.raises(error) as caught:
        shop.run(job)
    assert "s3cret-canary" not in str(caught.value)
    assert Staging(shop.settings.staging).sealed(job) is None


def test_a_table_or_connection_that_is_gone_is_named(shop: Shop) -> None:
    with pytest.raises(UnknownName, match="connection shop has no table ordrs — did you mean orders"):
        shop.run(shop.job("ordrs"))
    with pytest.raises(UnknownName, match="no connection shp"):
        shop.run(shop.job("orders", schema="shp"))


def test_a_variable_nobody_has_offered_is_named_before_any_request(shop: Shop) -> None:
    shop.environment.clear()
    with pytest.raises(UnresolvedSecret, match="SHOP_TOKEN"):
        shop.run(shop.job("orders"))
    assert shop.api.asked == []


@pytest.mark.parametrize(
    "query",
    [
        "select content as order_id from read_text('/etc/hostname')",
        "select 1 as order_id from orders; drop table orders",
        "select 1 as order_id from sqlite_scan('queue.db', 'job')",
    ],
)
def test_sql_of_a_spec_reaches_nothing_but_its_tables(shop: Shop, query: str) -> None:
    shop.publish("orders")
    path = shop.specs / "shop.yaml"
    path.write_text(SPEC.replace("select distinct id as order_id from orders where id < 3", query))
    before = len(shop.api.log)
    with pytest.raises(UnifyError, match=r"shop|for_each"):
        shop.run(shop.job("lines"))
    assert len(shop.api.log) == before


def test_even_past_the_first_fence_sql_of_a_spec_opens_no_file(shop: Shop) -> None:
    from unify.loading.parents import read_parents

    shop.publish("orders")
    shop.loading.prepare()
    lake = shop.loading._opened()
    table = TableName("shop", "lines")
    for query in (
        "select * from read_text('/etc/hostname')",
        "select * from read_csv('/etc/hostname')",
        "select * from sqlite_scan('/nowhere/queue.db', 'job')",
        "select * from orders) as a; attach '/tmp/x.db'; select * from (select 1",
    ):
        with pytest.raises(LoadFailed, match=r"shop\.lines: its for_each"):
            read_parents(lake, table, query)
    assert len(read_parents(lake, table, "select id from orders -- all of them")) == 3
    assert ledger.last(lake, TableName("shop", "orders")) is not None


def test_values_of_parents_are_plain(shop: Shop) -> None:
    from unify.loading.parents import read_parents

    shop.publish("orders")
    query = (
        "select 1 as i, true as b, 'x' as t, 1.5::double as d, date '2026-01-02' as day, 1.25 as n, null as z"
    )
    [row] = read_parents(shop.loading._opened(), TableName("shop", "lines"), f"{query} from orders")
    assert row == {"i": 1, "b": True, "t": "x", "d": 1.5, "day": "2026-01-02", "n": "1.25", "z": None}


def test_what_was_skipped_and_found_out_stands_in_the_reason(shop: Shop, api: FaultServer) -> None:
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
        "/notes", Reply.json({"data": [{"id": 1}], "meta": {"next_cursor": "x"}}), Reply.json({"data": []})
    )
    api.serve("/pages/a", Reply.json([{"id": 1}]))
    for page, status in {"b": 404, "c": 410, "d": 404}.items():
        api.serve(f"/pages/{page}", Reply.error(status))

    assert shop.publish("notes").reason == (
        "paging found out: {type: cursor, cursor_param: cursor, cursor_path: meta.next_cursor}"
    )
    found = shop.publish("pages")
    assert found.reason == (
        "2 requests skipped (status 404); 1 request skipped (status 410); "
        "paging found out: one page is all there is"
    )
    assert (found.status, found.rows_total) == ("success", 1)
