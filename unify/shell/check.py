"""``unify check`` and ``unify spec check``: is what was configured right? One line each, on stdout."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from unify.adapters import signin
from unify.adapters.base import Check
from unify.adapters.person import Person
from unify.adapters.registry import open_adapter
from unify.adapters.specfile import load_spec
from unify.connections import Connection, Connections, load_connections
from unify.errors import ConfigError, SpecError, UnifyError, UnknownName
from unify.settings import Settings
from unify.text import counted, did_you_mean, safe_text


def check_connections(
    settings: Settings, names: Sequence[str], environment: Mapping[str, str], person: Person | None = None
) -> int:
    """Ask each connection's API whether it takes the credentials; 1 if any does not.

    ``person``  signs in where an API wants that and nobody has; None: nobody is asked.
    Raises ConfigError where there are no connections at all, UnknownName for a name that is none of them.
    """
    connections = load_connections(settings.connections)
    known = sorted({*connections.all, *connections.broken})
    if not known:
        raise ConfigError(f"{settings.connections}: there are no connections to check (connect makes one)")
    for name in names:
        if name not in known:
            raise UnknownName(f"there is no connection {name}{did_you_mean(name, known)}")
    passed = [_report(name, connections, settings, environment, person) for name in names or known]
    return 0 if all(passed) else 1


def check_specs(paths: Sequence[str]) -> int:
    """Read each spec and name every mistake in it; 1 if there are any."""
    passed = [_report_spec(Path(path)) for path in paths]
    return 0 if all(passed) else 1


def _report(
    name: str,
    connections: Connections,
    settings: Settings,
    environment: Mapping[str, str],
    person: Person | None,
) -> bool:
    try:
        if name in connections.broken:
            raise connections.broken[name]
        check = _ask(connections.all[name], settings, environment, person)
    except UnifyError as error:
        _say(f"{name}: {_in_a_line(error.message)}")
        return False
    _say(f"{name}: {_in_a_line(_told(check))}")
    return check.accepted


def _ask(
    connection: Connection, settings: Settings, environment: Mapping[str, str], person: Person | None
) -> Check:
    adapter = open_adapter(connection, settings.specs, environment, tokens_folder=settings.tokens)
    with closing(adapter):
        return signin.checked(adapter, person)


def _in_a_line(message: str) -> str:
    """Several mistakes, such as in a connection's options, are told one after the other."""
    return "; ".join(message.splitlines())


def _told(check: Check) -> str:
    if not check.accepted:
        return check.reason or "the credentials were refused"
    parts = ["ok"]
    if check.identity:
        parts.append(f"as {check.identity}")
    if check.quota_left is not None:
        parts.append(f"{counted(check.quota_left, 'request')} left")
    return ", ".join(parts)


def _report_spec(path: Path) -> bool:
    try:
        spec = load_spec(path)
    except SpecError as error:
        for line in [str(problem) for problem in error.problems] or [error.message]:
            _say(line)
        return False
    except UnifyError as error:
        _say(error.message)
        return False
    _say(f"{path}: ok, {counted(len(spec.tables), 'table')}")
    return True


def _say(line: str) -> None:
    sys.stdout.write(safe_text(line) + "\n")
