"""Values of every type are read from the lake exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.stores import fetch_rows
from unify.errors import QueryError
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.model import Column, TableName


def test_sums_of_integers_are_stored_exactly(lake: Lake) -> None:
    lake.execute("create table n as select 9223372036854775807 as i from range(3)")
    lake.execute("create table total as select sum(i) as s, [sum(i)] as l, count(*) as n from n -- three")
    assert fetch_rows(lake, "select * from total") == [(27670116110564327421, [27670116110564327421], 3)]
    assert catalog.table_columns(lake, TableName("main", "total"))[0] == Column("s", "DECIMAL(38,0)")


def test_too_many_digits_are_an_error(lake: Lake) -> None:
    with pytest.raises(QueryError, match="DECIMAL"):
        lake.execute("create table big as select 170141183460469231731687303715884105727 as i")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("create table x (a hugeint)", "column a: the lake cannot hold HUGEINT exactly"),
        ("create table x (a uhugeint[])", "UHUGEINT"),
        ("create table x as select interval '1 microsecond' as a", "INTERVAL"),
        ("create table x as select '12:00:00+02'::timetz as a", "TIME WITH TIME ZONE"),
        ("create table x as select {'b': '10:00:00'::time_ns} as a", "TIME_NS"),
        ("alter table t add column b hugeint", "HUGEINT"),
        ("alter table lake.main.t alter column a type hugeint", "HUGEINT"),
    ],
)
def test_unsupported_types_are_refused_and_nothing_changes(lake: Lake, sql: str, reason: str) -> None:
    lake.execute("create table t as select 1::integer as a")
    with pytest.raises(QueryError, match=reason):
        lake.execute(sql)
    assert catalog.table_columns(lake, TableName("main", "t")) == (Column("a", "INTEGER"),)
    assert catalog.table_columns(lake, TableName("main", "x")) == ()
    lake.execute("create table y as select 1 as a")


def test_an_unsupported_type_in_a_transaction_ends_it(lake: Lake) -> None:
    lake.execute("begin")
    lake.execute("create table kept as select sum(1) as s")
    with pytest.raises(QueryError, match="the transaction was rolled back"):
        lake.execute("create table x (a hugeint)")
    assert not lake.in_transaction
    assert catalog.user_tables(lake) == ()


@pytest.mark.parametrize(
    "sql",
    [
        "create temp table x as select sum(1) as s",
        "create or replace temporary table x (a interval)",
        "create table memory.main.x (a hugeint)",
        "create table memory.x (a hugeint)",
    ],
)
def test_tables_outside_the_lake_can_have_any_type(lake: Lake, sql: str) -> None:
    assert lake.execute(sql).summary in ("created", "1 row written")
    lake.execute("create table x as select 1 as a")  # a table of the lake with the same name is another one
    assert catalog.table_columns(lake, TableName("main", "x")) == (Column("a", "INTEGER"),)
    lake.execute(f"drop table {'memory.main' if 'memory' in sql else 'temp'}.x")


@pytest.mark.parametrize(
    "query",
    [
        "pivot (select 1 as a, 2 as b) on a using sum(b)",
        "(with q as (select 1 as x) select sum(x) as s from q)",
        "from (select sum(1) as s)",
        "select sum(1) as s, sum(2) as s",
        'select sum(1) as "a ""b""" with no data',
    ],
)
def test_every_form_of_create_table_as_is_exact(lake: Lake, query: str) -> None:
    lake.execute(f"create or replace table x as {query};")
    assert {column.type for column in catalog.table_columns(lake, TableName("main", "x"))} == {
        "DECIMAL(38,0)"
    }


def test_small_inserts_keep_every_character(lake: Lake) -> None:
    lake.execute("create table t (s struct(a varchar), l varchar[])")
    lake.execute("insert into t values ({'a': 'it''s \"so\", {x: 1}'}, ['a,b', '', NULL, '[x]'])")
    assert fetch_rows(lake, "select * from t") == [({"a": 'it\'s "so", {x: 1}'}, ["a,b", "", None, "[x]"])]


@pytest.mark.parametrize(
    "sql",
    [
        "execute exact_values",
        "insert into exact_rows values (interval 14 month, '2024-01-01 00:00:00.123456789', 'infinity')"
        " returning *",
        "update exact_rows set day = 'infinity' returning *",
        "delete from exact_rows returning *",
    ],
)
def test_result_rows_of_every_kind_of_statement_are_exact(lake: Lake, sql: str) -> None:
    lake.execute("create or replace temp table exact_rows (months interval, ns timestamp_ns, day date)")
    lake.execute(
        "insert into exact_rows values (interval 14 month, '2024-01-01 00:00:00.123456789', 'infinity')"
    )
    lake.execute("prepare exact_values as select * from exact_rows")
    result = lake.execute(sql)
    assert [name for name, _ in result.columns or ()] == ["months", "ns", "day"]
    [[row]] = result.batches()
    assert row == ("1 year 2 months", "2024-01-01 00:00:00.123456789", "infinity")
    lake.execute("deallocate exact_values")


def test_a_geometry_is_shown_as_text(lake: Lake) -> None:
    assert fetch_rows(lake, "select 'POINT(1 2)'::geometry") == [("POINT (1 2)",)]


def test_a_copy_statement_returns_its_files_as_rows(lake: Lake, tmp_path: Path) -> None:
    [[row]] = lake.execute(f"copy (select 1) to '{tmp_path}/x.csv' (return_files true)").batches()
    assert row == (1, [f"{tmp_path}/x.csv"])
