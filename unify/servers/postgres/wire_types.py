"""Types of PostgreSQL for those of DuckDB, and values as bytes, in text and in binary.

DuckDB makes the text of values: a projection casts each column to the text that PostgreSQL would send, or to
the number that its binary form consists of, and Python only adds lengths. Values that no type of PostgreSQL
holds exactly are texts; structs, maps and nested lists are json.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from msgspec import Struct

from unify.engine.types import DuckDBType, parse_type

TEXT_FORMAT, BINARY_FORMAT = 0, 1
EPOCH_US = 946_684_800_000_000  # 2000-01-01, where PostgreSQL counts from
EPOCH_DAYS = 10_957
NULL_CELL = b"\xff\xff\xff\xff"

Sql = Callable[[str], str]
Encoder = Callable[[Any], bytes]

_LENGTH = struct.Struct("!i").pack
_INT64_MAX, _INT64_MIN = 2**63 - 1, -(2**63)
_INT32_MAX, _INT32_MIN = 2**31 - 1, -(2**31)


class PostgresType(Struct, frozen=True):
    """A type of PostgreSQL as values of DuckDB are sent in it.

    ``size``          as in pg_type; -1: of variable length.
    ``array_oid``     of arrays of it.
    ``to_text``       SQL that returns the text of an expression.
    ``to_binary``     SQL whose value ``encode`` turns into the binary form; None: the text is it.
    ``is_quoted``     an array quotes the texts of its elements.
    """

    name: str
    oid: int
    size: int
    array_oid: int
    to_text: Sql
    to_binary: Sql | None = None
    encode: Encoder | None = None
    is_quoted: bool = False


class WireColumn(Struct, frozen=True):
    """A column of a result as it is sent; ``type_modifier`` is that of numeric, -1 for none.

    ``table_oid``, ``table_column``  of a column of the catalog; 0 for others.
    """

    name: str
    type: PostgresType
    type_modifier: int = -1
    table_oid: int = 0
    table_column: int = 0


def _varchar(value: str) -> str:
    return f"CAST({value} AS VARCHAR)"


def _float_text(value: str) -> str:
    text = f"WHEN isinf({value}) THEN CASE WHEN {value} > 0 THEN 'Infinity' ELSE '-Infinity' END"
    return f"CASE WHEN isnan({value}) THEN 'NaN' {text} ELSE CAST({value} AS VARCHAR) END"


def _date_text(value: str) -> str:
    return f"replace(CAST({value} AS VARCHAR), ' (BC)', ' BC')"


def _timestamptz_text(value: str) -> str:
    """The time in UTC, whatever the time zone of DuckDB's session."""
    utc = f"CAST(make_timestamp(epoch_us({value})) AS VARCHAR)"
    era = f"WHEN {utc} LIKE '% (BC)' THEN replace({utc}, ' (BC)', '+00 BC')"
    return f"CASE WHEN NOT isfinite({value}) THEN CAST({value} AS VARCHAR) {era} ELSE {utc} || '+00' END"


def _timestamp_micros(value: str) -> str:
    infinite = f"CASE WHEN {value} > TIMESTAMP '2000-01-01' THEN {_INT64_MAX} ELSE {_INT64_MIN} END"
    return f"CASE WHEN isfinite({value}) THEN epoch_us({value}) - {EPOCH_US} ELSE {infinite} END"


def _timestamptz_micros(value: str) -> str:
    infinite = f"CASE WHEN CAST({value} AS VARCHAR) = 'infinity' THEN {_INT64_MAX} ELSE {_INT64_MIN} END"
    return f"CASE WHEN isfinite({value}) THEN epoch_us({value}) - {EPOCH_US} ELSE {infinite} END"


def _date_days(value: str) -> str:
    infinite = f"CASE WHEN {value} > DATE '2000-01-01' THEN {_INT32_MAX} ELSE {_INT32_MIN} END"
    return f"CASE WHEN isfinite({value}) THEN {value} - DATE '2000-01-01' ELSE {infinite} END"


def _interval_parts(value: str) -> str:
    return (
        f"CASE WHEN {value} IS NOT NULL THEN [datepart('year', {value}) * 12 + datepart('month', {value}), "
        f"datepart('day', {value}), datepart('hour', {value}) * 3600000000 + "
        f"datepart('minute', {value}) * 60000000 + datepart('microsecond', {value})] END"
    )


def _encode_interval(parts: Sequence[int]) -> bytes:
    months, days, micros = parts
    return struct.pack("!qii", micros, days, months)


def _encode_text(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


def _encode_numeric(text: str) -> bytes:
    """Return a numeric: its digits in groups of four, as PostgreSQL's numeric_send writes them."""
    number = Decimal(text)
    if number.is_nan():
        return struct.pack("!HhHH", 0, 0, 0xC000, 0)
    sign, figures, exponent = number.as_tuple()
    scale = max(0, -int(exponent))
    digits = "".join(map(str, figures)) + "0" * max(0, int(exponent))
    whole, fraction = (digits[:-scale], digits[-scale:].rjust(scale, "0")) if scale else (digits, "")
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    groups = [int((whole + fraction)[at : at + 4]) for at in range(0, len(whole + fraction), 4)]
    weight = len(whole) // 4 - 1
    while groups and groups[0] == 0:
        groups.pop(0)
        weight -= 1
    while groups and groups[-1] == 0:
        groups.pop()
    head = struct.pack("!HhHH", len(groups), weight if groups else 0, 0x4000 if sign else 0, scale)
    return head + struct.pack(f"!{len(groups)}H", *groups)


def _same(value: str) -> str:
    return value


BOOL = PostgresType(
    "bool",
    16,
    1,
    1000,
    lambda value: f"CASE WHEN {value} THEN 't' WHEN NOT {value} THEN 'f' END",
    _same,
    lambda value: b"\1" if value else b"\0",
)
BYTEA = PostgresType(
    "bytea", 17, -1, 1001, lambda value: f"'\\x' || lower(hex({value}))", _same, bytes, is_quoted=True
)
INT8 = PostgresType("int8", 20, 8, 1016, _varchar, _same, struct.Struct("!q").pack)
INT2 = PostgresType("int2", 21, 2, 1005, _varchar, _same, struct.Struct("!h").pack)
INT4 = PostgresType("int4", 23, 4, 1007, _varchar, _same, struct.Struct("!i").pack)
TEXT = PostgresType("text", 25, -1, 1009, _varchar, is_quoted=True)
JSON = PostgresType("json", 114, -1, 199, lambda value: f"CAST(to_json({value}) AS VARCHAR)", is_quoted=True)
JSON_TEXT = PostgresType("json", 114, -1, 199, _varchar, is_quoted=True)  # already json in DuckDB
FLOAT4 = PostgresType("float4", 700, 4, 1021, _float_text, _same, struct.Struct("!f").pack)
FLOAT8 = PostgresType("float8", 701, 8, 1022, _float_text, _same, struct.Struct("!d").pack)
DATE = PostgresType("date", 1082, 4, 1182, _date_text, _date_days, struct.Struct("!i").pack)
TIME = PostgresType(
    "time", 1083, 8, 1183, _varchar, lambda value: f"epoch_us({value})", struct.Struct("!q").pack
)
TIMESTAMP = PostgresType(
    "timestamp", 1114, 8, 1115, _date_text, _timestamp_micros, struct.Struct("!q").pack, is_quoted=True
)
TIMESTAMPTZ = PostgresType(
    "timestamptz",
    1184,
    8,
    1185,
    _timestamptz_text,
    _timestamptz_micros,
    struct.Struct("!q").pack,
    is_quoted=True,
)
INTERVAL = PostgresType(
    "interval",
    1186,
    16,
    1187,
    lambda value: f"replace(CAST({value} AS VARCHAR), 'month', 'mon')",
    _interval_parts,
    _encode_interval,
    is_quoted=True,
)
NUMERIC = PostgresType("numeric", 1700, -1, 1231, _varchar, _varchar, _encode_numeric)
UUID = PostgresType("uuid", 2950, 16, 2951, _varchar, _varchar, lambda value: uuid.UUID(str(value)).bytes)
_BY_NAME = {
    "BOOLEAN": BOOL,
    "TINYINT": INT2,
    "UTINYINT": INT2,
    "SMALLINT": INT2,
    "USMALLINT": INT4,
    "INTEGER": INT4,
    "UINTEGER": INT8,
    "BIGINT": INT8,
    "UBIGINT": NUMERIC,
    "HUGEINT": NUMERIC,
    "UHUGEINT": NUMERIC,
    "BIGNUM": NUMERIC,
    "DECIMAL": NUMERIC,
    "FLOAT": FLOAT4,
    "DOUBLE": FLOAT8,
    "VARCHAR": TEXT,
    "BLOB": BYTEA,
    "DATE": DATE,
    "TIME": TIME,
    "TIMESTAMP": TIMESTAMP,
    "TIMESTAMP_S": TIMESTAMP,
    "TIMESTAMP_MS": TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": TIMESTAMPTZ,
    "INTERVAL": INTERVAL,
    "UUID": UUID,
    "JSON": JSON_TEXT,
}
BY_OID = {one.oid: one for one in (*_BY_NAME.values(), JSON)}
ARRAY_BY_OID = {one.array_oid: one for one in BY_OID.values()}
_AS_TIMESTAMP = frozenset(("TIMESTAMP_S", "TIMESTAMP_MS"))  # whose epoch_us is that of a TIMESTAMP


@lru_cache(maxsize=1024)
def postgres_type(text: str) -> PostgresType:
    """Return the type in which values of a DuckDB type are sent."""
    type = parse_type(text)
    if type.name in ("LIST", "ARRAY"):
        return _array_type(type.children[0])
    if type.nested:
        return JSON
    found = _BY_NAME.get(type.name, TEXT)
    if type.name in _AS_TIMESTAMP:
        return _converted(found, "TIMESTAMP")
    return found


def wire_column(name: str, type_text: str) -> WireColumn:
    """Return the column for one of DuckDB."""
    type = parse_type(type_text)
    modifier = -1
    if type.name == "DECIMAL" and len(type.modifiers) == 2:
        modifier = (type.modifiers[0] << 16 | type.modifiers[1]) + 4
    return WireColumn(name, postgres_type(type_text), modifier)


def _array_type(element_type: DuckDBType) -> PostgresType:
    element = postgres_type(element_type.text)
    if element_type.nested:
        return JSON

    def to_text(value: str) -> str:
        text = element.to_text("x")
        if element.is_quoted:
            text = f"""'"' || replace(replace({text}, '\\', '\\\\'), '"', '\\"') || '"'"""
        items = f"list_transform({value}, lambda x: CASE WHEN x IS NULL THEN 'NULL' ELSE {text} END)"
        return f"CASE WHEN {value} IS NOT NULL THEN '{{' || array_to_string({items}, ',') || '}}' END"

    def to_binary(value: str) -> str:
        return f"list_transform({value}, lambda x: {(element.to_binary or element.to_text)('x')})"

    encode_element = element.encode or _encode_text

    def encode(values: Sequence[object]) -> bytes:
        if not values:
            return struct.pack("!iii", 0, 0, element.oid)
        has_null = any(value is None for value in values)
        head = struct.pack("!iiiii", 1, has_null, element.oid, len(values), 1)
        return head + b"".join(encode_cell(value, encode_element) for value in values)

    return PostgresType(f"_{element.name}", element.array_oid, -1, 0, to_text, to_binary, encode)


def _converted(type: PostgresType, duckdb_type: str) -> PostgresType:
    """Return a type that casts values before they are sent."""
    to_binary = type.to_binary or type.to_text
    return PostgresType(
        type.name,
        type.oid,
        type.size,
        type.array_oid,
        lambda value: type.to_text(f"CAST({value} AS {duckdb_type})"),
        lambda value: to_binary(f"CAST({value} AS {duckdb_type})"),
        type.encode,
        type.is_quoted,
    )


def encode_cell(value: object, encode: Encoder) -> bytes:
    """Return a value with its length, as in DataRow and in arrays."""
    if value is None:
        return NULL_CELL
    data = encode(value)
    return _LENGTH(len(data)) + data


def _encode_listed(value: object) -> bytes:
    match value:
        case bool():
            return b"t" if value else b"f"
        case bytes():
            return b"\\x" + value.hex().encode()
        case _:
            return _encode_text(value)


def listing_encoder(
    columns: Sequence[WireColumn], formats: Sequence[int]
) -> Callable[[Sequence[tuple[object, ...]]], list[bytes]]:
    """Return what encodes rows of Python values, which DuckDB has not projected."""
    head = struct.pack("!h", len(columns))
    encoders: list[Encoder] = [
        column.type.encode if format == BINARY_FORMAT and column.type.encode else _encode_listed
        for column, format in zip(columns, result_formats(formats, len(columns)), strict=True)
    ]

    def encode(rows: Sequence[tuple[object, ...]]) -> list[bytes]:
        return [
            head + b"".join([encode_cell(value, one) for value, one in zip(row, encoders, strict=True)])
            for row in rows
        ]

    return encode


class WireProjection:
    """The form of rows in which they are sent; ``formats`` as in Bind: none, one for all, or one each."""

    applies_always = True

    def __init__(self, formats: Sequence[int] = ()) -> None:
        self.formats = formats
        self.encoders: Sequence[Encoder] | None = None  # None: all cells are texts

    def expressions(self, columns: Sequence[tuple[str, str]]) -> Sequence[str]:
        found = []
        encoders: list[Encoder] = []
        formats = result_formats(self.formats, len(columns))
        for number, ((_, type_text), format) in enumerate(zip(columns, formats, strict=True)):
            type = postgres_type(type_text)
            is_binary = format == BINARY_FORMAT and type.to_binary is not None
            found.append((type.to_binary if is_binary and type.to_binary else type.to_text)(f"c{number}"))
            encoders.append((type.encode if is_binary else None) or _encode_text)
        self.encoders = None if all(one is _encode_text for one in encoders) else encoders
        return found

    def texts(self, batches: object, separator: str) -> Any:
        """Yield nothing: the rows are read as values."""
        del batches, separator
        yield from ()

    def encode_rows(self, rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
        """Return the content of a DataRow for each row: the number of its cells, and the cells."""
        count = struct.pack("!h", len(rows[0])) if rows else b""
        if self.encoders is None:
            return [_encode_text_row(count, row) for row in rows]
        encoders = self.encoders
        return [
            count + b"".join([encode_cell(value, one) for value, one in zip(row, encoders, strict=True)])
            for row in rows
        ]


def result_formats(formats: Sequence[int], count: int) -> Sequence[int]:
    """Return the format of each column. Raises ValueError for another number of them."""
    if len(formats) == count:
        return formats
    if len(formats) > 1:
        raise ValueError(f"the portal has {len(formats)} formats, and the result {count} columns")
    return [formats[0] if formats else TEXT_FORMAT] * count


def _encode_text_row(count: bytes, row: tuple[Any, ...]) -> bytes:
    cells = [count]
    for value in row:
        if value is None:
            cells.append(NULL_CELL)
        else:
            data = value.encode("utf-8", "surrogatepass")
            cells.append(_LENGTH(len(data)))
            cells.append(data)
    return b"".join(cells)
