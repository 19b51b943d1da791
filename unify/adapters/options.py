"""What a connection supplies against what its adapter asks for."""

from __future__ import annotations

from collections.abc import Mapping

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


def known_options(spec: AdapterSpec) -> dict[str, Option]:
    """The options a connection may give, by name: the spec's own before the common ones."""
    return {option.name: option for option in (*COMMON, *spec.options)}


def check_options(connection: Connection, spec: AdapterSpec) -> None:
    """Raises ConfigError, a line for each mistake: unknown options and tables, required ones missing."""
    known = known_options(spec)
    mistakes = [
        f"{connection.place(f'options.{name}')}: unknown option"
        + (
            did_you_mean(name, known.keys() - connection.options.keys())
            or _listed("options", [option.name for option in spec.options])
        )
        for name in connection.options
        if name not in known
    ]
    mistakes += [
        f"{connection.place('options')}: the option {option.name} is missing"
        + (f": {option.description}" if option.description else "")
        for option in spec.options
        if option.required and option.default is None and option.name not in connection.options
    ]
    tables = [table.name for table in spec.tables]
    mistakes += [
        f"{connection.place(f'refresh.{name}')}: no table {name}"
        + (did_you_mean(name, tables) or _listed("tables", tables))
        for name in connection.refresh
        if name not in tables
    ]
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def option_values(
    connection: Connection, spec: AdapterSpec, environment: Mapping[str, str]
) -> dict[str, str | Secret | None]:
    """Every option of ``spec`` with its value: the connection's, else the default, else None.

    Raises  ConfigError for options that do not fit; UnresolvedSecret for a reference that leads nowhere.
    """
    check_options(connection, spec)
    known = known_options(spec)
    given = resolve(connection, [(option.name, option.secret) for option in known.values()], environment)
    values: dict[str, str | Secret | None] = {}
    for option in known.values():
        default = option.default
        values[option.name] = given.get(
            option.name, Secret(default) if option.secret and default else default
        )
    return values


def _listed(noun: str, names: list[str]) -> str:
    return f"; its {noun} are {', '.join(names)}" if names else f"; it has no {noun}"
