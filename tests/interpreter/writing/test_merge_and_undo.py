"""MERGE INTO a table of an API, and ``undo write``."""

from __future__ import annotations

import pytest

from tests.support.crm import Crm

TWO = "insert into crm.people (email, name) values ('a@x', 'Ada'), ('b@x', 'Bob')"


@pytest.fixture
def stored(crm: Crm) -> Crm:
    """Two people who are stored."""
    crm(TWO, "reload table crm.people")
    return crm


def test_merge_inserts_updates_and_deletes(stored: Crm) -> None:
    result = stored(
        "merge into crm.people p using (values ('a@x', 'Ann'), ('c@x', 'Cem')) s(email, name) "
        "on p.email = s.email "
        "when matched and s.name <> p.name then update set name = case when true then s.name else '' end "
        "when not matched then insert (email, name) values (s.email, s.name) "
        "when not matched by source then delete returning outcome, email",
        args=("--yes", "--max-deletes", "1"),
    )

    assert sorted(result.rows[1:]) == [["created", "c@x"], ["deleted", "b@x"], ["updated", "a@x"]], result
    assert stored.people == [("a@x", "Ann"), ("c@x", "Cem")]


@pytest.mark.parametrize(
    ("clauses", "message"),
    [
        ("when matched then insert (email) values (s.e)", "WHEN MATCHED THEN INSERT is not possible"),
        ("when not matched then insert values (s.e)", "name the columns: THEN INSERT (COLUMN, …)"),
        ("when not matched then insert (email, name) values (s.e)", "INSERT has 2 columns and 1 values"),
        ("when matched then update set id = 1", "crm.people.id cannot be written"),
        ("when matched then do nothing", "expected WHEN … THEN INSERT, UPDATE or DELETE"),
        ("", "expected WHEN"),
    ],
)
def test_what_cannot_be_merged_is_refused(crm: Crm, clauses: str, message: str) -> None:
    result = crm(f"merge into crm.people p using (select 'a@x' as e) s on p.email = s.e {clauses}")

    assert result.exit_status == 1
    assert message in result.stderr
    assert not crm.sent


def test_the_row_before_an_update_is_right_where_a_column_has_the_name_of_the_table(crm: Crm) -> None:
    crm.api.people = [{"id": 7, "email": "a@x", "name": "Ada", "people": "x", "p": 1}]
    crm("reload table crm.people", "update crm.people p set name = p.name || '!' where p.people = 'x'")

    before = f"select before from unify.write_rows where write = {crm.last_write}"
    assert '"name":"Ada"' in crm(before).single_value
    assert crm.people == [("a@x", "Ada!")]


def test_undo_takes_created_and_updated_rows_back(stored: Crm) -> None:
    stored("update crm.people set name = upper(name)")
    updated = stored.last_write
    assert "2 updated" in stored(f"undo write {updated}").stderr
    assert stored.people == [("a@x", "Ada"), ("b@x", "Bob")]

    stored("insert into crm.people (email) values ('c@x')")
    plan = stored(f"undo write {stored.last_write}", args=("--max-deletes", "1"))
    assert plan.exit_status == 2
    assert "1 row to delete from crm.people" in plan.stderr
    stored(f"approve write {stored.last_write}")
    assert stored.people == [("a@x", "Ada"), ("b@x", "Bob")]
    assert stored("select mode, undo_of is null from unify.writes order by id desc limit 1").rows[1] == [
        "undo",
        "false",
    ]


def test_a_row_that_was_changed_since_is_left_as_it_is(stored: Crm) -> None:
    stored("update crm.people set name = upper(name)")
    write = stored.last_write
    stored("refresh table crm.people")
    stored.api.people[0]["name"] = "Changed"

    result = stored(f"undo write {write}")

    assert "1 updated" in result.stderr, result
    assert stored.people == [("a@x", "Changed"), ("b@x", "Bob")]
    stored.api.people[1]["name"] = "Changed, too"
    refused = stored(f"undo write {write}")
    assert refused.exit_status == 1
    assert "row 1: name was changed since" in refused.stderr


def test_a_delete_is_taken_back_where_the_spec_says_how(stored: Crm) -> None:
    stored(
        "load table crm.tickets",
        "delete from crm.tickets where email = 'a@x'",
        args=("--yes", "--max-deletes", "1"),
    )
    assert stored.people[0] == ("a@x", "closed")

    assert "1 updated" in stored(f"undo write {stored.last_write}").stderr
    assert stored.people[0] == ("a@x", "Ada")


def test_a_delete_that_cannot_be_taken_back_is_refused_with_the_reason(stored: Crm) -> None:
    stored("delete from crm.people where email = 'a@x'", args=("--yes", "--max-deletes", "1"))

    result = stored(f"undo write {stored.last_write}")

    assert result.exit_status == 1
    assert "the API of crm.people cannot restore a deleted row" in result.stderr
    assert "there is no write 9999" in stored("undo write 9999").stderr


def test_returning_has_the_outcome_of_refused_rows_too(crm: Crm) -> None:
    crm.api.refused_names = frozenset(["Bob"])

    result = crm(f"{TWO} returning outcome, email, id, reason")

    assert result.exit_status == 1
    assert [row[:3] for row in result.rows[1:]] == [["created", "a@x", "1"], ["rejected", "b@x", ""]]
    assert "1 created, 1 rejected" in result.stderr


def test_a_write_is_taken_back_once(stored: Crm) -> None:
    stored("update crm.people set name = 'New' where email = 'a@x'")
    write = stored.last_write
    stored(f"undo write {write}")
    undo = stored.last_write

    assert "has been taken back already" in stored(f"undo write {write}").stderr
    assert "1 updated" in stored(f"undo write {undo}").stderr
    assert "1 updated" in stored(f"undo write {write}").stderr
    assert stored.people[0] == ("a@x", "Ada")


def test_a_deleted_row_that_exists_again_is_not_overwritten(stored: Crm) -> None:
    stored("load table crm.contacts")
    stored("delete from crm.contacts where email = 'a@x'", args=("--yes", "--max-deletes", "1"))
    stored.api.people.append({"email": "a@x", "name": "Another", "id": 50})

    result = stored(f"undo write {stored.last_write}")

    assert "row 1: the row exists again" in result.stderr, result
    assert ("a@x", "Another") in stored.people


def test_an_infinite_time_is_refused(crm: Crm) -> None:
    result = crm("insert into crm.people (email, name) select 'a@x', timestamptz 'infinity'")

    assert "has an infinite time, which JSON cannot hold" in result.stderr, result
    assert not crm.sent
