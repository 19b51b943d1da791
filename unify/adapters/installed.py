"""Adapters in Python: classes that installed packages offer in the entry point group ``unify.adapters``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points

from msgspec import structs

from unify.adapters.base import Adapter, Listeners
from unify.adapters.guarded import GuardedAdapter, Values, revealed, translated
from unify.adapters.messages import Veil
from unify.adapters.options import check_given, check_refresh, values_of
from unify.adapters.spec import Option
from unify.connections import Connection, Secret
from unify.errors import ConfigError
from unify.model import TableDef

GROUP = "unify.adapters"


def installed_names() -> tuple[str, ...]:
    """The names under which installed packages offer adapters."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def find_installed(adapter: str) -> Installed | None:
    """The class that a package offers as ``adapter``; None where none does.

    Raises  ConfigError where two packages do, or where what is offered is no adapter.
    """
    points = {_place(point): point for point in entry_points(group=GROUP, name=adapter)}
    if len(points) > 1:
        listed = " and ".join(sorted(points))
        raise ConfigError(f"adapter {adapter} is offered by {listed}; uninstall all but one")
    return next((Installed(adapter, place, _loaded(point)) for place, point in points.items()), None)


@dataclass(frozen=True, slots=True)
class Installed:
    """One adapter class. ``place`` names package and class, for messages."""

    name: str
    place: str
    kind: type[Adapter]

    def tables(self, connection: Connection) -> Sequence[TableDef]:
        """Its tables, told by an instance that is given no secret. Raises ConfigError."""
        adapter = self._built(connection, self._open_values(connection), Listeners())
        try:
            tables = adapter.list_tables()
        finally:
            adapter.close()
        check_refresh(connection, [table.name for table in tables])
        return tuple(
            structs.replace(table, refresh_every_s=connection.refresh.get(table.name, table.refresh_every_s))
            for table in tables
        )

    def open(
        self, connection: Connection, environment: Mapping[str, str], listeners: Listeners
    ) -> GuardedAdapter:
        """Raises ConfigError or UnresolvedSecret, naming file, connection and key."""
        return self._built(connection, self.values(connection, environment), listeners)

    def values(self, connection: Connection, environment: Mapping[str, str]) -> Values:
        """Every option with its value: the connection's, else the default, else None."""
        options = self._options()
        check_given(connection, options)
        return values_of(connection, options, environment)

    def _open_values(self, connection: Connection) -> Values:
        """The values that are neither secret nor kept elsewhere; the other options have none."""
        options = self._options()
        check_given(connection, options)
        written = {name: text for name, text in connection.options.items() if not text.startswith("${")}
        values = values_of(replace(connection, options=written), options, {})
        hidden = {name for name in connection.options if name not in written}
        return {
            name: None if name in hidden or isinstance(value, Secret) else value
            for name, value in values.items()
        }

    def _options(self) -> Sequence[Option]:
        if not all(isinstance(option, Option) for option in self.kind.takes):
            raise ConfigError(f"{self.place}: takes has to be a tuple of unify.Option")
        return self.kind.takes

    def _built(self, connection: Connection, values: Values, listeners: Listeners) -> GuardedAdapter:
        where = f"{connection.place('adapter')}: {self.place}"
        with translated(where, Veil(revealed(values)), ConfigError):
            inner = self.kind(connection.name, values, listeners)
        return GuardedAdapter(inner, connection.name, self.place, values)


def _place(point: EntryPoint) -> str:
    """``package hours-unify 1.2, hours_unify:Hours``."""
    package = f"package {point.dist.name} {point.dist.version}, " if point.dist is not None else ""
    return f"{package}{point.value}"


def _loaded(point: EntryPoint) -> type[Adapter]:
    with translated(_place(point), Veil(), ConfigError):
        kind = point.load()
    if not isinstance(kind, type) or not issubclass(kind, Adapter):
        raise ConfigError(f"{_place(point)}: an adapter is a class made from unify.Adapter")
    return kind
