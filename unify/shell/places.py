"""Where everything is: the command line before the environment before the usual places."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from unify.errors import UsageError
from unify.settings import DEFAULT_TENANT, Settings
from unify.shell import cli

Environment = Mapping[str, str]

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def settings_for(invocation: cli.Invocation, environment: Environment) -> Settings:
    """The settings of a process. Raises UsageError for what was named and is not there."""
    from unify.shell.limits import with_limits

    tenant = invocation.tenant or environment.get("UNIFY_TENANT") or DEFAULT_TENANT
    if not _TENANT.fullmatch(tenant):
        raise UsageError(f"--tenant {tenant}: a name of letters, digits, - and _ is needed")
    root = _home(invocation, environment)
    settings = Settings(
        home=root if tenant == DEFAULT_TENANT else root / "tenants" / tenant,
        connections=_connections(invocation, environment, root),
        specs=_specs(invocation, environment),
        tenant=tenant,
    )
    return with_limits(settings, environment)


def _home(invocation: cli.Invocation, environment: Environment) -> Path:
    named = invocation.home or environment.get("UNIFY_HOME")
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("unify", appauthor=False)


def _connections(invocation: cli.Invocation, environment: Environment, home: Path) -> Path:
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


def _specs(invocation: cli.Invocation, environment: Environment) -> tuple[Path, ...]:
    """Folders of specs, those of the command line first; UNIFY_SPECS separates like PATH."""
    for folder in invocation.specs:
        if not Path(folder).expanduser().is_dir():
            raise UsageError(f"--specs {folder}: there is no such folder")
    named = [*invocation.specs, *filter(None, environment.get("UNIFY_SPECS", "").split(os.pathsep))]
    return tuple(Path(folder).expanduser().absolute() for folder in named)
