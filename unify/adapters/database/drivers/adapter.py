"""DriverAdapter: what adapters of drivers have in common.

DuckDB has no way to the database. It reads a table as an Arrow stream of Unify, whose rows the driver fetches
by one SELECT for each scan, on a connection of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from unify.adapters.base import Check
from unify.adapters.database.attachment import translate_source_errors
from unify.adapters.database.bulk import read_transaction
from unify.adapters.database.columns import DatabaseColumn, DatabaseTable
from unify.adapters.database.conditions import ConditionBuilder
from unify.adapters.database.drivers.columns import arrow_schema
from unify.adapters.database.drivers.sessions import DriverSession, DriverSessionPool, TableId
from unify.adapters.database.drivers.streams import RowStream
from unify.adapters.database.server_loads import ServerLoads
from unify.adapters.database.statement import SourceSelect
from unify.adapters.options import split_list
from unify.adapters.relation import (
    Relation,
    RelationalAdapter,
    RelationRead,
    SourceLoad,
    SourceLoadRequest,
    SourceTable,
    join_table_name,
    split_table_name,
)
from unify.config.connection_tables import TableSettings
from unify.config.secrets import Secret
from unify.engine.types import quote_identifier as quoted
from unify.errors import NotFound, QueryError, SourceError, Unauthorized, UnifyError
from unify.model import TableDef

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection


class DriverAdapter(RelationalAdapter):
    """The tables of one database behind a driver."""

    def __init__(
        self,
        connection: str,
        options: Mapping[str, str | Secret | None],
        tables: Mapping[str, TableSettings],
    ) -> None:
        super().__init__(connection, options, tables)
        self._pool = DriverSessionPool(self._connect)
        self._first_schema: str | None = None

    @abstractmethod
    def connect(self) -> DriverSession:
        """Open a connection. Errors are those of the driver, or ConfigError."""

    @abstractmethod
    def translate(self, error: Exception) -> UnifyError | None:
        """Return the error for one of the driver; None for other errors."""

    def attach(self, duck: DuckDBPyConnection) -> None:
        """Nothing is attached: connections are opened when they are needed."""

    def list_schemas(self, duck: DuckDBPyConnection) -> Sequence[str]:
        with self._session() as session:
            found = {table.schema for table in session.tables()} - {""}
        listed = self._schemas()
        return (*listed, *sorted(found - set(listed)))

    def list_tables(self, duck: DuckDBPyConnection, schema: str = "") -> Sequence[TableDef]:
        with self._session() as session:
            wanted = [schema] if schema else list(self._schemas())
            found = [table for name in wanted or [""] for table in session.tables(name)]
        return [TableDef(self._canonical_name(table), table.description) for table in found]

    def find_table(self, duck: DuckDBPyConnection, table: str) -> DatabaseTable | None:
        try:
            schema, name = split_table_name(table)
        except ValueError:
            return None
        with self._session() as session:
            found = self._find(session, schema or next(iter(self._schemas()), ""), name)
            if found is None:
                return None
            canonical = self._canonical_name(found)
            return session.describe(found, canonical, self.settings_of(canonical))

    def relation(self, duck: DuckDBPyConnection, table: SourceTable, read: RelationRead) -> Relation:
        known = self._database_table(duck, table)
        columns = tuple(column.to_column() for column in known.fields)
        with self._session() as session:
            dialect = session.dialect
        if read.count_only and not read.conditions and read.limit is None:
            return self._count(SourceSelect(known, known.fields))
        sent = ConditionBuilder(duck, known.fields_by_name(), dialect).build(read.conditions)
        may_limit = dialect.has_limit and sent.is_exact and not read.order_by
        chosen = tuple(known.select_fields(read.columns))
        select = SourceSelect(known, chosen, sent.sql, limit=read.limit if may_limit else None)
        sql, stream = self._stream(select, dialect.select_sql(select))
        columns = tuple(column.to_column() for column in chosen)
        return Relation(sql, columns, (dialect.select_sql(select),), streams=(stream,))

    @contextmanager
    def plan_load(
        self, duck: DuckDBPyConnection, table: SourceTable, request: SourceLoadRequest
    ) -> Iterator[SourceLoad]:
        known = self._database_table(duck, table)
        with self._session() as session:
            dialect = session.dialect
        with ExitStack() as registered:

            def read(select: SourceSelect) -> str:
                sql, stream = self._stream(select, dialect.select_sql(select))
                duck.register(stream.name, stream)
                registered.callback(duck.unregister, stream.name)
                return sql

            loads = ServerLoads(dialect, read, lambda sql: sql)
            with translate_source_errors(self.connection), read_transaction(duck):
                yield loads.plan(duck, known, request)

    def query(self, duck: DuckDBPyConnection, sql: str) -> Relation:
        text = _checked_query(sql)
        try:
            with self._session() as session:
                described = session.describe_query(text)
                dialect = session.dialect
        except SourceError as error:
            if type(error) in (SourceError, NotFound):
                raise QueryError(error.message) from error
            raise
        select = SourceSelect(described, described.fields)
        duckdb_sql, stream = self._stream(select, dialect.select_sql(select))
        columns = tuple(column.to_column() for column in described.fields)
        return Relation(duckdb_sql, columns, (text,), streams=(stream,))

    def check(self, duck: DuckDBPyConnection) -> Check:
        try:
            with self._session() as session:
                return Check(accepted=True, identity=session.identity())
        except Unauthorized as error:
            return Check(accepted=False, reason=error.message)

    def cancel(self, duck: DuckDBPyConnection) -> int:
        return self._pool.cancel()

    def close(self) -> None:
        self._pool.close_idle()

    def _connect(self) -> DriverSession:
        session = self.connect()
        if self._first_schema is None:
            self._first_schema = session.default_schema()
        return session

    @contextmanager
    def _session(self) -> Iterator[DriverSession]:
        with self._translated(), self._pool.use() as session:
            yield session

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            translated = self.translate(error)
            if translated is None:
                raise
            raise translated from error

    def _schemas(self) -> Sequence[str]:
        """Return the schemas whose tables are listed, the first one first; known once connected."""
        configured = split_list(self.option("schemas"))
        return configured or ((self._first_schema,) if self._first_schema else ())

    def _find(self, session: DriverSession, schema: str, name: str) -> TableId | None:
        if exact := session.tables(schema, name):
            return exact[0]
        folded = [one for one in session.tables(schema) if one.table.lower() == name.lower()]
        if len(folded) > 1:
            names = " and ".join(one.table for one in folded[:2])
            raise QueryError(f"{self.connection} has {names}; write the name as it is, in quotes")
        return folded[0] if folded else None

    def _canonical_name(self, table: TableId) -> str:
        first = next(iter(self._schemas()), "")
        return join_table_name("" if table.schema == first else table.schema, table.table)

    def _database_table(self, duck: DuckDBPyConnection, table: SourceTable) -> DatabaseTable:
        known = table if isinstance(table, DatabaseTable) else self.find_table(duck, table.name)
        if known is None:
            raise NotFound(f"{self.connection}.{table.name} does not exist any more")
        if not known.fields:
            raise SourceError(f"{self.connection}.{table.name} has no column that this user may read")
        return known

    def _stream(self, select: SourceSelect, sql: str) -> tuple[str, RowStream]:
        stream = self._row_stream(sql, arrow_schema(select.columns), select.columns)
        return f"SELECT {select.values_sql} FROM temp.main.{quoted(stream.name)}", stream

    def _count(self, select: SourceSelect) -> Relation:
        """Return as many rows as the database counts; the values are NULL."""
        import pyarrow

        stream = self._row_stream(select.count_sql, pyarrow.schema([("n", pyarrow.int64())]), ())
        values = ", ".join(f"CAST(NULL AS {one.type}) AS {quoted(one.name)}" for one in select.columns)
        sql = f"SELECT {values} FROM range((SELECT n FROM temp.main.{quoted(stream.name)}))"
        columns = tuple(one.to_column() for one in select.columns)
        return Relation(sql, columns, (select.count_sql,), streams=(stream,))

    def _row_stream(self, sql: str, schema: pyarrow.Schema, columns: Sequence[DatabaseColumn]) -> RowStream:
        names = [column.name for column in columns] or schema.names

        def read() -> Iterator[pyarrow.RecordBatch]:
            try:
                with self._session() as session:
                    yield from session.batches(sql, schema, names)
            except UnifyError as error:  # it passes through Arrow and DuckDB as a text
                place = f"{self.connection}: "
                text = error.message
                raise RuntimeError(text if text.startswith(place) else place + text) from error

        return RowStream(self.connection, schema, read)


def _checked_query(sql: str) -> str:
    """Return a SELECT of a user without its semicolon. Raises QueryError unless it can stand in a FROM."""
    from unify.language.tokenizer import statement_tokens

    sql = sql.strip().rstrip(";").rstrip()
    depth = 0
    for token in statement_tokens(sql):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == ";" or depth < 0:
            raise QueryError(
                "query: one SELECT is expected, without a semicolon or a bracket that is not opened"
            )
    if not sql:
        raise QueryError("query: the SQL is empty")
    return sql
