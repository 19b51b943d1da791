"""Adapter `sqlite`: a database file, in which each value has a type of its own."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pytest

from tests.adapters.database.conftest import open_adapter
from tests.adapters.database.random_queries import differing_queries
from unify.adapters.database.attachment import translate_source_errors
from unify.adapters.relation import RelationalAdapter, RelationRead, SortOrder
from unify.config.connection_tables import TableSettings
from unify.errors import ConfigError, QueryError, SourceError
from unify.language.sql.refs import Condition, Constant

SETUP = """
create table kinds(id integer primary key, i int, big bigint, r real, dec decimal(10,2), t text,
  vc varchar(5), b blob, d date, ts timestamp, ok boolean, j json, anything);
insert into kinds values
  (1, 9223372036854775807, -9223372036854775808, 0.1, 1.5, 'naïve 😀', 'longer than 5', x'00ff', '2024-02-29',
   '2024-01-01 10:00:00.123456', 1, '{"a":1.10}', 'text'),
  (2, -1, 7, 1e300, 3, '', '', 'text', '0001-01-01', '2024-01-01T10:00:00Z', 0, '5', 9007199254740993),
  (3, null, null, 5e-324, null, null, null, null, null, null, null, null, 0.1);
create table mixed(id integer primary key, i int, t text, d date, ts datetime, n numeric);
insert into mixed values (1, 'yes', 'x', '2024-01-01', '2024-01-01', 1),
  (2, 1, x'ff', '2024-01-01', '2024-01-01', 1),
  (3, 1, 'x', 1704067200, '2024-01-01', 1), (4, 1, 'x', '2024-01-01', '2024-01-01 10:00:00+02:00', 1),
  (5, 1, 'x', '2024-01-01', '2024-01-01', 9007199254740993);
create table orders(id integer primary key, status text collate nocase, amount real, note text);
create index by_status on orders(status);
create view v as select id, amount * 2 as twice from orders;
create table "Odd.Name"("a.b" text primary key) without rowid;
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("sqlite") / "shop.sqlite"
    with sqlite3.connect(file) as database:
        database.executescript(SETUP)
        texts = ("a", "A", "a ", "", "Ä", "ab", "AB", "abc", "o'x", "b\\c", "ß", "é", None)
        rows = [(n, texts[n % len(texts)], n / 4 if n % 5 else None, texts[n * 7 % 13]) for n in range(200)]
        database.executemany("insert into orders values (?, ?, ?, ?)", rows)
    database.close()
    return file


@pytest.fixture(scope="module")
def lite(path: Path, duck: duckdb.DuckDBPyConnection) -> RelationalAdapter:
    adapter = open_adapter("sqlite", {"path": str(path)}, name="lite")
    adapter.attach(duck)
    return adapter


def rows_of(
    duck: duckdb.DuckDBPyConnection, adapter: RelationalAdapter, table: str, read: RelationRead
) -> list[tuple[object, ...]]:
    found = adapter.find_table(duck, table)
    assert found is not None
    with translate_source_errors(adapter.connection):
        sql = adapter.relation(duck, found, read).sql
        rows: list[tuple[object, ...]] = duck.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({sql})").fetchall()
    return rows


def test_each_type_is_exact_live_and_stored(
    lite: RelationalAdapter, duck: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    table = lite.find_table(duck, "KINDS")
    assert table is not None
    types = [
        "BIGINT",
        "BIGINT",
        "BIGINT",
        "DOUBLE",
        "DOUBLE",
        "VARCHAR",
        "VARCHAR",
        "BLOB",
        "DATE",
        "TIMESTAMP",
    ]
    assert [column.type for column in table.columns] == [*types, "BOOLEAN", "JSON", "VARCHAR"]
    assert (table.name, table.key) == ("kinds", ("id",))
    texts = (
        "1|9223372036854775807|-9223372036854775808|0.1|1.5|naïve 😀|longer than 5|\\x00\\xFF|2024-02-29|"
        '2024-01-01 10:00:00.123456|true|{"a":1.10}|text',
        "2|-1|7|1e+300|3.0|||text|0001-01-01|2024-01-01 10:00:00|false|5|9007199254740993",
        "3|~|~|5e-324|~|~|~|~|~|~|~|~|0.10000000000000001",
    )
    expected = [tuple(None if text == "~" else text for text in row.split("|")) for row in texts]
    assert rows_of(duck, lite, "kinds", RelationRead()) == expected
    sql, file = lite.relation(duck, table, RelationRead()).sql, tmp_path / "rows.parquet"
    duck.execute(f"COPY ({sql}) TO '{file}' (FORMAT parquet)")
    assert duck.execute(f"SELECT COLUMNS(*)::VARCHAR FROM '{file}'").fetchall() == expected


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("i", "lite: column i, row id=1: yes is no BIGINT; read the column as text: columns: {i: varchar}"),
        ("t", "lite: column t, row id=2: bytes is no VARCHAR"),
        ("d", "lite: column d, row id=3: 1704067200 is no DATE"),
        ("ts", r"lite: column ts, row id=4: 2024-01-01 10:00:00\+02:00 is no TIMESTAMP"),
        ("n", "lite: column n, row id=5: 9007199254740993 is no DOUBLE"),
    ],
)
def test_a_value_that_is_not_of_the_type_of_its_column_is_an_error(
    lite: RelationalAdapter, duck: duckdb.DuckDBPyConnection, column: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        rows_of(duck, lite, "mixed", RelationRead(columns=(column,)))


def test_settings_read_a_column_as_another_type(path: Path, duck: duckdb.DuckDBPyConnection) -> None:
    chosen = TableSettings(
        columns={"i": "varchar", "d": "varchar", "n": "varchar", "ts": "varchar", "t": "blob"}
    )
    adapter = open_adapter("sqlite", {"path": str(path)}, {"mixed": chosen}, "chosen")
    adapter.attach(duck)
    rows = rows_of(duck, adapter, "mixed", RelationRead())
    assert [row[1] for row in rows] == ["yes", "1", "1", "1", "1"]
    assert (rows[1][2], rows[2][3], rows[4][5]) == (r"\xFF", "1704067200", "9007199254740993")
    wrong = open_adapter(
        "sqlite", {"path": str(path)}, {"mixed": TableSettings(columns={"i": "hugeint"})}, "wrong"
    )
    wrong.attach(duck)
    with pytest.raises(ConfigError, match="the column i of mixed cannot be read as HUGEINT"):
        wrong.find_table(duck, "mixed")


def test_tables_and_views_are_listed_and_found(
    lite: RelationalAdapter, duck: duckdb.DuckDBPyConnection, path: Path
) -> None:
    assert [table.name for table in lite.list_tables(duck)] == ['"Odd.Name"', "kinds", "mixed", "orders", "v"]
    assert lite.list_schemas(duck) == ()
    assert lite.find_table(duck, "nothing") is None
    assert lite.find_table(duck, "sqlite_schema") is None
    assert rows_of(duck, lite, '"odd.name"', RelationRead()) == []
    assert rows_of(duck, lite, "v", RelationRead(("twice",), limit=1)) == [(None,)]
    assert lite.check(duck).identity.startswith(f"5 tables of {path}, SQLite 3.")


def test_texts_are_compared_by_their_bytes_whatever_the_collation(
    lite: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    for operator, text, sent in (("=", "a", "\"status\" = 'a' AND"), ("like", "a%", "GLOB 'a*'")):
        condition = Condition("status", operator, (Constant(text),))  # type: ignore[arg-type]
        read = RelationRead(("status",), (condition,), (SortOrder("id"),), 100)
        table = lite.find_table(duck, "orders")
        assert table is not None
        relation = lite.relation(duck, table, read)
        assert sent in relation.sent[0]
        assert "LIMIT 100" in relation.sent[0]
        assert {row[0] for row in rows_of(duck, lite, "orders", read)} <= {"a", "a ", "ab", "abc"}


def test_random_queries_are_the_same_live_and_stored(
    lite: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    columns = {"id": "number", "status": "text", "amount": "number", "note": "text"}
    differences, pushed = differing_queries(duck, lite, "orders", columns, 13, 150)
    assert differences == []
    assert pushed > 50


def test_a_change_of_the_file_by_another_process_is_seen(
    lite: RelationalAdapter, duck: duckdb.DuckDBPyConnection, path: Path
) -> None:
    with sqlite3.connect(path) as database:
        database.execute("create table changing(a int)")
        database.execute("insert into changing values (1)")
    assert rows_of(duck, lite, "changing", RelationRead()) == [("1",)]
    with sqlite3.connect(path) as database:
        database.execute("alter table changing add column b text default 'x'")
    assert rows_of(duck, lite, "changing", RelationRead()) == [("1", "x")]
    with sqlite3.connect(path) as database:
        database.execute("drop table changing")
    database.close()
    assert lite.find_table(duck, "changing") is None


def test_its_own_sql_is_exact_and_read_only(lite: RelationalAdapter, duck: duckdb.DuckDBPyConnection) -> None:
    relation = lite.query(duck, "select sum(i) as s, 0.1 as r from kinds where id < 3; ")
    assert duck.execute(relation.sql).fetchall() == [("9223372036854775806", "0.10000000000000001")]
    for sql, message in (
        ("selec 1", 'lite: near "selec": syntax error'),
        ("select missing from kinds", "lite: no such column: missing"),
        ("delete from kinds returning id", "lite: "),
        ("drop table kinds", "query must return data"),
    ):
        with pytest.raises(QueryError, match=message):
            lite.query(duck, sql)


def test_a_file_that_is_missing_or_not_a_database_is_an_error(
    tmp_path: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    (tmp_path / "text").write_text("not a database, but a text that is long enough to be taken for one" * 20)
    for name in ("nothing.sqlite", "text"):
        adapter = open_adapter("sqlite", {"path": str(tmp_path / name)}, name="bad")
        with pytest.raises(SourceError, match=r"bad: .*(unable to open|not a database|does not exist)"):
            _open(adapter, duck)


def _open(adapter: RelationalAdapter, duck: duckdb.DuckDBPyConnection) -> None:
    adapter.attach(duck)
    adapter.list_tables(duck)
