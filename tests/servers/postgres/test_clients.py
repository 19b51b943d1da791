"""psql, JDBC and ODBC, loads on demand, and large results."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from tests.support.fault_server import FaultServer, MockResponse
from tests.support.paths import CHECKOUT
from tests.support.postgres_clients import LOADER, PASSWORD, READER, PostgresHome
from tests.support.served_home import serve_postgres
from tests.support.shop import SPEC_WITHOUT_TOKEN
from tests.support.stores import settings_for_home
from tests.support.waiting import scaled_limit_s, wait_until
from unify.activity.store import ActivityStore
from unify.servers.users import Role, UserStore

pytestmark = [pytest.mark.process, pytest.mark.socket, pytest.mark.lake]

JDBC_DRIVER = Path("/usr/share/java/postgresql.jar")
JDBC_CHECKS = CHECKOUT / "tests" / "support" / "jdbc" / "MetadataChecks.java"
JDBC_EXPECTED = """product	PostgreSQL
catalogs	1
schemas	true
tables	2
columns	3
keys	0
imported	0
exported	0
cross	0
indexes	0
types	true
procedures	0
functions	0
privileges	true
column privileges	true
best row	0
version columns	true
udts	2
table types	true
client info	true
keywords	true
max name	63
prepared	80
date parameter	1
fetch size	199990000
two results	true 2
timeout	57014
error	42P01
valid	true
metadata	3 int8
parameter metadata	int8
listing	2
"""
# Of psql 15.
LISTINGS = """
l dO d d+ dt dt+ dv di ds dm dn dn+ du df dT dp ddp dx da dC dD dy db dL do dc des det dew dF dRp dA dX dP
z conninfo
"""


def require_psql() -> None:
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed (Debian: postgresql-client): nothing was tested")


def test_psql_describes_tables_and_runs_scripts(pg: PostgresHome) -> None:
    require_psql()
    commands = [
        "\\dt shop.*",
        "\\d+ shop.orders",
        "\\sv shop.large",
        "select 1; select 'two'",
        "show tables from shop",
    ]
    commands += [
        "\\copy (select id from shop.orders order by id limit 2) to stdout csv header",
        "begin; rollback",
    ]
    shown = pg.psql(*[word for command in commands for word in ("-c", command)])
    assert "ERROR" not in shown
    for text in (
        " shop   | orders | table | ",
        "| number of the order",
        "CREATE OR REPLACE VIEW shop.large",
        " two",
        "id\n0\n1\n",
        "ROLLBACK",
    ):
        assert text in shown, shown


@pytest.mark.slow
def test_the_listings_of_psql(pg: PostgresHome) -> None:
    require_psql()
    shown = pg.psql(*[word for command in LISTINGS.split() for word in ("-c", f"\\{command}")])
    assert "ERROR" not in shown
    assert shown.count("List of") > 20


def test_ctrl_c_in_psql_cancels_the_statement(pg: PostgresHome) -> None:
    require_psql()
    slow = "select count(*) from range(100000) a, range(100000) b where a.range - b.range = -1"
    with subprocess.Popen(
        pg.psql_command("-c", slow),
        env={**os.environ, "PGPASSWORD": PASSWORD},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        with ActivityStore(pg.settings.activity) as activity:
            wait_until(lambda: any(one.sql == slow for one in activity.running()))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=scaled_limit_s(30))
    assert "canceling statement due to user request" in output


@pytest.mark.slow
def test_jdbc(pg: PostgresHome) -> None:
    """21 methods of DatabaseMetaData, statements prepared by the server, fetch size, timeout."""
    if shutil.which("java") is None or not JDBC_DRIVER.exists():
        pytest.skip(
            "Java or its driver is not installed (Debian: libpostgresql-jdbc-java): nothing was tested"
        )
    command = ["java", "-Xmx128m", "-cp", str(JDBC_DRIVER), str(JDBC_CHECKS), str(pg.port), READER, PASSWORD]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=scaled_limit_s(120), check=False, cwd="/"
    )
    assert done.stdout == JDBC_EXPECTED, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode",
    ["UseServerSidePrepare=0", "UseServerSidePrepare=1", "UseDeclareFetch=1;Fetch=100", "BoolsAsChar=0"],
)
def test_odbc(pg: PostgresHome, mode: str) -> None:
    pyodbc = pytest.importorskip("pyodbc")
    if "PostgreSQL Unicode" not in pyodbc.drivers():
        pytest.skip("the driver is not installed (Debian: odbc-postgresql): nothing was tested")
    place = f"SERVER=127.0.0.1;PORT={pg.port};DATABASE=unify;UID={READER};PWD={PASSWORD};SSLmode=disable"
    connection = pyodbc.connect(f"DRIVER={{PostgreSQL Unicode}};{place};{mode}")
    try:
        cursor = connection.cursor()
        assert [row[2] for row in cursor.tables(schema="shop")] == ["large", "orders"]
        assert [row[3] for row in cursor.columns("orders", schema="shop")] == ["id", "name", "price"]
        rows = cursor.execute("select range from range(1000) where range >= ?", 10).fetchall()
        assert len(rows) == 990
        sql = "select count(*) from t where a = ? and b = ? and d = ?"
        assert cursor.execute(sql, 1, "x", "2026-01-02").fetchone()[0] == 1
    finally:
        connection.close()


def test_a_query_loads_and_tells_its_progress(home: Path, api: FaultServer) -> None:
    api.serve("/orders", MockResponse.json([{"id": 1}, {"id": 2}]))
    specs = home / "specs"
    specs.mkdir()
    spec = SPEC_WITHOUT_TOKEN + "  - {name: orders, request: GET /orders, key: id, columns: {id: bigint}}\n"
    (specs / "shop.yaml").write_text(spec)
    (home / "connections.yaml").write_text(f"shop: {{adapter: shop, options: {{base_url: '{api.url}'}}}}\n")
    settings = replace(settings_for_home(home), specs=(specs,))
    for name, role in ((READER, Role.READER), (LOADER, Role.LOADER)):
        UserStore(settings).add_user(name, role, password=PASSWORD)
    with serve_postgres(settings) as (port, log):
        served = PostgresHome(settings, port, log)
        with served.connect() as reader, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            reader.execute("select * from shop.orders")
        with served.connect(LOADER) as loader:
            notices: list[str] = []
            loader.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
            found = loader.execute(
                "select contype from pg_constraint where conrelid = 'shop.orders'::regclass"
            )
            assert ("p",) in found.fetchall()  # the key, before the first load
            sql = "select count(*) from shop.orders where id < %s"
            assert loader.execute(sql, [5], prepare=True).fetchone() == (2,)
            assert notices[0].startswith("loading shop.orders")
            assert notices[-1].startswith("shop.orders: 2 rows loaded in")
            loader.execute("set client_min_messages = warning")
            loader.execute("refresh table shop.orders")
        assert notices[-1].startswith("shop.orders: 2 rows loaded in")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_million_rows_in_constant_memory(pg: PostgresHome) -> None:
    def memory() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    require_psql()
    with pg.connect() as connection:
        connection.execute("select 1")
    before = peak = memory()
    sql = "copy (select range as id, 'name ' || range as name from range(10000000)) to stdout"
    with subprocess.Popen(
        pg.psql_command("-o", os.devnull, "-c", sql),
        env={**os.environ, "PGPASSWORD": PASSWORD},
        stdout=subprocess.DEVNULL,
    ) as process:
        while process.poll() is None:
            peak = max(peak, memory())
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
    assert process.returncode == 0
    with ActivityStore(pg.settings.activity) as activity:
        ended = next(one for one in activity.recent(20) if "10000000" in one.sql)
    assert (ended.state, ended.rows) == ("done", 10_000_000)
    assert peak - before < 150_000_000
