"""A pipe is read once: in every kind of statement each row is read once, or nothing is written."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.stores import fetch_rows
from unify.engine.exact import exact_parquet_query
from unify.engine.sources import reads_once, remote_names
from unify.lake.lake import Lake

DATED_ROWS = "id,day\n" + "".join(f"{number},2024-01-01\n" for number in range(50_000))


@contextmanager
def pipe(path: Path, text: str = DATED_ROWS) -> Iterator[str]:
    """Return the path of a FIFO into which a thread writes ``text`` once."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(text,), daemon=True)
    writer.start()
    yield str(path)
    writer.join(timeout=10)
    assert not writer.is_alive()


@pytest.mark.parametrize(
    "create", ["create table piped", "create temp table piped", "create or replace table piped"]
)
def test_create_table_reads_every_row_of_a_pipe(lake: Lake, tmp_path: Path, create: str) -> None:
    with pipe(tmp_path / "p") as path:
        lake.execute(f"{create} as select id, sum(id) as total, day from read_csv('{path}') group by all")
    assert fetch_rows(lake, "select count(*), min(id), max(total) from piped") == [(50_000, 0, 49_999)]
    lake.execute("drop table piped")


@pytest.mark.parametrize(
    "select",
    [
        "select count(*), min(day)::varchar, max(id) from read_csv('{path}') where id >= 0",
        "select count(*), min(day)::varchar, max(id) from '{path}'",
        'select count(*), min(day)::varchar, max(id) from "{path}"',
        "with r as (from read_csv(['{path}'])) select count(*), min(day)::varchar, max(id) from r",
        "select count(*), min(day)::varchar, max(id) from query('from read_csv(''{path}'')')",
    ],
)
def test_a_select_counts_every_row_of_a_pipe(lake: Lake, tmp_path: Path, select: str) -> None:
    with pipe(tmp_path / "p.csv") as path:
        assert fetch_rows(lake, select.format(path=path)) == [(50_000, "2024-01-01", 49_999)]


def test_values_of_a_pipe_that_need_a_cast_are_read_once(lake: Lake, tmp_path: Path) -> None:
    with pipe(tmp_path / "p", "id,day\n1,2024-01-01\n") as path:
        result = lake.execute(f"select * from read_csv('{path}')")
        assert result.columns == (("id", "BIGINT"), ("day", "DATE"))
        assert list(result.batches()) == [[(1, "2024-01-01")]]
    assert fetch_rows(lake, "select count(*) from duckdb_tables() where table_name like '%spool%'") == [(0,)]


def test_a_parquet_file_has_every_row_of_a_pipe(lake: Lake, tmp_path: Path) -> None:
    with (
        pipe(tmp_path / "p") as path,
        lake.repeatable(f"select id::hugeint as id, day from read_csv('{path}')") as (query, parameters),
    ):
        exact = exact_parquet_query(lake.connection, query, parameters)
        lake.connection.execute(f"copy ({exact}) to '{tmp_path}/o.parquet'")
    assert fetch_rows(lake, f"select count(*) from '{tmp_path}/o.parquet'") == [(50_000,)]


@pytest.mark.parametrize(
    ("sql", "once"),
    [
        ("select 1 from c.t", False),
        ("from '{file}'", False),
        ("from read_csv('{file}', delim = ';')", False),
        ("from read_csv('{folder}/f*.csv')", False),
        ("select '{pipe}' as name", False),
        ("from query('select 1')", False),
        ("from read_csv('{folder}/*.csv')", True),
        ("from read_csv('/dev/' || 'stdin')", True),
        ("from read_csv($file)", True),
        ("from read_csv($${pipe}$$)", True),
        ("from range(3), '{pipe}'", True),
        ("from 'https://example.org/a.csv'", True),
        ("from read_parquet('s3://bucket/a.parquet')", True),
        ("from postgres_query('db', 'delete from t returning *')", True),
    ],
)
def test_sources_that_can_be_read_only_once_are_detected(tmp_path: Path, sql: str, once: bool) -> None:
    (tmp_path / "f.csv").write_text("a\n1\n", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe.csv")
    text = sql.format(file=tmp_path / "f.csv", pipe=tmp_path / "pipe.csv", folder=tmp_path)
    assert reads_once(text) is once
    assert reads_once("from v", [text]) is once


@pytest.mark.parametrize(
    "sql",
    [
        "from 'https://example.org/a.csv'",
        'select * from "s3://b/a.parquet" as t',
        "select * from read_csv('http://example.org/a.csv', header = true)",
        "select * from a join read_parquet(['/x', 'S3://b/*.parquet']) using (i)",
        "select * from (select * from 'gs://b/x.parquet')",
        "select * from glob('s3://b/*')",
        "copy t to 's3://b/a.csv'",
        "copy (select 1) to 'azure://c/a.parquet' (format parquet)",
        "copy t from 'https://example.org/a.csv'",
        "attach 'https://example.org/x.duckdb' as x",
        "create table t as from 'hf://datasets/a/b.csv'",
    ],
)
def test_addresses_of_other_machines_are_found(sql: str) -> None:
    assert len(remote_names(sql)) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "select 'https://example.org/a.csv'",
        "select * from t where url = 'https://example.org'",
        "select * from t where url is distinct from 'https://example.org'",
        "select trim(leading 'x' from 'https://example.org')",
        "select substring('https://example.org' from 3)",
        "select replace(url, 'http://', 'https://') from t",
        "insert into t values ('https://example.org', 's3://b/a')",
        "select * from t where url in ('https://a', 'https://b')",
        "select count(*) from 'data/https.csv' -- 'https://example.org'",
        "copy (select 'https://x' as u) to 'a.csv'",
        "call f(lower('https://x'))",
    ],
)
def test_addresses_that_are_values_are_not_taken_for_sources(sql: str) -> None:
    assert remote_names(sql) == ()
