"""Secrets that a configuration file in the home holds in plain text, instead of a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from unify.adapters import registry
from unify.adapters.options import known_options
from unify.config.connections import Connection, load_connections
from unify.config.notifications import literal_keys
from unify.config.secrets import parse_reference
from unify.config.settings import Settings
from unify.errors import ConfigError


def find_literal_secrets(settings: Settings) -> Mapping[Path, Sequence[str]]:
    """Return the keys with a secret for each file that has one; a file that cannot be read has none."""
    connections, notify = settings.home / "connections.yaml", settings.notifications
    found = {connections: _connection_keys(settings, connections), notify: literal_keys(notify)}
    return {path: keys for path, keys in found.items() if keys}


def _connection_keys(settings: Settings, path: Path) -> Sequence[str]:
    try:
        connections = load_connections(path).by_name.values()
    except ConfigError:
        return ()
    return [
        f"{connection.name}.{name}"
        for connection in connections
        for name in _secret_options(settings, connection)
        if _is_literal(connection.options[name])
    ]


def _secret_options(settings: Settings, connection: Connection) -> Sequence[str]:
    """Return the options that are secret; those of an unknown adapter count as secret."""
    try:
        spec = registry.spec_of(connection, settings.specs)
    except ConfigError:
        spec = None
    known = {} if spec is None else known_options(spec)
    return [name for name in connection.options if name not in known or known[name].secret]


def _is_literal(value: str) -> bool:
    try:
        return parse_reference(value) is None
    except ValueError:
        return True
