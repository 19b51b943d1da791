"""The tables of a statement, also of one that sqlglot cannot parse."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.database import open_cursor
from unify.language.sql import tables as sql_tables
from unify.language.sql.refs import TableRef
from unify.language.sql.tables import referenced_tables
from unify.language.sql.untrusted import select_tables
from unify.language.tokenizer import keyword_set

# A statement and its tables as `name`, `name*` where it is written, `name*!` where its rows are not read.
FORMS: list[tuple[str, str]] = [
    # one table
    ("select * from github.pulls", "github.pulls"),
    ("SELECT number FROM github.pulls LIMIT 10;", "github.pulls"),
    ("from github.pulls", "github.pulls"),
    ("from github.pulls select number where state = 'open' limit 1", "github.pulls"),
    ("table github.pulls", "github.pulls"),
    ('select * from "My Conn"."T x"', "My Conn.T x"),
    ("select * from größe.日本", "größe.日本"),
    ("select * from github.order", "github.order"),
    ('select "from".x from "from"."table"', "from.table"),
    ("select * from github /* a */ . -- b\n pulls", "github.pulls"),
    ("select * from lake.github.pulls", "lake.github.pulls"),
    ("select * from main.t", "main.t"),
    ("select * from t", "t"),
    ("select * from information_schema.tables", "information_schema.tables"),
    ("select * from GitHub.Pulls, github.pulls, GITHUB.PULLS", "GitHub.Pulls"),
    ("select github.pulls.title, p.user.login from github.pulls p", "github.pulls"),
    ("select * from p: github.pulls", "github.pulls"),
    ("select * from github.pulls at (version => 3)", "github.pulls"),
    ("select * from github.pulls at (timestamp => now() - interval 1 day) p", "github.pulls"),
    ("select * from github.pulls tablesample reservoir(10%)", "github.pulls"),
    ("select * from github.pulls using sample 10%", "github.pulls"),
    # several
    ("select * from a.b, c.d", "a.b c.d"),
    ("select * from a.b x, c.d y, (select * from e.f) z", "a.b c.d e.f"),
    ("select * from a.b join c.d using (id)", "a.b c.d"),
    ("select * from a.b natural full join c.d left join e.f on true", "a.b c.d e.f"),
    ("select * from a.b join c.d on b.x = d.x, e.f", "a.b c.d e.f"),
    ("select * from a.b cross join c.d positional join e.f", "a.b c.d e.f"),
    ("select * from a.b asof left join c.d on b.t >= d.t", "a.b c.d"),
    ("select * from a.b semi join c.d using (x) anti join e.f using (y)", "a.b c.d e.f"),
    ("select * from a.b, lateral (select * from c.d where d.x = b.x)", "a.b c.d"),
    ("select * from (a.b join c.d using (x))", "a.b c.d"),
    ("select * from ((a.b))", "a.b"),
    ("select * from a.b union all by name select * from c.d", "a.b c.d"),
    ("select * from a.b intersect select * from c.d except (from e.f)", "a.b c.d e.f"),
    ("(select * from a.b) union (select * from c.d)", "a.b c.d"),
    # subqueries anywhere
    ("select (select count(*) from a.b)", "a.b"),
    ("select (from a.b select max(x))", "a.b"),
    ("select * from a.b where x in (from c.d) or exists (from e.f)", "a.b c.d e.f"),
    ("select case x when 1 then (select y from c.d) end from a.b", "c.d a.b"),
    ("select * from a.b order by (select x from c.d) limit (select 1 from e.f)", "a.b c.d e.f"),
    ("select [x * 2 for x in (select list(y) from c.d)] from a.b", "c.d a.b"),
    ("values ((select max(x) from a.b))", "a.b"),
    ("select * from\u00a0github\u200b.\ufeffpulls\u3000p", "github.pulls"),
    # common table expressions
    ("with pulls as (select * from github.pulls) select * from pulls", "github.pulls"),
    ("with T as (select 1) select * from t", ""),
    ("with t as (select * from t) select * from t", "t"),
    ("with a as (select * from b), b as (select 1) select * from a, b", "b"),
    ("with a as (select 1), b as (select * from a) select * from b, c", "c"),
    ("with recursive x as (select 1 union all select * from x) from x", ""),
    ("with m as materialized (from a.b), n as not materialized (from m) from n", "a.b"),
    ("with x as (with y as (from a.b) from y) from x, y", "a.b y"),
    ("select * from (with y as (from a.b) from y), y", "a.b y"),
    ("with x as (from a.b) insert into c.d from x", "a.b c.d*!"),
    ("with x as (from a.b) select * from x join x.y using (id)", "a.b x.y"),
    # no tables
    ("select 1", ""),
    ("values (1)", ""),
    ("select * from (values (1)) t(x)", ""),
    ("select * from range(3)", ""),
    ("select * from read_csv('x.csv'), unnest([1])", ""),
    ("select * from a.b, unnest(b.labels) u, generate_series(1, 3)", "a.b"),
    ("select * from lake.table_changes('pulls', 1, 2)", ""),
    ("select 'from x.y', \"from\" from a.b -- from q.z", "a.b"),
    ("/* from x.y */ select * from a.b where x = 'it''s; from c.d' and y = $$from e.f$$", "a.b"),
    ("select extract(year from b.x), trim(both 'x' from b.y) from a.b", "a.b"),
    ("select b.x is distinct from a.y from c.d", "c.d"),
    ("select * exclude (x) replace (y as z), columns('a.*') from a.b", "a.b"),
    ("select list_transform(l, x -> x.a), list_filter(l, lambda x, i: x.b > i) from a.b", "a.b"),
    ("select j ->> '$.a', x::decimal(3, 1)[], [1, 2][1:2], {'a': b.x}.a from a.b", "a.b"),
    # shapes
    ("pivot github.pulls on state using count(*)", "github.pulls"),
    ("unpivot github.pulls on a, b into name n value v", "github.pulls"),
    ("from (pivot a.b on x in ('a') using sum(y) group by z) select a", "a.b"),
    ("select * from a.b pivot (sum(x) for y in (1, 2))", "a.b"),
    ("create table t as pivot a.b on x using sum(y)", "a.b"),
    # around a statement
    ("explain select * from a.b", "a.b"),
    ("explain analyze select * from a.b", "a.b"),
    ("explain (analyze, format json) from a.b", "a.b"),
    ("explain (select * from a.b)", "a.b"),
    ("explain insert into a.b from c.d", "a.b*! c.d"),
    ("explain", ""),
    ("explain (", ""),
    ("prepare q as select * from a.b where x = ?", "a.b"),
    ("describe a.b", "a.b"),
    ("describe table a.b", "a.b"),
    ("describe select * from a.b", "a.b"),
    ("summarize a.b", "a.b"),
    ("summarize select * from a.b", "a.b"),
    ("explain summarize a.b", "a.b"),
    ("show a.b", "a.b"),
    ("show lake.a.b", "lake.a.b"),
    ("show all tables", ""),
    ("show databases", ""),
    ("describe tables", ""),
    # writing
    ("insert into a.b select * from c.d", "a.b*! c.d"),
    ("insert or replace into a.b by name from c.d on conflict do nothing returning *", "a.b*! c.d"),
    ("insert into a.b (x) values (1)", "a.b*!"),
    ("insert into a.b select * from a.b", "a.b*"),
    ("update a.b set x = c.y from c.d c where c.z = b.z", "a.b* c.d"),
    ("update lake.a.b as z set x = 1 where y in (select 1 from c.d)", "lake.a.b* c.d"),
    ("delete from a.b using c.d where b.x = d.x", "a.b* c.d"),
    ("delete from a.b where x in (select y from c.d)", "a.b* c.d"),
    ("merge into a.b using c.d on b.x = d.x when matched then delete", "a.b* c.d"),
    ("merge into a.b using (from c.d) q using (id) when not matched then insert", "a.b* c.d"),
    ("truncate a.b", "a.b*!"),
    ("create table a.b as select * from c.d", "a.b*! c.d"),
    ("create or replace table lake.a.b as from c.d", "lake.a.b*! c.d"),
    ("create table if not exists a.b (x int, y text default 'from c.d')", "a.b*!"),
    ("create temp table q as table a.b", "q*! a.b"),
    ("create view a.b(x, y) as select * from c.d", "a.b*! c.d"),
    ("create macro f(a) as table select * from a.b", "a.b"),
    ("create type mood as enum (select x from a.b)", "a.b"),
    ("create index i on a.b (x)", "a.b*"),
    ("alter table a.b rename to c", "a.b*!"),
    ("comment on table a.b is 'x'", "a.b*!"),
    ("drop table if exists a.b", "a.b*!"),
    ("drop view a.b", "a.b*!"),
    ("copy (select * from a.b) to 'x.csv'", "a.b"),
    ("copy a.b to 'x.parquet' (format parquet)", "a.b"),
    ("copy a.b from 'x.csv'", "a.b*!"),
    ("copy from database a to b", ""),
    ("set variable x = (select count(*) from a.b)", "a.b"),
    ("analyze a.b", "a.b"),
    ("vacuum a.b", "a.b"),
    # neither
    ("use github", ""),
    ("use lake.github", ""),
    ("create schema github", ""),
    ("drop schema github cascade", ""),
    ("create sequence a.s", ""),
    ("drop macro a.f", ""),
    ("attach 'x.db' as y", ""),
    ("begin", ""),
    ("pragma table_info('a.b')", "a.b"),
    ("call pragma_table_info('a.b')", "a.b"),
    ("comment on column a.b.c is 'x'", "a.b*!"),
    ("call f('a.b')", ""),
    ("set threads = 2", ""),
    ("export database 'x'", ""),
    # stacked
    ("select * from a.b; select * from c.d", "a.b c.d"),
    ("select * from a.b; this is no SQL from c.d; from e.f", "a.b c.d e.f"),
    ("", ""),
]

# Statements that sqlglot 30 cannot parse: the scanner finds the tables.
UNREAD: list[tuple[str, str]] = [
    ("select if(a) from a.b, c.d e join lake.f.g using (x)", "a.b c.d lake.f.g"),
    ("select x!, y! from a.b where z in (select 1 from c.d)", "a.b c.d"),
    ("select x! from a.b join (c.d join e.f using (x)) using (y)", "a.b c.d e.f"),
    ("frobnicate table a.b using c.d", "a.b*! c.d"),
    ("update a.b set x = y! from c.d", "a.b* c.d"),
    ("insert into a.b (x) select y! from c.d", "a.b*! c.d"),
    ('select x! from "My Conn"."T", t, u.f(1), p: v.w order by a.x, b.y', "My Conn.T v.w"),
    ("select x! from a.b, unnest(b.tags), (from c.d), e.f where a.x, b.y", "a.b c.d e.f"),
    ("select x!, extract(year from b.x), 1 is distinct from b.z from a.b", "a.b"),
    ("select x!, trim(both 'x' from b.y), 'from p.q' from a.b -- , c.d", "a.b"),
    ("create view if not exists a.b as pivot c.d on x", "a.b*! c.d"),
    ("select x! from", ""),
    ("select x! from a.", ""),
    ("select x! from a.b.c.d.e", "a.b.c"),
    ("select from from from", ""),
]


def written_out(refs: tuple[TableRef, ...] | list[TableRef]) -> str:
    marks = {(False, True): "", (True, True): "*", (True, False): "*!"}
    return " ".join(f"{ref}{marks[ref.is_written, ref.is_read]}" for ref in refs)


@pytest.mark.parametrize(("sql", "used"), FORMS, ids=[sql for sql, _ in FORMS])
def test_the_tables_of_a_statement_are_found(sql: str, used: str) -> None:
    assert written_out(referenced_tables(sql)) == used


@pytest.mark.parametrize(("sql", "used"), UNREAD, ids=[sql for sql, _ in UNREAD])
def test_the_tables_of_a_statement_that_sqlglot_cannot_parse_are_found(sql: str, used: str) -> None:
    from unify.language.sql import parse as sql_parse

    assert sql_parse.statement_tables(sql) is None or "pivot" in sql
    assert written_out(referenced_tables(sql)) == used


@pytest.mark.parametrize(
    "sql", [sql for sql, _ in FORMS if sql.startswith(("select", "from", "with", "values", "(", "table"))]
)
def test_duckdb_reports_the_same_tables(sql: str) -> None:
    reported = tables_reported_by_duckdb(sql)
    if reported is not None:
        assert {ref.key for ref in referenced_tables(sql) if ref.schema} == {
            key for key in reported if key[1]
        }


@pytest.mark.parametrize(
    "sql",
    [
        sql
        for sql, _ in FORMS
        if "a.b" in sql and not sql.startswith(("show", "create index", "comment", "pragma", "call"))
    ],
)
def test_the_token_scanner_misses_no_table(sql: str) -> None:
    """The scanner is less precise and may find more tables; a missed table would not be loaded."""
    statement = sql.replace("explain ", "").replace("references", "")
    assert {ref for ref in referenced_tables(sql) if ref.schema} <= set(sql_tables.scan_for_tables(statement))


def tables_reported_by_duckdb(sql: str) -> set[tuple[str, str, str]] | None:
    with open_cursor() as connection:
        answer = connection.execute("select json_serialize_sql(?)", [sql]).fetchone()
    assert answer is not None
    parsed: Any = json.loads(answer[0])
    if parsed["error"]:
        return None
    found, waiting = set(), [parsed]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("type") == "BASE_TABLE":
                found.add(
                    (value["catalog_name"].lower(), value["schema_name"].lower(), value["table_name"].lower())
                )
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


def test_names_keep_their_case_and_are_compared_without_it() -> None:
    (ref,) = referenced_tables("from GitHub.Pulls")
    assert (ref.schema, ref.table, ref.catalog) == ("GitHub", "Pulls", "")
    assert ref == TableRef("github", "PULLS")
    assert len({ref, TableRef("github", "pulls"), TableRef("github", "pulls", "lake")}) == 2
    assert (str(ref), str(ref.name)) == ("GitHub.Pulls", "GitHub.Pulls")


@pytest.mark.parametrize(
    "sql", ["call f('a.b')", "create type m as enum (from a.b)", "select x! from a.b", "vacuum a.b"]
)
def test_sqlglot_prints_nothing(
    sql: str, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    referenced_tables(sql)
    assert capfd.readouterr() == ("", "")
    assert len(recwarn) == 0


def test_a_bulk_insert_is_scanned_without_being_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parse = sqlglot.parse
    monkeypatch.setattr(sqlglot, "parse", lambda sql, **how: parsed.append(sql) or parse(sql, **how))  # type: ignore[func-returns-value]
    sql = "insert into a.b values " + ", ".join(f"({number}, 'from c.d')" for number in range(30_000))
    assert written_out(referenced_tables(sql)) == "a.b*!"
    assert sum(map(len, parsed)) < len(sql) / 100


def test_any_depth_of_brackets_is_handled() -> None:
    assert (
        written_out(referenced_tables("select " + "(" * 20_000 + "1" + ")" * 20_000 + " from a.b")) == "a.b"
    )


PIECES = sorted(
    keyword_set(
        "select from a.b c . ( ) , with as join using ' \" ; into update table explain show pivot on * = "
        "1 -- /* $$ copy to : prepare describe"
    )
)


@settings(deadline=None)  # of the clock: a machine may be busy
@given(
    st.lists(
        st.sampled_from(PIECES),
        max_size=15,
    ).map(" ".join)
)
def test_any_text_is_handled_without_an_internal_error(text: str) -> None:
    assert isinstance(referenced_tables(text), tuple)


# --- SELECTs of specs


@pytest.mark.parametrize(
    ("sql", "used"),
    [
        ("select owner_login as owner, name as repo from repos", "repos"),
        ("select number, title from pulls where state = 'open';", "pulls"),
        ("from repos", "repos"),
        ("with r as (select * from repos) select * from r join pulls using (repo)", "repos pulls"),
        ("select * from repos union all select * from archived", "repos archived"),
        ("select name, unnest(labels) as label from issues", "issues"),
        ("select * from issues, unnest(issues.labels) as l(label)", "issues"),
        ("select * from other.pulls", "other.pulls"),
        ('select * from "My table" -- with a comment', "My table"),
        ("values (1), (2)", ""),
    ],
)
def test_the_tables_of_a_select_in_a_spec_are_found(sql: str, used: str) -> None:
    assert written_out(select_tables(sql)) == used


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "holds 0 statements"),
        ("-- nothing", "holds 0 statements"),
        ("select 1; select 2", "holds 2 statements"),
        ("select 1; drop table repos", "not a SELECT"),
        ("sleect 1", "cannot be read: syntax error"),
        ("select 'a", "cannot be read: unterminated quoted string"),
        ("drop table repos", "not a SELECT"),
        ("insert into repos select 1", "not a SELECT"),
        ("copy repos to 'x.csv'", "not a SELECT"),
        ("copy (select * from repos) to 'x.csv'", "not a SELECT"),
        ("attach 'x.db'", "not a SELECT"),
        ("install httpfs", "not a SELECT"),
        ("load httpfs", "not a SELECT"),
        ("set threads = 1", "not a SELECT"),
        ("pragma version", "not a SELECT"),
        ("call pragma_version()", "not a SELECT"),
        ("explain select 1", "not a SELECT"),
        ("describe repos", "not a SELECT but a SHOW"),
        ("show tables", "not a SELECT but a SHOW"),
        ("summarize repos", "not a SELECT but a SHOW"),
        ("pivot repos on name using count(*)", "not a SELECT"),
        ("select * from read_text('/etc/passwd')", "table function read_text"),
        ("select * from read_csv('http://x/y.csv')", "table function read_csv"),
        ("select * from glob('*')", "table function glob"),
        ("select * from duckdb_secrets()", "table function duckdb_secrets"),
        ("select * from query('drop table repos')", "table function query"),
        ("select * from query_table('repos')", "table function query_table"),
        (
            "select * from repos where name in (select content from read_text('x'))",
            "table function read_text",
        ),
        ("with x as (from read_blob('x')) select * from x", "table function read_blob"),
        ("select * from repos, lateral (from read_text(repos.name))", "table function read_text"),
        ("select * from 'x.csv'", "no table's name"),
        ('select * from "/etc/passwd"', "no table's name"),
        ("select * from 's3://bucket/x'", "no table's name"),
        ("select * from repos -- \r, read_text('/etc/passwd')", "table function read_text"),
        (
            "select * from repos /* /* */ , read_text('x') */ , read_text('y')",
            "table function read_text",
        ),
        ("select * from repos\u2028", "ambiguous"),
        ("select * from repos\x00, secrets", "NUL"),
        ("select " + "abs(" * 900 + "1" + ")" * 900, ""),
        ("select " + "(" * 20_000 + "1" + ")" * 20_000, ""),
    ],
)
def test_a_spec_with_more_than_a_select_is_refused(sql: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|holds|cannot|calls|reads|can|uses) ") as caught:
        select_tables(sql)
    assert message in str(caught.value)
    assert "\x1b" not in str(caught.value)
