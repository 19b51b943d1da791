"""The peers, each in its own environment in the user's cache folder, installed at first use."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from benchmarks.measure import Measured

PEERS_FOLDER = Path(__file__).parent / "peers"
INSTALL_S = 900
RUN_S = 900


class PeerUnavailable(Exception):
    """A peer is not available; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that Unify is compared with.

    ``script``   in benchmarks/peers; ``mode`` is its last argument, if it takes one.
    ``promised`` the promised ratio of rows per second, by kind of row.
    """

    name: str
    packages: tuple[str, ...]
    script: str
    mode: str = ""
    promised: tuple[tuple[str, float], ...] = ()

    def promised_ratio(self, kind: str) -> float | None:
        """Return the promised ratio for rows of this kind; None if they are not compared."""
        return dict(self.promised).get(kind)

    def measure_load(self, address: str, table: str, rows: int, page_rows: int) -> Measured:
        """Return the time of a load of ``table``. Raises PeerUnavailable if it is not installed or fails."""
        python = _ensure_environment(self.packages)
        with tempfile.TemporaryDirectory(prefix="unify-bench-peer-") as folder:
            words = [python, PEERS_FOLDER / self.script, address, table, str(page_rows), folder]
            done = subprocess.run(
                [*map(str, words), *filter(None, [self.mode])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                cwd=folder,
                timeout=RUN_S,
            )
            result = Path(folder) / "result.json"
            if done.returncode or not result.exists():
                raise PeerUnavailable(f"{self.name} failed: {done.stderr.strip().splitlines()[-1:]}")
            report = json.loads(result.read_text())
        if report.get("rows", rows) != rows:
            raise PeerUnavailable(f"{self.name} stored {report['rows']:,} of {rows:,} rows")
        return Measured(float(report["seconds"]), float(report["cpu_s"]))


LOAD_PEERS = (
    Peer(
        "dlt rest_api, as documented",
        ("dlt[duckdb,parquet]",),
        "dlt_rest_api.py",
        "documented",
        (("small", 20), ("large", 40)),
    ),
    Peer(
        "dlt rest_api, at its fastest",
        ("dlt[duckdb,parquet]",),
        "dlt_rest_api.py",
        "fastest",
        (("small", 7), ("large", 5)),
    ),
    Peer(
        "Airbyte's CDK, storing nothing",
        ("airbyte-cdk",),
        "airbyte_declarative.py",
        "",
        (("small", 3), ("large", 1.5)),
    ),
    Peer("unifydb 0.2.3", ("unifydb==0.2.3", "numpy<2"), "unifydb_load.py", "", (("small", 6),)),
)


def _ensure_environment(packages: tuple[str, ...]) -> Path:
    """Return the interpreter of an environment with these packages, which is kept between runs."""
    name = "".join(c if c.isalnum() or c in "-." else "_" for c in packages[0])
    folder = platformdirs.user_cache_path("unify-benchmarks") / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "install.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _install(folder, packages)
    return folder / "bin" / "python"


def _install(folder: Path, packages: tuple[str, ...]) -> None:
    print(f"  (installing {' '.join(packages)}, once)", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    if done.returncode:
        raise PeerUnavailable(
            f"{' '.join(packages)} cannot be installed: {done.stderr.strip().splitlines()[-1:]}"
        )
    (folder / "complete").touch()
