"""Which columns a statement can need: by name, or all of them."""

from __future__ import annotations

import pytest

from unify.language.sql.analysis import analyse


def names(sql: str) -> frozenset[str] | None:
    statement = analyse(sql).mentions(lambda _ref: (), {})
    assert statement is not None
    return statement.mentions[0].used_names


@pytest.mark.parametrize(
    ("sql", "used"),
    [
        ("select A, b + 1 as c from s.t where d = 1", {"a", "b", "c", "d"}),
        ("select count(*) from s.t where a > 1", {"a"}),
        ("select x.a from s.t x join s.u using (k) order by x.b", {"a", "b", "k"}),
        ("select a from s.t qualify row_number() over (partition by d order by e) = 1", {"a", "d", "e"}),
        ("select col.member['x'] from s.t", {"col", "member"}),
        (
            "with q as (select a from s.t) select a from q where exists (select 1 from s.u where u.z = q.a)",
            {"z"},
        ),
        ("select list_transform(l, e -> e + q) from s.t", {"l", "q"}),
        ("select a from s.t union all select b from s.u", {"a", "b"}),
    ],
)
def test_a_statement_with_names_alone_needs_the_columns_of_these_names(sql: str, used: set[str]) -> None:
    found = names(sql)
    assert found is not None
    assert used <= found


@pytest.mark.parametrize(
    "sql",
    [
        "select * from s.t",
        "from s.t",
        "select x.* from s.t x",
        "select * exclude (a) from s.t",
        "select columns('a.*') from s.t",
        "select a from s.t natural join s.u",
        "select a from s.t as x(a, b)",
        "select t from s.t",
        "select count(x) from s.t x",
        "select #1 from s.t",
        "select exists(from s.t)",
        "pivot s.t on a using sum(b)",
    ],
)
def test_a_statement_that_uses_columns_in_another_way_may_need_all(sql: str) -> None:
    assert names(sql) is None
