"""The cost of a load beyond fetching: against the same client that discards the pages.

With a latency of 50 ms the reference is computed: pages ÷ parallel requests × 50 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench_home import benchmark_home
from benchmarks.fetch_process import run_fetch_process
from benchmarks.measure import Figure
from benchmarks.tables import BenchmarkTable

ROUNDS = 5
DELAY_MS = 50
CONCURRENCY = 8


def measure(folder: Path, share: float = 1.0) -> Iterator[Figure]:
    """Load small objects in pages of 100 and of 1,000, and large ones in pages of 100."""
    tables = [
        BenchmarkTable("small", "small", int(100_000 * share), 100),
        BenchmarkTable("small_1000", "small", int(100_000 * share), 1000),
        BenchmarkTable("large", "large", int(10_000 * share), 100),
    ]
    with benchmark_home(folder, tables) as unify, run_fetch_process(unify.settings.home) as fetch:
        for table in tables:
            loads, alone = [], []
            for _ in range(ROUNDS):
                loads.append(unify.time_statement(f"reload table bench.{table.name}"))
                alone.append(fetch(table.name))
            what = f"{table.kind} objects, pages of {table.page_rows:,}"
            yield Figure(f"fetching alone: {what}", min(alone), min(alone))
            yield Figure(f"loading: {what}", min(loads), min(alone), 1.5)


def measure_latency(folder: Path, share: float = 1.0) -> Iterator[Figure]:
    """Load 1,000 pages with a latency of 50 ms and 8 parallel requests."""
    table = BenchmarkTable("slow", "small", int(100_000 * share), 100, DELAY_MS)
    with benchmark_home(folder, [table], concurrency=CONCURRENCY) as unify:
        seconds = min(unify.time_statement("reload table bench.slow") for _ in range(2))
        least = table.pages / CONCURRENCY * DELAY_MS / 1000
        yield Figure(
            f"{table.pages:,} pages after {DELAY_MS} ms, {CONCURRENCY} side by side", seconds, least, 1.3
        )
