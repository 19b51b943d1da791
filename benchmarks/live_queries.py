"""Statements over a live table of a million rows of PostgreSQL, against DuckDB's own ATTACH and psql.

Each statement runs three times in turns; the fastest run counts. Unify's time has everything: the catalog is
asked for the columns, the statement is composed and bound, and DuckDB fetches the rows.
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
from benchmarks.measure import Figure
from tests.support.postgres_server import PASSWORD, SUPERUSER, PostgresServer, run_postgres
from unify.engine.connection import connect, extension_path

ROUNDS = 3
_TABLE = (
    "create table orders as select g as id, 'note ' || md5(g::text) as note, "
    "(array['open', 'paid', 'sent', 'void'])[1 + g % 4] as status, (g * 0.37)::numeric(12, 2) as amount, "
    "timestamp '2020-01-01' + g * interval '1 minute' as placed_at from generate_series(1, {rows}) as g;"
    "alter table orders add primary key (id); create index on orders(note); create index on orders(placed_at)"
)
# What is measured -> the statement; TABLE is the table.
SHAPES = {
    "one row by a text key": "select id from TABLE where note = 'note c4ca4238a0b923820dcc509a6f75849b'",
    "the 10 newest rows": "select id, placed_at from TABLE order by placed_at desc limit 10",
    "a sum by status": "select status, sum(amount) as amount from TABLE group by status order by status",
    "a count of all rows": "select count(*) as n from TABLE",
}


def measure(folder: Path, share: float = 1.0) -> Iterator[Figure]:
    """Compare each shape with DuckDB's ATTACH, and with psql, which starts a process each time."""
    with run_postgres() as server:
        database = server.create_database()
        server.run(_TABLE.format(rows=int(1_000_000 * share)), database)
        server.run("vacuum analyze orders", database)
        folder.mkdir(parents=True, exist_ok=True)
        options = msgspec.json.encode(server.options(database)).decode()
        connections = folder / "connections.yaml"
        connections.write_text(f"shop: {{adapter: postgres, options: {options}}}\n", encoding="utf-8")
        connections.chmod(0o600)
        with (
            unify.connect(home=folder, connections=connections) as session,
            _attached(server, database) as duck,
        ):
            for shape, sql in SHAPES.items():
                times = _fastest(
                    lambda sql=sql: session.sql(sql.replace("TABLE", "shop.orders")).rows(),  # type: ignore[misc]
                    lambda sql=sql: duck.execute(sql.replace("TABLE", "source.orders")).fetchall(),  # type: ignore[misc]
                    lambda sql=sql: _run_psql(server, database, sql.replace("TABLE", "orders")),  # type: ignore[misc]
                )
                yield Figure(f"{shape}, beside ATTACH", times[0], times[1])
                yield Figure(f"{shape}, beside psql", times[0], times[2])


def _fastest(*runs: Callable[[], object]) -> list[float]:
    """Return the seconds of the fastest run of each, in turns."""
    times = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for number, run in enumerate(runs):
            began = time.perf_counter()
            run()
            times[number] = min(times[number], time.perf_counter() - began)
    return times


def _attached(server: PostgresServer, database: str) -> duckdb.DuckDBPyConnection:
    duck = connect()
    duck.execute(f"LOAD '{extension_path('postgres_scanner', duckdb.__version__)}'")
    secret = "CREATE SECRET (TYPE postgres, HOST '127.0.0.1', PORT ?, DATABASE ?, USER ?, PASSWORD ?)"
    duck.execute(secret, [str(server.port), database, SUPERUSER, PASSWORD])
    duck.execute("ATTACH '' AS source (TYPE postgres, READ_ONLY)")
    return duck


def _run_psql(server: PostgresServer, database: str, sql: str) -> None:
    command = ["psql", "-X", "-q", "-At", "-h", "127.0.0.1", "-p", str(server.port), "-U", SUPERUSER]
    environment = {**os.environ, "PGPASSWORD": PASSWORD}
    subprocess.run([*command, "-d", database, "-c", sql], env=environment, capture_output=True, check=True)
