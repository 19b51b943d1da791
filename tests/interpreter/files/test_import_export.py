"""``import``, ``export`` and ``show files``: rows from files and into files, exact and whole."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest

from tests.support.command import UnifyCommand
from tests.support.database import open_cursor
from tests.support.fault_server import FaultServer, MockResponse
from unify.engine.files import excel
from unify.engine.files.formats import FileFormat, detect_format, suggest_table_name
from unify.errors import FileError
from unify.interpreter.files.writer import join_json_arrays, join_text_files, replace_file

ORDERS = 'id,name,zip\n1,"Ada, Countess",01234\n2,,99999\n'


@pytest.fixture
def orders(unify: UnifyCommand) -> Path:
    path = unify.home / "Orders 2026.csv"
    path.write_text(ORDERS, encoding="utf-8")
    return path


@pytest.fixture
def web() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def file(unify: UnifyCommand, name: str, text: str) -> Path:
    path = unify.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


class TestReplacedFiles:
    """A file that is replaced keeps its mode and owner, and a link stays a link."""

    @pytest.mark.parametrize("mode", ["overwrite", "append"])
    @pytest.mark.parametrize("name", ["out.csv", "out.json", "out.jsonl", "out.parquet", "out.xlsx"])
    def test_keep_mode_and_owner(self, unify: UnifyCommand, name: str, mode: str) -> None:
        if mode == "append" and name.endswith(("parquet", "xlsx")):
            pytest.skip("these formats cannot be appended to")
        path = unify.home / name
        assert unify(f"export (select 1 as i) to '{path}'").exit_status == 0
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, 65_534, 65_534)
        result = unify(f"export (select 2 as i) to '{path}' {mode}")
        assert result.exit_status == 0, result
        status = path.stat()
        assert stat.S_IMODE(status.st_mode) == 0o600
        if os.geteuid() == 0:
            assert (status.st_uid, status.st_gid) == (65_534, 65_534)

    def test_that_is_a_link_stays_one(self, unify: UnifyCommand) -> None:
        target, link = unify.home / "target.csv", unify.home / "link.csv"
        target.write_text("i\n1\n")
        target.chmod(0o640)
        link.symlink_to(target)
        assert unify(f"export (select 2 as i) to '{link}' overwrite").exit_status == 0
        assert link.is_symlink()
        assert target.read_text().split() == ["i", "2"]
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        assert unify("select 3 as i", args=["-o", str(link)]).exit_status == 0
        assert link.is_symlink()
        assert target.read_text().split() == ["i", "3"]
        assert stat.S_IMODE(target.stat().st_mode) == 0o640

    def test_of_a_new_name_has_the_mode_of_the_umask(self, unify: UnifyCommand) -> None:
        before = os.umask(0o027)
        try:
            unify(f"export (select 2 as i) to '{unify.home}/new.csv'")
            unify("select 2 as i", args=["-o", f"{unify.home}/new.json"])
        finally:
            os.umask(before)
        modes = [stat.S_IMODE((unify.home / name).stat().st_mode) for name in ("new.csv", "new.json")]
        assert modes == [0o640, 0o640]


class TestImport:
    @pytest.mark.parametrize("secret", ["?token=s3cret-canary", "?a=1&sig=s3cret-canary"])
    def test_stores_no_secret_of_an_address(self, unify: UnifyCommand, web: FaultServer, secret: str) -> None:
        web.serve("/people.csv", MockResponse(body=b"id\n1\n"))
        result = unify(f"import '{web.url}/people.csv{secret}' into people", "show files")
        assert result.exit_status == 0, result
        assert "/people.csv?" in result.stdout
        assert "***" in result.stdout
        assert "s3cret-canary" not in result.stdout + result.stderr
        comment = unify("select comment from duckdb_tables() where table_name = 'people'")
        assert "s3cret-canary" not in comment.stdout

    def test_creates_a_table_named_like_the_file(self, unify: UnifyCommand, orders: Path) -> None:
        answer = unify(f"import '{orders}'", "from orders_2026 order by id")
        assert answer.stdout == 'id,name,zip\n1,"Ada, Countess",01234\n2,,99999\n', answer
        assert "2 rows imported into orders_2026" in answer.stderr

    def test_reads_files_relative_to_the_current_folder(self, unify: UnifyCommand, orders: Path) -> None:
        assert unify("import 'Orders 2026.csv' into shop.orders; count shop.orders").single_value == "2"

    def test_changes_an_existing_table_only_if_requested(self, unify: UnifyCommand, orders: Path) -> None:
        assert unify(f"import '{orders}' into t").exit_status == 0
        refused = unify(f"import '{orders}' into t")
        assert refused.exit_status == 1
        assert "table t exists already; end with overwrite or append" in refused.stderr
        assert unify(f"import '{orders}' into t append; count t").single_value == "4"
        assert unify(f"import '{orders}' into t overwrite; count t").single_value == "2"

    def test_appends_by_name(self, unify: UnifyCommand) -> None:
        file(unify, "a.csv", "x,y\n1,a\n")
        file(unify, "b.csv", "y,x\nb,2\n")
        answer = unify("import 'a.csv' into t; import 'b.csv' into t append; from t order by x")
        assert answer.stdout == "x,y\n1,a\n2,b\n", answer

    def test_of_a_glob_reads_all_files_as_one(self, unify: UnifyCommand) -> None:
        file(unify, "data/sales_1.csv", "x,y\n1,a\n")
        file(unify, "data/sales_2.csv", "x,z\n2,b\n")
        answer = unify("import 'data/sales_*.csv'; select x, y, z from sales order by x")
        assert answer.stdout == "x,y,z\n1,a,\n2,,b\n", answer

    def test_of_a_name_with_glob_characters_reads_that_file(self, unify: UnifyCommand) -> None:
        file(unify, "a[1].csv", "x\n1\n")
        file(unify, "a1.csv", "x\n2\n")
        assert unify("import 'a[1].csv' into t; select x from t").single_value == "1"

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("t.tsv", "id\tname\n1\tAda\n2\t\n"),
            ("t.json", '[{"id": 1, "name": "Ada"}, {"id": 2, "name": null}]'),
            ("t.jsonl", '{"id": 1, "name": "Ada"}\n{"id": 2}\n'),
        ],
    )
    def test_detects_the_format_by_the_suffix(self, unify: UnifyCommand, name: str, text: str) -> None:
        file(unify, name, text)
        assert unify(f"import '{name}'; from t order by id").stdout == "id,name\n1,Ada\n2,\n"

    def test_reads_compressed_files(self, unify: UnifyCommand) -> None:
        (unify.home / "t.csv.gz").write_bytes(gzip.compress(b"id\n1\n"))
        assert unify("import 't.csv.gz'; select id from t").single_value == "1"

    def test_keeps_every_digit(self, unify: UnifyCommand) -> None:
        big, huge = "12345678901234567890123", "9" * 45
        file(unify, "a.csv", f"zip,big,huge\n007,{big},{huge}\n123,1,2\n")
        file(
            unify,
            "b.json",
            f'[{{"big": {big}, "u": 18446744073709551615, "o": {{"n": [{big}]}}}}, {{"big": 2}}]',
        )
        csv = unify("import 'a.csv' into a; select zip, big, huge, typeof(big) from a where big > 1")
        assert csv.rows[1] == ["007", big, huge, "DECIMAL(38,0)"], csv
        found = unify("import 'b.json' into b; select big, u, o from b where u is not null")
        assert found.rows[1] == [big, "18446744073709551615", f'{{"n":[{big}]}}'], found

    def test_distinguishes_empty_text_from_null(self, unify: UnifyCommand) -> None:
        file(unify, "a.csv", 'n,s\n1,""\n2,\n')
        assert unify("import 'a.csv' into t; select n from t where s = ''").single_value == "1"

    def test_of_an_invalid_file_changes_nothing(self, unify: UnifyCommand, orders: Path) -> None:
        file(unify, "bad.json", '[{"a": 1}, {"a": ')
        (unify.home / "bad.parquet").write_bytes(b"rubbish")
        assert unify(f"import '{orders}' into t").exit_status == 0
        for name in ("bad.json", "bad.parquet"):
            answer = unify(f"import '{name}' into t overwrite")
            assert (answer.exit_status, answer.stderr.startswith(f"{name}: ")) == (1, True), answer
        assert unify("count t").single_value == "2"

    def test_is_part_of_a_transaction(self, unify: UnifyCommand, orders: Path) -> None:
        assert unify(f"begin; import '{orders}' into t; rollback").exit_status == 0
        assert unify("count t").exit_status == 1

    @pytest.mark.parametrize(
        ("statement", "message"),
        [
            ("import 'nothing.csv'", "no such file"),
            ("import 'no*.csv'", "no file matches"),
            ("import '.'", "is a folder"),
            ("import 'Orders 2026.csv' into unify.t", "is reserved; choose another"),
            ("import 'a.txt'", "unknown suffix; the file format is detected by one of"),
            ("import 'a.cvs'", "did you mean .csv?"),
        ],
    )
    def test_explains_mistakes(self, unify: UnifyCommand, orders: Path, statement: str, message: str) -> None:
        file(unify, "a.txt", "x")
        file(unify, "a.cvs", "x")
        answer = unify(statement)
        assert (answer.exit_status, message in answer.stderr) == (1, True), answer

    def test_never_fills_a_connections_table(self, demo_unify: UnifyCommand) -> None:
        file(demo_unify, "a.csv", "x\n1\n")
        answer = demo_unify("import 'a.csv' into github.pulls")
        assert answer.exit_status == 1
        assert "is a table of its connection; import into another table" in answer.stderr


class TestURL:
    def test_is_fetched_without_credentials(self, unify: UnifyCommand, web: FaultServer) -> None:
        web.serve("/files/Orders.csv", MockResponse.text(ORDERS, "text/csv"))
        assert unify(f"import '{web.url}/files/Orders.csv?v=2'; count orders").single_value == "2"
        [request] = web.requests
        assert request.target == "/files/Orders.csv?v=2"
        assert "authorization" not in request.headers

    def test_without_a_suffix_is_read_by_its_content_type(
        self, unify: UnifyCommand, web: FaultServer
    ) -> None:
        web.serve("/export", MockResponse.json([{"a": 1}, {"a": 2}]))
        assert unify(f"import '{web.url}/export' into t; select sum(a) from t").single_value == "3"

    @pytest.mark.parametrize(
        "reply", [MockResponse.error(404), MockResponse.text(ORDERS, "text/csv", cut_at=10)]
    )
    def test_with_an_incomplete_response_is_an_error(
        self, unify: UnifyCommand, web: FaultServer, reply: MockResponse
    ) -> None:
        web.serve("/a.csv", reply)
        answer = unify(f"import '{web.url}/a.csv' into t")
        assert answer.exit_status == 1
        assert f"{web.url}/a.csv" in answer.stderr
        assert unify("count t").exit_status == 1


class TestExport:
    @pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet", "xlsx", "csv.gz"])
    def test_can_be_imported_without_loss(self, unify: UnifyCommand, suffix: str) -> None:
        rows = (
            "select 1 as id, 'a,\"b\"' as s, 0.5::double as f, true as b, date '2026-02-28' as d "
            "union all select 9007199254740993, 'x' || chr(10) || 'y', -1e300, false, date '1970-01-01'"
        )
        answer = unify(
            f"create table t as {rows}",
            f"export t to 'out.{suffix}'; import 'out.{suffix}' into back",
            "select count(*) from (from t except select id::bigint, s, f, b, d from back)",
        )
        assert answer.single_value == "0", answer
        assert "2 rows written to out" in answer.stderr

    def test_writes_a_table_a_variable_and_a_select(self, unify: UnifyCommand) -> None:
        answer = unify(
            "create table t as select 1 as a",
            "$n = 2; $v = select 5 as a",
            "export t to '1.csv'; export $v to '2.csv'; export (select a + $n as a from t) to '3.csv'",
        )
        assert answer.exit_status == 0, answer
        assert [(unify.home / f"{n}.csv").read_text() for n in (1, 2, 3)] == ["a\n1\n", "a\n5\n", "a\n3\n"]

    def test_loads_the_tables_it_needs(self, demo_unify: UnifyCommand) -> None:
        assert demo_unify("export github.orgs to 'orgs.csv'").exit_status == 0
        assert "login" in (demo_unify.home / "orgs.csv").read_text().splitlines()[0]

    def test_never_replaces_a_file_without_overwrite(self, unify: UnifyCommand) -> None:
        path = file(unify, "out.csv", "mine")
        answer = unify("export (select 1 as a) to 'out.csv'")
        assert answer.exit_status == 1
        assert "exists already; end with overwrite or append" in answer.stderr
        assert path.read_text() == "mine"
        assert unify("export (select 1 as a) to 'out.csv' overwrite").exit_status == 0
        assert path.read_text() == "a\n1\n"

    @pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet", "xlsx"])
    def test_appends_to_a_file(self, unify: UnifyCommand, suffix: str) -> None:
        one = f"export (select 1 as a, 'x' as b) to 'out.{suffix}' append"
        two = f"export (select 2 as a, 'y' as b) to 'out.{suffix}' append"
        answer = unify(one, two, two, f"import 'out.{suffix}' into t; select a, b from t order by a")
        assert answer.stdout == "a,b\n1,x\n2,y\n2,y\n", answer
        assert "1 row appended to out" in answer.stderr

    @pytest.mark.parametrize("suffix", ["csv", "xlsx"])
    def test_refuses_to_append_other_columns(self, unify: UnifyCommand, suffix: str) -> None:
        assert unify(f"export (select 1 as a) to 'out.{suffix}'").exit_status == 0
        before = (unify.home / f"out.{suffix}").read_bytes()
        answer = unify(f"export (select 1 as b) to 'out.{suffix}' append")
        assert answer.exit_status == 1
        assert f"out.{suffix} has other columns: a" in answer.stderr
        assert (unify.home / f"out.{suffix}").read_bytes() == before

    def test_that_fails_leaves_no_file(self, unify: UnifyCommand) -> None:
        answer = unify("export (select error('no') from range(10)) to 'out.csv'")
        assert answer.exit_status == 1
        assert sorted(path.name for path in unify.home.glob("*out*")) == []
        assert unify("export (select 1) to 'no/such/folder/out.csv'").exit_status == 1
        assert (
            "column i: a Parquet file cannot hold"
            in unify("export (select interval 1 day as i) to 'o.parquet'").stderr
        )

    def test_keeps_large_integers(self, unify: UnifyCommand) -> None:
        sql = "(select sum(n) as s from (values (9223372036854775807), (2)) t(n))"
        for suffix in ("parquet", "csv", "json"):
            answer = unify(
                f"export {sql} to 's.{suffix}'; import 's.{suffix}' into t overwrite; select s from t"
            )
            assert answer.single_value == "9223372036854775809", answer


class TestShowFiles:
    def test_shows_the_source_of_imported_rows(self, unify: UnifyCommand, orders: Path) -> None:
        assert (
            unify(
                f"import '{orders}' into shop.orders; import '{orders}' into shop.orders append"
            ).exit_status
            == 0
        )
        file(unify, "b.csv", "x\n1\n")
        assert unify("import 'b.csv'").exit_status == 0

        everything = unify("show files").rows
        assert everything[0] == ["schema", "table", "file", "rows", "imported_at"]
        assert [row[:4] for row in everything[1:]] == [
            ["main", "b", str(unify.home / "b.csv"), "1"],
            ["shop", "orders", str(orders), "2"],
            ["shop", "orders", str(orders), "2"],
        ]
        assert len(unify("show files from shop").rows) == 3
        assert len(unify("show files like '%B.csv'").rows) == 2
        assert unify("drop table b; show files from main").rows == [everything[0]]


class TestWorkbooks:
    def test_contain_text_that_looks_like_a_formula(self, tmp_path: Path) -> None:
        path = tmp_path / "a.xlsx"
        excel.write_rows(path, ["=a"], [[["=1+1"], [10**20], [datetime(2026, 1, 2, 3, 4)]]])
        cells = [row[0] for row in excel.read_rows(path)]
        assert cells == ["=a", "=1+1", str(10**20), datetime(2026, 1, 2, 3, 4)]

    def test_keep_supported_dates(self) -> None:
        row = excel.convert_cells(
            ["DATE", "DATE", "TIMESTAMP", "VARCHAR"],
            ["2026-01-02", "infinity", "2026-01-02 03:04:05.123456", "2026-01-02"],
        )
        assert row == [date(2026, 1, 2), "infinity", "2026-01-02 03:04:05.123456", "2026-01-02"]

    def test_contain_other_values_as_duckdb_text(self, unify: UnifyCommand) -> None:
        exported = unify(
            "export (select ['bug', null] as tags, [1.5::decimal(3,1)] as d, '\\xAA'::blob as b, "
            "0.1::float as f, 2.50::decimal(9,2) as m, uuid '00000000-0000-0000-0000-000000000001' as u, "
            "interval 14 month as i, {'a': 1} as s) to 'x.xlsx'"
        )
        assert exported.exit_status == 0, exported
        header, row = excel.read_rows(unify.home / "x.xlsx")
        assert dict(zip(header, row, strict=True)) == {
            "tags": "[bug, NULL]",
            "d": "[1.5]",
            "b": "\\xAA",
            "f": 0.1,
            "m": 2.5,
            "u": "00000000-0000-0000-0000-000000000001",
            "i": "1 year 2 months",
            "s": "{'a': 1}",
        }

    def test_that_are_too_large_are_refused_before_they_are_written(self, unify: UnifyCommand) -> None:
        columns = ", ".join(f"1 as c{number}" for number in range(16_385))
        wide = unify(f"export (select {columns}) to 'wide.xlsx'")
        assert "an Excel sheet holds 16,384 columns, not 16,385" in wide.stderr
        long = unify("export (from range(1048576)) to 'long.xlsx'")
        assert "the rows do not fit in an Excel sheet, which holds 1,048,576" in long.stderr
        assert not list(unify.home.glob("*.xlsx"))

    def test_are_read_by_the_type_of_their_cells(self, unify: UnifyCommand) -> None:
        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        for row in (
            ["n", "when", "mixed", None, "N"],
            [1, datetime(2026, 1, 2), 1, 0.5, True],
            [2, None, "x"],
            [None] * 5,
        ):
            sheet.append(row)
        book.save(unify.home / "book.xlsx")
        answer = unify("import 'book.xlsx'; describe book", "from book order by n")
        assert answer.stdout == (
            "column_name,column_type,description\nn,BIGINT,\nwhen,DATE,\nmixed,VARCHAR,\ncolumn4,DOUBLE,\n"
            "N_2,BOOLEAN,\nn,when,mixed,column4,N_2\n1,2026-01-02,1,0.5,true\n2,,x,,\n"
        ), answer

    def test_that_are_invalid_are_explained(self, tmp_path: Path) -> None:
        (tmp_path / "a.xlsx").write_bytes(b"rubbish")
        with pytest.raises(Exception, match="not a readable Excel workbook"):
            list(excel.read_rows(tmp_path / "a.xlsx"))
        with pytest.raises(FileError, match="control characters"):
            excel.write_rows(tmp_path / "b.xlsx", ["a"], [[["\x01"]]])
        with pytest.raises(FileError, match="32,767 characters"):
            excel.write_rows(tmp_path / "b.xlsx", ["a"], [[["x" * 40_000]]])

    def test_need_a_package_that_is_named(self, unify: UnifyCommand, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "openpyxl", None)
        answer = unify("export (select 1) to 'a.xlsx'")
        assert answer.exit_status == 1
        assert "pip install 'unify-sql[excel]'" in answer.stderr


class TestAtomicFile:
    def test_does_not_replace_a_file_created_during_the_write(self, tmp_path: Path) -> None:
        target = tmp_path / "out.csv"
        with pytest.raises(FileError, match="exists already"):
            self.write_while_another_comes(target)
        assert target.read_text() == "theirs"
        assert list(tmp_path.iterdir()) == [target]

    def write_while_another_comes(self, target: Path) -> None:
        with replace_file(target, None) as new:
            new.write_text("mine")
            target.write_text("theirs")

    def test_respects_the_umask(self, unify_process: UnifyCommand) -> None:
        done = subprocess.run(
            [*unify_process.command, "-c", "export (select 1 as a) to 'out.csv'"],
            env=unify_process.environment,
            cwd=unify_process.home,
            umask=0o027,
            capture_output=True,
        )
        assert done.returncode == 0, done
        assert os.stat(unify_process.home / "out.csv").st_mode & 0o777 == 0o640

    def test_joins_lines_that_do_not_end(self, tmp_path: Path) -> None:
        old, new = tmp_path / "old", tmp_path / "new"
        old.write_text('a,"b\n')
        new.write_text("2,3\n")
        join_text_files(old, new, None)
        assert new.read_text() == 'a,"b\n2,3\n'
        old.write_text("x")
        join_text_files(old, new, None)
        assert new.read_text() == 'x\na,"b\n2,3\n'

    def test_joins_arrays(self, tmp_path: Path) -> None:
        old, new = tmp_path / "old.json", tmp_path / "new.json"
        for before, added, joined in (
            ("[]", "[1]", [1]),
            ("[1, 2]\n", "[\n\t3\n]\n", [1, 2, 3]),
            ("[1]", "[]", [1]),
        ):
            old.write_text(before)
            new.write_text(added)
            join_json_arrays(old, new)
            assert json.loads(new.read_text()) == joined
        old.write_text("{}")
        with pytest.raises(FileError, match="is not a JSON array"):
            join_json_arrays(old, new)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("Sales 2026.csv", "sales_2026"),
        ("a.csv.gz", "a"),
        ("2026.csv", "t_2026"),
        ("--.csv", "t"),
        ("Größe.json", "größe"),
    ],
)
def test_the_default_table_name_is_that_of_the_file(name: str, table: str) -> None:
    assert suggest_table_name(name) == table


def test_formats_are_detected_by_suffix() -> None:
    assert detect_format("A.NDJSON.GZ") is FileFormat.JSONL
    assert detect_format("x.parquet") is FileFormat.PARQUET
    for name in ("x", "x.parquet.gz", "x.gz", "x.xls"):
        with pytest.raises(FileError, match="suffix"):
            detect_format(name)


def test_written_parquet_can_be_read_by_duckdb(unify: UnifyCommand) -> None:
    assert unify("export (select 1::hugeint as h, 'x' as s) to 'a.parquet'").exit_status == 0
    with open_cursor() as connection:
        found = connection.execute("from read_parquet($f)", {"f": str(unify.home / "a.parquet")})
        assert found.fetchall() == [(1, "x")]


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_columns_of_one_name_are_numbered_in_an_object(unify: UnifyCommand, suffix: str) -> None:
    exported = unify(f"export (select 1 as a, 2 as a, 3 as A, 4 as b) to 'x.{suffix}'")
    assert exported.exit_status == 0, exported
    text = (unify.home / f"x.{suffix}").read_text(encoding="utf-8")
    assert '{"a":1,"a_2":2,"A_3":3,"b":4}' in text


def test_a_struct_without_names_is_a_list_in_json(unify: UnifyCommand) -> None:
    query = "select row(1, 'x') as r, [row(2, null)] as l, {'a': row(3, 4)} as s, map {'k': row(5)} as m"

    assert unify(f"export ({query}) to 'rows.jsonl'").exit_status == 0

    text = (unify.home / "rows.jsonl").read_text(encoding="utf-8")
    assert text == '{"r":[1,"x"],"l":[[2,null]],"s":{"a":[3,4]},"m":{"k":[5]}}\n'
