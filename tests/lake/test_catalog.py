"""Tables and columns of the lake."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.support.stores import fetch_rows
from unify.lake import catalog, ledger
from unify.lake.lake import Lake
from unify.model import Column, LoadRecord, TableName


def test_listings_show_user_tables_and_no_internal_ones(lake: Lake) -> None:
    lake.execute("create schema notes")
    lake.execute("create table notes.words as select i from range(12) r(i)")
    lake.execute("delete from notes.words where i < 2")
    lake.execute("comment on table notes.words is 'what was said'")
    lake.execute("comment on column notes.words.i is 'its number'")
    lake.execute("create view notes.few as select * from notes.words limit 1")

    assert catalog.schemas(lake) == ("main", "notes")
    assert catalog.user_tables(lake) == (
        catalog.UserTable(TableName("notes", "few"), "view", None, ""),
        catalog.UserTable(TableName("notes", "words"), "table", 10, "what was said"),
    )
    words = (Column("i", "BIGINT", "its number"),)
    assert catalog.table_columns(lake, TableName("NOTES", "Words")) == words
    assert catalog.all_columns(lake)[TableName("notes", "words")] == words
    assert catalog.table_columns(lake, TableName("notes", "nothing")) == ()
    assert catalog.table_columns(lake, TableName("nowhere", "nothing")) == ()


def test_the_cached_catalog_is_never_older_than_the_lake(lake: Lake) -> None:
    table = TableName("github", "pulls")
    lake.execute("create schema github")
    lake.execute("create table github.pulls (id int)")
    with Lake(lake.settings) as other:
        for number in range(1, 8):
            record = LoadRecord(number, f"u{number}", "load", table, "success", rows_total=number,
                                finished_at=datetime(2026, 1, 8 - number, tzinfo=UTC))  # fmt: skip
            with other.write_transaction() as connection:
                ledger.insert_load(connection, record)
            assert catalog.stored_tables(lake)[table].rows_total == number
        assert ledger.find_load(lake, "u3") == LoadRecord(
            3, "u3", "load", table, "success", rows_total=3, finished_at=datetime(2026, 1, 5, tzinfo=UTC)
        )


def test_clearing_removes_the_rows_and_keeps_the_history(lake: Lake) -> None:
    table = TableName("github", "pulls")
    with lake.write_transaction() as connection:
        connection.execute("create schema lake.github")
        connection.execute("create table lake.github.pulls as select 1 as id")
        ledger.insert_load(connection, LoadRecord(1, "u1", "load", table, "success", rows_total=1))

    assert catalog.clear_table(lake, table) is True
    assert catalog.clear_table(lake, table) is False
    assert catalog.stored_tables(lake) == {}
    actions = fetch_rows(lake, "select action, rows_deleted from lake._unify.loads")
    assert actions == [("load", 0), ("clear", 1)]


def test_a_table_that_a_statement_dropped_is_not_stored(lake: Lake) -> None:
    table = TableName("github", "pulls")
    with lake.write_transaction() as connection:
        connection.execute("create schema lake.github")
        connection.execute("create table lake.github.pulls as select 1 as id")
        ledger.insert_load(connection, LoadRecord(1, "u1", "load", table, "success", rows_total=1))
    assert list(catalog.stored_tables(lake)) == [table]
    lake.execute("drop table github.pulls")
    assert catalog.stored_tables(lake) == {}
    assert ledger.latest_load(lake, table) is None
    assert list(ledger.recorded_loads(lake)) == [table]


def test_snapshots_of_state_are_tables_of_the_schema_unify(lake: Lake) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    columns = [
        ("job", "BIGINT"),
        ("table", "VARCHAR"),
        ("moment", "TIMESTAMP WITH TIME ZONE"),
        ("share", "DOUBLE"),
        ("live", "BOOLEAN"),
    ]
    lake.execute("begin")
    lake.execute("create table t as select 1 as a")
    lake.replace_system_table("jobs", columns, [(2**53 + 1, 'a "b"\n', moment, 0.1, True), (None,) * 5])
    lake.replace_system_table("jobs", columns, [(2**53 + 1, 'a "b"\n', moment, 0.1, True), (None,) * 5])
    rows = fetch_rows(lake, 'select job, "table", epoch_us(moment), share, live from unify.jobs')
    lake.execute("commit")
    assert rows == [(2**53 + 1, 'a "b"\n', int(moment.timestamp() * 1_000_000), 0.1, True), (None,) * 5]
