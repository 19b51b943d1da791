"""From a connection to its adapter: a spec or an installed class, options resolved, the transport set up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from unify.adapters import template
from unify.adapters.base import Adapter, Listeners
from unify.adapters.budget import Budget, SharedBudget
from unify.adapters.handling import Handling, handling_of
from unify.adapters.installed import Installed, find_installed, installed_names
from unify.adapters.messages import origin_of
from unify.adapters.options import check_options, option_values
from unify.adapters.outline import Outline, outline_at, spec_at
from unify.adapters.route import Bounds, Route
from unify.adapters.spec import AdapterSpec
from unify.adapters.specfile import find_spec
from unify.adapters.tables import scheduled
from unify.adapters.tokenkeep import TokenFolder
from unify.connections import Connection, Secret, parse_duration
from unify.errors import ConfigError, SpecError, UnknownName
from unify.model import TableDef


def open_adapter(
    connection: Connection,
    folders: Sequence[Path],
    environment: Mapping[str, str],
    *,
    listeners: Listeners | None = None,
    limits_folder: Path | None = None,
    tokens_folder: Path | None = None,
) -> Adapter:
    """The adapter of ``connection``, ready to be read. No request is sent.

    ``folders``        are looked through for the spec before the bundled ones.
    ``limits_folder``  where processes share their budget; None: this process alone.
    ``tokens_folder``  where they share tokens that were fetched, and replaced refresh tokens are kept; None:
                       this process alone, and what a server replaces is lost with it.
    Raises  ConfigError or UnresolvedSecret, naming file, connection and key.
    """
    found = _found(connection, folders)
    if isinstance(found, Installed):
        return found.open(connection, environment, listeners or Listeners())
    from unify.adapters.rest import RESTAdapter  # and with it HTTP and TLS, which describing needs not

    spec = spec_at(found)
    values = option_values(connection, spec, environment)
    return RESTAdapter(
        spec,
        values,
        listeners=listeners,
        budget=_budget(connection, spec, values, limits_folder),
        connection=connection.name,
        route=_route(connection, spec, values),
        bounds=_bounds(connection, values),
        tokens=TokenFolder(tokens_folder, connection.name) if tokens_folder is not None else None,
    )


def describe_adapter(
    connection: Connection, folders: Sequence[Path], outlines: Path | None = None
) -> Sequence[TableDef]:
    """The tables of ``connection``, without its secrets. Raises ConfigError.

    ``outlines``  the folder where what is needed of specs is kept; None: the spec itself is read.
    """
    found = _found(connection, folders)
    if isinstance(found, Installed):
        return found.tables(connection)
    outline = outline_at(found, outlines)
    check_options(connection, outline)
    return scheduled(outline.tables, connection.refresh)


def describe_handling(connection: Connection, folders: Sequence[Path], table: str) -> Handling | None:
    """What becomes of the rows of ``table``; None where there is no such table. Raises ConfigError."""
    found = _found(connection, folders)
    if not isinstance(found, Installed):
        return spec_at(found).table(table)
    defined = next((known for known in found.tables(connection) if known.name == table), None)
    return None if defined is None else handling_of(defined)


def check_secrets(connection: Connection, folders: Sequence[Path], environment: Mapping[str, str]) -> None:
    """Raises what ``open_adapter`` would, for options and secrets."""
    found = _found(connection, folders)
    if isinstance(found, Installed):
        found.values(connection, environment)
    else:
        option_values(connection, spec_at(found), environment)


def spec_of(connection: Connection, folders: Sequence[Path]) -> AdapterSpec | None:
    """The spec of the connection's adapter, read again only when its file has changed; None: it is Python."""
    found = _found(connection, folders)
    return None if isinstance(found, Installed) else spec_at(found)


def outline_of(connection: Connection, folders: Sequence[Path], outlines: Path) -> Outline | None:
    """The same in outline, from the folder ``outlines`` where it is known."""
    found = _found(connection, folders)
    return None if isinstance(found, Installed) else outline_at(found, outlines)


def _found(connection: Connection, folders: Sequence[Path]) -> Path | Installed:
    """What describes the connection's system: the spec of that name before a package's class."""
    try:
        return find_spec(connection.adapter, folders)
    except UnknownName as error:
        found = find_installed(connection.adapter)
        if found is not None:
            return found
        offered = ", ".join(installed_names())
        more = f"; installed packages offer {offered}" if offered else ""
        raise ConfigError(f"{connection.place('adapter')}: {error.message}{more}") from error


def _budget(
    connection: Connection, spec: AdapterSpec, values: Mapping[str, str | Secret | None], folder: Path | None
) -> Budget | None:
    if folder is None:
        return None
    from unify.adapters.asking import base_url

    try:
        origin = origin_of(base_url(spec, values))
    except SpecError as error:
        raise ConfigError(f"{connection.place('options')}: {error.message}") from error
    limits = spec.limits
    return SharedBudget(folder, connection.name, origin, limits.requests_per_second, limits.concurrency)


def _route(connection: Connection, spec: AdapterSpec, values: Mapping[str, str | Secret | None]) -> Route:
    """What the connection says of the way to its API; the spec says the rest."""
    return Route(
        "",
        proxy=_text(values.get("proxy")),
        ca_file=_text(values.get("ca_file")),
        credentials=_credentials(connection, spec),
    )


def _credentials(connection: Connection, spec: AdapterSpec) -> str:
    """``option token of github (${GITHUB_TOKEN}, connections.yaml:4)``: where to look when we are refused."""
    names = [name for name in template.names_in(dict(spec.auth.settings)) if name in connection.options]
    told = [f"option {name} of {connection.name}{_origin(connection, name)}" for name in names]
    return ", ".join(told)


def _origin(connection: Connection, name: str) -> str:
    written = connection.options[name]
    line = connection.lines.get(f"options.{name}", connection.line)
    reference = f"{written}, " if written.startswith("${") and written.endswith("}") else ""
    return f" ({reference}{connection.path}:{line})"


def _bounds(connection: Connection, values: Mapping[str, str | Secret | None]) -> Bounds:
    usual = Bounds()
    return Bounds(
        connect_s=_seconds(connection, values, "connect_timeout", usual.connect_s),
        silence_s=usual.silence_s,
        page_s=_seconds(connection, values, "page_timeout", usual.page_s),
    )


def _seconds(
    connection: Connection, values: Mapping[str, str | Secret | None], name: str, usual: float
) -> float:
    written = _text(values.get(name))
    if written is None:
        return usual
    try:
        seconds = parse_duration(written)
    except ValueError as error:
        raise ConfigError(f"{connection.place(f'options.{name}')}: {error}") from error
    if seconds <= 0:
        raise ConfigError(f"{connection.place(f'options.{name}')}: expected a time above 0, such as 30s")
    return seconds


def _text(value: str | Secret | None) -> str | None:
    return value.reveal() if isinstance(value, Secret) else value
