"""How a table's columns change when a load brings other columns or other types.

Pure decisions over type texts; nothing here touches the lake. Every stored value survives: a type is
only ever replaced by one that holds all values of both, at worst text, or JSON where something nested
is among them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from unify.duckdb_types import Type, parse_type, quote_name
from unify.model import Column

_DIGITS = {  # decimal digits of the largest value
    "TINYINT": 3,
    "UTINYINT": 3,
    "SMALLINT": 5,
    "USMALLINT": 5,
    "INTEGER": 10,
    "UINTEGER": 10,
    "BIGINT": 19,
    "UBIGINT": 20,
}
_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
_MAX_DIGITS = 38  # of a DECIMAL


@dataclass(frozen=True, slots=True)
class Target:
    """A column as it will be.

    ``stored`` and ``found`` are its types before and in the load, "" where absent; ``source`` is its
    spelling in the load.
    """

    name: str
    type: str
    stored: str = ""
    found: str = ""
    source: str = ""
    description: str = ""

    @property
    def added(self) -> bool:
        return not self.stored

    @property
    def changed(self) -> bool:
        return bool(self.stored) and self.stored != self.type


def targets(
    stored: Sequence[Column],
    found: Sequence[Column],
    *,
    declared: Collection[str] = (),
    empty: Collection[str] = (),
    exact: Callable[[str], bool] = lambda _name: False,
) -> tuple[Target, ...]:
    """The columns of the table after a load: the stored ones in their order, then the new ones.

    ``declared``  names whose found type wins: the spec says so, and all rows are being replaced.
    ``empty``     names of stored columns without a value: their type holds nobody to anything.
    ``exact``     whether the integers of a column, stored and found, are all exact as doubles; asked
                  only where integers meet doubles.
    """
    by_name = {column.name.lower(): column for column in found}
    result = []
    for column in stored:
        match = by_name.pop(column.name.lower(), None)
        result.append(_kept(column) if match is None else _met(column, match, declared, empty, exact))
    result += [
        Target(column.name, column.type, "", column.type, column.name, column.description)
        for column in by_name.values()
    ]
    return tuple(result)


def _kept(column: Column) -> Target:
    """A column the load does not have: it stays."""
    return Target(column.name, column.type, stored=column.type, description=column.description)


def _met(
    column: Column,
    match: Column,
    declared: Collection[str],
    empty: Collection[str],
    exact: Callable[[str], bool],
) -> Target:
    """A column on both sides."""
    free = match.name in declared or column.name in empty
    kind = match.type if free else common(column.type, match.type, lambda: exact(column.name))
    description = match.description or column.description
    return Target(column.name, kind, column.type, match.type, match.name, description)


def common(one: str, other: str, exact: Callable[[], bool] = lambda: False) -> str:
    """The narrowest type that holds every value of both.

    Integers and doubles meet in DOUBLE only if ``exact()``, else in text.
    """
    return one if one == other else _common(parse_type(one), parse_type(other), exact)


def conversion(expression: str, source: str, target: str) -> str:
    """SQL that turns ``expression`` of type ``source`` into ``target`` and keeps its value.

    Moments become ISO text, with a zone in UTC, whatever the session's time zone.
    """
    return expression if source == target else _conversion(expression, parse_type(source), parse_type(target))


def _common(one: Type, other: Type, exact: Callable[[], bool]) -> str:
    if one.text == other.text:
        return one.text
    if "JSON" in (one.name, other.name):
        return "JSON"
    if one.name == other.name == "LIST":
        return f"{_common(one.parts[0], other.parts[0], exact)}[]"
    if one.name == other.name == "STRUCT" and one.names and other.names:
        return _common_struct(one, other, exact)
    if one.nested or other.nested:
        return "JSON"
    if (_is_whole(one) and _is_whole(other)) or "DECIMAL" in (one.name, other.name):
        return _common_number(one, other)
    if {one.name, other.name} == {"FLOAT", "DOUBLE"}:
        return "DOUBLE"
    if {one.name, other.name} & _DIGITS.keys() and "DOUBLE" in (one.name, other.name):
        return "DOUBLE" if exact() else "VARCHAR"
    return "VARCHAR"


def _common_struct(one: Type, other: Type, exact: Callable[[], bool]) -> str:
    """Fields of both; names that differ by case only cannot be told apart in a STRUCT, so they are JSON."""
    theirs = dict(zip(other.names, other.parts, strict=True))
    fields = {
        name: _common(part, theirs[name], exact) if name in theirs else part.text
        for name, part in zip(one.names, one.parts, strict=True)
    }
    fields |= {name: part.text for name, part in theirs.items() if name not in fields}
    if len({name.lower() for name in fields}) < len(fields):
        return "JSON"
    return f"STRUCT({', '.join(f'{quote_name(name)} {kind}' for name, kind in fields.items())})"


def _common_number(one: Type, other: Type) -> str:
    """Of integers and decimals: the smallest signed integer or DECIMAL that holds both, else text."""
    if not (_is_exact(one) and _is_exact(other)):
        return "VARCHAR"
    scale = max(_scale(one), _scale(other))
    digits = max(_whole_digits(one), _whole_digits(other))
    if _is_whole(one) and _is_whole(other):
        wide = max(_width(one), _width(other))
        if wide < len(_SIGNED):
            return _SIGNED[wide]
        return f"DECIMAL({_MAX_DIGITS},0)"
    return f"DECIMAL({digits + scale},{scale})" if digits + scale <= _MAX_DIGITS else "VARCHAR"


def _width(type: Type) -> int:
    """Which of the signed integers holds it, as an index; an unsigned one needs the next."""
    unsigned = type.name.startswith("U")
    return _SIGNED.index(type.name.removeprefix("U")) + unsigned


def _is_whole(type: Type) -> bool:
    return type.name in _DIGITS


def _is_exact(type: Type) -> bool:
    return _is_whole(type) or type.name == "DECIMAL"


def _scale(type: Type) -> int:
    return type.sizes[1] if type.name == "DECIMAL" else 0


def _whole_digits(type: Type) -> int:
    return type.sizes[0] - type.sizes[1] if type.name == "DECIMAL" else _DIGITS[type.name]


def _conversion(expression: str, source: Type, target: Type) -> str:
    if source.text == target.text:
        return expression
    if target.name == "JSON":
        return f"to_json({_portable(expression, source)})"
    if target.name == "VARCHAR":
        return _portable(expression, source, text=True)
    if source.name == target.name == "LIST":
        element = _conversion("x", source.parts[0], target.parts[0])
        return f"list_transform({expression}, lambda x: {element})"
    if source.name == target.name == "STRUCT" and source.names and target.names:
        return _struct_conversion(expression, source, target)
    return f"CAST({expression} AS {target.text})"


def _struct_conversion(expression: str, source: Type, target: Type) -> str:
    ours = dict(zip(source.names, source.parts, strict=True))
    fields = []
    for name, part in zip(target.names, target.parts, strict=True):
        if name in ours:
            member = f"struct_extract({expression}, {_text(name)})"
            fields.append(f"{quote_name(name)} := {_conversion(member, ours[name], part)}")
        else:
            fields.append(f"{quote_name(name)} := CAST(NULL AS {part.text})")
    return f"CASE WHEN {expression} IS NULL THEN NULL ELSE struct_pack({', '.join(fields)}) END"


def _portable(expression: str, source: Type, *, text: bool = False) -> str:
    """A moment as ISO text; anything else as it is, or as DuckDB's own text where ``text`` is wanted."""
    match source.name:
        case "TIMESTAMP WITH TIME ZONE":
            moment = f"({expression} AT TIME ZONE 'UTC')"
            return f"{_iso(moment)} || 'Z'"
        case "TIMESTAMP":
            return _iso(expression)
        case _:
            return f"CAST({expression} AS VARCHAR)" if text else expression


def _iso(moment: str) -> str:
    """``2024-01-31T08:30:00`` with as many digits of the second as there are."""
    return f"replace(CAST({moment} AS VARCHAR), ' ', 'T')"


def _text(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"
