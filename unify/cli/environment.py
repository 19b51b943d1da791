"""Settings from the command line, environment variables and defaults, in this order of precedence."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from unify.config.settings import DEFAULT_TENANT, Settings
from unify.durations import parse_duration
from unify.errors import FileError, UsageError
from unify.fs.paths import absolute_path
from unify.shell.invocation import Invocation
from unify.sizes import parse_size

Environment = Mapping[str, str]

_TENANT_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def build_settings(invocation: Invocation, environment: Environment) -> Settings:
    """Return the settings of this process. Raises UsageError for an invalid value or a missing file."""
    tenant = invocation.tenant or environment.get("UNIFY_TENANT") or DEFAULT_TENANT
    if not _TENANT_PATTERN.fullmatch(tenant):
        raise UsageError(f"--tenant {tenant}: use letters, digits, - and _ only, at most 63")
    root = _home_folder(invocation, environment)
    connections, found = _connections_path(invocation, environment, root)
    settings = Settings(
        home=root if tenant == DEFAULT_TENANT else root / "tenants" / tenant,
        connections=connections,
        connections_found=found,
        specs=_spec_folders(invocation, environment),
        tenant=tenant,
    )
    return apply_limits(settings, environment)


def _home_folder(invocation: Invocation, environment: Environment) -> Path:
    if invocation.home:
        return _option_path("--home", invocation.home)
    if named := environment.get("UNIFY_HOME"):
        return _option_path("UNIFY_HOME", named)
    from platformdirs import user_data_path

    try:
        folder = user_data_path("unify", appauthor=False)
    except RuntimeError:
        folder = Path("~")
    if not folder.is_absolute():  # platformdirs leaves ~ where the user has no home folder
        raise UsageError("the home folder of this user is unknown; set HOME or UNIFY_HOME, or use --home DIR")
    return folder


def _connections_path(invocation: Invocation, environment: Environment, home: Path) -> tuple[Path, bool]:
    """Return --connections, UNIFY_CONNECTIONS, ./connections.yaml if it exists, or the file in ``home``.

    The second value tells whether it was found in the current folder, which is not the home folder.
    """
    if invocation.connections:
        path = _option_path("--connections", invocation.connections)
        if not path.is_file():
            raise UsageError(f"--connections {invocation.connections}: file not found")
        return path, False
    if named := environment.get("UNIFY_CONNECTIONS"):
        return _option_path("UNIFY_CONNECTIONS", named), False
    here, own = Path("connections.yaml"), home / "connections.yaml"
    if not here.is_file():
        return own, False
    return here.absolute(), not (own.is_file() and here.samefile(own))


def _spec_folders(invocation: Invocation, environment: Environment) -> tuple[Path, ...]:
    """Return the spec folders: those of --specs, then those of UNIFY_SPECS, which is separated like PATH."""
    folders = tuple(_option_path("--specs", folder) for folder in invocation.specs)
    for folder, named in zip(folders, invocation.specs, strict=True):
        if not folder.is_dir():
            raise UsageError(f"--specs {named}: folder not found")
    more = filter(None, environment.get("UNIFY_SPECS", "").split(os.pathsep))
    return (*folders, *(_option_path("UNIFY_SPECS", folder) for folder in more))


def _option_path(option: str, path: str) -> Path:
    try:
        return absolute_path(path)
    except FileError as error:
        raise UsageError(f"{option} {error.message}") from error


MAX_WORKERS = 64
MIN_WORKER_MEMORY_BYTES = 256 * 1024**2  # a worker needs about 180 MB for a load; docs/performance.md


def apply_limits(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Apply UNIFY_WORKERS and the other limits. Raises UsageError naming the variable."""
    if text := environment.get("UNIFY_WORKERS"):
        settings = replace(settings, workers=_parse_workers(text))
    if text := environment.get("UNIFY_WORKER_MEMORY"):
        settings = replace(settings, worker_memory_bytes=_parse_memory(text))
    if text := environment.get("UNIFY_IDLE_EXIT"):
        never = text.strip().lower() == "never"
        settings = replace(
            settings, idle_timeout_s=None if never else _parse_seconds("UNIFY_IDLE_EXIT", text)
        )
    if text := environment.get("UNIFY_HISTORY"):
        settings = replace(settings, history_retention_s=_parse_seconds("UNIFY_HISTORY", text))
    if text := environment.get("UNIFY_SCRIPT_TIME"):
        seconds = _parse_seconds("UNIFY_SCRIPT_TIME", text)
        if seconds <= 0:
            raise UsageError(f"UNIFY_SCRIPT_TIME={text}: must be more than 0, such as 1 hour")
        settings = replace(settings, script_timeout_s=seconds)
    return settings


def _parse_workers(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_WORKERS:
        raise UsageError(f"UNIFY_WORKERS={text}: must be a number from 1 to {MAX_WORKERS}")
    return int(text)


def _parse_memory(text: str) -> int:
    try:
        size = parse_size(text)
    except ValueError:
        size = 0
    if size < MIN_WORKER_MEMORY_BYTES:
        raise UsageError(f"UNIFY_WORKER_MEMORY={text}: must be a size of at least 256 MB, such as 2 GB")
    return size


def _parse_seconds(name: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{name}={text}: {error}") from error
