"""Loads and queries through the command, the daemon and a server on loopback."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.command import CommandResult, UnifyCommand, is_daemon_running
from tests.support.demo_api import DemoAPI
from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.home_files import read_files
from tests.support.paths import CHECKOUT
from tests.support.shop import SPEC_WITH_TOKEN, SPEC_WITHOUT_TOKEN, connect_shop
from tests.support.waiting import wait_until
from unify.config.settings import Settings
from unify.fs import durable
from unify.model import JobState
from unify.queue.queue import Queue

SPEC = (
    SPEC_WITH_TOKEN
    + """\
  - name: orders
    request: GET /orders
    key: id
  - name: customers
    request: GET /customers
    key: id
  - name: lines
    request: GET /orders/{order_id}/lines
    for_each: select id as order_id from orders
    columns: {order_id: {from: "{order_id}"}}
"""
)
ORDERS: list[list[dict[str, object]]] = [
    [{"id": 1, "customer": {"name": "Ada"}}, {"id": 2, "customer": {"name": "Bob"}}],
    [{"id": 3}],
]


@pytest.fixture
def shop(unify: UnifyCommand, api: FaultServer) -> FaultServer:
    """A connection ``shop`` to the fault server, with three orders on two pages."""
    connect_shop(unify, api, SPEC)
    api.serve("/orders", pages=ORDERS)
    api.serve("/customers", pages=[[{"id": 7, "name": "Ada"}]])
    return api


def connection(name: str, url: str, token: str = "${SHOP_TOKEN}") -> str:
    return f"{name}:\n  adapter: shop\n  options: {{base_url: '{url}', token: '{token}'}}\n"


def count_order_requests(api: FaultServer) -> int:
    return sum(request.path == "/orders" for request in api.requests)


class SharedDaemon:
    """Fixtures of tests that share a home and a daemon; each test starts without stored tables."""

    @pytest.fixture
    def unify(self, shared_unify: UnifyCommand) -> UnifyCommand:
        return shared_unify


def test_the_first_query_in_a_new_home_loads_the_table_and_stores_no_secret(
    unify: UnifyCommand, shop: FaultServer, home: Path
) -> None:
    answer = unify("select id, customer_name from shop.orders order by id")
    assert answer.rows == [["id", "customer_name"], ["1", "Ada"], ["2", "Bob"], ["3", ""]], answer
    assert "shop.orders" in answer.stderr
    assert {request.headers["authorization"] for request in shop.requests} == {"Bearer s3cret-canary"}
    assert [path for path, content in read_files(home) if b"s3cret-canary" in content] == []


def test_shell_daemon_and_worker_of_a_first_query_do_not_sleep(
    unify: UnifyCommand, shop: FaultServer, tmp_path: Path
) -> None:
    """Each waits for an event, not for a fixed time."""
    module = tmp_path / "sitecustomize.py"
    module.write_text(
        "import pathlib, sys, time, traceback\n"
        "folder = pathlib.Path(__file__).parent\n"
        "(folder / f'ran-{sys.argv[0]}-{id(time)}'.replace('/', '_')).touch()\n"
        "def sleep(seconds):\n"
        "    with (folder / 'slept').open('a') as file:\n"
        "        traceback.print_stack(file=file)\n"
        "time.sleep = sleep\n",
        encoding="utf-8",
    )
    process = UnifyCommand(unify.home)
    process.environment |= {**unify.environment, "PYTHONPATH": f"{tmp_path}{os.pathsep}{CHECKOUT}"}

    assert process("select count(*) from shop.orders").single_value == "3"

    slept = tmp_path / "slept"
    assert not slept.exists(), slept.read_text("utf-8")
    assert len(list(tmp_path.glob("ran-*"))) >= 2  # shell and daemon, whose worker is a fork


def test_a_query_of_a_stored_table_imports_no_client(unify: UnifyCommand, shop: FaultServer) -> None:
    query = "select count(*) from shop.orders"
    changed_ns = (unify.home / "specs" / "shop.yaml").stat().st_ctime_ns
    wait_until(lambda: changed_ns < durable.new_files_since_ns())  # then the summary of the spec is cached
    assert unify(query).single_value == "3"
    code = f"import sys; from unify.cli.main import main; main(['-c', {query!r}]); print(sorted(sys.modules))"
    process = UnifyCommand(unify.home, [sys.executable, "-c", code])
    process.environment |= {**unify.environment, "PYTHONPATH": str(CHECKOUT)}

    printed = process.run().stdout

    left_out = (
        "duckdb dataclasses subprocess importlib.metadata lark sqlglot zmq requests urllib3 "
        "unify.adapters.rest.adapter unify.adapters.http.retry unify.load.loader"
    )
    assert printed.startswith("count_star()\n3\n")
    assert [name for name in left_out.split() if f"'{name}'" in printed] == []


class TestTheFirstQuery(SharedDaemon):
    def test_is_the_only_one_that_sends_requests(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("select count(*) from shop.orders").single_value == "3"
        request_count = len(shop.requests)
        assert unify("select count(*) from shop.orders").single_value == "3"
        assert len(shop.requests) == request_count

    def test_loads_parents_first(self, unify: UnifyCommand, shop: FaultServer) -> None:
        for order in (1, 2, 3):
            shop.serve(f"/orders/{order}/lines", pages=[[{"sku": f"s{order}"}]])
        answer = unify("select order_id, sku from shop.lines order by 1")
        assert answer.rows[1:] == [["1", "s1"], ["2", "s2"], ["3", "s3"]], answer
        assert unify("select count(*) from shop.orders").single_value == "3"
        assert count_order_requests(shop) == 3  # the last page is short: one more request tells

    def test_joins_two_connections(self, unify: UnifyCommand, shop: FaultServer, demo_api: DemoAPI) -> None:
        unify.write_connections(connection("shop", shop.url) + demo_api.connection_yaml())
        sql = "select count(*) from shop.orders o cross join github.orgs g"
        assert int(unify(sql).single_value) == 3 * int(unify("count github.orgs").single_value)

    def test_loads_each_of_two_connections_of_one_adapter_separately(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        with FaultServer() as other:
            other.serve("/orders", pages=[[{"id": 9}]])
            unify.write_connections(connection("shop", shop.url) + connection("outlet", other.url))
            sql = (
                "select 'shop', count(*) from shop.orders "
                "union all select 'outlet', count(*) from outlet.orders"
            )
            assert sorted(unify(sql).rows[1:]) == [["outlet", "1"], ["shop", "3"]]

    def test_large_integers_stay_exact_from_api_to_output(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        big = 2**63 + 1
        shop.serve("/orders", pages=[[{"id": 9007199254740993, "n": big}, {"id": 1, "n": 1}]])
        answer = unify("select id, n from shop.orders order by id desc limit 1", args=["--format", "json"])
        assert json.loads(answer.stdout) == [{"id": 9007199254740993, "n": big}], answer

    def test_of_an_empty_table_returns_no_rows(self, unify: UnifyCommand, shop: FaultServer) -> None:
        shop.serve("/orders", pages=[[]])
        answer = unify("select count(*) from shop.orders")
        assert answer.single_value == "0"
        assert unify("select * from shop.orders").exit_status == 0


class TestOtherShells(SharedDaemon):
    def test_wait_for_the_same_load(self, unify: UnifyCommand, shop: FaultServer) -> None:
        gate = threading.Event()
        shop.serve("/orders", respond_after(gate, shop, "/orders", ORDERS))
        with (
            unify.start("-c", "select count(*) from shop.orders") as first,
            unify.start("-c", "select count(*) from shop.orders") as second,
        ):
            wait_for_request(shop, "/orders")
            assert unify("select count(*) from shop.customers").single_value == "1"
            gate.set()
            assert first.communicate(timeout=60)[0].split() == ["count_star()", "3"]
            assert second.communicate(timeout=60)[0].split() == ["count_star()", "3"]
        assert count_order_requests(shop) == 3  # the last page is short: one more request tells

    def test_killed_while_they_wait_do_not_end_the_load(self, unify: UnifyCommand, shop: FaultServer) -> None:
        gate = threading.Event()
        shop.serve("/orders", respond_after(gate, shop, "/orders", ORDERS))
        with unify.start("-c", "select * from shop.orders") as first:
            wait_for_request(shop, "/orders")
            first.kill()
        gate.set()
        assert unify("select count(*) from shop.orders").single_value == "3"
        assert count_order_requests(shop) == 3  # the last page is short: one more request tells

    def test_see_tables_and_views_of_each_other(self, unify: UnifyCommand) -> None:
        made = unify("create table t as select 41 as a; create view v as select a + 1 as b from t")
        assert made.exit_status == 0, made
        assert unify("select b from v").single_value == "42"
        assert (
            unify(
                "insert into t values (1); update t set a = 2 where a = 1; delete from t where a = 41"
            ).exit_status
            == 0
        )
        assert unify("select a from t").single_value == "2"


class TestAKilledDaemon(SharedDaemon):
    def test_is_replaced_while_a_shell_waits_and_its_load_finishes(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        gate = threading.Event()
        shop.serve("/orders", respond_after(gate, shop, "/orders", ORDERS))
        with unify.start("-c", "select count(*) from shop.orders") as waiting:
            wait_for_request(shop, "/orders")
            os.kill(daemon_pid(unify), signal.SIGKILL)
            gate.set()
            stdout, stderr = waiting.communicate(timeout=60)
        assert stdout.split() == ["count_star()", "3"], stderr
        assert unify("select count(*), count(distinct id) from shop.orders").rows[1] == ["3", "3"]

    def test_is_replaced_by_any_statement_of_the_next_shell(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        assert unify("count shop.customers").single_value == "1"
        gate = threading.Event()
        shop.serve("/orders", respond_after(gate, shop, "/orders", ORDERS))
        assert unify("load table shop.orders", args=["--no-wait"]).exit_status == 0
        wait_for_request(shop, "/orders")
        os.kill(daemon_pid(unify), signal.SIGKILL)
        wait_until(lambda: not is_daemon_running(unify.home))
        gate.set()

        resting = unify("system status")
        assert "Data loading daemon is not running" in resting.stdout
        assert "Loading table: shop.orders" in resting.stdout
        shell = unify("count shop.customers")
        assert (shell.single_value, shell.exit_status) == ("1", 0)
        assert "a new one continues its loads" in shell.stderr
        with Queue(unify.home / "queue.db") as queue:
            (job,) = [job for job in queue.recent_jobs(10) if job.table.table == "orders"]
            wait_until(lambda: queue.get(job.id).state is JobState.DONE)
            assert queue.get(job.id).attempt == 2
        assert unify("count shop.orders").single_value == "3"

    def test_stopped_by_command_is_not_started_by_a_query_of_stored_rows(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        assert unify("count shop.customers").single_value == "1"
        assert unify("system stop daemon").exit_status == 0
        assert unify("count shop.customers").stderr == ""
        assert "Data loading daemon is not running" in unify("system status").stdout

    def test_is_started_by_the_next_load(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("count shop.customers").single_value == "1"
        os.kill(daemon_pid(unify), signal.SIGKILL)
        assert unify("count shop.orders").single_value == "3"


class TestWithAnOwnDaemon:
    def test_a_variable_set_after_the_daemon_started_reaches_its_loads(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        token = unify.environment.pop("SHOP_TOKEN")
        assert unify("system start daemon").exit_status == 0
        unify.environment["SHOP_TOKEN"] = token
        assert unify("count shop.orders").single_value == "3"

    def test_system_status_prints_the_documented_text(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("system status").stdout.startswith("Data loading daemon is not running\n")
        gate = threading.Event()
        shop.serve("/orders", respond_after(gate, shop, "/orders", ORDERS))
        with unify.start("-c", "load table shop.orders") as waiting:
            wait_for_request(shop, "/orders")
            lines = unify("system status").stdout.splitlines()
            assert lines[:2] == ["Data loading daemon is running", "Tasks:"]
            assert lines[2].startswith("   Loading table: shop.orders")
            gate.set()
            assert waiting.wait(60) == 0
        assert unify("system stop daemon").exit_status == 0
        assert not is_daemon_running(unify.home)
        assert unify("system stop daemon").exit_status == 0


class TestErrors(SharedDaemon):
    def test_a_missing_connections_file_suggests_the_demo(self, unify: UnifyCommand) -> None:
        answer = unify("select * from github.pulls")
        assert answer.exit_status == 1
        assert "no connection github" in answer.stderr
        assert "unify demo" in answer.stderr
        assert answer.stdout == ""

    def test_an_unknown_connection_table_or_column_has_a_suggestion(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        assert "did you mean shop?" in unify("select * from shp.orders").stderr
        assert "did you mean orders?" in unify("select * from shop.order").stderr
        assert shop.request_targets == []
        answer = unify("select custmer_name from shop.orders")
        assert answer.exit_status == 1
        assert "customer_name" in answer.stderr

    def test_an_unknown_adapter_has_a_suggestion(self, unify: UnifyCommand, api: FaultServer) -> None:
        unify.write_connections("gh: {adapter: githib}\n")
        answer = unify("select * from gh.pulls")
        assert (answer.exit_status, "did you mean github?" in answer.stderr) == (2, True), answer

    def test_an_unset_variable_is_named_before_any_request(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        del unify.environment["SHOP_TOKEN"]
        answer = unify("select * from shop.orders")
        assert answer.exit_status == 2
        for word in ("shop", "token", "SHOP_TOKEN"):
            assert word in answer.stderr
        assert shop.request_targets == []

    @pytest.mark.parametrize(("status", "words"), [(401, "token"), (403, "403"), (404, "404"), (422, "422")])
    def test_a_refused_request_names_status_and_path_without_the_token(
        self, unify: UnifyCommand, shop: FaultServer, status: int, words: str
    ) -> None:
        shop.serve("/orders", MockResponse.error(status, "no such luck"))
        answer = unify("select * from shop.orders")
        assert answer.exit_status == 1
        assert words in answer.stderr
        assert "/orders" in answer.stderr
        assert "s3cret-canary" not in answer.stderr
        assert count_order_requests(shop) == 1
        assert "not loaded" in unify("show tables").stdout or "failed" in unify("show tables").stdout

    def test_an_unreachable_server_is_named(self, unify: UnifyCommand, shop: FaultServer) -> None:
        with FaultServer() as gone:
            url = gone.url
        unify.write_connections(connection("shop", url))
        answer = unify("select * from shop.orders")
        assert answer.exit_status == 1
        assert f"cannot connect to {url} (connection refused)" in answer.stderr

    def test_an_invalid_spec_leaves_other_connections_working(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        bad = SPEC.replace("request: GET /orders\n", "requst: GET /orders\n", 1).replace(
            "name: shop", "name: bad"
        )
        (unify.home / "specs" / "bad.yaml").write_text(bad, encoding="utf-8")
        unify.write_connections(
            connection("shop", shop.url) + "bad: {adapter: bad, options: {base_url: http://x}}\n"
        )
        assert unify("count shop.orders").single_value == "3"
        answer = unify("select * from bad.orders")
        assert answer.exit_status == 2
        mistakes = answer.stderr.splitlines()
        assert len(mistakes) == len(set(mistakes)) > 1, "each mistake is reported once"
        assert "bad.yaml:10:5: tables.orders.requst: unknown key; did you mean request?" in answer.stderr
        assert "requst" in unify("show connections").stdout

    def test_a_failed_reload_keeps_the_stored_rows(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("count shop.orders").single_value == "3"
        shop.serve(
            "/orders", MockResponse.json(ORDERS[0]), MockResponse.text("<html>down for maintenance</html>")
        )
        answer = unify("reload table shop.orders")
        assert answer.exit_status == 1, answer
        assert unify("count shop.orders").single_value == "3"

    def test_a_connections_file_that_others_can_read_causes_a_warning(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        (unify.home / "connections.yaml").chmod(0o644)
        answer = unify("count shop.orders")
        assert answer.single_value == "3"
        assert "chmod 600" in answer.stderr


class TestCommands(SharedDaemon):
    def test_count_load_refresh_reload_clear(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("load table shop.orders").exit_status == 0
        assert unify("count shop.orders").single_value == "3"
        shop.serve("/orders", pages=[[{"id": 5}]])
        assert unify("refresh table shop.orders").exit_status == 0
        assert unify("count shop.orders").single_value == "1"
        shop.serve("/orders", pages=ORDERS)
        assert unify('RELOAD Table shop."orders" -- again').exit_status == 0
        assert unify("count shop.orders").single_value == "3"
        assert unify("clear table shop.orders").exit_status == 0
        states = {row[1]: row[4] for row in unify("show tables from shop").rows[1:]}
        assert states["orders"] == "not loaded"
        assert unify("count shop.orders").single_value == "3"

    def test_system_tables_can_be_joined(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("load table shop.orders").exit_status == 0
        sql = (
            "select l.status, l.rows_read, j.state from unify.loads l join unify.jobs j on j.uid = l.uid "
            "where l.connection = 'shop'"
        )
        assert unify(sql).rows[1:] == [["success", "3", "done"]]

    def test_a_loaded_table_cannot_be_changed_by_sql(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("load table shop.orders").exit_status == 0
        answer = unify("delete from shop.orders")
        assert answer.exit_status == 1
        assert "create table orders as" in answer.stderr
        assert unify("count shop.orders").single_value == "3"

    def test_show_and_describe(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert [row[0] for row in unify("show connections").rows[1:]] == ["shop"]
        assert {"shop", "main", "unify"} <= {row[0] for row in unify("show schemas").rows[1:]}
        assert [row[1] for row in unify("show tables from shop").rows[1:]] == ["orders", "customers", "lines"]
        assert unify("load table shop.orders").exit_status == 0
        assert unify("describe shop.orders").rows[1:] == [
            ["id", "BIGINT", ""],
            ["customer_name", "VARCHAR", ""],
        ]
        assert unify("show columns from shop.orders like 'cust%'").rows[1:] == [
            ["customer_name", "VARCHAR", ""]
        ]

    def test_a_running_load_is_cancelled(self, unify: UnifyCommand, shop: FaultServer) -> None:
        gate = threading.Event()
        shop.serve("/orders", respond_after(gate, shop, "/orders", ORDERS))
        with unify.start("-c", "load table shop.orders") as waiting:
            wait_for_request(shop, "/orders")
            job = unify("select max(job) from unify.jobs").single_value
            assert unify(f"system cancel {job}").exit_status == 0
            assert waiting.wait(30) == 1
            assert "cancelled" in (waiting.stderr.read() if waiting.stderr else "")
        gate.set()

    def test_a_failed_job_is_retried(self, unify: UnifyCommand, shop: FaultServer) -> None:
        shop.serve("/orders", MockResponse.error(422), *(MockResponse.json(page) for page in [*ORDERS, []]))
        assert unify("load table shop.orders").exit_status == 1
        job = unify("select max(job) from unify.jobs").single_value
        assert unify(f"system retry {job}").exit_status == 0
        assert unify("count shop.orders").single_value == "3"
        assert unify(f"system retry {job}").exit_status == 0
        assert unify("system retry 999").exit_status == 1

    def test_a_schedule_is_set_and_removed(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("refresh table shop.orders every 15 minutes").exit_status == 0
        assert unify("refresh table shop.orders never").exit_status == 0

    def test_no_wait_reports_that_the_load_continues(self, unify: UnifyCommand, shop: FaultServer) -> None:
        answer = unify("select * from shop.orders", args=["--no-wait"])
        assert answer.exit_status == 1
        assert "on its way" in answer.stderr

    def test_max_age_zero_refreshes_the_table(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert unify("count shop.orders").single_value == "3"
        shop.serve("/orders", pages=[[{"id": 1}]])
        assert unify("count shop.orders", args=["--max-age", "none"]).single_value == "3"
        assert unify("count shop.orders", args=["--max-age", "0"]).single_value == "1"


def respond_after(
    gate: threading.Event, api: FaultServer, path: str, pages: list[list[dict[str, object]]]
) -> Callable[[RecordedRequest], MockResponse]:
    """Return a responder that serves ``pages`` once the gate is open."""

    def respond(request: RecordedRequest) -> MockResponse:
        gate.wait(60)
        number = int(request.query.get("page", "1")) - 1
        return MockResponse.json(pages[number] if number < len(pages) else [])

    return respond


def wait_for_request(api: FaultServer, path: str) -> None:
    """Wait for a request of ``path``."""
    wait_until(lambda: any(request.path == path for request in api.requests))


def daemon_pid(unify: UnifyCommand) -> int:
    """Return the process id that ``daemon status`` prints."""
    text = unify.run("daemon", "status").stdout
    return int(text.split("pid ")[1].split()[0].strip(",)"))


class TestRetryAll(SharedDaemon):
    def test_loads_every_table_whose_last_load_failed(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert "no load to retry" in unify("system retry all").stderr
        for path, rows in {"/orders": ORDERS[0], "/customers": [{"id": 7}]}.items():
            shop.serve(path, MockResponse.error(422), MockResponse.json(rows), MockResponse.json([]))
            assert unify(f"load table shop.{path.strip('/')}").exit_status == 1
        retried = unify("system retry all").stderr
        assert re.search(
            r"2 loads queued again: shop.orders \(job \d+\), shop.customers \(job \d+\)", retried
        )
        assert unify("count shop.orders").single_value == "2"
        assert unify("count shop.customers").single_value == "1"


class TestAPausedConnection(SharedDaemon):
    def test_is_not_loaded_until_it_is_resumed(self, unify: UnifyCommand, shop: FaultServer) -> None:
        assert "shop is paused" in unify("pause SHOP").stderr
        refused = unify("select * from shop.orders")
        assert refused.exit_status == 1
        assert "shop.orders: the loads of shop are paused since" in refused.stderr
        assert "resume shop" in refused.stderr
        assert count_order_requests(shop) == 0
        assert "shop is resumed" in unify("resume shop").stderr
        assert unify("count shop.orders").single_value == "3"

    def test_still_answers_from_its_stored_rows(self, unify: UnifyCommand, shop: FaultServer) -> None:
        unify("load table shop.orders")
        unify("pause shop.orders")
        requests = count_order_requests(shop)
        assert unify("count shop.orders").single_value == "3"
        refused = unify.run("--max-age", "0", "-c", "count shop.orders")
        assert refused.exit_status == 1
        assert "resume shop.orders" in refused.stderr
        assert count_order_requests(shop) == requests

    def test_a_statement_does_not_wait_for_a_paused_parent(
        self, unify: UnifyCommand, shop: FaultServer
    ) -> None:
        unify("pause shop.orders")
        refused = unify("load table shop.lines")
        assert refused.exit_status == 1
        assert "waits, because shop.orders is paused: resume shop.orders" in refused.stderr
        assert count_order_requests(shop) == 0

    def test_is_listed(self, unify: UnifyCommand, shop: FaultServer) -> None:
        unify("load table shop.orders")
        unify("pause shop")
        assert "Paused: shop (resume NAME)" in unify("system status").stdout
        connections = unify("select state, problem from unify.connections where name = 'shop'").rows[1]
        assert connections[0] == "paused"
        assert connections[1].endswith("(resume shop)")
        tables = unify("select distinct state from unify.tables where schema = 'shop'").rows[1:]
        assert tables == [["paused"]]

    def test_is_found_by_either_name(self, unify: UnifyCommand, shop: FaultServer) -> None:
        unify("pause shop")
        unknown = unify("resume shop.orders")
        assert unknown.exit_status == 1
        assert "shop.orders is not paused; its connection is: resume shop" in unknown.stderr
        assert "shop is paused already" in unify("pause shop").stderr
        assert "did you mean shop?" in unify("pause shp").stderr
        assert unify("pause shop.nope").exit_status == 1


class TestAVersionThatLosesMostRows(SharedDaemon):
    @pytest.fixture
    def held(self, unify: UnifyCommand, shop: FaultServer) -> CommandResult:
        """The result of a reload that brings no rows to a table of 30."""
        rows = [{"id": number} for number in range(30)]
        shop.serve("/customers", MockResponse.json(rows), MockResponse.json([]), MockResponse.json([]))
        assert unify("count shop.customers").single_value == "30"
        return unify("reload table shop.customers")

    def test_is_held_back(self, unify: UnifyCommand, held: CommandResult) -> None:
        assert held.exit_status == 1
        assert "the new version is held back: it has no rows, the stored version 30" in held.stderr
        assert unify("count shop.customers").single_value == "30"
        states = "select state from unify.tables where schema = 'shop' and \"table\" = 'customers'"
        assert unify(states).single_value == "held back"

    def test_is_published_when_it_is_accepted(
        self, unify: UnifyCommand, shop: FaultServer, held: CommandResult
    ) -> None:
        assert held.exit_status == 1
        unify.stop_daemon()  # the staged rows survive the daemon
        requests = len(shop.requests)
        accepted = unify("accept table shop.customers")
        assert accepted.exit_status == 0, accepted
        assert unify("count shop.customers").single_value == "0"
        assert len(shop.requests) == requests
        again = unify("accept table shop.customers")
        assert "no version is held back" in again.stderr

    def test_is_replaced_by_a_later_complete_load(
        self, unify: UnifyCommand, shop: FaultServer, held: CommandResult
    ) -> None:
        assert held.exit_status == 1
        shop.serve("/customers", pages=[[{"id": number} for number in range(28)]])
        assert unify("reload table shop.customers").exit_status == 0
        assert unify("count shop.customers").single_value == "28"
        assert unify("accept table shop.customers").exit_status == 1


SHARED = """\
  - name: zones
    request: GET /zones
    rows: zones
    key: id
  - name: records
    shares: zones
    rows: records
    key: id
"""


@pytest.fixture
def zones(unify: UnifyCommand, api: FaultServer) -> FaultServer:
    """A connection with two tables of one request, whose responses have a version."""
    connect_shop(unify, api, SPEC_WITHOUT_TOKEN + SHARED)

    def respond(_request: RecordedRequest) -> MockResponse:
        version = len(api.requests)
        return MockResponse.json({"zones": [{"id": 1, "v": version}], "records": [{"id": 2, "v": version}]})

    api.serve("/zones", respond)
    return api


def test_one_statement_on_two_tables_of_one_request_asks_the_api_once(
    unify: UnifyCommand, zones: FaultServer
) -> None:
    assert unify("select zones.v, records.v from shop.zones, shop.records").rows[1:] == [["1", "1"]]
    assert len(zones.requests) == 1


def test_two_shells_and_a_schedule_ask_for_two_tables_of_one_request_once(
    unify: UnifyCommand, zones: FaultServer
) -> None:
    unify("system start daemon")
    with (
        unify.start("-q", "-c", "select v from shop.zones") as one,
        unify.start("-q", "-c", "select v from shop.records") as other,
    ):
        assert [process.communicate(timeout=60)[0].split()[-1] for process in (one, other)] == ["1", "1"]
    assert len(zones.requests) == 1
    for table in ("zones", "records"):
        assert unify(f"refresh table shop.{table} every 1 hour").exit_status == 0
    with Queue(Settings(unify.home, unify.home / "connections.yaml").queue) as queue:
        for schedule in queue.schedules():
            queue.set_schedule(replace(schedule, next_at=datetime.now(UTC)))
    wait_until(lambda: len(zones.requests) == 2)
    versions = "select zones.v || ' ' || records.v as v from shop.zones, shop.records"
    wait_until(lambda: unify(versions).single_value == "2 2")
    assert len(zones.requests) == 2
