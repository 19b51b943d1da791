"""Third-party servers: each package is installed in its own environment, in a cache outside the repository.

A test is skipped with the reason if its package cannot be installed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO

import platformdirs
import pytest

from tests.support.command import clean_environment

# Servers written in JavaScript listen on every interface; here only this machine may reach them.
LOOPBACK_ONLY = """
const { Server } = require("node:net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (port) {
  this.once("listening", () => console.log(`listening on http://127.0.0.1:${this.address().port}`));
  return listen.call(this, port, "127.0.0.1");
};
"""
LISTENING_PATTERN = re.compile(
    r"(?:listening|running|serving) on (http://127\.0\.0\.1:[0-9]+)", re.IGNORECASE
)


def install_npm_program(package: str, program: str = "") -> Path:
    """Return a program of an npm package (``name@version``); install the package if necessary."""
    for needed in ("node", "npm"):
        if shutil.which(needed) is None:
            pytest.skip(f"{package} needs {needed}, which is not installed: nothing was compared")
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]
    folder = _ensure_installed(package, lambda fresh: [[*command, str(fresh), package]])
    return folder / "node_modules" / ".bin" / (program or package.partition("@")[0])


def install_python_program(requirement: str, program: str, *others: str) -> Path:
    """Return a program of a Python package (``name==version``); install it, with others, if necessary."""

    def commands(fresh: Path) -> list[list[str]]:
        pip = [
            str(fresh / "bin" / "python"),
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
        ]
        return [[sys.executable, "-m", "venv", str(fresh)], [*pip, requirement, *others]]

    return _ensure_installed(requirement, commands) / "bin" / program


@contextmanager
def run_server(
    command: Sequence[object], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a server until the block ends; yield the URL that it prints."""
    loopback = folder / "loopback.cjs"
    loopback.write_text(LOOPBACK_ONLY, encoding="utf-8")
    own = {"NODE_OPTIONS": f"--require {loopback}", "PYTHONUNBUFFERED": "1", **(environment or {})}
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=clean_environment(folder, own),
    )
    with process:
        assert process.stdout is not None
        try:
            address = _wait_for_address(process.stdout)
            rest = Thread(target=process.stdout.read, daemon=True)  # a full pipe would stop the server
            rest.start()
            yield address
        finally:
            process.kill()
        rest.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_address(output: IO[str]) -> str:
    """Return the URL that the server prints; raise with its output if it ends before."""
    printed = ""
    for line in output:
        printed += line
        if found := LISTENING_PATTERN.search(line):
            return found[1]
    raise AssertionError(f"the server did not start:\n{printed}")


def _ensure_installed(package: str, commands: Callable[[Path], list[list[str]]]) -> Path:
    """Return the folder of the installed package; skip the test with the reason if that fails."""
    cache = platformdirs.user_cache_path("unify-tests") / package
    cache.parent.mkdir(parents=True, exist_ok=True)
    with (cache.parent / "install.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "complete").exists():
            _install(package, cache, commands)
    return cache


def _install(package: str, folder: Path, commands: Callable[[Path], list[list[str]]]) -> None:
    """Install in the final folder, since virtual environments cannot be moved; write the marker file last."""
    shutil.rmtree(folder, ignore_errors=True)
    for command in commands(folder):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            pytest.skip(f"{package} could not be installed: nothing was compared\n{done.stderr[-2000:]}")
    (folder / "complete").write_text(f"process {os.getpid()}\n")
