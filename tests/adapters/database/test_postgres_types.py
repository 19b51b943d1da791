"""PostgreSQL: every type, live and copied to Parquet: each cell is the server's own text."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.adapters.database.conftest import open_adapter
from tests.adapters.database.server_text import server_text_sql
from tests.support.postgres_server import PostgresServer
from unify.adapters.database.attachment import translate_source_errors
from unify.adapters.relation import RelationalAdapter, RelationRead
from unify.config.connection_tables import TableSettings
from unify.errors import SourceError

# Type -> the DuckDB type it is read as, and values as PostgreSQL's literals.
CASES: dict[str, tuple[str, list[str]]] = {
    "boolean": ("BOOLEAN", ["true", "false"]),
    "smallint": ("SMALLINT", ["-32768", "32767"]),
    "integer": ("INTEGER", ["-2147483648", "2147483647"]),
    "bigint": ("BIGINT", ["-9223372036854775808", "9223372036854775807"]),
    "real": ("FLOAT", ["0.1", "'NaN'", "'Infinity'", "'-Infinity'", "3.4028235e38", "1e-45"]),
    "double precision": ("DOUBLE", ["0.1", "'NaN'", "'-Infinity'", "1.7976931348623157e308", "5e-324"]),
    "numeric": ("VARCHAR", ["12345678901234567890.123456789", "18446744073709551616", "'NaN'", "'Infinity'"]),
    "numeric(10,2)": ("DECIMAL(10,2)", ["-99999999.99", "0.05", "99999999.99", "0"]),
    "numeric(38,10)": ("DECIMAL(38,10)", ["1234567890123456789012345678.0123456789"]),
    "numeric(38,0)": ("DECIMAL(38,0)", ["-99999999999999999999999999999999999999"]),
    "numeric(39,0)": ("VARCHAR", ["999999999999999999999999999999999999999"]),
    "numeric(50,20)": ("VARCHAR", ["123456789012345678901234567890.12345678901234567890"]),
    "numeric(5,-2)": ("DECIMAL(7,0)", ["12300", "-1234567"]),
    "numeric(3,5)": ("DECIMAL(5,5)", ["0.00123", "-0.00999"]),
    "money": ("DECIMAL(19,2)", []),
    "text": ("VARCHAR", ["''", "'naïve 日本 😀'", "E'a\\tb\\nc\\\\'"]),
    "varchar(5)": ("VARCHAR", ["'abc'", "'ab  '"]),
    "char(5)": ("VARCHAR", ["'ab'", "''"]),
    '"char"': ("VARCHAR", ["'x'"]),
    "name": ("VARCHAR", ["'a name'"]),
    "bytea": ("BLOB", ["'\\x00ff7f'", "''"]),
    "uuid": ("UUID", ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"]),
    "date": ("DATE", ["'4713-01-01 BC'", "'5874897-12-31'", "'infinity'", "'-infinity'", "'2024-02-29'"]),
    "time": ("TIME", ["'24:00:00'", "'00:00:00.000001'", "'23:59:59.999999'"]),
    "timetz": ("VARCHAR", ["'10:00:00.5+05:45'", "'24:00:00-12'"]),
    "interval": ("VARCHAR", ["'1 year 2 mons -3 days 04:05:06.789'", "'-1 sec'", "'178000000 years'"]),
    "timestamp": (
        "TIMESTAMP",
        [
            "'2024-01-01'",
            "'4713-01-01 00:00:00 BC'",
            "'infinity'",
            "'-infinity'",
            "'294246-12-31 23:59:59.999999'",
        ],
    ),
    "timestamptz": (
        "TIMESTAMP WITH TIME ZONE",
        ["'2024-07-01 12:00:00.123456+05:45'", "'0044-03-15 10:00:00+00 BC'", "'infinity'", "'-infinity'"],
    ),
    "json": ("JSON", ['\'{"a": 1.10, "a":  12345678901234567890123}\'', "'1e400'", "' null '"]),
    "jsonb": ("JSON", ['\'{"b":[1,2.50,"x"],"a":null}\'', "'12345678901234567890.123456789'"]),
    "xml": ("VARCHAR", ["'<a>1 &lt; 2</a>'"]),
    "inet": ("VARCHAR", ["'1.2.3.4'", "'1.2.3.0/24'", "'::1'"]),
    "cidr": ("VARCHAR", ["'1.2.3.4'", "'10.0.0.0/8'"]),
    "macaddr": ("VARCHAR", ["'08:00:2b:01:02:03'"]),
    "bit(3)": ("VARCHAR", ["B'101'"]),
    "varbit": ("VARCHAR", ["B'10101'", "B''"]),
    "oid": ("BIGINT", ["4294967295"]),
    "regclass": ("VARCHAR", ["'pg_class'"]),
    "pg_lsn": ("VARCHAR", ["'16/B374D848'"]),
    "point": ("VARCHAR", ["'(1.5,2)'"]),
    "polygon": ("VARCHAR", ["'((0,0),(1,1),(2,0))'"]),
    "tsvector": ("VARCHAR", ["'fat:2 cat:3'"]),
    "int4range": ("VARCHAR", ["'[1,5)'", "'empty'"]),
    "tstzrange": ("VARCHAR", ["'[2024-01-01 00:00+00,)'"]),
    "int4multirange": ("VARCHAR", ["'{[1,2), [5,7)}'"]),
    "mood": ("VARCHAR", ["'sad'", "'it''s ok'"]),
    "mood[]": ("VARCHAR[]", ["'{sad,NULL}'"]),
    "pair": ("VARCHAR", ["row(1, 2.50)", "row(NULL, NULL)"]),
    "positive": ("INTEGER", ["1"]),
    "price": ("DECIMAL(8,2)", ["3.5"]),
    "nested_price": ("DECIMAL(8,2)", ["12"]),
    "code": ("VARCHAR", ["'ab'"]),
    "ints": ("INTEGER[]", ["'{1,2}'"]),
    "integer[]": ("INTEGER[]", ["'{1,NULL,-3}'", "'{}'"]),
    "bigint[]": ("BIGINT[]", ["'{9223372036854775807}'"]),
    "text[]": ("VARCHAR[]", ["'{a,b}'"]),
    "boolean[]": ("BOOLEAN[]", ["'{t,f,NULL}'"]),
    "double precision[]": ("DOUBLE[]", ["'{0.1,NaN}'"]),
    "uuid[]": ("UUID[]", ["'{00000000-0000-0000-0000-00000000000a}'"]),
    "date[]": ("DATE[]", ["'{2024-01-01,infinity}'"]),
    "timestamp[]": ("TIMESTAMP[]", ["'{\"2024-01-01 10:00\",NULL}'"]),
    "timestamptz[]": ("TIMESTAMP WITH TIME ZONE[]", ["'{2024-01-01 00:00+00}'"]),
    "numeric(6,2)[]": ("DECIMAL(6,2)[]", ["'{1.50,NULL}'"]),
    "numeric[]": ("VARCHAR[]", ["'{1.5,12345678901234567890.123456789}'"]),
    "interval[]": ("VARCHAR[]", ["'{01:00:00}'"]),
    "inet[]": ("VARCHAR[]", ["'{1.2.3.4,NULL}'", "'{}'"]),
    "char(3)[]": ("VARCHAR[]", ["'{abc}'"]),
    "jsonb[]": ("JSON[]", ["array['1'::jsonb]"]),
    "integer[][]": ("VARCHAR", ["'{{1,2},{3,4}}'"]),
}
SETUP = """
create type mood as enum ('sad', 'it''s ok');
create type pair as (a int, b numeric);
create domain positive as int check (value > 0);
create domain price as numeric(8,2);
create domain nested_price as price;
create domain code as varchar(4);
create domain ints as int[];
"""


@pytest.fixture(scope="module")
def every_type(postgres_server: PostgresServer, database: str) -> str:
    """A table with one column of each type; its name."""
    columns = ", ".join(f"c{number} {type}" for number, type in enumerate(CASES))
    postgres_server.run(f"{SETUP} create table every_type(id int primary key, {columns})", database)
    rows = max(len(values) for _, values in CASES.values()) + 1  # the last one is NULL
    inserts = [
        ", ".join([str(row), *(values[row] if row < len(values) else "NULL" for _, values in CASES.values())])
        for row in range(rows)
    ]
    postgres_server.run("".join(f"insert into every_type values ({row});" for row in inserts), database)
    return "every_type"


def test_each_type_is_read_as_the_server_shows_it_live_and_stored(
    every_type: str,
    shop: RelationalAdapter,
    duck: duckdb.DuckDBPyConnection,
    postgres_server: PostgresServer,
    database: str,
    tmp_path: Path,
) -> None:
    table = shop.find_table(duck, every_type)
    assert table is not None
    live = shop.relation(duck, table, RelationRead()).sql
    file = tmp_path / "rows.parquet"
    duck.execute(f"COPY ({live}) TO '{file}' (FORMAT parquet)")
    expected = postgres_server.rows(f"select * from {every_type} order by id", database)
    shown = ", ".join(server_text_sql(column.name, column.type) for column in table.columns)
    for relation in (live, f"FROM '{file}'"):
        rows = duck.execute(f"SELECT {shown} FROM ({relation}) ORDER BY id").fetchall()
        differences = [
            (column.source_type, found, wanted)
            for row, texts in zip(rows, expected, strict=True)
            for column, found, wanted in zip(table.columns, row, texts, strict=True)
            if found != wanted
        ]
        assert differences == []


def test_a_column_has_the_type_that_the_relation_returns(
    every_type: str, shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection
) -> None:
    table = shop.find_table(duck, every_type)
    assert table is not None
    declared = [column.type for column in table.columns]
    assert declared == ["INTEGER", *(type for type, _ in CASES.values())]
    relation = shop.relation(duck, table, RelationRead())
    described = duck.execute(f"DESCRIBE {relation.sql}").fetchall()
    assert [row[1] for row in described] == declared
    assert [column.type for column in relation.columns] == declared


def test_nan_in_a_decimal_is_null_and_money_is_a_number(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run(
        "create table amounts(n numeric(10,2), list numeric(4,1)[], m money);"
        "insert into amounts values ('NaN', '{1.5,NaN}', '$-1234.56')",
        database,
    )
    table = shop.find_table(duck, "amounts")
    assert table is not None
    sql = shop.relation(duck, table, RelationRead()).sql
    assert duck.execute(f"SELECT n, list::VARCHAR, m::VARCHAR FROM ({sql})").fetchall() == [
        (None, "[1.5, NULL]", "-1234.56")
    ]


def test_a_timestamp_that_duckdb_cannot_hold_is_an_error_with_column_and_row(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run(
        "create table far(id int primary key, at timestamp, ats timestamptz[]);"
        "insert into far values (7, '294276-12-31', '{}'), (8, now(), '{294276-12-31}')",
        database,
    )
    table = shop.find_table(duck, "far")
    assert table is not None
    for column, row in (("at", 7), ("ats", 8)):
        sql = shop.relation(duck, table, RelationRead(columns=(column,))).sql
        with pytest.raises(duckdb.Error, match=f"unify: column {column}, row id={row}: .*294276"):
            duck.execute(sql).fetchall()


def test_settings_read_a_numeric_as_decimal_and_any_column_as_text(
    postgres_server: PostgresServer, database: str, duck: duckdb.DuckDBPyConnection
) -> None:
    postgres_server.run(
        "create table plain(id int primary key, n numeric, m int[]);"
        "insert into plain values (1, 1.50, '{{1,2}}'), (2, 'NaN', '{3}')",
        database,
    )
    columns = {"n": "decimal(6,2)", "M": "varchar"}
    adapter = open_adapter(
        "postgres", postgres_server.options(database), {"plain": TableSettings(columns=columns)}, "chosen"
    )
    adapter.attach(duck)
    table = adapter.find_table(duck, "plain")
    assert table is not None
    sql = adapter.relation(duck, table, RelationRead()).sql
    rows = duck.execute(f"SELECT id, n::VARCHAR, m FROM ({sql}) ORDER BY id").fetchall()
    assert rows == [(1, "1.50", "{{1,2}}"), (2, None, "{3}")]
    postgres_server.run("insert into plain values (3, 1.005, null)", database)
    with pytest.raises(duckdb.Error, match=r"column n, row id=3: 1.005 does not fit decimal\(6,2\)"):
        duck.execute(sql).fetchall()


def test_an_array_with_more_dimensions_than_declared_is_an_error_with_a_remedy(
    shop: RelationalAdapter, duck: duckdb.DuckDBPyConnection, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run("create table deep(a int[]); insert into deep values ('{{1,2},{3,4}}')", database)
    table = shop.find_table(duck, "deep")
    assert table is not None
    with (
        pytest.raises(
            SourceError, match="more dimensions than its column is declared with; read the column as"
        ),
        translate_source_errors("shop"),
    ):
        duck.execute(shop.relation(duck, table, RelationRead()).sql).fetchall()
