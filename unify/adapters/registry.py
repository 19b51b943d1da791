"""From a connection to its adapter: a spec or an installed class, options resolved, the transport set up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from unify.adapters.auth.token_cache import TokenCacheFolder
from unify.adapters.base import Adapter, Listeners, TableConfig, plugin_table_config
from unify.adapters.http.messages import ClientOptions, Timeouts, origin_of
from unify.adapters.http.rate_limit import RateLimiter, SharedRateLimiter
from unify.adapters.options import check_options, resolve_spec_options
from unify.adapters.plugins import AdapterPlugin, find_plugin, plugin_names
from unify.adapters.spec import template
from unify.adapters.spec.loader import SpecSummary, find_spec, load_cached_spec, load_summary
from unify.adapters.spec.model import AdapterSpec, apply_schedules
from unify.config.connections import Connection
from unify.config.secrets import Secret
from unify.durations import parse_duration
from unify.errors import ConfigError, SpecError, UnknownName
from unify.model import TableDef
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
    """The adapter of ``connection``, ready to be read. No request is sent.

    ``folders``        are looked through for the spec before the bundled ones.
    ``limits_folder``  where processes share their budget; None: this process alone.
    ``tokens_folder``  where they share tokens that were fetched, and replaced refresh tokens are kept; None:
                       this process alone, and what a server replaces is lost with it.
    ``redactor``       that of the messages of this process: it learns the secrets, fetched tokens included.
    Raises  ConfigError or UnresolvedSecret, naming file, connection and key.
    """
    found = _find_definition(connection, folders)
    if isinstance(found, AdapterPlugin):
        return found.open_adapter(connection, environment, listeners or Listeners(), redactor or Redactor())
    from unify.adapters.rest.adapter import (
        RESTAdapter,  # and with it HTTP and TLS, which describing needs not
    )

    spec = load_cached_spec(found)
    values = resolve_spec_options(connection, spec, environment)
    return RESTAdapter(
        spec,
        values,
        listeners=listeners,
        rate_limiter=_build_rate_limiter(connection, spec, values, limits_folder),
        connection=connection.name,
        client_options=_build_client_options(connection, spec, values),
        timeouts=_build_timeouts(connection, values),
        token_cache=TokenCacheFolder(tokens_folder, connection.name) if tokens_folder is not None else None,
        redactor=redactor,
    )


def describe_adapter(
    connection: Connection, folders: Sequence[Path], summaries_folder: Path | None = None
) -> Sequence[TableDef]:
    """The tables of ``connection``, without its secrets. Raises ConfigError.

    ``outlines``  the folder where what is needed of specs is kept; None: the spec itself is read.
    """
    found = _find_definition(connection, folders)
    if isinstance(found, AdapterPlugin):
        return found.list_tables(connection)
    outline = load_summary(found, summaries_folder)
    check_options(connection, outline)
    return apply_schedules(outline.tables, connection.refresh)


def describe_table_config(connection: Connection, folders: Sequence[Path], table: str) -> TableConfig | None:
    """What becomes of the rows of ``table``; None where there is no such table. Raises ConfigError."""
    found = _find_definition(connection, folders)
    if not isinstance(found, AdapterPlugin):
        return load_cached_spec(found).table(table)
    defined = next((known for known in found.list_tables(connection) if known.name == table), None)
    return None if defined is None else plugin_table_config(defined)


def check_secrets(connection: Connection, folders: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Raises what ``open_adapter`` would, for options and secrets."""
    found = _find_definition(connection, folders)
    if isinstance(found, AdapterPlugin):
        found.resolve_options(connection, environment)
    else:
        resolve_spec_options(connection, load_cached_spec(found), environment)


def spec_of(connection: Connection, folders: Sequence[Path]) -> AdapterSpec | None:
    """The spec of the connection's adapter, read again only when its file has changed; None: it is Python."""
    found = _find_definition(connection, folders)
    return None if isinstance(found, AdapterPlugin) else load_cached_spec(found)


def spec_summary_of(
    connection: Connection, folders: Sequence[Path], summaries_folder: Path
) -> SpecSummary | None:
    """The same in outline, from the folder ``outlines`` where it is known."""
    found = _find_definition(connection, folders)
    return None if isinstance(found, AdapterPlugin) else load_summary(found, summaries_folder)


def _find_definition(connection: Connection, folders: Sequence[Path]) -> Path | AdapterPlugin:
    """What describes the connection's system: the spec of that name before a package's class."""
    try:
        return find_spec(connection.adapter, folders)
    except UnknownName as error:
        found = find_plugin(connection.adapter)
        if found is not None:
            return found
        offered = ", ".join(plugin_names())
        more = f"; installed packages offer {offered}" if offered else ""
        raise ConfigError(f"{connection.location('adapter')}: {error.message}{more}") from error


def _build_rate_limiter(
    connection: Connection, spec: AdapterSpec, values: Mapping[str, str | Secret | None], folder: Path | None
) -> RateLimiter | None:
    if folder is None:
        return None
    from unify.adapters.rest.request_builder import render_base_url

    try:
        origin = origin_of(render_base_url(spec, values))
    except SpecError as error:
        raise ConfigError(f"{connection.location('options')}: {error.message}") from error
    limits = spec.limits
    return SharedRateLimiter(folder, connection.name, origin, limits.requests_per_second, limits.concurrency)


def _build_client_options(
    connection: Connection, spec: AdapterSpec, values: Mapping[str, str | Secret | None]
) -> ClientOptions:
    """What the connection says of the way to its API; the spec says the rest."""
    return ClientOptions(
        "",
        proxy=_reveal_text(values.get("proxy")),
        ca_file=_reveal_text(values.get("ca_file")),
        credentials_hint=_build_credentials_hint(connection, spec),
    )


def _build_credentials_hint(connection: Connection, spec: AdapterSpec) -> str:
    """``option token of github (${GITHUB_TOKEN}, connections.yaml:4)``: where to look when we are refused."""
    names = [
        name for name in template.variable_names_in(dict(spec.auth.settings)) if name in connection.options
    ]
    told = [f"option {name} of {connection.name}{_option_location(connection, name)}" for name in names]
    return ", ".join(told)


def _option_location(connection: Connection, name: str) -> str:
    written = connection.options[name]
    line = connection.lines.get(f"options.{name}", connection.line)
    reference = f"{written}, " if written.startswith("${") and written.endswith("}") else ""
    return f" ({reference}{connection.path}:{line})"


def _build_timeouts(connection: Connection, values: Mapping[str, str | Secret | None]) -> Timeouts:
    usual = Timeouts()
    return Timeouts(
        connect_s=_timeout_s(connection, values, "connect_timeout", usual.connect_s),
        read_s=usual.read_s,
        total_s=_timeout_s(connection, values, "page_timeout", usual.total_s),
    )


def _timeout_s(
    connection: Connection, values: Mapping[str, str | Secret | None], name: str, default_s: float
) -> float:
    written = _reveal_text(values.get(name))
    if written is None:
        return default_s
    try:
        seconds = parse_duration(written)
    except ValueError as error:
        raise ConfigError(f"{connection.location(f'options.{name}')}: {error}") from error
    if seconds <= 0:
        raise ConfigError(f"{connection.location(f'options.{name}')}: expected a time above 0, such as 30s")
    return seconds


def _reveal_text(value: str | Secret | None) -> str | None:
    return value.reveal() if isinstance(value, Secret) else value
