"""INSERT, UPDATE and DELETE of an API's table: planned, approved, sent, reported."""

from __future__ import annotations

import pytest

from tests.support.crm import TOKEN, Crm
from tests.support.waiting import wait_until

TWO = "insert into crm.people (email, name) values ('a@x', 'Ada'), ('b@x', 'Bob')"


def test_a_script_without_yes_sends_nothing_and_shows_the_plan(crm: Crm) -> None:
    result = crm(TWO, args=())

    assert result.exit_status == 2
    assert "2 rows to insert into crm.people" in result.stderr
    assert f'POST {crm.api.server.url}/people {{"email":"a@x","name":"Ada"}}' in result.stderr
    assert (
        f"nothing was sent; send it with --yes, or at a prompt: approve write {crm.last_write}"
        in result.stderr
    )
    assert not crm.sent
    assert crm("show writes").rows[1][1:5] == ["crm.people", "insert", "planned", "2"]


def test_an_approved_plan_is_sent_as_it_was_shown(crm: Crm) -> None:
    crm("create table source as select 'a@x' as email")
    crm("insert into crm.people (email) select email from source", args=())
    crm("update source set email = 'changed'")
    write = crm.last_write

    result = crm(f"approve write {write}")

    assert f"crm.people: 1 created (write {write})" in result.stderr + result.stdout
    assert crm.sent == [("POST", {"email": "a@x"})]
    again = crm(f"approve write {write}")
    assert again.exit_status == 1
    assert "only a planned write can be approved" in again.stderr


def test_rows_are_created_and_returned(crm: Crm) -> None:
    result = crm(
        "insert into crm.people (email, name, tags) "
        "select 'p' || i || '@x', null, ['x', 'y'] from range(2) t(i) returning id, upper(email) as e, *"
    )

    assert result.rows == [
        ["id", "e", "row", "outcome", "email", "name", "tags", "id", "reason"],
        ["1", "P0@X", "1", "created", "p0@x", "", "[x, y]", "1", ""],
        ["2", "P1@X", "2", "created", "p1@x", "", "[x, y]", "2", ""],
    ]
    assert crm.sent[0] == ("POST", {"email": "p0@x", "name": None, "tags": ["x", "y"]})


def test_a_refused_row_fails_the_statement_and_can_be_retried_alone(crm: Crm) -> None:
    crm.api.refused_names = frozenset(["Ada"])

    result = crm(TWO)

    assert result.exit_status == 1
    assert "1 created, 1 rejected" in result.stderr
    assert 'row 1: status 422 ("Ada is not a name")' in result.stderr
    crm.api.refused_names = frozenset()
    assert crm(f"retry write {crm.last_write}").exit_status == 0
    assert crm.api.emails == ["a@x", "b@x"]


def test_update_and_delete_choose_from_the_stored_rows_and_refresh_them(crm: Crm) -> None:
    crm(TWO)
    crm("load table crm.people")

    updated = crm("update crm.people p set name = upper(p.name) where email like 'a%'")
    assert "1 updated" in updated.stderr + updated.stdout
    assert crm.sent[-1] == ("PATCH", {"name": "ADA"})

    deleted = crm("delete from crm.people where name = 'Bob'", args=("--yes", "--max-deletes", "1"))
    assert "1 deleted" in deleted.stderr + deleted.stdout
    assert crm("select email, name from crm.people", args=("--max-age", "0")).rows[1:] == [["a@x", "ADA"]]
    before = f"select before ->> 'email' from unify.write_rows where write = {crm.last_write}"
    assert crm(before).single_value == "b@x"


def test_explain_shows_the_plan_and_plans_nothing(crm: Crm) -> None:
    before = crm("select count(*) from unify.writes").single_value

    result = crm(f"explain {TWO}", args=())

    assert "2 rows to insert into crm.people" in result.rows[1][1]
    assert crm("select count(*) from unify.writes").single_value == before
    assert not crm.sent


def test_times_within_lists_and_structs_are_sent_as_json(crm: Crm) -> None:
    values = "[date '2026-01-02', null], {'at': timestamptz '2026-01-02 03:04:05+01', 'n': [1.5]}"

    result = crm(f"explain insert into crm.people (tags, name, email) select {values}, 'x'", args=())

    sent = '"name":{"at":"2026-01-02T02:04:05Z","n":[1.5]},"tags":["2026-01-02",null]'
    assert sent in result.rows[1][1]


def test_outcomes_are_ordinary_tables(crm: Crm) -> None:
    crm.api.refused_names = frozenset(["Bob"])
    crm(TWO)

    last = f"= {crm.last_write}"
    [counts] = crm(
        f"select state, rows, requests, created, rejected, asked_by is null from unify.writes where id {last}"
    ).rows[1:]
    assert counts == ["done", "2", "2", "1", "1", "false"]
    rows = crm(
        "select row, state, status, created, message, attempts from unify.write_rows "
        f"where write {last} order by row"
    ).rows
    assert rows[1] == ["1", "created", "201", '{"id":1}', "", "1"]
    assert rows[2][:3] == ["2", "rejected", "422"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "insert into crm.people (emial) values ('x')",
            "crm.people.emial cannot be written; did you mean email?",
        ),
        ("insert into crm.people (name) values ('x')", "crm.people: insert requires email"),
        ("insert into crm.people values ('x')", "name the columns"),
        ("insert into crm.people (email) values ('a'), (null)", "row 2: email is NULL and required"),
        ("insert into crm.people (email) values ('\\xAA'::blob)", "is a BLOB, which JSON cannot hold"),
        ("insert into crm.people (email) values ('inf'::double)", "row 1: a value has no JSON form"),
        ("insert into crm.people (email) select 'x' || i from range(1001) t(i)", "more than 1,000 rows"),
        ("insert into crm.people (email) values (1) on conflict do nothing", "upsert by KEY"),
        ("insert into crm.people (email, email) values (1, 2)", "email"),
        (
            "insert into crm.people (email, age) values ('a', 7), ('b', -1)",
            "row 2: age is '-1', which is no utinyint",
        ),
        ("insert into crm.people (email, age) values ('a', 'x')", "row 1: age is 'x', which is no utinyint"),
        ("insert into crm.people (email, age) values ('a', 300)", "row 1: age is '300'"),
        (
            "insert into crm.people (email, born) values ('a', '2026-02-28'), ('b', '2026-02-30')",
            "row 2: born is '2026-02-30', which is no date",
        ),
        ("insert into crm.people (EMAIL, born) values ('a', 'soon')", "row 1: born is 'soon'"),
        ("insert into crm.people (email, tags) values ('a', ['\\xAA'::blob])", "contains a BLOB"),
        ("update crm.people set tags = ['x']", "crm.people.tags can be set by insert only"),
        ("update crm.people set id = 7", "crm.people.id cannot be written"),
        (
            "insert into crm.notes (a) values (1)",
            "crm.notes is filled by its connection and cannot be written to",
        ),
        ("insert into crm.peple (a) values (1)", "has no table peple; did you mean people?"),
        ("begin; insert into crm.people (email) values ('x')", "inside a transaction"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_first_request(
    crm: Crm, statement: str, message: str
) -> None:
    result = crm(statement)

    assert result.exit_status in (1, 2)
    assert message in result.stderr
    assert not crm.sent


def test_rows_with_the_same_key_are_refused(crm: Crm) -> None:
    crm(TWO, "load table crm.people")

    result = crm("update crm.people p set name = t.n from (values ('x'), ('y')) t(n) where p.id = 1")

    assert "row 2: has the same id as row 1" in result.stderr
    assert len(crm.sent) == 2


def test_a_script_deletes_nothing_without_a_limit(crm: Crm) -> None:
    crm(TWO, "load table crm.people")

    result = crm("delete from crm.people")

    assert result.exit_status == 2
    assert "deletes 2 rows; nothing was sent. Allow it with --max-deletes 2" in result.stderr
    assert crm("delete from crm.people where id = 99").exit_status == 0


def test_a_table_that_the_connection_does_not_list_is_not_written(crm: Crm) -> None:
    path = crm.unify.home / "connections.yaml"
    crm.unify.write_connections(
        path.read_text(encoding="utf-8").replace("  writes: [people, contacts, members, tickets]\n", "")
    )

    result = crm(TWO)

    assert result.exit_status == 2
    assert "crm.people is not among the tables that may be written" in result.stderr
    assert "set writes: [people]" in result.stderr


def test_permission_withdrawn_after_the_plan_is_respected(crm: Crm) -> None:
    crm(TWO, args=())
    path = crm.unify.home / "connections.yaml"
    crm.unify.write_connections(
        path.read_text(encoding="utf-8").replace("  writes: [people, contacts, members, tickets]\n", "")
    )

    result = crm(f"approve write {crm.last_write}")

    assert result.exit_status == 2
    assert "not among the tables that may be written" in result.stderr
    assert not crm.sent


def test_a_planned_write_can_be_cancelled(crm: Crm) -> None:
    crm(TWO, args=())

    write = crm.last_write
    assert crm(f"cancel write {write}").exit_status == 0
    assert crm(f"approve write {write}").exit_status == 1
    assert crm("show writes").rows[1][3] == "cancelled"
    assert "there is no write 999" in crm("cancel write 999").stderr


def test_cancelling_the_job_of_a_waiting_write_cancels_the_write(crm: Crm) -> None:
    crm("pause crm")
    waiting = crm("insert into crm.people (email) values ('a@x')")
    write, job = crm.last_write, crm("select max(job) from unify.jobs").single_value

    cancelled = crm(f"system cancel {job}", "resume crm", "show writes")

    assert waiting.exit_status == 1
    assert f"write {write} is approved, and is sent later" in waiting.stderr
    assert cancelled.rows[1][:4] == [write, "crm.people", "insert", "cancelled"]
    assert not crm.sent


def test_cancelling_a_waiting_job_cancels_one_write_and_sends_the_others(crm: Crm) -> None:
    crm("pause crm", "insert into crm.people (email) values ('a@x')")
    job = crm("select max(job) from unify.jobs").single_value
    crm("insert into crm.people (email) values ('b@x')")

    crm(f"system cancel {job}", "resume crm")

    wait_until(lambda: [row[3] for row in crm("show writes").rows[1:3]] == ["done", "cancelled"])
    assert crm.people == [("b@x", None)]


def test_no_secret_and_no_value_is_in_a_log(crm: Crm) -> None:
    crm(TWO.replace("Ada", "private-value"))
    crm.unify.stop_daemon()

    for file in crm.unify.home.rglob("*"):
        if file.is_file() and not file.is_symlink():
            content = file.read_bytes()
            assert TOKEN.encode() not in content, file
            if not file.name.startswith("writes.db"):
                assert b"private-value" not in content, file
    assert (crm.unify.home / "writes.db").stat().st_mode & 0o777 == 0o600
