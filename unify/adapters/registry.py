"""Opens and describes the adapter of a connection: a spec, or a class of an installed package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from unify.adapters.auth.token_cache import TokenCacheFolder
from unify.adapters.base import Adapter, Listeners, TableConfig, plugin_table_config
from unify.adapters.http.messages import ClientOptions, Timeouts, origin_of
from unify.adapters.http.rate_limit import RateLimiter, SharedRateLimiter
from unify.adapters.options import check_options, resolve_spec_options
from unify.adapters.plugins import AdapterPlugin, find_plugin, plugin_names
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
    """Open the adapter of ``connection``. Sends no request.

    ``folders``        with specs, searched before the bundled ones.
    ``limits_folder``  shares rate limits with other processes; None: limits of this process.
    ``tokens_folder``  shares issued tokens with other processes; None: they end with this process.
    ``redactor``       of the messages of this process: the adapter adds its secrets, with issued tokens.

    Raises:
        ConfigError, UnresolvedSecret: with file, connection and key.
    """
    redactor = redactor or Redactor()
    found = _find_definition(connection, folders)
    if isinstance(found, AdapterPlugin):
        return found.open_adapter(connection, environment, listeners or Listeners(), redactor)
    from unify.adapters.rest.adapter import RESTAdapter  # imports requests

    spec = load_cached_spec(found)
    values = resolve_spec_options(connection, spec, environment)
    redactor.add(*(value.reveal() for value in values.values() if isinstance(value, Secret)))
    with redactor.redact_errors():
        return RESTAdapter(
            spec,
            values,
            listeners=listeners,
            rate_limiter=_build_rate_limiter(connection, spec, values, limits_folder),
            connection=connection.name,
            client_options=_build_client_options(connection, spec, values),
            timeouts=_build_timeouts(connection, values),
            token_cache=TokenCacheFolder(tokens_folder, connection.name) if tokens_folder else None,
            redactor=redactor,
        )


def import_rest_adapter() -> None:
    """Import what the first load would import, 120 ms: the REST adapter and its HTTP client."""
    from unify.adapters.rest import adapter  # noqa: F401


def describe_adapter(
    connection: Connection, folders: Sequence[Path], summaries_folder: Path | None = None
) -> Sequence[TableDef]:
    """The tables of ``connection``, without its secrets. Raises ConfigError.

    ``summaries_folder``  caches summaries of specs; None: the spec itself is read.
    """
    found = _find_definition(connection, folders)
    if isinstance(found, AdapterPlugin):
        return found.list_tables(connection)
    summary = load_summary(found, summaries_folder)
    check_options(connection, summary)
    return apply_schedules(summary.tables, connection.refresh)


def describe_table_config(connection: Connection, folders: Sequence[Path], table: str) -> TableConfig | None:
    """The configuration of ``table``; None if there is no such table. Raises ConfigError."""
    found = _find_definition(connection, folders)
    if not isinstance(found, AdapterPlugin):
        return load_cached_spec(found).table(table)
    defined = next((known for known in found.list_tables(connection) if known.name == table), None)
    return None if defined is None else plugin_table_config(defined)


def check_secrets(connection: Connection, folders: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Raise the errors of ``open_adapter`` for options and secrets."""
    found = _find_definition(connection, folders)
    if isinstance(found, AdapterPlugin):
        found.resolve_options(connection, environment)
    else:
        resolve_spec_options(connection, load_cached_spec(found), environment)


def spec_of(connection: Connection, folders: Sequence[Path]) -> AdapterSpec | None:
    """The spec of the connection, cached until its file changes; None for a Python adapter."""
    found = _find_definition(connection, folders)
    return None if isinstance(found, AdapterPlugin) else load_cached_spec(found)


def spec_summary_of(
    connection: Connection, folders: Sequence[Path], summaries_folder: Path
) -> SpecSummary | None:
    """The summary of the spec; None for a Python adapter."""
    found = _find_definition(connection, folders)
    return None if isinstance(found, AdapterPlugin) else load_summary(found, summaries_folder)


def _find_definition(connection: Connection, folders: Sequence[Path]) -> Path | AdapterPlugin:
    """The spec of the adapter, else the class of a package. Raises ConfigError."""
    try:
        return find_spec(connection.adapter, folders)
    except UnknownName as error:
        found = find_plugin(connection.adapter)
        if found is not None:
            return found
        names = ", ".join(plugin_names())
        more = f"; installed packages provide {names}" if names else ""
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
    """The options of the connection itself; RESTAdapter adds those of the spec."""
    from unify.adapters.auth.hints import request_hint, token_hints

    describe_option = partial(_describe_option, connection)
    return ClientOptions(
        "",
        proxy=_reveal_text(values.get("proxy")),
        ca_file=_reveal_text(values.get("ca_file")),
        credentials_hint=request_hint(spec, describe_option),
        token_hints=token_hints(spec, describe_option),
    )


def _describe_option(connection: Connection, name: str, place: str) -> str:
    """``option token of github (${GITHUB_TOKEN}, connections.yaml:4; header Authorization)``."""
    value = connection.options.get(name)
    if value is None:
        return f"option {name} of {connection.name} (not set in {connection.path}:{connection.line}; {place})"
    line = connection.lines.get(f"options.{name}", connection.line)
    reference = f"{value}, " if value.startswith("${") and value.endswith("}") else ""
    return f"option {name} of {connection.name} ({reference}{connection.path}:{line}; {place})"


def _build_timeouts(connection: Connection, values: Mapping[str, str | Secret | None]) -> Timeouts:
    default = Timeouts()
    return Timeouts(
        connect_s=_timeout_s(connection, values, "connect_timeout", default.connect_s),
        total_s=_timeout_s(connection, values, "page_timeout", default.total_s),
    )


def _timeout_s(
    connection: Connection, values: Mapping[str, str | Secret | None], name: str, default_s: float
) -> float:
    text = _reveal_text(values.get(name))
    if text is None:
        return default_s
    location = connection.location(f"options.{name}")
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"{location}: {error}") from error
    if seconds <= 0:
        raise ConfigError(f"{location}: expected a duration above 0, such as 30s")
    return seconds


def _reveal_text(value: str | Secret | None) -> str | None:
    return value.reveal() if isinstance(value, Secret) else value
