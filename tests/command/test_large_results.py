"""Large results: DuckDB writes the lines, with the same bytes as Python."""

from __future__ import annotations

import pytest

from tests.support.command import InProcessCommand
from unify.lake.selects import BATCH_ROWS

ROWS = 5 * BATCH_ROWS
TABLE = f"""\
create temp table t as select i as id, 'text "' || i || e'",\\n' as text, i / 7 as ratio,
  (i / 7)::decimal(9,3) as price, timestamptz '2024-01-01' + to_seconds(i) as at_, [i, null] as list,
  {{'a': i, 'b': 'x_y'}} as struct, case when i % 3 = 0 then null else i::varchar end as gap
from range({ROWS}) r(i)"""


@pytest.mark.parametrize("format", ["csv", "json", "jsonl", "markdown", "html"])
def test_a_large_result_equals_its_parts(unify: InProcessCommand, format: str) -> None:
    """Results of one batch are written by Python."""
    parts = [f"select * from t limit {BATCH_ROWS} offset {start}" for start in range(0, ROWS, BATCH_ROWS)]
    options = ["--no-header", "--format", format]

    whole = unify(TABLE, "select * from t", args=options)
    small = unify(TABLE, *parts, args=options)

    assert (whole.exit_status, small.exit_status) == (0, 0)
    assert lines(whole.stdout) == lines(small.stdout)


def lines(text: str) -> list[str]:
    """Return the lines without what encloses the rows of a result."""
    enclosing = ("<table>", "</table>", "<thead>", "</thead>", "<tbody>", "</tbody>")
    rows = text.replace("]\n[", ",\n").splitlines()
    return [line for line in rows if line not in enclosing]


def test_max_rows_limits_a_large_result(unify: InProcessCommand) -> None:
    found = unify(
        f"select i from range({ROWS}) t(i)", args=["--max-rows", str(ROWS - 1), "--format", "jsonl"]
    )

    assert found.stdout.count("\n") == ROWS - 1
    assert "there are more" in found.stderr
