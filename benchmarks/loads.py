"""Rows a second into the warehouse, against others that read the same API: the ratios of docs/performance.md.

One page after the other where the peer knows no better; Unify asks for four side by side, as it does by
default. What is timed is the load: not the start of an interpreter, not the installation of a daemon.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.contenders import PEERS_OF_LOADS, Peer, Unavailable
from benchmarks.house import House, house
from benchmarks.measure import Speed
from benchmarks.tables import Served

ROUNDS = 3
SLOW_S = 20.0  # a peer that takes longer runs once: what disturbs it for a moment is little of that


def measure(folder: Path, share: float = 1.0) -> Iterator[Speed]:
    """100,000 small and 10,000 large objects, or a ``share`` of them, in pages of 100."""
    tables = [
        Served("small", "small", int(100_000 * share), 100),
        Served("large", "large", int(10_000 * share), 100),
    ]
    with house(folder, tables) as unify:
        for table in tables:
            yield from _compare(unify, table)


def _compare(unify: House, table: Served) -> Iterator[Speed]:
    ours: list[float] = []
    theirs: dict[Peer, list[float]] = {peer: [] for peer in PEERS_OF_LOADS if peer.ratio(table.kind)}
    unify.forget_peaks()
    for _ in range(ROUNDS):
        ours.append(unify.timed(f"reload table bench.{table.name}"))
        for peer, seconds in list(theirs.items()):
            if not seconds or max(seconds) < SLOW_S:
                try:
                    seconds.append(peer.seconds(unify.address, table.name, table.rows, table.page_rows))
                except Unavailable as reason:
                    print(f"  (not compared: {reason})", file=sys.stderr, flush=True)
                    del theirs[peer]
    ((stored,),) = unify.run(f"select count(*) from bench.{table.name}")
    assert stored == table.rows, f"{stored} of {table.rows} rows are in the warehouse"
    what = f"{table.name} objects"
    yield Speed(f"{what}: Unify", table.rows, min(ours))
    for peer, seconds in theirs.items():
        yield Speed(f"{what}: {peer.name}", table.rows, min(seconds), min(ours), peer.ratio(table.kind))
