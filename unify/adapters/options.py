"""What a connection supplies against what its adapter asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from unify.adapters.spec import AdapterSpec, Option
from unify.connections import Connection, Secret, resolve
from unify.errors import ConfigError
from unify.text import did_you_mean

# What every connection may say of the way to its API, whatever its adapter.
COMMON = (
    Option("proxy", "Address of an HTTP proxy; the environment's is never used", secret=True),
    Option("ca_file", "File or folder of the certificate authorities to trust instead of the usual ones"),
    Option("connect_timeout", "How long to wait for a connection, such as 10s"),
    Option("page_timeout", "How long one answer may take in all, such as 2 minutes"),
)


class Named(Protocol):
    """A table, as far as a schedule needs it."""

    @property
    def name(self) -> str: ...


class Described(Protocol):
    """What a connection is checked against: a spec, or the outline of one."""

    @property
    def options(self) -> tuple[Option, ...]: ...
    @property
    def tables(self) -> Sequence[Named]: ...


def known_options(spec: Described) -> dict[str, Option]:
    """The options a connection may give, by name: the spec's own before the common ones."""
    return {option.name: option for option in (*COMMON, *spec.options)}


def check_options(connection: Connection, spec: Described) -> None:
    """Raises ConfigError, a line for each mistake: unknown options and tables, required ones missing."""
    mistakes = _mistaken_options(connection, spec.options, known_options(spec))
    mistakes += _mistaken_refresh(connection, [table.name for table in spec.tables])
    _refuse(mistakes)


def check_given(connection: Connection, options: Sequence[Option]) -> None:
    """The same for the options of an adapter in Python, which takes no others."""
    _refuse(_mistaken_options(connection, options, {option.name: option for option in options}))


def check_refresh(connection: Connection, tables: Sequence[str]) -> None:
    """Raises ConfigError, a line for each table that the connection schedules and that does not exist."""
    _refuse(_mistaken_refresh(connection, tables))


def option_values(
    connection: Connection, spec: AdapterSpec, environment: Mapping[str, str]
) -> dict[str, str | Secret | None]:
    """Every option of ``spec`` with its value: the connection's, else the default, else None.

    Raises  ConfigError for options that do not fit; UnresolvedSecret for a reference that leads nowhere.
    """
    check_options(connection, spec)
    return values_of(connection, tuple(known_options(spec).values()), environment)


def values_of(
    connection: Connection, options: Sequence[Option], environment: Mapping[str, str]
) -> dict[str, str | Secret | None]:
    """Every one of ``options`` with its value. Raises UnresolvedSecret for a reference that leads nowhere."""
    given = resolve(connection, [(option.name, option.secret) for option in options], environment)
    values: dict[str, str | Secret | None] = {}
    for option in options:
        default = option.default
        values[option.name] = given.get(
            option.name, Secret(default) if option.secret and default else default
        )
    return values


def _mistaken_options(
    connection: Connection, own: Sequence[Option], known: Mapping[str, Option]
) -> list[str]:
    """A line for each option that is unknown, or required and missing. ``own`` are the adapter's."""
    unknown = [
        f"{connection.place(f'options.{name}')}: unknown option"
        + (
            did_you_mean(name, known.keys() - connection.options.keys())
            or _listed("options", [option.name for option in own])
        )
        for name in connection.options
        if name not in known
    ]
    return unknown + [
        f"{connection.place('options')}: the option {option.name} is missing"
        + (f": {option.description}" if option.description else "")
        for option in own
        if option.needed and option.name not in connection.options
    ]


def _mistaken_refresh(connection: Connection, tables: Sequence[str]) -> list[str]:
    return [
        f"{connection.place(f'refresh.{name}')}: no table {name}"
        + (did_you_mean(name, tables) or _listed("tables", tables))
        for name in connection.refresh
        if name not in tables
    ]


def _refuse(mistakes: Sequence[str]) -> None:
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def _listed(noun: str, names: Sequence[str]) -> str:
    return f"; its {noun} are {', '.join(names)}" if names else f"; it has no {noun}"
