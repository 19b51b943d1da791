"""Starting the daemon while a new lake is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from unify.config.settings import Settings
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.query.early_start import EarlyStart
from unify.lake.lake import Lake
from unify.model import TableName
from unify.status.launch import is_daemon_running, stop_daemon

SPEC = """\
name: shop
base_url: "http://127.0.0.1:9"
options: {token: {secret: true, required: true}}
auth: {type: bearer, token: "{token}"}
tables:
  - {name: orders, request: GET /orders, key: id}
  - {name: search, request: GET /search, live: {cache: 60 seconds}}
views:
  - {name: open_orders, query: select * from orders}
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(tmp_path / "home", tmp_path / "connections.yaml", (tmp_path / "specs",))
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "shop.yaml").write_text(SPEC, encoding="utf-8")
    settings.connections.write_text("shop: {adapter: shop, options: {token: '${SHOP_TOKEN}'}}\n", "utf-8")
    settings.connections.chmod(0o600)
    yield settings
    if settings.home.exists():
        stop_daemon(settings)


def starts_daemon(settings: Settings, table: str, token: str | None = "s3cret-canary") -> bool:
    environment = {} if token is None else {"SHOP_TOKEN": token}
    start = EarlyStart(settings, ConnectionCatalog(settings, environment, lambda _text: None))
    schema, _, name = table.rpartition(".")
    start.begin([TableName(schema, name)], lambda: None)
    start.wait()
    return settings.home.exists() and is_daemon_running(settings)


@pytest.mark.process
@pytest.mark.parametrize("table", ["shop.orders", "SHOP.Orders", "shop.open_orders"])
def test_a_table_to_load_in_a_home_without_a_lake_starts_the_daemon(home: Settings, table: str) -> None:
    assert starts_daemon(home, table)


@pytest.mark.parametrize("table", ["orders", "main.orders", "shop.search", "shop.nothing"])
def test_other_tables_start_no_daemon(home: Settings, table: str) -> None:
    assert not starts_daemon(home, table)


def test_a_missing_secret_starts_no_daemon(home: Settings) -> None:
    assert not starts_daemon(home, "shop.orders", token=None)


def test_an_unreadable_configuration_starts_no_daemon(home: Settings) -> None:
    home.connections.write_text("shop: [", "utf-8")
    assert not starts_daemon(home, "shop.orders")


@pytest.mark.lake
def test_a_home_with_a_lake_starts_no_daemon(home: Settings) -> None:
    home.create_folders()
    with Lake(home):
        assert not starts_daemon(home, "shop.orders")
