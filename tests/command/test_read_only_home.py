"""A read-only home folder: stored tables, listings and system tables can be read."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.command import CommandResult, UnifyCommand
from tests.support.paths import CHECKOUT
from tests.support.waiting import wait_until
from unify.model import ConfigPaths, PlannedRow, TableName
from unify.writes.records import NewWrite
from unify.writes.store import WriteStore

_SPEC = """
name: shop
base_url: "{base_url}"
options: {base_url: {description: Address}}
auth: {type: none}
paging: {type: none}
tables:
  - {name: orders, request: GET /orders.json, key: id, refresh: {every: 1 second}}
"""
_REMOUNT = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


@pytest.fixture
def read_only(home: Path, tmp_path: Path) -> Iterator[UnifyCommand]:
    """The command in a home mounted read-only, with a stored table that is out of date."""
    folder = tmp_path / "api"
    folder.mkdir()
    (folder / "orders.json").write_text('[{"id": 1}, {"id": 2}]')
    (folder / "shop.yaml").write_text(_SPEC)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        (home / "connections.yaml").write_text(
            f"shop: {{adapter: shop, options: {{base_url: '{address}'}}}}\n"
        )
        (home / "connections.yaml").chmod(0o600)
        writable = UnifyCommand(home)
        writable.environment |= {"UNIFY_SPECS": str(folder), "PYTHONPATH": str(CHECKOUT)}
        made = writable(
            "select count(*) as orders from shop.orders",
            "create schema mine; create table mine.t as select 42 as a",
        )
        assert (made.exit_status, made.rows) == (0, [["orders"], ["2"]]), made
        with WriteStore(home / "writes.db") as store:
            new = NewWrite("default", TableName("shop", "orders"), "insert", ConfigPaths("c"))
            store.plan(new, [PlannedRow(1, "insert", {"id": 3})], datetime.now(UTC))
        writable.run("daemon", "stop")
        command = ("unshare", "-m", "sh", "-c", _REMOUNT, str(home), *writable.command)
        read_only = UnifyCommand(home, command)
        read_only.environment = writable.environment
        yield read_only
        server.shutdown()


def _cannot_mount() -> bool:
    if os.getuid() != 0 or shutil.which("unshare") is None:
        return True
    probe = "mount --bind /tmp /tmp && mount -o remount,ro,bind /tmp"
    return subprocess.run(["unshare", "-m", "sh", "-c", probe], capture_output=True).returncode != 0


@pytest.mark.skipif(_cannot_mount(), reason="a read-only mount needs root and unshare")
def test_a_read_only_home_can_be_read_and_refuses_writes(read_only: UnifyCommand) -> None:
    answers: list[CommandResult] = []

    def is_stale() -> bool:
        """The notice appears once the table is older than its interval of one second."""
        answers.append(read_only("select count(*) from shop.orders"))
        assert answers[-1].single_value == "2"
        return "cannot be refreshed: " in answers[-1].stderr

    wait_until(is_stale)
    assert "Read-only file system" in answers[-1].stderr
    read = read_only("select a from mine.t", "select count(*) >= 1 as jobs from unify.jobs")
    assert read.rows == [["a"], ["42"], ["jobs"], ["true"]], read
    assert read_only("show writes").rows[1][1:4] == ["shop.orders", "insert", "planned"]
    listings = ("show tables", "show jobs", "show schedules", "system status", "describe mine.t")
    assert read_only(*listings).exit_status == 0
    for statement in ("create table mine.u as select 1 as a", "reload table shop.orders"):
        refused = read_only(statement)
        assert refused.exit_status == 1
        assert "unexpected error" not in refused.stderr
