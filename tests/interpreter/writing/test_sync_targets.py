"""Syncs into databases and folders: rows that nothing tracks are not added twice; cursors do not end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.support.command import UnifyCommand
from unify.errors import ResponseLost

SYNC = "create sync s as append into out.orders select 1 as id, timestamp '2026-01-01' as at"


@pytest.fixture
def unify(shared_unify: UnifyCommand, tmp_path: Path) -> Iterator[UnifyCommand]:
    """A connection to a database and one to a folder, for an API that is not needed."""
    folder = tmp_path / "files"
    folder.mkdir()
    with duckdb.connect(str(tmp_path / "out.duckdb")) as database:
        database.execute('CREATE TABLE orders (id INTEGER, "at" TIMESTAMP)')
    shared_unify.write_connections(
        f"out: {{adapter: duckdb, writable: true, options: {{path: '{tmp_path}/out.duckdb'}}}}\n"
        f"files: {{adapter: files, writable: true, options: {{folder: '{folder}'}}, "
        "tables: {orders: 'orders/*.csv', one: one.csv}}\n"
    )
    yield shared_unify
    shared_unify("drop sync s")


def runs(unify: UnifyCommand) -> list[list[str]]:
    return unify(
        "select status, written from unify.sync_runs where sync = 's' order by started_at desc"
    ).rows[1:]


@pytest.mark.parametrize(("table", "files"), [("orders", 2), ("one", 1)])
def test_a_sync_appends_to_a_table_of_files(
    unify: UnifyCommand, tmp_path: Path, table: str, files: int
) -> None:
    created = unify(f"create sync s as append into files.{table} select 1 as id", args=("--yes",))
    first, second = unify("run sync s"), unify("run sync s")

    assert created.exit_status == first.exit_status == second.exit_status == 0, (created, first, second)
    assert runs(unify)[:2] == [["success", "1"]] * 2
    assert len(list((tmp_path / "files").rglob("*.csv"))) == files
    assert unify(f"select count(*) from files.{table}").rows[1] == ["2"]


def test_a_sync_replaces_a_table_of_files(unify: UnifyCommand) -> None:
    unify("create sync s as replace into files.orders select 1 as id", args=("--yes",))

    unify("run sync s", "run sync s")

    assert unify("select count(*) from files.orders").rows[1] == ["1"]


@pytest.mark.parametrize("words", ["mirror into files.orders by id", "upsert into files.orders by id"])
def test_what_files_cannot_do_is_refused_when_the_sync_is_created(unify: UnifyCommand, words: str) -> None:
    result = unify(f"create sync s as {words} select 1 as id", args=("--yes",))

    assert "is a table of files, whose rows have no key" in result.stderr, result
    assert len(unify("show syncs").rows) <= 1


def test_explain_names_the_file(unify: UnifyCommand) -> None:
    result = unify("explain export (select 1 as id) to files.one append")

    assert "append rows: files.one: one.csv" in result.rows[1][1], result


def test_after_a_commit_whose_outcome_is_unknown_a_sync_adds_nothing_until_it_is_created_again(
    unify: UnifyCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unify.adapters.database.duckdb_writer import DuckDBFileWriter

    unify(SYNC, args=("--yes",))
    write = DuckDBFileWriter.write

    def write_and_lose(self: DuckDBFileWriter, *arguments: object) -> object:
        write(self, *arguments)  # type: ignore[arg-type]
        raise ResponseLost("out: whether they are there is not known")

    with monkeypatch.context() as patched:
        patched.setattr(DuckDBFileWriter, "write", write_and_lose)
        lost = unify("run sync s")
    refused = unify("run sync s")
    again = unify(SYNC, args=("--yes",))
    resumed = unify("run sync s")

    assert lost.exit_status == 1
    assert "nothing tells whether its last run has added rows to out.orders" in refused.stderr, refused
    assert "sync s replaced" in again.stderr
    assert "1 written" in resumed.stderr, resumed
    assert unify("select count(*) from out.orders").rows[1] == ["2"]


@pytest.mark.parametrize("value", ["'nan'::double", "'infinity'::timestamp"])
def test_a_cursor_after_which_nothing_is_newer_ends_the_run(unify: UnifyCommand, value: str) -> None:
    sql = f"create sync s as append into out.orders cursor at select 1 as id, {value} as at"

    result = unify(sql, args=("--yes",))

    assert "no row is newer; exclude such rows" in result.stderr, result
