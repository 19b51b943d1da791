"""``unify check --loads``: the last load of each table, and an exit status for monitoring."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from tests.support.command import InProcessCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.shop import SPEC_WITHOUT_TOKEN, connect_shop
from tests.support.stores import settings_for_home
from tests.support.waiting import wait_until
from unify.cli.check_loads import check_loads

SPEC = (
    SPEC_WITHOUT_TOKEN
    + """\
  - {name: orders, request: GET /orders, key: id}
  - {name: customers, request: GET /customers, key: id}
"""
)


@pytest.fixture
def unify(shared_unify: InProcessCommand) -> InProcessCommand:
    return shared_unify


@pytest.fixture
def shop(unify: InProcessCommand, api: FaultServer) -> FaultServer:
    connect_shop(unify, api, SPEC)
    api.serve("/orders", MockResponse.json([{"id": 1}, {"id": 2}]))
    return api


def test_a_home_without_loads_passes(unify: InProcessCommand, shop: FaultServer) -> None:
    outcome = unify.run("check", "--loads")
    assert (outcome.exit_status, outcome.stdout) == (0, "no table was loaded\n")
    assert shop.requests == []


def test_each_loaded_table_has_a_line(unify: InProcessCommand, shop: FaultServer) -> None:
    unify("load table shop.orders")
    requests = len(shop.requests)
    outcome = unify.run("check", "--loads", "shop")
    assert outcome.exit_status == 0
    assert outcome.stdout.startswith("shop.orders: ok, 2 rows, stored ")
    assert len(shop.requests) == requests


def test_a_failed_load_fails_the_check(unify: InProcessCommand, shop: FaultServer) -> None:
    shop.serve("/customers", MockResponse.error(422))
    unify("load table shop.orders")
    assert unify("load table shop.customers").exit_status == 1
    outcome = unify.run("check", "--loads")
    assert outcome.exit_status == 1
    lines = dict(line.split(": ", 1) for line in outcome.stdout.splitlines())
    assert lines["shop.orders"].startswith("ok")
    assert lines["shop.customers"].startswith("failed: GET ")
    assert "422" in lines["shop.customers"]


def test_an_unknown_connection_is_named(unify: InProcessCommand, shop: FaultServer) -> None:
    outcome = unify.run("check", "--loads", "shpo")
    assert (outcome.exit_status, outcome.stdout) == (1, "")
    assert "did you mean shop?" in outcome.stderr


def test_a_refresh_that_did_not_run_for_two_intervals_is_overdue(
    unify: InProcessCommand, shop: FaultServer, capsys: pytest.CaptureFixture[str]
) -> None:
    unify("load table shop.orders")
    unify("refresh table shop.orders every 15 minutes starting 00:00")
    unify.stop_daemon()
    settings = replace(settings_for_home(unify.home), specs=(unify.home / "specs",))
    environment = dict(unify.environment)

    def check(later: timedelta) -> int:
        return check_loads(settings, [], environment, notice=print, now=datetime.now(UTC) + later)

    capsys.readouterr()
    assert check(timedelta(minutes=20)) == 0
    assert capsys.readouterr().out.startswith("shop.orders: ok, 2 rows, stored 20 min ago")
    assert check(timedelta(hours=2)) == 1
    assert capsys.readouterr().out == "shop.orders: overdue, stored 2 h ago, refreshed every 15 minutes\n"
    unify("pause shop")
    assert check(timedelta(hours=2)) == 0
    assert capsys.readouterr().out.startswith("shop.orders: paused, 2 rows")


def test_a_failed_load_is_reported_to_the_webhook(unify: InProcessCommand, shop: FaultServer) -> None:
    shop.serve("/hook", MockResponse.json({}))
    unify.environment["HOOK"] = f"{shop.url}/hook"
    (unify.home / "notify.yaml").write_text("webhook: {url: '${HOOK}'}\n", encoding="utf-8")
    shop.serve("/customers", MockResponse.error(422))
    assert unify("load table shop.customers").exit_status == 1
    wait_until(lambda: "/hook" in [request.path for request in shop.requests])
    [hook] = [request for request in shop.requests if request.path == "/hook"]
    assert json.loads(hook.body)["text"].startswith("Unify: shop.customers failed: GET ")
    assert "notify.yaml: ok, webhook" in unify.run("check").stdout
