"""Finds the tables of connections that a statement uses, also through views, macros and the search path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError, UnknownName
from unify.interpreter.connections import ConnectionCatalog
from unify.interpreter.query.missing_tables import unknown_table_message
from unify.lake import catalog
from unify.lake.definitions import definitions, prepared_statement, search_path
from unify.lake.lake import Lake
from unify.lake.protocols import Definition
from unify.language.sql.analysis import Analysed, analyse
from unify.language.sql.refs import TableRef
from unify.language.sql.tables import string_constants, tables_in_text
from unify.language.table_names import split_table_name
from unify.language.tokenizer import keyword_set
from unify.model import TableName

if TYPE_CHECKING:
    from unify.interpreter.sources.source_tables import SourceTables

# Words before a bracket that are syntax: no macro can have their place. One called sum or round can.
_SYNTAX_WORDS = keyword_set(
    "select from where in on as values and or not using exists over by filter case "
    "cast try_cast coalesce extract"
)


class UsedTables(Struct, frozen=True):
    """The tables of connections that a statement uses.

    ``stored``         those that are loaded, as their adapters spell them.
    ``relations``      views and live tables of specs.
    ``sources``        tables of databases and stores, as the statement spells them.
    ``system``         tables of the schema ``unify``.
    ``definitions``    the SQL of the user's views and macros that the statement goes through.
    ``is_complete``    False: query_table or query gets names from expressions, and none of them is known.
    """

    stored: Sequence[TableName] = ()
    relations: Sequence[TableName] = ()
    sources: Sequence[TableName] = ()
    system: Sequence[str] = ()
    definitions: Sequence[str] = ()
    is_complete: bool = True


class TableResolver:
    """Finds tables by the names that a statement uses."""

    def __init__(
        self, lake: Lake, connections: ConnectionCatalog, get_sources: Callable[[], SourceTables]
    ) -> None:
        self.lake = lake
        self.connections = connections
        self._get_sources = get_sources

    def resolve(self, statement: Analysed, parameters: Iterable[object] = ()) -> UsedTables:
        """Return the tables that ``statement`` uses.

        ``parameters``  the values of its parameters: query_table may get a name from them.

        Raises UnknownName for a table that neither adapter nor lake has, before anything is loaded;
        QueryError for a table of a connection that the statement would write to.
        """
        used: dict[TableName, None] = {}
        relations: list[TableName] = []
        sources: dict[TableName, None] = {}
        system: list[str] = []
        expansion = _Expansion(self.lake, statement, self._may_be_view)
        refs = tuple(expansion.tables())  # which fills expansion.used
        named = self._named_by_expressions(statement, expansion.used, parameters)
        for ref in map(self.qualify_ref, (*refs, *(named or ()))):
            if ref.schema.lower() == "unify":
                system.append(ref.table)
            if (source := self._source_name(ref)) is not None:
                if ref.is_written:
                    raise QueryError(_source_write_message(source))
                sources[source] = None
                continue
            if ref.catalog not in ("", "lake") or not self._is_connection(ref):
                continue
            name = TableName(ref.schema, ref.table)
            if (behind := self.connections.stored_dependencies(name)) is not None:
                relations.append(name)
                used.update(dict.fromkeys(behind))
            elif ref.table.lower() in self.connections.tables(ref.schema):
                name = self.connections.canonical_name(name)
                if ref.is_written:
                    raise QueryError(_write_refused_message(name))
                used[name] = None
            elif not (ref.is_written or ref in expansion.views or catalog.table_columns(self.lake, name)):
                self.connections.table(name)
        return UsedTables(
            tuple(used),
            tuple(relations),
            tuple(sources),
            tuple(system),
            tuple(expansion.used),
            is_complete=named is None or bool(named),
        )

    def _named_by_expressions(
        self, statement: Analysed, used: Sequence[str], parameters: Iterable[object]
    ) -> Sequence[TableRef] | None:
        """Return the tables that a text of the statement, or a parameter, names for query_table or query.

        The text may reach the function through a macro or a prepared statement: ``used`` has their SQL.
        None: neither function gets a name from an expression.
        """
        if not any(one.names_tables_by_expression for one in (statement, *map(analyse, used))):
            return None
        texts = [*string_constants(statement.sql), *(text for text in parameters if isinstance(text, str))]
        found = dict.fromkeys(ref for text in texts for ref in tables_in_text(text))
        return [ref for ref in found if ref.schema and self._is_offered(ref.name)]

    def _source_name(self, ref: TableRef) -> TableName | None:
        """Return the name of a table of a database or store, as written; None for other tables."""
        named = ref.catalog or ref.schema
        if not named or not self.connections.is_relational(named):
            return None
        return self._get_sources().name_of(ref)

    def qualify_ref(self, ref: TableRef) -> TableRef:
        """Return ``ref`` with the connection that USE or the search path implies."""
        if ref.schema or ref.is_written:
            return ref
        path = search_path(self.lake)
        if not any(map(self.connections.has, path)) or self._exists("temp.main", ref.table):
            return ref
        for schema in path:
            if self._is_offered(TableName(schema, ref.table)):
                return replace(ref, schema=schema)
            if self._exists(f"lake.{quoted(schema)}", ref.table):
                return ref
        return ref

    def qualify(self, table: TableName) -> TableName:
        """Return ``table`` with a schema: the first of the search path that has it, else ``main``."""
        if table.schema:
            return _without_lake(table)
        path = search_path(self.lake)
        found = (
            TableName(schema, table.table)
            for schema in path
            if self._is_offered(TableName(schema, table.table))
            or self._exists(f"lake.{quoted(schema)}", table.table)
        )
        return next(found, TableName("main", table.table))

    def qualify_connection(self, table: TableName) -> TableName:
        """Return a connection's table with its schema. Raises UnknownName if no schema has it."""
        if table.schema or (found := self.qualify(table)).schema != "main":
            return _without_lake(table) if table.schema else found
        known = (
            TableName(name, offered.name)
            for name in self.connections.config.by_name
            for offered in self.connections.tables(name).values()
        )
        raise UnknownName(unknown_table_message(table, known, self.connections.names))

    def create_path_schemas(self, statement: Analysed) -> None:
        """Create the schemas of connections that USE names: the first load would, and USE needs them."""
        for name in statement.path_schemas:
            if name and self.connections.has(name) and not catalog.is_schema(self.lake, name):
                schema = quoted(self.connections.connection(name).name)
                self.lake.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{schema}")

    def _may_be_view(self, ref: TableRef) -> bool:
        if ref.schema and self.connections.is_relational(ref.catalog or ref.schema):
            return False
        return ref.is_read and not self._is_offered(ref.name)

    def _is_offered(self, name: TableName) -> bool:
        if self.connections.is_relational(name.schema):
            sources = self._get_sources()
            return sources.stored_name(name) is not None or sources.find_optional(name) is not None
        return self.connections.has(name.schema) and (
            name.table.lower() in self.connections.tables(name.schema)
            or self.connections.view(name) is not None
        )

    def _exists(self, schema: str, table: str) -> bool:
        from unify.engine import duckdb

        try:
            self.lake.connection.execute(f"DESCRIBE {schema}.{quoted(table)}")
        except duckdb.Error:
            return False
        return True

    def _is_connection(self, table: TableRef) -> bool:
        """Whether ``table`` belongs to a connection. Raises UnknownName if its schema does not exist."""
        if self.connections.has(table.schema):
            return True
        is_named = table.schema and not table.catalog and not table.is_written
        if is_named and not catalog.is_schema(self.lake, table.schema):
            self.connections.connection(table.schema)  # raises, with the nearest connection
        return False


class _Expansion:
    """A statement with the views, macros and prepared statements that it uses, at any depth."""

    def __init__(self, lake: Lake, statement: Analysed, may_be_view: Callable[[TableRef], bool]) -> None:
        self.lake = lake
        self.statement = statement
        self.may_be_view = may_be_view
        self.views: set[TableRef] = set()
        self.used: list[str] = []  # SQL of definitions, filled by ``tables``
        self._known: Sequence[Definition] | None = None

    def tables(self) -> Iterator[TableRef]:
        yield from self.statement.tables
        pending = [self.statement]
        if self.statement.prepared_name:
            pending += self._add([prepared_statement(self.lake, self.statement.prepared_name)])
        while pending:
            one = pending.pop()
            if one is not self.statement:
                yield from (replace(ref, is_written=False) for ref in one.tables if ref.is_read)
            pending += self._add(definition.sql for definition in self._definitions_in(one))

    def _add(self, texts: Iterator[str] | Sequence[str]) -> list[Analysed]:
        new = [sql for sql in dict.fromkeys(texts) if sql and sql not in self.used]
        self.used += new
        return [analyse(sql) for sql in new]

    def _definitions_in(self, statement: Analysed) -> Iterator[Definition]:
        functions = statement.functions - _SYNTAX_WORDS
        refs = [ref for ref in statement.tables if self.may_be_view(ref)]
        if not functions and not refs:
            return
        if self._known is None:
            self._known = definitions(self.lake)
        for definition in self._known:
            if not definition.is_view and definition.name.lower() in functions:
                yield definition
            used = [ref for ref in refs if definition.is_view and _names_view(ref, definition)]
            self.views.update(used)
            yield from [definition] * bool(used)


def _names_view(ref: TableRef, view: Definition) -> bool:
    """Whether ``ref`` may mean the view: ``temp.v`` and ``lake.v`` are a catalog and a name."""
    schemas = ("", "temp", "lake", view.schema.lower())
    return ref.table.lower() == view.name.lower() and ref.schema.lower() in schemas


def _without_lake(table: TableName) -> TableName:
    """Return ``github.pulls`` for ``lake.github.pulls``."""
    if table.schema.lower() != "lake":
        return table
    try:
        schema, name = split_table_name(table.table)
    except ValueError:
        return table
    return TableName(schema, name) if schema else table


def _source_write_message(name: TableName) -> str:
    return (
        f"{name} is a table of the source {name.schema}, which takes insert, update, delete, truncate, drop "
        "table and create table … as from Unify; use its own tools for other changes"
    )


def _write_refused_message(name: TableName) -> str:
    return (
        f"{name} is filled by its connection and cannot be written to. "
        f"Work on a copy: create table {name.table} as select * from {name}; "
        f"to forget its rows: clear table {name}"
    )
