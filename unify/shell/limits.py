"""The daemon's limits, as the environment sets them in UNIFY_WORKERS and its like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from unify.durations import parse_duration
from unify.errors import UsageError
from unify.settings import Settings

MOST_WORKERS = 64
LEAST_MEMORY = 256 * 1024**2  # less than that and no load gets anywhere

_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([kmgt])i?b?", re.IGNORECASE)
_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def with_limits(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """``settings`` with what the environment says. Raises UsageError naming the variable."""
    if text := environment.get("UNIFY_WORKERS"):
        settings = replace(settings, workers=_workers(text))
    if text := environment.get("UNIFY_WORKER_MEMORY"):
        settings = replace(settings, worker_memory_bytes=_memory(text))
    if text := environment.get("UNIFY_IDLE_EXIT"):
        settings = replace(settings, idle_exit_s=_idle_exit(text))
    if text := environment.get("UNIFY_HISTORY"):
        settings = replace(settings, kept_history_s=_seconds("UNIFY_HISTORY", text))
    if text := environment.get("UNIFY_SCRIPT_TIME"):
        settings = replace(settings, script_time_s=_script_time(text))
    return settings


def _workers(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_WORKERS:
        raise UsageError(f"UNIFY_WORKERS={text}: a number from 1 to {MOST_WORKERS} is needed")
    return int(text)


def _memory(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * _UNITS[found[2].lower()]) if found else 0
    if size < LEAST_MEMORY:
        raise UsageError(f"UNIFY_WORKER_MEMORY={text}: a size of 256 MB or more is needed, such as 2 GB")
    return size


def _idle_exit(text: str) -> float | None:
    if text.strip().lower() == "never":
        return None
    return _seconds("UNIFY_IDLE_EXIT", text)


def _seconds(name: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{name}={text}: {error}") from error


def _script_time(text: str) -> float:
    seconds = _seconds("UNIFY_SCRIPT_TIME", text)
    if seconds <= 0:
        raise UsageError(f"UNIFY_SCRIPT_TIME={text}: a script needs some time, such as 1 hour")
    return seconds
