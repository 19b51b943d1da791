"""The configured connections and the tables of their adapters, read from disk on first use.

The modules that read YAML and send HTTP requests are imported then: `unify -c "select 1"` needs neither.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec.structs import replace

from unify.config.settings import Settings
from unify.errors import ConfigError, QueryError, UnknownName
from unify.interpreter.system_columns import SCHEMA
from unify.model import ConfigPaths, TableDef, TableName
from unify.text import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from unify.adapters.spec.elements import View
    from unify.adapters.spec.loader import SpecSummary
    from unify.adapters.spec.model import AdapterSpec, TableSpec
    from unify.config.connection_tables import TableSettings
    from unify.config.connections import Connection, Connections
    from unify.redaction import Redactor


class ConnectionCatalog:
    """Connections by name and the tables of each; names are case-insensitive, as in DuckDB."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        notice: Callable[[str], None],
        get_redactor: Callable[[], Redactor] | None = None,
    ) -> None:
        self.settings = settings
        self.environment = environment
        self.notice = notice
        self._get_redactor = get_redactor
        self._tables: dict[str, Mapping[str, TableDef]] = {}
        self._source_tables: dict[str, dict[str, TableDef]] = {}  # of databases and stores, as far as known

    @cached_property
    def redactor(self) -> Redactor:
        """The redactor that adapters add their secrets to."""
        from unify.redaction import Redactor

        return self._get_redactor() if self._get_redactor is not None else Redactor()

    @cached_property
    def config(self) -> Connections:
        """The parsed connections.yaml; warnings become notices. Raises ConfigError if it cannot be read."""
        from unify.config import trust
        from unify.config.connections import load_connections

        trust.require_trusted(self.settings)
        connections = load_connections(self.settings.connections)
        for warning in connections.warnings:
            self.notice(warning)
        return connections

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all connections, valid ones first, in the order of the file."""
        return (*self.config.by_name, *self.config.errors)

    @property
    def adapters(self) -> tuple[str, ...]:
        """The names of the adapters with a spec and of those of databases and stores, sorted."""
        from unify.adapters.built_in import built_in_names
        from unify.adapters.spec.loader import known_specs

        return tuple(sorted({*known_specs(self.settings.specs), *built_in_names()}))

    @property
    def origin(self) -> ConfigPaths:
        """The configuration that jobs of this session run with."""
        return ConfigPaths(
            connections=os.path.abspath(self.settings.connections),
            specs=tuple(os.path.abspath(folder) for folder in self.settings.specs),
            found=self.settings.connections_found,
        )

    def connection(self, name: str) -> Connection:
        """Return a connection by name. Raises UnknownName, or the ConfigError of an invalid one."""
        folded = name.lower()
        for broken, error in self.config.errors.items():
            if broken.lower() == folded:
                raise error
        for known, connection in self.config.by_name.items():
            if known.lower() == folded:
                return connection
        raise UnknownName(self._unknown_connection_message(name))

    def has(self, schema: str) -> bool:
        """Whether ``schema`` is a configured connection, valid or not."""
        return schema.lower() in {name.lower() for name in self.names}

    def is_relational(self, name: str) -> bool:
        """Whether ``name`` is a connection to a database or store, whose tables DuckDB reads."""
        from unify.adapters import registry

        folded = name.lower()
        known = (one for own, one in self.config.by_name.items() if own.lower() == folded)
        return any(registry.is_relational(one, self.settings.specs) for one in known)

    def relational_names(self) -> Sequence[str]:
        """Return the connections to databases and stores, in the order of the file."""
        return [name for name in self.config.by_name if self.is_relational(name)]

    def table_settings(self, name: TableName) -> TableSettings:
        """Return the settings of a table of a database or store."""
        from unify.config.connection_tables import DEFAULT_TABLE_SETTINGS

        folded = name.table.lower()
        written = self.connection(name.schema).tables.items()
        return next((one for table, one in written if table.lower() == folded), DEFAULT_TABLE_SETTINGS)

    def remember_tables(self, connection: str, tables: Iterable[TableDef]) -> None:
        """Add tables that a database or store was found to have; ``tables`` returns them from now on."""
        name = self.connection(connection).name
        known = self._source_tables.setdefault(name, {})
        for table in tables:
            settings = self.table_settings(TableName(name, table.name))
            earlier = known.get(table.name.lower())
            known[table.name.lower()] = replace(
                table,
                columns=table.columns or (earlier.columns if earlier is not None else ()),
                key=settings.key or table.key,
                cursor=settings.cursor,
                refresh_every_s=settings.every_s,
            )

    def forget_tables(self, connection: str) -> None:
        """Forget the tables that a database or store was found to have."""
        self._source_tables.pop(self.connection(connection).name, None)

    def tables(self, connection: str) -> Mapping[str, TableDef]:
        """Return the tables of a connection by lower-case name, in the adapter's order. Sends no request.

        Of a database or store: those with settings, and those that it was found to have.
        """
        configured = self.connection(connection)
        if configured.name not in self._tables:
            from unify.adapters import registry

            found = registry.describe_adapter(configured, self.settings.specs, self.summaries_folder)
            self._tables[configured.name] = {table.name.lower(): table for table in found}
        if configured.name in self._source_tables:
            return {**self._tables[configured.name], **self._source_tables[configured.name]}
        return self._tables[configured.name]

    def table(self, name: TableName) -> TableDef:
        """Return the adapter's definition of a table. Raises UnknownName with the closest name."""
        offered = self.tables(name.schema)
        found = offered.get(name.table.lower())
        if found is None:
            raise UnknownName(
                f"connection {name.schema} has no table {name.table}"
                f"{did_you_mean(name.table, [table.name for table in offered.values()])}"
                f" (show tables from {name.schema} lists them)"
            )
        return found

    def view(self, name: TableName) -> View | None:
        """Return the view of the connection's spec with this name."""
        return next((one for one in self.views(name.schema) if one.name.lower() == name.table.lower()), None)

    def views(self, connection: str) -> Sequence[View]:
        """Return the views of a connection's spec, in the order of the spec."""
        summary = self._spec_summary(connection)
        return summary.views if summary is not None else ()

    def live_table(self, name: TableName) -> TableSpec | None:
        """Return the live table of the connection's spec with this name."""
        if name.table.lower() not in {live.lower() for live in self.live_names(name.schema)}:
            return None
        spec = self._spec(name.schema)
        tables = spec.tables if spec is not None else ()
        return next(
            (table for table in tables if table.live and table.name.lower() == name.table.lower()), None
        )

    def live_names(self, connection: str) -> frozenset[str]:
        """Return the names of all live tables of the connection's spec."""
        summary = self._spec_summary(connection)
        return summary.live if summary is not None else frozenset()

    def stored_dependencies(self, name: TableName) -> Sequence[TableName] | None:
        """Return the stored tables that a view, or the ``for_each`` of a live table, reads, also indirectly.

        None for other tables.
        """
        view, live = self.view(name), self.live_table(name)
        if view is None and live is None:
            return None
        each = live.for_each if live is not None else None
        found: dict[TableName, None] = {}
        for table in view.tables if view is not None else each.tables if each is not None else ():
            read = TableName(name.schema, table)
            indirect = self.stored_dependencies(read)
            found.update(dict.fromkeys([self.canonical_name(read)] if indirect is None else indirect))
        return tuple(found)

    def require_stored(self, name: TableName) -> TableName:
        """``canonical_name``; raises QueryError for a view or a live table, whose rows are not stored."""
        if self.has(name.schema) and (view := self.view(name)) is not None:
            raise QueryError(
                f"{name.schema}.{view.name} is a view of {', '.join(view.tables)}; its rows are not stored"
            )
        canonical = self.canonical_name(name)
        if self.live_table(name) is not None:
            raise QueryError(
                f"{canonical} is a live table: each query fetches its rows, which are not stored"
            )
        return canonical

    def canonical_name(self, name: TableName) -> TableName:
        """Return ``name`` as connections.yaml and the adapter spell it. Raises UnknownName."""
        return TableName(self.connection(name.schema).name, self.table(name).name)

    def refresh_every_s(self, name: TableName) -> float | None:
        """Return the refresh interval of a table; the connection overrides the spec."""
        override_s = self.connection(name.schema).refresh.get(name.table)
        if override_s is None and self.is_relational(name.schema):
            return self.table_settings(name).every_s
        return override_s if override_s is not None else self.table(name).refresh_every_s

    def require_secrets(self, connection: str) -> None:
        """Raise UnresolvedSecret if a secret reference cannot be resolved. Call before queueing a job."""
        from unify.adapters import registry

        registry.check_secrets(
            self.connection(connection), self.settings.specs, self.environment, self.summaries_folder
        )

    def environment_variables(self) -> Mapping[str, str]:
        """Return the environment variables that connections and notify.yaml reference and that are set."""
        from unify.config.connections import environment_names
        from unify.config.notifications import notification_variables

        named = {name for known in self.config.by_name.values() for name in environment_names(known)}
        named.update(notification_variables(self.settings.notifications))
        return {name: self.environment[name] for name in sorted(named) if name in self.environment}

    def invalidate(self) -> None:
        """Discard the cached connections.yaml, which has changed."""
        vars(self).pop("config", None)
        self._tables.clear()
        self._source_tables.clear()

    def _spec(self, connection: str) -> AdapterSpec | None:
        """Return the spec of a connection; None if its adapter is a Python class."""
        from unify.adapters import registry

        return registry.spec_of(self.connection(connection), self.settings.specs)

    def _spec_summary(self, connection: str) -> SpecSummary | None:
        """Return the cached summary of the spec, which is faster to read than the spec."""
        from unify.adapters import registry

        return registry.spec_summary_of(
            self.connection(connection), self.settings.specs, self.summaries_folder
        )

    @property
    def summaries_folder(self) -> Path:
        """The folder of the cached summaries of specs."""
        return self.settings.cache / "outlines"

    def _unknown_connection_message(self, name: str) -> str:
        if name.lower() == SCHEMA:
            return (
                f"{SCHEMA} is a system schema, not a connection; its tables are never loaded "
                f"(show tables from {SCHEMA} lists them)"
            )
        path = self.settings.connections
        if not self.names:
            where = f"{path} has no connections" if path.exists() else f"{path} does not exist"
            return (
                f"no connection {name}: {where}. Type `connect` to add one, or write it, for example:\n"
                '  github:\n    adapter: github\n    options: {token: "${GITHUB_TOKEN}"}\n'
                "or try `unify demo`, which needs no account"
            )
        return f"no connection {name} in {path}{did_you_mean(name, self.names)} (show connections lists them)"

    def problems(self) -> Mapping[str, ConfigError]:
        """Return the invalid connections with their errors; reads all specs."""
        found = dict(self.config.errors)
        for name in self.config.by_name:
            try:
                self.tables(name)
            except ConfigError as error:
                found[name] = error
        return found
