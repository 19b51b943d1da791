"""``unify://`` for SQLAlchemy and pandas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import InProcessCommand
from tests.support.fault_server import FaultServer, MockResponse
from tests.support.shop import SPEC_WITHOUT_TOKEN, connect_shop

sqlalchemy = pytest.importorskip("sqlalchemy")
pytest.importorskip("duckdb_sqlalchemy")

SPEC = (
    SPEC_WITHOUT_TOKEN
    + """\
  - name: orders
    description: Orders of customers
    request: GET /orders
    key: id
    columns: {id: {type: bigint, description: Number of the order}}
"""
)


@pytest.fixture(scope="module")
def shared_engine(module_home: Path) -> Iterator[Any]:
    engine = sqlalchemy.create_engine(f"unify:///{module_home}")
    yield engine
    engine.dispose()


@pytest.fixture
def engine(shared_engine: Any) -> Any:
    """An engine of a home with an empty table ``t`` (i INTEGER, s VARCHAR)."""
    with shared_engine.begin() as connection:
        connection.exec_driver_sql("create or replace table t (i integer, s varchar)")
    return shared_engine


def test_statements_parameters_and_expressions(engine: Any) -> None:
    table = sqlalchemy.Table("t", sqlalchemy.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"i": 1, "s": "a"}, {"i": 2, "s": "b"}])
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.select(table.c.s).where(table.c.i > 1)).scalars().all()
        counted = connection.execute(
            sqlalchemy.text("select count(*) from t where s = :s"), {"s": "a"}
        ).scalar()
        raw = connection.exec_driver_sql("select i from t where i = ?", (2,)).fetchall()
    assert (found, counted, raw) == (["b"], 1, [(2,)])


def test_a_transaction_is_committed_or_rolled_back_as_a_whole(engine: Any) -> None:
    insert = sqlalchemy.text("insert into t values (:i, 'x')")
    with suppress(sqlalchemy.exc.ProgrammingError), engine.begin() as connection:
        connection.execute(insert, {"i": 1})
        connection.execute(sqlalchemy.text("select * from nothing"))
    with engine.connect() as connection:
        connection.execute(insert, {"i": 2})  # never committed
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("with a as (select 3 as i) insert into t select i, 'y' from a"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(insert, {"i": 4})
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select i from t order by i")).scalars().all() == [3, 4]


def test_values_keep_their_types(engine: Any) -> None:
    values = (Decimal("1.50"), date(2026, 3, 1), datetime(2026, 3, 1, 12), b"\x00\xff", None)
    named = dict(zip("abcde", values, strict=True))
    with engine.connect() as connection:
        row = connection.execute(sqlalchemy.text("select :a as a, :b, :c, :d, :e"), named).one()
    assert tuple(row) == values


def test_errors_are_wrapped_by_kind(engine: Any) -> None:
    with engine.connect() as connection:
        with pytest.raises(sqlalchemy.exc.ProgrammingError, match="table nothing does not exist"):
            connection.execute(sqlalchemy.text("select * from nothing"))
        with pytest.raises(sqlalchemy.exc.DataError, match="Could not convert"):
            connection.execute(sqlalchemy.text("select 'x'::int")).all()


def test_the_orm_works(engine: Any) -> None:
    from sqlalchemy import orm

    base = orm.declarative_base()
    city: Any = type(
        "City",
        (base,),
        {
            "__tablename__": "city",
            "id": sqlalchemy.Column(sqlalchemy.Integer, primary_key=True, autoincrement=False),
            "name": sqlalchemy.Column(sqlalchemy.String),
        },
    )
    with engine.begin() as connection:
        connection.exec_driver_sql("create or replace table city (id integer, name varchar)")
    with orm.Session(engine) as session:
        session.add_all([city(id=1, name="Bern"), city(id=2, name="Oslo")])
        session.commit()
        oslo = session.scalars(sqlalchemy.select(city).where(city.name == "Oslo")).one()
        oslo.name = "Oslo!"
        session.commit()
        assert session.scalars(sqlalchemy.select(city.name).order_by(city.id)).all() == ["Bern", "Oslo!"]


def test_pandas_reads_and_writes(engine: Any) -> None:
    pandas = pytest.importorskip("pandas")
    times = pandas.to_datetime(["2026-03-01 12:00", "2026-03-02 00:00"])
    frame = pandas.DataFrame({"i": [1, 2], "s": ["a", None], "at": times, "f": [1.5, 2.5]})
    assert frame.to_sql("frame", engine, index=False, if_exists="replace") == 2
    back = pandas.read_sql("select * from frame order by i", engine)
    assert back["i"].tolist() == [1, 2]
    assert back["s"].tolist()[0] == "a"
    assert back["at"].dt.hour.tolist() == [12, 0]
    query = sqlalchemy.text("select f from frame where i = :i")
    with_parameters = pandas.read_sql(query, engine, params={"i": 2})
    assert with_parameters["f"].tolist() == [2.5]
    assert pandas.read_sql_table("frame", engine)["f"].tolist() == [1.5, 2.5]
    frame.to_sql("frame", engine, index=False, if_exists="append")
    assert pandas.read_sql("select count(*) as n from frame", engine)["n"].tolist() == [4]
    chunks = pandas.read_sql("select * from range(10)", engine, chunksize=4)
    assert [len(chunk) for chunk in chunks] == [4, 4, 2]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("unify://?max_ages=5m", "unknown option max_ages; known are max_age"),
        ("unify://srv/unify", "there is no host; a path follows four slashes"),
    ],
)
def test_a_mistake_in_the_url_is_a_sentence(url: str, message: str) -> None:
    with pytest.raises(sqlalchemy.exc.ArgumentError, match=message):
        sqlalchemy.create_engine(url).connect()


def test_tables_of_connections_are_reflected_before_and_loaded_by_queries(
    home: Path, api: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = InProcessCommand(home)
    connect_shop(command, api, SPEC)
    for name in ("UNIFY_HOME", "UNIFY_SPECS"):
        monkeypatch.setenv(name, command.environment[name])
    monkeypatch.chdir(home)
    api.serve("/orders", MockResponse.json([{"id": 1, "total": 2.5}]))
    engine = sqlalchemy.create_engine("unify://?max_age=none")
    inspector = sqlalchemy.inspect(engine)
    assert {"main", "shop", "unify"} <= set(inspector.get_schema_names())
    assert inspector.get_table_names("shop") == ["orders"]
    assert inspector.get_table_comment("orders", "shop") == {"text": "Orders of customers"}
    [column] = inspector.get_columns("orders", "shop")
    assert (column["name"], column["comment"]) == ("id", "Number of the order")
    assert api.requests == []
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select total from shop.orders")).scalar() == 2.5
    orders = sqlalchemy.Table("orders", sqlalchemy.MetaData(), schema="shop", autoload_with=engine)
    reflected = {name: str(column.type) for name, column in orders.c.items()}
    assert reflected == {"id": "BIGINT", "total": "DOUBLE"}
    with pytest.raises(sqlalchemy.exc.NoSuchTableError):
        sqlalchemy.Table("nothing", sqlalchemy.MetaData(), schema="shop", autoload_with=engine)
    engine.dispose()
