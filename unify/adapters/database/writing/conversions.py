"""How a value of DuckDB becomes a value of a column without a loss, in DuckDB's SQL.

A conversion is exact: the value of the column, converted back, is the value. What is not is a problem that is
found before the database receives the first row. The SQL never fails: TRY_CAST gives NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from unify.adapters.table_writes import ValueConversion, WritableColumn
from unify.engine.connection import quote_literal
from unify.engine.types import TIMESTAMPTZ_TYPE, DuckDBType, parse_type

INTEGERS = frozenset(
    f"{sign}{size}INT{end}"
    for sign in ("", "U")
    for size, end in (("TINY", ""), ("SMALL", ""), ("", "EGER"), ("BIG", ""), ("HUGE", ""))
)
FLOATS = frozenset(["FLOAT", "DOUBLE"])
_NUMBERS = INTEGERS | FLOATS | {"DECIMAL", "BIGNUM"}
_LOCAL_TIMES = frozenset(["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"])
_NESTED = frozenset(["LIST", "ARRAY", "STRUCT", "MAP", "UNION", "VARIANT"])
_INTEGER_TEXT = r"\s*[+-]?\d+\s*"
_ZONE = r".*:\d+(?:\.\d+)?\s*(?:[zZ]|[+-]\d\d(?::?\d\d){0,2}|UTC|GMT)\s*(?:\(BC\))?\s*"
_MICROSECOND_TEXT = r"[^.]*(?:\.\d{0,6}0*(?:\D.*)?)?"

_Converted = ValueConversion


def convert(value: str, type: str, column: WritableColumn) -> ValueConversion:
    """Return the value of ``column`` for ``value``, an expression of a DuckDB type, and what may be wrong."""
    converted = _convert(value, parse_type(type), parse_type(column.type), 0)
    missing = () if column.is_nullable else ((f"{value} IS NULL", "is NULL, and the column is NOT NULL"),)
    return _Converted(
        converted.value, (*missing, *converted.problems, *_limit_problems(converted.value, column))
    )


def _convert(value: str, source: DuckDBType, target: DuckDBType, depth: int) -> ValueConversion:
    if source.text == target.text:
        return _Converted(value)
    if target.name in ("LIST", "ARRAY"):
        return _convert_list(value, source, target, depth)
    convert = _CONVERTERS.get(target.name) or (_convert_integer if target.name in INTEGERS else None)
    return (convert or _cast)(value, source, target)


def _cast(value: str, _source: DuckDBType, target: DuckDBType) -> ValueConversion:
    """Convert by DuckDB's own rules; what it has no rule for is no value."""
    cast = f"TRY_CAST({value} AS {target.text})"
    return _Converted(cast, ((f"{value} IS NOT NULL AND {cast} IS NULL", f"is no {target.label}"),))


def _refuse(value: str, source: DuckDBType, target: DuckDBType, advice: str = "") -> ValueConversion:
    """A value of a type that has no conversion; NULL has one."""
    reason = f"is a {source.label}, and no {target.label}{advice}"
    return _Converted(f"CAST(NULL AS {target.text})", ((f"{value} IS NOT NULL", reason),))


def _round_trip(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    """Convert a number or time; one that is another when it is converted back would be rounded."""
    cast = f"TRY_CAST({value} AS {target.text})"
    back = f"TRY_CAST({cast} AS {source.text})"
    return _Converted(
        cast,
        (
            (f"{value} IS NOT NULL AND {cast} IS NULL", "is out of range"),
            (f"{cast} IS NOT NULL AND {back} IS DISTINCT FROM {value}", "would be rounded"),
        ),
    )


def _convert_integer(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    if source.name in _NUMBERS:
        return _round_trip(value, source, target)
    if source.name == "BOOLEAN":
        return _Converted(f"CAST({value} AS {target.text})")
    if source.name == "VARCHAR":
        return _matching_text(value, target, _INTEGER_TEXT)
    return _refuse(value, source, target)


def _convert_decimal(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    if source.name in _NUMBERS:
        return _round_trip(value, source, target)
    if source.name == "VARCHAR":
        return _matching_text(value, target, decimal_pattern(None, target.modifiers[1]))
    return _refuse(value, source, target)


def decimal_pattern(whole_digits: int | None, scale: int) -> str:
    """Return the pattern of a decimal number that has at most so many digits; None: any number of them."""
    whole = r"\d*" if whole_digits is None else rf"0*\d{{0,{whole_digits}}}"
    return rf"\s*[+-]?{whole}(?:\.\d{{0,{scale}}}0*)?\s*"


def _convert_float(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    if source.name == "DOUBLE":  # 0.1 is 0.1 in both, though the bits differ
        cast = f"TRY_CAST({value} AS FLOAT)"
        differs = f"CAST({cast} AS VARCHAR) IS DISTINCT FROM CAST({value} AS VARCHAR)"
        return _Converted(cast, ((f"{value} IS NOT NULL AND {differs}", "has more digits than a float"),))
    if source.name in _NUMBERS:
        return _round_trip(value, source, target)
    return _cast(value, source, target) if source.name == "VARCHAR" else _refuse(value, source, target)


def _matching_text(value: str, target: DuckDBType, pattern: str) -> ValueConversion:
    cast = f"TRY_CAST({value} AS {target.text})"
    has_form = f"regexp_full_match({value}, {quote_literal(pattern)})"
    return _Converted(
        cast,
        (
            (f"NOT {has_form}", f"is no {target.label}"),
            (f"{has_form} AND {cast} IS NULL", "is out of range"),
        ),
    )


def _convert_boolean(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    if source.name in INTEGERS:
        return _Converted(f"{value} = 1", ((f"{value} NOT IN (0, 1)", "is no boolean"),))
    return _cast(value, source, target) if source.name == "VARCHAR" else _refuse(value, source, target)


def _convert_text(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    if source.name == "BLOB":
        return _refuse(value, source, target, "; write decode(…) or base64(…)")
    if source.name in _NESTED:
        return _refuse(value, source, target, "; write to_json(…) or array_to_string(…)")
    return _Converted(f"CAST({value} AS VARCHAR)")


def _convert_bytes(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    advice = "; write encode(…) or from_hex(…)" if source.name == "VARCHAR" else ""
    return _refuse(value, source, target, advice)


def _convert_date(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    if source.name in _LOCAL_TIMES:
        return _round_trip(value, source, target)
    if source.name == "VARCHAR":
        day = r"\s*[+-]?\d+-\d+-\d+(?:\s*\(?BC\)?)?\s*|-?infinity"
        return _matching_text(value, target, day)
    return _refuse(value, source, target)


def _convert_timestamp(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    if source.text == TIMESTAMPTZ_TYPE:
        return _refuse(value, source, target, "; write … at time zone 'UTC', or the zone of the column")
    if source.name in _LOCAL_TIMES:
        return _round_trip(value, source, target)
    if source.name == "DATE":
        return _cast(value, source, target)
    if source.name == "VARCHAR":
        zoned = (
            f"regexp_full_match({value}, {quote_literal(_ZONE)})",
            "has a time zone, and the column none",
        )
        return _time_text(value, target, zoned)
    return _refuse(value, source, target)


def _convert_timestamptz(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    if source.name == "VARCHAR":
        is_zoned = f"regexp_full_match({value}, {quote_literal(_ZONE)})"
        unzoned = (
            f"NOT {is_zoned} AND {value} NOT LIKE '%infinity'",
            "has no time zone; end it with one, such as +00",
        )
        return _time_text(value, target, unzoned)
    if source.name in (*_LOCAL_TIMES, "DATE"):
        return _refuse(value, source, target, "; write … at time zone 'UTC', or the zone that it is of")
    return _refuse(value, source, target)


def _time_text(value: str, target: DuckDBType, zone_problem: tuple[str, str]) -> ValueConversion:
    cast = f"TRY_CAST({value} AS {target.text})"
    return _Converted(
        cast,
        (
            zone_problem,
            (f"{value} IS NOT NULL AND {cast} IS NULL", f"is no {target.label}"),
            (f"NOT regexp_full_match({value}, {quote_literal(_MICROSECOND_TEXT)})", "would be rounded"),
        ),
    )


def _convert_text_only(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    return _cast(value, source, target) if source.name == "VARCHAR" else _refuse(value, source, target)


def _convert_json(value: str, source: DuckDBType, target: DuckDBType) -> ValueConversion:
    if source.name == "VARCHAR":
        return _Converted(value, ((f"NOT json_valid({value})", "is no JSON"),))
    if source.name in ("LIST", "ARRAY", "STRUCT", "MAP"):
        return _Converted(f"CASE WHEN {value} IS NOT NULL THEN to_json({value}) END")
    return _refuse(value, source, target, "; write to_json(…)")


def _convert_list(value: str, source: DuckDBType, target: DuckDBType, depth: int) -> ValueConversion:
    """Convert each element. A problem of one is a problem of the list."""
    if source.name not in ("LIST", "ARRAY"):
        return _refuse(value, source, target)
    name = f"e{depth}"
    element = _convert(name, source.children[0], target.children[0], depth + 1)
    listed = f"CAST({value} AS {source.children[0].text}[])"
    problems = tuple(
        (
            f"len(list_filter({listed}, lambda {name}: coalesce({condition}, false))) > 0",
            f"an element {reason}",
        )
        for condition, reason in element.problems
    )
    return _Converted(f"list_transform({listed}, lambda {name}: {element.value})", problems)


_CONVERTERS: dict[str, Callable[[str, DuckDBType, DuckDBType], ValueConversion]] = {
    "BOOLEAN": _convert_boolean,
    "DECIMAL": _convert_decimal,
    "FLOAT": _convert_float,
    "DOUBLE": lambda value, source, target: (
        _round_trip(value, source, target)
        if source.name in _NUMBERS
        else _convert_float(value, source, target)
    ),
    "VARCHAR": _convert_text,
    "BLOB": _convert_bytes,
    "DATE": _convert_date,
    "TIMESTAMP": _convert_timestamp,
    TIMESTAMPTZ_TYPE: _convert_timestamptz,
    "TIME": _convert_text_only,
    "JSON": _convert_json,
    "UUID": _convert_text_only,
}


def _limit_problems(value: str, column: WritableColumn) -> Iterator[tuple[str, str]]:
    """Yield what the column itself forbids of a converted value."""
    name = parse_type(column.type).name
    if column.labels:
        labels = ", ".join(map(quote_literal, column.labels))
        yield f"{value} NOT IN ({labels})", "is none of the labels"
    if column.pattern:
        yield f"NOT regexp_full_match({value}, {quote_literal(column.pattern)})", "is no such value"
    if column.max_chars is not None:
        yield f"length({value}) > {column.max_chars}", f"has more than {column.max_chars} characters"
    if column.max_bytes is not None:
        size = f"octet_length({value})" if name == "BLOB" else f"strlen({value})"
        yield f"{size} > {column.max_bytes}", f"has more than {column.max_bytes} bytes"
    if column.fraction_digits is not None and column.fraction_digits < 6:
        unit = 10 ** (6 - column.fraction_digits)
        is_finite = "" if name == "TIME" else f"isfinite({value}) AND "
        yield f"{is_finite}date_part('microseconds', {value}) % {unit} <> 0", "would be rounded"
