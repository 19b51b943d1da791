"""A small disk for the campaign."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SIZE = "512m"  # ten minutes of loads need some 200 MB
BALLAST = "ballast"
CHUNK = bytes(1024 * 1024)


def unsupported_reason() -> str:
    """Return why a disk cannot be mounted; "" if it can."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        return "takes root and unshare"
    tried = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
    )
    return "" if tried.returncode == 0 else f"mounting is not allowed: {tried.stderr.strip()}"


def run_on_small_disk(arguments: Sequence[str]) -> int:
    """Run the campaign in a process with the disk mounted for it alone; return its exit status."""
    with tempfile.TemporaryDirectory(prefix="unify-disk-") as folder:
        mount = f'mount -t tmpfs -o size={SIZE},mode=0700 tmpfs "$0" && exec "$@"'
        campaign = [sys.executable, "-m", "benchmarks.chaos", *arguments, "--disk", folder]
        return subprocess.run(["unshare", "-m", "sh", "-c", mount, folder, *campaign], check=False).returncode


def fill_disk(disk: Path) -> int:
    """Fill the disk; return the number of bytes that were free."""
    filled = 0
    with (disk / BALLAST).open("wb", buffering=0) as ballast:
        for chunk in (CHUNK, CHUNK[:4096], b"x"):
            try:
                while written := ballast.write(chunk):
                    filled += written
            except OSError:
                continue
    return filled


def free_disk(disk: Path) -> None:
    (disk / BALLAST).unlink(missing_ok=True)
