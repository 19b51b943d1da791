"""Fetch tables with Unify's HTTP client and discard the pages: ``python -m benchmarks.fetch_process HOME``.

A separate process, like a worker; it prints the seconds for each table name that it reads from its input.
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
    """Return the seconds until the last page of ``table`` is fetched."""
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
    """Yield a function that fetches a table in the process and returns the seconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fetch_process", str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
    )

    def fetch(table: str) -> float:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{table}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    with process:
        yield fetch


if __name__ == "__main__":
    for line in sys.stdin:
        print(fetch_table(Path(sys.argv[1]), line.strip()), flush=True)
