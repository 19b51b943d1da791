"""Loads of tables of a real MariaDB server: cursors, values that no type has, cancellation."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tests.support.mysql_server import MySQLServer
from tests.support.source_home import SourceHome
from unify.config.settings import Settings
from unify.errors import ConfigError, UnifyError

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]

ORDERS = (
    "create table orders (id bigint primary key, status varchar(20), changed timestamp null, day date, "
    "moment datetime(3)); insert into orders values "
    "(1, 'open', '2026-01-01 00:00:00', '2026-01-01', '2026-01-01 00:00:00.123'), "
    "(2, 'PAID', '2026-01-02 00:00:00', '2026-01-02', '2026-01-02 00:00:00.123')"
)


class Shop(SourceHome):
    """A database of a MariaDB server as connection ``shop``."""

    server: MySQLServer
    database: str

    def use(self, tables: str = "{}", more: str = "") -> None:
        options = msgspec.json.encode(self.server.options(self.database)).decode()
        self.configure(f"{{adapter: mysql, options: {options}, tables: {tables}{more}}}")

    def run(self, sql: str) -> str:
        return self.server.run(f"set time_zone = '+00:00'; {sql}", self.database)


@pytest.fixture
def shop(mysql_server: MySQLServer, settings: Settings) -> Iterator[Shop]:
    home = Shop(settings)
    home.server, home.database = mysql_server, mysql_server.create_database()
    home.use()
    home.run(ORDERS)
    yield home
    home.close()


def test_a_load_stores_what_the_server_has(shop: Shop) -> None:
    assert shop.publish("orders").rows_total == 2
    assert shop.rows("select id, status, changed::varchar, day::varchar from shop.orders order by id") == [
        (1, "open", "2026-01-01 00:00:00+00", "2026-01-01"),
        (2, "PAID", "2026-01-02 00:00:00+00", "2026-01-02"),
    ]
    assert shop.rows("select count(*) from shop.orders where status = 'paid'") == [(0,)]
    assert shop.refresh("orders").rows_total == 2


@pytest.mark.parametrize(
    ("cursor", "later"),
    [
        ("id", "3"),
        ("changed", "'2026-01-03 00:00:00'"),
        ("day", "'2026-01-03'"),
        ("moment", "'2026-01-02 00:00:00.124'"),
    ],
)
def test_the_server_applies_the_cursor_and_sends_what_is_later(shop: Shop, cursor: str, later: str) -> None:
    shop.use(f"{{orders: {{incremental: {{cursor: {cursor}}}}}}}")
    shop.publish("orders")
    shop.run(
        f"insert into orders (id, {cursor}) values (3, {later})"
        if cursor != "id"
        else "insert into orders (id) values (3)"
    )
    record = shop.refresh("orders")
    assert (record.rows_read, record.rows_inserted, record.rows_total) == (2, 1, 3)
    assert shop.refresh("orders").rows_read == 1


def test_rows_without_a_cursor_and_dates_that_do_not_exist_are_read_each_time(shop: Shop) -> None:
    shop.use("{orders: {incremental: {cursor: day}}}")
    shop.run(
        "set sql_mode = ''; "
        "insert into orders values (3, 'x', null, null, null), (4, 'y', null, '2024-00-00', null)"
    )
    record = shop.publish("orders")
    assert record.status == "partial"
    assert "1 value stored as NULL" in record.reason
    assert "2 rows without a usable day" in record.reason
    assert shop.rows('select "column", value, reason, "row" from lake._unify.discarded') == [
        ("day", "2024-00-00", "DATE has no such value", '{"id": "4", "day": "2024-00-00"}')
    ]
    shop.run("update orders set status = 'z' where id = 4")
    assert shop.refresh("orders").rows_updated == 1


def test_lookback_and_merge_delete(shop: Shop) -> None:
    shop.use(
        "{orders: {incremental: {cursor: changed, lookback: 2 days}, refresh: {strategy: merge_delete}}}"
    )
    shop.publish("orders")
    shop.run(
        "insert into orders (id, changed) values (3, '2026-01-01 06:00:00'); delete from orders where id = 1"
    )
    record = shop.refresh("orders")
    assert (record.rows_read, record.rows_inserted, record.rows_deleted, record.rows_total) == (2, 1, 1, 2)


def test_a_cursor_that_is_no_column_is_refused(shop: Shop) -> None:
    shop.use("{orders: {incremental: {cursor: xmin}}}")
    with pytest.raises(ConfigError, match="orders has no column xmin"):
        shop.publish("orders")


def test_a_time_limit_ends_the_statement_at_the_server(shop: Shop) -> None:
    shop.run("create view slow as select id, sleep(30) as slept from orders")
    shop.use(more=", limits: {load_time: 2 seconds}")
    with pytest.raises(UnifyError, match="the load has taken"):
        shop.run_load(shop.make_job("slow"))
    assert "sleep" not in shop.run(
        "select info from information_schema.processlist where info not like '%processlist%'"
    )
