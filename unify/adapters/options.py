"""What a connection supplies against what its adapter asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from unify.adapters.spec.model import AdapterSpec, Option
from unify.config.connections import Connection, resolve_option_values
from unify.config.secrets import Secret
from unify.errors import ConfigError
from unify.text import did_you_mean

# What every connection may say of the way to its API, whatever its adapter.
COMMON_OPTIONS = (
    Option("proxy", "Address of an HTTP proxy; the environment's is never used", secret=True),
    Option("ca_file", "File or folder of the certificate authorities to trust instead of the usual ones"),
    Option("connect_timeout", "How long to wait for a connection, such as 10s"),
    Option("page_timeout", "How long one answer may take in all, such as 2 minutes"),
)


class NamedTable(Protocol):
    """A table, as far as a schedule needs it."""

    @property
    def name(self) -> str: ...


class AdapterDescription(Protocol):
    """What a connection is checked against: a spec, or the outline of one."""

    @property
    def options(self) -> tuple[Option, ...]: ...
    @property
    def tables(self) -> Sequence[NamedTable]: ...


def known_options(spec: AdapterDescription) -> dict[str, Option]:
    """The options a connection may give, by name: the spec's own before the common ones."""
    return {option.name: option for option in (*COMMON_OPTIONS, *spec.options)}


def check_options(connection: Connection, spec: AdapterDescription) -> None:
    """Raises ConfigError, a line for each mistake: unknown options and tables, required ones missing."""
    mistakes = _find_option_errors(connection, spec.options, known_options(spec))
    mistakes += _find_refresh_errors(connection, [table.name for table in spec.tables])
    _raise_errors(mistakes)


def check_plugin_options(connection: Connection, options: Sequence[Option]) -> None:
    """The same for the options of an adapter in Python, which takes no others."""
    _raise_errors(_find_option_errors(connection, options, {option.name: option for option in options}))


def check_refresh_tables(connection: Connection, tables: Sequence[str]) -> None:
    """Raises ConfigError, a line for each table that the connection schedules and that does not exist."""
    _raise_errors(_find_refresh_errors(connection, tables))


def resolve_spec_options(
    connection: Connection, spec: AdapterSpec, environment: Mapping[str, str]
) -> dict[str, str | Secret | None]:
    """Every option of ``spec`` with its value: the connection's, else the default, else None.

    Raises  ConfigError for options that do not fit; UnresolvedSecret for a reference that leads nowhere.
    """
    check_options(connection, spec)
    return resolve_options(connection, tuple(known_options(spec).values()), environment)


def resolve_options(
    connection: Connection, options: Sequence[Option], environment: Mapping[str, str]
) -> dict[str, str | Secret | None]:
    """Every one of ``options`` with its value. Raises UnresolvedSecret for a reference that leads nowhere."""
    given = resolve_option_values(
        connection, [(option.name, option.secret) for option in options], environment
    )
    values: dict[str, str | Secret | None] = {}
    for option in options:
        default = option.default
        values[option.name] = given.get(
            option.name, Secret(default) if option.secret and default else default
        )
    return values


def _find_option_errors(
    connection: Connection, adapter_options: Sequence[Option], known_options_by_name: Mapping[str, Option]
) -> list[str]:
    """A line for each option that is unknown, or required and missing. ``own`` are the adapter's."""
    unknown = [
        f"{connection.location(f'options.{name}')}: unknown option"
        + (
            did_you_mean(name, known_options_by_name.keys() - connection.options.keys())
            or _format_names("options", [option.name for option in adapter_options])
        )
        for name in connection.options
        if name not in known_options_by_name
    ]
    return unknown + [
        f"{connection.location('options')}: the option {option.name} is missing"
        + (f": {option.description}" if option.description else "")
        for option in adapter_options
        if option.needs_value and option.name not in connection.options
    ]


def _find_refresh_errors(connection: Connection, tables: Sequence[str]) -> list[str]:
    return [
        f"{connection.location(f'refresh.{name}')}: no table {name}"
        + (did_you_mean(name, tables) or _format_names("tables", tables))
        for name in connection.refresh
        if name not in tables
    ]


def _raise_errors(errors: Sequence[str]) -> None:
    if errors:
        raise ConfigError("\n".join(errors))


def _format_names(noun: str, names: Sequence[str]) -> str:
    return f"; its {noun} are {', '.join(names)}" if names else f"; it has no {noun}"
