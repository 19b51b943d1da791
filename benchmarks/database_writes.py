"""A million rows written to PostgreSQL and MariaDB, beside DuckDB's own INSERT, psql's \\copy and LOAD DATA.

The rows are in the lake; the others read the same rows from a Parquet file. Each begins with an empty table.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import msgspec

import unify
from benchmarks.measure import Speed
from tests.support.mysql_server import MySQLServer, run_mysql
from tests.support.postgres_server import PASSWORD, SUPERUSER, PostgresServer, run_postgres
from tests.support.stores import create_home
from unify.api.session import PythonSession
from unify.engine.connection import connect, extension_path, load_extension

ROUNDS = 3
_ROWS = (
    "select i as id, 'customer ' || i % 50000 as name, (i * 0.37)::decimal(12,2) as amount, "
    "i * 0.1::double as weight, timestamp '2020-01-01' + to_minutes(i % 1000000) as placed "
    "from range({rows}) r(i)"
)
_TABLE = (
    "create table orders(id bigint primary key, name varchar(100), amount numeric(12,2), "
    "weight double precision, placed {moment})"
)


def measure(folder: Path, share: float = 1.0) -> Iterator[Speed]:
    """Yield rows per second, the fastest of the rounds, which alternate."""
    rows = int(1_000_000 * share)
    folder.mkdir(parents=True, exist_ok=True)
    parquet, text = folder / "rows.parquet", folder / "rows.csv"
    with run_postgres() as server, run_mysql() as mysql:
        server.run("alter system set log_statement = none")
        server.run("select pg_reload_conf()")
        mysql.run("set global general_log = 0, global local_infile = 1")
        database, schema = server.create_database(), mysql.create_database()
        connections = {
            "pg": {"adapter": "postgres", "options": server.options(database), "writable": True},
            "my": {"adapter": "mysql", "options": mysql.options(schema), "writable": True},
        }
        path = folder / "connections.yaml"
        path.write_bytes(msgspec.json.encode(connections))
        path.chmod(0o600)
        with unify.open(create_home(folder).home, connections=path, environment={}) as session:
            session.execute(f"create table rows as {_ROWS.format(rows=rows)}")
            session.execute(f"copy rows to '{parquet}' (format parquet)")
            yield from _postgres_speeds(session, server, database, parquet, text, rows)
            yield from _mysql_speeds(session, mysql, schema, parquet, text, rows)


def _postgres_speeds(
    session: PythonSession, server: PostgresServer, database: str, parquet: Path, text: Path, rows: int
) -> Iterator[Speed]:
    options = server.options(database)
    attach = f"host=127.0.0.1 port={options['port']} dbname={database} user={SUPERUSER}"

    def copy() -> None:
        _write_csv(parquet, text)
        server.psql(["-c", rf"\copy orders from '{text}' (format csv)"], database)

    yield from _compare(
        "PostgreSQL",
        rows,
        lambda: server.run(f"drop table if exists orders; {_TABLE.format(moment='timestamp')}", database),
        {
            "Unify": lambda: session.execute("insert into pg.orders select * from rows"),
            "DuckDB's INSERT": lambda: _insert("postgres_scanner", "postgres", attach, parquet),
            "DuckDB's CSV and psql's \\copy": copy,
        },
    )


def _mysql_speeds(
    session: PythonSession, server: MySQLServer, database: str, parquet: Path, text: Path, rows: int
) -> Iterator[Speed]:
    attach = f"host=127.0.0.1 port={server.port} database={database} user=root"

    def load() -> None:
        _write_csv(parquet, text)
        command = ["mariadb", "--no-defaults", "--local-infile=1", "-h", "127.0.0.1", "-P", str(server.port)]
        loaded = f"load data local infile '{text}' into table orders fields terminated by ','"
        subprocess.run([*command, "-u", "root", database, "-e", loaded], check=True)

    yield from _compare(
        "MariaDB",
        rows,
        lambda: server.run(f"drop table if exists orders; {_TABLE.format(moment='datetime(6)')}", database),
        {
            "Unify": lambda: session.execute("insert into my.orders select * from rows"),
            "DuckDB's INSERT": lambda: _insert("mysql_scanner", "mysql", attach, parquet),
            "DuckDB's CSV and LOAD DATA": load,
        },
    )


def _compare(
    label: str, rows: int, empty: Callable[[], object], ways: dict[str, Callable[[], object]]
) -> Iterator[Speed]:
    fastest = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, write in ways.items():
            empty()
            began = time.monotonic()
            write()
            fastest[name] = min(fastest[name], time.monotonic() - began)
    for name, seconds in fastest.items():
        own = None if name == "Unify" else fastest["Unify"]
        yield Speed(f"{label}: {name}", rows, seconds, unify_s=own)


def _write_csv(parquet: Path, text: Path) -> None:
    with duckdb.connect() as database:
        database.execute(f"COPY (FROM '{parquet}') TO '{text}' (FORMAT csv, HEADER false)")


def _insert(extension: str, type: str, attach: str, parquet: Path) -> None:
    os.environ["PGPASSWORD"] = PASSWORD
    path = extension_path(extension, duckdb.__version__)
    assert path is not None
    with connect() as database:
        load_extension(database, extension, path)
        database.execute(f"ATTACH '{attach}' AS target (TYPE {type})")
        database.execute(f"INSERT INTO target.orders FROM '{parquet}'")
