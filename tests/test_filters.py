"""What a statement asks of its tables: only what is certain, in forms people write."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from msgspec.structs import replace

from unify.adapters.base import ParentRow
from unify.adapters.filtered import asked_value
from unify.adapters.spec import ColumnDef, Filter, ForEach, TableSpec
from unify.interpreter.liveparents import narrowed
from unify.language import mentions
from unify.language.constants import Constant
from unify.language.mentions import Statement
from unify.language.tableref import TableRef


def read(sql: str) -> Statement:
    found = mentions.read(sql, own, {"term": Constant("lark"), "nothing": None})
    assert found is not None, sql
    return found


def own(ref: TableRef) -> Collection[str]:
    return {"q", "state"} if ref.table == "search" else ()


def asked(sql: str, number: int = 0) -> list[str]:
    """The conditions on one table, as ``q = lark``."""
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
def test_conditions_with_constants_are_found(where: str, conditions: list[str]) -> None:
    assert asked(f"select * from shop.search s where {where}") == conditions


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
def test_conditions_count_where_a_join_allows_it(sql: str, conditions: list[str]) -> None:
    place = next(n for n, one in enumerate(read(sql).mentions) if one.ref.table == "search")
    assert asked(sql, place) == conditions


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
    assert [f"{link.column} {link.other_column}" for link in search.joined] == joined


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
def test_a_limit_bounds_what_is_fetched_only_where_it_is_the_tables_alone(
    sql: str, limit: int | None
) -> None:
    assert read(sql).mentions[0].limit == limit


def test_names_are_put_in_place_of_mentions() -> None:
    sql = 'explain select shop.search.q, "a b" from shop.search, lake.shop."search" x where shop.search.q = 1'
    assert read(sql).with_names({0: "t1", 1: "t2"}) == (
        'explain select search.q, "a b" from t1 AS "search", t2 x where search.q = 1'
    )
    assert read("describe shop.search").with_names({0: "t1"}) == "describe t1"


@pytest.mark.parametrize(
    ("operator", "text", "form", "value"),
    [
        ("=", "2026-01-31", "date", "2026-01-31"),
        ("=", "2026-01-31 10:00:00Z", "date", None),
        ("=", "now-1h", "date", None),
        ("=", "now-1h", None, "now-1h"),
        (">=", "2026-01-31T10:00:00Z", "date", "2026-01-31"),
        ("<=", "2026-01-31T10:00:00Z", "date", "2026-02-01"),
        (">=", "2026-01-31T10:00:00", "iso8601", "2026-01-30T10:00:00"),
        ("<", "2026-01-31T10:00:00+02:00", "iso8601", "2026-01-31T10:00:00+02:00"),
        ("like", "%lark%", None, "lark"),
        ("like", "l_rk", None, None),
        ("like", "%", None, None),
    ],
)
def test_a_value_asks_for_no_less_than_the_condition(
    operator: str, text: str, form: str | None, value: str | None
) -> None:
    assert asked_value(Filter("c", "c", format=form), operator, text, is_moment=False) == value


CHILD = TableSpec(
    name="parcels",
    method="GET",
    path="/orders/{order}/parcels",
    for_each=ForEach(query="", columns=("order", "state", "at")),
    columns=(
        ColumnDef("order_id", source="{order}"),
        ColumnDef("order_state", source="{state}"),
        ColumnDef("made_at", source="{at}"),
        ColumnDef("code", source="{order}-{state}"),
    ),
)
PARENTS: list[ParentRow] = [
    {"order": 1, "state": "open", "at": "2026-01-01"},
    {"order": 2, "state": "done", "at": "2026-01-02"},
    {"order": 3, "state": None, "at": None},
]


@pytest.mark.parametrize(
    ("where", "asked"),
    [
        ("order_id = 2", [2]),
        ("order_id in (1, 3)", [1, 3]),
        ("order_id = '2'", [1, 2, 3]),  # compared as numbers, and not by us
        ("order_id = 2.0", [1, 2, 3]),
        ("order_id > 1", [1, 2, 3]),
        ("order_state = 'open'", [1]),
        ("order_state = 'open' or order_state = 'done'", [1, 2]),
        ("order_state = 'open' and order_id = 2", []),
        ("order_state = 'open' or order_id = 2", [1, 2, 3]),
        ("lower(order_state) = 'open'", [1, 2, 3]),
        ("made_at = '2026-01-01 00:00:00'", [1, 2]),  # texts of moments become moments; NULL equals nothing
        ("code = '1-open'", [1, 2, 3]),
    ],
)
def test_parents_are_left_out_only_where_that_is_certain(where: str, asked: list[int]) -> None:
    statement = mentions.read(f"select * from shop.parcels where {where}", lambda _ref: ())
    assert statement is not None
    found = narrowed(PARENTS, CHILD, statement.mentions[0].conditions)
    assert [parent["order"] for parent in found] == asked


def test_parents_asked_in_batches_are_all_asked() -> None:
    child = replace(CHILD, for_each=ForEach(query="", columns=("order",), batch=50))
    statement = mentions.read("select * from shop.parcels where order_id = 2", lambda _ref: ())
    assert statement is not None
    assert narrowed(PARENTS, child, statement.mentions[0].conditions) == PARENTS
