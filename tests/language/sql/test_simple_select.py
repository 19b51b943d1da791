"""The table of a simple SELECT, compared with what sqlglot and DuckDB find."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.language.sql.test_tables import FORMS, tables_reported_by_duckdb
from unify.language.sql import parse
from unify.language.sql.refs import TableRef
from unify.language.sql.simple_select import simple_select_table
from unify.language.tokenizer import keyword_set, significant_tokens


def simple_table(sql: str) -> TableRef | None:
    return simple_select_table(list(significant_tokens(sql)))


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("select count(*) from c.t", "c.t"),
        ("SELECT * FROM c.t LIMIT 10;", "c.t"),
        ("from c.t", "c.t"),
        ("from c.t x select x.a where a > 1 order by a desc", "c.t"),
        (
            'select a, b[1], {\'x\': c} from lake."My c"."T x" as y where a in (1, 2) group by all',
            "lake.My c.T x",
        ),
        ("select * from t /* a */ where x = 'from c.d' -- from e.f", "t"),
    ],
)
def test_the_table_is_found(sql: str, table: str) -> None:
    assert str(simple_table(sql)) == table


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "select 1 is distinct from c.t",
        "select extract(year from c.t)",
        "select * from c.t, c.u",
        "select * from c.t join c.u using (id)",
        "select * from c.t where id in (select id from c.u)",
        "select * from (from c.t)",
        "select * from c.t union table c.u",
        "with x as (from c.u) select * from x",
        "select * from f(1)",
        "select * from c.t at (version => 3)",
        "select * from a.b.c.d",
        "select * from query_table('c.t')",
        "select * from x: c.t",
        "insert into c.t select 1",
        "select * from 'a.csv'",
        "select 'from c.t",
    ],
)
def test_other_statements_are_left_to_sqlglot(sql: str) -> None:
    assert simple_table(sql) is None


@pytest.mark.parametrize("sql", [sql for sql, _ in FORMS])
def test_it_is_the_table_that_sqlglot_finds(sql: str) -> None:
    found = simple_table(sql)
    assert found is None or [found] == parse.statement_tables(sql)


PIECES = sorted(
    keyword_set(
        "select from where group by order limit having qualify window union distinct exclude as at desc not "
        "in a b c.t c.d lake.c.t \"q.q\" 'x' 1 , ( ) ; . * = : [ ] extract( count( lateral only left join on "
        "using tablesample 10 percent intersect except all"
    )
)


@settings(deadline=None)  # of the clock: a machine may be busy
@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join), st.sampled_from(["", "select * from c.t "])
)
@example("select a from b union all by name", "")
def test_in_any_statement_it_is_the_only_table_that_the_parsers_find(text: str, start: str) -> None:
    found = simple_table(start + text)
    reported = tables_reported_by_duckdb(start + text) if found is not None else None
    if found is None or reported is None:  # not simple, or no SQL
        return
    assert reported == {found.key}
    assert parse.statement_tables(start + text) in (None, [found])


@pytest.mark.process
def test_a_simple_select_does_not_import_sqlglot() -> None:
    code = (
        "import sys; from unify.language.sql.tables import referenced_tables\n"
        "print(*referenced_tables('select count(*) from c.t where a = 1'), 'sqlglot' in sys.modules)"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.split() == ["c.t", "False"]
