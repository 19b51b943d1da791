"""The key `tables` of a connection."""

from __future__ import annotations

from pathlib import Path

import pytest

from unify.config.connection_tables import TableSettings
from unify.config.connections import Connection, load_connections

SHOP = """shop:
  adapter: postgres
  options: {host: db, schemas: [public, sales]}
  tables:
%s
  writable: true
"""


def read(path: Path, tables: str) -> Connection:
    path.write_text(SHOP % tables)
    path.chmod(0o600)
    found = load_connections(path)
    if found.errors:
        raise found.errors["shop"]
    return found.by_name["shop"]


def test_a_table_has_its_settings(tmp_path: Path) -> None:
    connection = read(
        tmp_path / "connections.yaml",
        "    sales.orders: {mode: stored, key: id, incremental: {cursor: updated_at, lookback: 5 minutes},"
        " refresh: {every: 15 minutes, strategy: merge}}\n"
        "    lines: {key: [order_id, line]}",
    )
    assert connection.tables == {
        "sales.orders": TableSettings(
            mode="stored",
            key=("id",),
            cursor="updated_at",
            lookback_s=300,
            every_s=900,
            strategy="merge",
        ),
        "lines": TableSettings(key=("order_id", "line")),
    }
    assert connection.writable
    assert connection.options["schemas"] == "public, sales"
    assert connection.lists == {"schemas"}


def test_files_have_a_pattern_and_a_format(tmp_path: Path) -> None:
    connection = read(
        tmp_path / "connections.yaml",
        "    orders: 'orders/*.parquet'\n"
        "    events: {files: 'e/*.csv.gz', format: CSV, incremental: files, columns: {id: BIGINT},"
        " csv: {delimiter: ';'}}",
    )
    assert connection.tables == {
        "orders": TableSettings(files="orders/*.parquet"),
        "events": TableSettings(
            files="e/*.csv.gz", format="csv", by_files=True, columns={"id": "BIGINT"}, csv={"delimiter": ";"}
        ),
    }


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ("    orders: {mod: stored}", "shop.tables.orders.mod: unknown key; did you mean mode?"),
        ("    orders: {mode: cached}", "shop.tables.orders.mode: 'cached' is not known; it is one of live"),
        ("    orders: {incremental: {lookback: 1 day}}", "shop.tables.orders.incremental: cursor is missing"),
        ("    orders: {incremental: {cursor: c, lookback: soon}}", "shop.tables.orders.incremental.lookback"),
        ("    orders: [a]", "shop.tables.orders: expected a mapping"),
        ("    orders: {refresh: {every: x}}", "connections.yaml:5:31: shop.tables.orders.refresh.every"),
        ("    orders: {key: [[a]]}", "shop.tables.orders.key: expected a column or a list of columns"),
        ("    orders: {csv: {sep: ';'}}", "shop.tables.orders.csv.sep: unknown key"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, tables: str, expected: str) -> None:
    from unify.errors import ConfigError

    with pytest.raises(ConfigError) as error:
        read(tmp_path / "connections.yaml", tables)
    assert expected in error.value.message
