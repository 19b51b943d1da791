"""``unify check`` of databases: the connection, and whether settings suit the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import open_cursor
from unify.cli.check import check_connections
from unify.config.settings import Settings


@pytest.fixture
def path(settings: Settings) -> Path:
    file = settings.home / "shop.duckdb"
    duck = open_cursor()
    duck.execute(f"ATTACH '{file}' AS checked")
    duck.execute("CREATE TABLE checked.orders (id INTEGER, note VARCHAR, at_ TIMESTAMP)")
    duck.execute("DETACH checked")
    return file


def check(settings: Settings, path: Path, tables: str) -> int:
    settings.connections.write_text(
        f"shop: {{adapter: duckdb, options: {{path: {path}}}, tables: {tables}}}\n"
    )
    settings.connections.chmod(0o600)
    return check_connections(settings, (), {})


def test_a_database_with_suitable_settings_passes(
    settings: Settings, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = "{orders: {key: id, incremental: {cursor: at_}}, main.ORDERS: {mode: stored}}"
    assert check(settings, path, tables) == 0
    assert capsys.readouterr().out.startswith("shop: ok, as 1 tables of")


def test_each_setting_that_does_not_suit_its_table_is_named(
    settings: Settings, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = "{orders: {incremental: {cursor: note}}, order: {mode: stored}}"
    assert check(settings, path, tables) == 1
    printed = capsys.readouterr().out
    assert f"{settings.connections}:1: shop.tables.orders.incremental.cursor: note is VARCHAR" in printed
    assert "shop.tables.orders.key: is missing" in printed
    assert "shop.tables.order: there is no such table; did you mean orders?" in printed


def test_a_folder_that_may_be_written_is_written_to(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = settings.home / "box"
    folder.mkdir()
    (folder / "a.csv").write_text("i\n1\n")
    options = "adapter: files, options: {folder: box}"
    tables = "tables: {a: {files: a.csv, incremental: files, refresh: {strategy: merge_delete}}}"
    settings.connections.write_text(f"box: {{{options}, {tables}, writable: true}}\nshut: {{{options}}}\n")
    settings.connections.chmod(0o600)
    assert check_connections(settings, (), {}) == 0
    box, shut = capsys.readouterr().out.splitlines()
    assert box == f"box: ok, as this user in {folder}, writable"
    assert shut == f"shut: ok, as this user in {folder}"
    assert [path.name for path in folder.iterdir()] == ["a.csv"]
    folder.joinpath("a.csv").unlink()
    assert check_connections(settings, ("box",), {}) == 1
    assert "no file matches a.csv" in capsys.readouterr().out
