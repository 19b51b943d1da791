"""Which of the Arrow types of a driver DuckDB reads exactly, and as what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unify.adapters.database.columns import ValueKind
from unify.adapters.database.drivers.columns import (
    MAX_DECIMAL_DIGITS,
    UNFILTERED,
    ChosenType,
    DriverColumn,
    value_error,
)
from unify.adapters.database.drivers.dialect import DriverDialect
from unify.engine.stored_types import stored_type
from unify.engine.types import parse_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow

_FIRST_DAY = -2_440_588  # 24 November 4714 BC, PostgreSQL's first, in days from 1970
_DAY_US = 24 * 60 * 60 * 1_000_000
_KNOWN_EXTENSIONS = ("arrow.json", "arrow.uuid", "arrow.bool8")  # DuckDB has types for them


def adbc_columns(
    schema: pyarrow.Schema, chosen: Mapping[str, ChosenType], dialect: DriverDialect
) -> Sequence[DriverColumn]:
    """Return the columns of a table or query. ``chosen``: types of the settings, by names in lower case."""
    import pyarrow

    settings = [chosen.get(field.name.lower()) for field in schema]
    types = [
        exact_type(field.type) if setting is None else _chosen_type(setting)
        for field, setting in zip(schema, settings, strict=True)
    ]
    read_as = duckdb_types(pyarrow.schema([(f"c{number}", type) for number, type in enumerate(types)]))
    return [
        _column(field, type, found, dialect, setting)
        for field, type, found, setting in zip(schema, types, read_as, settings, strict=True)
    ]


def exact_type(type: pyarrow.DataType) -> pyarrow.DataType:
    """Return ``type``, or one that has the same values and that DuckDB does not round."""
    import pyarrow

    types = pyarrow.types
    if isinstance(type, pyarrow.BaseExtensionType):
        return type if type.extension_name in _KNOWN_EXTENSIONS else exact_type(type.storage_type)
    if types.is_dictionary(type):
        return exact_type(type.value_type)
    if types.is_decimal256(type) or (
        types.is_decimal(type) and not 0 <= type.scale <= type.precision <= MAX_DECIMAL_DIGITS
    ):
        return pyarrow.string()
    if types.is_timestamp(type) and type.tz is not None and type.unit == "ns":
        return pyarrow.timestamp("us", type.tz)
    if types.is_time(type) and type.bit_width == 64 and type.unit == "ns":
        return pyarrow.time64("us")
    if types.is_list(type) or types.is_large_list(type):
        return pyarrow.list_(exact_type(type.value_type))
    return type


def cast_array(values: pyarrow.Array, type: pyarrow.DataType, name: str) -> pyarrow.Array:
    """Return values in ``type``. Raises SourceError if one does not fit exactly."""
    import pyarrow

    try:
        found = values if values.type == type else _cast(values, type)
        _check_moments(found)
        return found
    except (pyarrow.ArrowException, OverflowError) as error:
        raise value_error(name, error) from error


def _check_moments(values: pyarrow.Array) -> None:
    """Raise ArrowInvalid for a date before 4714 BC, as which PostgreSQL's driver returns infinite ones."""
    import pyarrow
    from pyarrow import compute

    types = pyarrow.types
    if types.is_date32(values.type):
        first_day, integers = _FIRST_DAY, values.view(pyarrow.int32())
    elif types.is_timestamp(values.type) and values.type.unit == "us":
        first_day, integers = _FIRST_DAY * _DAY_US, values.view(pyarrow.int64())
    else:
        return
    if compute.any(compute.less(integers, first_day)).as_py():
        raise pyarrow.ArrowInvalid("a date is infinite, or too far to be represented")


def duckdb_types(schema: pyarrow.Schema) -> Sequence[str]:
    """Return the types as which DuckDB reads Arrow columns."""
    from unify.engine.connection import connect

    with connect() as duck:
        duck.register("rows", schema.empty_table())
        return [str(row[1]) for row in duck.execute("DESCRIBE FROM rows").fetchall()]


def _cast(values: pyarrow.Array, type: pyarrow.DataType) -> pyarrow.Array:
    import pyarrow

    if isinstance(values, pyarrow.ExtensionArray) and not isinstance(type, pyarrow.BaseExtensionType):
        return _cast(values.storage, type)
    if pyarrow.types.is_list(type) and pyarrow.types.is_list(values.type):
        inner = _cast(values.values, type.value_type)
        return pyarrow.ListArray.from_arrays(values.offsets, inner, mask=values.is_null())
    return values if values.type == type else values.cast(type)


def _chosen_type(chosen: ChosenType) -> pyarrow.DataType:
    import pyarrow

    return pyarrow.decimal128(chosen.precision, chosen.scale) if chosen.precision else pyarrow.string()


def _column(
    field: pyarrow.Field,
    type: pyarrow.DataType,
    read_as: str,
    dialect: DriverDialect,
    chosen: ChosenType | None,
) -> DriverColumn:
    stored = stored_type(parse_type(read_as))
    quoted_name = dialect.name(field.name)
    is_text = chosen is not None and not chosen.precision
    return DriverColumn(
        name=field.name,
        type=stored,
        source_type=str(field.type),
        source_name=field.name,
        fetch=f"CAST({quoted_name} AS VARCHAR)" if is_text else quoted_name,
        cast_to=stored if stored != read_as else "",
        function=UNFILTERED if _has_floats(type) else "",
        kind=_kind(field.type) if field.type == type and chosen is None else ValueKind.NONE,
        compare=quoted_name,
        arrow=type,
    )


def _has_floats(type: pyarrow.DataType) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_floating(type) or pyarrow.types.is_struct(type))


def _kind(type: pyarrow.DataType) -> ValueKind:
    import pyarrow

    types = pyarrow.types
    if types.is_integer(type):
        return ValueKind.INTEGER
    if types.is_decimal(type):
        return ValueKind.DECIMAL
    if types.is_date32(type):
        return ValueKind.DATE
    return ValueKind.TIMESTAMP if types.is_timestamp(type) and type.tz is None else ValueKind.NONE
