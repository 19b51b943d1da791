"""``make bench``: every measurement, one line each.

``python -m benchmarks [TARGET …] [--rows SHARE]`` runs some of them; SHARE, from 0 to 1, reduces the rows.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from benchmarks import (
    column_selection,
    convert,
    database_copies,
    database_writes,
    demo_loads,
    first,
    live_queries,
    load_overhead,
    loads,
    memory,
    million,
    result_files,
    startup,
)

Measurement = Callable[[Path], Iterable[object]]


def targets(share: float) -> Mapping[str, Measurement]:
    """Return the measurements in the order of ``make bench``."""
    return {
        "starting": startup.measure,
        "first": first.measure,
        "convert": convert.measure,
        "demo": demo_loads.measure,
        "loads": partial(loads.measure, share=share),
        "fetching": partial(load_overhead.measure, share=share),
        "latency": partial(load_overhead.measure_latency, share=share),
        "million": partial(million.measure, share=share),
        "databases": partial(_measure_databases, share=share),
        "database_writes": partial(database_writes.measure, share=share),
        "live": partial(live_queries.measure, share=share),
        "files": partial(result_files.measure, share=share),
        "trimmed": partial(column_selection.measure, share=share),
        "memory": partial(memory.measure, share=share),
    }


def _measure_databases(folder: Path, share: float) -> Iterable[object]:
    """Loads, and statements over live tables."""
    yield from database_copies.measure(folder / "copies", share)
    yield from live_queries.measure(folder / "live", share)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *targets(1.0)], metavar="TARGET")
    parser.add_argument("--rows", type=float, default=1.0, metavar="SHARE", help="of the rows, from 0 to 1")
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that daemons and servers are ended
    chosen = targets(words.rows)
    with tempfile.TemporaryDirectory(prefix="unify-bench-") as name:
        for target in words.targets or chosen:
            folder = Path(name) / target
            folder.mkdir()
            print(f"{target}:", flush=True)
            for figure in chosen[target](folder):
                print(f"  {figure}", flush=True)


if __name__ == "__main__":
    main()
