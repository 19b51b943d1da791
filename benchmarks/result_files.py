"""A result of a million rows written to a file, against COPY of plain DuckDB on the same rows."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import Figure
from tests.support.command import clean_environment

ROUNDS = 3
CSV_RATIO = 1.5
# Issues as an API lists them: numbers, short and long texts, dates, flags and NULL.
_ROWS = (
    "select i as id, 'user-' || (i % 1000) as login, 'Title, with \"words\" and number ' || i as title, "
    "i * 0.37 as score, (i * 7 / 3)::decimal(14,4) as price, timestamp '2024-01-01' + to_seconds(i) as at, "
    "date '2024-01-01' + (i % 365)::int as day, i % 2 = 0 as open, "
    "case when i % 3 = 0 then null else 'closed' end as state, md5(i::varchar) as hash "
    "from range({rows}) t(i)"
)
_DUCKDB = (sys.executable, "-c", "import duckdb, sys; duckdb.execute(sys.argv[1])")
_REFERENCES = {"csv": "format csv", "jsonl": "format json"}  # the formats that COPY writes


def measure(home: Path, share: float = 1.0) -> Iterator[Figure]:
    """Compare processor time: the write and the start of the process, on all cores together."""
    source = home / "rows.parquet"
    rows = _ROWS.format(rows=int(1_000_000 * share))
    _cpu_s([*_DUCKDB, f"copy ({rows}) to '{source}'"], home)
    ours: dict[str, list[float]] = {format: [] for format in ("csv", "jsonl", "json", "markdown", "html")}
    reference: dict[str, list[float]] = {format: [] for format in _REFERENCES}
    for _ in range(ROUNDS):
        for format, options in _REFERENCES.items():
            copy = f"copy (from '{source}') to '{home / 'reference'}' ({options})"
            reference[format].append(_cpu_s([*_DUCKDB, copy], home))
        for format, seconds in ours.items():
            words = ["-o", f"rows.{format}", "--format", format, "-c", f"from '{source}'"]
            seconds.append(_cpu_s([sys.executable, "-m", "unify", *words], home))
    for format, seconds in ours.items():
        beside = "csv" if format not in reference else format
        promised = CSV_RATIO if format in reference else None
        yield Figure(f"{format}, beside COPY to {beside}", min(seconds), min(reference[beside]), promised)


def _cpu_s(command: Sequence[str], home: Path) -> float:
    """Run a command; return its processor time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, cwd=home, env=clean_environment(home))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
