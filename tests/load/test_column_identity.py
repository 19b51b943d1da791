"""A column belongs to one field: fields whose names differ only in case never exchange their values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.loader_shop import LoaderHome
from tests.support.staging import stage
from unify.adapters.spec.table_keys import ColumnDef
from unify.convert.selection import ColumnRules
from unify.lake import table_layouts
from unify.lake.lake import Lake
from unify.model import Action, Column, TableName

SPEC = """\
name: shop
base_url: "{base_url}"
options:
  base_url: {required: true}
  token: {secret: true}
paging: {type: none}
tables:
  - {name: merged, request: GET /rows, key: id, incremental: {cursor: seen, param: since}}
  - {name: reloaded, request: GET /rows, key: id}
  - name: appended
    request: GET /rows
    key: id
    incremental: {cursor: seen, param: since}
    refresh: {strategy: append}
"""


@pytest.fixture
def shop(loader_home: LoaderHome) -> LoaderHome:
    (loader_home.specs / "shop.yaml").write_text(SPEC)
    return loader_home


def rows_of(shop: LoaderHome, table: str, *columns: str) -> list[tuple[Any, ...]]:
    with Lake(shop.settings) as lake:
        return lake.read(f"select {', '.join(columns)} from lake.shop.{table} order by all")


def serve(shop: LoaderHome, *rows: Mapping[str, object]) -> None:
    shop.api.serve("/rows", pages=[[{"seen": "2026-01-01", **row} for row in rows]])


@pytest.mark.parametrize("table", ["merged", "reloaded", "appended"])
def test_a_field_of_a_later_load_that_differs_only_in_case_gets_the_suffix(
    shop: LoaderHome, table: str
) -> None:
    serve(shop, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    shop.publish(table)
    serve(shop, {"id": 1, "name": "a"}, {"Id": 7, "id": 3, "Name": "x", "NAME": "y", "name": "c"})

    shop.publish(table, Action.REFRESH)

    stored = rows_of(shop, table, "id", "name", "Id_2", "Name_2", "NAME_3")
    assert (3, "c", 7, "x", "y") in stored
    assert (1, "a", None, None, None) in stored


def test_a_field_that_differs_only_in_case_is_not_the_stored_column(shop: LoaderHome) -> None:
    serve(shop, {"id": 1, "name": "a"})
    shop.publish("merged")
    serve(shop, {"id": 2, "Name": "x"})

    shop.publish("merged", Action.REFRESH)

    assert rows_of(shop, "merged", "id", "name", "Name_2") == [(1, "a", None), (2, None, "x")]


def test_a_member_and_an_object_of_the_same_name_are_two_columns(shop: LoaderHome) -> None:
    serve(shop, {"id": 1, "a": {"b": "nested"}})
    shop.publish("merged")
    serve(shop, {"id": 2, "a": {"b": "nested"}, "a_b": "flat"})

    shop.publish("merged", Action.REFRESH)

    assert rows_of(shop, "merged", "id", "a_b", "a_b_2") == [(1, "nested", None), (2, "nested", "flat")]


def test_the_paths_of_columns_are_stored_with_the_table(shop: LoaderHome) -> None:
    serve(shop, {"id": 1, "a": {"b": 1}})
    shop.publish("merged")
    table = TableName("shop", "merged")
    with Lake(shop.settings) as lake:
        assert table_layouts.read_layout(lake, table).paths == {
            "id": ("id",),
            "seen": ("seen",),
            "a_b": ("a", "b"),
        }
    serve(shop, {"id": 2})
    shop.publish("merged", Action.REFRESH)
    with Lake(shop.settings) as lake:
        assert table_layouts.read_layout(lake, table).paths["a_b"] == ("a", "b")


@pytest.mark.parametrize("action", [Action.REFRESH, Action.RELOAD])
def test_a_table_stored_without_paths_can_be_loaded(shop: LoaderHome, action: Action) -> None:
    """As an earlier version stored it."""
    serve(shop, {"ID": 1, "Name": "a"})
    shop.publish("merged")
    with Lake(shop.settings) as lake, lake.write_transaction() as connection:
        table_layouts.delete_layout(connection, TableName("shop", "merged"))
    serve(shop, {"ID": 1, "Name": "a"}, {"ID": 2, "Name": "b", "name": "twin"})

    shop.publish("merged", action)

    assert rows_of(shop, "merged", "id", "name", "name_2") == [(1, "a", None), (2, "b", "twin")]


CASE_VARIANTS = {"Id": 9, "ID": 8, "id": 1, "v": 2}


def test_key_columns_and_cursor_match_the_field_of_the_same_case(tmp_path: Path) -> None:
    shape = ColumnRules(columns=(ColumnDef("ID", "varchar"),), key=("id",), cursor="Id")

    assert stage(tmp_path / "key", CASE_VARIANTS, shape=ColumnRules(key=("id",))).values("id") == [1]
    assert stage(tmp_path / "column", CASE_VARIANTS, shape=shape).values("ID") == ["8"]
    assert stage(tmp_path / "cursor", CASE_VARIANTS, shape=ColumnRules(cursor="Id")).sealed.cursors == {
        "": "9"
    }
    assert stage(tmp_path / "cursor2", CASE_VARIANTS, shape=ColumnRules(cursor="id")).sealed.cursors == {
        "": "1"
    }


@pytest.mark.parametrize(
    ("shape", "values"),
    [
        (ColumnRules(exclude=("Id",)), {8, 1, 2}),
        (ColumnRules(exclude=("id", "ID")), {9, 2}),
        (ColumnRules(only=("ID",)), {8}),
        (ColumnRules(only=("id", "v"), key=("v",)), {1, 2}),
        (ColumnRules(exclude=("Id",), key=("id",)), {8, 1, 2}),
        (ColumnRules(exclude=("iD",)), {2}),  # no field has this case: all of them
        (ColumnRules(exclude=("I*",)), {2}),  # globs are case-insensitive
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_exclude_and_only_match_the_field_of_the_same_case(
    tmp_path: Path, shape: ColumnRules, values: set[int], order: int
) -> None:
    rows = [{key: value} for key, value in CASE_VARIANTS.items()][::order]

    staged = stage(tmp_path, *rows, shape=shape, page=1)

    assert {value for row in staged.rows for value in row if value is not None} == values


def test_the_first_field_of_the_longest_row_keeps_its_name(tmp_path: Path) -> None:
    staged = stage(tmp_path, {"name": "a"}, {"name": "bb", "Name": "x"})

    assert staged.types == {"name": "VARCHAR", "Name_2": "VARCHAR"}
    assert staged.rows == [("a", None), ("bb", "x")]


def test_a_null_character_in_a_name_creates_another_column(tmp_path: Path) -> None:
    staged = stage(tmp_path, b'{"na\\u0000me":1,"name":2}', known=[Column("name", "BIGINT")])

    assert dict(zip(staged.types, staged.rows[0], strict=True)) == {"name": 2, "name_2": 1}
