"""The sample API as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.support.command import clean_environment


@dataclass(frozen=True, slots=True)
class DemoAPI:
    """A running sample API; ``log`` has one line for each request: method, path with query, status."""

    url: str
    token: str
    log: Path
    process: subprocess.Popen[str]

    def connection_yaml(self, name: str = "github") -> str:
        """Return an entry of connections.yaml for this API."""
        return f"{name}:\n  adapter: github\n  options:\n    token: {self.token}\n    base_url: {self.url}\n"

    def logged_requests(self) -> list[str]:
        """Return the requests so far, oldest first, such as ``GET /user/repos?page=2 200``."""
        return self.log.read_text(encoding="utf-8").splitlines()


@contextmanager
def run_demo_server(folder: Path, *arguments: str, token: str = "demo") -> Iterator[DemoAPI]:
    """Run the sample API as a process; it ends with its standard input."""
    log = folder / "requests.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "unify.demo.server", "--token", token, "--log", str(log), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(folder),
        cwd=folder,
    )
    with process:
        try:
            yield DemoAPI(_read_address(process.stdout), token, log, process)
        finally:
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _read_address(stdout: IO[str] | None) -> str:
    assert stdout is not None
    line = stdout.readline()
    assert line.startswith("listening on http://127.0.0.1:"), f"the sample API did not start: {line!r}"
    return line.removeprefix("listening on ").strip()
