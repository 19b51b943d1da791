"""Rows that are gone from the source of an export are deleted if nothing says that they live."""

from __future__ import annotations

import pytest

from tests.support.crm import Crm


def export(crm: Crm, select: str, to: str, *args: str) -> str:
    """Run an export of a SELECT; return what it says."""
    return crm(f"export (select * from ({select})) to {to}", args=("--yes", *args)).stderr


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("by_case", "'A@x'", "'a@x'"),
        ("by_text", "1", "'1'"),
        ("by_decimal", "1.50", "1.5::double"),
        ("by_zero", "-0.0::double", "0"),
    ],
)
def test_a_key_of_another_type_or_case_is_not_one_that_is_gone(
    crm: Crm, name: str, first: str, second: str
) -> None:
    mirror = f"crm.contacts mirror by email as {name}"
    export(crm, f"select {first} as email, 'Ada' as name", mirror)

    again = export(crm, f"select {second} as email, 'Ada' as name", mirror, "--max-deletes", "9")

    assert "1 updated" in again, again
    assert [method for method, _ in crm.sent] == ["PUT", "PUT"]


def test_the_remark_names_a_row_that_may_live(crm: Crm) -> None:
    export(crm, "select 'A@x' as email", "crm.contacts mirror by email as mirror_1")

    plan = crm("explain export (select 'a@x' as email) to crm.contacts mirror by email as mirror_1")

    assert "1 row may be among those of the source under another key" in plan.rows[1][1], plan


def test_rows_that_were_written_by_another_key_are_left(crm: Crm) -> None:
    """Each of them is in the source, whose key has other columns now."""
    export(crm, "select 'a@x' as email, 'Ada' as name", "crm.people mirror by email as mirror_2")
    crm("refresh table crm.people")

    again = export(
        crm,
        "select 1 as id, 'a@x' as email, 'Ann' as name",
        "crm.people mirror by id as mirror_2",
        "--max-deletes",
        "9",
    )

    assert "DELETE" not in [method for method, _ in crm.sent], again


def test_a_row_that_is_in_the_source_under_a_new_key_keeps_its_place(crm: Crm) -> None:
    """The email was changed at the API and in the source: the row of that id lives."""
    mirror = "crm.people mirror by email as mirror_3"
    export(crm, "select 'a@x' as email, 'Ada' as name", mirror)
    crm.api.people[0]["email"] = "new@x"

    again = export(crm, "select 'new@x' as email, 'Ada' as name", mirror, "--max-deletes", "9")

    assert "1 updated" in again, again
    assert crm.people == [("new@x", "Ada")]


def test_a_mirror_leaves_the_rows_that_were_added_to_its_target_meanwhile(crm: Crm) -> None:
    mirror = "crm.contacts mirror by email as mirror_4"
    two = "select unnest(['a@x', 'b@x']) as email, 'n' as name"
    export(crm, two, mirror)
    crm.api.people.append({"email": "other@x", "name": "Zoe", "id": 99})

    export(crm, "select 'a@x' as email, 'n' as name", mirror, "--max-deletes", "9")

    assert crm.people == [("a@x", "n"), ("other@x", "Zoe")]


def test_adopt_deletes_the_rows_of_others_as_well(crm: Crm) -> None:
    crm.api.people += [{"email": email, "id": number} for number, email in enumerate(("a@x", "b@x", "c@x"))]
    mirror = "crm.contacts mirror by email adopt as mirror_5"

    refused = export(crm, "select 'A@x' as email, 'n' as name", mirror)
    empty = export(crm, "select 'a@x' as email where false", mirror, "--max-deletes", "9")
    crm.api.people[0]["email"] = "A@x"
    done = export(crm, "select 'A@x' as email, 'n' as name", mirror, "--max-deletes", "2")

    assert "the statement deletes 2 rows" in refused, "a@x may be A@x"
    assert "no rows to write" in empty
    assert "1 updated, 2 deleted" in done, done
    assert crm.people == [("A@x", "n")]


@pytest.mark.parametrize("words", ["upsert by email adopt", "upsert by email when gone clear adopt"])
def test_adopt_goes_with_deletes_only(crm: Crm, words: str) -> None:
    assert "adopt is for mirror" in export(crm, "select 'a@x' as email", f"crm.people {words}")
