"""How many rows a plan may remove."""

from __future__ import annotations

import pytest

from unify.errors import UsageError
from unify.interpreter.writing.plan import WritePlan, check_removals
from unify.model import PlannedRow, TableName

PEOPLE = TableName("crm", "people")


def mirror_plan(leaving: int, written: int, action: str = "delete") -> WritePlan:
    rows = [PlannedRow(number, action, {}, leaves=True) for number in range(1, leaving + 1)]
    return WritePlan(PEOPLE, "mirror", rows, written=written, leaving=leaving)


@pytest.mark.parametrize(
    ("plan", "limit", "is_script"),
    [
        (mirror_plan(0, 5), None, True),
        (mirror_plan(10, 100), None, False),  # a tenth, which the user is asked about
        (mirror_plan(100, 100), 100, True),
        (WritePlan(PEOPLE, "delete", [PlannedRow(1, "delete", {})]), None, False),
    ],
)
def test_allowed_removals(plan: WritePlan, limit: int | None, is_script: bool) -> None:
    check_removals(plan, limit, is_script=is_script)

    assert limit is None or plan.removals <= limit


@pytest.mark.parametrize(
    ("plan", "limit", "is_script", "message"),
    [
        (mirror_plan(1, 100), None, True, "deletes 1 row; nothing was sent. Allow it with --max-deletes 1"),
        (mirror_plan(11, 100), None, False, "deletes 11 rows of the 100 that it has written, more than 10%"),
        (mirror_plan(11, 100, "update"), None, False, "clears 11 rows of the 100"),
        (mirror_plan(3, 100), 2, False, "deletes 3 rows; nothing was sent. Allow it with --max-deletes 3"),
    ],
)
def test_refused_removals_name_their_number(
    plan: WritePlan,
    limit: int | None,
    is_script: bool,
    message: str,
) -> None:
    with pytest.raises(UsageError, match=message):
        check_removals(plan, limit, is_script=is_script)
