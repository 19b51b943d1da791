"""Declared types: values are cast exactly, and values that do not fit are discarded."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.staging import Staged, read, stage
from unify.adapters.spec.table_keys import ColumnDef
from unify.convert.selection import ColumnRules
from unify.convert.stage import RowStage
from unify.errors import ConfigError
from unify.model import Column


def declared(*columns: ColumnDef) -> ColumnRules:
    return ColumnRules(columns=columns)


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


def test_only_numbers_of_the_declared_member_are_read_as_text(tmp_path: Path) -> None:
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
        ("bigint", None, [b"1", b'"2"', b"3.0", b"1e3"], [b"1.5", b"9223372036854775808"]),
        ("double", None, [b"1", b"0.1", b'"1e3"'], [b"9007199254740993", b"1e400", b'"x"']),
        ("date", None, [b'"2024-02-29"', b'"2024-02-29T00:00:00Z"'],
         [b'"2024-02-30"', b'"2024-02-29T08:00:00Z"']),
        ("timestamp", None, [b'"2024-02-29T08:00:00+02:00"'],
         [b'"soon"', b'"2024-02-29T08:00:00.123456789Z"', b"5"]),
        ("timestamp", "unix", [b"1700000000", b'"1700000000.5"'], [b'"x"', b"1700000000.1234567"]),
        ("timestamptz", "unix_ms", [b"1700000000123"], [b"99999999999999999999999"]),
        ("date", "%d/%m/%Y", [b'"31/12/2024"'], [b'"12/31/2024"']),
        ("decimal(10,2)", "1,234.5", [b'"1,234.50"', b'"-7"', b'"1234.5"', b'" 12,34,567.8 "', b"12.5"],
         [b'"1.234,50"', b'"1,23"', b'"12,345.678"', b'"$5"', b'"1,234,5"']),
        ("double", "1.234,5", [b'"1.234,5"', b'"+0,25"', b'"1.234.567"', b"12"], [b'"1,234.5"', b'"1.23"']),
        ("double", "1.234,5", [b'"1"'], [b'"0.125"', b'"012.345"']),
        ("double", "1.234,5", [b"12.5", b"0.125", b"1.234e3", b'"1.234,5"', b"12"], [b"12.345", b'"12.345"']),
        ("bigint", "1 234,5", [b'"1 234"', b'"1\\u00a0234\\u202f567"', b'"5,0"'], [b'"5,5"', b'"1.234"']),
        (None, "1'234.5", [b'"1\'234.5"', '"1’234"'.encode()], [b'"1,234"', b'"x"']),
        ("decimal(5,1)", "1234,5", [b'"1234,5"', b'"3"'], [b'"1.234,5"', b'"1234.5"']),
        ("boolean", None, [b"true", b'"false"'], [b"5", b'"maybe"']),
        ("bigint[]", None, [b'[1,"2",null,""]', b"[]", b"5", b'"6"'], [b'["x"]', b'"x"', b"5.5"]),
        ("struct(x bigint)[]", None, [b'{"x":1}', b'[{"x":""}]'], [b'"x"', b"[1]"]),
        ("timestamptz", "unix_us", [b"1700000000123456"], [b"1700000000123456.5", b"17000000001234567"]),
        ("timestamptz", "unix_ns", [b"1700000000123456000"], [b"1700000000123456789"]),
        (None, "unix_ns", [b"1700000000123456789"], [b'"x"']),
        ("timestamptz", "unix", [b"7258118399"], [b"7258118400", b"1700000000123"]),
        (None, "ms_date", [b'"/Date(1700000000123)/"', b'"/Date(1700000000123+0100)/"'], [b'"2024"']),
        ("struct(x bigint)", None, [b'{"x":1}', b'{"x":null}'], [b'{"x":"z"}', b'"s"']),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_its_declared_type_is_recorded_with_its_row(
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


def test_a_declared_column_is_read_from_its_source(tmp_path: Path) -> None:
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


def test_a_declared_object_is_one_column(tmp_path: Path) -> None:
    staged = stage(tmp_path, {"meta": {"a": 1, "b": [2]}}, shape=declared(ColumnDef("meta", "json")))

    assert staged.rows == [('{"a":1,"b":[2]}',)]


def test_a_declared_source_is_found_in_objects_mixed_with_strings(tmp_path: Path) -> None:
    rows = [b'{"m":{"x":1.10}}', b'{"m":"s"}', b'{"m":{"x":"q"}}']

    staged = stage(tmp_path, *rows, shape=declared(ColumnDef("x", source="m.x")), page=1, chunk_bytes=1)

    assert staged.values("x") == ["1.10", None, "q"]
    assert staged.types["m"] == "JSON"


def test_a_column_from_a_variable_keeps_its_name(tmp_path: Path) -> None:
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
        staged = Staged(rowstage.finish())

    assert len(staged.sealed.files) == 1
    assert staged.rows[84:86] == [("r42", 42), ("r42", None)]


def test_an_unknown_declared_type_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="column a: nonsense is not a DuckDB type"):
        stage(tmp_path, {"a": 1}, shape=declared(ColumnDef("a", "nonsense")))


@pytest.mark.parametrize(
    ("type_", "format_"),
    [
        ("bigint", None),
        ("decimal(10,2)", "1,234.5"),
        ("date", "%d/%m/%Y"),
        ("timestamptz", "unix"),
        ("uuid", None),
        ("boolean", None),
        ("bigint[]", None),
        ("struct(x bigint)", None),
    ],
)
def test_an_empty_string_in_a_declared_column_of_another_type_is_null(
    tmp_path: Path, type_: str, format_: str | None
) -> None:
    shape = declared(ColumnDef("v", type_, format=format_))

    staged = stage(tmp_path, {"n": 1, "v": ""}, {"n": 2, "v": None}, shape=shape)

    assert (staged.values("v"), staged.sealed.discarded) == ([None, None], 0)


def test_an_empty_string_is_kept_in_text_columns(tmp_path: Path) -> None:
    assert stage(tmp_path, {"v": "", "w": ""}, shape=declared(ColumnDef("v", "varchar"))).rows == [("", "")]


def test_a_single_value_of_a_declared_list_becomes_a_list(tmp_path: Path) -> None:
    columns = (ColumnDef("v", "varchar[]"), ColumnDef("o", "struct(x bigint)[]"))
    shape = ColumnRules(columns=columns)

    staged = stage(tmp_path, {"v": "a", "o": {"x": 1}}, {"v": ["a", "b"], "o": [{"x": "2"}]}, shape=shape)

    assert staged.rows == [(["a"], [{"x": 1}]), (["a", "b"], [{"x": 2}])]
