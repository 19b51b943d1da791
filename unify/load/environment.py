"""The configuration a job is run with, and the values of the variables it refers to.

``connections.yaml`` is read anew for every job, so that a change counts from the next load on.
Values stay in memory: a daemon started without GITHUB_TOKEN works as soon as a shell has offered it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from unify.config.connections import Connection, environment_names, load_connections
from unify.errors import UnknownName
from unify.model import ConfigPaths, TableName
from unify.text import did_you_mean


class Environment:
    """The daemon's own environment, and above it what shells have offered since it started."""

    def __init__(self, process_values: Mapping[str, str]) -> None:
        self.process_values = dict(process_values)
        self._values = dict(process_values)

    def __repr__(self) -> str:
        return f"Environment({len(self._values)} variables)"

    def update(self, values: Mapping[str, str]) -> None:
        """Take these for every job and script started from now on."""
        self._values.update(values)

    def values_for_connection(self, connection: Connection) -> Mapping[str, str]:
        """The values ``connection`` refers to, as far as they are known."""
        return {name: self._values[name] for name in environment_names(connection) if name in self._values}

    def values_for_origin(self, origin: ConfigPaths) -> Mapping[str, str]:
        """The values all connections of a file refer to, as far as they are known."""
        connections = load_connections(Path(origin.connections)).by_name.values()
        return {name: value for one in connections for name, value in self.values_for_connection(one).items()}


def find_connection(origin: ConfigPaths, table: TableName) -> Connection:
    """The connection a job's table belongs to, as its file has it now.

    Raises what is wrong with the connection, or UnknownName if it is not there (any more).
    """
    configured = load_connections(Path(origin.connections))
    broken = configured.errors.get(table.schema)
    if broken is not None:
        raise broken
    connection = configured.by_name.get(table.schema)
    if connection is None:
        raise UnknownName(
            f"{origin.connections}: no connection {table.schema}{did_you_mean(table.schema, configured.by_name)}"
        )
    return connection
