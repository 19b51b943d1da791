"""Values of parameters, in text or binary, and types for parameters that a client has given none."""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from unify.language.sql.untrusted import parse_tree, walk_tree
from unify.language.tokenizer import SqlToken, TokenKind, tokenize
from unify.servers.postgres.sqlstates import (
    FEATURE_NOT_SUPPORTED,
    INVALID_TEXT_REPRESENTATION,
    PROTOCOL_VIOLATION,
    ClientError,
)
from unify.servers.postgres.wire_types import (
    ARRAY_BY_OID,
    BINARY_FORMAT,
    BY_OID,
    EPOCH_US,
    INT8,
    TEXT,
    postgres_type,
)

UNKNOWN_OIDS = frozenset((0, 705))  # the client leaves the type to the server
TEXT_OIDS = frozenset((18, 19, 25, 1042, 1043))
_PREFIX = "__p"
_ISO_DATE_WITH_ZONE = re.compile(r"(\d{4}-\d\d-\d\d) [+-]\d\d(?::?\d\d)?")  # a date as JDBC sends it
_DUCKDB_NAMES = {
    16: "BOOLEAN",
    17: "BLOB",
    20: "BIGINT",
    21: "SMALLINT",
    23: "INTEGER",
    26: "BIGINT",
    114: "JSON",
    700: "FLOAT",
    701: "DOUBLE",
    1082: "DATE",
    1083: "TIME",
    1114: "TIMESTAMP",
    1184: "TIMESTAMPTZ",
    1186: "INTERVAL",
    2950: "UUID",
    3802: "JSON",
}
_SAMPLES = {
    "BOOLEAN": "false",
    "BLOB": "",
    "JSON": "null",
    "DATE": "2000-01-01",
    "TIME": "00:00:00",
    "TIMESTAMP": "2000-01-01 00:00:00",
    "TIMESTAMPTZ": "2000-01-01 00:00:00+00",
    "INTERVAL": "1 day",
    "UUID": "00000000-0000-0000-0000-000000000000",
}
_INTEGERS = {20: "!q", 21: "!h", 23: "!i", 26: "!I"}
_ARRAY_ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,{}"]+)', re.DOTALL)


def number_parameters(sql: str) -> tuple[str, int]:
    """Return a statement with ``$__p1`` in place of ``$1``, and the highest number."""
    pieces: list[str] = []
    highest = 0
    before: SqlToken | None = None
    for token in tokenize(sql):
        is_number = token.kind is TokenKind.NUMBER and token.text.isdecimal()
        if is_number and before is not None and before.text == "$" and len(token.text) <= 5:
            highest = max(highest, int(token.text))
            pieces.append(f"{_PREFIX}{int(token.text)}")
        else:
            pieces.append(token.text)
        before = token
    return "".join(pieces), highest


def parameter_names(values: Sequence[object]) -> Mapping[str, object]:
    """Return the values by the names that ``number_parameters`` gives."""
    return {f"{_PREFIX}{number}": value for number, value in enumerate(values, 1)}


def sample_values(oids: Sequence[int]) -> Sequence[object]:
    """Return a value of each type, with which a statement can be described."""
    import duckdb

    found: list[object] = []
    for oid in oids:
        if oid in ARRAY_BY_OID:
            found.append(duckdb.Value([], duckdb.sqltype(f"{_duckdb_name(ARRAY_BY_OID[oid].oid)}[]")))
            continue
        name = _duckdb_name(oid)
        found.append(duckdb.Value(_SAMPLES.get(name, "" if name == "VARCHAR" else "0"), duckdb.sqltype(name)))
    return found


def decode_parameters(
    values: Sequence[bytes | None], formats: Sequence[int], oids: Sequence[int]
) -> Sequence[object]:
    """Return the values of Bind as DuckDB takes them. Raises ClientError."""
    if len(values) != len(oids):
        raise ClientError(
            f"bind message supplies {len(values)} parameters, but the statement requires {len(oids)}",
            PROTOCOL_VIOLATION,
        )
    if len(formats) > 1 and len(formats) != len(values):
        raise ClientError("bind message has another number of formats than parameters", PROTOCOL_VIOLATION)
    found: list[object] = []
    for number, (data, oid) in enumerate(zip(values, oids, strict=True)):
        format = formats[number] if len(formats) > 1 else formats[0] if formats else 0
        try:
            found.append(None if data is None else _decode(data, oid, is_binary=format == BINARY_FORMAT))
        except (ValueError, ArithmeticError, struct.error) as error:
            raise ClientError(
                f"parameter ${number + 1} is no value of its type: {str(error)[:200]}",
                INVALID_TEXT_REPRESENTATION,
            ) from error
    return found


def _decode(data: bytes, oid: int, *, is_binary: bool) -> object:
    if oid in ARRAY_BY_OID:
        return _array_value(data, ARRAY_BY_OID[oid].oid, is_binary=is_binary)
    text = _binary_text(data, oid) if is_binary else data.decode()
    if oid in UNKNOWN_OIDS or oid in TEXT_OIDS:
        date_only = _ISO_DATE_WITH_ZONE.fullmatch(text) if oid in UNKNOWN_OIDS else None
        return date_only[1] if date_only else text  # DuckDB treats it as a literal
    return _typed_value(text, oid)


def _typed_value(text: str, oid: int) -> object:
    import duckdb

    from unify.interpreter.parameters import to_duckdb

    if oid == 17:
        return bytes.fromhex(text[2:]) if text.startswith("\\x") else text.encode()
    if oid == 1700:
        number = Decimal(text)
        return (
            to_duckdb(number) if number.is_finite() else duckdb.Value(str(number), duckdb.sqltype("DOUBLE"))
        )
    name = _duckdb_name(oid)
    if name == "DATE" and (match := _ISO_DATE_WITH_ZONE.fullmatch(text)):
        text = match[1]
    return duckdb.Value(text, duckdb.sqltype(name))


def _duckdb_name(oid: int) -> str:
    return "DECIMAL(38,9)" if oid == 1700 else _DUCKDB_NAMES.get(oid, "VARCHAR")


def _binary_text(data: bytes, oid: int) -> str:
    """Return the text of a value in binary form. Raises ValueError, struct.error."""
    if oid in _INTEGERS:
        return str(struct.unpack(_INTEGERS[oid], data)[0])
    match oid:
        case 16:
            return "true" if struct.unpack("!?", data)[0] else "false"
        case 17:
            return "\\x" + data.hex()
        case 700 | 701:
            return repr(struct.unpack("!f" if oid == 700 else "!d", data)[0])
        case 1082:
            return _date_text(struct.unpack("!i", data)[0])
        case 1083:
            return str((datetime.min + timedelta(microseconds=struct.unpack("!q", data)[0])).time())
        case 1114 | 1184:
            return _timestamp_text(struct.unpack("!q", data)[0]) + ("+00" if oid == 1184 else "")
        case 1186:
            micros, days, months = struct.unpack("!qii", data)
            return f"{months} months {days} days {micros} microseconds"
        case 1700:
            return _numeric_text(data)
        case 2950:
            return str(uuid.UUID(bytes=data))
        case 3802:
            return data[1:].decode()
    if oid in UNKNOWN_OIDS or oid in TEXT_OIDS or oid == 114:
        return data.decode()
    raise ClientError(
        f"parameters of type {oid} cannot be sent in binary; send them as text", FEATURE_NOT_SUPPORTED
    )


def _date_text(days: int) -> str:
    return str(date(2000, 1, 1) + timedelta(days=days))


def _timestamp_text(micros: int) -> str:
    return str(datetime(1970, 1, 1) + timedelta(microseconds=micros + EPOCH_US))


def _numeric_text(data: bytes) -> str:
    count, weight, sign, scale = struct.unpack_from("!HhHH", data)
    if sign == 0xC000:
        return "NaN"
    digits = "".join(f"{group:04d}" for group in struct.unpack_from(f"!{count}H", data, 8))
    point = 4 * (weight + 1)  # as text: arithmetic of Decimal would round to 28 digits
    digits = "0" * -point + digits if point < 0 else digits.ljust(point, "0")
    whole, fraction = digits[: max(0, point)] or "0", digits[max(0, point) :]
    return f"{'-' if sign == 0x4000 else ''}{whole}.{fraction.ljust(scale, '0')[:scale] or '0'}"


def _array_value(data: bytes, element_oid: int, *, is_binary: bool) -> object:
    """Return a one-dimensional array as a list of DuckDB."""
    import duckdb

    items = list(_binary_items(data, element_oid) if is_binary else _text_items(data.decode()))
    name = _duckdb_name(element_oid)
    if element_oid == 1700:
        scales = [-int(Decimal(item).as_tuple().exponent) for item in items if item is not None]
        name = f"DECIMAL(38,{min(38, max([0, *scales]))})"
    return duckdb.Value(items, duckdb.sqltype(f"{name}[]"))


def _binary_items(data: bytes, element_oid: int) -> Iterator[str | None]:
    dimensions, _has_null, sent_oid = struct.unpack_from("!iii", data)
    if dimensions == 0:
        return
    if dimensions != 1:
        raise ValueError("arrays of arrays cannot be parameters")
    count, at = struct.unpack_from("!i", data, 12)[0], 20
    for _ in range(count):
        length = struct.unpack_from("!i", data, at)[0]
        at += 4
        if length < 0:
            yield None
            continue
        yield _binary_text(data[at : at + length], sent_oid or element_oid)
        at += length


def _text_items(text: str) -> Iterator[str | None]:
    if not (text.startswith("{") and text.endswith("}")) or "{" in text[1:-1].partition('"')[0]:
        raise ValueError("an array is written as {a,b}")
    for match in _ARRAY_ITEM.finditer(text[1:-1]):
        if match[1] is not None:
            yield re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL)
        elif match[2].strip():
            yield None if match[2].strip().upper() == "NULL" else match[2].strip()


def infer_oids(sql: str, given: Sequence[int], count: int, column_oids: Mapping[str, int]) -> Sequence[int]:
    """Return the types of the parameters: those given, else from casts, compared columns and LIMIT.

    ``column_oids``  types of the columns that the statement can name, by name in lower case.
    Parameters about which nothing is known are texts.
    """
    known: dict[int, int] = {}
    for node in walk_tree(parse_tree(sql)):
        for number, oid in _node_oids(node, column_oids):
            known.setdefault(number, oid)
    found = []
    for number in range(1, count + 1):
        oid = given[number - 1] if number <= len(given) else 0
        found.append(known.get(number, TEXT.oid) if oid in UNKNOWN_OIDS else oid)
    return found


def _node_oids(node: Mapping[str, Any], column_oids: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """Yield numbers and types of the parameters whose types a node of DuckDB's tree tells."""
    kind = node.get("type")
    if kind == "LIMIT_MODIFIER":
        yield from ((number, INT8.oid) for part in ("limit", "offset") for number in _number(node.get(part)))
    elif kind == "OPERATOR_CAST":
        for number in _number(node.get("child")):
            yield number, _cast_oid(node["cast_type"])
    elif node.get("class") == "COMPARISON":
        sides = (node.get("left"), node.get("right"))
        for one, other in (sides, sides[::-1]):
            yield from ((number, _column_oid(other, column_oids)) for number in _number(one))
    elif kind in ("COMPARE_BETWEEN", "COMPARE_IN", "COMPARE_NOT_IN") or node.get("class") == "BETWEEN":
        parts = [node.get("input"), node.get("lower"), node.get("upper"), *node.get("children", ())]
        oids = [_column_oid(part, column_oids) for part in parts]
        known = next((oid for oid in oids if oid != TEXT.oid), TEXT.oid)
        yield from ((number, known) for part in parts for number in _number(part))
    elif node.get("class") == "SUBQUERY" and node.get("comparison_type"):
        yield from _any_oids(node, column_oids)


def _any_oids(node: Mapping[str, Any], column_oids: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """``x = ANY($1)``: DuckDB reads a subquery that unnests the parameter."""
    compared = BY_OID.get(_column_oid(node.get("child"), column_oids), TEXT)
    for inner in walk_tree(node.get("subquery")):
        if str(inner.get("function_name", "")).lower() == "unnest":
            for child in inner.get("children", ()):
                yield from ((number, compared.array_oid) for number in _number(child))


def _number(node: object) -> Iterator[int]:
    """Yield the number of a parameter, if the node is one."""
    if isinstance(node, dict) and node.get("class") == "PARAMETER":
        text = str(node.get("identifier", "")).removeprefix(_PREFIX)
        if text.isdecimal():
            yield int(text)


def _cast_oid(cast_type: Mapping[str, Any]) -> int:
    name = str(cast_type.get("id", ""))
    info = cast_type.get("type_info")
    if name == "LIST" and isinstance(info, dict) and isinstance(info.get("child_type"), dict):
        return BY_OID.get(_cast_oid(info["child_type"]), TEXT).array_oid
    if name == "UNBOUND" and isinstance(info, dict):
        name = str(info.get("name", "")).upper()
    return postgres_type(name).oid


def _column_oid(node: object, column_oids: Mapping[str, int]) -> int:
    if isinstance(node, dict) and node.get("type") == "OPERATOR_CAST":
        return _cast_oid(node["cast_type"])
    if not isinstance(node, dict) or node.get("type") != "COLUMN_REF":
        return TEXT.oid
    names = node.get("column_names") or [""]
    return column_oids.get(str(names[-1]).lower(), TEXT.oid)
