"""Limits of the system on this process: open files, processes and threads, memory."""

from __future__ import annotations

import re

MIN_OPEN_FILES = 64  # of the daemon with four workers; a shell needs 30
_WANTED_OPEN_FILES = 1024

_SHORTAGES = (
    (
        "too many open files",
        "too many files are open; raise the limit (ulimit -n): {files} may be open, and 64 are enough",
    ),
    (
        "can't start new thread|resource temporarily unavailable|cannot join thread",
        "no process or thread can be started; raise the limit (ulimit -u, or that of the container): "
        "32 are enough",
    ),
    (
        r"cannot allocate memory|\bMemoryError\b|\bbad_alloc\b|failed to map segment",
        "there is not enough memory; free some, or raise the limit (ulimit -v, or that of the container): "
        "1 GB is enough",
    ),
)


def raise_open_files() -> int:
    """Raise the limit of open files of this process and its children if it is low; return it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _WANTED_OPEN_FILES:
        return _WANTED_OPEN_FILES
    wanted = _WANTED_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def shortage_advice(error: BaseException | str) -> str:
    """Return what the system refuses to this process and what to do, "" for other errors."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    found = next((advice for pattern, advice in _SHORTAGES if re.search(pattern, text, re.IGNORECASE)), "")
    return found.format(files=_open_files()) if "{files}" in found else found


def _open_files() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
