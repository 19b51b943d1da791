"""One damaged data file: the error names table, file and remedy, and a reload replaces it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.support.publishing import KEYED, load, publish_load, stored_pulls
from tests.support.stores import PULLS, fetch_rows, make_job, stage_rows
from unify.errors import StoreError
from unify.lake.lake import Lake
from unify.model import Action

ROWS: list[tuple[object, ...]] = [(number, f"title {number}") for number in range(5000)]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


def overwrite_footer(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-300] + b"\xff" * 292 + content[-8:])


def overwrite_rows(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[: middle - 200] + b"\xff" * 400 + content[middle + 200 :])


def remove(path: Path) -> None:
    path.unlink()


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = [empty, cut, overwrite, overwrite_footer, overwrite_rows, remove, replace_by_folder]
damages = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


def data_file(lake: Lake, schema: str, table: str) -> Path:
    [path] = (lake.settings.data_path / schema / table).glob("*.parquet")
    return path


@damages
def test_the_error_of_a_loaded_table_advises_to_reload_it_and_a_reload_heals(
    lake: Lake, damage: Callable[[Path], None]
) -> None:
    load(lake, KEYED, ROWS, key=("id",))
    lake.execute("create table other as select 1 as i")
    path = data_file(lake, "github", "pulls")
    damage(path)

    for statement in ("select max(id), max(title) from github.pulls", "select * from github.pulls"):
        with pytest.raises(StoreError) as failed:
            fetch_rows(lake, statement)
        assert f"github.pulls: its data file {path}" in failed.value.message
        assert "reload table github.pulls" in failed.value.message
        assert "move" not in failed.value.message
    assert fetch_rows(lake, "select * from other") == [(1,)]

    job = make_job(PULLS, Action.RELOAD)
    record = publish_load(lake, job, stage_rows(lake.settings, job, KEYED, ROWS[:600], key=("id",)))
    assert record is not None
    assert (record.rows_total, record.reason) == (600, "")
    assert stored_pulls(lake) == ROWS[:600]


@pytest.mark.parametrize(
    "message",
    ["don't know what type: \x0f", "TProtocolException: Invalid data", "invalid TType", "Out of buffer"],
)
def test_an_error_of_duckdb_that_names_no_file_is_that_of_the_damaged_one(lake: Lake, message: str) -> None:
    load(lake, KEYED, ROWS, key=("id",))
    path = data_file(lake, "github", "pulls")
    overwrite(path)
    explained = lake.explain_damaged_file(duckdb.Error(message))
    assert explained is not None
    assert f"github.pulls: its data file {path} cannot be read ({message.strip()})" in explained.message


@damages
def test_the_error_of_a_table_of_the_user_advises_to_restore_or_drop_it(
    lake: Lake, damage: Callable[[Path], None]
) -> None:
    lake.execute("create table words as select i, 'word ' || i as word from range(5000) r(i)")
    path = data_file(lake, "main", "words")
    damage(path)
    with pytest.raises(StoreError, match=r"drop table main\.words") as failed:
        fetch_rows(lake, "select max(word), max(i) from words")
    assert str(path) in failed.value.message
    lake.execute("drop table words")


def test_a_file_of_the_user_that_is_damaged_is_not_the_lakes(lake: Lake, tmp_path: Path) -> None:
    lake.execute("create table words as select 1 as i")
    (tmp_path / "mine.parquet").write_bytes(b"rows")
    with pytest.raises(Exception, match=r"mine\.parquet") as failed:
        fetch_rows(lake, f"select * from '{tmp_path}/mine.parquet'")
    assert "data file" not in str(failed.value)
