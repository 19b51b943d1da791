"""Rows a second into the warehouse, against others that read the same API: the ratios of docs/performance.md.

One page after the other where the peer knows no better; Unify asks for four side by side, as it does by
default. What is timed is the load: not the start of an interpreter, not the installation of a daemon.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.contenders import PEERS_OF_LOADS, Peer, Unavailable
from benchmarks.house import House, house
from benchmarks.measure import Speed, Took
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
    ours: list[Took] = []
    theirs: dict[Peer, list[Took]] = {peer: [] for peer in PEERS_OF_LOADS if peer.ratio(table.kind)}
    for _ in range(ROUNDS):
        ours.append(unify.took(f"reload table bench.{table.name}"))
        for peer, rounds in list(theirs.items()):
            if not rounds or _best(rounds).seconds < SLOW_S:
                try:
                    rounds.append(peer.load(unify.address, table.name, table.rows, table.page_rows))
                except Unavailable as reason:
                    print(f"  (not compared: {reason})", file=sys.stderr, flush=True)
                    del theirs[peer]
    ((stored,),) = unify.run(f"select count(*) from bench.{table.name}")
    assert stored == table.rows, f"{stored} of {table.rows} rows are in the warehouse"
    what, best = f"{table.name} objects", _best(ours)
    yield Speed(f"{what}: Unify", table.rows, best.seconds, best.cpu_s)
    for peer, rounds in theirs.items():
        found = _best(rounds)
        yield Speed(
            f"{what}: {peer.name}",
            table.rows,
            found.seconds,
            found.cpu_s,
            best.seconds,
            peer.ratio(table.kind),
        )


def _best(rounds: Sequence[Took]) -> Took:
    return min(rounds, key=lambda took: took.seconds)
