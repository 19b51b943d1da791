"""The tables of the schema ``unify``."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.command import UnifyCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.waiting import wait_until
from unify.interpreter.system_columns import SYSTEM_TABLES

SPEC = """
name: shop
base_url: "{base_url}"
options:
  base_url: {description: Where it is}
  token: {description: A token, secret: true}
auth: {type: api_key, name: key, value: "{token}", in: query}
paging: {type: page, page_param: page}
tables:
  - name: orders
    request: GET /orders
    key: id
    refresh: {every: 15 minutes}
  - name: prices
    request: GET /prices
    columns: {amount: integer}
    refresh: {every: 1 hour}
"""
CANARY = "canary-4711-secret"


@pytest.fixture
def unify(shared_unify: UnifyCommand) -> UnifyCommand:
    return shared_unify


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        server.serve("/orders", pages=[[{"id": 1}, {"id": 2}], [{"id": 3}], []])
        yield server


@pytest.fixture
def shop(unify: UnifyCommand, api: FaultServer) -> UnifyCommand:
    specs = unify.home / "specs"
    specs.mkdir()
    (specs / "shop.yaml").write_text(SPEC, encoding="utf-8")
    unify.environment |= {"UNIFY_SPECS": str(specs), "SHOP_TOKEN": CANARY}
    unify.write_connections(
        f"shop:\n  adapter: shop\n  options: {{base_url: '{api.url}', token: '${{SHOP_TOKEN}}'}}\n"
        "  refresh: {prices: 5 minutes}\n"
    )
    return unify


def test_every_request_of_a_load_has_a_row_without_secrets(shop: UnifyCommand, api: FaultServer) -> None:
    assert shop("load table shop.orders").exit_status == 0
    answer = shop(
        "select method, address, status, bytes > 0, milliseconds > 0, r.job = j.job, r.error "
        "from unify.requests r join unify.jobs j using (job) order by r.at"
    )
    assert len(answer.rows) == len(api.requests) + 1 == 4, answer
    for row in answer.rows[1:]:
        assert row[0] == "GET"
        assert row[1].startswith(f"{api.url}/orders")
        assert row[2:] == ["200", "true", "true", "true", ""]
    assert CANARY not in answer.stdout
    assert CANARY.encode() not in (shop.home / "requests.jsonl").read_bytes()


def test_a_failed_request_has_its_error(shop: UnifyCommand, api: FaultServer) -> None:
    api.serve("/orders", MockResponse.error(422))
    assert shop("load table shop.orders").exit_status == 1
    assert shop("select distinct status from unify.requests").single_value == "422"


def test_requests_of_peek_are_recorded_without_a_job(shop: UnifyCommand) -> None:
    assert shop("peek shop.orders 2").exit_status == 0
    assert shop("select count(*) > 0 and count(job) = 0 from unify.requests").single_value == "true"


def test_a_failed_load_has_its_row_in_the_ledger(shop: UnifyCommand, api: FaultServer) -> None:
    api.serve("/orders", MockResponse.error(403))
    assert shop("load table shop.orders").exit_status == 1
    wait_until(lambda: shop("select count(*) from unify.loads").single_value == "1")
    answer = shop("select \"table\", status, rows_written, requests, error like '%403%' from unify.loads")
    assert answer.rows[1:] == [["orders", "failed", "0", "1", "true"]], answer


def test_discarded_rows_are_recorded_with_value_and_reason(shop: UnifyCommand, api: FaultServer) -> None:
    api.serve("/prices", pages=[[{"id": 1, "amount": 5}, {"id": 2, "amount": "five"}], []])
    assert shop("load table shop.prices").exit_status == 0
    found = shop(
        'select d."table", "column", "value", d.reason, "row", d.job = l.job from unify.discarded d '
        "join unify.loads l using (uid) where l.status = 'partial' and l.rows_discarded = 1"
    )
    [row] = found.rows[1:]
    assert row[:3] == ["prices", "amount", "five"], found
    assert row[3] != ""
    assert json.loads(row[4]) == {"id": 2, "amount": "five"}
    assert row[5] == "true"


def test_a_widened_column_is_reported_once_and_recorded(shop: UnifyCommand, api: FaultServer) -> None:
    api.serve("/orders", pages=[[{"id": 1, "total": 5}], []])
    assert shop("load table shop.orders").exit_status == 0
    api.serve("/orders", pages=[[{"id": 1, "total": 5.5}, {"id": 2, "total": "unknown"}], []])

    reloaded = shop("reload table shop.orders")

    assert "total is VARCHAR now (was BIGINT)" in reloaded.stderr
    assert "BIGINT" not in shop("select * from shop.orders").stderr
    sql = (
        "select \"column\", type, was, changed_at > now() - interval 1 hour from unify.columns where was > ''"
    )
    assert shop(sql).rows[1:] == [["total", "VARCHAR", "BIGINT", "true"]]
    assert shop("clear table shop.orders", "load table shop.orders").exit_status == 0
    assert shop(sql).rows[1:] == []


def test_schedules_show_interval_next_time_and_origin(shop: UnifyCommand, api: FaultServer) -> None:
    api.serve("/prices", pages=[[{"id": 1, "amount": 5}], []])
    assert shop("load table shop.orders", "load table shop.prices").exit_status == 0
    sql = (
        'select "table", origin, epoch("every")::int, next_at > now(), last_at is null '
        'from unify.schedules order by "table"'
    )
    configured = [
        ["orders", "spec", "900", "true", "true"],
        ["prices", "connection", "300", "true", "true"],
    ]
    assert shop(sql).rows[1:] == configured
    freshness = (
        'select "table", kept, epoch("every")::int, age < interval 1 hour, next_refresh_at > now(), '
        "is_overdue from unify.freshness where \"table\" in ('orders', 'prices', 'notes') order by 1"
    )
    fresh = shop(freshness).rows[1:]
    assert ["orders", "scheduled", "900", "true", "true", "false"] in fresh
    assert ["prices", "scheduled", "300", "true", "true", "false"] in fresh
    assert shop("refresh table shop.orders every 2 hours", "refresh table shop.prices never").exit_status == 0
    assert shop(sql).rows[1:] == [
        ["orders", "person", "7200", "true", "true"],
        ["prices", "person", "", "", "true"],
    ]
    assert ["prices", "on demand", "", "true", "", ""] in shop(freshness).rows


def test_daemon_status_shows_process_start_and_log(shop: UnifyCommand) -> None:
    shop.stop_daemon()
    stopped = shop.run("daemon", "status")
    assert (stopped.exit_status, stopped.stdout) == (1, "the daemon is not running\n")
    assert shop.run("daemon", "start").exit_status == 0
    running = shop.run("daemon", "status")
    first, second = running.stdout.splitlines()
    assert first.startswith("the daemon is running (pid ")
    assert first.endswith("0 tasks")
    assert second.startswith("started: 20")
    assert second.endswith(str(shop.home / "logs" / "daemon.log"))


def test_every_system_table_is_listed_described_and_completed(shop: UnifyCommand) -> None:
    rows = shop("show tables from unify").rows[1:]
    assert [row[1] for row in rows] == list(SYSTEM_TABLES)
    assert all(row[5] for row in rows), "each says what it tells"
    answer = shop(*(f"describe unify.{name}" for name in SYSTEM_TABLES), args=["--no-header"])
    assert [tuple(row[:2]) for row in answer.rows] == [
        column for shape in SYSTEM_TABLES.values() for column in shape.columns
    ]
    assert "unify.jobs" in shop("changes unify.jobs since '1 hour'").stderr
    assert "never loaded" in shop("load table unify.jobs").stderr
    assert shop("peek unify.settings 2").rows[1][0] == "max_age"


def test_system_tables_have_the_described_columns(shop: UnifyCommand) -> None:
    for_real = [
        f"select column_name, column_type from (describe from unify.{name})" for name in SYSTEM_TABLES
    ]
    answer = shop(*for_real, args=["--no-header"])
    assert [tuple(row) for row in answer.rows] == [
        column for shape in SYSTEM_TABLES.values() for column in shape.columns
    ]


def test_limits_of_the_environment_are_listed_settings(shop: UnifyCommand) -> None:
    shop.environment |= {"UNIFY_WORKERS": "2", "UNIFY_WORKER_MEMORY": "1 GB", "UNIFY_IDLE_EXIT": "1 hour"}
    shown = dict(row[:2] for row in shop("show settings").rows)
    assert (shown["workers"], shown["worker_memory"], shown["idle_exit"]) == ("2", "1,024 MiB", "1 hour")
    assert shown["history"] == "7 days"
    assert shown == dict(row[:2] for row in shop("select * from unify.settings").rows)
    shop.environment["UNIFY_IDLE_EXIT"] = "soon"
    refused = shop("select 1")
    assert refused.exit_status == 2
    assert "UNIFY_IDLE_EXIT=soon" in refused.stderr
