"""The time of a load, against sequential plain requests for the same pages.

Home folder, daemon and sample API are new; the bundled spec is used without its request rate limit.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests
import yaml

from benchmarks.measure import Figure, command_runner
from tests.support.command import UnifyCommand
from tests.support.demo_api import DemoAPI, run_demo_server

SPEC = Path(__file__).parent.parent / "rest_specs" / "github.yaml"
TABLES = ("pulls", "issues", "commits")


def measure(folder: Path) -> Iterator[Figure]:
    """Load the larger tables of the sample API into a new home, without the rate limit of GitHub."""
    with run_demo_server(folder) as api:
        fetch_table(api, TABLES[0])  # the server generates its rows at the first request
        home = folder / "home"
        home.mkdir(mode=0o700)
        unify = UnifyCommand(home)
        unify.write_connections(api.connection_yaml())
        run = [sys.executable, "-m", "unify", "--specs", str(write_spec_without_rate_limit(folder))]
        command_runner([*run, "-c", "load table github.repos"], home)()
        try:
            for table in TABLES:
                alone = fetch_table(api, table)
                began = time.perf_counter()
                command_runner([*run, "-c", f"load table github.{table}"], home)()
                seconds = time.perf_counter() - began
                yield Figure(f"fetching {table} alone", alone, alone)
                yield Figure(f"load table github.{table}", seconds, alone)
        finally:
            unify.stop_daemon()


def fetch_table(api: DemoAPI, table: str) -> float:
    """Return the seconds to read and decode every page of ``table``."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {api.token}"
        repos = session.get(f"{api.url}/user/repos?per_page=100", timeout=60).json()
        began = time.perf_counter()
        for repo in repos:
            address: str | None = f"{api.url}/repos/{repo['full_name']}/{table}?state=all&per_page=100"
            while address:
                answer = session.get(address, timeout=60)
                answer.json()
                address = answer.links.get("next", {}).get("url")
        return time.perf_counter() - began


def write_spec_without_rate_limit(folder: Path) -> Path:
    """Return a folder with the bundled spec without its request rate limit."""
    specs = folder / "specs"
    shutil.rmtree(specs, ignore_errors=True)
    specs.mkdir()
    spec = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    del spec["limits"]["requests_per_second"]
    (specs / "github.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return specs
