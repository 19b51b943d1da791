"""`unify serve` and `unify user` as processes, beside a real daemon."""

from __future__ import annotations

import io
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import uvicorn
import yaml

from tests.support.command import InProcessCommand, UnifyCommand
from tests.support.daemon_home import DaemonHome
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.home_files import find_leaks
from tests.support.monitored_home import fill_home
from tests.support.paths import CHECKOUT
from tests.support.served_home import ServedHome, labels, serve_home
from tests.support.shop import SPEC_WITHOUT_TOKEN, connect_shop
from tests.support.waiting import scaled_limit_s, wait_until
from unify.config.settings import Settings
from unify.errors import StoreError
from unify.model import JobState
from unify.queue.queue import Queue
from unify.servers.event_log import EventLog
from unify.servers.main import ServeOptions, run_servers
from unify.servers.users import UserStore

pytestmark = [pytest.mark.process, pytest.mark.socket]

SPEC = SPEC_WITHOUT_TOKEN + "  - {name: orders, request: GET /orders, key: id}\n"
_EVENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [a-z_]+\.[a-z_]+( [a-z_]+=(\S+|\".*\"))*")


@contextmanager
def serve_process(unify: UnifyCommand, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of `unify serve`, and its address."""
    with unify.start("serve", "--http", "0", *arguments) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert " server.started " in line, line + process.stderr.read()
        yield process, line.partition("address=")[2].partition(" ")[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_server_in_order(unify: UnifyCommand, number: signal.Signals) -> None:
    with serve_process(unify) as (process, address):
        assert requests.get(f"{address}/health", timeout=60).status_code == 503
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=scaled_limit_s(30))
    assert (process.returncode, stdout) == (0, "")
    events = [line.split()[1] for line in stderr.splitlines()]
    assert events == ["server.stop_requested", "server.stopped"]
    assert all(_EVENT.fullmatch(line) for line in stderr.splitlines())


def test_metrics_follow_a_load_by_the_daemon(unify: InProcessCommand, api: FaultServer) -> None:
    connect_shop(unify, api, SPEC)
    api.serve("/orders", MockResponse.json([{"id": 1}, {"id": 2}]))
    settings = Settings(unify.home, unify.home / "connections.yaml")
    with serve_home(settings) as served:
        before = served.metrics()
        assert before["unify_daemon_up"][frozenset()] == 0
        assert api.requests == []  # a scrape loads nothing
        assert not (unify.home / "daemon.lock").exists()  # and starts no daemon
        assert unify("select count(*) from shop.orders").single_value == "2"
        wait_until(lambda: "unify_loads_total" in served.metrics())
        found = served.metrics()
        orders = labels(connection="shop", table="orders")
        assert found["unify_daemon_up"][frozenset()] == found["unify_daemon_responding"][frozenset()] == 1
        assert found["unify_loads_total"][orders | labels(status="success")] == 1
        assert found["unify_table_rows"][orders] == 2
        assert found["unify_requests_total"][labels(connection="shop", code="2xx")] == len(api.requests)
        assert served.get("/health").json() == {
            "status": "ok",
            "reasons": [],
            "daemon": "running",
            "lake": "readable",
            "queue": "readable",
            "tables": {"stored": 1, "failed": 0, "held": 0, "overdue": 0},
        }
        unify.stop_daemon()
        assert served.get("/health").json()["reasons"] == [
            "the daemon is not running; start it with unify daemon start"
        ]
        assert served.metrics()["unify_table_rows"][orders] == 2


def test_a_failed_load_is_counted_and_leaves_the_health_alone(
    unify: InProcessCommand, api: FaultServer
) -> None:
    connect_shop(unify, api, SPEC)
    api.serve("/orders", MockResponse.error(422))
    assert unify("load table shop.orders").exit_status == 1
    with serve_home(Settings(unify.home, unify.home / "connections.yaml")) as served:
        orders = labels(connection="shop", table="orders")
        assert served.metrics()["unify_table_failed"][orders] == 1
        wait_until(
            lambda: served.metrics().get("unify_loads_total", {}).get(orders | labels(status="failed")) == 1
        )
        health = served.get("/health")
        assert (health.status_code, health.json()["tables"]["failed"]) == (200, 1)


def test_a_server_that_ends_by_itself_is_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_server: uvicorn.Server) -> None:
        raise RuntimeError("the loop broke")

    monkeypatch.setattr(uvicorn.Server, "main_loop", fail)
    log = io.StringIO()
    with pytest.raises(StoreError, match="the HTTP server ended by itself; its log has the reason"):
        run_servers(settings, ServeOptions(http="0"), EventLog(log))
    events = [line.split()[1] for line in log.getvalue().splitlines() if line[:2] == "20"]
    assert {"server.started", "server.internal_error"} < set(events)
    assert events[-1] == "server.stopped"
    assert "server.stop_requested" not in events
    assert "the loop broke" in log.getvalue()


def test_two_servers_of_a_home_tell_the_same(settings: Settings) -> None:
    with serve_home(settings) as first, serve_home(settings) as second:
        assert first.port != second.port
        names = [set(one.metrics()) for one in (first, second)]
        assert names[0] == names[1]


def test_a_port_in_use_is_a_sentence(unify: InProcessCommand) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = unify.run("serve", "--http", str(port))
    assert (outcome.exit_status, outcome.stdout) == (2, "")
    assert outcome.stderr == (
        f"--http 127.0.0.1:{port}: the port is in use by another program; choose another port\n"
    )


def test_a_missing_package_is_a_sentence_that_names_the_extra(
    unify_process: UnifyCommand, tmp_path: Path
) -> None:
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError('no', name='starlette')\n")
    unify_process.environment["PYTHONPATH"] = f"{tmp_path}:{CHECKOUT}"
    outcome = unify_process.run("serve", "--http", "0")
    assert outcome.exit_status == 2
    assert outcome.stderr == (
        "serve --http needs the packages starlette, uvicorn and prometheus-client (starlette is missing): "
        "pip install 'unify-sql[serve]'\n"
    )


def test_a_home_that_does_not_exist_is_not_created(unify: InProcessCommand, tmp_path: Path) -> None:
    for words in (["serve", "--http", "0"], ["user", "add", "a"], ["user", "list"]):
        outcome = unify.run(*words, "--home", str(tmp_path / "none"))
        assert outcome.exit_status == 2
        assert "there is no such home folder; name another with --home" in outcome.stderr
    assert not (tmp_path / "none").exists()


def test_users_are_added_listed_and_removed(unify: InProcessCommand) -> None:
    added = unify.run("user", "add", "prometheus")
    assert added.exit_status == 0
    assert re.fullmatch(r"unify\.prometheus\.[\w-]{43}\n", added.stdout)
    assert added.stderr == "user prometheus added as reader; the token is shown once:\n"
    assert unify.run("user", "add", "sync", "--role", "writer").exit_status == 0
    listed = unify.run("user", "list").stdout
    assert re.fullmatch(r"prometheus: reader, added \S+ \S+ UTC\nsync: writer, added \S+ \S+ UTC\n", listed)
    assert (
        unify.run("user", "remove", "sync").stdout == "user sync removed; the token is not valid any more\n"
    )
    assert [user.name for user in UserStore(Settings(unify.home, unify.home)).list_users()] == ["prometheus"]
    again = unify.run("user", "remove", "sync")
    assert (again.exit_status, again.stderr) == (1, "there is no user sync (unify user list)\n")
    assert unify.run("user", "add", "x", "--role", "admin").exit_status == 2
    refused = unify.run("serve", "--postgres", "0.0.0.0:0")
    assert refused.exit_status == 2
    assert refused.stderr.startswith(
        "--postgres 0.0.0.0:0: other machines can connect to this host; this needs --cert"
    )
    assert "--postgres [HOST:]PORT" in unify.run("serve").stderr
    assert unify.run("user").exit_status == 2
    assert unify.run("lake", "check").exit_status == 0


def test_a_suspended_daemon_is_up_and_does_not_respond(daemon_home: DaemonHome) -> None:
    import os

    pid = daemon_home.start_daemon()
    with serve_home(daemon_home.settings) as served:
        os.kill(pid, signal.SIGSTOP)
        try:
            found = served.metrics()
            reasons = served.get("/health").json()["reasons"]
        finally:
            os.kill(pid, signal.SIGCONT)
        assert found["unify_daemon_up"][frozenset()] == 1
        assert found["unify_daemon_responding"][frozenset()] == 0
        assert len(reasons) == 1
        assert "is suspended; resume it with kill -CONT" in reasons[0]


def test_running_jobs_and_waiting_loads_are_counted(daemon_home: DaemonHome) -> None:
    daemon_home.start_daemon()
    job = daemon_home.enqueue_load("hang")
    daemon_home.wait_for_state(job, JobState.RUNNING)
    with serve_home(daemon_home.settings) as served:
        found = served.metrics()
        assert found["unify_queue_jobs"][labels(state="running")] == 1
        assert found["unify_daemon_busy_tasks"][frozenset()] == 1
        assert find_leaks(daemon_home.settings.home) == []


def test_the_server_reads_a_home_that_is_mounted_read_only(unify: UnifyCommand, home: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    remount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    tried = subprocess.run(
        ["unshare", "-m", "sh", "-c", remount, str(home), "true"], capture_output=True, check=False
    )
    if tried.returncode != 0:
        pytest.skip("this user may not mount")
    assert UnifyCommand(home)("create table t as select 1 as a").exit_status == 0
    command = ("unshare", "-m", "sh", "-c", remount, str(home), sys.executable, "-m", "unify")
    read_only = UnifyCommand(home, command)
    with serve_process(read_only) as (process, address):
        text = requests.get(f"{address}/metrics", timeout=60).text
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=scaled_limit_s(30))
    assert "unify_lake_readable 1.0" in text
    assert 'unify_lake_data_files{version="current"} 1.0' in text
    assert "unify_queue_readable 1.0" in text


def test_two_scrapes_at_once_are_both_answered(settings: Settings) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with serve_home(settings) as served, ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: _get(served), range(24)))
    assert set(texts) == {200}


def _get(served: ServedHome) -> int:
    return requests.get(f"{served.address}/metrics", timeout=scaled_limit_s(30)).status_code


def test_the_page_describes_exactly_the_metrics_that_exist(settings: Settings) -> None:
    page = (CHECKOUT / "docs" / "serving.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(unify_\w+)` \|", page, re.MULTILINE))
    with Queue(settings.queue) as queue:
        fill_home(settings, queue)
    with serve_home(settings) as served:
        text = served.get("/metrics").text
    families = set(re.findall(r"^# TYPE (unify_\w+) ", text, re.MULTILINE))
    of_daemon = {name for name in described if name.startswith("unify_daemon_")} | {"unify_loads_waiting"}
    assert families | of_daemon == described
    named = set(re.findall(r"\bunify_[a-z_]+", "\n".join(re.findall(r"expr: (.*)", page))))
    assert len(named) > 8
    assert named <= described


def test_the_alert_rules_and_the_scrape_configuration_of_the_page_are_valid(tmp_path: Path) -> None:
    page = (CHECKOUT / "docs" / "serving.md").read_text(encoding="utf-8")
    scrape, rules = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(yaml.safe_load(rules)["groups"][0]["rules"]) == 9
    (tmp_path / "token").touch()
    scrape = scrape.replace("/etc/prometheus/unify.token", str(tmp_path / "token"))
    assert yaml.safe_load(scrape)["scrape_configs"][0]["job_name"] == "unify"
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "prometheus.yml").write_text(f"rule_files: [rules.yml]\n{scrape}")
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    checked = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
