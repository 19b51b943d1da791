"""Versions that are held back because they lose most rows or columns."""

from __future__ import annotations

import pytest

from unify.load.staging import Manifest
from unify.model import Column, TableName
from unify.publish.plausibility import VersionHeld, check_new_version

TABLE = TableName("shop", "orders")


def columns(count: int) -> tuple[Column, ...]:
    return tuple(Column(f"c{number}", "BIGINT") for number in range(count))


def check(
    rows: int,
    stored_rows: int,
    new: int = 4,
    stored: int = 4,
    *,
    strategy: str = "reload",
    complete: bool = True,
    discarded: int = 0,
    may_shrink: bool = False,
) -> None:
    manifest = Manifest(
        (), columns(new), rows, strategy, complete=complete, discarded=discarded, may_shrink=may_shrink
    )
    check_new_version(TABLE, manifest, strategy, stored_rows=stored_rows, stored_columns=columns(stored))


@pytest.mark.parametrize(
    ("rows", "stored_rows", "new", "stored", "reason"),
    [
        (0, 20, 0, 4, "it has no rows, the stored version 20"),
        (9, 100, 4, 4, "it has 9 rows, the stored version 100"),
        (99, 1000, 4, 4, "it has 99 rows, the stored version 1,000"),
        (1, 1_000_000, 4, 4, "it has 1 row, the stored version 1,000,000"),
        (1000, 1000, 1, 4, "3 of 4 columns are missing: c1, c2, c3"),
        (1000, 1000, 2, 9, "7 of 9 columns are missing: c2, c3, c4, c5, c6 …"),
        (3, 3, 1, 4, "3 of 4 columns are missing: c1, c2, c3"),
    ],
)
def test_a_version_that_loses_most_is_held_back(
    rows: int, stored_rows: int, new: int, stored: int, reason: str
) -> None:
    with pytest.raises(VersionHeld) as held:
        check(rows, stored_rows, new, stored)
    assert held.value.message == (
        f"shop.orders: the new version is held back: {reason}. The stored version stays; "
        "accept table shop.orders replaces it. If the table often shrinks so, set refresh: {shrink: allow}"
    )


@pytest.mark.parametrize(
    ("rows", "stored_rows", "new", "stored"),
    [
        (0, 0, 0, 4),
        (0, 19, 0, 3),
        (1, 25, 4, 4),
        (1, 99, 4, 4),
        (10, 100, 4, 4),
        (100, 1000, 4, 4),
        (1000, 20, 4, 4),
        (1000, 1000, 2, 4),
        (1000, 1000, 1, 3),
    ],
)
def test_a_smaller_loss_is_published(rows: int, stored_rows: int, new: int, stored: int) -> None:
    check(rows, stored_rows, new, stored)
    with pytest.raises(VersionHeld):
        check(0, 1000)


@pytest.mark.parametrize("strategy", ["append", "merge"])
def test_a_load_that_replaces_nothing_is_published(strategy: str) -> None:
    check(0, 1000, strategy=strategy)
    with pytest.raises(VersionHeld):
        check(0, 1000, strategy="merge_delete")


def test_an_incomplete_merge_deletes_nothing_and_is_published() -> None:
    check(0, 1000, strategy="merge_delete", complete=False)
    with pytest.raises(VersionHeld):
        check(0, 1000, strategy="merge_delete", complete=True)


def test_a_merge_with_discarded_rows_deletes_nothing_and_is_published() -> None:
    check(0, 1000, strategy="merge_delete", discarded=1)
    with pytest.raises(VersionHeld):
        check(0, 1000, strategy="reload", discarded=1)


@pytest.mark.parametrize(("rows", "new"), [(0, 4), (1, 4), (1000, 1)])
def test_a_table_that_may_shrink_is_published(rows: int, new: int) -> None:
    check(rows, 1000, new, may_shrink=True)
    with pytest.raises(VersionHeld):
        check(rows, 1000, new)
