"""How each type of PostgreSQL is read exactly: what the server returns, and which DuckDB type it becomes.

The server returns values of types that DuckDB reads exactly in PostgreSQL's binary format, and text for
others: the output of the type, as psql shows it. NaN in a numeric with a precision, which no DECIMAL holds,
is NULL. A timestamp beyond those of DuckDB is an error that names column and row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from unify.adapters.database.columns import DatabaseColumn, ValueKind
from unify.adapters.database.error_messages import ERROR_MARK
from unify.engine.connection import quote_literal
from unify.engine.types import TIMESTAMPTZ_TYPE, DuckDBType, parse_type
from unify.engine.types import quote_identifier as quoted
from unify.errors import ConfigError

MAX_PRECISION = 38  # digits of a DECIMAL
_LAST_TIMESTAMP = "294247-01-01 00:00:00"  # DuckDB's ends ten days later
_BEYOND = " is beyond the timestamps of DuckDB"
_MODIFIER_BASE = 4  # a modifier of numeric is (precision << 16 | scale) + 4

# Types that the server returns as they are.
_PLAIN: Mapping[str, tuple[str, ValueKind]] = {
    "bool": ("BOOLEAN", ValueKind.BOOLEAN),
    "int2": ("SMALLINT", ValueKind.INTEGER),
    "int4": ("INTEGER", ValueKind.INTEGER),
    "int8": ("BIGINT", ValueKind.INTEGER),
    "float4": ("FLOAT", ValueKind.NONE),  # 0.1 equals a FLOAT in DuckDB, and not in PostgreSQL
    "float8": ("DOUBLE", ValueKind.DOUBLE),
    "date": ("DATE", ValueKind.DATE),
    "time": ("TIME", ValueKind.NONE),
    "uuid": ("UUID", ValueKind.UUID),
    "bytea": ("BLOB", ValueKind.NONE),
    "text": ("VARCHAR", ValueKind.TEXT),
    "varchar": ("VARCHAR", ValueKind.TEXT),
}
_TIMESTAMPS = {
    "timestamp": ("TIMESTAMP", ValueKind.TIMESTAMP),
    "timestamptz": (TIMESTAMPTZ_TYPE, ValueKind.TIMESTAMPTZ),
}
_JSON = ("json", "jsonb")
# Their cast to text is not their output: it adds a mask, drops blanks or has another form.
_OUTPUT_ONLY = frozenset(["inet", "bpchar", "bool"])
_SORTED_KINDS = frozenset([ValueKind.INTEGER, ValueKind.DOUBLE, ValueKind.DATE, ValueKind.UUID])


class CatalogColumn(Struct, frozen=True):
    """A column as the statement ``table`` returns it. The type is that of a domain's base."""

    name: str
    source_type: str
    description: str
    is_domain: bool
    is_built_in: bool
    type: str
    type_kind: str
    modifier: int
    dimensions: int
    is_array: bool
    element: str
    is_deterministic: bool
    labels: tuple[str, ...] | None
    distinct: float | None = None  # n_distinct of pg_stats: below 0, a share of the rows
    not_null: bool = False
    is_indexed: bool = False  # the first column of an index with the usual order of NULL


class CatalogTable(Struct, frozen=True):
    """A table as that statement returns it. ``version``: see the section of that name in catalog.sql."""

    schema: str
    name: str
    rows: int | None
    description: str
    money_scale: int
    is_utf8: bool
    key: tuple[str, ...]
    columns: tuple[CatalogColumn, ...]
    version: str = ""


def read_columns(table: CatalogTable, types: Mapping[str, str] = {}) -> Sequence[DatabaseColumn]:
    """Return the columns of a table with the SQL that reads them.

    ``types``  of connections.yaml, by column: VARCHAR for any column, DECIMAL for a numeric. Raises
    ConfigError for other types.
    """
    row_text = _row_text(table)
    chosen = {name.lower(): parse_type(type.upper()) for name, type in types.items()}
    return [
        _ColumnReader(table, column, row_text).read(chosen.get(column.name.lower()))
        for column in table.columns
    ]


def numeric_modifier(type: str) -> int:
    """Return the modifier of the numeric that DuckDB has described as ``type``; -1 if it has no precision."""
    found = parse_type(type)
    if found.name != "DECIMAL":
        return -1
    precision, scale = found.modifiers
    return (precision << 16 | scale) + _MODIFIER_BASE if scale <= precision else -1


class _ColumnReader:
    """Decides how one column is read."""

    def __init__(self, table: CatalogTable, column: CatalogColumn, row_text: str) -> None:
        self._table = table
        self._column = column
        self._row_text = row_text
        self._name = quoted(column.name)

    def read(self, chosen: DuckDBType | None) -> DatabaseColumn:
        """Return the column; ``chosen`` is a type of connections.yaml."""
        column = self._column
        if chosen is not None:
            return self._read_chosen(chosen)
        if column.is_array:
            return self._read_array()
        if column.type_kind == "e":
            return self._read_enum()
        if not column.is_built_in:
            return self._as_text()
        if column.type in _PLAIN:
            return self._read_plain(*_PLAIN[column.type])
        if column.type in _TIMESTAMPS:
            return self._read_timestamp(*_TIMESTAMPS[column.type])
        match column.type:
            case "numeric":
                return self._read_numeric()
            case "json" | "jsonb":
                return self._make("JSON", f"{self._name}::text", cast_to="JSON")
            case "bpchar":
                return self._read_blank_padded()
            case "money":
                return self._read_money()
            case "oid":
                return self._make("BIGINT", f"{self._name}::int8")
            case _:
                return self._as_text()

    def _read_plain(self, type: str, kind: ValueKind) -> DatabaseColumn:
        value = self._base_value()
        is_text = kind is ValueKind.TEXT
        sort = value if kind in _SORTED_KINDS else ""
        if is_text and self._table.is_utf8:
            sort = f'{value} COLLATE "C"'
        return self._make(
            type,
            value,
            kind=kind,
            compare=value,
            sort=sort,
            same_text=is_text and self._column.is_deterministic,
        )

    def _read_timestamp(self, type: str, kind: ValueKind) -> DatabaseColumn:
        value = self._base_value()
        is_beyond = f"{value} >= {quote_literal(_LAST_TIMESTAMP)} AND isfinite({value})"
        error = self._error(_BEYOND, value, self._column.type)
        fetch = f"CASE WHEN {is_beyond} THEN {error} ELSE {value} END"
        return self._make(type, fetch, kind=kind, compare=value, sort=value)

    def _read_numeric(self) -> DatabaseColumn:
        precision, scale = _numeric_size(self._column.modifier)
        if not 0 < precision <= MAX_PRECISION:
            return self._make("VARCHAR", f"{self._name}::text")
        value = f"nullif({self._name}, 'NaN')"
        return self._make(
            f"DECIMAL({precision},{scale})",
            f"{value}::numeric({precision},{scale})",
            kind=ValueKind.DECIMAL,
            compare=self._base_value(),
            sort=value,
            read_as_null=f"({self._name} = 'NaN')",
            raw=f"{self._name}::numeric({precision},{scale})",  # a domain has no precision
        )

    def _read_chosen(self, chosen: DuckDBType) -> DatabaseColumn:
        if chosen.name == "VARCHAR":
            return self._as_text()
        if chosen.name != "DECIMAL" or len(chosen.modifiers) != 2 or self._column.type != "numeric":
            raise ConfigError(
                f"the column {self._column.name} of {self._table.name} ({self._column.source_type}) cannot "
                f"be read as {chosen.text}: a column can be read as varchar, and a numeric as decimal(p,s)"
            )
        precision, scale = chosen.modifiers
        value = self._name
        is_larger = f"{value} <> round({value}, {scale}) OR abs({value}) >= 1e{precision - scale}"
        error = self._error(f" does not fit {chosen.text.lower()}", value, "numeric")
        exact = f"{value}::numeric({precision},{scale})"
        fetch = f"CASE WHEN {value} = 'NaN' THEN NULL WHEN {is_larger} THEN {error} ELSE {exact} END"
        return self._make(
            f"DECIMAL({precision},{scale})",
            f"({fetch})::numeric({precision},{scale})",
            kind=ValueKind.DECIMAL,
            compare=self._base_value(),
            sort=f"nullif({value}, 'NaN')",
            read_as_null=f"({value} = 'NaN')",
            raw=f"({fetch})::numeric({precision},{scale})",
        )

    def _read_money(self) -> DatabaseColumn:
        scale = self._table.money_scale
        return self._make(f"DECIMAL(19,{scale})", f"{self._name}::numeric(19,{scale})")

    def _read_enum(self) -> DatabaseColumn:
        return self._make(
            "VARCHAR",
            f"{self._name}::text",
            kind=ValueKind.LABEL,
            compare=self._name,
            same_text=True,
            labels=self._column.labels or (),
        )

    def _read_blank_padded(self) -> DatabaseColumn:
        """char(n) has its blanks, as in psql; the server ignores them in comparisons, and DuckDB does not."""
        return self._make("VARCHAR", self._output(), kind=ValueKind.TEXT, compare=self._name)

    def _read_array(self) -> DatabaseColumn:
        """Read an array of one dimension as a list; others as the text that psql shows."""
        element = self._column.element
        if self._column.dimensions > 1:
            return self._as_text()
        if element in _PLAIN:
            return self._make(f"{_PLAIN[element][0]}[]", self._base_value())
        if element in _TIMESTAMPS:
            return self._read_timestamp_array(_TIMESTAMPS[element][0])
        if element == "numeric":
            return self._read_numeric_array()
        if element in _JSON:
            return self._make("JSON[]", f"{self._name}::text[]", cast_to="JSON[]")
        return self._make("VARCHAR[]", self._text_array())

    def _read_timestamp_array(self, type: str) -> DatabaseColumn:
        value = self._base_value()
        beyond = f"e >= {quote_literal(_LAST_TIMESTAMP)} AND isfinite(e)"
        error = self._error(_BEYOND, self._name, f"{self._column.element}[]")
        has_beyond = f"EXISTS (SELECT FROM unnest({value}) AS e WHERE {beyond})"
        fetch = f"CASE WHEN {has_beyond} THEN {error} ELSE {value} END"
        return self._make(f"{type}[]", fetch)

    def _read_numeric_array(self) -> DatabaseColumn:
        precision, scale = _numeric_size(self._column.modifier)
        if not 0 < precision <= MAX_PRECISION:
            return self._make("VARCHAR[]", f"{self._name}::text[]")
        type = f"DECIMAL({precision},{scale})[]"
        return self._make(type, f"array_replace({self._name}, 'NaN', NULL)::text[]", cast_to=type)

    def _text_array(self) -> str:
        """The array with the output of each element."""
        if self._column.element not in _OUTPUT_ONLY:
            return f"{self._name}::text[]"
        elements = "array_agg(CASE WHEN e IS NOT NULL THEN format('%s', e) END ORDER BY n)"
        listed = f"SELECT coalesce({elements}, '{{}}') FROM unnest({self._name}) WITH ORDINALITY AS u(e, n)"
        return f"CASE WHEN {self._name} IS NOT NULL THEN ({listed}) END"

    def _as_text(self) -> DatabaseColumn:
        return self._make("VARCHAR", self._output())

    def _output(self) -> str:
        """The output of a value, as psql shows it."""
        if self._column.type in _OUTPUT_ONLY and self._column.is_built_in and not self._column.is_array:
            return f"CASE WHEN {self._name} IS NOT NULL THEN format('%s', {self._name}) END"
        return f"{self._name}::text"

    def _error(self, reason: str, value: str, type: str) -> str:
        """SQL that fails with a text about the value of a row; ``type`` is one that no such text is of."""
        place = quote_literal(f"{ERROR_MARK}column {self._column.name}, row ")
        return f"concat({place}, {self._row_text}, ': ', {value}, {quote_literal(reason)})::{type}"

    def _base_value(self) -> str:
        """The column, cast to the base type if its type is a domain: DuckDB knows no domains."""
        column = self._column
        if not column.is_domain:
            return self._name
        return f"{self._name}::{f'{column.element}[]' if column.is_array else column.type}"

    def _make(
        self,
        type: str,
        fetch: str,
        *,
        cast_to: str = "",
        kind: ValueKind = ValueKind.NONE,
        compare: str = "",
        sort: str = "",
        same_text: bool = False,
        labels: tuple[str, ...] = (),
        read_as_null: str = "",
        raw: str = "",
    ) -> DatabaseColumn:
        column = self._column
        return DatabaseColumn(
            name=column.name,
            type=type,
            source_type=column.source_type,
            description=column.description,
            source_name=column.name,
            fetch=fetch,
            cast_to=cast_to,
            kind=kind,
            compare=compare,
            sort=sort,
            same_text=same_text,
            labels=labels,
            read_as_null=read_as_null,
            raw=raw,
            distinct_values=self._distinct_values(),
            has_null=not column.not_null or bool(read_as_null),
            is_indexed=column.is_indexed and sort == self._name,
        )

    def _distinct_values(self) -> float | None:
        distinct = self._column.distinct
        return -distinct * (self._table.rows or 0) if distinct is not None and distinct < 0 else distinct


def _numeric_size(modifier: int) -> tuple[int, int]:
    """Return width and scale of the DECIMAL for a numeric; (0, 0) if it has no precision."""
    if modifier < _MODIFIER_BASE:
        return 0, 0
    precision, scale = (modifier - _MODIFIER_BASE) >> 16, (modifier - _MODIFIER_BASE) & 0x7FF
    if scale > 1000:  # negative: 11 bits, two's complement
        return precision + 0x800 - scale, 0
    return max(precision, scale), scale


def _row_text(table: CatalogTable) -> str:
    """SQL for texts that, joined, name a row by its key; a list of arguments."""
    if not table.key:
        return "'without a key'"
    return ", ', ', ".join(f"{quote_literal(f'{name}=')}, {quoted(name)}" for name in table.key)
