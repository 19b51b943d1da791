"""Prepared statements, and how their rows are opened: the catalog, or a statement of the session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from pygwire.messages import Bind

from unify.interpreter.restriction import READING_COMMANDS
from unify.interpreter.results import PLAN_COLUMNS
from unify.language import commands
from unify.language.parser import parse
from unify.language.sql.analysis import StatementKind, analyse
from unify.language.statements import Statement
from unify.servers.postgres import session_statements as plans
from unify.servers.postgres.catalog.queries import (
    CatalogDatabase,
    CatalogParameters,
    HomeTables,
    is_catalog_query,
)
from unify.servers.postgres.catalog.tables import column_oids
from unify.servers.postgres.client_settings import ClientSettings
from unify.servers.postgres.parameters import (
    UNKNOWN_OIDS,
    decode_parameters,
    infer_oids,
    number_parameters,
    parameter_names,
    sample_values,
)
from unify.servers.postgres.portals import PortalRows
from unify.servers.postgres.statement_runner import ClientStatementRunner
from unify.servers.postgres.wire_types import TEXT, WireColumn, encode_cell, wire_column

Formats = Sequence[int]
_ROW_KINDS = (StatementKind.SELECT, StatementKind.EXPLAIN)


class PreparedStatement(Struct):
    """A statement as Parse gives it.

    ``sql``      as the client has sent it; ``numbered`` has ``$__p1`` for ``$1``; ``count``: how many.
    ``oids``     types of the parameters; None until they are needed.
    ``columns``  of its rows, once described; ``is_described`` also if it has none.
    """

    sql: str
    plan: plans.SessionStatement
    numbered: str
    count: int
    given_oids: Sequence[int] = ()
    oids: Sequence[int] | None = None
    columns: Sequence[WireColumn] | None = None
    is_described: bool = False

    @classmethod
    def parse(cls, sql: str, given_oids: Sequence[int] = ()) -> PreparedStatement:
        """Parse a statement. Raises ClientError."""
        numbered, count = number_parameters(sql)
        return cls(sql, plans.parse_session_statement(sql), numbered, count, given_oids)


class StatementOpener:
    """Describes and opens the statements of one client."""

    def __init__(
        self,
        runner: ClientStatementRunner,
        catalog: CatalogDatabase,
        tables: HomeTables,
        settings: ClientSettings,
        cache: Path,
    ) -> None:
        self.settings = settings
        self._cache = cache
        self._runner = runner
        self._catalog = catalog
        self._tables = tables
        catalog.configure(settings.changed_search_path, settings.timeout_s)

    def set_setting(self, name: str, value: str | None) -> None:
        """Run SET or RESET. Raises ClientError."""
        if name.lower() == "all" and value is None:
            self.settings.reset_all()
        else:
            self.settings.set(name, value)
        self._catalog.configure(self.settings.changed_search_path, self.settings.timeout_s)

    def has_rows(self, sql: str) -> bool:
        """Whether a statement returns rows, as far as its first words tell. Raises CommandSyntaxError."""
        if is_catalog_query(sql):
            return True
        command = parse(Statement(sql), self._cache)
        if isinstance(command, commands.RunSql):
            return analyse(sql).kind in _ROW_KINDS
        return isinstance(command, READING_COMMANDS)

    def oids(self, prepared: PreparedStatement) -> Sequence[int]:
        """Return the types of the parameters; those that the client left open are inferred."""
        if prepared.oids is None:
            inner = _inner(prepared)
            if is_catalog_query(inner.sql):
                prepared.oids = self._catalog.describe(inner.sql, prepared.given_oids).oids
            else:
                prepared.oids = self._infer(inner.numbered, prepared)
        return prepared.oids

    def columns(
        self, prepared: PreparedStatement, find_cursor: Callable[[str, Formats], PortalRows]
    ) -> Sequence[WireColumn] | None:
        """Return the columns of a statement before it is bound; None: it has no rows."""
        if not prepared.is_described:
            prepared.columns = self._describe(prepared, find_cursor)
            prepared.is_described = not isinstance(prepared.plan, plans.FetchCursor)
        return prepared.columns

    def bind(self, prepared: PreparedStatement, message: Bind) -> Callable[[Formats], PortalRows]:
        """Return what runs a statement with the parameters of Bind. Raises ClientError."""
        if is_catalog_query(prepared.sql):
            given = CatalogParameters(prepared.given_oids, message.param_values, message.param_formats)
            self._runner.spool_open()
            return lambda formats: self._catalog.run(prepared.sql, given, formats)
        oids = self.oids(prepared) if prepared.count or message.param_values else ()
        values = decode_parameters(message.param_values, message.param_formats, oids)
        parameters = parameter_names(values)
        return lambda formats: self._runner.run(prepared.numbered, parameters, formats)

    def _describe(
        self, prepared: PreparedStatement, find_cursor: Callable[[str, Formats], PortalRows]
    ) -> Sequence[WireColumn] | None:
        match prepared.plan:
            case plans.ShowSetting(name):
                return [WireColumn(name, TEXT)]
            case plans.FetchCursor(name):
                return find_cursor(name, ()).columns
            case plans.RunStatement(sql):
                return self._describe_rows(prepared, sql)
            case _:
                return None

    def _describe_rows(self, prepared: PreparedStatement, sql: str) -> Sequence[WireColumn] | None:
        if is_catalog_query(sql):
            self._runner.spool_open()
            return self._catalog.describe(sql, prepared.given_oids).columns
        if not self.has_rows(sql):
            return None
        match analyse(sql).kind:
            case StatementKind.SELECT:
                samples = sample_values(self.oids(prepared))
                return self._runner.describe(prepared.numbered, parameter_names(samples))
            case StatementKind.EXPLAIN:
                return [wire_column(name, type) for name, type in PLAN_COLUMNS]
            case _:
                stream = self._runner.run(prepared.numbered, {}, ())
                stream.close()
                return stream.columns

    def _infer(self, sql: str, prepared: PreparedStatement) -> Sequence[int]:
        given = [*prepared.given_oids, *[0] * (prepared.count - len(prepared.given_oids))]
        if not UNKNOWN_OIDS.intersection(given):
            return given
        self._runner.spool_open()
        try:
            return infer_oids(sql, given, prepared.count, column_oids(self._tables.read()))
        except ValueError:  # not a SELECT: running it tells
            return [TEXT.oid if oid in UNKNOWN_OIDS else oid for oid in given]


def text_row(name: str, value: str, tag: str) -> PortalRows:
    """Return one row with one text."""
    row = b"\0\1" + encode_cell(value.encode(), bytes)
    return PortalRows([WireColumn(name, TEXT)], iter([[row]]), tag)


def _inner(prepared: PreparedStatement) -> PreparedStatement:
    """Return the query of DECLARE and COPY; another statement itself."""
    match prepared.plan:
        case plans.DeclareCursor(_, sql) | plans.CopyRows(sql):
            return PreparedStatement.parse(sql, prepared.given_oids)
        case _:
            return prepared
