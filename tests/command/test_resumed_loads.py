"""A long load that is killed or fails goes on where it broke, in a real daemon and its workers."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from tests.support.command import UnifyCommand, is_daemon_running
from tests.support.fault_server import FaultServer, MockResponse, RecordedRequest
from tests.support.stores import settings_for_home
from tests.support.waiting import wait_until
from unify.model import JobState, LoaderJob
from unify.queue.queue import Queue
from unify.status.instance import holder_pid

PARENTS = 40
SPEC = """\
name: shop
base_url: "{base_url}"
options: {base_url: {}}
paging: {type: none}
limits: {concurrency: 1}
tables:
  - {name: orders, request: GET /orders, key: id}
  - name: lines
    request: GET /orders/{order_id}/lines
    for_each: select id as order_id from orders
    columns: {order_id: {from: "{order_id}"}}
    key: [order_id, sku]
"""


class Shop:
    """An API with two lines of each order; it counts requests, and can hold or refuse some."""

    def __init__(self, api: FaultServer) -> None:
        self.requests: Counter[int] = Counter()
        self.refused: set[int] = set()
        self.held_from = PARENTS
        self.delay_s = 0.0
        self.gate = threading.Event()
        api.serve("/orders", MockResponse.json([{"id": order} for order in range(PARENTS)]))
        for order in range(PARENTS):
            api.serve(f"/orders/{order}/lines", partial(self._respond, order))

    def _respond(self, order: int, _request: RecordedRequest) -> MockResponse:
        self.requests[order] += 1
        threading.Event().wait(self.delay_s)
        if order >= self.held_from:
            self.gate.wait(60)
        if order in self.refused:
            return MockResponse.error(400, "no")
        return MockResponse.json([{"sku": f"{order}-{n}", "price": n / 4} for n in range(2)])

    def has_answered(self, requests: int, unify: UnifyCommand) -> bool:
        """Whether so many requests have come, or the load has ended."""
        return self.requests.total() >= requests or not lines_job(unify).state.active


@pytest.fixture
def unify(shared_unify: UnifyCommand, api: FaultServer) -> UnifyCommand:
    return connect(shared_unify, api)


def connect(unify: UnifyCommand, api: FaultServer) -> UnifyCommand:
    specs = unify.home / "specs"
    specs.mkdir(exist_ok=True)
    (specs / "shop.yaml").write_text(SPEC)
    unify.environment["UNIFY_SPECS"] = str(specs)
    unify.write_connections(f"shop:\n  adapter: shop\n  options: {{base_url: '{api.url}'}}\n")
    return unify


@pytest.fixture
def shop(api: FaultServer) -> Shop:
    return Shop(api)


def lines_job(unify: UnifyCommand) -> LoaderJob:
    with Queue(unify.home / "queue.db") as queue:
        return _last_lines_job(queue)


def _last_lines_job(queue: Queue) -> LoaderJob:
    return next(job for job in queue.recent_jobs(10) if job.table.table == "lines")


def wait_for_end(unify: UnifyCommand) -> LoaderJob:
    with Queue(unify.home / "queue.db") as queue:
        wait_until(lambda: not _last_lines_job(queue).state.active)
        return _last_lines_job(queue)


def assert_complete(unify: UnifyCommand) -> None:
    counts = "select count(*), count(distinct sku), count(distinct order_id), sum(price) from shop.lines"
    assert unify(counts).rows[1] == ["80", "80", "40", "10.0"]


def load_reason(unify: UnifyCommand) -> str:
    loads = "select reason from unify.loads where \"table\" = 'lines' order by finished_at desc limit 1"
    return unify(loads).rows[1][0]


def kill_daemon(unify: UnifyCommand) -> None:
    text = unify.run("daemon", "status").stdout
    os.kill(int(text.split("pid ")[1].split()[0].strip(",)")), signal.SIGKILL)
    wait_until(lambda: not is_daemon_running(unify.home))


def test_the_next_daemon_reads_only_what_the_killed_one_had_not(unify: UnifyCommand, shop: Shop) -> None:
    shop.held_from = 33
    assert unify("load table shop.lines", args=["--no-wait"]).exit_status == 0
    wait_until(lambda: shop.requests[33] > 0)
    kill_daemon(unify)
    shop.gate.set()
    shop.gate = threading.Event()

    assert unify("system start daemon").exit_status == 0
    wait_until(lambda: "resumed after 33 of 40 parents" in unify("system status").stdout)
    shop.gate.set()

    assert wait_for_end(unify).state is JobState.DONE
    assert {order for order, count in shop.requests.items() if count > 1} == {33}
    assert_complete(unify)
    assert "resumed after 33 of 40 parents" in load_reason(unify)
    assert not list((unify.home / "staging").glob("*/*"))


def test_workers_that_are_killed_again_and_again_complete_the_load(unify: UnifyCommand, shop: Shop) -> None:
    """Each worker dies after six pages: three crashes would end a load that makes no progress."""
    unify.stop_daemon()  # the next one and its workers have the failpoint
    unify.environment["UNIFY_FAILPOINT"] = "loader.page:kill@7"
    unify("load table shop.lines", args=["--no-wait"])
    job = wait_for_end(unify)
    assert (job.state, job.error) == (JobState.DONE, "")
    assert job.attempt >= 6
    assert max(shop.requests.values()) <= 2
    assert_complete(unify)
    unify.stop_daemon()


def test_system_retry_goes_on_and_reload_starts_anew(unify: UnifyCommand, shop: Shop) -> None:
    shop.refused = {37}
    failed = unify("load table shop.lines")
    assert failed.exit_status == 1
    job = lines_job(unify)
    assert job.state is JobState.FAILED
    unify("system restart daemon")
    shop.refused = set()
    before = shop.requests.copy()

    assert unify(f"system retry {job.id}").exit_status == 0
    assert wait_for_end(unify).state is JobState.DONE
    assert set(shop.requests - before) == {37, 38, 39}
    assert_complete(unify)
    assert "resumed after 37 of 40 parents" in load_reason(unify)

    before = shop.requests.copy()
    assert unify("reload table shop.lines").exit_status == 0
    assert len(shop.requests - before) == PARENTS
    assert "resumed" not in load_reason(unify)


def test_a_new_load_after_a_failed_one_reads_everything(unify: UnifyCommand, shop: Shop) -> None:
    shop.refused = {37}
    assert unify("load table shop.lines").exit_status == 1
    shop.refused = set()
    before = shop.requests.copy()
    assert unify("reload table shop.lines").exit_status == 0
    assert len(shop.requests - before) == PARENTS
    assert_complete(unify)


def test_a_cancelled_load_starts_anew(unify: UnifyCommand, shop: Shop) -> None:
    shop.held_from = 20
    unify("load table shop.lines", args=["--no-wait"])
    wait_until(lambda: shop.requests[20] > 0)
    job = lines_job(unify)
    assert unify(f"system cancel {job.id}").exit_status == 0
    assert wait_for_end(unify).state is JobState.CANCELLED
    shop.gate.set()
    assert unify(f"system retry {job.id}").exit_status == 0
    assert wait_for_end(unify).state is JobState.DONE
    assert shop.requests[0] == 2
    assert_complete(unify)


def test_pages_without_end_are_ended_and_the_limit_is_named(unify: UnifyCommand, api: FaultServer) -> None:
    def respond(request: RecordedRequest) -> MockResponse:
        number = int(request.query.get("after", -1)) + 1
        rows = [{"id": 10 * number + n} for n in range(10)]
        return MockResponse.json({"rows": rows, "next": f"{api.url}/orders?after={number}"})

    api.serve("/orders", respond)
    spec = unify.home / "specs" / "shop.yaml"
    spec.write_text(spec.read_text().replace("paging: {type: none}", "paging: {type: next_url, path: next}"))
    connection = f"shop:\n  adapter: shop\n  options: {{base_url: '{api.url}'}}\n  limits: {{rows: 500}}\n"
    unify.write_connections(connection)

    result = unify("load table shop.orders")

    assert result.exit_status == 1
    assert "shop.orders: the load has read 510 rows; the limit is 500 rows (" in result.stderr
    assert "connections.yaml:4: shop.limits.rows)" in result.stderr
    with Queue(unify.home / "queue.db") as queue:
        job = queue.recent_jobs(10)[0]
    assert (job.state, job.attempt) == (JobState.FAILED, 1)

    unify.write_connections(connection.replace("500", "800"))
    before = len(api.requests)
    assert unify(f"system retry {job.id}").exit_status == 0
    with Queue(unify.home / "queue.db") as queue:
        wait_until(lambda: not queue.get(job.id).state.active)
        assert "810 rows" in queue.get(job.id).error
    assert len(api.requests) - before <= 40


class Killer:
    """Kills the daemon or a worker, pauses and resumes, backs up; at random, while a load goes on."""

    def __init__(self, unify: UnifyCommand, rng: random.Random, archive: Path) -> None:
        self.unify = unify
        self.rng = rng
        self.archive = archive
        self.counts: Counter[str] = Counter()

    def strike(self) -> None:
        action = self.rng.choice(["daemon", "daemon", "worker", "worker", "pause", "backup"])
        pid = holder_pid(settings_for_home(self.unify.home).daemon_lock)
        if pid is None:
            self.unify("system start daemon")
            return
        self.counts[action] += 1
        match action:
            case "daemon":
                self._kill(pid)
                wait_until(lambda: not is_daemon_running(self.unify.home))
                self.unify("system start daemon")
            case "worker":
                for worker in self._children(pid):
                    self._kill(worker)
            case "pause":
                assert self.unify("pause shop.lines", "resume shop.lines").exit_status == 0
            case _:
                assert self.unify.run("backup", str(self.archive), "--force").exit_status == 0

    @staticmethod
    def _kill(pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    @staticmethod
    def _children(pid: int) -> list[int]:
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except FileNotFoundError:
            return []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("rounds", [20])
def test_loads_under_random_kills_store_what_unbroken_ones_store(
    unify: UnifyCommand, shop: Shop, tmp_path: Path, rounds: int
) -> None:
    seed = int(os.environ.get("UNIFY_SEED", random.randrange(10**6)))
    print(f"seed {seed}")
    killer = Killer(unify, random.Random(seed), tmp_path / "home.zip")
    shop.delay_s = 0.05
    assert unify("load table shop.orders").exit_status == 0
    for number in range(rounds):
        shop.requests.clear()
        before = killer.counts.copy()
        assert unify("reload table shop.lines", args=["--no-wait"]).exit_status == 0
        strikes = 0
        while lines_job(unify).state.active:
            goal = shop.requests.total() + killer.rng.randint(3, 12)
            # A worker that dies three times without having read anything ends its job.
            wait_until(partial(shop.has_answered, goal, unify))
            if strikes < 12 and lines_job(unify).state.active:
                killer.strike()
                strikes += 1
        job = lines_job(unify)
        assert job.state is JobState.DONE, (number, job)
        assert_complete(unify)
        kills = sum((killer.counts - before)[kind] for kind in ("daemon", "worker"))
        assert max(shop.requests.values()) <= kills + 1
        loads = f"select count(*) from unify.loads where uid = '{job.uid}' and status = 'success'"
        assert unify(loads).single_value == "1"
    assert not list((unify.home / "staging").glob("*/*"))
    checked = unify.run("lake", "check", "--deep")
    assert checked.exit_status == 0, checked
    print(f"{rounds} loads, {dict(killer.counts)}")
