"""Columns and conditions as SQL expressions over the rows of a page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.rest_tables import MakeAdapter, decode_rows, table
from unify.adapters.base import Read
from unify.adapters.rest.rows.row_expressions import RowExpressions
from unify.adapters.spec.expressions import parse_expression
from unify.adapters.spec.model import TableSpec
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.table_keys import ColumnDef
from unify.config.secrets import Secret
from unify.errors import SourceError


def computed(
    rows: list[Any], *columns: ColumnDef, where: str | None = None, variables: dict[str, Any] | None = None
) -> list[Any]:
    """The rows with these columns, as far as ``where`` holds."""
    spec = TableSpec("things", ("GET /things",), columns=columns, condition=where)
    texts = [json.dumps(row).encode() for row in rows]
    found = RowExpressions(spec).apply(texts, {"site": "de"}, variables or {})
    return [json.loads(row) for row in found]


@pytest.mark.parametrize(
    ("sql", "rows", "values"),
    [
        ("first || ' ' || last", [{"first": "A", "last": "B"}, {"first": "C", "last": None}], ["A B", None]),
        ("price * 2", [{"price": 1}, {"price": 2.5}], [2, 5]),
        ("big + 1", [{"big": 2**62}], [2**62 + 1]),
        ("user_login", [{"user": {"Login": "ann"}}, {"user": None}, {}], ["ann", None, None]),
        ("coalesce(nick, name)", [{"name": "N"}], ["N"]),
        ("lower(kind)", [{"kind": None}], [None]),
        ("not done", [{"done": True}, {"done": False}], [False, True]),
        ("tags->>0", [{"tags": ["a", "b"]}], ["a"]),
        ("strftime(to_timestamp(seconds), '%Y-%m-%d')", [{"seconds": 86_400}], ["1970-01-02"]),
        ("made_at::date", [{"made_at": "2026-03-01T10:00:00Z"}], ["2026-03-01"]),
        ("mixed || '!'", [{"mixed": 1}, {"mixed": "x"}], ["1!", "x!"]),
        ("list_transform(string_split(csv, ','), part -> trim(part))", [{"csv": "a, b"}], [["a", "b"]]),
        ("case when n > {limit}::int then 'big' else 'small' end", [{"n": 5}, {"n": 50}], ["small", "big"]),
        ("site || '-' || id", [{"id": 7}], ["de-7"]),
    ],
)
def test_a_column_is_computed_from_the_columns_of_its_row(
    sql: str, rows: list[Any], values: list[Any]
) -> None:
    columns = ColumnDef("result", sql=sql), ColumnDef("site", source="{site}")
    found = computed(rows, *columns, variables={"limit": "10"})
    assert [row["result"] for row in found] == values


def test_a_column_replaces_a_member_and_is_read_by_later_ones() -> None:
    columns = ColumnDef("name", sql="upper(name)"), ColumnDef("label", sql="name || '!'")
    assert computed([{"Name": "ann", "id": 1}], *columns) == [{"id": 1, "name": "ANN", "label": "ANN!"}]


def test_constants_are_columns() -> None:
    columns = ColumnDef("kind", value="card"), ColumnDef("n", value=3), ColumnDef("x", sql="kind || n")
    assert computed([{"id": 1}], *columns) == [{"id": 1, "kind": "card", "n": 3, "x": "card3"}]
    assert computed([{"id": 1}], columns[0]) == [{"id": 1, "kind": "card"}]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("amount > 1 and kind <> 'test'", [3]),
        ("kind is null", [2]),
        ("amount between 1 and 2", [1, 2]),
        ("{unset} is null or kind = {unset}", [1, 2, 3]),
    ],
)
def test_where_keeps_the_rows_for_which_it_is_true(where: str, kept: list[int]) -> None:
    rows = [
        {"id": 1, "amount": 1, "kind": "test"},
        {"id": 2, "amount": 2, "kind": None},
        {"id": 3, "amount": 3.5, "kind": "real"},
    ]
    assert [row["id"] for row in computed(rows, where=where, variables={"unset": None})] == kept


def test_a_declared_type_is_that_of_the_expression() -> None:
    columns = ColumnDef("day", type="date"), ColumnDef("next_day", sql="day + 1")
    assert computed([{"day": "2026-02-28"}], *columns)[0]["next_day"] == "2026-03-01"


def test_an_expression_that_cannot_be_computed_is_named() -> None:
    with pytest.raises(SourceError, match=r"columns\.n\.sql: cannot be computed for a row: Conversion Error"):
        computed([{"a": "x"}], ColumnDef("n", sql="a::int"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a +", "cannot be parsed"),
        ("(select 1)", "cannot contain a SELECT"),
        ("sum(a)", "no aggregates"),
        ("row_number() over ()", "no aggregates and no window functions"),
        ("read_text('/etc/passwd')", "calls the"),
        ("getenv('HOME')", "calls the function getenv, which is not allowed here"),
        ("a) from other, (select 1", r"FROM|SELECT|parsed|one expression"),
        ("t.a", "joined by _"),
        ("?", "no parameters"),
        ("1; select 2", "parsed|one expression|statements"),
    ],
)
def test_more_than_an_expression_over_a_row_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_expression(text)


def test_a_load_computes_columns_and_names_those_that_no_row_has(
    api: FaultServer, make_adapter: MakeAdapter
) -> None:
    notes: list[str] = []
    api.serve("/things", MockResponse.json([{"id": 1, "a": "x"}, {"id": 2, "a": "y"}]))
    spec = table(
        paging=Paging("none"),
        columns=(ColumnDef("b", sql="a || {org} || coalesce(nme, '')"),),
        condition="id > 1",
    )
    adapter = make_adapter(spec, options={"org": "acme", "token": Secret("t")})
    adapter.listeners = type(adapter.listeners)(note=notes.append)
    assert decode_rows(adapter.pages("things", Read())) == [{"id": 2, "a": "y", "b": "yacme"}]
    assert "in no row, but in SQL of the spec: nme" in notes
