"""The machine this process runs on."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux; see random(4)


@cache
def boot_id() -> str:
    """Return what identifies the time since the machine was started; "" where the system does not tell."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""
