"""Adapter classes of installed packages: the entry point group ``unify.adapters``.

Their results are checked, and their exceptions become errors that name the package, without secrets.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

import msgspec
from msgspec import Struct, structs
from msgspec.structs import replace

from unify.adapters.base import Adapter, Check, Listeners, Page, Read, TableWriter, Traffic
from unify.adapters.formats.locate import OPEN_OBJECT, first_char
from unify.adapters.options import check_plugin_options, check_refresh_tables, resolve_options
from unify.adapters.spec.elements import Option
from unify.adapters.spec.write import WriteSpec
from unify.config.connections import Connection
from unify.config.secrets import Secret
from unify.errors import BadResponse, ConfigError, SourceError, UnifyError
from unify.model import TableDef
from unify.redaction import Redactor
from unify.text import excerpt

MAX_QUOTED_CHARS = 80  # of a row, in an error
OptionValues = Mapping[str, str | Secret | None]
T = TypeVar("T")

_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


class PluginAdapter(Adapter):
    """Wraps the adapter of a package for one connection. ``label`` names package and class in messages."""

    def __init__(
        self, inner: Adapter, connection: str, label: str, secrets: Sequence[str], redactor: Redactor
    ) -> None:
        self.inner = inner
        self._where = f"{connection} ({label})"
        self._secrets = secrets
        self._redactor = redactor

    def list_tables(self) -> Sequence[TableDef]:
        with translate_errors(self._where, self._redactor, ConfigError):
            return _validate_tables(self.inner.list_tables())

    def pages(self, table: str, read: Read) -> Generator[Page, None, None]:
        where = f"{table} of {self._where}"
        with translate_errors(where, self._redactor):
            pages = iter(self.inner.pages(table, read))
        try:
            while True:
                with translate_errors(where, self._redactor):
                    page = next(pages, None)
                    if page is None:
                        return
                    page = _validate_page(page)
                yield page
        finally:
            if isinstance(pages, Generator):
                pages.close()

    def open_writer(self, table: str) -> AbstractContextManager[TableWriter]:
        with translate_errors(self._where, self._redactor):
            return self.inner.open_writer(table)

    def check(self) -> Check:
        with translate_errors(self._where, self._redactor):
            check = _expect_type(Check, self.inner.check(), "check()")
        return replace(check, reason=self._redactor.redact(check.reason))

    def close(self) -> None:
        with translate_errors(self._where, self._redactor):
            self.inner.close()

    def secrets(self) -> Sequence[str]:
        return self._secrets


@contextmanager
def translate_errors(
    where: str, redactor: Redactor, error_class: type[UnifyError] = SourceError
) -> Iterator[None]:
    """Turn exceptions of a package into ``error_class``; UnifyErrors only lose their secrets."""
    try:
        with redactor.redact_errors():
            yield
    except UnifyError:
        raise
    except Exception as error:  # noqa: BLE001 - code of a package may raise anything
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        # without the cause, which may quote secrets
        raise error_class(redactor.redact(f"{where}: {text}{_error_location(error)}")) from None


def _error_location(error: Exception) -> str:
    """``, at adapter.py:31``: the innermost line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f", at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"


def _expect_type(expected: type[T], value: object, what: str) -> T:
    if not isinstance(value, expected):
        raise BadResponse(f"{what} returned {type(value).__name__}, not unify.{expected.__name__}")
    return value


def _validate_tables(listed: Sequence[TableDef]) -> tuple[TableDef, ...]:
    tables = tuple(_expect_type(TableDef, table, "list_tables()") for table in listed)
    names = [table.name.lower() for table in tables]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise ConfigError(f"list_tables() returned two tables {duplicate}; names are case-insensitive")
    for table in tables:
        missing = next((parent for parent in table.parents if parent.lower() not in names), None)
        if missing is not None:
            raise ConfigError(f"list_tables(): {table.name} has the parent {missing}, which is not a table")
    return tables


def _validate_page(page: Page) -> Page:
    _expect_type(Page, page, "pages()")
    return structs.replace(page, rows=[_validate_row(row) for row in page.rows])


def _validate_row(row: bytes) -> bytes:
    """Return the row on one line, because rows are joined by line ends later."""
    if not isinstance(row, bytes) or first_char(row) != OPEN_OBJECT:
        raise BadResponse(
            f"a row must be a JSON object as bytes, not {excerpt(str(row), MAX_QUOTED_CHARS)!r}; see Page.of"
        )
    try:
        _raw_decoder.decode(row)
    except msgspec.DecodeError as error:
        raise BadResponse(
            f"a row is not JSON ({error}): {excerpt(str(row)[2:-1], MAX_QUOTED_CHARS)!r}"
        ) from error
    return row.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in row or b"\r" in row else row


ENTRY_POINT_GROUP = "unify.adapters"


def plugin_names() -> tuple[str, ...]:
    """The adapter names of installed packages."""
    return tuple(sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)}))


def find_plugin(adapter: str) -> AdapterPlugin | None:
    """Return the class that a package provides as ``adapter``; None if there is none.

    Raises:
        ConfigError: two packages provide it, or it is not an adapter class.
    """
    points = {_plugin_label(point): point for point in entry_points(group=ENTRY_POINT_GROUP, name=adapter)}
    if len(points) > 1:
        listed = " and ".join(sorted(points))
        raise ConfigError(f"adapter {adapter} is provided by {listed}; uninstall all but one")
    return next((AdapterPlugin(adapter, label, _load_class(point)) for label, point in points.items()), None)


class AdapterPlugin(Struct, frozen=True):
    """An adapter class. ``label`` names package and class in messages."""

    name: str
    label: str
    adapter_class: type[Adapter]

    def list_tables(self, connection: Connection) -> Sequence[TableDef]:
        """The tables of the connection, from an instance without secrets. Raises ConfigError."""
        adapter = self._build_adapter(connection, self._public_values(connection), Listeners(), Redactor())
        try:
            tables = adapter.list_tables()
        finally:
            adapter.close()
        check_refresh_tables(connection, [table.name for table in tables])
        return tuple(
            structs.replace(table, refresh_every_s=connection.refresh.get(table.name, table.refresh_every_s))
            for table in tables
        )

    def write_spec(self, connection: Connection, table: str) -> WriteSpec | None:
        """How rows of a table are written, from an instance without secrets. Raises ConfigError."""
        adapter = self._build_adapter(connection, self._public_values(connection), Listeners(), Redactor())
        try:
            return adapter.inner.write_spec(table)
        finally:
            adapter.close()

    def open_adapter(
        self,
        connection: Connection,
        environment: Mapping[str, str],
        listeners: Listeners,
        redactor: Redactor,
    ) -> PluginAdapter:
        """Raises ConfigError or UnresolvedSecret with file, connection and key."""
        values = self.resolve_options(connection, environment)
        return self._build_adapter(connection, values, listeners, redactor)

    def resolve_options(self, connection: Connection, environment: Mapping[str, str]) -> OptionValues:
        """Every option: the value of the connection, else the default, else None."""
        options = self._declared_options()
        check_plugin_options(connection, options)
        return resolve_options(connection, options, environment)

    def _public_values(self, connection: Connection) -> OptionValues:
        """The options that are neither secret nor references; None for the others."""
        options = self._declared_options()
        check_plugin_options(connection, options)
        written = {name: text for name, text in connection.options.items() if not text.startswith("${")}
        values = resolve_options(structs.replace(connection, options=written), options, {})
        hidden = {name for name in connection.options if name not in written}
        return {
            name: None if name in hidden or isinstance(value, Secret) else value
            for name, value in values.items()
        }

    def _declared_options(self) -> Sequence[Option]:
        if not all(isinstance(option, Option) for option in self.adapter_class.takes):
            raise ConfigError(f"{self.label}: takes must be a tuple of unify.Option")
        return self.adapter_class.takes

    def _build_adapter(
        self, connection: Connection, values: OptionValues, listeners: Listeners, redactor: Redactor
    ) -> PluginAdapter:
        where = f"{connection.location('adapter')}: {self.label}"
        secrets = tuple(value.reveal() for value in values.values() if isinstance(value, Secret))
        redactor.add(*secrets)

        def report(traffic: Traffic) -> None:
            address, error = redactor.redact(traffic.address), redactor.redact(traffic.error)
            listeners.traffic(replace(traffic, address=address, error=error))

        with translate_errors(where, redactor, ConfigError):
            inner = self.adapter_class(connection.name, values, replace(listeners, traffic=report))
        return PluginAdapter(inner, connection.name, self.label, secrets, redactor)


def _plugin_label(entry_point: EntryPoint) -> str:
    """``package hours-unify 1.2, hours_unify:Hours``."""
    package = (
        f"package {entry_point.dist.name} {entry_point.dist.version}, "
        if entry_point.dist is not None
        else ""
    )
    return f"{package}{entry_point.value}"


def _load_class(entry_point: EntryPoint) -> type[Adapter]:
    with translate_errors(_plugin_label(entry_point), Redactor(), ConfigError):
        adapter_class = entry_point.load()
    if not isinstance(adapter_class, type) or not issubclass(adapter_class, Adapter):
        raise ConfigError(f"{_plugin_label(entry_point)}: an adapter must be a subclass of unify.Adapter")
    return adapter_class
