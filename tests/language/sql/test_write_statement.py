"""INSERT, UPDATE and DELETE are cut into their clauses."""

from __future__ import annotations

import pytest

from unify.errors import QueryError
from unify.language.sql.refs import TableRef
from unify.language.sql.write_statement import Assignment, WriteStatement, parse_write_statement

ISSUES = TableRef("github", "issues", is_written=True)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "insert into github.issues (repo, \"Title\") values ('a', 'x;y'), ('b', 'z')",
            WriteStatement(
                "insert", ISSUES, columns=("repo", "Title"), source="values ('a', 'x;y'), ('b', 'z')"
            ),
        ),
        (
            "INSERT INTO github.issues SELECT * FROM (select 1 as returning_) t RETURNING *;",
            WriteStatement(
                "insert", ISSUES, source="SELECT * FROM (select 1 as returning_) t", returning="*"
            ),
        ),
        (
            "with n as (select 1 where true) insert into github.issues (a) select * from n",
            WriteStatement(
                "insert",
                ISSUES,
                with_clause="with n as (select 1 where true) ",
                columns=("a",),
                source="select * from n",
            ),
        ),
        (
            "insert into github.issues (a) select x.a from x join y on x.a = y.a",
            WriteStatement(
                "insert",
                ISSUES,
                columns=("a",),
                source="select x.a from x join y on x.a = y.a",
            ),
        ),
        (
            "update github.issues set a = b is distinct from c, d = e is not distinct from f from g",
            WriteStatement(
                "update",
                ISSUES,
                assignments=(
                    Assignment("a", "b is distinct from c"),
                    Assignment("d", "e is not distinct from f"),
                ),
                others="g",
            ),
        ),
        (
            "insert into github.issues (select 1 as a)",
            WriteStatement("insert", ISSUES, source="(select 1 as a)"),
        ),
        (
            "update github.issues i set state = 'closed', n = (select max(x) from t where y = 1), b = b + 1 "
            "from other o where i.id = o.id and state = 'open' returning id",
            WriteStatement(
                "update",
                ISSUES,
                alias="i",
                assignments=(
                    Assignment("state", "'closed'"),
                    Assignment("n", "(select max(x) from t where y = 1)"),
                    Assignment("b", "b + 1"),
                ),
                others="other o",
                where="i.id = o.id and state = 'open'",
                returning="id",
            ),
        ),
        (
            "delete from github.issues using t where t.id = issues.id -- all",
            WriteStatement("delete", ISSUES, others="t", where="t.id = issues.id"),
        ),
        ("delete from github.issues", WriteStatement("delete", ISSUES)),
        ("select 1", None),
        ("create table github.issues as select 1", None),
    ],
)
def test_a_statement_is_cut_into_its_clauses(sql: str, expected: WriteStatement | None) -> None:
    assert parse_write_statement(sql) == expected


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("insert or replace into a.b values (1)", "upsert by KEY"),
        ("insert into a.b values (1) on conflict do nothing", "ON CONFLICT does not apply to a.b"),
        ("insert into a.b default values", "name the columns"),
        ("update a.b set x where true", "expected COLUMN = VALUE"),
    ],
)
def test_a_form_without_meaning_for_a_connection_names_the_way_out(sql: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        parse_write_statement(sql)
