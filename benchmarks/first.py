"""The first query of a table, from the command to its answer, against an interpreter that does nothing.

All ways run in turns, each in a home folder of its own, and the fastest of each counts. The table has eleven
pages; the time that the API takes for them is measured with a client of its own and subtracted. The steps of
a cold query are those of its fastest run, as the log of the daemon says when each ended.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.bench_home import daemon_cpu_s, write_bench_spec
from benchmarks.measure import Figure, best_in_turns
from benchmarks.server import run_server
from benchmarks.tables import BenchmarkTable
from unify.config.settings import Settings
from unify.status.launch import stop_daemon

ROUNDS = 7
TABLE = BenchmarkTable("pages", "small", rows=1100, page_rows=100)
_UNIFY = (sys.executable, "-m", "unify")
_EVENT = re.compile(r"^(\S+) \d+ (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the report: a step of the cold query."""

    label: str
    seconds: float

    def __str__(self) -> str:
        return f"    {self.label:<42} {self.seconds * 1000:>9,.0f} ms"


@dataclass(frozen=True, slots=True)
class ColdRun:
    """A cold query: when the command began and ended (seconds since 1970), and what its home logged."""

    began: float
    ended: float
    events: Mapping[str, float]
    cpu_s: Sequence[float] = ()  # of the daemon and of its worker

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def steps(self) -> Iterator[Step]:
        """Yield the steps in their order; the daemon starts while the shell opens the lake."""
        at = self.began
        for label, event in (
            ("shell: start, until its daemon runs", "daemon.started"),
            ("daemon: until a worker has the load", "load.started"),
            ("worker: until the rows are staged", "load.staged"),
            ("daemon: publish", "load.done"),
        ):
            yield Step(label, self.events[event] - at)
            at = self.events[event]
        yield Step("shell: query and answer", self.ended - at)
        for label, cpu_s in zip(("CPU of the daemon", "CPU of its worker"), self.cpu_s, strict=False):
            yield Step(label, cpu_s)


def measure(folder: Path) -> Iterator[Figure | Step]:
    """Run the ways in turns and yield the fastest of each, then the steps of the cold query."""
    tables = [
        BenchmarkTable(f"pages{number}", TABLE.kind, TABLE.rows, TABLE.page_rows)
        for number in range(ROUNDS + 1)
    ]
    stored, *others = [table.name for table in tables]
    not_loaded = iter(others)
    cold: list[ColdRun] = []
    with run_server(tables) as address:
        warm = _create_home(folder / "warm", tables, address)
        try:
            _query(warm, stored)
            found = best_in_turns(
                {
                    "python": lambda: _run([sys.executable, "-c", "pass"], warm),
                    "cold": lambda: cold.append(_run_cold(folder / f"cold{len(cold)}", tables, address)),
                    "warm": lambda: _query(warm, next(not_loaded)),
                    "stored": lambda: _query(warm, stored),
                    "api": lambda: _fetch_pages(address, stored),
                },
                ROUNDS,
            )
        finally:
            stop_daemon(warm)
    python, api_s = found["python"], found["api"].seconds
    fastest = min(cold, key=lambda run: run.seconds)
    yield Figure("python -c pass", python.seconds, python.seconds)
    yield Figure(f"the API, {TABLE.pages} pages (subtracted below)", api_s, python.seconds)
    yield Figure("first query: no daemon, no lake", fastest.seconds - api_s, python.seconds, 60)
    yield from fastest.steps()
    yield Figure("first query of a table: warm daemon", found["warm"].seconds - api_s, python.seconds, 35)
    stored_cpu_ratio = (found["stored"].cpu_s or 0.0) / (python.cpu_s or 1.0)
    yield Figure("query of a stored table", found["stored"].seconds, python.seconds, 20, stored_cpu_ratio)


def _create_home(home: Path, tables: Sequence[BenchmarkTable], address: str) -> Settings:
    home.mkdir()
    settings = Settings(home / "home", home / "connections.yaml", specs=(home / "specs",))
    write_bench_spec(settings, tables, address)
    return settings


def _run_cold(home: Path, tables: Sequence[BenchmarkTable], address: str) -> ColdRun:
    settings = _create_home(home, tables, address)
    try:
        began = time.time()
        _query(settings, tables[0].name)
        ended = time.time()
        cpu_s = daemon_cpu_s(settings) or ()
    finally:
        stop_daemon(settings)
    log = (settings.logs / "daemon.log").read_text("utf-8")
    events = {event: datetime.fromisoformat(at).timestamp() for at, event in _EVENT.findall(log)}
    return ColdRun(began, ended, events, cpu_s)


def _query(settings: Settings, table: str) -> None:
    options = ["--connections", str(settings.connections), "--specs", str(settings.specs[0])]
    printed = _run([*_UNIFY, *options, "-c", f"select count(*) from bench.{table}"], settings)
    if printed.split() != ["count_star()", str(TABLE.rows)]:
        raise RuntimeError(f"unexpected answer: {printed}")


def _run(command: Sequence[str], settings: Settings) -> str:
    from tests.support.command import clean_environment

    environment = clean_environment(settings.home)
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        cwd=os.fspath(settings.connections.parent),
        env=environment,
    )
    return done.stdout


def _fetch_pages(address: str, name: str) -> None:
    """Fetch every page with the client of Python's library, one after the other."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc)
    for page in range(1, TABLE.pages + 1):
        connection.request("GET", f"/{name}?page={page}&size={TABLE.page_rows}")
        connection.getresponse().read()
    connection.close()
