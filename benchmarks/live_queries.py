"""Statements over live tables of a million rows of PostgreSQL, against DuckDB's own ATTACH, psql and own SQL.

All run in turns in one process, against one server; the fastest run of each counts. Joins are those of tables
of a lake with such a table. Unify's time has
everything: the server is asked whether the columns have changed, the statement is composed and bound, and
DuckDB fetches the rows. ATTACH is warm: DuckDB remembers the columns.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import duckdb
import msgspec

import unify
from benchmarks.measure import Figure
from tests.support.postgres_server import PASSWORD, SUPERUSER, PostgresServer, run_postgres
from unify.api.dbapi import DatabaseConnection
from unify.engine.connection import connect, extension_path

ROUNDS = 7  # at least
ROUNDS_S = 2.0  # quick statements run more often, since others use the machine
FIXED_S = 0.005  # what a statement may take beside the server's part
SHAPE_RATIO = 1.2  # of the better of ATTACH and psql
JOIN_RATIO = 1.5  # of the better of ATTACH and own SQL
_TABLE = (
    "create table orders as select g as id, g % 50000 as customer, 'note ' || md5(g::text) as note, "
    "(array['open', 'paid', 'sent', 'void'])[1 + g % 4] as status, (g * 0.37)::numeric(12, 2) as amount, "
    "timestamp '2020-01-01' + g * interval '1 minute' as placed_at from generate_series(1, {rows}) as g;"
    "alter table orders add primary key (id); create index on orders(note); create index on orders(placed_at)"
)
_LAKE = {  # tables of the lake; DuckDB has them in one of its own
    "few": "select i * 7919 as id, 'f' || i as name from range(1, 4) t(i)",
    "thousand": "select i * 997 as id, 'k' || i as name from range(1, 1001) t(i)",
    "customers": "select i as customer, ['DE', 'FR', 'US'][1 + i % 3] as country from range(50000) t(i)",
}
# What is measured -> the statement; TABLE is the table.
SHAPES = {
    "one row by its key": "select id, note from TABLE where id = 4711",
    "one row by a text key": "select id from TABLE where note = 'note c4ca4238a0b923820dcc509a6f75849b'",
    "a count of some rows": "select count(*) as n from TABLE where id < 5000",
    "a count of all rows": "select count(*) as n from TABLE",
    "the 10 newest rows": "select id, placed_at from TABLE order by placed_at desc limit 10",
    "a sum by status": "select status, sum(amount) as amount from TABLE group by status order by status",
}
# What is measured -> the statement, and the table as own SQL reads it.
JOINS = {
    "a join with 3 keys": (
        "select f.name, o.amount from few f join TABLE o using (id)",
        "select id, amount from orders where id in (7919, 15838, 23757)",
    ),
    "a join with 1,000 keys": (
        "select count(*), sum(o.amount) from thousand k join TABLE o using (id)",
        "select id, amount from orders where id % 997 = 0 and id / 997 <= 1000",
    ),
    "a join of all rows with 50,000": (
        "select c.country, count(*) as n, sum(o.amount) as amount "
        "from TABLE o join customers c using (customer) group by all",
        "select customer, amount from orders",
    ),
}
Run = Callable[[], object]


def measure(folder: Path, share: float = 1.0) -> Iterator[Figure]:
    """Compare each shape with ATTACH and psql, and each join with ATTACH and own SQL."""
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
                    {
                        "Unify": _of_unify(session, sql),
                        "ATTACH": _of_duckdb(duck, sql.replace("TABLE", "source.orders")),
                        "psql": _of_psql(server, database, sql.replace("TABLE", "orders")),
                    }
                )
                yield _figure(shape, times, SHAPE_RATIO, FIXED_S)
            duck.execute(
                f"ATTACH 'ducklake:sqlite:{folder / 'own.sqlite'}' AS own (DATA_PATH '{folder / 'own'}')"
            )
            duck.execute("USE own")
            for name, sql in _LAKE.items():
                session.sql(f"create table {name} as {sql}")
                duck.execute(f"create table {name} as {sql}")
            for join, (sql, own) in JOINS.items():
                query = f"postgres_query('source', '{own}')"
                times = _fastest(
                    {
                        "Unify": _of_unify(session, sql),
                        "ATTACH": _of_duckdb(duck, sql.replace("TABLE", "source.orders")),
                        "own SQL": _of_duckdb(duck, sql.replace("TABLE", query)),
                    }
                )
                yield _figure(join, times, JOIN_RATIO)


def _figure(label: str, times: Mapping[str, float], ratio: float, fixed_s: float = 0.0) -> Figure:
    """Return the ratio to the better of the other two, without ``fixed_s``."""
    others = {name: seconds for name, seconds in times.items() if name != "Unify"}
    best = min(others, key=others.__getitem__)
    beside = ", ".join(f"{name} {seconds * 1000:,.1f} ms" for name, seconds in others.items())
    extra = f", {fixed_s * 1000:g} ms apart" if fixed_s else ""
    return Figure(f"{label} ({beside}{extra})", max(times["Unify"] - fixed_s, 0.0), others[best], ratio)


def _fastest(runs: Mapping[str, Run]) -> Mapping[str, float]:
    """Return the seconds of the fastest run of each, in turns."""
    times = dict.fromkeys(runs, float("inf"))
    until = time.monotonic() + ROUNDS_S
    rounds = 0
    while rounds < ROUNDS or time.monotonic() < until:
        rounds += 1
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            times[name] = min(times[name], time.perf_counter() - began)
    return times


def _of_unify(session: DatabaseConnection, sql: str) -> Run:
    return lambda: session.sql(sql.replace("TABLE", "shop.orders")).rows()


def _of_duckdb(duck: duckdb.DuckDBPyConnection, sql: str) -> Run:
    return lambda: duck.execute(sql).fetchall()


def _of_psql(server: PostgresServer, database: str, sql: str) -> Run:
    """Run psql, which starts a process each time."""
    command = ["psql", "-X", "-q", "-At", "-h", "127.0.0.1", "-p", str(server.port), "-U", SUPERUSER]
    command += ["-d", database, "-c", sql]
    environment = {**os.environ, "PGPASSWORD": PASSWORD}
    return lambda: subprocess.run(command, env=environment, capture_output=True, check=True)


def _attached(server: PostgresServer, database: str) -> duckdb.DuckDBPyConnection:
    duck = connect()
    duck.execute(f"LOAD '{extension_path('postgres_scanner', duckdb.__version__)}'")
    secret = "CREATE SECRET (TYPE postgres, HOST '127.0.0.1', PORT ?, DATABASE ?, USER ?, PASSWORD ?)"
    duck.execute(secret, [str(server.port), database, SUPERUSER, PASSWORD])
    duck.execute("ATTACH '' AS source (TYPE postgres, READ_ONLY)")
    return duck
