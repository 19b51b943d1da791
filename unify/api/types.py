"""The type objects and constructors of PEP 249."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

_NUMBERS = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
    *("UHUGEINT", "BIGNUM", "FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN"),
)


class TypeObject:
    """Equal to the DuckDB types of its kind: ``NUMBER == "DECIMAL(9,2)"``."""

    def __init__(self, name: str, types: tuple[str, ...]) -> None:
        self.name = name
        self._types = frozenset(types)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            is_scalar = not other.endswith("]")
            return is_scalar and other.partition("(")[0].strip().upper() in self._types
        return self is other

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name


STRING = TypeObject("STRING", ("VARCHAR", "ENUM", "UUID", "JSON", "BIT"))
BINARY = TypeObject("BINARY", ("BLOB",))
NUMBER = TypeObject("NUMBER", _NUMBERS)
DATETIME = TypeObject(
    "DATETIME",
    (
        *("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "INTERVAL"),
        *("TIMESTAMP WITH TIME ZONE", "TIME WITH TIME ZONE"),
    ),
)
ROWID = TypeObject("ROWID", ())

Date = date
Time = time
Timestamp = datetime
Binary = bytes


def DateFromTicks(ticks: float) -> date:  # noqa: N802 - the name is that of PEP 249
    """The date of a number of seconds since 1970, UTC."""
    return datetime.fromtimestamp(ticks, UTC).date()


def TimeFromTicks(ticks: float) -> time:  # noqa: N802
    """The time of day of a number of seconds since 1970, UTC."""
    return datetime.fromtimestamp(ticks, UTC).time()


def TimestampFromTicks(ticks: float) -> datetime:  # noqa: N802
    """The moment of a number of seconds since 1970, with the time zone UTC."""
    return datetime.fromtimestamp(ticks, UTC)
