"""Which Arrow type the values of an ODBC type have, and as what DuckDB reads them.

Values that a driver would change are fetched as the database's own text: dates of PostgreSQL, whose driver
returns infinity as another date, times with a zone, and fractions below a microsecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from unify.adapters.database.columns import ValueKind
from unify.adapters.database.drivers.columns import MAX_DECIMAL_DIGITS, UNFILTERED, ChosenType, DriverColumn
from unify.engine.types import TIMESTAMPTZ_TYPE

if TYPE_CHECKING:
    import pyarrow

_MICROSECOND_DIGITS = 6
_INTEGERS = (-6, 4, 5, -5)  # TINYINT, INTEGER, SMALLINT, BIGINT
_DECIMALS = (2, 3)
_TEXTS = (1, 12, -1, -8, -9, -10)
_BYTES = (-2, -3, -4)
_BIT, _REAL, _FLOATS, _DATE, _TIMESTAMP, _GUID = -7, 7, (6, 8), (9, 91), (11, 93), -11
_TIMES = (10, 92, -154)
_ZONED = ("timestamptz", "timestamp with time zone", "timestamp with local time zone", "datetimeoffset")
_BOOLEANS = ("bool", "boolean")


class OdbcType(Struct, frozen=True):
    """The type of a column, as SQLColumns describes it. ``digits``: after the point, or of a second."""

    code: int
    name: str = ""
    size: int = 0
    digits: int = 0


class _DriverReading(Struct, frozen=True):
    type: str
    arrow: pyarrow.DataType
    kind: ValueKind = ValueKind.NONE
    cast_to: str = ""
    as_text: bool = False


def odbc_column(
    name: str,
    quoted_name: str,
    type: OdbcType,
    chosen: ChosenType | None = None,
    *,
    has_exact_texts: bool = False,
) -> DriverColumn:
    """Return a column.

    ``chosen``           its type by the settings of the table; None: without.
    ``has_exact_texts``  the database writes dates and times in ISO 8601, with their zone.
    """
    reading = (
        _chosen_reading(chosen) if chosen is not None else _reading(type, has_exact_texts=has_exact_texts)
    )
    return DriverColumn(
        name=name,
        type=reading.type,
        source_type=_source_type(type),
        source_name=name,
        fetch=f"{{fn CONVERT({quoted_name}, SQL_VARCHAR)}}" if reading.as_text else quoted_name,
        cast_to=reading.cast_to,
        function=UNFILTERED if reading.type in ("FLOAT", "DOUBLE") else "",
        kind=reading.kind,
        compare=quoted_name,
        arrow=reading.arrow,
    )


def _chosen_reading(chosen: ChosenType) -> _DriverReading:
    import pyarrow

    if chosen.precision:
        return _decimal(chosen.precision, chosen.scale)
    return _DriverReading("VARCHAR", pyarrow.string(), as_text=True)


def _reading(type: OdbcType, *, has_exact_texts: bool) -> _DriverReading:
    import pyarrow

    name = type.name.lower()
    if name in _BOOLEANS:  # some drivers return the texts 0 and 1
        return _DriverReading("BOOLEAN", pyarrow.string(), cast_to="BOOLEAN")
    if type.code in _INTEGERS:
        if "unsigned" in name:
            return _DriverReading("UBIGINT", pyarrow.uint64(), ValueKind.INTEGER)
        return _DriverReading("BIGINT", pyarrow.int64(), ValueKind.INTEGER)
    if type.code in _DECIMALS:
        is_exact = 0 < type.size <= MAX_DECIMAL_DIGITS and 0 <= type.digits <= type.size
        return _decimal(type.size, type.digits) if is_exact else _DriverReading("VARCHAR", pyarrow.string())
    if type.code in (*_DATE, *_TIMESTAMP, *_TIMES):
        return _moment(type, name, has_exact_texts=has_exact_texts)
    return _plain(type, name)


def _plain(type: OdbcType, name: str) -> _DriverReading:
    """Return the reading of texts, bytes, floating-point numbers, and what no program can know."""
    import pyarrow

    match type.code:
        case code if code == _BIT:
            return _DriverReading("BOOLEAN", pyarrow.bool_())
        case code if code == _REAL:
            return _DriverReading("FLOAT", pyarrow.float32())
        case code if code in _FLOATS:
            return _DriverReading("DOUBLE", pyarrow.float64())
        case code if code in _BYTES:
            return _DriverReading("BLOB", pyarrow.binary())
        case code if code == _GUID:
            return _DriverReading("UUID", pyarrow.string(), cast_to="UUID")
        case code if code in _TEXTS and name in ("json", "jsonb"):
            return _DriverReading("JSON", pyarrow.string(), cast_to="JSON")
        case code if code in _TEXTS:
            return _DriverReading("VARCHAR", pyarrow.string())
        case _:
            return _DriverReading("VARCHAR", pyarrow.string(), as_text=True)


def _moment(type: OdbcType, name: str, *, has_exact_texts: bool) -> _DriverReading:
    import pyarrow

    text = pyarrow.string()
    if type.code in _TIMES:
        if has_exact_texts and name in ("time", "time without time zone"):
            return _DriverReading("TIME", text, cast_to="TIME", as_text=True)
        return _DriverReading("VARCHAR", text, as_text=True)  # ODBC's own type has no fraction of a second
    if name in _ZONED:
        if has_exact_texts:
            return _DriverReading(TIMESTAMPTZ_TYPE, text, cast_to=TIMESTAMPTZ_TYPE, as_text=True)
        return _DriverReading(
            "VARCHAR", text, as_text=True
        )  # the driver does not tell in which zone it returns it
    if type.code in _DATE:
        if has_exact_texts:
            return _DriverReading("DATE", text, ValueKind.DATE, cast_to="DATE", as_text=True)
        return _DriverReading("DATE", pyarrow.date32(), ValueKind.DATE)
    if has_exact_texts:
        return _DriverReading("TIMESTAMP", text, ValueKind.TIMESTAMP, cast_to="TIMESTAMP", as_text=True)
    if type.digits > _MICROSECOND_DIGITS:
        return _DriverReading("VARCHAR", text, as_text=True)
    return _DriverReading("TIMESTAMP", pyarrow.timestamp("us"), ValueKind.TIMESTAMP)


def _decimal(precision: int, scale: int) -> _DriverReading:
    import pyarrow

    type = pyarrow.decimal128(precision, scale)
    return _DriverReading(f"DECIMAL({precision},{scale})", type, ValueKind.DECIMAL)


def _source_type(type: OdbcType) -> str:
    return f"{type.name}({type.size},{type.digits})" if type.code in _DECIMALS else type.name
