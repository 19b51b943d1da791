"""The folder of temporary files: in memory, where a commit or a removed file costs no wait for a disk.

``fsync`` and ``unlink`` take milliseconds on a disk; the homes of the tests need thousands of them.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MEMORY_FOLDER = Path("/dev/shm")
NEEDED_BYTES = 3 << 30  # the largest tests write 600 MB each; folders of passed tests are removed


def use_memory_folder() -> None:
    """Put temporary files into memory if ``TMPDIR`` is not set and there is enough; processes inherit it."""
    if "TMPDIR" not in os.environ and _is_usable(MEMORY_FOLDER):
        os.environ["TMPDIR"] = str(MEMORY_FOLDER)
        tempfile.tempdir = None  # read TMPDIR again


def _is_usable(folder: Path) -> bool:
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return False
    status = os.statvfs(folder)
    is_executable = not status.f_flag & os.ST_NOEXEC  # tests run programs of environments that they create
    return is_executable and status.f_bavail * status.f_frsize >= NEEDED_BYTES
