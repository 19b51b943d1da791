"""Stored rows of a table that a statement has changed at its database are not the answer of any session."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from msgspec.structs import replace

import unify
from tests.support.source_home import SourceHome
from tests.support.stores import settings_for_home
from unify.load.protocol import TaskStatus
from unify.model import Action
from unify.status.launch import is_daemon_running

COUNT = "select count(*) from shop.orders"


@pytest.mark.lake
def test_every_session_reads_a_changed_table_from_its_database_until_it_is_loaded_again(
    tmp_path: Path,
) -> None:
    database = tmp_path / "shop.duckdb"
    with duckdb.connect(str(database)) as shop:
        shop.execute("CREATE TABLE orders AS SELECT 1 AS id")
    home = SourceHome(settings_for_home(tmp_path / "home"))
    home.configure(f"{{adapter: duckdb, writable: true, options: {{path: '{database}'}}}}")
    home.publish("orders")

    def run(sql: str) -> list[tuple[object, ...]]:
        with unify.open(home.settings.home, connections=home.settings.connections, wait=False) as session:
            return session.execute(sql).fetchall()

    with duckdb.connect(str(database)) as shop:
        shop.execute("INSERT INTO orders VALUES (2)")
    assert run(COUNT) == [(1,)]  # the stored rows
    run("pause shop.orders")  # so that no daemon loads it again
    run("insert into shop.orders values (3)")
    assert run(COUNT) == [(3,)]
    home.publish("orders")
    with duckdb.connect(str(database)) as shop:
        shop.execute("INSERT INTO orders VALUES (4)")
    assert run(COUNT) == [(3,)]

    # A load that reads before the next write, and is published after it.
    job = replace(home.make_job("orders", Action.RELOAD), started_at=datetime.now(UTC))
    assert home.run_load(job).ending is TaskStatus.STAGED
    run("insert into shop.orders values (5)")
    home.publish_staged(job)
    assert run(COUNT) == [(5,)], "the load that was published last has not read the row"
    home.close()
    assert not is_daemon_running(home.settings)
