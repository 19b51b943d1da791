"""Fetch one table with Unify's own client and throw its pages away: ``HOME TABLE`` on the command line.

A process of its own, as the worker is; prints its seconds for each line it reads, and ends with its input.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.server import CHECKOUT
from unify.adapters import registry
from unify.adapters.base import Read
from unify.config.connections import load_connections


def fetch_table(home: Path, table: str) -> float:
    """Seconds until the last page of ``bench.table`` is there."""
    connection = load_connections(home.parent / "connections.yaml").by_name["bench"]
    began = time.perf_counter()
    with closing(
        registry.open_adapter(connection, [home.parent / "specs"], {}, limits_folder=None)
    ) as adapter:
        for page in adapter.pages(table, Read()):
            del page
    return time.perf_counter() - began


@contextmanager
def run_fetch_process(home: Path) -> Iterator[Callable[[str], float]]:
    """A process that fetches a table whenever asked, and tells its seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fetch", str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )

    def ask(table: str) -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{table}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    with process:
        yield ask


if __name__ == "__main__":
    for line in sys.stdin:
        print(fetch_table(Path(sys.argv[1]), line.strip()), flush=True)
