"""Databases in memory that are named like connections, for views, macros and prepared statements.

A definition outlives the statement that creates it, and so names its tables with all parts:
``shop.public.orders``. While a statement uses such a definition, DuckDB has a database ``shop`` whose views
are the tables, stored or live as ``max_age`` decides for this statement. Names of two parts are never looked
up in it: the lake may have a schema of the same name, so they are replaced in the statement's text.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from unify.engine.types import qualified_name
from unify.engine.types import quote_identifier as quoted
from unify.errors import QueryError
from unify.interpreter.sources.source_tables import SourceUse
from unify.interpreter.sources.source_views import SourceViews
from unify.language.table_names import split_table_name

if TYPE_CHECKING:
    from unify.adapters.relation import Relation


class NamedDatabases:
    """Attaches the databases of a statement, and detaches those of the one before."""

    def __init__(self, views: SourceViews) -> None:
        self.views = views
        self.lake = views.lake
        self._attached: set[str] = set()

    def detach(self) -> None:
        """Detach the databases of the previous statement."""
        from unify.engine import duckdb

        if not self._attached:
            return
        with self.lake.cursor() as duck:
            for name in self._attached:
                with suppress(duckdb.Error):  # the user has detached it
                    duck.execute(f"DETACH {quoted(name)}")
        self._attached.clear()

    def provide(self, uses: Iterable[SourceUse]) -> None:
        """Make every table of ``uses`` available under its name of three parts.

        Raises QueryError if the user has attached a database of the same name.
        """
        from unify.adapters.relation import Relation

        for use in uses:
            connection, schema, table = self.parts(use)
            relation = (
                self.views.relation(use, None)
                if use.is_live
                else Relation(f"SELECT * FROM {qualified_name(use.name.schema, use.name.table)}", ())
            )
            self.views.register_streams(relation)
            self._create_view(connection, schema, table, relation)

    def full_name(self, use: SourceUse) -> str:
        """Return the name of three parts in SQL."""
        return ".".join(map(quoted, self.parts(use)))

    def parts(self, use: SourceUse) -> tuple[str, str, str]:
        """Return connection, schema and table."""
        schema, table = split_table_name(use.name.table)
        return use.name.schema, schema or self.views.tables.first_schema(use.name.schema), table

    def _create_view(self, connection: str, schema: str, table: str, relation: Relation) -> None:
        from unify.engine import duckdb

        with self.lake.cursor() as duck:
            if connection not in self._attached:
                try:
                    duck.execute(f"ATTACH ':memory:' AS {quoted(connection)}")
                except duckdb.Error as error:
                    raise QueryError(
                        f"a database {connection} is attached, which hides the connection of that name: "
                        f"detach {connection}, or attach it under another name"
                    ) from error
                self._attached.add(connection)
            duck.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(connection)}.{quoted(schema)}")
            name = ".".join(map(quoted, (connection, schema, table)))
            for stream in relation.streams:  # this connection binds the view, that of the user reads it
                duck.register(stream.name, stream)
            duck.execute(f"CREATE OR REPLACE VIEW {name} AS {relation.sql}")
