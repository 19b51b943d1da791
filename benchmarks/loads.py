"""Rows per second into the warehouse, against peers on the same API: the ratios of docs/performance.md.

Peers without parallel requests read sequentially; Unify sends four requests in parallel, its default. Only
the load is timed, not the start of an interpreter or a daemon.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bench_home import BenchmarkHome, benchmark_home
from benchmarks.measure import Measured, Speed
from benchmarks.peer_loads import LOAD_PEERS, Peer, PeerUnavailable
from benchmarks.tables import BenchmarkTable

ROUNDS = 3
SLOW_S = 20.0  # seconds; a slower peer runs once, since short disturbances matter less


def measure(folder: Path, share: float = 1.0) -> Iterator[Speed]:
    """Load 100,000 small and 10,000 large objects, or a ``share`` of them, in pages of 100."""
    tables = [
        BenchmarkTable("small", "small", int(100_000 * share), 100),
        BenchmarkTable("large", "large", int(10_000 * share), 100),
    ]
    with benchmark_home(folder, tables) as unify:
        for table in tables:
            yield from _compare_with_peers(unify, table)


def _compare_with_peers(unify: BenchmarkHome, table: BenchmarkTable) -> Iterator[Speed]:
    ours: list[Measured] = []
    theirs: dict[Peer, list[Measured]] = {peer: [] for peer in LOAD_PEERS if peer.promised_ratio(table.kind)}
    for _ in range(ROUNDS):
        ours.append(unify.measure_statement(f"reload table bench.{table.name}"))
        for peer, rounds in list(theirs.items()):
            if not rounds or _fastest(rounds).seconds < SLOW_S:
                try:
                    rounds.append(peer.measure_load(unify.address, table.name, table.rows, table.page_rows))
                except PeerUnavailable as reason:
                    print(f"  (not compared: {reason})", file=sys.stderr, flush=True)
                    del theirs[peer]
    ((stored,),) = unify.run_statement(f"select count(*) from bench.{table.name}")
    assert stored == table.rows, f"{stored} of {table.rows} rows are in the warehouse"
    what, best = f"{table.name} objects", _fastest(ours)
    yield Speed(f"{what}: Unify", table.rows, best.seconds, best.cpu_s)
    for peer, rounds in theirs.items():
        found = _fastest(rounds)
        yield Speed(
            f"{what}: {peer.name}",
            table.rows,
            found.seconds,
            found.cpu_s,
            best.seconds,
            peer.promised_ratio(table.kind),
        )


def _fastest(rounds: Sequence[Measured]) -> Measured:
    return min(rounds, key=lambda took: took.seconds)
