"""Columns and types inferred from JSON."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests.support.staging import TIMESTAMPTZ, stage
from unify.convert.infer import MAX_FIELDS, MAX_NAME_CHARS, MAX_STRUCT_FIELDS
from unify.convert.selection import ColumnRules
from unify.errors import BadResponse


def test_members_of_objects_become_columns(tmp_path: Path) -> None:
    staged = stage(
        tmp_path, {"id": 1, "user": {"login": "ada", "plan": {"seats": 3}}}, {"id": 2, "user": None}
    )

    assert staged.types == {"id": "BIGINT", "user_login": "VARCHAR", "user_plan_seats": "BIGINT"}
    assert staged.rows == [(1, "ada", 3), (2, None, None)]


@pytest.mark.parametrize(
    ("levels", "types"),
    [
        (0, {"a": "STRUCT(b STRUCT(c BIGINT))"}),
        (1, {"a_b": "STRUCT(c BIGINT)"}),
        (2, {"a_b_c": "BIGINT"}),
        (None, {"a_b_c": "BIGINT"}),
    ],
)
def test_flatten_limits_the_levels_that_become_columns(
    tmp_path: Path, levels: int | None, types: dict[str, str]
) -> None:
    staged = stage(tmp_path, {"a": {"b": {"c": 7}}}, shape=ColumnRules(flatten=levels))

    assert staged.types == types


def test_lists_stay_lists_of_scalars_or_structs(tmp_path: Path) -> None:
    staged = stage(
        tmp_path,
        {"tags": ["x"], "labels": [{"id": 1, "name": "bug"}], "grid": [[1], [2, None]]},
        {"tags": [], "labels": [{"id": 2, "color": "red"}], "grid": None},
    )

    assert staged.types == {
        "tags": "VARCHAR[]",
        "labels": 'STRUCT(color VARCHAR, id BIGINT, "name" VARCHAR)[]',
        "grid": "BIGINT[][]",
    }
    assert staged.values("labels")[1] == [{"color": "red", "id": 2, "name": None}]
    assert staged.values("grid") == [[[1], [2, None]], None]


@pytest.mark.parametrize(
    ("values", "type_", "kept"),
    [
        ([b"1", b'"x"', b"1.50"], "VARCHAR", ["1", "x", "1.50"]),
        ([b"true", b"2"], "VARCHAR", ["true", "2"]),
        ([b"1", b"2.5"], "DOUBLE", [1.0, 2.5]),
        ([b"9007199254740993", b"1.5"], "VARCHAR", ["9007199254740993", "1.5"]),
        ([b"9007199254740992", b"1.5"], "DOUBLE", [9007199254740992.0, 1.5]),
        ([b"9223372036854775807", b"-9223372036854775808"], "BIGINT", [2**63 - 1, -(2**63)]),
        ([b"9223372036854775808", b"-1"], "DECIMAL(38,0)", [2**63, -1]),
        ([b"1", b"1" + b"0" * 38], "VARCHAR", ["1", "1" + "0" * 38]),
        ([b'{"a":1}', b'"x"'], "JSON", ['{"a":1}', '"x"']),
        ([b"[1]", b'{"a":1}'], "JSON", ["[1]", '{"a":1}']),
        ([b'[1,"x",2.50]', b"[true]"], "VARCHAR[]", [["1", "x", "2.50"], ["true"]]),
        ([b"[1]", b"[9007199254740993,0.5]"], "VARCHAR[]", [["1"], ["9007199254740993", "0.5"]]),
        ([b"[[1],2]"], "JSON[]", [["[1]", "2"]]),
        ([b"1e400", b"1"], "VARCHAR", ["1e400", "1"]),
        ([b"NaN", b"-Infinity"], "DOUBLE", [pytest.approx(float("nan"), nan_ok=True), float("-inf")]),
        ([b"0.1", b"0.30000000000000004", b"5e-324"], "DOUBLE", [0.1, 0.30000000000000004, 5e-324]),
        ([b"null", b"null"], "VARCHAR", [None, None]),
        ([b"[]", b"[null]"], "VARCHAR[]", [[], [None]]),
        ([b'"\\u0000"', b'"\\ud83d\\ude00"'], "VARCHAR", ["\0", "😀"]),
    ],
)
def test_a_column_has_the_type_that_loses_nothing(
    tmp_path: Path, values: list[bytes], type_: str, kept: list[object]
) -> None:
    """The type does not depend on order and pages."""
    for number, order in enumerate(itertools.permutations(range(len(values)))):
        rows = [b'{"v":%s}' % values[index] for index in order]
        staged = stage(tmp_path / str(number), *rows, page=1, chunk_bytes=1)

        assert staged.types == {"v": type_}
        assert staged.values("v") == [kept[index] for index in order]


@pytest.mark.parametrize(
    ("values", "type_", "kept"),
    [
        (["2024-02-29", None], "DATE", [date(2024, 2, 29), None]),
        (["2024-02-29", "2024-02-30"], "VARCHAR", ["2024-02-29", "2024-02-30"]),
        (["2024-01-31T08:30:00", "2024-01-31 08:30:00.25"], "TIMESTAMP",
         [datetime(2024, 1, 31, 8, 30), datetime(2024, 1, 31, 8, 30, 0, 250_000)]),
        (["2024-01-31T08:30:00Z", "2024-01-31T08:30:00+05:30", "2024-01-31T08:30:00.123000-0800"],
         TIMESTAMPTZ, [datetime(2024, 1, 31, 8, 30, tzinfo=UTC), datetime(2024, 1, 31, 3, tzinfo=UTC),
          datetime(2024, 1, 31, 16, 30, 0, 123_000, tzinfo=UTC)]),
        (["2024-01-31T08:30:00.123456000+00:00"], TIMESTAMPTZ,
         [datetime(2024, 1, 31, 8, 30, 0, 123_456, tzinfo=UTC)]),
        (["2024-01-31T08:30:00Z", "2024-01-31T08:30:00.123456789Z"], "VARCHAR",
         ["2024-01-31T08:30:00Z", "2024-01-31T08:30:00.123456789Z"]),
        (["2024-01-31T08:30:00Z", "2024-01-31T08:30:00"], "VARCHAR",
         ["2024-01-31T08:30:00Z", "2024-01-31T08:30:00"]),
        (["2024-01-31t08:30:00z", "2024-01-31T08:30:00Z"], "VARCHAR",
         ["2024-01-31t08:30:00z", "2024-01-31T08:30:00Z"]),
        (["2024-01-31", ""], "VARCHAR", ["2024-01-31", ""]),
        (["2024-01-31", 5], "VARCHAR", ["2024-01-31", "5"]),
    ],
)  # fmt: skip
def test_a_column_is_a_date_or_timestamp_only_if_every_value_is_one(
    tmp_path: Path, values: list[object], type_: str, kept: list[object]
) -> None:
    for number, order in enumerate(itertools.permutations(range(len(values)))):
        rows = [{"v": values[index]} for index in order]
        staged = stage(tmp_path / str(number), *rows, page=1, chunk_bytes=1)

        assert staged.types == {"v": type_}
        assert staged.values("v") == [kept[index] for index in order]


def test_names_that_differ_only_in_case_are_numbered_by_path(tmp_path: Path) -> None:
    staged = stage(tmp_path, {"a": {"b": 2}, "A_B": 1, "a_b": 3, "a_b_2": 4})

    assert dict(zip(staged.types, staged.rows[0], strict=True)) == {
        "A_B": 1,
        "a_b_3": 3,
        "a_b_4": 2,
        "a_b_2": 4,
    }


def test_unusual_keys_are_columns(tmp_path: Path) -> None:
    row = {"": 1, "a.b": 2, 'q"x': 3, "o'x": 4, "é\n": 5, "back\\slash": 6, "select": 7, "nul\0": 8}

    staged = stage(tmp_path, row, {**row, "id": 1})

    assert staged.rows[0][:8] == tuple(range(1, 9))
    assert list(staged.types) == ["_", "a.b", 'q"x', "o'x", "é\n", "back\\slash", "select", "nul", "id"]


def test_the_last_of_equal_keys_is_used(tmp_path: Path) -> None:
    staged = stage(tmp_path, b'{"a":1,"a":2,"o":{"x":1,"x":"z"}}', b'{"a":3,"o":{"x":"y"}}')

    assert staged.rows == [(2, "z"), (3, "y")]


def test_rows_that_are_not_objects_have_one_column(tmp_path: Path) -> None:
    assert stage(tmp_path / "scalars", 1, 2, None).types == {"value": "BIGINT"}
    assert stage(tmp_path / "lists", [1], ["x"]).rows == [(["1"],), (["x"],)]
    assert stage(tmp_path / "mixed", 1, {"a": 1}, "x").values("value") == ["1", '{"a":1}', '"x"']
    assert stage(tmp_path / "empty", {}, {}).values("value") == ["{}", "{}"]
    assert stage(tmp_path / "null", {"a": 1}, None).rows == [(1,), (None,)]


def test_an_object_with_many_keys_never_becomes_a_map(tmp_path: Path) -> None:
    rows = [{"list": [{f"k{n}": n for n in range(start, start + 150)}]} for start in range(0, 600, 150)]

    staged = stage(tmp_path, *rows)

    assert staged.types["list"].startswith("STRUCT(k0 BIGINT, k1 BIGINT")
    assert staged.values("list")[3][0]["k599"] == 599


@pytest.mark.parametrize("columns", [2_000, pytest.param(MAX_FIELDS - 2, marks=pytest.mark.slow)])
def test_thousands_of_columns_are_columns(tmp_path: Path, columns: int) -> None:
    row = {"flat": 1, "deep": {f"key_{number}": number for number in range(columns)}}

    staged = stage(tmp_path, row, chunk_bytes=2**20)

    assert staged.sealed.rows == 1
    assert [column.name for column in staged.sealed.columns[:3]] == ["flat", "deep_key_0", "deep_key_1"]
    assert len(staged.sealed.columns) == columns + 1


def test_more_fields_than_a_table_may_have_are_refused_with_the_keys_that_help(tmp_path: Path) -> None:
    row = {"id": 1, "deep": {f"k{number}": number for number in range(MAX_FIELDS + 10)}}

    with pytest.raises(BadResponse, match=r"more than 8,000 different fields, such as deep\.k\d+; .*exclude"):
        stage(tmp_path, row)

    staged = stage(tmp_path, row, shape=ColumnRules(exclude=("deep",)))
    assert staged.rows == [(1,)]


def test_fields_that_arrive_in_many_rows_are_counted_together(tmp_path: Path) -> None:
    rows = ({f"k{number}": 1 for number in range(start, start + 600)} for start in range(0, 9000, 600))

    with pytest.raises(BadResponse, match="more than 8,000 different fields"):
        stage(tmp_path, *rows)


def test_a_very_long_name_is_refused_and_quoted_in_part(tmp_path: Path) -> None:
    with pytest.raises(BadResponse, match="name has 5,000,000 characters") as failed:
        stage(tmp_path, {"id": 1, "x" * 5_000_000: 2})

    assert len(failed.value.message) < 400
    staged = stage(tmp_path, {"id": 1, "x" * MAX_NAME_CHARS: 2})
    assert staged.rows == [(1, 2)]


def test_an_object_of_a_list_with_very_many_members_is_json(tmp_path: Path) -> None:
    members = {f"k{number}": number for number in range(MAX_STRUCT_FIELDS + 1)}

    staged = stage(tmp_path, {"list": [{"k0": 0}]}, {"list": [members]}, {"list": [{"y" * 2000: 1}]})

    assert staged.types == {"list": "JSON[]"}
    assert [json.loads(values[0]) for values in staged.values("list")] == [
        {"k0": 0},
        members,
        {"y" * 2000: 1},
    ]


def test_deep_nesting_becomes_json(tmp_path: Path) -> None:
    deep: object = 1
    lists: object = 1
    for _ in range(150):
        deep, lists = {"k": deep}, [lists]

    staged = stage(tmp_path, {"deep": deep, "lists": lists})

    assert sorted(staged.types.values()) == ["JSON", "JSON" + "[]" * 8]
    assert json.loads(staged.rows[0][0])["k"]["k"]
