"""A plan is sent as it was planned, to the account for which it was, and not over later writes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.command import InProcessCommand
from tests.support.crm import Crm

INSERT = "insert into crm.people (email) values ('a@x')"
UPSERT = "export (select 'a@x' as email, 'Ada' as name) to crm.people upsert by email"


def edit(crm: Crm, file: str, old: str, new: str) -> None:
    path = crm.unify.home / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def use_other_account(crm: Crm) -> None:
    edit(crm, "connections.yaml", "127.0.0.1", "localhost")


@pytest.mark.parametrize("change", ["account", "spec"])
def test_a_plan_is_not_approved_for_what_it_was_not_planned(crm: Crm, change: str) -> None:
    crm(INSERT, args=())
    if change == "account":
        use_other_account(crm)
    else:
        edit(crm, "specs/crm.yaml", "request: POST /people", "request: PUT /people")

    result = crm(f"approve write {crm.last_write}")

    part = "the option base_url" if change == "account" else "the spec of the table"
    assert f"{part} was changed since write" in result.stderr, result
    assert not crm.sent


def test_a_token_may_be_renewed_between_plan_and_approval(crm: Crm) -> None:
    crm(INSERT, args=())
    crm.unify.environment["CRM_TOKEN"] = "renewed-s3cret"

    assert "1 created" in crm(f"approve write {crm.last_write}").stderr


def test_ids_of_one_account_are_not_used_in_another_one(crm: Crm) -> None:
    mirror = "export (select unnest(['a@x', 'b@x']) as email) to crm.contacts mirror by email as account"
    crm(mirror)
    number = crm.last_write
    use_other_account(crm)
    before = len(crm.sent)

    refused = [
        crm(mirror.replace(", 'b@x'", ""), args=("--yes", "--max-deletes", "9")),
        crm(f"undo write {number}", args=("--yes", "--max-deletes", "9")),
    ]

    for result in refused:
        assert "the option base_url of crm was changed since" in result.stderr, result
    assert len(crm.sent) == before
    assert "2 updated" in crm(mirror.replace("as account", "as another")).stderr


def test_a_write_that_was_never_approved_is_not_retried(crm: Crm) -> None:
    crm(INSERT, args=())
    crm(f"cancel write {crm.last_write}")

    result = crm(f"retry write {crm.last_write}")

    assert "was never approved: run its statement again" in result.stderr, result
    assert not crm.sent


def test_a_retry_may_follow_a_change_of_the_spec(crm: Crm) -> None:
    """Rows that were refused because the spec is wrong are retried with the mended one."""
    crm.api.refused_names = frozenset(["Ada"])
    crm("insert into crm.people (email, name) values ('a@x', 'Ada')")
    edit(
        crm,
        "specs/crm.yaml",
        'body: {email: "{email}", name: "{name}", tags',
        'body: {email: "{email}", tags',
    )
    edit(crm, "specs/crm.yaml", "        name:\n        tags", "        name: {only: update}\n        tags")

    assert "1 created" in crm(f"retry write {crm.last_write}").stderr
    assert crm.people == [("a@x", None)]


MERGE = (
    "merge into crm.people using (select 'a@x' as email, 'Ada' as name) src on people.email = src.email "
    "when matched then update set name = src.name "
    "when not matched then insert (email, name) values (src.email, src.name)"
)


@pytest.mark.parametrize("statement", [UPSERT, MERGE], ids=["export", "merge"])
def test_stored_rows_that_are_older_than_the_last_write_are_refreshed_before_rows_are_found(
    crm: Crm, statement: str
) -> None:
    """Else a statement that follows another one at once would insert its rows again."""
    crm.api.people.append({"email": "z@x", "name": "Zoe", "id": 9})
    crm("load table crm.people", "pause crm.people")  # so that the refresh after the write does not come
    crm(statement)
    crm("resume crm.people")

    again = crm(statement)
    never = crm("set max_age = none", statement)

    assert "1 updated" in again.stderr, again
    assert "its stored rows are those before the last write" in never.stderr, never
    assert crm.people == [("a@x", "Ada"), ("z@x", "Zoe")]


def test_a_plan_whose_rows_were_found_before_another_write_is_not_approved(crm: Crm) -> None:
    """Both would insert the row."""
    crm(UPSERT, args=())
    waiting = crm.last_write
    crm(UPSERT)

    result = crm(f"approve write {waiting}")

    assert "another write was sent since the rows of this one were chosen" in result.stderr, result
    assert crm.people == [("a@x", "Ada")]


def test_a_copied_home_does_not_send_the_plans_of_the_original(crm: Crm, tmp_path: Path) -> None:
    crm(INSERT, args=())
    number, copy = crm.last_write, tmp_path / "home"
    copy.mkdir()
    for name in ("writes.db", "writes.db-wal", "connections.yaml"):
        if (source := crm.unify.home / name).exists():
            shutil.copy2(source, copy)
    copied = InProcessCommand(copy)
    copied.environment = {**crm.unify.environment, "UNIFY_HOME": str(copy)}

    result = copied(f"approve write {number}", args=("--connections", str(copy / "connections.yaml")))

    assert "the home folder was changed since write" in result.stderr, result
    assert not crm.sent
