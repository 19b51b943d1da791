"""``import`` from standard input and named pipes: each row once."""

from __future__ import annotations

import io
import os
import subprocess
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import openpyxl
import pytest

from tests.support.command import UnifyCommand

ROWS = 50_000


def csv_bytes() -> bytes:
    return b"n,day\n" + b"".join(b"%d,2024-01-01\n" % n for n in range(ROWS))


def parquet_bytes(folder: Path) -> bytes:
    path = folder / "rows.parquet"
    duckdb.execute(f"copy (select n, date '2024-01-01' as day from range({ROWS}) t(n)) to '{path}'")
    return path.read_bytes()


def excel_bytes(folder: Path) -> bytes:
    workbook = openpyxl.Workbook(write_only=True)
    sheet = workbook.create_sheet()
    sheet.append(["n"])
    for n in range(100):
        sheet.append([n])
    workbook.save(folder / "rows.xlsx")
    return (folder / "rows.xlsx").read_bytes()


CONTENTS: dict[str, Callable[[Path], bytes]] = {
    "csv": lambda _: csv_bytes(),
    "csv with a byte order mark": lambda _: b"\xef\xbb\xbf" + csv_bytes(),
    "tsv": lambda _: csv_bytes().replace(b",", b"\t"),
    "json": lambda _: b" [" + b",".join(b'{"n": %d}' % n for n in range(ROWS)) + b"]",
    "json lines": lambda _: b"".join(b'{"n": %d}\n' % n for n in range(ROWS)),
    "parquet": parquet_bytes,
    "excel": excel_bytes,
}


def run(unify: UnifyCommand, statement: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*unify.command, "-c", statement],
        input=data,
        capture_output=True,
        env=unify.environment,
        cwd=unify.home,
        timeout=90,
        check=False,
    )


@pytest.mark.parametrize("content", CONTENTS)
def test_standard_input_is_imported_once(unify_process: UnifyCommand, tmp_path: Path, content: str) -> None:
    rows = 100 if content == "excel" else ROWS
    data = CONTENTS[content](tmp_path)

    done = run(unify_process, "import '/dev/stdin' into t; select count(*), min(n), max(n) from t", data)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].decode() == f"{rows},0,{rows - 1}"


def test_a_named_pipe_is_imported_once(unify: UnifyCommand) -> None:
    pipe = unify.home / "orders.csv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[csv_bytes()])
    writer.start()

    found = unify(f"import '{pipe}'", "select count(*), max(n) from orders")
    writer.join()

    assert found.stdout.splitlines()[1] == f"{ROWS},{ROWS - 1}", found.stderr


def test_standard_input_without_data_is_an_error(unify_process: UnifyCommand) -> None:
    done = run(unify_process, "import '/dev/stdin' into t", b"")

    assert done.returncode == 1
    assert b"/dev/stdin: no data" in done.stderr


def test_a_device_is_no_file(unify: UnifyCommand) -> None:
    found = unify("import '/dev/zero' into t")

    assert found.exit_status == 1
    assert "/dev/zero: is a device, not a file or a pipe" in found.stderr


def test_nothing_remains_of_the_copy(unify_process: UnifyCommand) -> None:
    run(unify_process, "import '/dev/stdin' into t", csv_bytes())
    cut = io.BytesIO()
    with zipfile.ZipFile(cut, "w") as archive:
        archive.writestr("no workbook", "x")

    assert run(unify_process, "import '/dev/stdin' into u", cut.getvalue()).returncode == 1
    assert not list((unify_process.home / "cache").glob("import-*"))
