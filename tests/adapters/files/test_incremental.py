"""``incremental: files``: which files a load reads, and which rows it replaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.file_source import FileSource, open_source, write_files
from unify.adapters.files.store import FileChanged
from unify.adapters.relation import SourceLoad, SourceLoadRequest
from unify.config.connection_tables import TableSettings, TableStrategy
from unify.model import Action, Column

STORED = (Column("n", "BIGINT"), Column("_file", "VARCHAR"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path, {"o/a.csv": "n\n1\n", "o/b.csv": "n\n2\n"})
    return tmp_path


def open_table(folder: Path, strategy: TableStrategy | None = None, *, by_files: bool = True) -> FileSource:
    settings = TableSettings(files="o/*.csv", by_files=by_files, strategy=strategy)
    return open_source("files", {"folder": str(folder)}, {"o": settings})


@pytest.fixture
def source(folder: Path) -> Iterator[FileSource]:
    opened = open_table(folder)
    yield opened
    opened.close()


def plan(
    source: FileSource, cursors: Mapping[str, str], action: Action = Action.REFRESH
) -> tuple[SourceLoad, list[tuple[object, ...]]]:
    """Return a load and the rows that it stages."""
    table = source.adapter.find_table(source.duck, "o")
    assert table is not None
    settings = source.adapter.settings_of("o")
    request = SourceLoadRequest(
        action=action,
        settings=settings,
        now=datetime.now(UTC),
        cursors=cursors,
        stored_columns=STORED if cursors else (),
    )
    with source.adapter.plan_load(source.duck, table, request) as load:
        rows = [row for part in load.parts for row in source.duck.execute(part.sql).fetchall()]
    return load, sorted(rows)


def test_the_first_load_reads_all_files_and_keeps_their_versions(source: FileSource) -> None:
    load, rows = plan(source, {}, Action.LOAD)
    assert rows == [(1, "o/a.csv"), (2, "o/b.csv")]
    assert (load.strategy, load.removed, set(load.cursors)) == ("reload", (), {"o/a.csv", "o/b.csv"})


def test_a_refresh_reads_new_and_changed_files_and_replaces_their_rows(
    source: FileSource, folder: Path
) -> None:
    first, _ = plan(source, {}, Action.LOAD)
    write_files(folder, {"o/b.csv": "n\n20\n21\n", "o/c.csv": "n\n3\n"})
    load, rows = plan(source, first.cursors)
    assert rows == [(3, "o/c.csv"), (20, "o/b.csv"), (21, "o/b.csv")]
    assert load.strategy == "append"
    assert load.removed == ({"_file": "o/b.csv"},)
    assert load.notes == ("2 files of 3 new or changed",)
    assert plan(source, load.cursors)[1] == []
    assert plan(source, load.cursors, Action.RELOAD)[0].strategy == "reload"


def test_a_refresh_takes_note_of_empty_files(source: FileSource, folder: Path) -> None:
    first, _ = plan(source, {}, Action.LOAD)
    write_files(folder, {"o/a.csv": "", "o/c.csv": ""})

    load, rows = plan(source, first.cursors)

    assert rows == []
    assert (load.parts, load.removed) == ((), ({"_file": "o/a.csv"},))
    assert plan(source, load.cursors)[0].notes == ("0 files of 3 new or changed",)


def test_rows_of_files_that_are_gone_are_kept(source: FileSource, folder: Path) -> None:
    first, _ = plan(source, {}, Action.LOAD)
    (folder / "o" / "a.csv").unlink()
    load, rows = plan(source, first.cursors)
    assert (rows, load.removed, load.cursors) == ([], (), first.cursors)
    assert load.notes == ("0 files of 1 new or changed", "1 file gone: rows kept")


def test_merge_delete_removes_rows_of_files_that_are_gone(folder: Path) -> None:
    source = open_table(folder, "merge_delete")
    first, _ = plan(source, {}, Action.LOAD)
    (folder / "o" / "a.csv").unlink()
    load, _ = plan(source, first.cursors)
    assert load.removed == ({"_file": "o/a.csv"},)
    assert set(load.cursors) == {"o/b.csv"}
    source.close()


def test_without_incremental_each_load_reads_all(folder: Path) -> None:
    source = open_table(folder, by_files=False)
    load, rows = plan(source, {"": "x"})
    assert (load.strategy, load.cursors, len(rows)) == ("reload", {}, 2)
    source.close()


def test_a_file_that_changes_during_a_load_fails_it(source: FileSource, folder: Path) -> None:
    table = source.adapter.find_table(source.duck, "o")
    assert table is not None
    request = SourceLoadRequest(Action.LOAD, source.adapter.settings_of("o"), datetime.now(UTC))
    with (
        pytest.raises(FileChanged, match=r"o/a\.csv changed while it was read"),
        source.adapter.plan_load(source.duck, table, request),
    ):
        write_files(folder, {"o/a.csv": "n\n5\n"})
    with (
        pytest.raises(FileChanged, match=r"o/a\.csv was removed while it was read"),
        source.adapter.plan_load(source.duck, table, request),
    ):
        (folder / "o" / "a.csv").unlink()
