"""Loads of tables of a real PostgreSQL server: snapshot, ranges, cursors, late commits, trouble."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.adapters.database.server_text import server_text_sql
from tests.adapters.database.test_postgres_types import CASES, SETUP
from tests.support.postgres_server import PostgresServer
from tests.support.postgres_shop import ORDERS, OtherSession, PostgresShop
from unify.adapters.database.postgres import bulk as postgres_bulk
from unify.config.settings import Settings
from unify.errors import SourceError, UnifyError, Unreachable
from unify.load import relational_loader
from unify.load.protocol import TaskStatus
from unify.model import Action

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]

INCREMENTAL = "{orders: {incremental: {cursor: updated_at}}}"


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> str:
    return postgres_server.create_database("loads")


@pytest.fixture
def shop(postgres_server: PostgresServer, database: str, settings: Settings) -> Iterator[PostgresShop]:
    home = PostgresShop(settings)
    home.server, home.database = postgres_server, database
    home.use()
    home.run("drop schema public cascade; create schema public")
    home.run(ORDERS)
    yield home
    home.close()


def test_a_load_stores_what_the_server_has(shop: PostgresShop) -> None:
    record = shop.publish("orders")
    assert (record.status, record.rows_total, record.reason) == ("success", 2, "")
    assert shop.rows("select id, status, updated_at::varchar from shop.orders order by id") == [
        (1, "open", "2026-01-01 00:00:00+00"),
        (2, "paid", "2026-01-02 00:00:00+00"),
    ]
    assert shop.refresh("orders").rows_total == 2


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 64 KiB, so that small tables have several."""
    monkeypatch.setattr(postgres_bulk, "PART_BYTES", 65536)
    monkeypatch.setattr(postgres_bulk, "MIN_PART_BYTES", 65536)


@pytest.mark.usefixtures("small_parts")
def test_a_large_table_is_read_in_ranges_by_several_readers(shop: PostgresShop) -> None:
    shop.fill()
    shop.run("delete from big where id % 7 = 0")
    job = shop.make_job("big")
    assert shop.run_load(job).ending is TaskStatus.STAGED
    assert len(shop.staged_load(job).manifest.files) > 10
    shop.publish_staged(job)
    assert shop.stored_checksum() == shop.server_checksum()


@pytest.mark.usefixtures("small_parts")
def test_all_readers_see_one_snapshot(shop: PostgresShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are moved between pages while the table is read come once each."""
    shop.fill()
    before = shop.server_checksum()
    original = relational_loader.RelationalLoad._expect_rows

    def change_rows(self: object, load: object) -> None:
        shop.run("update big set note = 'x'; delete from big where id < 100; insert into big values (-5)")
        original(self, load)  # type: ignore[arg-type]

    monkeypatch.setattr(relational_loader.RelationalLoad, "_expect_rows", change_rows)
    shop.publish("big")
    [(count, total)] = shop.rows("select count(*), sum(id) from shop.big where note <> 'x'")
    assert f"{count}|{total}" == before


@pytest.mark.usefixtures("small_parts")
def test_partitions_heirs_and_views_are_read_whole(shop: PostgresShop) -> None:
    shop.run(
        "create table parted (id bigint, note text) partition by range (id);"
        "create table p1 partition of parted for values from (0) to (5000);"
        "create table p2 partition of parted default;"
        "insert into parted select i, md5(i::text) from generate_series(1, 9000) as i;"
        "create table base (id bigint); create table heir (more text) inherits (base);"
        "insert into base select i from generate_series(1, 100) as i;"
        "insert into heir select i, repeat('x', 100) from generate_series(101, 9000) as i;"
        "create view shown as select * from parted where id % 2 = 0;"
        "create materialized view kept as select * from parted"
    )
    for table in ("parted", "base", "shown", "kept"):
        shop.publish(table)
        assert shop.stored_checksum(table) == shop.server_checksum(table)


def test_a_role_that_may_not_read_the_partitions_reads_their_table(shop: PostgresShop) -> None:
    shop.run(
        "create table parted (id bigint) partition by range (id);"
        "create table p1 partition of parted default; insert into parted values (1), (2);"
        "drop role if exists loads_reader; create role loads_reader login password 'reader-pass';"
        "grant usage on schema public to loads_reader; grant select on parted to loads_reader"
    )
    shop.use(user="loads_reader", password="reader-pass")
    assert shop.publish("parted").rows_total == 2
    shop.run("drop owned by loads_reader; drop role loads_reader")


def test_a_refresh_reads_from_the_cursor_on_and_uses_the_index(shop: PostgresShop) -> None:
    shop.use(INCREMENTAL)
    assert shop.publish("orders").cursor == {"updated_at": "2026-01-02 00:00:00+00"}
    shop.run("update orders set status = 'sent', updated_at = '2026-01-03' where id = 1")
    record = shop.refresh("orders")
    assert (record.rows_read, record.rows_updated, record.rows_total) == (2, 1, 2)
    assert record.cursor == {"updated_at": "2026-01-03 00:00:00+00"}
    [read] = [line for line in shop.server.statements(shop.database) if "2026-01-02 00:00:00+00" in line]
    assert "\"updated_at\" >= '2026-01-02 00:00:00+00'::timestamp with time zone" in read


def test_a_transaction_that_commits_late_is_not_missed(shop: PostgresShop) -> None:
    shop.use(INCREMENTAL)
    late = OtherSession(shop)
    late.run("insert into orders (id, status) values (10, 'late')")
    shop.run("insert into orders (id, status) values (11, 'after')")
    record = shop.publish("orders")
    assert record.rows_total == 3
    assert "1 row with updated_at after" in record.reason
    assert "open transactions may still add earlier rows" in record.reason
    late.commit()
    assert shop.refresh("orders").rows_inserted == 1
    assert shop.rows("select status from shop.orders where id = 10") == [("late",)]
    assert shop.refresh("orders").rows_inserted == 0


@pytest.mark.parametrize("cursor", ["id", "local"])
def test_a_late_commit_is_not_missed_with_cursors_that_are_no_moments(
    shop: PostgresShop, cursor: str
) -> None:
    shop.run(
        "alter table orders add local timestamp default now()::timestamp;update orders set local = updated_at"
    )
    shop.use(f"{{orders: {{incremental: {{cursor: {cursor}}}}}}}")
    first = shop.publish("orders")
    assert list(first.cursor) == [cursor]
    late = OtherSession(shop)
    late.run("insert into orders (id, status) values (10, 'late')")
    shop.run("insert into orders (id, status) values (11, 'after')")
    waiting = shop.refresh("orders")
    assert (waiting.rows_inserted, waiting.cursor[cursor]) == (1, first.cursor[cursor])
    shop.run("insert into orders (id, status) values (12, 'later')")
    assert shop.refresh("orders").cursor == waiting.cursor
    late.commit()
    assert shop.refresh("orders").rows_inserted == 1
    assert shop.rows("select count(*) from shop.orders") == [(5,)]
    assert shop.refresh("orders").cursor[cursor] != first.cursor[cursor]


def test_a_first_load_beside_an_open_transaction_misses_nothing(shop: PostgresShop) -> None:
    shop.use("{orders: {incremental: {cursor: id}}}")
    late = OtherSession(shop)
    late.run("insert into orders (id, status) values (0, 'late')")
    assert list(shop.publish("orders").cursor) == ["id pending"]
    late.commit()
    record = shop.refresh("orders")
    assert (record.rows_total, record.cursor) == (3, {"id": "2"})


def test_a_user_who_sees_no_other_transactions_misses_no_late_commit(shop: PostgresShop) -> None:
    shop.run(
        "drop role if exists blind; create role blind login password 'blind-pass';"
        "grant usage on schema public to blind; grant select on all tables in schema public to blind"
    )
    shop.use(INCREMENTAL, user="blind", password="blind-pass")
    first = shop.publish("orders")
    late = OtherSession(shop)
    late.run("insert into orders (id, status) values (10, 'late')")
    shop.run("insert into orders (id, status) values (11, 'after')")
    assert shop.refresh("orders").cursor["updated_at"] == first.cursor["updated_at"]
    late.commit()
    assert shop.refresh("orders").rows_inserted == 1
    shop.run("drop owned by blind; drop role blind")


def test_row_versions_are_a_cursor_of_last_resort(shop: PostgresShop) -> None:
    shop.use("{orders: {incremental: {cursor: xmin}}}")
    shop.publish("orders")
    assert shop.refresh("orders").rows_read == 0
    late = OtherSession(shop)
    late.run("update orders set status = 'late' where id = 1")
    shop.run("insert into orders values (3, 'new', null)")
    assert shop.refresh("orders").rows_inserted == 1
    late.commit()
    assert shop.refresh("orders").rows_updated == 1
    assert shop.rows("select status from shop.orders order by id") == [("late",), ("paid",), ("new",)]


def test_merge_delete_deletes_by_the_list_of_keys(shop: PostgresShop) -> None:
    shop.use("{orders: {incremental: {cursor: updated_at}, refresh: {strategy: merge_delete}}}")
    shop.publish("orders")
    shop.run("delete from orders where id = 1; insert into orders values (3, 'new', '2026-02-01')")
    record = shop.refresh("orders")
    assert (record.rows_read, record.rows_inserted, record.rows_deleted, record.rows_total) == (2, 1, 1, 2)


def test_not_a_number_is_null_and_listed_in_discarded(shop: PostgresShop) -> None:
    shop.run(
        "create table sums (id int primary key, amount numeric(10,2));"
        "insert into sums values (1, 1.5), (2, 'NaN'), (3, null)"
    )
    record = shop.publish("sums")
    assert (record.status, record.rows_total, record.rows_discarded) == ("partial", 3, 0)
    assert "1 value stored as NULL" in record.reason
    assert shop.rows("select amount::varchar from shop.sums order by id") == [("1.50",), (None,), (None,)]
    assert shop.rows('select "column", value, reason, "row" from lake._unify.discarded') == [
        ("amount", "NaN", "DECIMAL(10,2) has no such value", '{"id":2,"amount":"NaN"}')
    ]


def test_every_type_is_stored_as_the_server_shows_it_and_stays_the_same(shop: PostgresShop) -> None:
    columns = ", ".join(f"c{number} {type}" for number, type in enumerate(CASES))
    shop.run(f"{SETUP} create table every_type (id int primary key, {columns})")
    for row in range(max(len(values) for _, values in CASES.values()) + 1):
        cells = [values[row] if row < len(values) else "NULL" for _, values in CASES.values()]
        shop.run(f"insert into every_type values ({row}, {', '.join(cells)})")
    shop.use("{every_type: {incremental: {cursor: id}}}")
    shop.publish("every_type")
    described = shop.rows("describe shop.every_type")
    assert [row[1] for row in described[1:]] == [type for type, _ in CASES.values()]
    texts = ", ".join(server_text_sql(str(row[0]), str(row[1])) for row in described)
    expected = shop.server.rows("select * from every_type order by id", shop.database)
    stored = shop.rows(f"select {texts} from shop.every_type order by id")
    assert [list(row) for row in stored] == [list(row) for row in expected]
    record = shop.refresh("every_type")
    assert (record.action, record.rows_read, record.rows_updated, record.reason) == ("refresh", 1, 0, "")


def test_a_changed_type_is_read_again_and_stored_exactly(shop: PostgresShop) -> None:
    shop.run(
        "create table t (a int primary key, b real, c date); insert into t values (1, 1.5, '2026-01-01')"
    )
    shop.use("{t: {incremental: {cursor: a}}}")
    shop.publish("t")
    shop.run(
        "alter table t alter a type bigint, alter b type double precision, alter c type timestamp;"
        "insert into t values (5000000000, 0.1, now())"
    )
    record = shop.refresh("t")
    assert "a is BIGINT now (was INTEGER)" in record.reason
    assert shop.rows("select a, b, c::varchar from shop.t where a = 1") == [(1, 1.5, "2026-01-01 00:00:00")]
    assert shop.refresh("t").rows_read == 1


def test_a_table_without_columns_is_refused(shop: PostgresShop) -> None:
    shop.run("create table bare ()")
    with pytest.raises(UnifyError, match=r"shop.*bare"):
        shop.publish("bare")


def test_names_with_every_character_and_a_table_of_another_schema(shop: PostgresShop) -> None:
    name = '"Odd Schema"."a.b ""c"" \'d\'"'
    shop.run(
        f'create schema "Odd Schema"; create table {name} ("id" int primary key, "Select $q$" text);'
        f"insert into {name} values (1, $$x$$)"
    )
    table = name.replace('"Odd Schema"', "Odd Schema")
    assert shop.publish(table).rows_total == 1
    assert shop.refresh(table).rows_total == 1


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("trouble", ["terminate", "restart"])
def test_a_lost_connection_is_retryable_and_the_stored_rows_stay(
    shop: PostgresShop, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill()
    shop.publish("big")
    stored = shop.stored_checksum()
    shop.run("insert into big values (-1)")
    original = relational_loader.RelationalLoad._report
    struck = threading.Event()

    def strike(self: object, copied: object) -> None:
        if not struck.is_set():
            struck.set()
            if trouble == "terminate":
                shop.run(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where application_name like 'unify shop%'"
                )
            else:
                shop.server.stop("immediate")
                shop.server.start()
        original(self, copied)  # type: ignore[arg-type]

    monkeypatch.setattr(relational_loader.RelationalLoad, "_report", strike)
    shop.run("create view slow as select b.*, pg_sleep(0.0001) is null as slept from big as b")
    with pytest.raises(Unreachable) as error:
        shop.run_load(shop.make_job("slow", Action.RELOAD))
    assert error.value.retryable
    assert shop.stored_checksum() == stored
    assert shop.publish("big", Action.RELOAD).rows_total == 20_001


def test_a_time_limit_ends_the_statement_at_the_server(shop: PostgresShop) -> None:
    shop.run("create view slow as select pg_sleep(60) is null as slept")
    shop.use(more=", limits: {load_time: 1 second}")
    with pytest.raises(UnifyError, match="the load has taken"):
        shop.run_load(shop.make_job("slow"))
    running = (
        "select count(*) from pg_stat_activity where state = 'active' and application_name like 'unify%'"
    )
    assert shop.run(running).strip() == "0"


def test_an_error_of_the_server_has_its_message_and_no_secret(shop: PostgresShop) -> None:
    shop.run("create view bad as select 1 / (id - id) as x from orders")
    with pytest.raises(SourceError, match="division by zero") as error:
        shop.run_load(shop.make_job("bad"))
    assert "__unify" not in error.value.message
    assert shop.environment["SHOP_PASSWORD"] not in error.value.message
