"""Where everything is: the command line before the environment before the usual places.

The daemon's limits, as the environment sets them in UNIFY_WORKERS and its like.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from unify.config.settings import DEFAULT_TENANT, Settings
from unify.durations import parse_duration
from unify.errors import UsageError
from unify.shell import invocation as shell_invocation

Environment = Mapping[str, str]

_TENANT_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def build_settings(invocation: shell_invocation.Invocation, environment: Environment) -> Settings:
    """The settings of a process. Raises UsageError for what was named and is not there."""

    tenant = invocation.tenant or environment.get("UNIFY_TENANT") or DEFAULT_TENANT
    if not _TENANT_PATTERN.fullmatch(tenant):
        raise UsageError(f"--tenant {tenant}: a name of letters, digits, - and _ is needed")
    root = _home_folder(invocation, environment)
    settings = Settings(
        home=root if tenant == DEFAULT_TENANT else root / "tenants" / tenant,
        connections=_connections_path(invocation, environment, root),
        specs=_spec_folders(invocation, environment),
        tenant=tenant,
    )
    return apply_limits(settings, environment)


def _home_folder(invocation: shell_invocation.Invocation, environment: Environment) -> Path:
    named = invocation.home or environment.get("UNIFY_HOME")
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("unify", appauthor=False)


def _connections_path(invocation: shell_invocation.Invocation, environment: Environment, home: Path) -> Path:
    """The first of the documented places; one that was named has to be there."""
    if invocation.connections:
        path = Path(invocation.connections).expanduser().absolute()
        if not path.is_file():
            raise UsageError(f"--connections {invocation.connections}: there is no such file")
        return path
    if named := environment.get("UNIFY_CONNECTIONS"):
        return Path(named).expanduser().absolute()
    here = Path("connections.yaml").absolute()
    return here if here.is_file() else home / "connections.yaml"


def _spec_folders(invocation: shell_invocation.Invocation, environment: Environment) -> tuple[Path, ...]:
    """Folders of specs, those of the command line first; UNIFY_SPECS separates like PATH."""
    for folder in invocation.specs:
        if not Path(folder).expanduser().is_dir():
            raise UsageError(f"--specs {folder}: there is no such folder")
    named = [*invocation.specs, *filter(None, environment.get("UNIFY_SPECS", "").split(os.pathsep))]
    return tuple(Path(folder).expanduser().absolute() for folder in named)


MAX_WORKERS = 64
MIN_WORKER_MEMORY_BYTES = 256 * 1024**2  # less than that and no load gets anywhere

_SIZE_PATTERN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([kmgt])i?b?", re.IGNORECASE)
_BYTES_PER_UNIT = {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def apply_limits(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """``settings`` with what the environment says. Raises UsageError naming the variable."""
    if text := environment.get("UNIFY_WORKERS"):
        settings = replace(settings, workers=_parse_workers(text))
    if text := environment.get("UNIFY_WORKER_MEMORY"):
        settings = replace(settings, worker_memory_bytes=_parse_memory(text))
    if text := environment.get("UNIFY_IDLE_EXIT"):
        settings = replace(settings, idle_timeout_s=_parse_idle_exit(text))
    if text := environment.get("UNIFY_HISTORY"):
        settings = replace(settings, history_retention_s=_parse_seconds("UNIFY_HISTORY", text))
    if text := environment.get("UNIFY_SCRIPT_TIME"):
        settings = replace(settings, script_timeout_s=_parse_script_time(text))
    return settings


def _parse_workers(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_WORKERS:
        raise UsageError(f"UNIFY_WORKERS={text}: a number from 1 to {MAX_WORKERS} is needed")
    return int(text)


def _parse_memory(text: str) -> int:
    found = _SIZE_PATTERN.fullmatch(text.strip())
    size = int(float(found[1]) * _BYTES_PER_UNIT[found[2].lower()]) if found else 0
    if size < MIN_WORKER_MEMORY_BYTES:
        raise UsageError(f"UNIFY_WORKER_MEMORY={text}: a size of 256 MB or more is needed, such as 2 GB")
    return size


def _parse_idle_exit(text: str) -> float | None:
    if text.strip().lower() == "never":
        return None
    return _parse_seconds("UNIFY_IDLE_EXIT", text)


def _parse_seconds(name: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{name}={text}: {error}") from error


def _parse_script_time(text: str) -> float:
    seconds = _parse_seconds("UNIFY_SCRIPT_TIME", text)
    if seconds <= 0:
        raise UsageError(f"UNIFY_SCRIPT_TIME={text}: a script needs some time, such as 1 hour")
    return seconds
