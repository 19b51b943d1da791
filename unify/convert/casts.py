"""Declared types: their DuckDB names, and SQL that casts the text of a value.

A value fits if the type holds it without loss: ``1.239`` does not fit ``decimal(10,2)``, ``1.5`` does not fit
``bigint``. Timestamps without a zone are UTC; those with one are stored in UTC if the type has no zone.
"""

from __future__ import annotations

import re
from functools import lru_cache

from unify.adapters.spec.formats import NUMBER_FORMATS, NumberFormat
from unify.adapters.spec.moments import TEXT_DATE_FORMATS
from unify.adapters.spec.table_keys import ColumnDef
from unify.engine.connection import quote_literal
from unify.engine.types import BIG_INTEGER_TYPE, TIMESTAMPTZ_TYPE, DuckDBType, parse_type, quote_identifier
from unify.errors import ConfigError

# Types that Parquet, and so the lake, cannot store, and the types that replace them.
_LAKE_TYPES = {
    "HUGEINT": BIG_INTEGER_TYPE,
    "UHUGEINT": BIG_INTEGER_TYPE,
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "ENUM": "VARCHAR",
    "BIT": "VARCHAR",
    "BIGNUM": "VARCHAR",
    "TIME_NS": "VARCHAR",
}
_EPOCH_DIGITS = {"unix": 6, "unix_ms": 3, "unix_us": 0, "unix_ns": -3}  # digits to the microsecond
MAX_EPOCH_S = 7_258_118_400  # the year 2200
_TEXT_FORMATS = ("iso8601", "date")  # formats DuckDB reads by itself
_JSON_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_TIME_PATTERN = "[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6}0*)?)?"
_INTEGER_TYPES = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT)")

# Decimals of a number's text; NULL for other texts.
_DECIMALS_MACRO = r"""
CREATE MACRO unify_decimals(x) AS CASE
  WHEN regexp_full_match(x, '-?[0-9]+') THEN 0
  WHEN NOT regexp_full_match(x, '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?') THEN NULL
  WHEN rtrim(replace(regexp_extract(x, '^[+-]?([0-9.]+)', 1), '.', ''), '0') = '' THEN 0
  ELSE greatest(0, length(regexp_extract(x, '\.([0-9]*)', 1))
    - (length(replace(regexp_extract(x, '^[+-]?([0-9.]+)', 1), '.', ''))
       - length(rtrim(replace(regexp_extract(x, '^[+-]?([0-9.]+)', 1), '.', ''), '0')))
    - coalesce(TRY_CAST(regexp_extract(x, '[eE]([+-]?[0-9]+)', 1) AS INTEGER), 0))
END"""
# A timestamp; NULL if it is finer than a microsecond.
_TIMESTAMP_MACRO = r"""
CREATE MACRO unify_moment(x) AS CASE
  WHEN strlen(x) > 26 AND regexp_matches(x, '[.][0-9]{6}[0-9]*[1-9]') THEN NULL
  ELSE coalesce(TRY_CAST(x AS TIMESTAMPTZ), TRY_CAST(upper(x) AS TIMESTAMPTZ))
END"""
# Whether a text is a timestamp finer than a microsecond.
_SUB_MICROSECOND_MACRO = """
CREATE MACRO unify_is_fine(x) AS strlen(x) > 26 AND regexp_matches(x, '[.][0-9]{6}[0-9]*[1-9]')"""
# The nearest double; NULL for an integer that differs from it.
_DOUBLE_MACRO = r"""
CREATE MACRO unify_double(x) AS CASE
  WHEN lower(x) IN ('nan', 'infinity', '-infinity') THEN CAST(x AS DOUBLE)
  WHEN NOT isfinite(TRY_CAST(x AS DOUBLE)) THEN NULL
  WHEN length(x) <= 15 OR NOT regexp_full_match(x, '-?[0-9]+') THEN TRY_CAST(x AS DOUBLE)
  WHEN TRY_CAST(TRY_CAST(x AS DOUBLE) AS HUGEINT) = TRY_CAST(x AS HUGEINT) THEN TRY_CAST(x AS DOUBLE)
END"""
# A number since 1970 of the unit that makes it a time between 1990 and 2200; NULL for others.
_EPOCH_CASES = "\n".join(
    f"  WHEN n >= {631_152_000 * unit} AND n < {MAX_EPOCH_S * unit} "
    f"THEN make_timestamptz(CAST(n * 1000000 / {unit} AS BIGINT))"
    for unit in (1, 10**3, 10**6, 10**9)
)
_EPOCH_MACRO = f"""
CREATE MACRO unify_epoch(n) AS CASE
{_EPOCH_CASES}
END"""
# Dates as mail, C and JavaScript write them; see TEXT_DATE_FORMATS.
_TEXT_DATE_CASTS = ", ".join(
    f"CAST(TRY_STRPTIME(unify_utc(x), '{pattern}') AS TIMESTAMPTZ)" for pattern in TEXT_DATE_FORMATS
)
_TEXT_DATE_MACRO = rf"""
CREATE MACRO unify_text_date(x) AS CASE
  WHEN regexp_matches(x, '^/Date\(-?[0-9]+') THEN
    make_timestamptz(1000 * CAST(regexp_extract(x, '(-?[0-9]+)', 1) AS BIGINT))
  ELSE coalesce({_TEXT_DATE_CASTS})
END"""
_UTC_MACRO = r"""
CREATE MACRO unify_utc(x) AS
  regexp_replace(
    regexp_replace(trim(x), ' \([^)]*\)$', ''), ' ?(GMT|UTC|UT|Z)([+-][0-9]{4})?$', ' \2+0000'
  )"""
MACROS = (
    *(_DECIMALS_MACRO, _TIMESTAMP_MACRO, _SUB_MICROSECOND_MACRO, _DOUBLE_MACRO),
    *(_EPOCH_MACRO, _UTC_MACRO, _TEXT_DATE_MACRO),
)


def declared_type(column: ColumnDef) -> str:
    """Return the type of a declared column as DuckDB writes it. Raises ConfigError for an unknown type."""
    if column.type is None:
        return _format_type(column.format)
    from unify.engine import duckdb

    try:
        text = str(duckdb.sqltype(column.type))
    except duckdb.Error as error:
        raise ConfigError(f"column {column.name}: {column.type} is not a DuckDB type") from error
    return canonical_type(_lake_type(parse_type(text)))


@lru_cache(maxsize=1024)
def canonical_type(type_: str) -> str:
    """Return a type's text as DuckDB writes it, for comparison."""
    if "(" not in type_:
        return type_
    from unify.engine import duckdb

    return str(duckdb.sqltype(type_))


def cast_sql(text: str, type_: str, format_: str | None, *, has_json_numbers: bool = False) -> str:
    """Return SQL for the value of ``text`` (JSON for a nested type); NULL if it does not fit.

    ``has_json_numbers``  some values are JSON numbers, which do not have the declared number format.
    """
    if format_ and format_ in NUMBER_FORMATS:
        number = _formatted_number_sql(text, NUMBER_FORMATS[format_])
        if has_json_numbers:
            number = _json_or_formatted_number_sql(text, number)
        return _cast_by_type_sql(number, parse_type(type_))
    if format_ == "unix_ns" and type_ == "TIMESTAMP_NS":
        return f"make_timestamp_ns(TRY_CAST({text} AS BIGINT))"
    if format_ == "ms_date":
        return _cast_timestamp_sql(f"unify_text_date({text})", type_)
    if format_ in _EPOCH_DIGITS:
        return _cast_timestamp_sql(_epoch_timestamp_sql(text, _EPOCH_DIGITS[format_]), type_)
    if format_ and format_ not in _TEXT_FORMATS:
        moment = f"TRY_STRPTIME({text}, {quote_literal(format_)})"
        return _cast_timestamp_sql(f"CAST({moment} AS TIMESTAMPTZ)", type_)
    return _cast_by_type_sql(text, parse_type(type_))


def _formatted_number_sql(text: str, form: NumberFormat) -> str:
    """Return SQL for the number in JSON's notation; NULL for a text of another format."""
    marks = f"[{form.group_marks}]"
    whole = (
        f"([1-9][0-9]{{0,2}}({marks}[0-9]{{2,3}})*{marks}[0-9]{{3}}|[0-9]+)" if form.group_marks else "[0-9]+"
    )
    pattern = quote_literal(f"\\s*[+-]?{whole}([{form.decimal_point}][0-9]+)?\\s*")
    bare = f"trim({text})"
    if form.group_marks:
        bare = f"regexp_replace({bare}, {quote_literal(marks)}, '', 'g')"
    number = f"replace({bare}, '{form.decimal_point}', '.')"
    return f"CASE WHEN regexp_full_match({text}, {pattern}) THEN {number} END"


def _json_or_formatted_number_sql(text: str, formatted: str) -> str:
    """Return SQL for ``text`` if it is a JSON number, else ``formatted``; NULL if it is both and they differ.

    ``12.345`` is twelve thousand with a point between thousands, and twelve in JSON.
    """
    number = "TRY_CAST({} AS DOUBLE)"
    differ = f"{number.replace('{}', text)} IS DISTINCT FROM {number.replace('{}', formatted)}"
    return (
        f"CASE WHEN NOT regexp_full_match({text}, '{_JSON_NUMBER}') THEN {formatted} "
        f"WHEN {formatted} IS NULL THEN {text} WHEN NOT ({differ}) THEN {text} END"
    )


def _cast_by_type_sql(text: str, type_: DuckDBType) -> str:
    match type_.name:
        case "VARCHAR" | "JSON":
            return text
        case "DATE":
            wall = f"TRY_CAST({text} AS TIMESTAMP)"  # the day as written, whatever the zone
            day = f"unify_moment({text}) IS NOT NULL AND date_trunc('day', {wall}) = {wall}"
            return f"CASE WHEN {day} THEN CAST({wall} AS DATE) END"
        case "TIME":
            value = _try_cast_sql(text, type_)
            return f"CASE WHEN regexp_full_match({text}, '{_TIME_PATTERN}') THEN {value} END"
        case "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE":
            return _cast_timestamp_sql(f"unify_moment({text})", type_.text)
        case "DOUBLE":
            return f"unify_double({text})"
        case "FLOAT":
            return f"TRY_CAST(unify_double({text}) AS FLOAT)"
        case "DECIMAL":
            scale, tried = type_.modifiers[1], _try_cast_sql(text, type_)
            plain = f"regexp_full_match({text}, '-?[0-9]+([.][0-9]{{0,{scale}}})?')"
            return f"CASE WHEN {plain} OR unify_decimals({text}) <= {scale} THEN {tried} END"
        case name if _INTEGER_TYPES.fullmatch(name):
            return f"CASE WHEN unify_decimals({text}) <= 0 THEN {_try_cast_sql(text, type_)} END"
        case "LIST" | "STRUCT" if type_.name == "LIST" or type_.field_names:
            value, fits = _nested_cast_sql(text, type_)
            return f"CASE WHEN {fits} THEN {value} END"
        case _:
            return _try_cast_sql(text, type_)


def _nested_cast_sql(json: str, type_: DuckDBType, depth: int = 0) -> tuple[str, str]:
    """Return SQL for the value of the SQL ``json``, and for whether all of it fits.

    Null fits every type, an empty text every type but text. A value that is not a list is a list of one.
    Members that a declared STRUCT does not have are left out.
    """
    nothing = f"(coalesce(json_type({json}), 'NULL') = 'NULL' OR CAST({json} AS VARCHAR) = '\"\"')"
    if type_.name == "LIST":
        item = f"x{depth}"
        items = f"CASE json_type({json}) WHEN 'ARRAY' THEN json_extract({json}, '$[*]') ELSE [{json}] END"
        value, fits = _nested_cast_sql(item, type_.children[0], depth + 1)
        every = f"coalesce(list_bool_and(list_transform({items}, lambda {item}: {fits})), true)"
        value = f"list_transform({items}, lambda {item}: {value})"
        return f"CASE WHEN NOT {nothing} THEN {value} END", f"({nothing} OR {every})"
    if type_.name == "STRUCT" and type_.field_names:
        members = {
            name: _nested_cast_sql(f"json_extract({json}, {quote_literal(_json_path(name))})", part, depth)
            for name, part in zip(type_.field_names, type_.children, strict=True)
        }
        values = ", ".join(f"{quote_identifier(name)} := {value}" for name, (value, _) in members.items())
        every = " AND ".join(f"({fits})" for _, fits in members.values())
        is_object = f"json_type({json}) = 'OBJECT'"
        fits = f"({nothing} OR ({is_object} AND {every}))"
        return f"CASE WHEN {is_object} THEN struct_pack({values}) END", fits
    if type_.name == "JSON":
        return f"CASE WHEN json_type({json}) <> 'NULL' THEN {json} END", "true"
    value = _cast_by_type_sql(f"json_extract_string({json}, '$')", type_)
    if type_.name == "VARCHAR":
        return value, "true"
    return value, f"({nothing} OR ({value}) IS NOT NULL)"


def _json_path(name: str) -> str:
    """Return the JSON path of a member with any name."""
    return '$."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _cast_timestamp_sql(timestamp: str, type_: str) -> str:
    """Return SQL for a TIMESTAMPTZ as ``type_``; NULL if a date would lose the time of day."""
    match type_:
        case "DATE":
            return (
                f"CASE WHEN date_trunc('day', {timestamp}) = {timestamp} THEN CAST({timestamp} AS DATE) END"
            )
        case "VARCHAR":
            return f"CAST({timestamp} AS VARCHAR)"
        case kind if kind == TIMESTAMPTZ_TYPE:
            return timestamp
        case _:
            return f"TRY_CAST({timestamp} AS {type_})"


def _epoch_timestamp_sql(text: str, digits: int) -> str:
    """Return SQL for seconds or a fraction of them since 1970; NULL if finer than a microsecond.

    NULL also from the year 2200 on: the number has another unit.
    """
    if digits < 0:
        unit = 10**-digits
        micros = f"TRY_CAST({text} AS HUGEINT) // {unit}"
        fits = f"TRY_CAST({text} AS HUGEINT) % {unit} = 0"
    else:
        micros = f"TRY_CAST({text} AS DECIMAL(30,{digits})) * {10**digits}"
        fits = f"unify_decimals({text}) <= {digits}"
    micros = f"TRY_CAST({micros} AS BIGINT)"
    return f"CASE WHEN {fits} AND {micros} < {MAX_EPOCH_S * 10**6} THEN make_timestamptz({micros}) END"


def _try_cast_sql(text: str, type_: DuckDBType) -> str:
    return f"TRY_CAST({text} AS {type_.text})"


def _format_type(format_: str | None) -> str:
    """Return the type of a column with only a format; VARCHAR without either."""
    if format_ is None:
        return "VARCHAR"
    if format_ == "date":
        return "DATE"
    if format_ in NUMBER_FORMATS:
        return "DOUBLE"
    if format_ == "unix_ns":
        return "TIMESTAMP_NS"
    zoned = (
        format_ in _EPOCH_DIGITS or format_ in ("iso8601", "ms_date") or "%z" in format_ or "%Z" in format_
    )
    return TIMESTAMPTZ_TYPE if zoned else "TIMESTAMP"


def _lake_type(type_: DuckDBType) -> str:
    """Return the type, or the one that holds its values in the lake."""
    match type_.name:
        case "LIST" | "ARRAY":
            return f"{_lake_type(type_.children[0])}[]"
        case "STRUCT" if type_.field_names:
            fields = zip(type_.field_names, type_.children, strict=True)
            members = (f"{quote_identifier(name)} {_lake_type(part)}" for name, part in fields)
            return f"STRUCT({', '.join(members)})"
        case "MAP":
            return f"MAP({_lake_type(type_.children[0])}, {_lake_type(type_.children[1])})"
        case name:
            return _LAKE_TYPES.get(name, type_.text)
