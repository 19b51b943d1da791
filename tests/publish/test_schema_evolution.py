"""Columns and types of a stored table change with its loads."""

from __future__ import annotations

import pytest

from tests.support.publishing import KEYED, load, publish_load, refresh, stored_pulls
from tests.support.stores import PULLS, fetch_rows, make_job, stage_rows
from unify.engine.widening import common_type
from unify.lake import catalog
from unify.lake.lake import Lake
from unify.load import staging
from unify.load.staging import Manifest, StagingArea
from unify.model import Action, Column


def test_new_columns_are_added_and_missing_ones_are_kept_with_null(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))

    record = refresh(
        lake, {"ID": "BIGINT", "labels": "VARCHAR[]"}, [(2, ["a"])], key=("ID",), strategy="merge"
    )

    assert stored_pulls(lake) == [(1, "one", None), (2, None, ["a"])]
    assert record.reason == "new: labels"


def test_a_merge_keeps_the_values_of_columns_missing_in_the_load(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))
    refresh(lake, {"id": "BIGINT", "state": "VARCHAR"}, [(1, "open")], key=("id",), strategy="merge")
    assert stored_pulls(lake) == [(1, "one", "open")]


def test_a_reload_keeps_missing_columns(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")])
    job = make_job(action=Action.RELOAD)
    publish_load(lake, job, stage_rows(lake.settings, job, {"id": "BIGINT"}, [(2,)]))
    assert stored_pulls(lake) == [(2, None)]


@pytest.mark.parametrize(
    ("stored", "value", "found", "new", "kind", "kept"),
    [
        ("BIGINT", 9007199254740993, "VARCHAR", "x", "VARCHAR", "9007199254740993"),
        ("BIGINT", 9007199254740993, "DOUBLE", 1.5, "VARCHAR", "9007199254740993"),
        ("BIGINT", 3, "DOUBLE", 1.5, "DOUBLE", 3.0),
        ("DOUBLE", 0.1, "BIGINT", 2**53 + 1, "VARCHAR", "0.1"),
        ("BIGINT", 7, "DECIMAL(38,0)", 10**30, "DECIMAL(38,0)", 7),
        ("BOOLEAN", True, "VARCHAR", "x", "VARCHAR", "true"),
        ("BIGINT", 7, "JSON", '{"a":1}', "JSON", "7"),
        ("VARCHAR", 'a"b', "JSON", '{"a":1}', "JSON", '"a\\"b"'),
        ("VARCHAR", None, "BIGINT", 5, "BIGINT", None),
        ("DATE", "2026-01-02", "TIMESTAMP", "2026-01-02 03:04:05", "VARCHAR", "2026-01-02"),
        ("TIMESTAMP WITH TIME ZONE", "2026-01-02 03:04:05.25+02", "VARCHAR", "x",
         "VARCHAR", "2026-01-02T01:04:05.25Z"),
        ("TIMESTAMP", "2026-01-02 03:04:05", "VARCHAR", "x", "VARCHAR", "2026-01-02T03:04:05"),
        ("BIGINT[]", [1, 2], "VARCHAR[]", ["x"], "VARCHAR[]", ["1", "2"]),
        ("STRUCT(a BIGINT)", {"a": 1}, "STRUCT(a BIGINT, b VARCHAR)", {"a": 2, "b": "x"},
         'STRUCT(a BIGINT, b VARCHAR)', {"a": 1, "b": None}),
        ("STRUCT(a BIGINT)", {"a": 1}, "VARCHAR", "x", "JSON", '{"a":1}'),
        ("STRUCT(a BIGINT)[]", [{"a": 1}], "STRUCT(a VARCHAR)[]", [{"a": "x"}],
         "STRUCT(a VARCHAR)[]", [{"a": "1"}]),
        ("BIGINT[]", [1], "DOUBLE[]", [1.5], "DOUBLE[]", [1.0]),
        ("BIGINT[]", [2**53 + 1], "DOUBLE[]", [1.5], "VARCHAR[]", ["9007199254740993"]),
        ("BIGINT[][]", [[1], None, [None]], "DOUBLE[][]", [[1.5]], "DOUBLE[][]", [[1.0], None, [None]]),
        ("STRUCT(qty BIGINT)[]", [{"qty": 9}], "STRUCT(qty DOUBLE)[]", [{"qty": 2.5}],
         "STRUCT(qty DOUBLE)[]", [{"qty": 9.0}]),
        ("STRUCT(id BIGINT, qty BIGINT)[]", [{"id": 2**60 + 1, "qty": 9}],
         "STRUCT(id BIGINT, qty DOUBLE)[]", [{"id": 1, "qty": 2.5}],
         "STRUCT(id BIGINT, qty DOUBLE)[]", [{"id": 2**60 + 1, "qty": 9.0}]),
        ("STRUCT(a STRUCT(b BIGINT[]))", {"a": {"b": [1]}},
         "STRUCT(a STRUCT(b DOUBLE[]))", {"a": {"b": [1.5]}},
         "STRUCT(a STRUCT(b DOUBLE[]))", {"a": {"b": [1.0]}}),
        ("DOUBLE[]", [0.5], "BIGINT[]", [2**53 + 1], "VARCHAR[]", ["0.5"]),
        ("VARCHAR[]", [], "BIGINT[]", [1], "BIGINT[]", []),
        ("STRUCT(seen VARCHAR)[]", [{"seen": None}], "STRUCT(seen DOUBLE)[]", [{"seen": 1.5}],
         "STRUCT(seen DOUBLE)[]", [{"seen": None}]),
        ("STRUCT(seen VARCHAR)[]", [{"seen": "x"}], "STRUCT(seen DOUBLE)[]", [{"seen": 1.5}],
         "STRUCT(seen VARCHAR)[]", [{"seen": "x"}]),
        ("STRUCT(v VARCHAR[])[]", [{"v": []}], "STRUCT(v STRUCT(a BIGINT)[])[]", [{"v": [{"a": 1}]}],
         "STRUCT(v STRUCT(a BIGINT)[])[]", [{"v": []}]),
    ],
)  # fmt: skip
def test_a_column_is_widened_without_loss_for_another_type(
    lake: Lake, stored: str, value: object, found: str, new: object, kind: str, kept: object
) -> None:
    load(lake, {"id": "BIGINT", "v": stored}, [(1, value)], key=("id",))

    refresh(lake, {"id": "BIGINT", "v": found}, [(2, new)], key=("id",), strategy="merge")

    [_, column] = catalog.table_columns(lake, PULLS)
    assert column.type.replace('"', "") == kind
    assert fetch_rows(lake, "select v from github.pulls where id = 1") == [(kept,)]
    assert fetch_rows(lake, "select count(*), count(distinct id) from github.pulls") == [(2, 2)]


def test_widening_is_recorded_in_the_ledger(lake: Lake) -> None:
    load(lake, KEYED, [(1, "one")], key=("id",))
    record = refresh(lake, {"id": "VARCHAR"}, [("x",)], key=("id",), strategy="merge")
    assert record.reason == "id is VARCHAR now (was BIGINT)"
    assert stored_pulls(lake) == [("1", "one"), ("x", None)]


def test_a_type_the_spec_declares_wins_on_a_reload(lake: Lake) -> None:
    load(lake, {"v": "VARCHAR"}, [("1.50",)])
    job = make_job(action=Action.RELOAD)
    publish_load(lake, job, stage_rows(lake.settings, job, {"v": "DECIMAL(5,2)"}, [(1.5,)], declared=("v",)))
    assert catalog.table_columns(lake, PULLS) == (Column("v", "DECIMAL(5,2)"),)


def test_a_load_without_rows_is_an_empty_table_that_takes_any_columns_later(lake: Lake) -> None:
    job = make_job()
    empty = staging.commit_staged_load(
        StagingArea(lake.settings.staging).create_attempt_folder(job), Manifest(files=(), columns=(), rows=0)
    )
    record = publish_load(lake, job, empty)
    assert (record.rows_total, record.status) == (0, "success")
    assert stored_pulls(lake) == []

    refresh(lake, KEYED, [(1, "one")], key=("id",), strategy="merge")
    assert [column.name for column in catalog.table_columns(lake, PULLS)] == ["id", "title"]


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("INTEGER", "BIGINT", "BIGINT"),
        ("UINTEGER", "INTEGER", "BIGINT"),
        ("UBIGINT", "BIGINT", "DECIMAL(38,0)"),
        ("BIGINT", "DECIMAL(10,2)", "DECIMAL(21,2)"),
        ("DECIMAL(38,0)", "DECIMAL(10,2)", "VARCHAR"),
        ("DECIMAL(10,2)", "DOUBLE", "VARCHAR"),
        ("FLOAT", "DOUBLE", "DOUBLE"),
        ("DATE", "TIMESTAMP WITH TIME ZONE", "VARCHAR"),
        ("BOOLEAN", "BIGINT", "VARCHAR"),
        ("BIGINT", "BIGINT[]", "JSON"),
        ("STRUCT(a BIGINT)", "STRUCT(A BIGINT)", "JSON"),
        ("MAP(VARCHAR, BIGINT)", "STRUCT(a BIGINT)", "JSON"),
    ],
)
def test_two_types_have_a_common_type_that_holds_both(one: str, other: str, both: str) -> None:
    assert common_type(one, other) == both
    assert common_type(other, one) == both
