"""The store of writes: sealed plans, one attempt at a time, outcomes on the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from unify.errors import StoreError
from unify.model import ConfigPaths, PlannedRow, RowOutcome, RowState, TableName, WriteState, WriteTarget
from unify.writes.records import NewWrite, Write
from unify.writes.store import AttemptReplaced, NameInUse, PlanOutdated, WriteStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = TableName("crm", "people")
NEW = NewWrite("default", PEOPLE, "insert", ConfigPaths("/c", ("/specs",)), requested_by="ada")
ROWS = [PlannedRow(number, "insert", {"n": number, "x": Decimal("1.10"), "y": None}) for number in (1, 2, 3)]


@pytest.fixture
def store(tmp_path: Path) -> WriteStore:
    return WriteStore(tmp_path / "writes.db")


def test_a_plan_keeps_its_values_exactly(store: WriteStore) -> None:
    write = store.plan(NEW, ROWS, NOW)

    assert (write.state, write.rows, write.requested_by) == (WriteState.PLANNED, 3, "ada")
    assert [row.planned for row in store.rows(write.id)] == ROWS
    assert store.next_open("default", PEOPLE) is None


def test_a_plan_whose_rows_fail_leaves_nothing(store: WriteStore) -> None:
    def rows() -> list[PlannedRow]:
        raise ValueError("the source broke off")

    with pytest.raises(ValueError, match="broke off"):
        store.plan(NEW, (row for part in (ROWS, None) for row in (part or rows())), NOW)
    assert not store.recent("default", 10)


def test_writes_of_a_table_are_sent_in_their_order(store: WriteStore) -> None:
    first, second = store.plan(NEW, ROWS, NOW), store.plan(NEW, ROWS, NOW)
    for write in (second, first):
        assert store.approve(write.id, "ada", NOW) is not None
    assert store.approve(first.id, "ada", NOW) is None

    found = store.next_open("default", PEOPLE)

    assert found is not None
    assert found.id == first.id
    assert store.open_tables() == [("default", PEOPLE, NEW.origin)]


def test_an_attempt_that_was_replaced_changes_nothing(store: WriteStore) -> None:
    write = store.plan(NEW, ROWS, NOW)
    store.approve(write.id, "ada", NOW)
    old = store.start(write, NOW)
    new = store.start(write, NOW)
    store.mark_sent(new, ROWS[:1], "k", NOW)

    for change in (
        lambda: store.mark_sent(old, ROWS[1:2], "k", NOW),
        lambda: store.settle(old, [RowOutcome(1, RowState.CREATED)], NOW),
        lambda: store.release(old, ROWS[:1]),
        lambda: store.finish(old, WriteState.DONE, NOW),
        lambda: store.is_cancel_asked(old),
    ):
        with pytest.raises(AttemptReplaced):
            change()
    assert [row.state for row in store.rows(write.id)] == ["sent", "planned", "planned"]


def test_a_write_that_ends_early_has_an_outcome_for_each_row(store: WriteStore) -> None:
    write = store.plan(NEW, ROWS, NOW)
    store.approve(write.id, "ada", NOW)
    started = store.start(write, NOW)
    store.mark_sent(started, ROWS[:2], "k", NOW)
    store.settle(started, [RowOutcome(1, RowState.CREATED, 201, {"id": 7})], NOW)

    store.fail_open("default", PEOPLE, "given up", approved_until=NOW, now=NOW)

    assert store.counts(write.id) == {"created": 1, "unknown": 1, "not sent": 1}
    ended = store.find(write.id)
    assert ended is not None
    assert (ended.state, ended.error, ended.requests) == (WriteState.FAILED, "given up", 1)


def test_old_writes_are_deleted_and_open_ones_are_kept(store: WriteStore) -> None:
    old, running = store.plan(NEW, ROWS, NOW), store.plan(NEW, ROWS, NOW)
    store.approve(running.id, "ada", NOW)

    assert store.delete_old(NOW + timedelta(days=31)) == 1

    assert store.find(old.id) is None
    assert store.find(running.id) is not None


def test_nothing_is_made_by_reading(store: WriteStore) -> None:
    assert store.find(1) is None
    assert not store.recent("default", 10)
    assert not store.open_tables()
    assert not list(store.all_rows("default"))
    assert not store.path.exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "writes.db"
    path.write_bytes(b"no database" * 1000)

    with pytest.raises(StoreError, match=r"writes\.db: .*move it away"):
        WriteStore(path).recent("default", 1)


NAMED = replace(NEW, name="n")


def plan_named(store: WriteStore, *, matched: bool = False) -> Write:
    """Plan a write that is compared with what its name, or its table, has had until now."""
    name = "" if matched else "n"
    baseline = store.baseline("default", PEOPLE, name, is_matched=matched)
    return store.plan(replace(NEW, name=name, baseline=baseline, is_matched=matched), ROWS, NOW)


def send(store: WriteStore, write: Write, *states: RowState) -> None:
    store.approve(write.id, "ada", NOW)
    started = store.start(write, NOW)
    store.mark_sent(started, ROWS, "k", NOW)
    store.settle(started, [RowOutcome(*pair) for pair in enumerate(states, start=1)], NOW)
    store.finish(started, WriteState.DONE, NOW)


@pytest.mark.parametrize("matched", [False, True])
def test_a_plan_is_not_sealed_over_a_write_that_ended_since_its_rows_were_compared(
    store: WriteStore, matched: bool
) -> None:
    name = "" if matched else "n"
    baseline = store.baseline("default", PEOPLE, name, is_matched=matched)
    send(store, plan_named(store, matched=matched), RowState.CREATED)

    with pytest.raises(PlanOutdated, match="another write was sent"):
        store.plan(replace(NEW, name=name, baseline=baseline, is_matched=matched), ROWS, NOW)
    assert len(store.recent("default", 9)) == 1


def test_a_plan_is_not_approved_after_another_write_of_the_table_was_sent(store: WriteStore) -> None:
    waiting = plan_named(store, matched=True)
    send(store, store.plan(NEW, ROWS, NOW), RowState.CREATED)

    with pytest.raises(PlanOutdated):
        store.approve(waiting.id, "ada", NOW)
    assert store.next_open("default", PEOPLE) is None


def test_only_rows_that_no_later_write_of_the_name_has_written_are_retried(store: WriteStore) -> None:
    tracked = [replace(row, identity=str(row.number)) for row in ROWS]
    first = store.plan(NAMED, tracked, NOW)
    send(store, first, RowState.REJECTED, RowState.REJECTED, RowState.CREATED)
    second = store.plan(NAMED, tracked, NOW)
    send(store, second, RowState.CREATED, RowState.REJECTED, RowState.CREATED)

    assert store.reopen(first.id, [RowState.REJECTED], WriteTarget(), "ada", NOW) is not None
    assert [row.state for row in store.rows(first.id)] == ["rejected", "planned", "created"]
    with pytest.raises(NameInUse):
        store.reopen(second.id, [RowState.REJECTED], WriteTarget(), "ada", NOW)
    store.cancel(first.id, NOW)
    send(store, store.plan(NAMED, tracked, NOW), *[RowState.CREATED] * 3)
    with pytest.raises(PlanOutdated, match="later writes of n have written these rows"):
        store.reopen(second.id, [RowState.REJECTED], WriteTarget(), "ada", NOW)


def test_a_plan_that_was_never_approved_is_not_retried(store: WriteStore) -> None:
    write = store.plan(NEW, ROWS, NOW)
    store.cancel(write.id, NOW)

    assert store.reopen(write.id, [RowState.NOT_SENT], WriteTarget(), "ada", NOW) is None


@pytest.mark.parametrize("damage", ["vals = json_set(vals, '$.n', 9)", "action = 'delete'"])
def test_a_plan_that_was_damaged_sends_nothing(store: WriteStore, damage: str) -> None:
    write = store.plan(NEW, ROWS, NOW)
    store.approve(write.id, "ada", NOW)
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute(f"UPDATE write_row SET {damage} WHERE number = 2")

    with pytest.raises(StoreError, match="not those that were planned"):
        store.start(write, NOW)


def test_values_that_are_no_json_name_the_file(store: WriteStore) -> None:
    write = store.plan(NEW, ROWS, NOW)
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute("UPDATE write_row SET vals = '{' WHERE number = 2")

    with pytest.raises(StoreError, match=r"writes\.db: the values of a row are damaged"):
        store.rows(write.id)
