"""Checks the options of a connection against those of its adapter, and resolves their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from unify.adapters.spec.elements import Option
from unify.config.connections import Connection, resolve_option_values
from unify.config.secrets import Secret
from unify.errors import ConfigError
from unify.text import did_you_mean

if TYPE_CHECKING:
    from unify.adapters.spec.auth import Auth
    from unify.adapters.spec.model import AdapterSpec, TableSpec


class ListOption(Option, frozen=True):
    """An option that a connection may write as a list; its value is a text with ", " between the items."""


class PathOption(Option, frozen=True):
    """A path on this machine; a relative one starts at the folder of connections.yaml."""


# Options of every connection whose adapter is a spec.
COMMON_OPTIONS = (
    Option("proxy", "URL of an HTTP proxy; that of the environment is never used", secret=True),
    Option("ca_file", "File or folder of CA certificates to trust instead of the default ones"),
    Option("allow_http", "true: credentials may be sent to another machine over http, without encryption"),
    Option("connect_timeout", "How long to wait for a connection, such as 10s"),
    Option("page_timeout", "How long one response may take in all, such as 2 minutes"),
)


def expand_list_options(spec: AdapterSpec, options: Mapping[str, str | Secret | None]) -> AdapterSpec:
    """``spec`` with rows in place of ``for_each: {option: ids, as: id}``: one for each value of the list."""
    tables = tuple(_expand_list_option(table, options) for table in spec.tables)
    return replace(spec, tables=tables) if tables != spec.tables else spec


def _expand_list_option(table: TableSpec, options: Mapping[str, str | Secret | None]) -> TableSpec:
    each = table.for_each
    if each is None or not each.option:
        return table
    lists = [_list_values(options.get(name)) for name in each.option]
    rows = tuple(
        {**row, **dict(zip(each.column, values, strict=True))}
        for row in each.rows or ({},)
        for values in product(*lists)
    )
    return replace(table, for_each=replace(each, rows=rows))


def _list_values(value: str | Secret | None) -> Sequence[str]:
    texts = value.split(",") if isinstance(value, str) else []
    return list(dict.fromkeys(text.strip() for text in texts if text.strip()))


def choose_auth(spec: AdapterSpec, options: Mapping[str, str | Secret | None]) -> AdapterSpec:
    """``spec`` with the first authentication whose options have values, else the last one."""
    complete = (auth for auth in spec.auths if all(options.get(name) for name in _required_options(auth)))
    return replace(spec, auth=next(complete, spec.auths[-1]), other_auths=()) if spec.other_auths else spec


def _required_options(auth: Auth) -> Sequence[str]:
    from unify.adapters.spec import template
    from unify.adapters.spec.auth import OPTIONAL_KEYS

    settings = {key: value for key, value in auth.settings.items() if key not in OPTIONAL_KEYS}
    return template.variable_names_in(settings)


class NamedTable(Protocol):
    """A table of an adapter."""

    @property
    def name(self) -> str: ...


class AdapterDescription(Protocol):
    """A spec, or the summary of one."""

    @property
    def options(self) -> tuple[Option, ...]: ...
    @property
    def tables(self) -> Sequence[NamedTable]: ...


def known_options(spec: AdapterDescription) -> dict[str, Option]:
    """The options that a connection may set, by name; those of the spec override common ones."""
    return {option.name: option for option in (*COMMON_OPTIONS, *spec.options)}


def check_options(connection: Connection, spec: AdapterDescription) -> None:
    """Raise ConfigError with a line for each unknown option or table and each missing option."""
    errors = _find_option_errors(connection, spec.options, known_options(spec))
    _raise_errors([*errors, *_find_refresh_errors(connection, [table.name for table in spec.tables])])


def check_plugin_options(connection: Connection, options: Sequence[Option]) -> None:
    """Check the options of a Python adapter, which has no common options."""
    _raise_errors(_find_option_errors(connection, options, {option.name: option for option in options}))


def check_refresh_tables(connection: Connection, tables: Sequence[str]) -> None:
    """Raise ConfigError with a line for each unknown table in ``refresh``."""
    _raise_errors(_find_refresh_errors(connection, tables))


def resolve_spec_options(
    connection: Connection, spec: AdapterDescription, environment: Mapping[str, str]
) -> dict[str, str | Secret | None]:
    """Return every option of ``spec``: the value of the connection, else the default, else None.

    A summary has no defaults.

    Raises:
        ConfigError: an option is unknown or missing.
        UnresolvedSecret: a reference cannot be resolved.
    """
    check_options(connection, spec)
    return resolve_options(connection, tuple(known_options(spec).values()), environment)


def resolve_options(
    connection: Connection, options: Sequence[Option], environment: Mapping[str, str]
) -> dict[str, str | Secret | None]:
    """Return every option with its value. Raises UnresolvedSecret."""
    kinds = [(option.name, option.secret) for option in options]
    given = resolve_option_values(connection, kinds, environment)
    values = {option.name: given.get(option.name, _default_value(option)) for option in options}
    for option in options:
        path = values[option.name]
        if isinstance(option, PathOption) and isinstance(path, str):
            values[option.name] = str(Path(connection.path).absolute().parent / Path(path).expanduser())
    return values


def _default_value(option: Option) -> str | Secret | None:
    return Secret(option.default) if option.secret and option.default else option.default


def _find_option_errors(
    connection: Connection, adapter_options: Sequence[Option], known_options_by_name: Mapping[str, Option]
) -> list[str]:
    """A line for each option that is unknown, or required and missing."""
    free = known_options_by_name.keys() - connection.options.keys()
    own = _format_names("options", [option.name for option in adapter_options])
    unknown = [
        f"{connection.location(f'options.{name}')}: unknown option{did_you_mean(name, free) or own}"
        for name in connection.options
        if name not in known_options_by_name
    ]
    missing = [
        f"{connection.location('options')}: the option {option.name} is missing"
        + (f": {option.description}" if option.description else "")
        for option in adapter_options
        if option.needs_value and option.name not in connection.options
    ]
    lists = [
        f"{connection.location(f'options.{name}')}: expected one value, not a list"
        for name in sorted(connection.lists)
        if not isinstance(known_options_by_name.get(name), ListOption | None)
    ]
    return unknown + lists + missing


def split_list(text: str) -> tuple[str, ...]:
    """Return the items of the value of a ListOption."""
    return tuple(item for part in text.split(",") if (item := part.strip()))


def _find_refresh_errors(connection: Connection, tables: Sequence[str]) -> list[str]:
    return [
        f"{connection.location(f'refresh.{name}')}: unknown table {name}"
        + (did_you_mean(name, tables) or _format_names("tables", tables))
        for name in dict.fromkeys((*connection.refresh, *connection.shrink))
        if name not in tables
    ]


def _raise_errors(errors: Sequence[str]) -> None:
    if errors:
        raise ConfigError("\n".join(errors))


def _format_names(noun: str, names: Sequence[str]) -> str:
    return f"; its {noun} are {', '.join(names)}" if names else f"; it has no {noun}"
