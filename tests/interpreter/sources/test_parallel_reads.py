"""Large live tables are read in parts side by side, with the rows of one moment."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import unify
from tests.support.postgres_server import PostgresServer
from tests.support.stores import create_home
from unify.adapters.database.postgres import adapter, bulk
from unify.adapters.relation import ParallelRead, RelationalAdapter
from unify.api.session import PythonSession
from unify.errors import UnifyError
from unify.interpreter.sources import parallel_reads
from unify.interpreter.sources.parallel_reads import ParallelReads

pytestmark = [pytest.mark.lake, pytest.mark.process, pytest.mark.socket]

TABLE = """
create table orders(id int primary key, amount numeric(10, 2), note text);
insert into orders select i, i / 4.0, repeat('x', 100) from generate_series(1, 3000) as g(i);
insert into orders values (0, 'NaN', null);
create table far(at timestamp);
insert into far select '294276-01-01' from generate_series(1, 3000);
analyze
"""


class Database:
    """A session with a connection ``shop``, and the numbers of parts that its statements have read."""

    def __init__(self, session: PythonSession, server: PostgresServer, name: str) -> None:
        self.session = session
        self.server = server
        self.name = name
        self.parts: list[int] = []

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        self.parts.clear()
        return list(self.session.execute(sql).fetchall())


@pytest.fixture(scope="module")
def opened(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    name = postgres_server.create_database("parts")
    postgres_server.run(TABLE, name)
    folder = tmp_path_factory.mktemp("parts")
    path = folder / "connections.yaml"
    path.write_text(f"shop: {{adapter: postgres, options: {json.dumps(postgres_server.options(name))}}}")
    path.chmod(0o600)
    with unify.open(create_home(folder).home, connections=path, environment={}) as session:
        yield Database(session, postgres_server, name)


@pytest.fixture
def shop(opened: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Has small tables read as large ones, by two readers."""
    monkeypatch.setattr(adapter, "MIN_PARALLEL_ROWS", 1000)
    monkeypatch.setattr(bulk, "MIN_PART_BYTES", 64 * 1024)
    monkeypatch.setattr("unify.interpreter.sources.source_views.MAX_READERS", 2)
    monkeypatch.setattr(parallel_reads, "MAX_READERS", 2)
    read = ParallelReads.read

    def counted(self: ParallelReads, source: RelationalAdapter, plan: ParallelRead) -> str:
        opened.parts.append(len(plan.parts))
        return read(self, source, plan)

    monkeypatch.setattr(ParallelReads, "read", counted)
    return opened


def test_every_row_is_read_once(shop: Database) -> None:
    assert shop.rows(
        "select count(*), sum(id), sum(length(note))::bigint from shop.orders where id % 1 = 0"
    ) == [(3001, 4501500, 300000)]
    assert shop.parts > [1]
    assert shop.rows("select id from shop.orders where lower(note) is null") == [(0,)]


def test_nan_is_null_with_the_notice(shop: Database) -> None:
    before = len(shop.session.notices)
    assert shop.rows("select amount from shop.orders where lower(note) is null") == [(None,)]
    assert shop.parts
    assert "shop.orders: NaN in amount is read as NULL" in str(shop.session.notices[before:])


def test_all_parts_are_of_one_moment(shop: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    read = ParallelReads.read

    def after_a_change(self: ParallelReads, source: RelationalAdapter, plan: ParallelRead) -> str:
        shop.server.run("update orders set id = -id", shop.name)
        return read(self, source, plan)

    monkeypatch.setattr(ParallelReads, "read", after_a_change)
    total = "select sum(id)::bigint from shop.orders where id % 1 = 0"
    try:
        assert shop.rows(total) == [(4501500,)]
    finally:
        monkeypatch.setattr(ParallelReads, "read", read)
        assert shop.rows(total) == [(-4501500,)]
        shop.server.run("update orders set id = -id", shop.name)


@pytest.mark.parametrize(
    "sql",
    [
        "explain select sum(id) from shop.orders where lower(note) = 'x'",
        "describe select * from shop.orders",
        "select id from shop.orders where lower(note) is null limit 1",
        "select id from shop.orders where id = 5",
        "select count(*) from shop.orders",
        "select sum(amount) from shop.orders",
        "select count(*) from shop.orders a join shop.orders b using (id) where a.id = 1",
    ],
)
def test_a_statement_that_needs_fewer_rows_or_two_tables_is_read_as_a_whole(shop: Database, sql: str) -> None:
    shop.rows(sql)
    assert not shop.parts


def test_a_transaction_reads_on_its_own_connection(shop: Database) -> None:
    shop.session.execute("begin")
    try:
        assert shop.rows("select count(*) from shop.orders where id % 1 = 0") == [(3001,)]
    finally:
        shop.session.execute("rollback")
    assert not shop.parts


def test_an_error_of_a_part_is_that_of_the_statement(shop: Database) -> None:
    with pytest.raises(UnifyError, match=r"shop: .*column at"):
        shop.rows("select count(at) from shop.far where at::varchar <> ''")
    assert shop.rows("select count(*) from shop.orders where id % 1 = 0") == [(3001,)]
    assert "__unify" not in str(shop.rows("select * from duckdb_databases()"))
