"""DriverColumn: a column, and the Arrow type in which a driver gives its values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.database.columns import DatabaseColumn, DatabaseTable, with_distinct_names
from unify.config.connection_tables import TableSettings
from unify.errors import ConfigError, SourceError

if TYPE_CHECKING:
    import pyarrow

_DECIMAL = re.compile(r"(?:decimal|numeric)\((\d+)(?:,\s*(\d+))?\)", re.IGNORECASE)
MAX_DECIMAL_DIGITS = 38
# Returns its argument. DuckDB has conditions on a plain column applied by Arrow, for which NaN is not greater
# than other numbers (DuckDB 1.5.5).
UNFILTERED = "greatest"


class DriverColumn(DatabaseColumn, frozen=True, kw_only=True):
    """A column of a table behind a driver. ``arrow``: the type of its values in a RowStream."""

    arrow: pyarrow.DataType


def arrow_schema(columns: Sequence[DatabaseColumn]) -> pyarrow.Schema:
    """Return the schema of the rows of a SELECT of ``columns``, which it calls c0, c1 and so on."""
    import pyarrow

    fields = [(f"c{number}", _arrow_type(column)) for number, column in enumerate(columns)]
    return pyarrow.schema(fields)


def driver_table(
    name: str, sql_name: str, fields: Sequence[DriverColumn], key: Sequence[str]
) -> DatabaseTable:
    """Return a table of a driver; ``key`` has names of the source."""
    columns = with_distinct_names(fields)
    names = {column.source_name: column.name for column in columns}
    return DatabaseTable(
        name=name,
        columns=columns,
        key=tuple(names[one] for one in key if one in names),
        sql_name=sql_name,
        fields=columns,
    )


class ChosenType(Struct, frozen=True):
    """The type of a column by the settings of its table: DECIMAL, or VARCHAR with a ``precision`` of 0."""

    precision: int = 0
    scale: int = 0


def chosen_types(settings: TableSettings) -> Mapping[str, ChosenType]:
    """Return the types that the settings of a table have, by the names of columns in lower case.

    Raises ConfigError for types that no column of a driver is read as.
    """
    return {column.lower(): _chosen_type(column, type) for column, type in settings.columns.items()}


def _chosen_type(column: str, type: str) -> ChosenType:
    if type.strip().upper() in ("VARCHAR", "TEXT"):
        return ChosenType()
    found = _DECIMAL.fullmatch(type.strip())
    if found is None or not 0 < int(found[1]) <= MAX_DECIMAL_DIGITS or int(found[2] or 0) > int(found[1]):
        raise ConfigError(
            f"columns.{column}: this adapter reads no column as {type}; use varchar or decimal(p,s)"
        )
    return ChosenType(int(found[1]), int(found[2] or 0))


def value_error(column: str, error: Exception) -> SourceError:
    """Return the error for a value that the type of its column does not have."""
    return SourceError(f"column {column}: {error}; read the column as text: columns: {{{column}: varchar}}")


def _arrow_type(column: DatabaseColumn) -> pyarrow.DataType:
    assert isinstance(column, DriverColumn)
    return column.arrow
