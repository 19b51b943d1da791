"""Opens the RESTAdapter of a connection: resolves its options, limits, timeouts and hints."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from unify.adapters.auth.hints import request_hint, token_hints
from unify.adapters.auth.token_cache import TokenCacheFolder
from unify.adapters.base import Listeners
from unify.adapters.http.messages import ClientOptions, Timeouts, origin_of
from unify.adapters.http.rate_limit import RateLimiter, SharedRateLimiter
from unify.adapters.options import choose_auth, resolve_spec_options
from unify.adapters.rest.adapter import RESTAdapter
from unify.adapters.rest.request_builder import render_base_url
from unify.adapters.spec.model import AdapterSpec
from unify.config.connections import Connection
from unify.config.secrets import Secret
from unify.durations import parse_duration
from unify.errors import ConfigError, SpecError
from unify.fs.durable import read_regular_file
from unify.redaction import Redactor


def open_rest_adapter(
    spec: AdapterSpec,
    connection: Connection,
    environment: Mapping[str, str],
    *,
    listeners: Listeners,
    limits_folder: Path | None,
    tokens_folder: Path | None,
    redactor: Redactor,
) -> RESTAdapter:
    """Open the adapter of a spec; see ``registry.open_adapter``."""
    values = resolve_spec_options(connection, spec, environment)
    spec = choose_auth(spec, values)
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
            shared_folder=limits_folder.parent / "shared" if limits_folder else None,
        )


def _build_rate_limiter(
    connection: Connection, spec: AdapterSpec, values: Mapping[str, str | Secret | None], folder: Path | None
) -> RateLimiter | None:
    if folder is None:
        return None
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
    describe_option = partial(_describe_option, connection)
    _check_proxy(connection, _reveal_text(values.get("proxy")))
    _check_ca_file(connection, _reveal_text(values.get("ca_file")))
    return ClientOptions(
        "",
        proxy=_reveal_text(values.get("proxy")),
        ca_file=_reveal_text(values.get("ca_file")),
        credentials_hint=request_hint(spec, describe_option),
        token_hints=token_hints(spec, describe_option),
    )


def _check_proxy(connection: Connection, proxy: str | None) -> None:
    try:
        origin_of(proxy or "http://localhost")
    except ConfigError:
        raise ConfigError(
            f"{connection.location('options.proxy')}: expected the URL of an HTTP proxy, such as "
            "http://proxy.example:8080"
        ) from None


def _check_ca_file(connection: Connection, path: str | None) -> None:
    """Raise ConfigError for a file without a certificate: each request would fail, without this reason."""
    if path is None or Path(path).is_dir():
        return
    location = connection.location("options.ca_file")
    try:
        content = read_regular_file(Path(path))
    except OSError as error:
        raise ConfigError(f"{location}: {path}: cannot be read: {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise ConfigError(f"{location}: {path}: it has no certificate in PEM format")


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
