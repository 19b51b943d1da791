"""Adapter `files`: which tables a folder has, and their rows."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import openpyxl
import pytest

from tests.support.file_source import FileSource, open_source, write_files
from unify.config.connection_tables import TableSettings
from unify.errors import ConfigError, FileError, SourceError

Opener = Callable[..., FileSource]


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Opener]:
    opened: list[FileSource] = []

    def open_folder(files: Mapping[str, str | bytes], **tables: str | TableSettings) -> FileSource:
        write_files(tmp_path, files)
        settings = {
            name: TableSettings(files=one) if isinstance(one, str) else one for name, one in tables.items()
        }
        opened.append(open_source("files", {"folder": str(tmp_path)}, settings))
        return opened[-1]

    yield open_folder
    for one in opened:
        one.close()


def test_without_tables_each_file_and_each_folder_is_a_table(opener: Opener) -> None:
    source = opener(
        {
            "Orders 2026.csv": "id\n1\n",
            "events/2026/a.ndjson": '{"a": 1}\n',
            "events/2026/b.ndjson": '{"a": 2}\n',
            "events/_SUCCESS": "",
            ".hidden.csv": "x\n",
            "readme.txt": "",
        }
    )
    assert source.tables() == ["orders_2026", "events"]
    assert source.rows("ORDERS_2026") == [(1, "Orders 2026.csv")]
    assert source.rows("events") == [(1, "events/2026/a.ndjson"), (2, "events/2026/b.ndjson")]
    assert source.adapter.find_table(source.duck, "nothing") is None


def test_tables_of_one_name_are_told_apart_by_format(opener: Opener) -> None:
    source = opener({"a.csv": "x\n1\n", "a.tsv": "x\ty\n1\t2\n", "a/b.csv": "z\n1\n"})
    assert source.tables() == ["a_files", "a_csv", "a_tsv"]
    assert source.columns("a_tsv") == {"x": "BIGINT", "y": "BIGINT", "_file": "VARCHAR"}


def test_patterns_name_the_tables(opener: Opener) -> None:
    source = opener(
        {"o/a.csv": "n\n1\n", "o/b.csv": "n\n2\n", "o/x/c.csv": "n\n3\n", "p.csv": "n\n4\n"},
        flat="o/*.csv",
        deep="o/**/*.csv",
        one="p.csv",
        folder="o/",
        some="o/[ab].csv",
    )
    assert source.tables() == ["flat", "deep", "one", "folder", "some"]
    assert [row[0] for row in source.rows("flat")] == [1, 2]
    assert [row[0] for row in source.rows("deep")] == [1, 2, 3]
    assert source.rows("one") == [(4, "p.csv")]
    assert len(source.rows("folder")) == 3
    assert len(source.rows("some")) == 2
    assert source.adapter.find_table(source.duck, "p") is None


def test_a_pattern_without_a_match_names_the_nearest_files(opener: Opener) -> None:
    source = opener({"orders2/a.csv": "n\n1\n", "zz.csv": "n\n"}, orders="orders/*.csv")
    with pytest.raises(
        SourceError, match=r"files.orders: no file matches orders/\*\.csv in .*orders2/a\.csv"
    ):
        source.rows("orders")


def test_types_are_found_over_all_rows_of_all_files(opener: Opener) -> None:
    rows = "".join(f"{n},{n}\n" for n in range(30_000))
    source = opener(
        {
            "t/a.csv": f"a,b\n{rows}x,12345678901234567890123\n",
            "t/b.csv": "a,c\n1,2024-01-01\n",
            "j.json": '[{"n": 12345678901234567890123, "s": {"x": 1.5}}, {"n": null}]',
        }
    )
    assert source.columns("t") == {
        "a": "VARCHAR",
        "b": "DECIMAL(38,0)",
        "c": "DATE",
        "_file": "VARCHAR",
    }
    assert source.rows("t", "select max(b), count(c), count(*) from source") == [
        (Decimal("12345678901234567890123"), 1, 30_002)
    ]
    assert source.rows("j", "select max(n) from source") == [(Decimal("12345678901234567890123"),)]


def test_differing_files_are_told(opener: Opener) -> None:
    source = opener({"t/a.csv": "a,b\n1,2\n", "t/b.csv": "a\n3\n", "u/a.csv": "a\n1\n", "u/b.csv": "a\n2\n"})
    assert source.rows("t") == [(1, 2, "t/a.csv"), (3, None, "t/b.csv")]
    assert source.notices("t") == ("its files have different columns; those that a file lacks are NULL",)
    assert source.notices("u") == ()


def test_partitions_are_typed_columns(opener: Opener) -> None:
    source = opener(
        {
            "e/dt=2024-01-01/k=01/n=7/a.csv": "a\n1\n",
            "e/dt=__HIVE_DEFAULT_PARTITION__/k=b%20c/n=8/a.csv": "a\n2\n",
        }
    )
    assert source.columns("e") == {
        "a": "BIGINT",
        "dt": "DATE",
        "k": "VARCHAR",
        "n": "BIGINT",
        "_file": "VARCHAR",
    }
    assert source.rows("e", "select a, dt, k, n from source order by a") == [
        (1, date(2024, 1, 1), "01", 7),
        (2, None, "b c", 8),
    ]


def test_a_filter_on_a_partition_reads_only_its_files(opener: Opener) -> None:
    files = {f"e/day={day}/a.csv": "a\n1\n" for day in range(20)}
    source = opener(files)
    [(_, plan)] = source.rows("e", "explain select * from source where day = 3")
    assert "Scanning Files: 1/20" in str(plan)


def test_folders_above_the_root_are_no_partitions(tmp_path: Path) -> None:
    write_files(tmp_path / "env=prod", {"a.csv": "x\n1\n"})
    source = open_source("files", {"folder": str(tmp_path / "env=prod")})
    assert source.rows("a") == [(1, "a.csv")]
    source.close()


def test_compression_is_found_by_the_first_bytes(opener: Opener) -> None:
    packed = gzip.compress(b"a\n1\n")
    source = opener(
        {"t/a.csv": packed, "t/b.csv": "a\n2\n", "t/c.csv.gz": gzip.compress(b"a\n3\n"), "x.csv": b"BZh9"}
    )
    assert [row[0] for row in source.rows("t")] == [1, 2, 3]
    with pytest.raises(FileError, match="compressed with bzip2"):
        source.rows("x")


def test_every_format_is_read(opener: Opener, tmp_path: Path) -> None:
    with duckdb.connect() as made:
        made.execute(f"copy (select 1::hugeint as n, 'é' as s) to '{tmp_path}/p.csv'")
        made.execute(f"copy (select 1.25::decimal(9,2) as n, 'é' as s) to '{tmp_path}/q.parquet'")
    book = openpyxl.Workbook()
    book.active.append(["n", "s"])  # type: ignore[union-attr]
    book.active.append([1, "é"])  # type: ignore[union-attr]
    book.save(tmp_path / "w.xlsx")
    source = opener(
        {"t.tsv": "n\ts\n1\té\n", "j.ndjson": '{"n": 1, "s": "é"}\n', "k.json": '[{"n":1,"s":"é"}]'}
    )
    assert source.rows("q") == [(Decimal("1.25"), "é", "q.parquet")]
    for table, file in [("p", "p.csv"), ("t", "t.tsv"), ("j", "j.ndjson"), ("k", "k.json"), ("w", "w.xlsx")]:
        assert source.rows(table) == [(1, "é", file)]


def test_settings_of_csv_and_columns_are_used(opener: Opener) -> None:
    settings = TableSettings(
        files="z.txt",
        format="csv",
        columns={"zip": "VARCHAR", "amount": "DECIMAL(10,2)"},
        csv={"delimiter": ";", "skip": "1", "null": "-"},
    )
    source = opener({"z.txt": "a comment\nzip;amount;x\n01234;12.10;-\n"}, z=settings)
    assert source.rows("z") == [("01234", Decimal("12.10"), None, "z.txt")]


def test_settings_that_are_wrong_say_where(opener: Opener) -> None:
    with pytest.raises(ConfigError, match=r"tables\.a\.format: cvs is none of"):
        opener({"a.csv": "a\n1\n"}, a=TableSettings(files="a.csv", format="cvs")).rows("a")
    with pytest.raises(ConfigError, match=r"tables\.a\.incremental: .*write incremental: files"):
        opener({}, a=TableSettings(files="a.csv", cursor="id")).tables()
    with pytest.raises(ConfigError, match=r"tables\.b: files is missing"):
        opener({}, a="a.csv", b=TableSettings(mode="stored")).tables()


@pytest.mark.parametrize(
    "pattern", ["../x.csv", "/etc/passwd", "s3://other/x.csv", "https://example.org/x.csv", "a/../../x.csv"]
)
def test_a_pattern_cannot_leave_the_folder(opener: Opener, pattern: str) -> None:
    with pytest.raises(FileError, match="a connection reads nothing else"):
        opener({"a.csv": "a\n1\n"}, a=pattern).rows("a")


def test_a_link_cannot_leave_the_folder(tmp_path: Path) -> None:
    write_files(tmp_path, {"in/a.csv": "a\n1\n", "in/sub/b.csv": "a\n2\n", "out/s.csv": "s\n1\n"})
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "also.csv").symlink_to(tmp_path / "in" / "a.csv")
    (tmp_path / "in" / "leak.csv").symlink_to(tmp_path / "out" / "s.csv")
    source = open_source("files", {"folder": str(tmp_path / "in")})
    assert source.rows("also") == [(1, "also.csv")]
    with pytest.raises(SourceError, match="leads out of"):
        source.rows("leak")
    source.close()


def test_odd_names_of_files_are_kept(opener: Opener) -> None:
    names = ["a [1].csv", "b*.csv", "c?d.csv", "e'f.csv", "g%20h.csv", "ü=1.csv"]
    source = opener({f"t/{name}": "a\n1\n" for name in names})
    assert sorted(str(row[1]) for row in source.rows("t")) == sorted(f"t/{name}" for name in names)


def test_a_changed_file_is_read_anew(opener: Opener, tmp_path: Path) -> None:
    source = opener({"t.csv": "a\n1\n"})
    assert source.rows("t") == [(1, "t.csv")]
    before = os.stat(tmp_path / "t.csv")
    write_files(tmp_path, {"t.csv": "a\nx\n"})
    os.utime(tmp_path / "t.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.rows("t") == [("x", "t.csv")]
    (tmp_path / "t.csv").unlink()
    assert source.adapter.find_table(source.duck, "t") is None


def test_files_that_cannot_be_read_as_a_table_say_why(opener: Opener, tmp_path: Path) -> None:
    source = opener(
        {"e.csv": "", "m/a.csv": "a\n1\n", "m/b.json": "[]", "bad.parquet": "no", "bad.json": '{"a": '}
    )
    with pytest.raises(SourceError, match=r"files\.e: its files are empty: e\.csv"):
        source.rows("e")
    with pytest.raises(SourceError, match=r"several formats: csv \(m/a\.csv\) and json \(m/b\.json\)"):
        source.rows("m")
    with pytest.raises(SourceError, match=r"^files\.bad_parquet: .*bad\.parquet") as raised:
        source.rows("bad_parquet")
    assert str(tmp_path) not in raised.value.message
    with pytest.raises(SourceError, match=r"^files\.bad_json: "):
        source.rows("bad_json")


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    source = open_source("files", {"folder": str(tmp_path / "none")})
    with pytest.raises(SourceError, match="no such folder"):
        source.tables()
    with pytest.raises(SourceError, match="no such folder"):
        source.adapter.check(source.duck)
    source.close()


LARGEST_OBJECT = 17_000_000  # more than the 16 MiB that DuckDB allows by default


def test_a_large_object_is_read_and_small_ones_need_little_memory(opener: Opener) -> None:
    source = opener({"big.ndjson": '{"s": "' + "x" * LARGEST_OBJECT + '"}\n', "small.ndjson": '{"s": "x"}\n'})
    assert source.rows("big", "select length(s) from source") == [(LARGEST_OBJECT,)]
    source.duck.execute("set memory_limit = '200MB'")
    assert source.rows("small", "select s from source") == [("x",)]


def test_a_column_named_file_is_hidden_aloud(opener: Opener) -> None:
    source = opener({"t.csv": "a,_FILE\n1,x\n"})
    assert source.rows("t") == [(1, "t.csv")]
    assert source.notices("t") == ("its own column _file is hidden by the path of the file",)


def test_many_files_are_read_with_one_pass_for_their_types(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opener({f"t/{number}.csv": "a,b\n1,x\n" for number in range(30)})
    described: list[str] = []
    real = source.duck

    class Recording:
        def execute(self, sql: str, *rest: object) -> object:
            described.append(sql)
            return real.execute(sql, *rest)

    source.adapter.find_table(Recording(), "t")  # type: ignore[arg-type]
    assert sum("/29.csv" in sql and "/0.csv" in sql for sql in described) == 1


def avro_file(schema: str, records: bytes, count: int) -> bytes:
    """Return an Avro file with one block of records, as its specification has it."""

    def text(value: bytes) -> bytes:
        length = len(value) * 2
        return (bytes([length]) if length < 128 else bytes([length % 128 + 128, length // 128])) + value

    sync = b"0123456789abcdef"
    metadata = bytes([4]) + text(b"avro.schema") + text(schema.encode()) + text(b"avro.codec") + text(b"null")
    return b"Obj\x01" + metadata + b"\0" + sync + bytes([count * 2]) + text(records) + sync


def test_avro_files_are_read_with_the_types_of_their_schema(opener: Opener) -> None:
    fields = [
        {"name": "id", "type": "long"},
        {"name": "name", "type": ["null", "string"]},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ]
    schema = json.dumps({"type": "record", "name": "r", "fields": fields})
    first = bytes([2, 2, 6]) + b"ada" + bytes([2, 2]) + b"x" + b"\0"
    second = bytes([4, 0, 0])
    file = avro_file(schema, first + second, 2)
    source = opener({"people/a.avro": file, "people/b.avro": file}, some="people/a.avro")
    assert source.columns("some") == {
        "id": "BIGINT",
        "name": "VARCHAR",
        "tags": "VARCHAR[]",
        "_file": "VARCHAR",
    }
    assert source.rows("some") == [(1, "ada", ["x"], "people/a.avro"), (2, None, [], "people/a.avro")]


def test_a_folder_of_avro_files_is_one_table(opener: Opener) -> None:
    schema = json.dumps({"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]})
    source = opener(
        {"n/a.avro": avro_file(schema, bytes([2]), 1), "n/b.avro": avro_file(schema, bytes([4]), 1)}
    )
    assert source.tables() == ["n"]
    assert source.rows("n") == [(1, "n/a.avro"), (2, "n/b.avro")]
