"""Writing to MariaDB: every type arrives as the server's own text; what it would change is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import unify
from tests.adapters.database.test_mysql import CASES
from tests.support.cut_connection import cutting_proxy
from tests.support.database_session import open_shop_session, write_shop
from tests.support.mysql_server import MySQLServer
from tests.support.stores import create_home
from unify.api.session import PythonSession
from unify.errors import QueryError, SourceError

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]


@pytest.fixture(scope="module")
def database(mysql_server: MySQLServer) -> str:
    return mysql_server.create_database()


@pytest.fixture(scope="module")
def session(
    mysql_server: MySQLServer, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonSession]:
    folder = tmp_path_factory.mktemp("mysql")
    path = write_shop(folder, "mysql", mysql_server.options(database), writable=True)
    with open_shop_session(folder, path) as opened:
        yield opened


def test_every_type_is_written_as_it_was_read(
    session: PythonSession, mysql_server: MySQLServer, database: str
) -> None:
    columns = ", ".join(f"c{number} {type}" for number, type in enumerate(CASES))
    statements = ["set time_zone = '+00:00', sql_mode = ''"]
    statements += [f"create table {name}(id int primary key, {columns})" for name in ("source", "copied")]
    for row in range(max(len(values) for _, values, _ in CASES.values()) + 1):  # the last one is NULL
        values = [values[row] if row < len(values) else "NULL" for _, values, _ in CASES.values()]
        statements.append(f"insert into source values ({row}, {', '.join(values)})")
    mysql_server.run(";".join(statements), database)
    for mode in ("append", "upsert by id"):  # straight into the table, and by a temporary one
        session.execute(f"export (select * from shop.source order by id) to shop.copied {mode}")
    shown = ", ".join(text.format(f"c{number}") for number, (_, _, text) in enumerate(CASES.values()))
    expected, found = (
        mysql_server.run(f"set time_zone = '+00:00'; select {shown} from {name} order by id", database)
        for name in ("source", "copied")
    )
    for want, have in zip(expected.splitlines(), found.splitlines(), strict=True):
        assert list(zip(CASES, have.split("\t"), strict=True)) == list(
            zip(CASES, want.split("\t"), strict=True)
        )


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("varchar(3)", "'abcd'", "more than 3 characters"),
        ("tinytext", "repeat('é', 200)", "more than 255 bytes"),
        ("char(5)", "'ab '", "ends with a blank"),
        ("binary(3)", "'a'::blob", "has fewer than 3 bytes"),
        ("enum('a','b')", "'A'", "none of the labels"),
        ("decimal(65,30)", "'1.1234567890123456789012345678901'", "is no such value"),
        ("datetime", "timestamp '2024-01-01 10:00:00.5'", "would be rounded"),
        ("datetime", "timestamp 'infinity'", "out of range"),
        ("timestamp null", "timestamptz '1969-12-31 10:00:00+00'", "out of range"),
        ("double", "'inf'::double", "no finite number"),
        ("year", "1900", "out of range"),
        ("time", "'10:00:00.5'", "no such value"),
        ("mediumint", "8388608", "Out of range value for column 'v' at row 1"),
        ("varchar(9) character set latin1", "'日本'", "at row 1"),
    ],
)
def test_a_value_that_the_server_would_change_is_refused(
    session: PythonSession, mysql_server: MySQLServer, database: str, column: str, value: str, reason: str
) -> None:
    mysql_server.run(f"create or replace table one(v {column})", database)
    with pytest.raises(QueryError) as error:
        session.execute(f"insert into shop.one (v) select {value}")
    assert reason in error.value.message
    assert mysql_server.run("select count(*) from one", database) == "0\n"


def test_a_table_without_transactions_is_refused(
    session: PythonSession, mysql_server: MySQLServer, database: str
) -> None:
    mysql_server.run("create table plain(v int) engine=MyISAM", database)
    with pytest.raises(QueryError, match="engine MyISAM, which has no transactions"):
        session.execute("insert into shop.plain values (1)")


def test_a_connection_lost_at_commit_leaves_an_unknown_outcome(
    mysql_server: MySQLServer, database: str, tmp_path: Path
) -> None:
    mysql_server.run("create table lost(id int)", database)
    with cutting_proxy(mysql_server.port, b"COMMIT", after=b"INSERT INTO", passes_on=True) as proxy:
        options = {**mysql_server.options(database), "port": str(proxy.port)}
        path = write_shop(tmp_path, "mysql", options, writable=True)
        with (
            unify.open(create_home(tmp_path).home, connections=path, environment={}) as opened,
            pytest.raises(SourceError, match="whether they are there is not known"),
        ):
            opened.execute("insert into shop.lost values (1), (2)")


def test_rows_larger_than_a_packet_are_refused_and_large_ones_are_divided(
    session: PythonSession, mysql_server: MySQLServer, database: str
) -> None:
    mysql_server.run("create table wide(t longtext); set global max_allowed_packet = 1048576", database)
    try:
        session.execute("insert into shop.wide select repeat('é', 100000) from range(20)")
        with pytest.raises(QueryError, match="row 2 has more bytes than the server accepts"):
            session.execute(
                "insert into shop.wide select repeat('x', i) from range(1, 1100000, 1099998) r(i)"
            )
    finally:
        mysql_server.run("set global max_allowed_packet = 16777216", database)
    assert mysql_server.run("select count(*), min(length(t)) from wide", database) == "20\t200000\n"


def test_a_replacement_that_would_delete_rows_of_other_tables_is_refused(
    session: PythonSession, mysql_server: MySQLServer, database: str
) -> None:
    mysql_server.run(
        "create table parents (id int primary key); insert into parents values (1), (2); "
        "create table children (p int, foreign key (p) references parents (id) on delete cascade); "
        "insert into children values (2)",
        database,
    )
    with pytest.raises(QueryError, match=r"nothing was written: 1 foreign key would delete or change rows"):
        session.execute("export (select 1 as id) to shop.parents replace")
    assert session.execute("select count(*) from shop.children").fetchall() == [(1,)]


def test_keys_that_are_equal_in_the_database_are_refused(
    session: PythonSession, mysql_server: MySQLServer, database: str
) -> None:
    mysql_server.run("create table folded (k varchar(9) primary key, n int)", database)
    with pytest.raises(QueryError, match=r"several rows have keys that are equal in the database"):
        session.execute("export (select unnest(['A', 'a', 'b']) as k, 1 as n) to shop.folded upsert by k")
    assert session.execute("select count(*) from shop.folded").fetchall() == [(0,)]
