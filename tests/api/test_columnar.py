"""Results as Arrow tables and data frames."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import unify
from unify.api.dbapi import DatabaseConnection
from unify.errors import UsageError

SQL = (
    "select range::integer as i, range / 4 as d, 'x' || range as s, if(range % 2 = 0, null, range) as n, "
    "timestamptz '2026-03-01 12:00:00+00' as t, 1.50::decimal(9,2) as m, [range, null] as l, "
    "{'a': range} as st from range(25_000)"
)


@pytest.fixture(scope="module")
def connection(module_home: Path) -> Iterator[DatabaseConnection]:
    with unify.connect(module_home, environment={}) as opened:
        yield opened


def test_arrow_has_the_types_of_the_columns(connection: DatabaseConnection) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = connection.sql(SQL).arrow()
    assert isinstance(table, pyarrow.Table)
    assert table.num_rows == 25_000
    assert [str(field.type).partition(", tz=")[0] for field in table.schema] == [
        "int32", "double", "string", "int64", "timestamp[us", "decimal128(9, 2)", "list<l: int64>",
        "struct<a: int64>",
    ]  # fmt: skip
    assert table.slice(24_999, 1).to_pylist()[0]["st"] == {"a": 24_999}


def test_a_reader_reads_batches_as_they_are_asked_for(connection: DatabaseConnection) -> None:
    pytest.importorskip("pyarrow")
    reader = connection.sql("select range as i from range(1_000_000_000_000)").reader(1000)
    assert [reader.read_next_batch().num_rows for _ in range(3)] == [1000, 1000, 1000]
    reader.close()
    whole = connection.sql(SQL).reader(4096).read_all()
    assert whole.equals(connection.sql(SQL).arrow())


def test_pandas_and_polars_have_the_same_rows(connection: DatabaseConnection) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    frame = connection.sql("select 1 as a, 'x' as b union all select 2, null order by a").df()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["a"].tolist() == [1, 2]
    other = connection.sql("select 1 as a, 'x' as b union all select 2, null order by a").pl()
    assert isinstance(other, polars.DataFrame)
    assert other.rows() == [(1, "x"), (2, None)]


def test_rows_and_empty_results(connection: DatabaseConnection) -> None:
    assert connection.sql("select ? as a", [1]).rows() == [(1,)]
    assert connection.sql("select 1 as a where false").rows() == []
    pytest.importorskip("pyarrow")
    assert connection.sql("select 1 as a where false").arrow().schema.names == ["a"]
    assert connection.sql("select 1 as a where false").reader().read_all().num_rows == 0


def test_columns_of_one_name_are_numbered(connection: DatabaseConnection) -> None:
    pytest.importorskip("pyarrow")
    assert len(set(connection.sql("select 1 as a, 2 as a, 3 as A").arrow().schema.names)) == 3


def test_a_statement_without_rows_has_no_frame(connection: DatabaseConnection) -> None:
    with pytest.raises(UsageError, match="this statement has no rows"):
        connection.sql("create or replace table u (i integer)").df()


def test_scalars_of_pandas_and_numpy_are_exact_parameters(connection: DatabaseConnection) -> None:
    pandas, numpy = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    given = [
        numpy.datetime64("2026-01-02T03:04:05.000006", "ns"),
        numpy.timedelta64(1500, "ns") * 2,
        pandas.Timestamp("2026-01-02"),
        pandas.NaT,
        pandas.NA,
        numpy.int64(7),
    ]

    [row] = connection.sql("select ?, ?, ?, ?, ?, ?", given).rows()

    moment = datetime(2026, 1, 2, 3, 4, 5, 6)
    assert row == (moment, timedelta(microseconds=3), datetime(2026, 1, 2), None, None, 7)
    for nanoseconds in (numpy.datetime64("2026-01-02T00:00:00.000000001"), pandas.Timedelta("1ns")):
        with pytest.raises(unify.ProgrammingError, match="nanoseconds"):
            connection.sql("select ?", [nanoseconds])
