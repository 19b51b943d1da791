"""Parameters of a program's statements: ``?``, ``:name`` and ``$name``, and values as DuckDB takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from unify.errors import UsageError
from unify.language.tokenizer import SqlToken, TokenKind, tokenize

Parameters = Sequence[object] | Mapping[str, object]

POSITION_PREFIX = "__p"  # `$__p1` is the first `?`
MAX_VALUES_ROWS = 500  # of one INSERT that `executemany` makes
_INTEGER_TYPES = (("INTEGER", 31), ("BIGINT", 63), ("HUGEINT", 127))
_MISSING_TYPES = ("NaTType", "NAType")  # of pandas.NaT and pandas.NA
_NUMPY_UNITS = {"datetime64": "datetime64[us]", "timedelta64": "timedelta64[us]"}
_OPERAND_END = frozenset((TokenKind.WORD, TokenKind.NUMBER, TokenKind.STRING, TokenKind.QUOTED))


def bind_parameters(sql: str, parameters: Parameters | None) -> tuple[str, Mapping[str, object]]:
    """Return the statement with ``$name`` for each placeholder, and the values by name.

    A sequence has the values of ``?`` in order, a mapping those of ``:name`` and ``$name``.
    Raises UsageError: values are missing or left over, or have no type of SQL.
    """
    if parameters is None:
        return sql, {}
    if isinstance(parameters, Mapping):
        return _bind_names(sql, parameters)
    if isinstance(parameters, str | bytes) or not isinstance(parameters, Iterable):
        raise UsageError(f"parameters are a sequence or a mapping, not {type(parameters).__name__}")
    return _bind_positions(sql, list(parameters))


def find_names(sql: str) -> frozenset[str]:
    """Return the names of ``:name`` in a statement."""
    return frozenset(name for _, name in _split_names(sql) if name)


def repeat_values(sql: str, rows: int) -> str | None:
    """Return ``INSERT … VALUES (?, ?)`` for so many rows; None if the statement has another form."""
    tokens = [token for token in tokenize(sql) if token.kind not in (TokenKind.BLANK, TokenKind.COMMENT)]
    if not tokens or tokens[0].keyword != "insert" or tokens[-1].text != ")":
        return None
    values = [number for number, token in enumerate(tokens) if token.keyword == "values"]
    if len(values) != 1 or values[0] + 1 >= len(tokens) or tokens[values[0] + 1].text != "(":
        return None
    row = tokens[values[0] + 1 :]
    if any(token.text in "()" for token in row[1:-1]) or not any(map(_is_position, row)):
        return None
    text = sql[row[0].start : row[-1].end]
    return sql[: row[0].start] + ", ".join([text] * rows)


def count_positions(sql: str) -> int:
    """Return the number of ``?`` in a statement."""
    return sum(map(_is_position, tokenize(sql)))


def _bind_positions(sql: str, values: Sequence[object]) -> tuple[str, Mapping[str, object]]:
    pieces, used = [], 0
    for token in tokenize(sql):
        if _is_position(token):
            used += 1
            pieces.append(f"${POSITION_PREFIX}{used}")
        else:
            pieces.append(token.text)
    if used != len(values):
        raise UsageError(f"the statement has {used} placeholders (?), and there are {len(values)} parameters")
    bound = {f"{POSITION_PREFIX}{number}": value for number, value in enumerate(values, 1)}
    return "".join(pieces), {name: to_duckdb(value) for name, value in bound.items()}


def _bind_names(sql: str, values: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    """Bind the ``:name`` of ``values``; ``$name`` stays as it is."""
    pieces = ["$" if name in values else text for text, name in _split_names(sql)]
    named = {str(name): to_duckdb(value) for name, value in values.items()}
    return "".join(pieces), named


def _split_names(sql: str) -> Iterator[tuple[str, str]]:
    """Yield the tokens, the ``:`` of a placeholder with its name and others with "".

    A ``:`` is no placeholder where it can be part of a slice, a cast or an alias.
    """
    before: SqlToken | None = None
    tokens = list(tokenize(sql))
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        starts = before is None or not (before.kind in _OPERAND_END or before.text in (")", "]", ":"))
        is_colon = token.kind is TokenKind.SYMBOL and token.text == ":" and starts
        is_placeholder = is_colon and after is not None and after.kind is TokenKind.WORD
        yield token.text, after.text if is_placeholder and after is not None else ""
        before = token


def _is_position(token: SqlToken) -> bool:
    return token.kind is TokenKind.SYMBOL and token.text == "?"


def to_duckdb(value: object) -> object:
    """Return a value as a parameter with its exact type; a list or mapping as DuckDB converts it.

    Raises UsageError for a value without a type of SQL.
    """
    value = _unwrap_scalar(value)
    if value is None or isinstance(value, str | list | tuple | dict):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    import duckdb

    text, type = _number_text(value) or _moment_text(value) or ("", "")
    if not type:
        raise UsageError(f"a parameter of type {value.__class__.__name__} has no type of SQL")
    return duckdb.Value(text, duckdb.sqltype(type))


def _number_text(value: object) -> tuple[str, str] | None:
    """Return text and type of a number, truth value or UUID; None for another value."""
    match value:
        case bool():
            return ("true" if value else "false"), "BOOLEAN"
        case int():
            return str(value), _integer_type(value)
        case float():
            return repr(value), "DOUBLE"
        case Decimal():
            type = _decimal_type(value)  # first: the text of 1e9999999999 has as many digits
            return f"{value:f}", type
        case UUID():
            return str(value), "UUID"
        case _:
            return None


def _moment_text(value: object) -> tuple[str, str] | None:
    """Return text and type of a date, time or duration; None for another value."""
    match value:
        case datetime():
            return value.isoformat(" "), "TIMESTAMP" if value.tzinfo is None else "TIMESTAMPTZ"
        case date():
            return value.isoformat(), "DATE"
        case time():
            return value.isoformat(), "TIME" if value.tzinfo is None else "TIMETZ"
        case timedelta():
            return f"{value // timedelta(microseconds=1)} microseconds", "INTERVAL"
        case _:
            return None


def _unwrap_scalar(value: object) -> object:
    """Return the Python value of a scalar of NumPy or pandas. Raises UsageError if it has nanoseconds."""
    if type(value).__name__ in _MISSING_TYPES:
        return None
    to_python = getattr(value, "to_pydatetime", None) or getattr(value, "to_pytimedelta", None)
    if callable(to_python):
        _require_microseconds(not any(getattr(value, name, 0) for name in ("nanosecond", "nanoseconds")))
        return to_python()
    item = getattr(value, "item", None)
    if not callable(item) or getattr(value, "shape", None) != ():
        return value
    unit = _NUMPY_UNITS.get(type(value).__name__)
    if unit is None or not isinstance(item(), int):
        return item()
    rounded = value.astype(unit)  # type: ignore[attr-defined]  # item() of nanoseconds is their number
    _require_microseconds(bool(rounded == value))
    return rounded.item()


def _require_microseconds(is_exact: bool) -> None:
    if not is_exact:
        raise UsageError("a time parameter has nanoseconds; pass it as a text and cast it to TIMESTAMP_NS")


def _integer_type(value: int) -> str:
    for type, bits in _INTEGER_TYPES:
        if -(2**bits) <= value < 2**bits:
            return type
    raise UsageError("an integer parameter has more than 127 bits; pass it as a text and cast it")


def _decimal_type(value: Decimal) -> str:
    if not value.is_finite():
        raise UsageError(f"a decimal parameter is {value}; pass it as a float")
    _, digits, exponent = value.as_tuple()
    scale = max(0, -int(exponent))
    width = max(len(digits) + max(0, int(exponent)), scale, 1)
    if width > 38:
        raise UsageError("a decimal parameter has more than 38 digits; pass it as a text and cast it")
    return f"DECIMAL({width},{scale})"
