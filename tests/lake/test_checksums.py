"""Checksums of data files: recorded with each commit, dropped with their files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.publishing import KEYED, load
from unify.errors import StoreError
from unify.lake.integrity.checksums import CHECKSUM_FILE, compute_checksum, read_checksums
from unify.lake.lake import Lake
from unify.lake.maintenance import run_maintenance


def data_files(lake: Lake) -> set[Path]:
    return set(lake.settings.data_path.rglob("*.parquet"))


def assert_every_file_has_one(lake: Lake) -> None:
    recorded = read_checksums(lake.path, lake.settings.data_path)
    assert {path: recorded.get(path) for path in data_files(lake)} == {
        path: compute_checksum(path) for path in data_files(lake)
    }


def test_every_file_has_one_whoever_wrote_it(lake: Lake) -> None:
    load(lake, KEYED, [(number, "x") for number in range(1000)], key=("id",))
    lake.execute('create table "odd name, Ü" as select i from range(1000) r(i)')
    lake.execute('delete from "odd name, Ü" where i < 10')
    lake.execute("begin")
    lake.execute("create table a as select 1 as i")
    lake.execute("create table b as select 1 as i")
    lake.execute("commit")
    assert len(data_files(lake)) == 5
    assert_every_file_has_one(lake)
    assert (lake.path / CHECKSUM_FILE).stat().st_mode & 0o777 == 0o600


def test_maintenance_keeps_those_of_files_that_exist(lake: Lake) -> None:
    for number in range(10):
        lake.execute(f"create or replace table t as select {number} as i from range(10)")
    now = datetime.now(UTC)
    run_maintenance(lake, now + timedelta(days=1), retention=timedelta(0))
    run_maintenance(lake, now + timedelta(days=3), retention=timedelta(0))
    assert set(read_checksums(lake.path, lake.settings.data_path)) == data_files(lake)
    assert_every_file_has_one(lake)


def test_a_torn_line_leaves_its_file_without_one(lake: Lake) -> None:
    lake.execute("create table a as select 1 as i")
    path = lake.path / CHECKSUM_FILE
    path.write_bytes(path.read_bytes() + b"0123abcd 12 main/b/x.par")
    lake.execute("create table c as select 1 as i")
    path.write_bytes(path.read_bytes() + b"\nnoise\n\xff\xfe 1 2\n")
    [a, _] = read_checksums(lake.path, lake.settings.data_path)
    assert a.parent.name == "a"


def test_a_commit_needs_none(lake: Lake) -> None:
    (lake.path / CHECKSUM_FILE).mkdir()
    lake.execute("create table a as select 1 as i")
    assert lake.read("select i from lake.main.a") == [(1,)]


def test_a_failed_statement_records_nothing_that_a_check_would_need(lake: Lake) -> None:
    with pytest.raises((StoreError, Exception), match="error"):
        lake.execute("create table a as select error('error') from range(10)")
    assert set(read_checksums(lake.path, lake.settings.data_path)) <= data_files(lake)
