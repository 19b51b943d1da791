"""``python -m benchmarks.chaos --minutes 10 [--seed 7]``: faults to watch, and a table of what was lost.

Exit status 0: nothing was lost. Where mounting is allowed, the home is on a small disk, which is filled.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chaos import disk, processes, verdict
from benchmarks.chaos.campaign import CONNECTIONS, FILLED, Campaign, temporary_home
from benchmarks.chaos.reader import Reader
from benchmarks.chaos.verdict import Line
from benchmarks.loading import unlimited
from tests.support import Unify, serving_demo
from unify.store.queue import Queue

# What the sample API has of each table.
WHOLE = {"orgs": 5, "repos": 15, "pulls": 1200}


def main(arguments: Sequence[str]) -> int:
    given = _arguments(arguments)
    if given.disk is None and not (why_not := disk.why_not()):
        return disk.run_on_one(["--minutes", str(given.minutes), "--seed", str(given.seed)])
    if given.disk is None:
        print(f"no disk is filled: it {why_not}", flush=True)
    print(f"seed {given.seed}, {given.minutes:g} minutes, connections {', '.join(CONNECTIONS)}", flush=True)
    with temporary_home() as name:
        lines = run(Path(name).resolve(), given.minutes * 60, random.Random(given.seed), given.disk)
    return show(lines)


def run(folder: Path, seconds: float, rng: random.Random, small: Path | None = None) -> list[Line]:
    """The whole campaign in ``folder``; gives the lines of the final table. ``small`` is a disk to fill."""
    home = (small or folder) / "home"
    home.mkdir(mode=0o700)
    unify = Unify(home)
    with serving_demo(folder) as api:
        unify.connect("".join(api.connection(name) for name in CONNECTIONS))
        campaign = Campaign(unify, unlimited(folder), rng, small)
        try:
            print(f"   0.0  {campaign.first_load()}", flush=True)
            with Reader(campaign.settings, WHOLE) as reader:
                _storm(campaign, seconds)
                took_s = campaign.settle()
            print(f"{took_s:6.1f} s until everything had ended", flush=True)
        finally:
            campaign.close()
        return _judge(campaign, reader)


def _storm(campaign: Campaign, seconds: float) -> None:
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if said := campaign.strike():
            print(f"{passed:6.1f}  {said}", flush=True)
        time.sleep(campaign.pause_s())


def _judge(campaign: Campaign, reader: Reader) -> list[Line]:
    """Everything that can be counted, now that nobody works any more."""
    settings = campaign.settings
    left = processes.still_there(campaign.seen_workers)
    with Queue(settings.queue) as queue:
        lines = [*verdict.of_jobs(queue, campaign.accepted)]
        jobs = queue.recent(1_000_000)
    counted = campaign.tried
    return [
        *(Line(what, counted[what], 0) for what in sorted(counted) if what != "clock jumps"),
        *lines,
        verdict.of_ledger(settings, jobs),
        verdict.of_tables(settings, WHOLE),
        Line("reads while it went on", reader.reads, len(reader.torn), "; ".join(reader.torn[:1])),
        verdict.of_runs(campaign.queue),
        Line("refreshes and scripts due under a jumping clock", campaign.clock.tried, campaign.clock.lost),
        Line("daemons at work at one time", campaign.most_daemons, max(0, campaign.most_daemons - 1)),
        Line("worker processes", len(campaign.seen_workers), len(left), str(sorted(left)) if left else ""),
        Line("faults refused", sum(counted.values()), len(campaign.refusals), "".join(campaign.refusals[:1])),
        verdict.of_folders(settings),
    ]


def show(lines: Sequence[Line]) -> int:
    """Print the table; the exit status."""
    width = max(len(line.what) for line in lines)
    print(f"\n{'':{width}}  {'tried':>8}  {'lost':>6}")
    for line in lines:
        print(f"{line.what:{width}}  {line.tried:>8,}  {line.lost:>6,}  {line.example}".rstrip())
    if not any(line.what == FILLED and line.tried for line in lines):
        print(f"{FILLED:{width}}  {'not tried':>8}")
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
