"""Columns of a table of a database: how the source returns the values exactly, and what it compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec.structs import replace

from unify.adapters.relation import SourceColumn, SourceTable
from unify.engine.types import quote_identifier as quoted
from unify.model import Column


class ValueKind(StrEnum):
    """What the values of a column are compared as, by the source and by DuckDB alike."""

    NONE = "none"  # no condition and no order is sent
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DOUBLE = "double"
    TEXT = "text"
    LABEL = "label"  # text of a known list
    UUID = "uuid"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"


class DatabaseColumn(SourceColumn, frozen=True, kw_only=True):
    """A column, with the SQL of the source that reads it.

    ``source_name``  the source's name; ``name`` differs if two columns differ only in case.
    ``fetch``        the expression that returns the value, or text that ``cast_to`` makes the value.
    ``cast_to``      the DuckDB type to cast what is fetched to; "" if it has the type already.
    ``function``     the DuckDB function that makes the value of what is fetched; "" without one.
    ``compare``      the expression in conditions.
    ``sort``         the expression that sorts as DuckDB sorts the values; "" if there is none.
    ``same_text``    the source finds two texts equal only if they are the same.
    ``labels``       of a column whose kind is LABEL.
    ``read_as_null`` the condition that finds values such as NaN that are read as NULL; "" if none can be.
    ``raw``          of a column with such values: the expression for them and all others; "" without one.
    ``has_null``     whether the column may be NULL at the source.
    ``is_indexed``   an index of the source has the values in the order of ``sort``.
    ``distinct_values``  how many values the column has, as the source estimates; None: it does not know.
    """

    source_name: str
    fetch: str
    cast_to: str = ""
    function: str = ""
    kind: ValueKind = ValueKind.NONE
    compare: str = ""
    sort: str = ""
    same_text: bool = False
    labels: tuple[str, ...] = ()
    read_as_null: str = ""
    raw: str = ""
    has_null: bool = True
    is_indexed: bool = False
    distinct_values: float | None = None

    def value_sql(self, fetched: str) -> str:
        """Return the column of a SELECT of DuckDB, made of what was fetched."""
        value = f"{self.function}({fetched})"
        value = f"CAST({value} AS {self.cast_to})" if self.cast_to else value
        return f"{value} AS {quoted(self.name)}"

    def to_column(self) -> Column:
        """The column of the relation."""
        return Column(self.name, self.type, self.description)


class DatabaseTable(SourceTable, frozen=True, kw_only=True):
    """A table with what its adapter needs to read it.

    ``sql_name``  in the SQL of the source.
    """

    sql_name: str
    fields: tuple[DatabaseColumn, ...]

    def select_fields(self, names: Sequence[str] | None) -> Sequence[DatabaseColumn]:
        """Return the columns that a statement reads, at least one."""
        if names is None:
            return self.fields
        wanted = {name.lower() for name in names}
        return [column for column in self.fields if column.name.lower() in wanted] or self.fields[:1]

    def fields_by_name(self) -> Mapping[str, DatabaseColumn]:
        """The columns by their names in lower case."""
        return {column.name.lower(): column for column in self.fields}


def with_distinct_names(columns: Sequence[DatabaseColumn]) -> tuple[DatabaseColumn, ...]:
    """Append _2 and so on to names that differ from earlier ones only in case, as DuckDB ignores it."""
    taken: set[str] = set()
    found = []
    for column in columns:
        name, number = column.name, 1
        while name.lower() in taken:
            number += 1
            name = f"{column.name}_{number}"
        taken.add(name.lower())
        found.append(replace(column, name=name))
    return tuple(found)
