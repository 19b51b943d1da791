"""Loads of tables of a DuckDB file: what is stored, by action, settings and columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.database import open_cursor
from tests.support.source_home import SourceHome
from unify.config.settings import Settings
from unify.errors import ConfigError, LoadFailed, OutOfMemory, SourceError, UnifyError, UnknownName
from unify.lake.lake import Lake
from unify.load.loader import TableLoader
from unify.load.protocol import TaskStatus, make_task
from unify.load.staging import StagingArea
from unify.load.worker import Reporter
from unify.model import Action

pytestmark = pytest.mark.lake

FIRST_ROWS = (
    "create table orders (id integer primary key, status varchar, updated_at timestamp with time zone)",
    "insert into orders values (1, 'open', '2026-01-01 00:00:00+00'), (2, 'paid', '2026-01-02 00:00:00+00')",
)
INCREMENTAL = "{orders: {key: id, incremental: {cursor: updated_at}}}"


class Shop(SourceHome):
    """A DuckDB file as connection ``shop``."""

    @property
    def path(self) -> Path:
        return self.settings.home / "shop.duckdb"

    def run(self, *statements: str) -> None:
        with open_cursor() as duck:
            duck.execute(f"ATTACH '{self.path}' AS source")
            duck.execute("USE source")
            for statement in statements:
                duck.execute(statement)
            duck.execute("USE memory")
            duck.execute("DETACH source")

    def use(self, tables: str = "{}", more: str = "") -> None:
        self.configure(f"{{adapter: duckdb, options: {{path: '{self.path}'}}, tables: {tables}{more}}}")

    def orders(self) -> list[tuple[object, ...]]:
        return self.rows("select id, status from shop.orders order by all")


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    home = Shop(settings)
    home.run(*FIRST_ROWS)
    home.use()
    yield home
    home.close()


def test_a_load_stores_every_row_with_the_types_of_the_source(shop: Shop) -> None:
    record = shop.publish("orders")
    assert (record.status, record.rows_read, record.rows_total, record.cursor) == ("success", 2, 2, {})
    assert shop.orders() == [(1, "open"), (2, "paid")]
    assert [row[:2] for row in shop.rows("describe shop.orders")] == [
        ("id", "INTEGER"),
        ("status", "VARCHAR"),
        ("updated_at", "TIMESTAMP WITH TIME ZONE"),
    ]


def test_a_refresh_without_a_cursor_reads_everything(shop: Shop) -> None:
    shop.publish("orders")
    shop.run("delete from orders where id = 1", "insert into orders values (3, 'new', null)")
    record = shop.refresh("orders")
    assert (record.rows_read, record.rows_total, record.reason) == (2, 2, "")
    assert shop.orders() == [(2, "paid"), (3, "new")]


def test_a_refresh_reads_from_the_cursor_on_and_merges_by_key(shop: Shop) -> None:
    shop.use(INCREMENTAL)
    assert shop.publish("orders").cursor == {"updated_at": "2026-01-02 00:00:00+00"}
    shop.run(
        "update orders set status = 'sent', updated_at = '2026-01-03 00:00:00+00' where id = 1",
        "insert into orders values (3, 'same moment', '2026-01-02 00:00:00+00')",
        "insert into orders values (4, 'too late', '2025-01-02 00:00:00+00')",
    )
    record = shop.refresh("orders")
    assert (record.rows_read, record.rows_inserted, record.rows_updated) == (3, 1, 1)
    assert record.cursor == {"updated_at": "2026-01-03 00:00:00+00"}
    assert shop.orders() == [(1, "sent"), (2, "paid"), (3, "same moment")]
    assert shop.publish("orders", Action.RELOAD).rows_total == 4


def test_a_refresh_without_changes_keeps_rows_and_cursor(shop: Shop) -> None:
    shop.use(INCREMENTAL)
    before = shop.publish("orders")
    shop.run("delete from orders")
    record = shop.refresh("orders")
    assert (record.rows_read, record.rows_total, record.cursor) == (0, 2, before.cursor)


def test_lookback_reads_rows_before_the_cursor(shop: Shop) -> None:
    shop.use("{orders: {key: id, incremental: {cursor: updated_at, lookback: 2 days}}}")
    shop.publish("orders")
    shop.run("insert into orders values (3, 'late', '2026-01-01 12:00:00+00')")
    assert shop.refresh("orders").rows_inserted == 1


def test_rows_without_a_cursor_are_read_each_time_and_said(shop: Shop) -> None:
    shop.use(INCREMENTAL)
    shop.run("insert into orders values (3, 'new', null), (4, 'never', 'infinity')")
    first = shop.publish("orders")
    assert first.cursor == {"updated_at": "2026-01-02 00:00:00+00"}
    assert first.reason == "2 rows without a usable updated_at, which each refresh reads again"
    shop.run("update orders set status = 'changed' where id = 3")
    record = shop.refresh("orders")
    assert (record.rows_updated, record.rows_total) == (1, 4)
    assert "2 rows without a usable updated_at" in record.reason


@pytest.mark.parametrize(
    ("type", "values", "cursor"),
    [
        ("bigint", ("1", "9223372036854775807"), "9223372036854775807"),
        ("decimal(20,4)", ("1.5", "10.25"), "10.2500"),
        ("date", ("date '2026-01-01'", "date '2026-01-31'"), "2026-01-31"),
        (
            "timestamp",
            ("timestamp '2026-01-01'", "timestamp '2026-01-31 08:30:00.123456'"),
            "2026-01-31 08:30:00.123456",
        ),
    ],
)
def test_numbers_dates_and_timestamps_are_cursors(
    shop: Shop, type: str, values: tuple[str, str], cursor: str
) -> None:
    shop.run(
        f"create table t (id integer primary key, moment {type})", f"insert into t values (1, {values[0]})"
    )
    shop.use("{t: {incremental: {cursor: Moment}}}")
    shop.publish("t")
    shop.run(f"insert into t values (2, {values[1]})")
    record = shop.refresh("t")
    assert (record.rows_inserted, record.cursor) == (1, {"moment": cursor})
    assert shop.refresh("t").rows_read == 1


def test_merge_delete_deletes_rows_whose_keys_are_gone(shop: Shop) -> None:
    shop.use("{orders: {incremental: {cursor: updated_at}, refresh: {strategy: merge_delete}}}")
    shop.publish("orders")
    shop.run(
        "delete from orders where id = 1", "insert into orders values (3, 'new', '2026-02-01 00:00:00+00')"
    )
    record = shop.refresh("orders")
    assert (record.rows_read, record.rows_inserted, record.rows_deleted) == (2, 1, 1)
    assert shop.orders() == [(2, "paid"), (3, "new")]


def test_merge_delete_without_rows_to_read_still_deletes(shop: Shop) -> None:
    shop.use("{orders: {incremental: {cursor: updated_at}, refresh: {strategy: merge_delete}}}")
    shop.run("insert into orders values (3, 'new', '2026-02-01 00:00:00+00')")
    shop.publish("orders")
    shop.run("delete from orders where id = 3")
    record = shop.refresh("orders")
    assert (record.rows_read, record.rows_deleted, record.rows_total) == (0, 1, 2)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ("{t: {incremental: {cursor: moment}}}", "t.key: is missing: an incremental refresh"),
        ("{t: {key: idd, incremental: {cursor: moment}}}", "t.key: t has no column idd; did you mean id?"),
        (
            "{t: {key: id, incremental: {cursor: momen}}}",
            "t.incremental.cursor: t has no column momen; did you mean moment?",
        ),
        (
            "{t: {key: id, incremental: {cursor: name}}}",
            "name is VARCHAR, whose order is that of the server's collation",
        ),
        ("{t: {key: id, incremental: {cursor: name}}}", "; moment is one"),
        ("{t: {key: id, incremental: {cursor: id, lookback: 1 day}}}", "incremental.lookback: id is INTEGER"),
        ("{t: {refresh: {strategy: merge}}}", "t.key: is missing: strategy merge replaces rows by key"),
        ("{t: {refresh: {strategy: append}}}", "t.refresh.strategy: append would add every row again"),
    ],
)
def test_settings_that_do_not_suit_the_table_are_refused(shop: Shop, tables: str, message: str) -> None:
    shop.run("create table t (id integer, name varchar, moment timestamp)")
    shop.use(tables)
    with pytest.raises(ConfigError) as error:
        shop.publish("t")
    assert message in error.value.message
    assert error.value.message.startswith(f"{shop.settings.connections}:1: shop.tables.t.")


@pytest.mark.parametrize(
    ("statements", "columns", "reason"),
    [
        (
            ("alter table orders add column city varchar default 'Ulm'",),
            "id, status, updated_at, city",
            "new: city",
        ),
        (("alter table orders drop column status",), "id, updated_at", "; gone: status"),
        (("alter table orders rename column status to state",), "id, state, updated_at", "new: state"),
        (("alter table orders alter status type json",), "id, status, updated_at", "status is JSON now"),
    ],
)
def test_changed_columns_are_read_again_for_all_rows(
    shop: Shop, statements: tuple[str, ...], columns: str, reason: str
) -> None:
    shop.run("update orders set status = '1'")
    shop.use("{orders: {key: id, incremental: {cursor: updated_at}}}")
    shop.publish("orders")
    shop.run(*(statement.replace("orders", "orders") for statement in statements))
    record = shop.refresh("orders")
    assert (record.action, record.rows_read) == ("reload", 2)
    assert "all rows were read again because the columns have changed" in record.reason
    assert reason in record.reason
    assert [row[0] for row in shop.rows("describe shop.orders")] == columns.split(", ")
    assert shop.refresh("orders").rows_read == 1


def test_another_cursor_column_reads_everything_once(shop: Shop) -> None:
    shop.use(INCREMENTAL)
    shop.publish("orders")
    shop.use("{orders: {incremental: {cursor: id}}}")
    assert shop.refresh("orders").rows_read == 2
    assert shop.refresh("orders").rows_read == 1


def test_an_empty_table_has_its_columns_and_rows_come_later(shop: Shop) -> None:
    shop.run("create table t (id integer primary key, moment timestamp)")
    shop.use("{t: {incremental: {cursor: moment}}}")
    assert shop.publish("t").rows_total == 0
    assert [row[:2] for row in shop.rows("describe shop.t")] == [("id", "INTEGER"), ("moment", "TIMESTAMP")]
    assert shop.refresh("t").rows_total == 0
    shop.run("insert into t values (1, '2026-01-01')")
    assert shop.refresh("t").rows_total == 1


def test_a_table_that_lost_its_rows_is_held_back(shop: Shop) -> None:
    shop.run("insert into orders select i, 'x', null from range(10, 40) t(i)")
    shop.publish("orders")
    shop.run("delete from orders")
    with pytest.raises(LoadFailed, match="the new version is held back"):
        shop.publish("orders", Action.RELOAD)
    assert len(shop.orders()) == 32


def test_1600_columns_are_stored(shop: Shop) -> None:
    shop.run(
        "create table wide as select "
        + ", ".join(f"i + {n} as c{n}" for n in range(1600))
        + " from range(5000) t(i)"
    )
    assert shop.publish("wide").rows_total == 5000
    assert shop.rows("select c1599 from shop.wide where c0 = 4999") == [(6598,)]


def test_rows_of_megabytes_are_stored(shop: Shop) -> None:
    shop.run("create table huge as select i, repeat(chr((65 + i)::int), 2000000) as text from range(40) t(i)")
    assert shop.publish("huge").rows_total == 40
    assert shop.rows("select sum(length(text)) from shop.huge") == [(80_000_000,)]


def test_rows_that_do_not_fit_into_memory_end_the_load_with_the_remedy(shop: Shop) -> None:
    shop.run("create table huge as select i, repeat('x', 20000000) as text from range(15) t(i)")
    home = Shop(replace(shop.settings, worker_memory_bytes=200 * 1024 * 1024))
    job = home.make_job("huge")
    folder = StagingArea(home.settings.staging).create_attempt_folder(job)
    task = make_task(job, home.settings.home, folder, {})
    with Lake(home.settings, read_only=True) as lake:
        loader = TableLoader(task, Reporter(task, home.reports.append), lake)
        with pytest.raises(OutOfMemory, match="UNIFY_WORKER_MEMORY"):
            loader.load()
    home.close()


def test_a_table_of_another_schema_keeps_its_name(shop: Shop) -> None:
    shop.run("create schema sales", "create table sales.items as select 1 as id")
    shop.publish("sales.items")
    assert shop.rows('select * from shop."sales.items"') == [(1,)]


def test_a_table_that_does_not_exist_is_named_with_the_nearest(shop: Shop) -> None:
    with pytest.raises(UnknownName, match="connection shop has no table ordres; did you mean orders"):
        shop.publish("ordres")


def test_a_missing_file_is_an_error_of_the_source(shop: Shop) -> None:
    shop.configure(f"{{adapter: duckdb, options: {{path: '{shop.settings.home / 'none.duckdb'}'}}}}")
    with pytest.raises(SourceError, match=r"shop: .*none\.duckdb"):
        shop.publish("orders")


def test_a_limit_of_rows_ends_the_load(shop: Shop) -> None:
    shop.use(more=", limits: {rows: 1}")
    with pytest.raises(LoadFailed, match="the load has read 2 rows; the limit is 1 rows") as error:
        shop.publish("orders")
    assert "incremental refresh" in error.value.message


def test_progress_has_rows_and_the_expected_number(shop: Shop) -> None:
    job = shop.make_job("orders")
    result = shop.run_load(job)
    assert (result.ending, result.progress.rows, result.progress.rows_total) == (TaskStatus.STAGED, 2, 2)
    assert result.every_s is None


def test_the_interval_of_the_settings_is_reported(shop: Shop) -> None:
    shop.use("{orders: {refresh: {every: 15 minutes}}}")
    assert shop.run_load(shop.make_job("orders")).every_s == 900


def test_a_failed_load_leaves_no_staged_load(shop: Shop) -> None:
    shop.run("create view bad as select error('no') as x from range(3)")
    job = shop.make_job("bad")
    with pytest.raises(UnifyError, match=r"shop: .*no"):
        shop.run_load(job)
    assert not list(Path(shop.settings.staging / job.uid / "1").glob("manifest*"))
