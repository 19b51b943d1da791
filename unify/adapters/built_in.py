"""The built-in adapters: databases and stores, and mail. Their modules are imported when one is used."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.options import check_plugin_options, resolve_options
from unify.config.connections import Connection
from unify.config.secrets import Secret
from unify.errors import ConfigError
from unify.model import TableDef

if TYPE_CHECKING:
    from unify.adapters.base import TableConfig
    from unify.adapters.plugins import AdapterPlugin
    from unify.adapters.relation import RelationalAdapter
    from unify.adapters.spec.elements import Option
    from unify.redaction import Redactor

# Adapter name -> module and class.
_CLASSES: Mapping[str, tuple[str, str]] = {
    "azure": ("unify.adapters.files.adapters", "AzureAdapter"),
    "files": ("unify.adapters.files.adapters", "LocalFilesAdapter"),
    "gcs": ("unify.adapters.files.adapters", "GCSAdapter"),
    "http": ("unify.adapters.files.adapters", "WebAdapter"),
    "s3": ("unify.adapters.files.adapters", "S3Adapter"),
    "sftp": ("unify.adapters.files.adapters", "SFTPAdapter"),
    "webdav": ("unify.adapters.files.adapters", "WebDAVAdapter"),
    "adbc": ("unify.adapters.database.drivers.adbc", "AdbcAdapter"),
    "odbc": ("unify.adapters.database.drivers.odbc", "OdbcAdapter"),
    "duckdb": ("unify.adapters.database.duckdb_file", "DuckDBFileAdapter"),
    "mysql": ("unify.adapters.database.mysql.adapter", "MySQLAdapter"),
    "sqlite": ("unify.adapters.database.sqlite.adapter", "SQLiteAdapter"),
    "postgres": ("unify.adapters.database.postgres.adapter", "PostgresAdapter"),
}


# Adapters that send, and have no tables to read.
_SENDERS: Mapping[str, tuple[str, str]] = {"smtp": ("unify.adapters.mail.adapter", "SmtpAdapter")}


def built_in_names() -> tuple[str, ...]:
    """Return the names of all built-in adapters, sorted."""
    return tuple(sorted({**_CLASSES, **_SENDERS}))


def find_sender(adapter: str) -> AdapterPlugin | None:
    """Return a built-in adapter that sends, such as mails; None if there is none of that name."""
    if adapter not in _SENDERS:
        return None
    from unify.adapters.plugins import AdapterPlugin

    module, class_name = _SENDERS[adapter]
    return AdapterPlugin(adapter, adapter, getattr(importlib.import_module(module), class_name))


def has_files(adapter: str) -> bool:
    """Whether the built-in adapter reads a folder or object store."""
    return adapter in _CLASSES and _CLASSES[adapter][0].startswith("unify.adapters.files.")


def find_built_in(adapter: str) -> RelationalDefinition | None:
    """Return a built-in adapter of a database or store; None if there is none of that name."""
    return RelationalDefinition(adapter, *_CLASSES[adapter]) if adapter in _CLASSES else None


class RelationalDefinition(Struct, frozen=True):
    """A built-in adapter."""

    name: str
    module: str
    class_name: str

    def adapter_class(self) -> type[RelationalAdapter]:
        """Import the class."""
        found: type[RelationalAdapter] = getattr(importlib.import_module(self.module), self.class_name)
        return found

    def asked_options(self) -> Sequence[Option]:
        """Return the options that ``connect`` asks for."""
        found = self.adapter_class()
        return [option for option in found.takes if not found.asks or option.name in found.asks]

    def list_tables(self, connection: Connection) -> Sequence[TableDef]:
        """Return the tables that connections.yaml has settings for; the others are known from the source.

        Raises ConfigError for unknown and missing options.
        """
        check_plugin_options(connection, self.adapter_class().takes)
        return [
            TableDef(
                name,
                key=settings.key,
                refresh_every_s=connection.refresh.get(name, settings.every_s),
                cursor=settings.cursor,
            )
            for name, settings in connection.tables.items()
        ]

    def resolve_options(
        self, connection: Connection, environment: Mapping[str, str]
    ) -> Mapping[str, str | Secret | None]:
        """Return every option: the value of the connection, else the default, else None."""
        options = self.adapter_class().takes
        check_plugin_options(connection, options)
        return resolve_options(connection, options, environment)

    def table_config(self, connection: Connection, table: str) -> TableConfig | None:
        """Return the configuration of a table that connections.yaml has settings for."""
        from unify.adapters.base import plugin_table_config

        found = (one for one in self.list_tables(connection) if one.name.lower() == table.lower())
        return next((plugin_table_config(one) for one in found), None)

    def open_adapter(
        self, connection: Connection, environment: Mapping[str, str], redactor: Redactor
    ) -> RelationalAdapter:
        """Raises ConfigError, also for an extra that is not installed, or UnresolvedSecret."""
        adapter_class = self.adapter_class()
        values = self.resolve_options(connection, environment)
        missing = [name for name in adapter_class.requires if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigError(
                f"{connection.location('adapter')}: {adapter_class.label} needs an extra; "
                f"run pip install 'unify-sql[{adapter_class.extra}]'"
            )
        redactor.add(*(value.reveal() for value in values.values() if isinstance(value, Secret)))
        with redactor.redact_errors():
            adapter = adapter_class(connection.name, values, connection.tables)
        redactor.add(*adapter.secrets())  # also parts of options, such as the password of an address
        return adapter
