"""Loads of PostgreSQL whose worker or daemon is cancelled or killed: what server and lake have then."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support.command import clean_environment
from tests.support.daemon_home import DaemonHome
from tests.support.paths import CHECKOUT
from tests.support.postgres_server import PostgresServer
from tests.support.postgres_shop import PostgresShop
from tests.support.waiting import scaled_limit_s
from unify.config.settings import Settings
from unify.model import Action, JobState
from unify.status.launch import is_daemon_running

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]

# A view whose rows come after as many seconds as the table ``delay`` says.
SLOW = (
    "create table delay (seconds float); insert into delay values (60);"
    "create view slow as select i as id, "
    "case when i = 1 then (select pg_sleep(seconds) is null from delay) end as slept "
    "from generate_series(1, 10) as i"
)
RUNNING = (
    "select coalesce(min(split_part(split_part(application_name, ' ', 3), '-', 1)), '') "
    "from pg_stat_activity where state = 'active' and application_name like 'unify shop %' "
    "and query like '%slept%'"
)
FAILPOINTS = (
    "relational.snapshot:kill",
    "relational.part:kill",
    "relational.part:kill@5",
    "loader.staged:kill",
    "staging.before_manifest:kill",
    "staging.sealed:kill",
    "publish.emptied:kill",
    "publish.rows:kill",
    "publish.before_commit:kill",
    "publish.committed:kill",
)
_LOAD = """
import sys
from pathlib import Path
from tests.support.postgres_shop import PostgresShop
from tests.support.stores import settings_for_home
from unify.adapters.database.postgres import bulk as postgres_bulk
from unify.model import Action
postgres_bulk.PART_BYTES = postgres_bulk.MIN_PART_BYTES = 262144
shop = PostgresShop(settings_for_home(Path(sys.argv[1])))
shop.environment["SHOP_PASSWORD"] = sys.argv[2]
shop.jobs = int(sys.argv[3])
shop.publish("big", Action(sys.argv[4]))
"""


class ShopDaemon(DaemonHome):
    """A home with the real daemon and a connection ``shop``."""

    def __init__(self, folder: Path, server: PostgresServer, database: str) -> None:
        super().__init__(folder)
        self.server, self.database = server, database
        options = msgspec.json.encode(server.options(database)).decode()
        self.settings.connections.write_text(f"shop: {{adapter: postgres, options: {options}}}\n")

    def run(self, sql: str) -> str:
        return self.server.run(sql, self.database).strip()

    def wait_for_statement(self, *, running: bool) -> str:
        """Wait until a statement of a load runs or not; return the process id of its worker."""
        deadline = time.monotonic() + scaled_limit_s(30)
        while bool(worker := self.run(RUNNING)) is not running:
            assert time.monotonic() < deadline, worker
        return worker


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    return postgres_server.create_database("recovery")


@pytest.fixture
def daemon(
    tmp_path: Path, postgres_server: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ShopDaemon]:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    home = ShopDaemon(tmp_path, postgres_server, database)
    home.run("drop schema public cascade; create schema public")
    home.run(SLOW)
    yield home
    home.close()


def test_cancelling_a_load_ends_its_statement_at_the_server(daemon: ShopDaemon) -> None:
    daemon.start_daemon()
    job = daemon.enqueue_load("slow", schema="shop")
    daemon.wait_for_statement(running=True)
    began = time.monotonic()
    daemon.queue.cancel(job.id)
    with daemon.client() as client:
        client.poll_queue()
    daemon.wait_for_statement(running=False)
    assert time.monotonic() - began < scaled_limit_s(5)
    assert daemon.wait_for_end(job).state is JobState.CANCELLED


def test_a_killed_worker_leaves_no_statement_at_the_server_and_its_load_is_tried_again(
    daemon: ShopDaemon,
) -> None:
    daemon.start_daemon()
    job = daemon.enqueue_load("slow", schema="shop")
    worker = int(daemon.wait_for_statement(running=True))
    daemon.run("update delay set seconds = 0")
    os.kill(worker, signal.SIGKILL)
    daemon.wait_for_statement(running=False)
    assert daemon.wait_for_end(job).state is JobState.DONE
    assert daemon.count_rows("slow", "shop") == 10


def test_a_killed_daemon_leaves_no_statement_and_the_next_one_loads(daemon: ShopDaemon) -> None:
    pid = daemon.start_daemon()
    job = daemon.enqueue_load("slow", schema="shop")
    daemon.wait_for_statement(running=True)
    os.kill(pid, signal.SIGKILL)
    daemon.wait_for_statement(running=False)
    daemon.run("update delay set seconds = 0")
    daemon.start_daemon()
    assert is_daemon_running(daemon.settings)
    assert daemon.wait_for_end(job).state is JobState.DONE
    assert daemon.count_rows("slow", "shop") == 10


@pytest.fixture
def shop(postgres_server: PostgresServer, database: str, settings: Settings) -> Iterator[PostgresShop]:
    home = PostgresShop(settings)
    home.server, home.database = postgres_server, database
    home.run("drop schema public cascade; create schema public")
    home.fill(30_000)
    yield home
    home.close()


def load_killed_at(shop: PostgresShop, failpoint: str, number: int, action: Action) -> int:
    """Load and publish ``big`` in a process of its own; return its exit status."""
    environment = clean_environment(
        shop.settings.home, {"UNIFY_FAILPOINT": failpoint, "PYTHONPATH": str(CHECKOUT)}
    )
    words = [str(shop.settings.home), shop.environment["SHOP_PASSWORD"], str(number), str(action)]
    return subprocess.run([sys.executable, "-c", _LOAD, *words], env=environment, check=False).returncode


def check_kills(shop: PostgresShop, failpoints: list[str]) -> int:
    """After each kill the table is the old or the new version; the next load stores the new one.

    Returns the number of kills.
    """
    kills = 0
    shop.use("{big: {incremental: {cursor: id}}}")
    shop.publish("big")
    for number, failpoint in enumerate(failpoints):
        old = shop.stored_checksum()
        action = Action.RELOAD if number % 2 == 0 or "emptied" in failpoint else Action.REFRESH
        shop.run("insert into big select max(id) + 1 from big; insert into big select max(id) + 1 from big")
        new = shop.server_checksum()
        status = load_killed_at(shop, failpoint, 100 + number, action)
        killed = status == -signal.SIGKILL
        kills += killed
        assert killed or "@" in failpoint, (failpoint, status)
        expected = (old,) if killed and "committed" not in failpoint else (new,)
        assert shop.stored_checksum() in expected, failpoint
        shop.publish("big", action)
        assert shop.stored_checksum() == new, failpoint
    return kills


def test_a_kill_at_any_step_leaves_the_old_or_the_new_version(shop: PostgresShop) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    assert check_kills(shop, random.Random(seed).sample(FAILPOINTS, 3)) >= 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_kill_at_each_step_leaves_the_old_or_the_new_version(shop: PostgresShop) -> None:
    assert check_kills(shop, list(FAILPOINTS)) >= len(FAILPOINTS) - 1
