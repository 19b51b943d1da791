"""``changes``: rows of a table that differ since a point in time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.support.command import UnifyCommand
from tests.support.fault_server import FaultServer
from tests.support.shop import SPEC_WITHOUT_TOKEN, connect_shop

SPEC = (
    SPEC_WITHOUT_TOKEN
    + """\
  - {name: orders, request: GET /orders, key: id}
"""
)


@pytest.fixture
def unify(shared_unify: UnifyCommand) -> UnifyCommand:
    return shared_unify


@pytest.fixture
def shop(unify: UnifyCommand, api: FaultServer) -> FaultServer:
    connect_shop(unify, api, SPEC)
    return api


def now() -> str:
    return datetime.now(UTC).isoformat()


def test_changes_of_a_reloaded_table_are_found_by_key(unify: UnifyCommand, shop: FaultServer) -> None:
    shop.serve("/orders", pages=[[{"id": 1, "s": "a"}, {"id": 2, "s": "b"}, {"id": 3, "s": None}]])
    assert unify("count shop.orders").single_value == "3"
    between = now()
    shop.serve("/orders", pages=[[{"id": 2, "s": "B", "x": 5}, {"id": 3, "s": None}, {"id": 4, "s": "d"}]])
    assert unify("reload table shop.orders").exit_status == 0

    answer = unify(f"changes shop.orders since '{between}'")
    assert answer.rows[0][:3] == ["change", "id", "s"]
    assert sorted(row[:3] for row in answer.rows[1:]) == [
        ["delete", "1", "a"],
        ["insert", "4", "d"],
        ["update", "2", "B"],
    ], answer
    assert unify(f"changes shop.orders since '{now()}'").rows == [answer.rows[0]]


def test_every_row_is_new_if_the_table_did_not_exist(unify: UnifyCommand, shop: FaultServer) -> None:
    shop.serve("/orders", pages=[[{"id": 1}, {"id": 2}]])
    assert unify("count shop.orders").single_value == "2"
    answer = unify("changes shop.orders since 2 days")
    assert sorted(answer.rows[1:]) == [["insert", "1"], ["insert", "2"]], answer


def test_every_row_is_new_if_the_schema_did_not_exist(unify: UnifyCommand, shop: FaultServer) -> None:
    assert unify("create table t as select 1 as a").exit_status == 0
    between = now()
    assert unify("create table u as select 1 as a").exit_status == 0
    shop.serve("/orders", pages=[[{"id": 1}]])
    assert unify("count shop.orders").single_value == "1"
    for table, row in (("shop.orders", ["insert", "1"]), ("u", ["insert", "1"])):
        assert unify(f"changes {table} since '{between}'").rows[1:] == [row]
        answer = unify(f"select * from {table} at (timestamp => timestamptz '{between}')")
        assert answer.stderr.startswith("the table did not exist then: "), answer
    missing = unify("select * from nowhere.t")
    assert "then" not in missing.stderr, missing


def test_rows_without_a_key_are_inserted_and_deleted(unify: UnifyCommand) -> None:
    assert unify("create table t as select 1 as a, 'x' as b union all select 1, 'x'").exit_status == 0
    between = now()
    changed = unify(
        "update t set b = 'y' where rowid = 0",
        "insert into t values (1, 'x')",
        "insert into t values (7, null)",
    )
    assert changed.exit_status == 0, changed
    answer = unify(f"changes t since '{between}'")
    assert sorted(answer.rows[1:]) == [["insert", "1", "y"], ["insert", "7", ""]], answer


def test_columns_added_since_are_compared(unify: UnifyCommand) -> None:
    assert unify("create table t as select 1 as a").exit_status == 0
    between = now()
    assert unify("alter table t add column b int; insert into t values (2, 5)").exit_status == 0
    assert unify(f"changes t since '{between}'").rows == [["change", "a", "b"], ["insert", "2", "5"]]


def test_a_renamed_table_is_compared_with_itself(unify: UnifyCommand) -> None:
    assert unify("create table t as select range as a, 2 as b from range(3)").exit_status == 0
    between = now()
    renamed = "alter table t rename to u; alter table u rename column b to c; insert into u values (7, 7)"
    answer = unify(f"{renamed}; changes u since '{between}'")
    assert answer.rows == [["change", "a", "c"], ["insert", "7", "7"]]
    pending = unify(f"begin; alter table u rename to v; changes v since '{between}'")
    assert "this transaction has renamed a table" in pending.stderr


def test_mistakes_are_explained(unify: UnifyCommand, shop: FaultServer) -> None:
    for statement, message in (
        ("changes shop.orders since 1 hour", "shop.orders is not loaded"),
        ("create table t as select 1 as a; changes t since 'noonish'", "'noonish' is not a date or time"),
        ("changes nothing since 1 hour", "table nothing does not exist"),
    ):
        answer = unify(statement)
        assert answer.exit_status == 1
        assert message in answer.stderr
