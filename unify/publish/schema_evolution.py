"""How a table's columns change when a load brings other columns or other types.

Pure decisions over type texts; nothing here touches the lake. Every stored value survives: a type is
only ever replaced by one that holds all values of both, at worst text, or JSON where something nested
is among them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from unify.engine.types import DuckDBType, parse_type, quote_identifier
from unify.model import Column

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


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column as it will be.

    ``stored`` and ``found`` are its types before and in the load, "" where absent; ``source`` is its
    spelling in the load.
    """

    name: str
    type: str
    stored_type: str = ""
    loaded_type: str = ""
    loaded_name: str = ""
    description: str = ""

    @property
    def is_added(self) -> bool:
        return not self.stored_type

    @property
    def is_type_changed(self) -> bool:
        return bool(self.stored_type) and self.stored_type != self.type


def evolve_columns(
    stored: Sequence[Column],
    loaded: Sequence[Column],
    *,
    declared: Collection[str] = (),
    empty: Collection[str] = (),
    is_exact: Callable[[str], bool] = lambda _name: False,
) -> tuple[TargetColumn, ...]:
    """The columns of the table after a load: the stored ones in their order, then the new ones.

    ``declared``  names whose found type wins: the spec says so, and all rows are being replaced.
    ``empty``     names of stored columns without a value: their type holds nobody to anything.
    ``exact``     whether the integers of a column, stored and found, are all exact as doubles; asked
                  only where integers meet doubles.
    """
    by_name = {column.name.lower(): column for column in loaded}
    result = []
    for column in stored:
        match = by_name.pop(column.name.lower(), None)
        result.append(
            _keep_stored_column(column)
            if match is None
            else _merge_column(column, match, declared, empty, is_exact)
        )
    result += [
        TargetColumn(column.name, column.type, "", column.type, column.name, column.description)
        for column in by_name.values()
    ]
    return tuple(result)


def _keep_stored_column(column: Column) -> TargetColumn:
    """A column the load does not have: it stays."""
    return TargetColumn(column.name, column.type, stored_type=column.type, description=column.description)


def _merge_column(
    column: Column,
    match: Column,
    declared: Collection[str],
    empty: Collection[str],
    is_exact: Callable[[str], bool],
) -> TargetColumn:
    """A column on both sides."""
    free = match.name in declared or column.name in empty
    kind = match.type if free else common_type(column.type, match.type, lambda: is_exact(column.name))
    description = match.description or column.description
    return TargetColumn(column.name, kind, column.type, match.type, match.name, description)


def common_type(one: str, other: str, is_exact: Callable[[], bool] = lambda: False) -> str:
    """The narrowest type that holds every value of both.

    Integers and doubles meet in DOUBLE only if ``exact()``, else in text.
    """
    return one if one == other else _common_type(parse_type(one), parse_type(other), is_exact)


def conversion_sql(expression: str, source: str, target: str) -> str:
    """SQL that turns ``expression`` of type ``source`` into ``target`` and keeps its value.

    Moments become ISO text, with a zone in UTC, whatever the session's time zone.
    """
    return (
        expression
        if source == target
        else _conversion_sql(expression, parse_type(source), parse_type(target))
    )


def _common_type(one: DuckDBType, other: DuckDBType, is_exact: Callable[[], bool]) -> str:
    if one.text == other.text:
        return one.text
    if "JSON" in (one.name, other.name):
        return "JSON"
    if one.name == other.name == "LIST":
        return f"{_common_type(one.children[0], other.children[0], is_exact)}[]"
    if one.name == other.name == "STRUCT" and one.field_names and other.field_names:
        return _common_struct_type(one, other, is_exact)
    if one.nested or other.nested:
        return "JSON"
    if (_is_integer(one) and _is_integer(other)) or "DECIMAL" in (one.name, other.name):
        return _common_number_type(one, other)
    if {one.name, other.name} == {"FLOAT", "DOUBLE"}:
        return "DOUBLE"
    if {one.name, other.name} & _DIGITS_BY_INTEGER_TYPE.keys() and "DOUBLE" in (one.name, other.name):
        return "DOUBLE" if is_exact() else "VARCHAR"
    return "VARCHAR"


def _common_struct_type(one: DuckDBType, other: DuckDBType, is_exact: Callable[[], bool]) -> str:
    """Fields of both; names that differ by case only cannot be told apart in a STRUCT, so they are JSON."""
    theirs = dict(zip(other.field_names, other.children, strict=True))
    fields = {
        name: _common_type(part, theirs[name], is_exact) if name in theirs else part.text
        for name, part in zip(one.field_names, one.children, strict=True)
    }
    fields |= {name: part.text for name, part in theirs.items() if name not in fields}
    if len({name.lower() for name in fields}) < len(fields):
        return "JSON"
    return f"STRUCT({', '.join(f'{quote_identifier(name)} {kind}' for name, kind in fields.items())})"


def _common_number_type(one: DuckDBType, other: DuckDBType) -> str:
    """Of integers and decimals: the smallest signed integer or DECIMAL that holds both, else text."""
    if not (_is_exact_number(one) and _is_exact_number(other)):
        return "VARCHAR"
    scale = max(_scale(one), _scale(other))
    digits = max(_integer_digits(one), _integer_digits(other))
    if _is_integer(one) and _is_integer(other):
        wide = max(_signed_type_index(one), _signed_type_index(other))
        if wide < len(_SIGNED_TYPES):
            return _SIGNED_TYPES[wide]
        return f"DECIMAL({_MAX_DECIMAL_DIGITS},0)"
    return f"DECIMAL({digits + scale},{scale})" if digits + scale <= _MAX_DECIMAL_DIGITS else "VARCHAR"


def _signed_type_index(type: DuckDBType) -> int:
    """Which of the signed integers holds it, as an index; an unsigned one needs the next."""
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
            member = f"struct_extract({expression}, {_string_literal(name)})"
            fields.append(f"{quote_identifier(name)} := {_conversion_sql(member, ours[name], part)}")
        else:
            fields.append(f"{quote_identifier(name)} := CAST(NULL AS {part.text})")
    return f"CASE WHEN {expression} IS NULL THEN NULL ELSE struct_pack({', '.join(fields)}) END"


def _iso_or_text_sql(expression: str, source: DuckDBType, *, as_text: bool = False) -> str:
    """A moment as ISO text; anything else as it is, or as DuckDB's own text where ``text`` is wanted."""
    match source.name:
        case "TIMESTAMP WITH TIME ZONE":
            moment = f"({expression} AT TIME ZONE 'UTC')"
            return f"{_iso_timestamp_sql(moment)} || 'Z'"
        case "TIMESTAMP":
            return _iso_timestamp_sql(expression)
        case _:
            return f"CAST({expression} AS VARCHAR)" if as_text else expression


def _iso_timestamp_sql(timestamp: str) -> str:
    """``2024-01-31T08:30:00`` with as many digits of the second as there are."""
    return f"replace(CAST({timestamp} AS VARCHAR), ' ', 'T')"


def _string_literal(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
