"""SELECT statements whose reader needs another form than values."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from unify.engine.volatility import VOLATILE_FUNCTIONS
from unify.errors import QueryError
from unify.lake.lake import Lake
from unify.lake.selects import BATCH_ROWS, LakeStatementResult

LARGE = 3 * BATCH_ROWS


class Doubled:
    """A projection that records for which columns it was asked."""

    applies_always = False

    def __init__(self) -> None:
        self.asked: list[Sequence[tuple[str, str]]] = []

    def expressions(self, columns: Sequence[tuple[str, str]]) -> Sequence[str]:
        self.asked.append(columns)
        return ["c0 * 2"]


def all_rows(result: LakeStatementResult) -> list[tuple[object, ...]]:
    return [row for batch in result.batches() for row in batch]


@pytest.mark.parametrize(
    "sql",
    [
        f"select i from range({LARGE}) t(i)",
        f"select i from range({LARGE}) t(i) where i >= 0",  # may see all rows before it gives the first
        "select i from numbers order by i;",
    ],
)
def test_a_large_result_has_the_form_that_its_reader_needs(lake: Lake, sql: str) -> None:
    lake.execute(f"create table numbers as select i from range({LARGE}) t(i)")
    projection = Doubled()

    result = lake.execute(sql, projection=projection)

    assert result.is_projected
    assert result.columns == (("i", "BIGINT"),)
    assert all_rows(result) == [(2 * i,) for i in range(LARGE)]
    assert projection.asked == [(("i", "BIGINT"),)]


@pytest.mark.parametrize("rows", [0, 1, BATCH_ROWS, BATCH_ROWS + 1, 2 * BATCH_ROWS - 1])
def test_a_small_result_is_not_run_again(lake: Lake, rows: int) -> None:
    projection = Doubled()

    result = lake.execute(f"select i from range({rows}) t(i)", projection=projection)

    assert not result.is_projected
    assert all_rows(result) == [(i,) for i in range(rows)]
    assert projection.asked == []


def test_values_that_python_cannot_hold_are_exact_in_a_small_result(lake: Lake) -> None:
    result = lake.execute("select interval 14 month as m", projection=Doubled())

    assert all_rows(result) == [("1 year 2 months",)]


def test_parameters_are_bound_in_either_form(lake: Lake) -> None:
    sql = f"select i + $n as i from range({LARGE}) t(i)"

    result = lake.execute(sql, {"n": 1}, projection=Doubled())

    assert all_rows(result)[0] == (2,)


@pytest.mark.parametrize(
    "sql",
    [
        "select 1 as a,\n  nope",
        "select 1 as a,\n  nope from range(3) t(i) where i > 0",
        "select *\n from read_csv('missing.csv')",  # may be read once only
        "select interval 14 month as m,\n  cast('x' || i as int) from range(9) t(i)",
        "select interval 14 month as m,\n  cast('x' || i as int) from range(9) t(i) where i > 0",
    ],
)
def test_the_line_of_an_error_counts_the_lines_of_the_statement(lake: Lake, sql: str) -> None:
    with pytest.raises(QueryError) as refused:
        all_rows(lake.execute(sql))

    assert "LINE 2:" in refused.value.message


@pytest.mark.parametrize(
    ("before", "sql"),
    [
        ((), "select nextval('s') from range({rows})"),
        ((), "select \"NEXTVAL\"('s') from range({rows})"),
        (("create temp macro m() as nextval('s')",), "select m() from range({rows})"),
        (("create temp view v as select nextval('s') from range({rows})",), "from v"),
        (("create temp view v as select nextval('s') from range({rows})",), "from query_table('v')"),
        (
            ("create temp macro m() as nextval('s')", "create temp view v as select m() from range({rows})"),
            "from v",
        ),
        (
            (
                "attach ':memory:' as a",
                "create sequence a.n",
                "create view a.v as select nextval('a.n') from range({rows})",
            ),
            "from a.v",
        ),
    ],
)
def test_a_sequence_is_not_read_twice(lake: Lake, before: Sequence[str], sql: str) -> None:
    lake.execute("create temp sequence s")
    for one in before:
        lake.execute(one.format(rows=LARGE))

    result = lake.execute(sql.format(rows=LARGE), projection=Doubled())

    assert all_rows(result) == [(2 * i,) for i in range(1, LARGE + 1)]


def test_a_definition_that_calls_nextval_is_not_run_twice(lake: Lake) -> None:
    lake.connection.execute("create temp sequence s")
    lake.connection.execute("create temp macro m() as nextval('s')")  # as if another session had made it

    result = lake.execute(
        f"select m() from range({LARGE})", definitions=["SELECT nextval('s')"], projection=Doubled()
    )

    assert all_rows(result)[0] == (2,)


def test_random_values_follow_their_seed(lake: Lake) -> None:
    sql = f"select random() from range({LARGE})"
    all_rows(lake.execute("select setseed(0.5)"))
    expected = all_rows(lake.execute(sql))
    all_rows(lake.execute("select setseed(0.5)"))

    result = lake.execute(sql, projection=Doubled())

    assert result.is_projected
    assert all_rows(result) == [(2 * value,) for (value,) in expected]  # type: ignore[operator]


def test_the_volatile_functions_are_those_of_duckdb(lake: Lake) -> None:
    rows = lake.connection.execute(
        "select distinct function_name from duckdb_functions() where stability = 'VOLATILE' and internal"
    ).fetchall()

    assert {name for (name,) in rows} <= VOLATILE_FUNCTIONS
