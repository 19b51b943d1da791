"""A table of a million rows of PostgreSQL copied by a load, against DuckDB's own parallel copy of it.

DuckDB attaches the database and copies with all its threads. Both write Parquet with the same compression and
row groups.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.measure import Figure
from tests.support.command import clean_environment
from tests.support.postgres_server import PASSWORD, PostgresServer, run_postgres
from tests.support.source_home import SourceHome
from tests.support.stores import create_home, settings_for_home

ROUNDS = 3
COPY_RATIO = 1.67  # of the time of DuckDB's copy: 0.6 times its speed
_TABLE = (
    "create table orders as select g::bigint as id, g % 50000 as customer, "
    "(array['open', 'paid', 'sent', 'void'])[1 + g % 4]::text as status, "
    "(g * 0.37)::numeric(12, 2) as amount, (g * 3.141592)::numeric(20, 6) as weight, "
    "timestamptz '2020-01-01' + g * interval '1 minute' as updated_at, "
    "date '2020-01-01' + (g % 1000)::int as day, 'note number ' || md5(g::text) as note, "
    "jsonb_build_object('a', g, 'b', md5(g::text), 'tags', jsonb_build_array('x', 'y')) as doc "
    "from generate_series(1, {rows}) as g; alter table orders add primary key (id)"
)
_DUCKDB = """
import sys, duckdb
from unify.engine.connection import connect, extension_path
duck = connect()
duck.execute("LOAD '" + str(extension_path("postgres_scanner", duckdb.__version__)) + "'")
duck.execute("ATTACH '" + sys.argv[1] + "' AS source (TYPE postgres, READ_ONLY)")
duck.execute(
    "COPY (FROM source.orders) TO '" + sys.argv[2] + "' "
    "(FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 20000, WRITE_BLOOM_FILTER false)"
)
"""
_UNIFY = """
import sys
from pathlib import Path
from benchmarks.database_copies import open_home
home = open_home(Path(sys.argv[1]))
home.run_load(home.make_job("orders"))
home.close()
"""


def measure(folder: Path, share: float = 1.0) -> Iterator[Figure]:
    """Compare elapsed and processor time, with the start of both processes and the work of the server."""
    with run_postgres() as server:
        database = server.create_database()
        server.run(_TABLE.format(rows=int(1_000_000 * share)), database)
        server.run("vacuum analyze orders", database)
        options = server.options(database)
        home = open_home(folder)
        home.configure(f"{{adapter: postgres, options: {msgspec.json.encode(options).decode()}}}")
        names = {"host": "host", "port": "port", "database": "dbname", "user": "user"}
        attach = " ".join(f"{word}={options[name]}" for name, word in names.items())
        copies = []
        for number in range(ROUNDS):
            target = str(folder / f"duckdb-{number}.parquet")
            theirs = _run(["-c", _DUCKDB, attach, target], folder, server)
            ours = _run(["-c", _UNIFY, str(folder)], folder, server)
            copies.append((ours, theirs))
        ours_s, theirs_s = (min(one[side][0] for one in copies) for side in (0, 1))
        ours_cpu_s, theirs_cpu_s = (min(one[side][1] for one in copies) for side in (0, 1))
        yield Figure(
            "load of PostgreSQL, beside DuckDB's copy",
            ours_s,
            theirs_s,
            COPY_RATIO,
            ours_cpu_s / theirs_cpu_s,
        )


def open_home(folder: Path) -> SourceHome:
    """Return the home of the benchmark, which is created if it is new."""
    home = folder / "home"  # as create_home names it
    return SourceHome(settings_for_home(home) if home.is_dir() else create_home(folder))


def _run(arguments: Sequence[str], folder: Path, server: PostgresServer) -> tuple[float, float]:
    """Run Python; return elapsed time, and the processor time of it and of the server."""
    before, server_before_s, began = (
        resource.getrusage(resource.RUSAGE_CHILDREN),
        _server_cpu_s(server),
        time.monotonic(),
    )
    environment = {**clean_environment(folder), "PYTHONPATH": os.getcwd(), "PGPASSWORD": PASSWORD}
    subprocess.run([sys.executable, *arguments], check=True, env=environment)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, own_s + _server_cpu_s(server) - server_before_s


def _server_cpu_s(server: PostgresServer) -> float:
    """Return the processor time of the server and its ended processes, from /proc."""
    main = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    processes = [
        main,
        *(int(word) for word in Path(f"/proc/{main}/task/{main}/children").read_text().split()),
    ]
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15] if process == main else fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")
