"""``python -m benchmarks.chaos --minutes 10 [--seed 7]``: inject faults and print a table of losses.

Exit status 0: nothing was lost. If mounting is allowed, the home is on a small disk, which is filled.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chaos import disk, processes, verdict
from benchmarks.chaos.faults import CONNECTIONS, DISKS_FILLED, Campaign, temporary_home
from benchmarks.chaos.reader import Reader
from benchmarks.chaos.verdict import ReportLine
from benchmarks.demo_loads import write_spec_without_rate_limit
from tests.support.command import UnifyCommand
from tests.support.demo_api import run_demo_server
from unify.queue.queue import Queue

# Rows of each table of the sample API.
EXPECTED_ROWS = {"orgs": 5, "repos": 15, "pulls": 1200}


def main(arguments: Sequence[str]) -> int:
    given = _arguments(arguments)
    if given.disk is None and not (why_not := disk.unsupported_reason()):
        return disk.run_on_small_disk(["--minutes", str(given.minutes), "--seed", str(given.seed)])
    if given.disk is None:
        print(f"no disk is filled: it {why_not}", flush=True)
    print(f"seed {given.seed}, {given.minutes:g} minutes, connections {', '.join(CONNECTIONS)}", flush=True)
    with temporary_home() as name:
        lines = run(Path(name).resolve(), given.minutes * 60, random.Random(given.seed), given.disk)
    return print_report(lines)


def run(folder: Path, seconds: float, rng: random.Random, disk: Path | None = None) -> list[ReportLine]:
    """Run the campaign in ``folder``; return the lines of the final table. ``disk`` is filled if given."""
    home = (disk or folder) / "home"
    home.mkdir(mode=0o700)
    unify = UnifyCommand(home)
    with run_demo_server(folder) as api:
        unify.write_connections("".join(api.connection_yaml(name) for name in CONNECTIONS))
        campaign = Campaign(unify, write_spec_without_rate_limit(folder), rng, disk)
        try:
            print(f"   0.0  {campaign.first_load()}", flush=True)
            with Reader(campaign.settings, EXPECTED_ROWS) as reader:
                _inject_faults(campaign, seconds)
                took_s = campaign.wait_until_quiet()
            print(f"{took_s:6.1f} s until everything had ended", flush=True)
        finally:
            campaign.close()
        return _check_results(campaign, reader)


def _inject_faults(campaign: Campaign, seconds: float) -> None:
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if description := campaign.inject_fault():
            print(f"{passed:6.1f}  {description}", flush=True)
        time.sleep(campaign.pause_s())


def _check_results(campaign: Campaign, reader: Reader) -> list[ReportLine]:
    """Return the lines of the final table, after all work has ended."""
    settings = campaign.settings
    left = processes.surviving_workers(campaign.seen_workers)
    with Queue(settings.queue) as queue:
        lines = [*verdict.check_jobs(queue, campaign.accepted_jobs)]
        jobs = queue.recent_jobs(1_000_000)
    counted = campaign.fault_counts
    return [
        *(ReportLine(what, counted[what], 0) for what in sorted(counted) if what != "clock jumps"),
        *lines,
        verdict.check_ledger(settings, jobs),
        verdict.check_tables(settings, EXPECTED_ROWS),
        ReportLine(
            "reads while it went on", reader.reads, len(reader.problems), "; ".join(reader.problems[:1])
        ),
        verdict.check_script_runs(campaign.queue),
        ReportLine(
            "refreshes and scripts due under a jumping clock", campaign.clock.checked, campaign.clock.lost
        ),
        ReportLine("daemons at work at one time", campaign.max_daemons, max(0, campaign.max_daemons - 1)),
        ReportLine(
            "worker processes", len(campaign.seen_workers), len(left), str(sorted(left)) if left else ""
        ),
        ReportLine(
            "faults refused",
            sum(counted.values()),
            len(campaign.refused_faults),
            "".join(campaign.refused_faults[:1]),
        ),
        verdict.check_folders(settings),
    ]


def print_report(lines: Sequence[ReportLine]) -> int:
    """Print the table; return the exit status."""
    width = max(len(line.label) for line in lines)
    print(f"\n{'':{width}}  {'tried':>8}  {'lost':>6}")
    for line in lines:
        print(f"{line.label:{width}}  {line.checked:>8,}  {line.lost:>6,}  {line.example}".rstrip())
    if not any(line.label == DISKS_FILLED and line.checked for line in lines):
        print(f"{DISKS_FILLED:{width}}  {'not tried':>8}")
    lost = sum(line.lost for line in lines)
    print(f"\n{'nothing was lost' if not lost else f'{lost} LOST'}", flush=True)
    return 1 if lost else 0


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--disk", type=Path, help=argparse.SUPPRESS)  # one that is ours alone
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
