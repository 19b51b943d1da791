"""Predicates of a SELECT that can be pushed down."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from unify.language.sql import rewrite
from unify.language.sql.refs import Constant, TableRef
from unify.language.sql.rewrite import StatementMentions


def read(sql: str) -> StatementMentions:
    found = rewrite.find_mentions(sql, own, {"term": Constant("lark"), "nothing": None})
    assert found is not None, sql
    return found


def own(ref: TableRef) -> Collection[str]:
    return {"q", "state"} if ref.table == "search" else ()


def conditions_of(sql: str, number: int = 0) -> list[str]:
    """Return the conditions on one table, such as ``q = lark``."""
    return [
        f"{one.column} {one.operator} {' '.join(value.text for value in one.values)}"
        for one in read(sql).mentions[number].conditions
    ]


@pytest.mark.parametrize(
    ("where", "conditions"),
    [
        ("q = 'lark'", ["q = lark"]),
        ("'lark' = q", ["q = lark"]),
        ("5 < n", ["n > 5"]),
        ("s.Q = 'lark' and s.n >= -2.5", ["q = lark", "n >= -2.5"]),
        ("q in ('a', 'b', 'a')", ["q in a b"]),
        ("(q = 'a' or q = 'b' or q in ('c'))", ["q in a b c"]),
        ("n between 1 and 5", ["n >= 1", "n <= 5"]),
        ("title like '%lark%'", ["title like %lark%"]),
        ("q = $term and state = $nothing", ["q = lark"]),
        ("day >= date '2026-01-01' and done = true", ["day >= 2026-01-01", "done = true"]),
        ("q = 'a' and (state = 'x' or n = 2)", ["q = a"]),
        ("not q = 'a'", []),
        ("q <> 'a'", []),
        ("q not in ('a')", []),
        ("q in (select 'a')", []),
        ("q = null", []),
        ("lower(q) = 'a'", []),
        ("q::int = 5", []),
        ("q = 'a' collate nocase", []),
        ("q like 'a!%' escape '!'", []),
        ("q ilike 'a'", []),
        ("n not between 1 and 5", []),
        ("q = upper('a')", []),
        ("q is not distinct from 'a'", []),
        ("case when q = 'a' then true end", []),
    ],
)
def test_conditions_with_constants_are_pushed_down(where: str, conditions: list[str]) -> None:
    assert conditions_of(f"select * from shop.search s where {where}") == conditions


@pytest.mark.parametrize(
    ("sql", "conditions"),
    [
        ("select * from a.b o join shop.search s on s.q = 'x' where o.k = 1", ["q = x"]),
        ("select * from a.b o left join shop.search s on s.q = 'x'", ["q = x"]),
        ("select * from a.b o left join shop.search s on true where q = 'x'", ["q = x"]),
        ("select * from a.b o right join shop.search s on s.q = 'x'", []),
        ("select * from a.b o full join shop.search s on s.q = 'x'", []),
        ("select * from a.b o, shop.search s where o.q = 'x' and s.q = 'y'", ["q = y"]),
        ("select * from a.b o join shop.search s using (q) where q = 'x'", []),
        ("select * from a.b o natural join shop.search s where s.q = 'x'", []),
        ("select * from a.b o asof join shop.search s on o.t >= s.t where s.q = 'x'", []),
        ("select * from a.b o positional join shop.search s where s.q = 'x'", []),
        ("select * from a.b o semi join shop.search s on s.q = 'x'", []),
        ("select * from a.b o, shop.search s(a, q) where s.q = 'x'", []),
        ("select * from a.b o, (select * from shop.search) s where s.q = 'x'", []),
        ("select * from a.b o where exists (from shop.search s where s.q = 'x' and s.k = o.k)", ["q = x"]),
        ("with x as (from shop.search where q = 'x') select * from a.b, x where x.q = 'y'", ["q = x"]),
    ],
)
def test_conditions_are_pushed_down_if_a_join_allows_it(sql: str, conditions: list[str]) -> None:
    place = next(n for n, one in enumerate(read(sql).mentions) if one.ref.table == "search")
    assert conditions_of(sql, place) == conditions


@pytest.mark.parametrize(
    ("sql", "joined"),
    [
        ("select * from a.b o join shop.search s on s.q = o.word", ["q word"]),
        ("select * from a.b o left join shop.search s on o.word = s.q", ["q word"]),
        ("select * from a.b o left join shop.search s using (q)", ["q q"]),
        ("select * from a.b o, shop.search s where s.q = o.word", ["q word"]),
        ("select * from shop.search s left join a.b o on s.q = o.word", []),
        ("select * from a.b o full join shop.search s on s.q = o.word", []),
        ("select * from shop.search s join (select 1 as word) o on s.q = o.word", []),
    ],
)
def test_columns_of_a_join_are_found(sql: str, joined: list[str]) -> None:
    [search] = [one for one in read(sql).mentions if one.ref.table == "search"]
    assert [f"{link.column} {link.other_column}" for link in search.joins] == joined


@pytest.mark.parametrize(
    ("sql", "limit"),
    [
        ("select * from shop.search limit 5", 5),
        ("from shop.search where q = 'x' limit 5", 5),
        ("select upper(q) from shop.search limit 5", 5),
        ("select * from shop.search order by q limit 5", None),
        ("select distinct q from shop.search limit 5", None),
        ("select count(*) from shop.search limit 5", None),
        ("select q, row_number() over () from shop.search limit 5", None),
        ("select q from shop.search group by q limit 5", None),
        ("select unnest(labels) from shop.search limit 5", None),
        ("select * from shop.search limit 5 offset 2", None),
        ("select * from shop.search limit 10%", None),
        ("select * from shop.search, a.b limit 5", None),
        ("select * from shop.search union all select * from shop.search limit 5", None),
        ("select * from (select * from shop.search limit 5)", None),
        ("explain analyze select * from shop.search limit 5", None),
    ],
)
def test_a_limit_is_pushed_down_only_if_it_applies_to_the_table(sql: str, limit: int | None) -> None:
    assert read(sql).mentions[0].limit == limit


def test_mentions_are_replaced_by_names() -> None:
    sql = 'explain select shop.search.q, "a b" from shop.search, lake.shop."search" x where shop.search.q = 1'
    assert read(sql).replace_mentions({0: "t1", 1: "t2"}) == (
        'explain select search.q, "a b" from t1 AS "search", t2 x where search.q = 1'
    )
    assert read("describe shop.search").replace_mentions({0: "t1"}) == "describe t1"
