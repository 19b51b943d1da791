"""Merge, append and replace."""

from __future__ import annotations

import pytest

from tests.support.publishing import KEYED, load, publish_load, refresh, stored_pulls
from tests.support.stores import PULLS, make_job, stage_rows
from unify.errors import ConfigError
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.model import Action


def test_reload_replaces_the_rows_and_counts_them(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one"), (2, "two")], cursors={"a": "1", "b": "2"})
    job = make_job(action=Action.RELOAD)

    record = publish_load(
        lake, job, stage_rows(lake.settings, job, KEYED, [(3, "three")], cursors={"a": "9"})
    )

    assert stored_pulls(lake) == [(3, "three")]
    assert (record.rows_inserted, record.rows_deleted, record.rows_total) == (1, 2, 1)
    assert record.cursor == {"a": "9"}


def test_a_reload_with_the_same_columns_keeps_the_table_in_the_catalog(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one"), (2, "two")], description="requests to pull")
    first = schema_version(lake)

    load(lake, KEYED, [(3, "three")], description="requests to pull")

    assert stored_pulls(lake) == [(3, "three")]
    assert schema_version(lake) == first
    assert catalog.comment_in_transaction(lake.connection, PULLS) == "requests to pull"
    load(lake, {**KEYED, "state": "VARCHAR"}, [(4, "four", "open")])
    assert stored_pulls(lake) == [(4, "four", "open")]
    assert schema_version(lake) > first


def test_a_reload_of_very_many_rows_creates_the_table_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unify.publish.publish.MAX_DELETED_ROWS", 1)
    load(lake, KEYED, [(1, "one"), (2, "two")])
    first = schema_version(lake)

    load(lake, KEYED, [(3, "three")])

    assert stored_pulls(lake) == [(3, "three")]
    assert schema_version(lake) > first


def schema_version(lake: Lake) -> int:
    ((version,),) = lake.read("SELECT max(schema_version) FROM ducklake_snapshots('lake')")
    return int(version)


def test_merge_updates_changed_rows_inserts_new_ones_and_keeps_the_others(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one"), (2, "two"), (3, "three")], key=("id",), cursors={"a": "1", "b": "2"})

    record = refresh(
        lake,
        KEYED,
        [(2, "zwei"), (3, "three"), (4, "four")],
        key=("id",),
        strategy="merge",
        cursors={"b": "3"},
    )

    assert stored_pulls(lake) == [(1, "one"), (2, "zwei"), (3, "three"), (4, "four")]
    assert (record.rows_inserted, record.rows_updated, record.rows_deleted) == (1, 1, 0)
    assert (record.rows_written, record.rows_total) == (2, 4)
    assert record.cursor == {"a": "1", "b": "3"}


def test_merge_delete_drops_keys_no_longer_seen_unless_the_load_is_incomplete(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one"), (2, "two")], key=("id",))

    incomplete = refresh(lake, KEYED, [(2, "two")], key=("id",), strategy="merge_delete", complete=False)
    assert (incomplete.rows_deleted, incomplete.rows_total) == (0, 2)

    complete = refresh(lake, KEYED, [(2, "two")], key=("id",), strategy="merge_delete")
    assert (complete.rows_deleted, complete.rows_total) == (1, 1)
    assert stored_pulls(lake) == [(2, "two")]


def test_append_with_a_key_adds_only_rows_not_stored(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))

    record = refresh(lake, KEYED, [(1, "one"), (2, "two")], key=("id",), strategy="append")
    assert (record.rows_inserted, record.rows_total) == (1, 2)

    refresh(lake, KEYED, [(2, "two")], strategy="append")
    assert stored_pulls(lake) == [(1, "one"), (2, "two"), (2, "two")]


def test_the_latest_by_cursor_of_duplicate_rows_is_kept(lake: Lake) -> None:
    columns = {"id": "BIGINT", "at": "VARCHAR"}
    job = make_job()
    staged = stage_rows(
        lake.settings,
        job,
        columns,
        [(1, "2026-01-03"), (2, "2026-01-01")],
        [(1, "2026-01-02"), (3, "2026-01-01")],
        key=("id",),
        cursor_column="at",
    )

    record = publish_load(lake, job, staged)

    assert stored_pulls(lake) == [(1, "2026-01-03"), (2, "2026-01-01"), (3, "2026-01-01")]
    assert record.rows_total == 3
    assert "1 row came twice" in record.reason


def test_without_a_cursor_the_last_of_duplicate_rows_is_kept(lake: Lake) -> None:
    job = make_job()
    staged = stage_rows(lake.settings, job, KEYED, [(1, "old"), (1, "newer")], [(1, "newest")], key=("id",))

    record = publish_load(lake, job, staged)

    assert stored_pulls(lake) == [(1, "newest")]
    assert "2 rows came twice" in record.reason


def test_rows_with_a_null_key_are_kept_and_not_doubled_by_a_refresh(lake: Lake) -> None:
    load(lake, KEYED, [(None, "a"), (None, "b"), (1, "one")], key=("id",))
    assert len(stored_pulls(lake)) == 3

    record = refresh(lake, KEYED, [(None, "a"), (None, "c")], key=("id",), strategy="merge")

    assert record.rows_total == 4
    assert stored_pulls(lake) == [(1, "one"), (None, "a"), (None, "b"), (None, "c")]


def test_parts_of_a_key_can_be_null(lake: Lake) -> None:
    columns = {"repo": "VARCHAR", "id": "BIGINT", "title": "VARCHAR"}
    load(lake, columns, [("a", None, "x"), ("a", 1, "y")], key=("repo", "id"))

    refresh(lake, columns, [("a", None, "z")], key=("repo", "id"), strategy="merge")

    assert stored_pulls(lake) == [("a", 1, "y"), ("a", None, "z")]


def test_a_refresh_of_a_table_never_stored_stores_it(lake: Lake) -> None:
    record = refresh(lake, KEYED, [(1, "one")], key=("id",), strategy="merge")
    assert record.rows_inserted == 1
    assert stored_pulls(lake) == [(1, "one")]


def test_merge_without_a_key_is_an_error_that_leaves_the_table(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")])
    with pytest.raises(ConfigError, match="needs a key"):
        refresh(lake, KEYED, [(2, "two")], strategy="merge")
    assert stored_pulls(lake) == [(1, "one")]


def test_a_missing_key_column_is_an_error_that_names_it(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="the rows have no column number, which is the key"):
        load(lake, KEYED, [(1, "one")], key=("number",))


def test_merge_delete_keeps_rows_after_a_load_with_discarded_rows(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one"), (2, "two")], key=("id",))
    record = refresh(lake, KEYED, [(2, "two")], key=("id",), strategy="merge_delete", discarded=1)
    assert record.rows_total == 2
