"""Maintenance of the lake: snapshots expire, small files are merged, and no row is lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.stores import create_home, fetch_rows
from unify.errors import QueryError
from unify.lake import catalog, ledger
from unify.lake.lake import Lake
from unify.lake.maintenance import run_maintenance
from unify.model import LoadRecord, TableName

DAY = timedelta(days=1)


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake(create_home(tmp_path)) as lake:
        yield lake


def scattered(lake: Lake) -> None:
    lake.execute("create table words (i integer)")
    for number in range(12):
        lake.execute(f"insert into words select i from range({number * 100}, {number * 100 + 100}) r(i)")


def files(lake: Lake) -> int:
    return len(list((lake.settings.data_path / "main" / "words").glob("*.parquet")))


def live_files(lake: Lake) -> int:
    return len(lake.read("from ducklake_list_files('lake', 'words')"))


def test_many_small_files_are_merged_without_loss(lake: Lake) -> None:
    scattered(lake)
    assert live_files(lake) == 12

    report = run_maintenance(lake, datetime.now(UTC))

    assert report.compacted_tables == (TableName("main", "words"),)
    assert live_files(lake) == 1
    assert fetch_rows(lake, "select count(*), sum(i)::bigint from words") == [(1200, 719400)]
    assert run_maintenance(lake, datetime.now(UTC)).compacted_tables == ()


def test_a_table_with_many_deleted_rows_is_rewritten(lake: Lake) -> None:
    lake.execute("create table words as select i from range(1000) r(i)")
    lake.execute("delete from words where i < 500")
    assert run_maintenance(lake, datetime.now(UTC)).compacted_tables == (TableName("main", "words"),)
    assert fetch_rows(lake, "select count(*), min(i) from words") == [(500, 500)]


def test_history_is_kept_for_seven_days_and_files_for_a_day_more(lake: Lake) -> None:
    lake.execute("create table words as select 'old' as word")
    [(version,)] = fetch_rows(lake, "select max(snapshot_id) from lake.snapshots()")
    lake.execute("create or replace table words as select 'new' as word")
    now = datetime.now(UTC)
    past = f"select word from words at (version => {version})"

    assert run_maintenance(lake, now + 6 * DAY).expired_snapshots == 0
    assert fetch_rows(lake, past) == [("old",)]

    later = run_maintenance(lake, now + 8 * DAY)
    assert later.expired_snapshots > 0
    with pytest.raises(QueryError, match="there is no version"):
        fetch_rows(lake, past)
    assert fetch_rows(lake, "select word from words") == [("new",)]


def test_files_in_use_by_readers_are_not_removed(lake: Lake) -> None:
    lake.execute("create table words as select 'old' as word")
    lake.execute("create or replace table words as select 'new' as word")
    now = datetime.now(UTC)
    run_maintenance(lake, now, retention=timedelta(0))
    assert files(lake) == 2
    assert run_maintenance(lake, now + 2 * DAY, retention=timedelta(0)).removed_files >= 1
    assert files(lake) == 1
    assert fetch_rows(lake, "select word from words") == [("new",)]


def test_files_left_by_a_crash_are_set_aside_after_a_day_and_deleted_after_thirty(lake: Lake) -> None:
    lake.execute("create table words as select 'new' as word")
    orphan = lake.settings.data_path / "main" / "words" / "unify-left-behind.parquet"
    orphan.write_bytes(b"rows")
    now = datetime.now(UTC)
    run_maintenance(lake, now)
    assert orphan.exists()
    yesterday = (now - 2 * DAY).timestamp()
    os.utime(orphan, (yesterday, yesterday))
    assert run_maintenance(lake, now).set_aside == 1
    assert not orphan.exists()
    kept = lake.path / "orphaned" / now.date().isoformat() / "main" / "words" / orphan.name
    assert kept.read_bytes() == b"rows"
    run_maintenance(lake, now + 30 * DAY)
    assert kept.exists()
    run_maintenance(lake, now + 31 * DAY)
    assert not kept.exists()


def test_maintenance_does_not_change_the_ledger(lake: Lake) -> None:
    with lake.write_transaction() as connection:
        connection.execute("create schema lake.github")
        for number in range(3):
            connection.execute(f"create table lake.github.t{number} as select 1 as id")
    _insert_loads(lake, range(20))
    before = ledger.recorded_loads(lake)
    assert dict(ledger.latest_loads(lake)) == dict(before)
    run_maintenance(lake, datetime.now(UTC))
    assert dict(ledger.recorded_loads(lake)) == dict(ledger.latest_loads(lake)) == dict(before)
    assert len(before) == 3
    found = ledger.find_load(lake, "u7")
    assert found is not None
    assert found.job == 7


def test_the_latest_loads_are_found_in_files_and_among_inlined_rows(lake: Lake) -> None:
    with lake.write_transaction() as connection:
        connection.execute("create schema lake.github")
        for number in range(3):
            connection.execute(f"create table lake.github.t{number} as select 1 as id")
    _insert_loads(lake, range(3))
    run_maintenance(lake, datetime.now(UTC))
    _insert_loads(lake, range(3, 5))
    assert {str(table): load.job for table, load in ledger.latest_loads(lake).items()} == {
        "github.t0": 3,
        "github.t1": 4,
        "github.t2": 2,
    }
    run_maintenance(lake, datetime.now(UTC))
    catalog.clear_table(lake, TableName("github", "t1"))
    lake.execute("drop table github.t2")
    assert [str(table) for table in ledger.latest_loads(lake)] == ["github.t0"]
    assert ledger.recorded_loads(lake).keys() > ledger.latest_loads(lake).keys()


def _insert_loads(lake: Lake, jobs: Iterable[int]) -> None:
    for job in jobs:
        moment = datetime(2026, 1, 1, 12, 0, 0, job, tzinfo=UTC)
        record = LoadRecord(
            job,
            f"u{job}",
            "load",
            TableName("github", f"t{job % 3}"),
            "success",
            seconds=job / 10,
            cursor={"": f"'{job}'"},
            started_at=moment,
            finished_at=moment,
        )
        with lake.write_transaction() as connection:
            ledger.insert_load(connection, record)
