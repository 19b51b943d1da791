"""Type widening: the narrowest type that holds all values of two types, and SQL that converts to it.

A place within a type is a tuple of steps: a field name of a STRUCT, or None for the elements of a LIST.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from unify.engine.connection import quote_literal
from unify.engine.types import BIG_INTEGER_TYPE, DuckDBType, nested_type_text, parse_type, quote_identifier

Place = tuple[str | None, ...]
ExactnessTest = Callable[[Place], bool]

UNTYPED = '"NULL"'  # the type of a place that has had no value yet: every type holds its values
EMPTY_STRUCT = '"{}"'  # the type of objects without members: every STRUCT holds them, else JSON
_PROVISIONAL_TYPES = {"NULL": "VARCHAR", "{}": "JSON"}
_DIGITS_BY_INTEGER_TYPE = {  # decimal digits of the largest value
    "TINYINT": 3,
    "UTINYINT": 3,
    "SMALLINT": 5,
    "USMALLINT": 5,
    "INTEGER": 10,
    "UINTEGER": 10,
    "BIGINT": 19,
    "UBIGINT": 20,
}
_SIGNED_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
_MAX_DECIMAL_DIGITS = 38  # of a DECIMAL


def common_type(one: str, other: str, is_exact: ExactnessTest = lambda _place: False) -> str:
    """Return the narrowest type that holds every value of both types.

    ``is_exact`` returns whether the integers at a place all equal a double. Integers and doubles have the
    common type DOUBLE only then, else VARCHAR.
    """
    return _common_type(parse_type(one), parse_type(other), is_exact, ())


def final_type(type_: str) -> str:
    """Return the type as it is stored: untyped places are VARCHAR."""
    if UNTYPED not in type_ and EMPTY_STRUCT not in type_:
        return type_
    return _map_leaves(parse_type(type_), lambda leaf, _: _PROVISIONAL_TYPES.get(leaf.name, leaf.text), ())


def text_places(type_: str) -> tuple[Place, ...]:
    """Return the places within a type that are VARCHAR: those that could be untyped."""
    places: list[Place] = []

    def collect(leaf: DuckDBType, place: Place) -> str:
        if leaf.name == "VARCHAR":
            places.append(place)
        return leaf.text

    _map_leaves(parse_type(type_), collect, ())
    return tuple(places)


def with_untyped(type_: str, places: Collection[Place]) -> str:
    """Return the type with its leaves at ``places`` untyped."""
    return _map_leaves(parse_type(type_), lambda leaf, place: UNTYPED if place in places else leaf.text, ())


def any_value_sql(expression: str, place: Place, test: Callable[[str], str]) -> str:
    """Return SQL for whether ``test`` is true of a value at ``place`` of ``expression``."""
    if not place:
        return test(expression)
    step, *rest = place
    if step is not None:
        return any_value_sql(f"struct_extract({expression}, {quote_literal(step)})", tuple(rest), test)
    return f"list_bool_or(list_transform({expression}, lambda x: {any_value_sql('x', tuple(rest), test)}))"


def has_value_sql(expression: str, place: Place) -> str:
    """Return SQL for whether ``expression`` has a value at ``place``."""
    return any_value_sql(expression, place, "{} IS NOT NULL".format)


def inexact_integer_sql(expression: str, place: Place) -> str:
    """Return SQL for whether an integer at ``place`` of ``expression`` differs from its nearest double."""

    def test(value: str) -> str:
        back = f"TRY_CAST(CAST({value} AS DOUBLE) AS {BIG_INTEGER_TYPE})"
        return f"(typeof({value}) NOT IN ('DOUBLE', 'FLOAT') AND {value} IS DISTINCT FROM {back})"

    return any_value_sql(expression, place, test)


def conversion_sql(expression: str, source: str, target: str) -> str:
    """Return SQL that converts ``expression`` from type ``source`` to ``target`` without loss.

    Timestamps become ISO 8601 text; those with a zone are written in UTC, whatever the session's time zone.
    """
    return _conversion_sql(expression, parse_type(source), parse_type(target))


def _map_leaves(type_: DuckDBType, change: Callable[[DuckDBType, Place], str], place: Place) -> str:
    """Return the text of ``type_`` with every type within its LISTs and STRUCTs changed."""
    if type_.name == "LIST":
        children = [_map_leaves(type_.children[0], change, (*place, None))]
    elif type_.name == "STRUCT" and type_.field_names:
        fields = zip(type_.field_names, type_.children, strict=True)
        children = [_map_leaves(child, change, (*place, name)) for name, child in fields]
    else:
        return change(type_, place)
    return nested_type_text(type_, children) or type_.text


def _common_type(one: DuckDBType, other: DuckDBType, is_exact: ExactnessTest, place: Place) -> str:
    if one.text == other.text or other.name == "NULL":
        return one.text
    if one.name == "NULL":
        return other.text
    if EMPTY_STRUCT in (one.text, other.text):
        filled = other if one.text == EMPTY_STRUCT else one
        return filled.text if filled.name == "STRUCT" else "JSON"
    if "JSON" in (one.name, other.name):
        return "JSON"
    if one.name == other.name == "LIST":
        return f"{_common_type(one.children[0], other.children[0], is_exact, (*place, None))}[]"
    if one.name == other.name == "STRUCT" and one.field_names and other.field_names:
        return _common_struct_type(one, other, is_exact, place)
    if one.nested or other.nested:
        return "JSON"
    if (_is_integer(one) and _is_integer(other)) or "DECIMAL" in (one.name, other.name):
        return _common_number_type(one, other)
    floats = [type_ for type_ in (one, other) if type_.name in ("FLOAT", "DOUBLE")]
    integers = [type_ for type_ in (one, other) if _is_integer(type_)]
    if floats and len(floats) + len(integers) == 2 and (not integers or is_exact(place)):
        return "DOUBLE"
    return "VARCHAR"


def _common_struct_type(one: DuckDBType, other: DuckDBType, is_exact: ExactnessTest, place: Place) -> str:
    """Return a STRUCT of the fields of both; JSON if their names differ in case only."""
    theirs = dict(zip(other.field_names, other.children, strict=True))
    fields = {
        name: _common_type(part, theirs[name], is_exact, (*place, name)) if name in theirs else part.text
        for name, part in zip(one.field_names, one.children, strict=True)
    }
    fields |= {name: part.text for name, part in theirs.items() if name not in fields}
    if len({name.lower() for name in fields}) < len(fields):
        return "JSON"
    return f"STRUCT({', '.join(f'{quote_identifier(name)} {kind}' for name, kind in fields.items())})"


def _common_number_type(one: DuckDBType, other: DuckDBType) -> str:
    """Return the smallest signed integer or DECIMAL that holds both, else VARCHAR."""
    if not (_is_exact_number(one) and _is_exact_number(other)):
        return "VARCHAR"
    scale = max(_scale(one), _scale(other))
    digits = max(_integer_digits(one), _integer_digits(other))
    if _is_integer(one) and _is_integer(other):
        wide = max(_signed_type_index(one), _signed_type_index(other))
        if wide < len(_SIGNED_TYPES):
            return _SIGNED_TYPES[wide]
        return BIG_INTEGER_TYPE
    return f"DECIMAL({digits + scale},{scale})" if digits + scale <= _MAX_DECIMAL_DIGITS else "VARCHAR"


def _signed_type_index(type: DuckDBType) -> int:
    """Return the index of the smallest signed type that holds the integer type."""
    unsigned = type.name.startswith("U")
    return _SIGNED_TYPES.index(type.name.removeprefix("U")) + unsigned


def _is_integer(type: DuckDBType) -> bool:
    return type.name in _DIGITS_BY_INTEGER_TYPE


def _is_exact_number(type: DuckDBType) -> bool:
    return _is_integer(type) or type.name == "DECIMAL"


def _scale(type: DuckDBType) -> int:
    return type.modifiers[1] if type.name == "DECIMAL" else 0


def _integer_digits(type: DuckDBType) -> int:
    return (
        type.modifiers[0] - type.modifiers[1]
        if type.name == "DECIMAL"
        else _DIGITS_BY_INTEGER_TYPE[type.name]
    )


def _conversion_sql(expression: str, source: DuckDBType, target: DuckDBType) -> str:
    if source.text == target.text:
        return expression
    if target.name == "JSON":
        return f"to_json({_iso_or_text_sql(expression, source)})"
    if target.name == "VARCHAR":
        return _iso_or_text_sql(expression, source, as_text=True)
    if source.name == target.name == "LIST":
        element = _conversion_sql("x", source.children[0], target.children[0])
        return f"list_transform({expression}, lambda x: {element})"
    if source.name == target.name == "STRUCT" and source.field_names and target.field_names:
        return _struct_conversion_sql(expression, source, target)
    return f"CAST({expression} AS {target.text})"


def _struct_conversion_sql(expression: str, source: DuckDBType, target: DuckDBType) -> str:
    ours = dict(zip(source.field_names, source.children, strict=True))
    fields = []
    for name, part in zip(target.field_names, target.children, strict=True):
        if name in ours:
            member = f"struct_extract({expression}, {quote_literal(name)})"
            fields.append(f"{quote_identifier(name)} := {_conversion_sql(member, ours[name], part)}")
        else:
            fields.append(f"{quote_identifier(name)} := CAST(NULL AS {part.text})")
    return f"CASE WHEN {expression} IS NULL THEN NULL ELSE struct_pack({', '.join(fields)}) END"


def _iso_or_text_sql(expression: str, source: DuckDBType, *, as_text: bool = False) -> str:
    """Return SQL for a timestamp as ISO text; other values stay, or become DuckDB's text if ``as_text``."""
    match source.name:
        case "TIMESTAMP WITH TIME ZONE":
            moment = f"({expression} AT TIME ZONE 'UTC')"
            return f"{_iso_timestamp_sql(moment)} || 'Z'"
        case "TIMESTAMP":
            return _iso_timestamp_sql(expression)
        case _:
            return f"CAST({expression} AS VARCHAR)" if as_text else expression


def _iso_timestamp_sql(timestamp: str) -> str:
    """Return SQL for ``2024-01-31T08:30:00`` with the digits of the second that there are."""
    return f"replace(CAST({timestamp} AS VARCHAR), ' ', 'T')"
