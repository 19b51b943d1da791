"""``export (SELECT) to`` a table of an API: insert, update, upsert and mirror, by key, with ``delta``."""

from __future__ import annotations

import pytest

from tests.support.crm import Crm

SOURCE = (
    "create or replace table source as select * from (values ('a@x', 'Ada'), ('b@x', 'Bob')) t(email, name)"
)


@pytest.fixture
def source(crm: Crm) -> Crm:
    crm(SOURCE)
    return crm


def test_upsert_sends_each_row_by_its_key(source: Crm) -> None:
    result = source("export source to crm.contacts upsert by email")

    assert result.exit_status == 0, result
    assert "crm.contacts: 2 updated" in result.stderr
    assert source.people == [("a@x", "Ada"), ("b@x", "Bob")]


def test_without_an_upsert_of_the_api_stored_rows_are_updated_and_others_inserted(source: Crm) -> None:
    source("insert into crm.people (email, name) values ('b@x', 'Old')")

    result = source("export (select * from source) to crm.people upsert by email")

    assert "1 created, 1 updated" in result.stderr, result
    assert source.people == [("a@x", "Ada"), ("b@x", "Bob")]
    assert [method for method, _ in source.sent] == ["POST", "POST", "PATCH"]


@pytest.mark.parametrize("by", ["", "by EMAIL"])
def test_an_upsert_of_the_api_finds_rows_by_other_columns_than_the_key(source: Crm, by: str) -> None:
    source("insert into crm.people (email, name) values ('b@x', 'Old')")

    result = source(f"export source to crm.members upsert {by}")

    assert "crm.members: 2 updated" in result.stderr, result
    assert source.people == [("a@x", "Ada"), ("b@x", "Bob")]
    assert [method for method, _ in source.sent] == ["POST", "PUT", "PUT"]


def test_rows_are_not_found_by_a_column_that_is_not_read_back(source: Crm) -> None:
    """Each export would insert its rows again."""
    source("insert into crm.people (email) values ('b@x')")

    result = source("export source to crm.people upsert by name")

    assert "nothing was sent: no row that was read has a column name" in result.stderr, result
    assert [method for method, _ in source.sent] == ["POST"]


def test_update_leaves_rows_out_that_the_target_does_not_have(source: Crm) -> None:
    source("insert into crm.people (email, name) values ('b@x', 'Old')")

    result = source("explain export source to crm.people update by EMAIL")

    assert "1 row to update in crm.people" in result.rows[1][1], result
    assert "1 row of the source are not in crm.people" in result.rows[1][1]


def test_insert_is_the_default_without_a_key(source: Crm) -> None:
    assert "2 created" in source("export source to crm.people").stderr


def test_delta_sends_what_differs_from_the_last_success_of_its_name(source: Crm) -> None:
    export = "export source to crm.people upsert by email delta as d1"
    source.api.refused_names = frozenset(["Bob"])
    source(export)
    source.api.refused_names = frozenset()

    second = source(export)
    third = source(export)
    source("update source set name = 'Ann' where email = 'a@x'")
    fourth = source(export)

    assert "1 created" in second.stderr
    assert "no rows to write" in third.stderr
    assert "1 updated" in fourth.stderr
    assert source.people == [("a@x", "Ann"), ("b@x", "Bob")]
    assert source.sent[-1] == ("PATCH", {"email": "a@x", "name": "Ann"})


def test_delta_of_an_insert_without_a_key_sends_each_row_once(source: Crm) -> None:
    export = "export source to crm.people insert delta as d2"
    source(export)
    source("insert into source values ('c@x', 'Cem')")

    source(export)

    assert source.people == [("a@x", "Ada"), ("b@x", "Bob"), ("c@x", "Cem")]


def test_a_row_of_which_nobody_knows_is_not_inserted_again(source: Crm) -> None:
    path = source.unify.home / "specs" / "crm.yaml"
    path.write_text(path.read_text().replace("        idempotency: {header: Idempotency-Key}\n", ""))
    source.api.faults = ["lost after"]
    export = "export source to crm.people insert by email delta as d3"
    first = source(export)

    again = source(export)

    assert "1 unknown" in first.stderr
    assert f"unknown since write {source.last_write} are left out" in again.stderr
    assert source.people == [("a@x", "Ada"), ("b@x", "Bob")]


def test_mirror_deletes_what_is_gone_and_was_written_by_it(source: Crm) -> None:
    source.api.people.append({"email": "other@x", "name": "Zoe", "id": 99})
    mirror = "export source to crm.contacts mirror by email as m1"
    source(mirror)
    source("delete from source where email = 'a@x'")

    refused = source(mirror)
    done = source(mirror, args=("--yes", "--max-deletes", "1"))

    assert refused.exit_status == 2
    assert "deletes 1 row; nothing was sent. Allow it with --max-deletes 1" in refused.stderr
    assert "1 updated, 1 deleted" in done.stderr
    assert source.people == [("b@x", "Bob"), ("other@x", "Zoe")]


def test_a_mirror_of_an_empty_source_deletes_nothing(source: Crm) -> None:
    mirror = "export source to crm.contacts mirror by email as m2"
    source(mirror)
    source("delete from source")

    result = source(mirror, args=("--yes", "--max-deletes", "99"))

    assert "the source is empty: no row is deleted" in result.stderr
    assert len(source.people) == 2


def test_rows_that_are_gone_can_be_cleared(source: Crm) -> None:
    export = "export source to crm.people upsert by email delta when gone clear as m3"
    source(export)
    source("delete from source where email = 'a@x'")

    source(export, args=("--yes", "--max-deletes", "1"))

    assert source.people == [("a@x", None), ("b@x", "Bob")]
    assert "no rows to write" in source(export).stderr


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "export source to crm.contacts upsert by name",
            "its API has no upsert by name; it can delete, upsert",
        ),
        ("export source to crm.people replace", "cannot be replaced as a whole; mirror by KEY"),
        ("export source to crm.contacts insert", "its API has no insert here"),
        (
            "export source to crm.people upsert by emial",
            "no column emial, which identifies them; did you mean",
        ),
        (
            "export (select 'a' as email, 1 as height) to crm.people upsert by email",
            "crm.people.height cannot be written",
        ),
        (
            "export (select unnest(['a', 'a']) as email) to crm.contacts upsert by email",
            "row 2 has the same email as an earlier row",
        ),
        (
            "export (select unnest(['a', null]) as email) to crm.contacts upsert by email",
            "row 2: email of its key is NULL",
        ),
        ("begin; export source to crm.people", "inside a transaction"),
        ("export source to crm.notes", "does not say how it is written"),
        ("export source to nowhere.people", "nowhere"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_the_first_request(
    source: Crm, statement: str, message: str
) -> None:
    result = source(statement)

    assert result.exit_status in (1, 2)
    assert message in result.stderr
    assert not source.sent


def test_a_script_without_yes_sees_the_plan_and_sends_nothing(source: Crm) -> None:
    result = source("export source to crm.contacts upsert by email", args=())

    assert result.exit_status == 2
    assert "2 rows to upsert into crm.contacts" in result.stderr
    assert f'PUT {source.api.server.url}/person {{"email":"a@x","name":"Ada"}}' in result.stderr
    assert not source.sent
