"""Commands about the files of a connection: show files, copy, remove, url, import and export."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import UnifyCommand
from tests.support.file_source import write_files


@pytest.fixture
def store(unify: UnifyCommand, tmp_path: Path) -> Path:
    """The folder of the connection ``box``, which may be written; ``shut`` may not."""
    folder = tmp_path / "box"
    write_files(folder, {"o/a.csv": "id,zip\n1,01\n", "o/b.csv": "id,zip\n2,02\n", "R 1.csv": "x\n7\n"})
    unify.write_connections(
        f"box: {{adapter: files, options: {{folder: {folder}}}, writable: true}}\n"
        f"shut: {{adapter: files, options: {{folder: {folder}}}}}\n"
        f"bag: {{adapter: files, options: {{folder: {tmp_path / 'bag'}}}, writable: true}}\n"
    )
    (tmp_path / "bag").mkdir()
    return folder


def ok(unify: UnifyCommand, statement: str, *args: str) -> str:
    result = unify(statement, args=("--format", "csv", *args))
    assert result.exit_status == 0, result.stderr
    return result.stdout + result.stderr


def failure(unify: UnifyCommand, statement: str, *args: str) -> str:
    result = unify(statement, args=args)
    assert result.exit_status != 0
    assert "Traceback" not in result.stderr
    return result.stderr


def test_files_are_listed(unify: UnifyCommand, store: Path) -> None:
    lines = ok(unify, "show files from box").splitlines()
    assert lines[0] == "path,size,modified"
    assert [line.split(",")[:2] for line in lines[1:]] == [
        ["R 1.csv", "4"],
        ["o/a.csv", "12"],
        ["o/b.csv", "12"],
    ]
    assert len(ok(unify, "show files from BOX like 'o/%B%'").splitlines()) == 2
    assert len(ok(unify, "show files from box like 'nothing%'").splitlines()) == 1


def test_files_of_a_connection_are_imported(unify: UnifyCommand, store: Path) -> None:
    assert "2 rows imported into o" in ok(unify, "import box.'o/*.csv'")
    assert ok(unify, "select zip from o order by id") == "zip\n01\n02\n"
    assert "1 row imported into t.r" in ok(unify, "import box.'R 1.csv' into t.r")
    assert "box.'R 1.csv'" in ok(unify, "show files")
    assert "no file matches p/*.csv; it has" in failure(unify, "import box.'p/*.csv'")
    assert "nobox" in failure(unify, "import nobox.'p'")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet", "xlsx"])
def test_rows_are_exported_and_appended_in_every_format(
    unify: UnifyCommand, store: Path, suffix: str
) -> None:
    place = f"box.'new/e.{suffix}'"
    assert "2 rows written to" in ok(unify, f"export (select * from range(2) t(i)) to {place}")
    assert "exists already; end with overwrite or append" in failure(
        unify, f"export (select 1 as i) to {place}"
    )
    assert "1 row appended to" in ok(unify, f"export (select 7 as i) to {place} append")
    ok(unify, f"import {place} into e")
    assert ok(unify, "select sum(i) from e").splitlines()[-1] == "8"
    assert "1 row written to" in ok(unify, f"export (select 5 as i) to {place} overwrite")
    assert [path.name for path in (store / "new").iterdir()] == [f"e.{suffix}"]


def test_a_failed_export_leaves_the_file(unify: UnifyCommand, store: Path) -> None:
    before = (store / "R 1.csv").read_bytes()
    failure(unify, "export (select error('no') as i) to box.'R 1.csv' overwrite")
    assert (store / "R 1.csv").read_bytes() == before
    assert "unknown suffix" in failure(unify, "export (select 1) to box.'x.tx'")
    assert "can be read, not written" in failure(unify, "export (select 1) to box.'x.avro'")
    assert sorted(path.name for path in store.iterdir()) == ["R 1.csv", "o"]


def test_files_are_copied_within_and_between_connections_and_this_machine(
    unify: UnifyCommand, store: Path, tmp_path: Path
) -> None:
    assert "1 file copied" in ok(unify, "copy box.'R 1.csv' to box.'c/r.csv'")
    assert (store / "c" / "r.csv").read_text() == "x\n7\n"
    assert "2 files copied" in ok(unify, "copy box.'o/*.csv' to bag.'in/'")
    assert (tmp_path / "bag" / "in" / "b.csv").read_text() == "id,zip\n2,02\n"
    assert "1 file copied" in ok(unify, f"copy shut.'R 1.csv' to '{tmp_path}/out.csv'")
    assert (tmp_path / "out.csv").read_text() == "x\n7\n"
    assert "1 file copied" in ok(unify, f"copy '{tmp_path}/out.csv' to bag.'up.csv'")
    assert (tmp_path / "bag" / "up.csv").read_text() == "x\n7\n"
    for folder in ("p", "q"):
        (tmp_path / "tree" / folder).mkdir(parents=True)
        (tmp_path / "tree" / folder / "same.csv").write_text(f"{folder}\n")
    assert "2 files copied" in ok(unify, f"copy '{tmp_path}/tree/*/same.csv' to bag.'tree/' overwrite")
    assert (tmp_path / "bag" / "tree" / "p" / "same.csv").read_text() == "p\n"
    assert "exists already" in failure(unify, "copy box.'o/a.csv' to bag.'up.csv'")
    assert "exists already" in failure(unify, f"copy box.'o/a.csv' to '{tmp_path}/out.csv'")
    ok(unify, "copy box.'o/a.csv' to bag.'up.csv' overwrite")
    assert (tmp_path / "bag" / "up.csv").read_text().startswith("id")
    assert "several files; end the target with /" in failure(unify, "copy box.'o/*.csv' to bag.'x'")
    assert "a connection on one side" in failure(unify, "copy 'a' to 'b'")


def test_removing_asks_or_needs_yes(unify: UnifyCommand, store: Path) -> None:
    assert "Remove 1 file (4 bytes)" in failure(unify, "remove box.'R 1.csv'")
    assert (store / "R 1.csv").exists()
    assert "1 file (4 bytes) removed" in ok(unify, "remove box.'R 1.csv'", "--yes")
    assert not (store / "R 1.csv").exists()
    assert "is a folder with 2 files (24 bytes); end with recursive" in failure(
        unify, "remove box.'o'", "--yes"
    )
    assert "2 files" in ok(unify, "remove box.'o/' recursive", "--yes")
    assert "no such file" in failure(unify, "remove box.'o/' recursive", "--yes")


@pytest.mark.parametrize(
    "statement",
    [
        "remove shut.'R 1.csv'",
        "copy box.'R 1.csv' to shut.'x.csv'",
        "copy 'x.csv' to shut.'x.csv'",
        "export (select 1) to shut.'x.csv'",
    ],
)
def test_what_changes_files_needs_a_writable_connection(
    unify: UnifyCommand, store: Path, statement: str
) -> None:
    assert "shut is read-only; writable: true allows" in failure(unify, statement, "--yes")


@pytest.mark.parametrize("path", ["../x.csv", "/etc/passwd", "s3://other/x.csv", "o/../../x.csv"])
def test_a_path_cannot_leave_the_connection(unify: UnifyCommand, store: Path, path: str) -> None:
    for statement in (
        f"import box.'{path}'",
        f"export (select 1) to box.'{path}' overwrite",
        f"copy box.'{path}' to bag.'x'",
        f"copy box.'R 1.csv' to bag.'{path}'",
        f"remove box.'{path}' recursive",
        f"url box.'{path}'",
    ):
        assert "a connection reads nothing else" in failure(unify, statement, "--yes")


def test_a_folder_has_no_signed_addresses(unify: UnifyCommand, store: Path) -> None:
    assert "has no signed addresses" in failure(unify, "url box.'R 1.csv'")
    assert "no such file" in failure(unify, "url box.'none'")
    assert "1 second to 7 days" in failure(unify, "url box.'R 1.csv' for 9 days")
