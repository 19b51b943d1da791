"""Rows are staged as Parquet without losing a value."""

from __future__ import annotations

import itertools
import json
import threading
from pathlib import Path

import msgspec
import pytest

from tests.support.staging import Staged, read, stage
from unify.adapters.spec.table_keys import ColumnDef
from unify.convert.selection import ColumnRules
from unify.convert.stage import RowStage
from unify.engine.connection import connect
from unify.errors import BadResponse
from unify.model import Column

# Objects become columns


def test_pretty_printed_rows_are_read(tmp_path: Path) -> None:
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
def test_an_invalid_row_fails_the_load_with_the_reason(tmp_path: Path, row: bytes, reason: str) -> None:
    with pytest.raises(BadResponse, match=reason):
        stage(tmp_path, {"a": "good"}, row)


# Order of columns, pages and sizes


def test_columns_have_the_order_of_the_longest_row(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": 1, "name": "x"},
        {"id": 2, "name": "long enough", "created": "2024-01-01"},
        {"id": 3, "extra": 1},
    ]

    for number, order in enumerate(itertools.permutations(rows)):
        staged = stage(tmp_path / str(number), *order, page=1, chunk_bytes=1)
        assert list(staged.types) == ["id", "name", "created", "extra"]
        assert staged.values("id") == [row["id"] for row in order]


def test_files_have_one_schema_and_the_order_of_the_rows(tmp_path: Path) -> None:
    rows = [{"id": n, **({"late": "x"} if n > 20 else {})} for n in range(30)]

    staged = stage(tmp_path, *rows, page=3, chunk_bytes=60)

    assert len(staged.sealed.files) > 3
    assert staged.values("id") == list(range(30))
    assert all(len(read(path)[0]) == 2 for path in staged.sealed.files)


def test_pages_can_be_written_in_parallel(tmp_path: Path) -> None:
    with RowStage(tmp_path, ColumnRules(), chunk_bytes=500, chunk_rows=1) as rowstage:

        def write(part: int) -> None:
            for number in range(50):
                rowstage.write([b'{"part":%d,"n":%d,"k%d":1}' % (part, number, part)])

        threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        staged = Staged(rowstage.finish())

    assert sorted(zip(staged.values("part"), staged.values("n"), strict=True)) == [
        (part, number) for part in range(4) for number in range(50)
    ]
    assert set(staged.types) == {"part", "n", "k0", "k1", "k2", "k3"}


def test_rows_can_be_slices_of_a_body(tmp_path: Path) -> None:
    body = b'[{"id": 1, "user": {"name": "ada"}}, {"id": 2, "user": null}]'
    rows = msgspec.json.decode(body, type=list[msgspec.Raw])

    with RowStage(tmp_path, ColumnRules()) as rowstage:
        rowstage.write(rows)
        staged = Staged(rowstage.finish())

    assert staged.rows == [(1, "ada"), (2, None)]


def test_a_load_without_rows_has_a_file_with_its_columns(tmp_path: Path) -> None:
    staged = stage(
        tmp_path, known=[Column("id", "BIGINT")], shape=ColumnRules(columns=(ColumnDef("at", "date"),))
    )

    assert (staged.types, staged.rows, len(staged.sealed.files)) == ({"id": "BIGINT", "at": "DATE"}, [], 1)


def test_a_load_without_columns_has_no_file(tmp_path: Path) -> None:
    assert stage(tmp_path).sealed.files == ()


def test_only_parquet_files_are_left(tmp_path: Path) -> None:
    stage(tmp_path, *({"id": n, "a": 1.5, "A": "x"} for n in range(20)))

    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet"}


# exclude, only


# Declared columns


# Cursors


def test_the_greatest_cursor_of_each_scope_is_stored_as_sent(tmp_path: Path) -> None:
    with RowStage(
        tmp_path, ColumnRules(cursor="at", exclude=("at",)), chunk_bytes=40, chunk_rows=1
    ) as rowstage:
        rowstage.write([b'{"at":"2024-01-01T00:30:00+01:00"}', b'{"at":"2024-01-01T00:00:00Z"}'], {}, "one")
        rowstage.write([b'{"at":"2023-12-31T22:00:00-05:00"}', b'{"at":null}', b'{"id":1}'], {}, "one")
        rowstage.write([b'{"at":"2020-01-01T00:00:00.000+0000"}'], {}, "two")
        rowstage.write([b'{"id":1}'], {}, "three")
        sealed = rowstage.finish()

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
def test_cursors_are_compared_by_the_type_of_their_column(
    tmp_path: Path, values: list[object], greatest: str
) -> None:
    rows = [{"o": {"v": value}} for value in values]

    assert stage(tmp_path, *rows, shape=ColumnRules(cursor="o_v"), page=1).sealed.cursors == {"": greatest}


@pytest.mark.parametrize(
    ("rows", "cursorless"),
    [
        ([{"at": "2026-01-01"}, {"at": None}, {}], 2),
        ([{"at": "2026-01-01"}, {"at": "soon"}, {"at": ""}], 2),
        ([{"at": "b"}, {"at": "a"}], 0),  # strings, if the source counts in strings
        ([{"at": 7}, {"at": 8}], 0),
        ([{"id": 1}, {"id": 2}], 2),
    ],
)
def test_rows_without_a_usable_cursor_are_kept_and_counted(
    tmp_path: Path, rows: list[dict[str, object]], cursorless: int
) -> None:
    staged = stage(tmp_path, *rows, shape=ColumnRules(cursor="at"), page=1)
    assert (staged.sealed.rows, staged.sealed.rows_without_cursor) == (len(rows), cursorless)


# A second load


# The lake


def test_the_lake_stores_the_same_values(tmp_path: Path) -> None:
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


# Notes


def test_an_object_of_many_similar_objects_is_noted(tmp_path: Path) -> None:
    row = {"ok": True, "Series": {f"2026-01-{day:02}": {"open": day, "close": day} for day in range(1, 31)}}

    [note] = stage(tmp_path / "one", row).sealed.notes

    assert note == (
        "the only row has 30 objects of the same members at Series; if they are the rows, give rows: Series.*"
    )
    assert stage(tmp_path / "two", row, row).sealed.notes == ()


def test_very_many_columns_are_noted_with_a_remedy(tmp_path: Path) -> None:
    row = {"id": 1, "custom": {f"f{number}": number for number in range(1200)}}

    [note] = stage(tmp_path, row, {"id": 2}).sealed.notes

    assert note == (
        "1201 columns; 1200 are members of custom: columns: {custom: json}, or flatten: 0, keeps them in one"
    )
