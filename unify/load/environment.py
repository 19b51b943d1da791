"""The connection of a job, and the environment variables that it refers to.

``connections.yaml`` is read for every job, so changes apply to the next load. Values stay in memory: a daemon
that was started without GITHUB_TOKEN uses the value that a shell sends later.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unify.config.connections import Connection, environment_names, load_connections
from unify.errors import UnknownName
from unify.model import ConfigPaths, TableName
from unify.text import did_you_mean


class Environment:
    """The environment of the daemon, overlaid with the values that shells have sent."""

    def __init__(self, process_values: Mapping[str, str]) -> None:
        self.process_values = dict(process_values)
        self._values = dict(process_values)

    def __repr__(self) -> str:
        return f"Environment({len(self._values)} variables)"

    def update(self, values: Mapping[str, str]) -> None:
        """Use these values for jobs and scripts that start later."""
        self._values.update(values)

    def all_values(self) -> Mapping[str, str]:
        """Return the known values of all variables."""
        return dict(self._values)

    def values_for_connection(self, connection: Connection) -> Mapping[str, str]:
        """Return the known values of the variables in ``connection``."""
        return {name: self._values[name] for name in environment_names(connection) if name in self._values}

    def values_for_origin(self, origin: ConfigPaths) -> Mapping[str, str]:
        """Return the known values of the variables in all connections of a file."""
        connections = load_connections(Path(origin.connections)).by_name.values()
        return {name: value for one in connections for name, value in self.values_for_connection(one).items()}


def find_connection(origin: ConfigPaths, table: TableName) -> Connection:
    """Return the current connection of a job's table.

    Raises the error of an invalid connection, UnknownName for a missing one.
    """
    configured = load_connections(Path(origin.connections))
    if (error := configured.errors.get(table.schema)) is not None:
        raise error
    connection = configured.by_name.get(table.schema)
    if connection is None:
        raise UnknownName(
            f"{origin.connections}: no connection "
            f"{table.schema}{did_you_mean(table.schema, configured.by_name)}"
        )
    return connection
