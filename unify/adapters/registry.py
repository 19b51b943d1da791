"""Opens and describes the adapter of a connection: a spec, a built-in class, or one of an installed package.

What describes a spec is imported at once, what opens an adapter or finds a package when it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from unify.adapters.built_in import RelationalDefinition, built_in_names, find_built_in, find_sender
from unify.adapters.options import check_options, resolve_spec_options
from unify.adapters.spec.loader import (
    SpecSummary,
    bundled_specs_folder,
    find_spec,
    load_cached_spec,
    load_summary,
)
from unify.config.connections import Connection
from unify.errors import ConfigError, UnknownName
from unify.model import TableDef

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from unify.adapters.base import Adapter, Check, Listeners, TableConfig
    from unify.adapters.plugins import AdapterPlugin
    from unify.adapters.relation import RelationalAdapter
    from unify.adapters.spec.model import AdapterSpec
    from unify.adapters.spec.write import WriteSpec
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
    if isinstance(found, RelationalDefinition):
        raise ConfigError(f"{connection.location('adapter')}: {connection.adapter} has no pages of rows")
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


def is_relational(connection: Connection, folders: Sequence[Path]) -> bool:
    """Whether DuckDB reads the tables of ``connection``: a database or store. Reads no spec."""
    found = find_built_in(connection.adapter)
    return found is not None and _find_spec(connection.adapter, folders) is None


def open_relational(
    connection: Connection, environment: Mapping[str, str], redactor: Redactor | None = None
) -> RelationalAdapter:
    """Open the adapter of a database or store, see ``is_relational``. Connects to nothing.

    Raises:
        ConfigError, UnresolvedSecret: with file, connection and key; an extra that is not installed.
    """
    from unify.redaction import Redactor

    found = find_built_in(connection.adapter)
    if found is None:
        raise ConfigError(
            f"{connection.location('adapter')}: {connection.adapter} is not a database or store"
        )
    return found.open_adapter(connection, environment, redactor or Redactor())


def check_relational(
    connection: Connection, environment: Mapping[str, str], redactor: Redactor | None = None
) -> Check:
    """Test a database or store in a DuckDB of its own, and the settings of its tables.

    A store that is to be writable is written to; a database gets an empty transaction.

    Raises the errors of ``open_relational``, ConfigError for the settings of a table, SourceError.
    """
    from contextlib import closing

    from unify.adapters.table_settings import check_tables
    from unify.engine.connection import open_database

    with (
        closing(open_relational(connection, environment, redactor)) as adapter,
        closing(open_database()) as duck,
    ):
        adapter.attach(duck)
        result = adapter.check(duck)
        if result.accepted:
            check_tables(connection, adapter, duck)
            if connection.writable:
                _check_writing(adapter, duck)
                identity = result.identity.removesuffix(", read-only")
                result = replace(result, identity=f"{identity}, writable")
    return result


def _check_writing(adapter: RelationalAdapter, duck: DuckDBPyConnection) -> None:
    """Raise what refuses to let the source be written."""
    from unify.adapters.files.adapter import FileAdapter

    if isinstance(adapter, FileAdapter):
        adapter.check_writing()
        return
    with adapter.open_writer(duck) as writer:
        writer.check()


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
    return _apply_schedules(summary.tables, connection.refresh)


def _apply_schedules(tables: Sequence[TableDef], refresh: Mapping[str, float]) -> Sequence[TableDef]:
    """Replace the schedules of the spec by those of a connection, in seconds by table."""
    if not refresh:
        return tables
    return [
        replace(table, refresh_every_s=refresh.get(table.name, table.refresh_every_s)) for table in tables
    ]


def describe_table_config(connection: Connection, folders: Sequence[Path], table: str) -> TableConfig | None:
    """The configuration of ``table``; None if there is no such table. Raises ConfigError."""
    found = _find_definition(connection, folders)
    if isinstance(found, Path):
        return load_cached_spec(found).table(table)
    if isinstance(found, RelationalDefinition):
        return found.table_config(connection, table)
    from unify.adapters.base import plugin_table_config

    defined = next((known for known in found.list_tables(connection) if known.name == table), None)
    return None if defined is None else plugin_table_config(defined)


def describe_write(connection: Connection, folders: Sequence[Path], table: str) -> WriteSpec:
    """How rows of ``table`` are written. Raises ConfigError if they cannot be, or must not be."""
    found = _find_definition(connection, folders)
    name, hint, sends_only = f"{connection.name}.{table}", "", False
    write: WriteSpec | None = None
    if isinstance(found, Path):
        spec = load_cached_spec(found)
        known = spec.table(table)
        write = known.write if known is not None else None
        if known is not None and write is not None and not write.key:
            write = replace(write, key=known.key)
        writable = [each.name for each in spec.tables if each.write is not None]
        hint = f"; it can write {', '.join(writable)}" if writable else ""
    elif not isinstance(found, RelationalDefinition):
        write, sends_only = found.write_spec(connection, table), found.adapter_class.sends_only
    if write is None:
        raise ConfigError(f"{name}: the adapter {connection.adapter} does not say how it is written{hint}")
    if not sends_only and table.lower() not in (each.lower() for each in connection.writes):
        allowed = ", ".join([*connection.writes, table])
        raise ConfigError(
            f"{connection.location('writes')}: {name} is not among the tables that may be written; to allow "
            f"it, set writes: [{allowed}]"
        )
    return write


def check_writes(connection: Connection, folders: Sequence[Path]) -> Mapping[str, Sequence[str]]:
    """Return what the tables under ``writes`` can do. Raises ConfigError for one that cannot be written."""
    found: dict[str, Sequence[str]] = {}
    spec = spec_of(connection, folders) if connection.writes else None
    names = [table.name for table in spec.tables] if spec is not None else []
    for listed in connection.writes:
        try:
            name = next((name for name in names if name.lower() == listed.lower()), listed)
            found[name] = describe_write(connection, folders, name).operations
        except ConfigError as error:
            raise ConfigError(f"{connection.location('writes')}: {error.message}") from error
    return found


def check_secrets(
    connection: Connection,
    folders: Sequence[Path],
    environment: Mapping[str, str],
    summaries_folder: Path | None = None,
) -> None:
    """Raise the errors of ``open_adapter`` for options and secrets; see ``describe_adapter``."""
    found = _find_definition(connection, folders)
    if isinstance(found, Path):
        resolve_spec_options(connection, load_summary(found, summaries_folder), environment)
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


def tables_of_same_requests(
    connection: Connection, folders: Sequence[Path], summaries_folder: Path, table: str
) -> Sequence[str]:
    """The other tables that read the responses of ``table`` (``shares``). Raises ConfigError."""
    summary = spec_summary_of(connection, folders, summaries_folder)
    if summary is None or not summary.shared_tables:
        return ()
    source = summary.shared_tables.get(table, table)
    group = [source, *(name for name, shared in summary.shared_tables.items() if shared == source)]
    return [name for name in group if name != table]


def _find_spec(adapter: str, folders: Sequence[Path]) -> Path | None:
    """The spec of an adapter that has the name of a built-in one, which it replaces."""
    if not any((folder / f"{adapter}.yaml").is_file() for folder in (*folders, bundled_specs_folder())):
        return None
    return find_spec(adapter, folders)


def _find_definition(
    connection: Connection, folders: Sequence[Path]
) -> Path | RelationalDefinition | AdapterPlugin:
    """The spec of the adapter, else the built-in class, else that of a package. Raises ConfigError."""
    if (built_in := find_built_in(connection.adapter)) is not None:
        return _find_spec(connection.adapter, folders) or built_in
    if (sender := find_sender(connection.adapter)) is not None:
        return _find_spec(connection.adapter, folders) or sender
    try:
        return find_spec(connection.adapter, folders)
    except UnknownName as error:
        from unify.adapters.plugins import find_plugin, plugin_names

        found = find_plugin(connection.adapter)
        if found is not None:
            return found
        names = ", ".join(plugin_names())
        more = f"; built in are {', '.join(built_in_names())}"
        more += f"; installed packages provide {names}" if names else ""
        raise ConfigError(f"{connection.location('adapter')}: {error.message}{more}") from error
