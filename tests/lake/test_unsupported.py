"""What a DuckLake does not support: the message names the statement that works instead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stores import create_home
from unify.errors import QueryError
from unify.lake.lake import Lake


@pytest.fixture(scope="module")
def unchanged_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake with an empty schema and a table, for statements that are refused."""
    with Lake(create_home(tmp_path_factory.mktemp("unsupported"))) as opened:
        opened.execute("create schema s")
        opened.execute("create table t as select 1 as a")
        yield opened


@pytest.mark.parametrize(
    ("sql", "advice"),
    [
        ("create type e as enum ('a')", "create temp type …"),
        ("create sequence q", "create temp sequence …"),
        ("create index i on t(a)", "alter table TABLE set sorted by (COLUMN)"),
        ("create unique index i on t(a)", "alter table TABLE set sorted by (COLUMN)"),
        ("create table x(a int primary key)", "create temp table …"),
        ("create table x(a int, primary key (a))", "merge into"),
        ("create table x(a int unique)", "create temp table …"),
        ("alter table t add primary key (a)", "merge into"),
        ("alter table t add constraint c check (a > 0)", "create temp table …"),
        ("create table x(a int references t(a))", "without the reference"),
        ("create table x(a int check (a > 0))", "create temp table …"),
        ("alter table t add column x int check (x > 0)", "without the constraint"),
        ("create table x(a int, b int generated always as (a + 1))", "create view NAME as"),
        ("alter table t add column x int generated always as (a + 1)", "create view NAME as"),
        ("create table x(a varchar collate nocase)", "order by COLUMN collate nocase"),
        ("insert into t values (2) returning a", "without RETURNING"),
        ("update t set a = 2 returning a", "without RETURNING"),
        ("delete from t returning a", "without RETURNING"),
        ("merge into t using t s on s.a = t.a when matched then delete returning a", "without RETURNING"),
        ("insert into t values (1) on conflict do nothing", "merge into"),
        ("insert into t values (1) on conflict (a) do nothing", "merge into"),
        ("insert or replace into t values (1)", "merge into"),
        ("alter table t alter a type varchar", "create or replace table"),
        ("alter table t set schema s", "create table SCHEMA.TABLE as from TABLE"),
        ("alter schema s rename to z", "create table NEW.TABLE as from OLD.TABLE"),
        ("create table x (like t)", "create table NEW as from OLD limit 0"),
        ("vacuum t", "nothing to do"),
        ("create table x(a enum ('x', 'y'))", "the lake cannot store the type ENUM('x', 'y'); use VARCHAR"),
        ("create table x(a struct(b enum ('x')))", "use VARCHAR"),
        ("create table x as select 'x'::enum ('x') as a", "use VARCHAR"),
        ("create table x(a union(n int, s varchar))", "use a STRUCT or JSON"),
        ("create table x(a bit)", "use VARCHAR"),
        ("create table x(a bignum)", "use DECIMAL(38,0)"),
        ("create table x(a int[3])", "use a list: INTEGER[]"),
        ("drop schema main cascade", "drop its tables instead"),
        ('drop schema if exists lake."main" cascade', "drop its tables instead"),
    ],
)
def test_the_error_names_what_works(unchanged_lake: Lake, sql: str, advice: str) -> None:
    with pytest.raises(QueryError) as refused:
        unchanged_lake.execute(sql)

    assert advice in refused.value.message
    assert [row for batch in unchanged_lake.execute("from t").batches() for row in batch] == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "create temp type e as enum ('a')",
        "create temp sequence q",
        "create temp table x(a int primary key, b int check (b > 0), c int generated always as (a + 1))",
        "alter table t set sorted by (a)",
        "create view v as select *, a + 1 as b from t",
        "select * from t order by a::varchar collate nocase",
        "merge into t using (select 1 as a) s on s.a = t.a when matched then update set a = 2 "
        "when not matched then insert values (s.a)",
        "create or replace table t as select * replace (a::varchar as a) from t",
        "create table s.t as from t",
        "create table x as from t limit 0",
        "drop schema s",
    ],
)
def test_what_the_errors_name_works(lake: Lake, sql: str) -> None:
    lake.execute("create schema s")
    lake.execute("create table t as select 1 as a")

    result = lake.execute(sql)

    assert result.summary or result.columns
