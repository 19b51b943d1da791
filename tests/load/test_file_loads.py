"""Loads of tables of files: all of them, or only new and changed ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.source_home import SourceHome
from unify.config.settings import Settings
from unify.model import Action

pytestmark = pytest.mark.lake

INCREMENTAL = "{orders: {files: 'orders/*.csv', incremental: files}}"


class Folder(SourceHome):
    """A folder of CSV files as connection ``shop``."""

    def use(self, tables: str) -> None:
        self.configure(f"{{adapter: files, options: {{folder: '{self.folder}'}}, tables: {tables}}}")

    @property
    def folder(self) -> Path:
        return self.settings.home / "exports"

    def write(self, name: str, *rows: str) -> None:
        path = self.folder / "orders" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["id,status", *rows]) + "\n", encoding="utf-8")

    def orders(self) -> list[tuple[object, ...]]:
        return self.rows("select id, status from shop.orders order by all")


@pytest.fixture
def shop(settings: Settings) -> Iterator[Folder]:
    home = Folder(settings)
    home.write("a.csv", "1,open", "2,paid")
    home.write("b.csv", "3,open")
    home.use(INCREMENTAL)
    yield home
    home.close()


def test_a_load_reads_every_file(shop: Folder) -> None:
    record = shop.publish("orders")
    assert (record.rows_total, len(record.cursor)) == (3, 2)
    assert shop.orders() == [(1, "open"), (2, "paid"), (3, "open")]


def test_a_refresh_reads_new_files_only(shop: Folder) -> None:
    shop.publish("orders")
    shop.write("c.csv", "4,new")
    record = shop.refresh("orders")
    assert (record.action, record.rows_read, record.rows_inserted, record.rows_total) == ("refresh", 1, 1, 4)
    assert len(record.cursor) == 3


def test_a_refresh_without_changes_reads_nothing(shop: Folder) -> None:
    before = shop.publish("orders")
    record = shop.refresh("orders")
    assert (record.rows_read, record.rows_total, record.cursor) == (0, 3, before.cursor)


def test_a_changed_file_replaces_its_rows(shop: Folder) -> None:
    shop.publish("orders")
    shop.write("a.csv", "1,sent", "2,paid", "5,new and longer")
    record = shop.refresh("orders")
    assert (record.rows_deleted, record.rows_inserted) == (2, 3)
    assert shop.orders() == [(1, "sent"), (2, "paid"), (3, "open"), (5, "new and longer")]


def test_the_rows_of_a_vanished_file_stay_unless_merge_delete_is_set(shop: Folder) -> None:
    shop.publish("orders")
    (shop.folder / "orders" / "b.csv").unlink()
    assert shop.refresh("orders").rows_total == 3
    shop.use("{orders: {files: 'orders/*.csv', incremental: files, refresh: {strategy: merge_delete}}}")
    record = shop.refresh("orders")
    assert shop.orders() == [(1, "open"), (2, "paid")], record.reason


def test_a_file_with_another_type_is_read_with_all_others(shop: Folder) -> None:
    shop.publish("orders")
    shop.write("c.csv", "x4,new")
    record = shop.refresh("orders")
    assert record.action == "reload"
    assert shop.orders() == [("1", "open"), ("2", "paid"), ("3", "open"), ("x4", "new")]


def test_without_incremental_every_refresh_reads_everything(shop: Folder) -> None:
    shop.use("{orders: 'orders/*.csv'}")
    shop.publish("orders")
    shop.write("c.csv", "4,new")
    assert shop.refresh("orders").rows_read == 4
    assert shop.publish("orders", Action.RELOAD).rows_total == 4
