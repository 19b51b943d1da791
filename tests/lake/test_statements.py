"""Which statements the lake runs, and the errors for the others."""

from __future__ import annotations

import os

import pytest

from tests.support.stores import fetch_rows
from unify.config.settings import Settings
from unify.errors import QueryError, StoreError
from unify.fs.locks import FileLock
from unify.lake.lake import LOCK_NOTICE_AFTER_S, Lake


@pytest.mark.parametrize(
    ("sql", "writes"),
    [
        ("select 1", False),
        ("with a as (select 1 as x) select * from a", False),
        ("from t", False),
        ("pivot t on a using sum(a)", False),
        ("describe t", False),
        ("show tables", False),
        ("explain insert into t values (1)", False),
        ("explain analyze insert into t values (1)", True),
        ("explain analyze select 1", False),
        ("copy t to 'x.csv'", False),
        ("copy (select a from t) to 'x.csv'", False),
        ("copy t (a) from 'x.csv'", True),
        ("set threads = 1", False),
        ("use lake", False),
        ("insert into t values (1)", True),
        ("/* hi */ with x as (select 1) insert into t from x", True),
        ("update t set a = 1", True),
        ("merge into t using t as s on true when matched then delete", True),
        ("truncate t", True),
        ("create view v as select 1", True),
        ("alter table t add column b int", True),
        ("comment on table t is 'x'", True),
        ("drop table t", True),
        ("call lake.merge_adjacent_files()", True),
        ("execute p", True),
    ],
)
def test_writing_statements_are_detected_before_they_run(lake: Lake, sql: str, writes: bool) -> None:
    lake.execute("create table t as select 1 as a")
    assert lake.is_write_statement(sql) is writes


def test_a_statement_returns_a_description_of_its_effect(lake: Lake) -> None:
    messages = [
        lake.execute(sql).summary
        for sql in (
            "create schema s",
            "create table s.t as select i from range(3) r(i)",
            "insert into s.t values (7)",
            "update s.t set i = 8 where i < 2",
            "delete from s.t where i = 8",
            "drop table s.t",
        )
    ]
    assert messages == [
        "created",
        "3 rows written",
        "1 row inserted",
        "2 rows updated",
        "2 rows deleted",
        "dropped",
    ]


def test_values_without_a_python_type_are_returned_as_duckdb_text(lake: Lake) -> None:
    outcome = lake.execute(
        "select timestamp_ns '2026-01-01 00:00:00.123456789' as t, interval '1 month' as i, 1 as a, 2 as a"
    )
    assert outcome.columns == (("t", "TIMESTAMP_NS"), ("i", "INTERVAL"), ("a", "INTEGER"), ("a", "INTEGER"))
    assert list(outcome.batches()) == [[("2026-01-01 00:00:00.123456789", "1 month", 1, 2)]]


def test_rows_are_returned_in_batches_while_the_query_runs(lake: Lake) -> None:
    batches = lake.execute("select i from range(10_000_000_000) r(i)").batches()
    assert len(next(iter(batches))) == 2048


def test_an_sql_error_is_explained_with_its_position(lake: Lake) -> None:
    lake.execute("create table t as select 1 as number")
    with pytest.raises(QueryError) as caught:
        lake.execute("select numbr from t")
    assert caught.value.message == (
        'Referenced column "numbr" not found in FROM clause!\n'
        'Candidate bindings: "number"\n\n'
        "LINE 1: select numbr from t\n"
        "               ^"
    )


def test_a_transaction_holds_the_lock_until_it_ends(lake: Lake) -> None:
    other = FileLock(lake.settings.lake_lock)
    lake.execute("create table t as select 1 as a")
    lake.execute("begin")
    lake.execute("insert into t values (2)")
    assert lake.in_transaction
    assert not other.try_acquire()
    with pytest.raises(QueryError):
        lake.execute("select no_such_column from t")
    lake.execute("rollback")
    assert other.try_acquire()
    other.release()
    assert fetch_rows(lake, "select * from t") == [(1,)]


def test_a_long_wait_for_a_transaction_names_its_process(settings: Settings) -> None:
    messages: list[str] = []
    with Lake(settings, purpose="one shell") as one, Lake(settings, notice=messages.append) as another:
        one.execute("begin")
        with pytest.raises(StoreError, match="still held by"):
            another.acquire_lock(LOCK_NOTICE_AFTER_S + 0.01)
        assert messages == [
            f"waiting for process {os.getpid()} (one shell) to finish writing (Ctrl-C stops waiting)"
        ]
        one.execute("rollback")
        another.execute("create table t as select 1 as a")
        assert len(messages) == 1


def test_a_shell_closed_in_a_transaction_releases_the_lock(settings: Settings) -> None:
    with Lake(settings) as lake:
        lake.execute("create table t as select 1 as a")
        lake.execute("begin")
        lake.execute("insert into t values (2)")
    with Lake(settings) as lake:
        lake.execute("insert into t values (3)")
        assert fetch_rows(lake, "select * from t order by 1") == [(1,), (3,)]


@pytest.mark.parametrize("begin", ["select 1", "begin"])
def test_the_lake_can_be_used_after_an_internal_error_of_duckdb(settings: Settings, begin: str) -> None:
    with Lake(settings) as lake:
        _meet_a_fault(lake, begin)
        assert fetch_rows(lake, "select * from t order by a") == [(1,), (2,)]


def _meet_a_fault(lake: Lake, begin: str) -> None:
    lake.execute("create table t as select 1 as a")
    lake.connection.execute("create table faulty (a time_ns)")  # bypasses the check of the lake
    lake.execute(begin)
    with pytest.raises(StoreError, match=r"internal error of DuckDB.*reopened"):
        lake.execute("insert into faulty select '10:00:00'::time_ns from range(50)")
    assert not lake.in_transaction
    assert fetch_rows(lake, "select * from t") == [(1,)]
    lake.execute("insert into t values (2)")


def test_a_transaction_works_after_an_internal_error_during_a_write(settings: Settings) -> None:
    with Lake(settings) as lake:
        lake.connection.execute("create table faulty (a time_ns)")
        with pytest.raises(StoreError, match="TIME_NS"), lake.lock(), lake.write_transaction() as connection:
            connection.execute("insert into faulty select '10:00:00'::time_ns from range(50)")
        with lake.write_transaction() as connection:
            connection.execute("create table t as select 1 as a")
        assert fetch_rows(lake, "select * from t") == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "delete from _unify.loads",
        'DELETE FROM lake."_UNIFY".loads',
        "use lake._unify",
        'use "lake"."_unify"',
        "set schema = 'lake._unify'",
        "set search_path = 'main,lake._unify'",
        "prepare p as delete from _unify.loads",
        "prepare p as insert into lake._unify.loads (position) values (1)",
        "drop schema lake._unify cascade",
        "delete from __ducklake_metadata_lake.ducklake_snapshot",
        "use __ducklake_metadata_lake",
    ],
)
def test_the_ledger_and_the_catalog_cannot_be_changed_by_sql(lake: Lake, statement: str) -> None:
    with pytest.raises(QueryError, match="read it as unify"):
        lake.execute(statement)


def test_reading_the_ledger_and_naming_it_in_a_text_is_allowed(lake: Lake) -> None:
    assert fetch_rows(lake, "select count(*) from lake._unify.loads") == [(0,)]
    lake.execute("prepare p as select count(*) from lake._unify.loads")
    assert fetch_rows(lake, "execute p") == [(0,)]
    lake.execute("create table notes as select 'about _unify.loads' as note")
