"""Rows as a source sent them, staged as Parquet: which columns they become, and that nothing is lost."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from unify.adapters.base import Scalar
from unify.adapters.spec import ColumnDef
from unify.errors import BadResponse, ConfigError
from unify.loading.convert import RowStage, Sealed, Shape, Widening
from unify.model import Column
from unify.store.duck import connect

EVERYTHING = Shape()
TIMESTAMPTZ = "TIMESTAMP WITH TIME ZONE"


class Staged:
    """A sealed load and its rows as DuckDB reads them."""

    def __init__(self, sealed: Sealed) -> None:
        self.sealed = sealed
        self.types = {column.name: column.type for column in sealed.columns}
        self.rows = read(*sealed.files) if sealed.files else []

    def values(self, name: str) -> list[Any]:
        index = list(self.types).index(name)
        return [row[index] for row in self.rows]


def read(*files: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute("FROM read_parquet(?)", [[str(path) for path in files]]).fetchall()


def stage(
    folder: Path,
    *rows: object,
    shape: Shape = EVERYTHING,
    known: Sequence[Column] = (),
    variables: Mapping[str, Scalar] | None = None,
    page: int = 2,
    chunk_bytes: int = 50,
) -> Staged:
    """Stage rows in pages of ``page``; bytes are JSON as it is, anything else is made JSON."""
    folder.mkdir(exist_ok=True)
    with RowStage(folder, shape, known, chunk_bytes=chunk_bytes, chunk_rows=1) as rowstage:
        texts = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        for start in range(0, len(texts), page):
            rowstage.write(texts[start : start + page], variables or {})
        return Staged(rowstage.seal())


# Objects become columns


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
def test_flatten_says_how_many_levels_become_columns(
    tmp_path: Path, levels: int | None, types: dict[str, str]
) -> None:
    staged = stage(tmp_path, {"a": {"b": {"c": 7}}}, shape=Shape(flatten=levels))

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
def test_a_column_gets_the_type_that_loses_nothing(
    tmp_path: Path, values: list[bytes], type_: str, kept: list[object]
) -> None:
    """In any order, whatever the pages: the same type."""
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
def test_a_column_of_dates_or_moments_is_typed_only_if_every_value_is_one(
    tmp_path: Path, values: list[object], type_: str, kept: list[object]
) -> None:
    for number, order in enumerate(itertools.permutations(range(len(values)))):
        rows = [{"v": values[index]} for index in order]
        staged = stage(tmp_path / str(number), *rows, page=1, chunk_bytes=1)

        assert staged.types == {"v": type_}
        assert staged.values("v") == [kept[index] for index in order]


def test_names_that_meet_in_lower_case_are_numbered_by_path(tmp_path: Path) -> None:
    staged = stage(tmp_path, {"a": {"b": 2}, "A_B": 1, "a_b": 3, "a_b_2": 4})

    assert dict(zip(staged.types, staged.rows[0], strict=True)) == {
        "A_B": 1,
        "a_b_3": 3,
        "a_b_4": 2,
        "a_b_2": 4,
    }


def test_odd_keys_are_columns_too(tmp_path: Path) -> None:
    row = {"": 1, "a.b": 2, 'q"x': 3, "o'x": 4, "é\n": 5, "back\\slash": 6, "select": 7, "nul\0": 8}

    staged = stage(tmp_path, row, {**row, "id": 1})

    assert staged.rows[0][:8] == tuple(range(1, 9))
    assert list(staged.types) == ["_", "a.b", 'q"x', "o'x", "é\n", "back\\slash", "select", "nul", "id"]


def test_of_equal_keys_the_last_counts(tmp_path: Path) -> None:
    staged = stage(tmp_path, b'{"a":1,"a":2,"o":{"x":1,"x":"z"}}', b'{"a":3,"o":{"x":"y"}}')

    assert staged.rows == [(2, "z"), (3, "y")]


def test_rows_that_are_no_objects_make_one_column(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("columns", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_thousands_of_columns_are_columns(tmp_path: Path, columns: int) -> None:
    row = {"flat": 1, "deep": {f"key_{number}": number for number in range(columns)}}

    staged = stage(tmp_path, row, chunk_bytes=2**20)

    assert staged.sealed.rows == 1
    assert [column.name for column in staged.sealed.columns[:3]] == ["flat", "deep_key_0", "deep_key_1"]
    assert len(staged.sealed.columns) == columns + 1


def test_deep_nesting_ends_as_json(tmp_path: Path) -> None:
    deep: object = 1
    lists: object = 1
    for _ in range(150):
        deep, lists = {"k": deep}, [lists]

    staged = stage(tmp_path, {"deep": deep, "lists": lists})

    assert sorted(staged.types.values()) == ["JSON", "JSON" + "[]" * 8]
    assert json.loads(staged.rows[0][0])["k"]["k"]


def test_pretty_printed_rows_are_rows(tmp_path: Path) -> None:
    rows = [
        json.dumps({"id": n, "o": {"x": [1, 2]}}, indent=2).replace("\n", "\r\n").encode() for n in (1, 2)
    ]

    staged = stage(tmp_path, *rows, b"{ }")

    assert staged.rows == [(1, [1, 2]), (2, [1, 2]), (None, None)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'{"a":1', "a row cannot be read"),
        (b"", "a row cannot be read"),
        (b'{"a":1}{"b":2}', "Extra data"),
        (b'{"a":1}\n{"b":2}', "Extra data"),
        (b'{"a":1},{"b":2}', "Extra data"),
        (b'{"a":"\xff"}', "utf-8"),
        (b'{"title":"\\ud800"}', "title: half of a surrogate pair"),
        (b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}", "nested too deeply"),
    ],
)
def test_a_row_that_cannot_be_read_fails_the_load_and_says_why(
    tmp_path: Path, row: bytes, reason: str
) -> None:
    with pytest.raises(BadResponse, match=reason):
        stage(tmp_path, {"a": "good"}, row)


def test_bad_text_in_an_excluded_column_fails_the_load_too(tmp_path: Path) -> None:
    with pytest.raises(BadResponse, match="utf-8"):
        stage(tmp_path, b'{"a":1,"b":"ok"}', b'{"a":2,"b":"\xff"}', shape=Shape(exclude=("b",)))


# Order of columns, pages and sizes


def test_columns_come_in_the_order_of_the_longest_row(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": 1, "name": "x"},
        {"id": 2, "name": "long enough", "created": "2024-01-01"},
        {"id": 3, "extra": 1},
    ]

    for number, order in enumerate(itertools.permutations(rows)):
        staged = stage(tmp_path / str(number), *order, page=1, chunk_bytes=1)
        assert list(staged.types) == ["id", "name", "created", "extra"]
        assert staged.values("id") == [row["id"] for row in order]


def test_files_have_one_schema_and_the_order_in_which_rows_came(tmp_path: Path) -> None:
    rows = [{"id": n, **({"late": "x"} if n > 20 else {})} for n in range(30)]

    staged = stage(tmp_path, *rows, page=3, chunk_bytes=60)

    assert len(staged.sealed.files) > 3
    assert staged.values("id") == list(range(30))
    assert all(len(read(path)[0]) == 2 for path in staged.sealed.files)


def test_pages_may_be_written_side_by_side(tmp_path: Path) -> None:
    with RowStage(tmp_path, Shape(), chunk_bytes=500, chunk_rows=1) as rowstage:

        def write(part: int) -> None:
            for number in range(50):
                rowstage.write([b'{"part":%d,"n":%d,"k%d":1}' % (part, number, part)])

        threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        staged = Staged(rowstage.seal())

    assert sorted(zip(staged.values("part"), staged.values("n"), strict=True)) == [
        (part, number) for part in range(4) for number in range(50)
    ]
    assert set(staged.types) == {"part", "n", "k0", "k1", "k2", "k3"}


def test_rows_may_be_slices_of_a_body(tmp_path: Path) -> None:
    body = b'[{"id": 1, "user": {"name": "ada"}}, {"id": 2, "user": null}]'
    rows = msgspec.json.decode(body, type=list[msgspec.Raw])

    with RowStage(tmp_path, Shape()) as rowstage:
        rowstage.write(rows)
        staged = Staged(rowstage.seal())

    assert staged.rows == [(1, "ada"), (2, None)]


def test_a_load_without_rows_has_a_file_with_its_columns(tmp_path: Path) -> None:
    staged = stage(tmp_path, known=[Column("id", "BIGINT")], shape=Shape(columns=(ColumnDef("at", "date"),)))

    assert (staged.types, staged.rows, len(staged.sealed.files)) == ({"id": "BIGINT", "at": "DATE"}, [], 1)


def test_a_load_that_shows_no_column_at_all_has_no_file(tmp_path: Path) -> None:
    assert stage(tmp_path).sealed.files == ()


def test_only_parquet_files_are_left(tmp_path: Path) -> None:
    stage(tmp_path, *({"id": n, "a": 1.5, "A": "x"} for n in range(20)))

    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet"}


# exclude, only


ISSUE = {
    "id": 1,
    "html_url": "x",
    "user": {"login": "ada", "html_url": "y"},
    "repo": {"name": "duck", "url": "z"},
}


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        (Shape(exclude=("*_url",)), ["id", "user_login", "repo_name"]),
        (Shape(exclude=("*_URL", "repo")), ["id", "user_login"]),
        (Shape(only=("id", "user_l*")), ["id", "user_login"]),
        (Shape(only=("repo",)), ["repo_name", "repo_url"]),
        (Shape(only=("repo_*",), exclude=("*_url",), key=("id",)), ["id", "repo_name"]),
    ],
)  # fmt: skip
def test_exclude_and_only_say_which_columns_there_are(tmp_path: Path, shape: Shape, names: list[str]) -> None:
    issue = {**ISSUE, "repo": {"name": "duck", "html_url": "z"}} if "repo_url" not in names else ISSUE

    assert list(stage(tmp_path, issue, shape=shape).types) == names


def test_an_excluded_place_stays_out_whatever_it_holds_later(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "x_url": "s"},
        {"id": 2, "x_url": {"deep": 1}},
        {"id": 3, "x_url": [1], "y_url": {"a": 1}},
    ]

    assert stage(tmp_path, *rows, shape=Shape(exclude=("*_url",)), page=1).types == {"id": "BIGINT"}


def test_ruling_out_every_column_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column is left"):
        stage(tmp_path, {"id": 1}, shape=Shape(exclude=("*",)))


# Declared columns


def declared(*columns: ColumnDef) -> Shape:
    return Shape(columns=columns)


def test_a_declared_decimal_is_exact_from_the_text(tmp_path: Path) -> None:
    rows = [
        b'{"a":0.30000000000000001}',
        b'{"a":"1.10"}',
        b'{"a":12345678901234567.25}',
        b'{"a":1.5e3}',
        b'{"a":-7}',
    ]

    staged = stage(tmp_path, *rows, shape=declared(ColumnDef("a", "decimal(38,17)")))

    assert staged.values("a") == [
        Decimal(text) for text in ("0.30000000000000001", "1.10", "12345678901234567.25", "1500", "-7")
    ]


def test_only_numbers_under_the_declared_key_are_read_as_texts(tmp_path: Path) -> None:
    rows = [
        b'{"amount": 0.10000000000000000001,"note":"\\"amount\\": 2","o":{"amount":3.5},"x\\"amount":4.5}',
        b'{"amount" :-7e-2,"note":"amount","list":[{"amount":8}]}',
        b'{"amount":null,"note":"\\\\","amounts":9.25}',
    ]
    shape = declared(ColumnDef("amount", "decimal(38,20)"))

    for number, escaped in enumerate([[], [b'{"\\u0061mount":0.20000000000000000001}']]):
        staged = stage(tmp_path / str(number), *rows, *escaped, shape=shape, chunk_bytes=10_000)
        kept = [dict(zip(staged.types, row, strict=True)) for row in staged.rows]

        assert [row["amount"] for row in kept[:3]] == [
            Decimal("0.10000000000000000001"),
            Decimal("-0.07"),
            None,
        ]
        assert [row["amount"] for row in kept[3:]] == [Decimal("0.20000000000000000001") for _ in escaped]
        assert [row["note"] for row in kept[:3]] == ['"amount": 2', "amount", "\\"]
        assert kept[0]['x"amount'] == 4.5
        assert (kept[0]["o_amount"], kept[1]["list"], kept[2]["amounts"]) == (3.5, [{"amount": 8}], 9.25)


@pytest.mark.parametrize(
    ("type_", "format_", "good", "bad"),
    [
        ("decimal(10,2)", None, [b"1.10", b'"2"', b"1.2300"],
         [b"1.239", b'"x"', b"123456789.1", b"[1]", b"true"]),
        ("bigint", None, [b"1", b'"2"', b"3.0", b"1e3"], [b"1.5", b"9223372036854775808", b'""']),
        ("double", None, [b"1", b"0.1", b'"1e3"'], [b"9007199254740993", b"1e400", b'"x"']),
        ("date", None, [b'"2024-02-29"', b'"2024-02-29T00:00:00Z"'],
         [b'"2024-02-30"', b'"2024-02-29T08:00:00Z"']),
        ("timestamp", None, [b'"2024-02-29T08:00:00+02:00"'],
         [b'"soon"', b'"2024-02-29T08:00:00.123456789Z"', b"5"]),
        ("timestamp", "unix", [b"1700000000", b'"1700000000.5"'], [b'"x"', b"1700000000.1234567"]),
        ("timestamptz", "unix_ms", [b"1700000000123"], [b"99999999999999999999999"]),
        ("date", "%d/%m/%Y", [b'"31/12/2024"'], [b'"12/31/2024"']),
        ("decimal(10,2)", "1,234.5", [b'"1,234.50"', b'"-7"', b'"1234.5"', b'" 12,34,567.8 "', b"12.5"],
         [b'"1.234,50"', b'"1,23"', b'"12,345.678"', b'"$5"', b'""', b'"1,234,5"']),
        ("double", "1.234,5", [b'"1.234,5"', b'"+0,25"', b'"1.234.567"', b"12"], [b'"1,234.5"', b'"1.23"']),
        ("double", "1.234,5", [b'"1"'], [b'"0.125"', b'"012.345"']),
        ("double", "1.234,5", [b"12.5", b"0.125", b"1.234e3", b'"1.234,5"', b"12"], [b"12.345", b'"12.345"']),
        ("bigint", "1 234,5", [b'"1 234"', b'"1\\u00a0234\\u202f567"', b'"5,0"'], [b'"5,5"', b'"1.234"']),
        (None, "1'234.5", [b'"1\'234.5"', '"1’234"'.encode()], [b'"1,234"', b'"x"']),
        ("decimal(5,1)", "1234,5", [b'"1234,5"', b'"3"'], [b'"1.234,5"', b'"1234.5"']),
        ("boolean", None, [b"true", b'"false"'], [b"5", b'"maybe"']),
        ("bigint[]", None, [b'[1,"2",null]', b"[]"], [b'["x"]', b"5"]),
        ("struct(x bigint)", None, [b'{"x":1}', b'{"x":null}'], [b'{"x":"z"}', b'"s"']),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_its_declared_type_is_kept_with_its_row(
    tmp_path: Path, type_: str | None, format_: str | None, good: list[bytes], bad: list[bytes]
) -> None:
    rows = [b'{"n":%d,"v":%s}' % (number, value) for number, value in enumerate([*good, b"null", *bad])]

    staged = stage(tmp_path, *rows, shape=declared(ColumnDef("v", type_, format=format_)))

    assert staged.values("n") == list(range(len(good) + 1))
    assert None not in staged.values("v")[:-1]
    assert (staged.sealed.rows, staged.sealed.discarded) == (len(good) + 1, len(bad))
    assert staged.sealed.discarded_file is not None
    kept = read(staged.sealed.discarded_file)
    assert [row[1] for row in kept] == ["v"] * len(bad)
    assert [row[4].encode() for row in kept] == rows[len(good) + 1 :]
    assert all("does not fit" in row[3] for row in kept)


def test_a_declared_column_says_where_its_value_is(tmp_path: Path) -> None:
    shape = declared(
        ColumnDef("repo", source="{name}", description="Repository"),
        ColumnDef("full", source="{owner}/{name}"),
        ColumnDef("total", "bigint", source="$.total"),
        ColumnDef("author", source="user.login"),
        ColumnDef("gone", "date"),
    )

    staged = stage(
        tmp_path,
        {"id": 1, "user": {"login": "ada", "id": 5}},
        {"id": 2, "user": None},
        shape=shape,
        variables={"name": "duckdb", "owner": "o", "total": 9, "token": "never a column"},
    )

    assert staged.types == {
        "repo": "VARCHAR", "full": "VARCHAR", "total": "BIGINT", "id": "BIGINT", "author": "VARCHAR",
        "user_id": "BIGINT", "gone": "DATE",
    }  # fmt: skip
    assert staged.rows == [
        ("duckdb", "o/duckdb", 9, 1, "ada", 5, None),
        ("duckdb", "o/duckdb", 9, 2, None, None, None),
    ]
    assert staged.sealed.columns[0] == Column("repo", "VARCHAR", "Repository")


def test_a_declared_object_stays_whole(tmp_path: Path) -> None:
    staged = stage(tmp_path, {"meta": {"a": 1, "b": [2]}}, shape=declared(ColumnDef("meta", "json")))

    assert staged.rows == [('{"a":1,"b":[2]}',)]


def test_a_declared_source_is_found_where_objects_and_texts_mix(tmp_path: Path) -> None:
    rows = [b'{"m":{"x":1.10}}', b'{"m":"s"}', b'{"m":{"x":"q"}}']

    staged = stage(tmp_path, *rows, shape=declared(ColumnDef("x", source="m.x")), page=1, chunk_bytes=1)

    assert staged.values("x") == ["1.10", None, "q"]
    assert staged.types["m"] == "JSON"


def test_a_page_value_makes_way_for_nobody(tmp_path: Path) -> None:
    staged = stage(
        tmp_path,
        {"repo": "own", "id": 1},
        shape=declared(ColumnDef("repo", source="{r}")),
        variables={"r": "page"},
    )

    assert dict(zip(staged.types, staged.rows[0], strict=True)) == {"repo": "page", "repo_2": "own", "id": 1}


def test_pages_of_many_parents_share_files(tmp_path: Path) -> None:
    with RowStage(tmp_path, declared(ColumnDef("repo", source="{repo}"))) as rowstage:
        for number in range(100):
            rowstage.write([b'{"id":%d}' % number, b"{}"], {"repo": f"r{number}"}, scope=f"s{number}")
        staged = Staged(rowstage.seal())

    assert len(staged.sealed.files) == 1
    assert staged.rows[84:86] == [("r42", 42), ("r42", None)]


def test_an_unknown_type_is_a_mistake_in_the_spec(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="column a: nonsense is no type"):
        stage(tmp_path, {"a": 1}, shape=declared(ColumnDef("a", "nonsense")))


# Cursors


def test_the_greatest_cursor_of_each_scope_is_kept_as_written(tmp_path: Path) -> None:
    with RowStage(tmp_path, Shape(cursor="at", exclude=("at",)), chunk_bytes=40, chunk_rows=1) as rowstage:
        rowstage.write([b'{"at":"2024-01-01T00:30:00+01:00"}', b'{"at":"2024-01-01T00:00:00Z"}'], {}, "one")
        rowstage.write([b'{"at":"2023-12-31T22:00:00-05:00"}', b'{"at":null}', b'{"id":1}'], {}, "one")
        rowstage.write([b'{"at":"2020-01-01T00:00:00.000+0000"}'], {}, "two")
        rowstage.write([b'{"id":1}'], {}, "three")
        sealed = rowstage.seal()

    assert sealed.cursors == {"one": "2023-12-31T22:00:00-05:00", "two": "2020-01-01T00:00:00.000+0000"}
    assert [column.name for column in sealed.columns] == ["id"]


@pytest.mark.parametrize(
    ("values", "greatest"),
    [
        ([9, 10], "10"),
        (["9", "10"], "10"),
        (["1512085950.000216", "999"], "1512085950.000216"),
        ([9.5, 10], "10"),
        ([2**64, 5], str(2**64)),
        ([5, "x"], "5"),
        (["b", "a"], "b"),
        (["2026-01-01T00:00:00Z", "soon", "2025-12-31"], "2026-01-01T00:00:00Z"),
        (["", "2026-01-01", "2026-13-45"], "2026-01-01"),
    ],
)
def test_cursors_compare_as_their_column_does(tmp_path: Path, values: list[object], greatest: str) -> None:
    rows = [{"o": {"v": value}} for value in values]

    assert stage(tmp_path, *rows, shape=Shape(cursor="o_v"), page=1).sealed.cursors == {"": greatest}


@pytest.mark.parametrize(
    ("rows", "cursorless"),
    [
        ([{"at": "2026-01-01"}, {"at": None}, {}], 2),
        ([{"at": "2026-01-01"}, {"at": "soon"}, {"at": ""}], 2),
        ([{"at": "b"}, {"at": "a"}], 0),  # texts, if that is how the source counts
        ([{"at": 7}, {"at": 8}], 0),
        ([{"id": 1}, {"id": 2}], 2),
    ],
)
def test_rows_without_a_usable_cursor_are_kept_and_counted(
    tmp_path: Path, rows: list[dict[str, object]], cursorless: int
) -> None:
    staged = stage(tmp_path, *rows, shape=Shape(cursor="at"), page=1)
    assert (staged.sealed.rows, staged.sealed.cursorless) == (len(rows), cursorless)


# A second load


@pytest.mark.parametrize(
    ("stored", "value", "type_", "kept"),
    [
        ("BIGINT", b"5", "BIGINT", 5),
        ("BIGINT", b"null", "BIGINT", None),
        ("BIGINT", b'"x"', "VARCHAR", "x"),
        ("BIGINT", b"1.5", "DOUBLE", 1.5),  # exact or not: the publisher looks at what is stored
        ("BIGINT", b"9223372036854775808", "DECIMAL(38,0)", 2**63),
        ("INTEGER", b"5", "BIGINT", 5),
        ("DOUBLE", b"5", "DOUBLE", 5.0),
        ("DOUBLE", b"9007199254740993", "VARCHAR", "9007199254740993"),
        ("DECIMAL(38,0)", b"1.50", "VARCHAR", "1.50"),
        ("VARCHAR", b"1.50", "VARCHAR", "1.50"),
        ("VARCHAR", b'"2024-01-01"', "VARCHAR", "2024-01-01"),
        ("DATE", b'"2024-01-01"', "DATE", date(2024, 1, 1)),
        (TIMESTAMPTZ, b'"2024-01-01"', "VARCHAR", "2024-01-01"),
        ("JSON", b'{"a":1}', "JSON", '{"a":1}'),
        ("VARCHAR", b"[1]", "JSON", "[1]"),
        ("BIGINT[]", b'["x"]', "VARCHAR[]", ["x"]),
        ("BIGINT[]", b"5", "JSON", "5"),
        ("STRUCT(b VARCHAR, a BIGINT)[]", b'[{"c":true,"a":1}]', "STRUCT(b VARCHAR, a BIGINT, c BOOLEAN)[]",
         [{"b": None, "a": 1, "c": True}]),
        ("UUID", b'"a787e05f-ea14-4f24-8df8-63609dbe5187"', "UUID", "a787e05f-ea14-4f24-8df8-63609dbe5187"),
        ("UUID", b'"x"', "VARCHAR", "x"),
        ("DECIMAL(10,2)", b"1.50", "DECIMAL(10,2)", Decimal("1.50")),
        ("DECIMAL(10,2)", b"1.555", "VARCHAR", "1.555"),
        ("DECIMAL(10,2)", b"[1]", "JSON", "[1]"),
        ("", b"5", "BIGINT", 5),
    ],
)  # fmt: skip
def test_a_stored_type_holds_or_widens_so_that_nothing_is_lost(
    tmp_path: Path, stored: str, value: bytes, type_: str, kept: object
) -> None:
    staged = stage(
        tmp_path, b'{"v":%s}' % value, b'{"v":null}', known=[Column("v", stored)], page=1, chunk_bytes=1
    )

    assert staged.types == {"v": type_}
    assert [str(v) if type_ == "UUID" and v else v for v in staged.values("v")] == [kept, None]
    changed = (Widening("v", stored, type_),) if stored not in (type_, "") else ()
    assert staged.sealed.widened == changed


def test_stored_columns_keep_their_place_and_new_ones_follow(tmp_path: Path) -> None:
    known = [Column("gone", "DATE"), Column("ID", "BIGINT"), Column("user", "VARCHAR")]

    staged = stage(tmp_path, {"new": 1, "id": 2, "user": {"login": "ada"}}, known=known)

    assert staged.types == {
        "gone": "DATE", "ID": "BIGINT", "user": "VARCHAR", "new": "BIGINT", "user_login": "VARCHAR",
    }  # fmt: skip
    assert staged.rows == [(None, 2, None, 1, "ada")]


def test_columns_without_a_value_are_named(tmp_path: Path) -> None:
    staged = stage(tmp_path, {"a": None, "b": [], "c": 1}, known=[Column("d", "DATE")])

    assert staged.sealed.untyped == ("a",)


# The lake


def test_the_lake_holds_the_same_values(tmp_path: Path) -> None:
    rows = [
        b'{"big":123456789012345678901234567890,"real":0.1,"at":"2024-01-31T08:30:00.123456+05:30","day":"2024-02-29",'
        b'"mixed":{"a":1},"tags":["x",null],"list":[{"k":1,"j":1},{"k":2,"j":"x"}],"nul":"a\\u0000b","flag":true}',
        b'{"big":-1,"real":-0.0,"at":null,"day":null,"mixed":"x","tags":[],"list":[{"k":null,"j":[1]}],"nul":"",'
        b'"flag":null,"more":18446744073709551615,"nothing":null}',
    ]
    staged = stage(tmp_path / "staged", *rows, page=1, chunk_bytes=1)
    place = tmp_path / "lake"
    place.mkdir()

    with connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"ATTACH 'ducklake:sqlite:{place}/catalog.sqlite' AS lake "
            f"(DATA_PATH '{place}/files', DATA_INLINING_ROW_LIMIT 0)"
        )
        connection.execute(
            "CREATE TABLE lake.main.issues AS FROM read_parquet(?)",
            [[str(path) for path in staged.sealed.files]],
        )
        stored = connection.execute("FROM lake.main.issues ORDER BY big DESC").fetchall()
        types = connection.execute(
            "SELECT column_name, column_type FROM (DESCRIBE lake.main.issues)"
        ).fetchall()

    assert dict(types) == staged.types
    assert stored == staged.rows
    assert staged.values("big") == [123456789012345678901234567890, -1]
