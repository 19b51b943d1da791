"""PIVOT without a list of values: DuckDB makes several statements of it, and reads its source twice."""

from __future__ import annotations

import pytest

from unify.lake.lake import Lake
from unify.lake.session_rows import fetch_session_rows

_PIVOT = "pivot (select nextval('s') as a from range(3)) on a using count(*)"
_READS = 6  # rows of the source, which DuckDB reads for the names of the columns and for the values


@pytest.fixture
def sequence(lake: Lake) -> Lake:
    lake.execute("create temp sequence s")
    lake.execute("create temp table target (a int, b int, c int)")
    return lake


@pytest.mark.parametrize("begins", [False, True])
@pytest.mark.parametrize(
    ("statement", "summary", "rows"),
    [
        (_PIVOT, "", [(0, 0, 0)]),
        (f"select * from ({_PIVOT})", "", [(0, 0, 0)]),
        (f"create table x as {_PIVOT}", "1 row written", None),
        (f"create temp table x as {_PIVOT}", "1 row written", None),
        (f"insert into target {_PIVOT}", "1 row inserted", None),
        (f"insert into target {_PIVOT} returning a, b, c", "", [(0, 0, 0)]),
    ],
)
def test_a_pivot_runs_once_and_gives_its_own_result(
    sequence: Lake, statement: str, summary: str, rows: list[tuple[int, ...]] | None, begins: bool
) -> None:
    if begins:
        sequence.execute("begin")
    result = sequence.execute(statement)
    assert result.summary == summary
    assert (None if result.columns is None else [row for batch in result.batches() for row in batch]) == rows
    assert fetch_session_rows(sequence, "select currval('s')") == [(_READS,)]


def test_the_plan_of_an_analysed_pivot_is_shown(sequence: Lake) -> None:
    result = sequence.execute(f"explain analyze {_PIVOT}")
    [row] = [row for batch in result.batches() for row in batch]
    assert "PIVOT" in str(row) or "RANGE" in str(row)


def test_a_pivot_is_copied_with_its_number_of_rows(sequence: Lake, tmp_path: object) -> None:
    assert sequence.execute(f"copy ({_PIVOT}) to '{tmp_path}/x.csv'").summary == "1 row written"
    with sequence.repeatable(_PIVOT) as (query, _):
        assert len(fetch_session_rows(sequence, query)) == 1
    assert fetch_session_rows(sequence, "select currval('s')") == [(2 * _READS,)]
