"""Columns of a load follow those that are stored: types widen, order stays."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.staging import TIMESTAMPTZ, stage
from unify.convert.stage import ColumnWidening
from unify.engine.widening import UNTYPED, final_type
from unify.model import Column


@pytest.mark.parametrize(
    ("stored", "value", "type_", "kept"),
    [
        ("BIGINT", b"5", "BIGINT", 5),
        ("BIGINT", b"null", "BIGINT", None),
        ("BIGINT", b'"x"', "VARCHAR", "x"),
        ("BIGINT", b"1.5", "DOUBLE", 1.5),  # exact or not: the publisher compares the stored values
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
        ("BIGINT[]", b"[1.5]", "DOUBLE[]", [1.5]),
        ("DOUBLE[]", b"[9007199254740993]", "VARCHAR[]", ["9007199254740993"]),
        ("STRUCT(a BIGINT)[]", b"[{}]", "STRUCT(a BIGINT)[]", [{"a": None}]),
        ("STRUCT(a BIGINT)[]", b'[{"A":1}]', "JSON[]", ['{"A":1}']),
        ("BIGINT[]", b"[{}]", "JSON[]", ["{}"]),
        (f"{UNTYPED}[]", b"[1]", "BIGINT[]", [1]),
        (f"{UNTYPED}[]", b"[[]]", "VARCHAR[][]", [[]]),
        (f"{UNTYPED}[]", b'[{"a":1}]', "STRUCT(a BIGINT)[]", [{"a": 1}]),
        (f"STRUCT(a {UNTYPED}, b {UNTYPED}[])[]", b'[{"a":1.5,"b":[true]}]',
         "STRUCT(a DOUBLE, b BOOLEAN[])[]", [{"a": 1.5, "b": [True]}]),
        (f"STRUCT(a {UNTYPED})[]", b"[]", "STRUCT(a VARCHAR)[]", []),
    ],
)  # fmt: skip
def test_a_stored_type_is_kept_or_widened_without_loss(
    tmp_path: Path, stored: str, value: bytes, type_: str, kept: object
) -> None:
    staged = stage(
        tmp_path, b'{"v":%s}' % value, b'{"v":null}', known=[Column("v", stored)], page=1, chunk_bytes=1
    )

    assert staged.types == {"v": type_}
    assert [str(v) if type_ == "UUID" and v else v for v in staged.values("v")] == [kept, None]
    before = final_type(stored)
    changed = (ColumnWidening("v", before, type_),) if before not in (type_, "") else ()
    assert staged.sealed.widenings == changed


def test_stored_columns_keep_their_position_and_new_ones_follow(tmp_path: Path) -> None:
    known = [Column("gone", "DATE"), Column("ID", "BIGINT"), Column("user", "VARCHAR")]

    staged = stage(tmp_path, {"new": 1, "id": 2, "user": {"login": "ada"}}, known=known)

    assert staged.types == {
        "gone": "DATE", "ID": "BIGINT", "user": "VARCHAR", "new": "BIGINT", "user_login": "VARCHAR",
    }  # fmt: skip
    assert staged.rows == [(None, 2, None, 1, "ada")]


def test_columns_without_a_value_are_named(tmp_path: Path) -> None:
    staged = stage(tmp_path, {"a": None, "b": [], "c": 1}, known=[Column("d", "DATE")])

    assert staged.sealed.untyped_columns == ("a",)
