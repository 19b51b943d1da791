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


READ = "read_csv('/dev/stdin', header = false, columns = {'n': 'bigint'})"


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (f"create view v as from {READ}; select count(*) from v", "when it is created, too"),
        (f"create macro m() as table from {READ}; select count(*) from m()", "when it is created, too"),
        (f"prepare p as select count(*) from {READ}; execute p", "when it is created, too"),
        (f"summarize from {READ}", "summarize reads it twice"),
        (f"pivot (select n % 3 as k from {READ}) on k using count(*)", "pivot reads it twice"),
        (f"create table t as from {READ}; select count(*) from {READ}", "an earlier statement has read"),
        (f"describe from {READ}; create table t as from {READ}", "an earlier statement has read"),
        (f"import '/dev/stdin' into t; select count(*) from {READ}", "an earlier statement has read"),
        (f"create table t as from {READ}; import '/dev/stdin' into u", "an earlier statement has read"),
        (f"$x = select * from {READ}; export (from {READ}) to 'x.csv'", "an earlier statement has read"),
    ],
)
def test_a_second_read_of_a_pipe_is_an_error(
    unify_process: UnifyCommand, statements: str, message: str
) -> None:
    done = run(unify_process, statements, b"".join(b"%d\n" % n for n in range(ROWS)))

    assert done.returncode == 1, done.stdout
    assert message in done.stderr.decode()
    assert "create temp table t as" in done.stderr.decode()


def test_a_pipe_with_a_name_can_be_read_again(unify: UnifyCommand) -> None:
    pipe = unify.home / "numbers.csv"
    os.mkfifo(pipe)
    write = [threading.Thread(target=pipe.write_bytes, args=[csv_bytes()]) for _ in range(2)]
    count = f"select count(*), max(n) from read_csv('{pipe}')"

    found = []
    for writer in write:
        writer.start()
        found.append(unify(count).rows[1])
        writer.join()

    assert found == [[str(ROWS), str(ROWS - 1)]] * 2


@pytest.mark.parametrize(
    "statement",
    ["select count(*) as n from read_csv('rows')", "import 'rows' into t; select count(*) as n from t"],
)
def test_a_statement_that_waits_for_the_writer_of_a_pipe_says_so(unify: UnifyCommand, statement: str) -> None:
    os.mkfifo(unify.home / "rows")
    writer = threading.Thread(target=(unify.home / "rows").write_text, args=("n\n1\n2\n",))
    writer.start()
    outcome = unify(statement)
    writer.join()
    assert outcome.rows == [["n"], ["2"]]
    assert outcome.stderr.startswith("reading the pipe rows until its writer closes it")
