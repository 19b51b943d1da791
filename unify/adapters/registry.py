"""Opens and describes the adapter of a connection: a spec, or a class of an installed package.

What describes a spec is imported at once, what opens an adapter or finds a package when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unify.adapters.options import check_options, resolve_spec_options
from unify.adapters.spec.loader import SpecSummary, find_spec, load_cached_spec, load_summary
from unify.adapters.spec.model import AdapterSpec, apply_schedules
from unify.config.connections import Connection
from unify.errors import ConfigError, UnknownName
from unify.model import TableDef

if TYPE_CHECKING:
    from unify.adapters.base import Adapter, Listeners, TableConfig
    from unify.adapters.plugins import AdapterPlugin
    from unify.redaction import Redactor


def open_adapter(
    connection: Connection,
    folders: Sequence[Path],
    environment: Mapping[str, str],
    *,
    listeners: Listeners | None = None,
    limits_folder: Path | None = None,
    tokens_folder: Path | None = None,
    redactor: Redactor | None = None,
) -> Adapter:
    """Open the adapter of ``connection``. Sends no request.

    ``folders``        with specs, searched before the bundled ones.
    ``limits_folder``  shares rate limits with other processes; None: limits of this process.
    ``tokens_folder``  shares issued tokens with other processes; None: they end with this process.
    ``redactor``       of the messages of this process: the adapter adds its secrets, with issued tokens.

    Raises:
        ConfigError, UnresolvedSecret: with file, connection and key.
    """
    from unify.adapters.base import Listeners
    from unify.redaction import Redactor

    listeners, redactor = listeners or Listeners(), redactor or Redactor()
    found = _find_definition(connection, folders)
    if not isinstance(found, Path):
        return found.open_adapter(connection, environment, listeners, redactor)
    from unify.adapters.rest.opening import open_rest_adapter

    return open_rest_adapter(
        load_cached_spec(found),
        connection,
        environment,
        listeners=listeners,
        limits_folder=limits_folder,
        tokens_folder=tokens_folder,
        redactor=redactor,
    )


def import_rest_adapter() -> None:
    """Import what the first load would import, 120 ms: the REST adapter and its HTTP client."""
    from unify.adapters.rest import opening  # noqa: F401


def describe_adapter(
    connection: Connection, folders: Sequence[Path], summaries_folder: Path | None = None
) -> Sequence[TableDef]:
    """The tables of ``connection``, without its secrets. Raises ConfigError.

    ``summaries_folder``  caches summaries of specs; None: the spec itself is read.
    """
    found = _find_definition(connection, folders)
    if not isinstance(found, Path):
        return found.list_tables(connection)
    summary = load_summary(found, summaries_folder)
    check_options(connection, summary)
    return apply_schedules(summary.tables, connection.refresh)


def describe_table_config(connection: Connection, folders: Sequence[Path], table: str) -> TableConfig | None:
    """The configuration of ``table``; None if there is no such table. Raises ConfigError."""
    found = _find_definition(connection, folders)
    if isinstance(found, Path):
        return load_cached_spec(found).table(table)
    from unify.adapters.base import plugin_table_config

    defined = next((known for known in found.list_tables(connection) if known.name == table), None)
    return None if defined is None else plugin_table_config(defined)


def check_secrets(connection: Connection, folders: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Raise the errors of ``open_adapter`` for options and secrets."""
    found = _find_definition(connection, folders)
    if isinstance(found, Path):
        resolve_spec_options(connection, load_cached_spec(found), environment)
    else:
        found.resolve_options(connection, environment)


def public_option_values(
    connection: Connection, folders: Sequence[Path], environment: Mapping[str, str]
) -> dict[str, str]:
    """The resolved values of the options that are not secret. Raises UnresolvedSecret."""
    found = _find_definition(connection, folders)
    values = (
        resolve_spec_options(connection, load_cached_spec(found), environment)
        if isinstance(found, Path)
        else found.resolve_options(connection, environment)
    )
    return {name: value for name, value in values.items() if isinstance(value, str)}


def spec_of(connection: Connection, folders: Sequence[Path]) -> AdapterSpec | None:
    """The spec of the connection, cached until its file changes; None for a Python adapter."""
    found = _find_definition(connection, folders)
    return load_cached_spec(found) if isinstance(found, Path) else None


def spec_summary_of(
    connection: Connection, folders: Sequence[Path], summaries_folder: Path
) -> SpecSummary | None:
    """The summary of the spec; None for a Python adapter."""
    found = _find_definition(connection, folders)
    return load_summary(found, summaries_folder) if isinstance(found, Path) else None


def _find_definition(connection: Connection, folders: Sequence[Path]) -> Path | AdapterPlugin:
    """The spec of the adapter, else the class of a package. Raises ConfigError."""
    try:
        return find_spec(connection.adapter, folders)
    except UnknownName as error:
        from unify.adapters.plugins import find_plugin, plugin_names

        found = find_plugin(connection.adapter)
        if found is not None:
            return found
        names = ", ".join(plugin_names())
        more = f"; installed packages provide {names}" if names else ""
        raise ConfigError(f"{connection.location('adapter')}: {error.message}{more}") from error
