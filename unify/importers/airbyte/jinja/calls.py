"""Macros, methods and filters of manifests: those of known values, times, and plain conversions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from urllib.parse import quote_plus

from unify.importers.airbyte.jinja.durations import parse_iso_duration
from unify.importers.airbyte.jinja.values import (
    Applied,
    Joined,
    Known,
    Moment,
    Opaque,
    Operation,
    Ref,
    Span,
    Value,
    roots_of,
)
from unify.importers.model import Json

DAY_S = 86_400.0
_SAME = frozenset(["int", "float", "string", "tojson", "list", "trim", "str", "float", "safe", "e"])
_TEXT_FUNCTIONS = frozenset(
    [
        *("lower", "upper", "strip", "rstrip", "lstrip", "replace", "split", "join", "title", "capitalize"),
        *(
            "urlencode",
            "base64encode",
            "base64decode",
            "hash",
            "regex_search",
            "removeprefix",
            "removesuffix",
        ),
        *("hmac", "sanitize_url", "camel_case_to_snake_case", "startswith", "endswith", "unique"),
    ]
)


def call_macro(name: str, arguments: Sequence[Value], named: Mapping[str, Value]) -> Value:
    """``now_utc()``, ``format_datetime(x, '%Y')`` and the other functions of manifests."""
    first = arguments[0] if arguments else Known(None)
    match name:
        case "now_utc":
            return Moment("now")
        case "today_utc" | "today_with_timezone":
            return Moment("today")
        case "day_delta":
            return _day_delta(arguments, named)
        case "duration":
            text = first.value if isinstance(first, Known) else None
            seconds = parse_iso_duration(text) if isinstance(text, str) else None
            return Opaque(f"duration({text})") if seconds is None else Span(seconds)
        case "str_to_datetime" | "str_to_timestamp":
            return first if isinstance(first, Moment) else Moment(first)
        case "timestamp":
            moment = first if isinstance(first, Moment) else Moment(first)
            return Moment(moment.base, moment.offset_s, "%s")
        case "format_datetime":
            return _format_datetime(arguments, named)
        case "max" | "min" if len(arguments) > 1:
            return _extreme(name, arguments)
        case "sanitize_url" | "camel_case_to_snake_case":
            return Applied(name, first)
        case _:
            return Opaque(f"{name}(…)")


def _day_delta(arguments: Sequence[Value], named: Mapping[str, Value]) -> Value:
    days = arguments[0] if arguments else named.get("num_days", Known(0))
    format_ = arguments[1] if len(arguments) > 1 else named.get("format", Known("%Y-%m-%dT%H:%M:%S.%f%z"))
    if not isinstance(days, Known) or not isinstance(days.value, int | float):
        return Opaque("day_delta(…)")
    text = format_.value if isinstance(format_, Known) and isinstance(format_.value, str) else None
    return Moment("now", days.value * DAY_S, text)


def _format_datetime(arguments: Sequence[Value], named: Mapping[str, Value]) -> Value:
    format_ = arguments[1] if len(arguments) > 1 else named.get("format", Known(None))
    target = arguments[0] if arguments else named.get("dt", Known(None))
    if not isinstance(format_, Known) or not isinstance(format_.value, str):
        return Opaque("format_datetime(…)")
    given = arguments[2] if len(arguments) > 2 else named.get("input_format", Known(None))
    if isinstance(given, Known) and isinstance(given.value, str) and roots_of(target) == {"record"}:
        target = Applied("strptime", target, (given.value,))
    moment = target if isinstance(target, Moment) else Moment(target)
    return Moment(moment.base, moment.offset_s, format_.value)


def _extreme(name: str, arguments: Sequence[Value]) -> Value:
    if all(isinstance(each, Known) for each in arguments):
        values = [each.value for each in arguments if isinstance(each, Known)]
        if all(isinstance(each, int | float) for each in values) or all(
            isinstance(each, str) for each in values
        ):
            return Known(max(values) if name == "max" else min(values))
    return Operation(name, *arguments) if len(arguments) == 2 else Opaque(f"{name}(…)")


def call_method(target: Value, name: str, arguments: Sequence[Value]) -> Value:
    """``x.strftime('%Y')``, ``x.split(',')`` … of a value."""
    constants = [each.value for each in arguments if isinstance(each, Known)]
    is_constant = len(constants) == len(arguments)
    if isinstance(target, Moment):
        return _moment_method(target, name, constants)
    if name == "get":
        return get_member(target, arguments)
    if name == "join" and isinstance(target, Known) and len(arguments) == 1 and not is_constant:
        return Applied("join", arguments[0], (target.value,))
    if isinstance(target, Known) and is_constant:
        return _known_method(target.value, name, constants)
    if name in ("strftime", "isoformat"):
        return _moment_method(Moment(target), name, constants)
    if name in ("count",):
        return Applied("length", target)
    if is_constant and isinstance(target, Ref | Applied):
        return Applied(name, target, tuple(constants))
    return Opaque(f"….{name}(…)")


def get_member(target: Value, arguments: Sequence[Value]) -> Value:
    """``x.get('name', default)``."""
    key = arguments[0] if arguments else Known(None)
    default = arguments[1] if len(arguments) > 1 else Known(None)
    if not isinstance(key, Known) or not isinstance(key.value, str | int):
        return Opaque("….get(…)")
    if isinstance(target, Known):
        found = target.value.get(key.value) if isinstance(target.value, Mapping) else None
        return default if found is None else Known(found)
    if isinstance(target, Ref) and isinstance(default, Known):
        steps = (*target.steps, key.value)
        return Ref(target.root, steps, None if default.value in ({}, []) else default.value)
    if isinstance(target, Ref):
        return Ref(target.root, (*target.steps, key.value))
    return Opaque("….get(…)")


def _moment_method(moment: Moment, name: str, arguments: Sequence[Json]) -> Value:
    match name, arguments:
        case "strftime", [str() as format_]:
            return Moment(moment.base, moment.offset_s, format_)
        case "isoformat", _:
            return Moment(moment.base, moment.offset_s, "%Y-%m-%dT%H:%M:%S%z")
        case "timestamp", []:
            return Moment(moment.base, moment.offset_s, "%s")
        case "date", []:
            return Moment(moment.base, moment.offset_s, "%Y-%m-%d")
        case _:
            return Opaque(f"….{name}(…)")


def _known_method(value: Json, name: str, arguments: Sequence[Json]) -> Value:
    """Methods of texts; only those listed here are called."""
    is_join = name == "join" and isinstance(value, str)
    if not isinstance(value, str) or not (is_join or all(isinstance(each, str) for each in arguments)):
        if isinstance(value, Mapping) and name in ("keys", "values"):
            return Known(list(value) if name == "keys" else list(value.values()))
        return Opaque(f"….{name}(…)")
    match name, list(arguments):
        case (("lower" | "upper"), []):
            return Known(value.lower() if name == "lower" else value.upper())
        case (("strip" | "rstrip" | "lstrip"), [*chars]):
            methods = {"strip": value.strip, "rstrip": value.rstrip, "lstrip": value.lstrip}
            return Known(methods[name](*chars[:1]))
        case "replace", [old, new]:
            return Known(value.replace(old, new))
        case "join", [list() as items]:
            return Known(value.join(map(str, items)))
        case "split", [*separator]:
            return Known(value.split(*separator[:1]))
        case (("startswith" | "endswith"), [text]):
            return Known(value.startswith(text) if name == "startswith" else value.endswith(text))
        case _:
            return Opaque(f"….{name}(…)")


def apply_filter(target: Value, name: str, arguments: Sequence[Value]) -> Value:
    """``x | name(arguments)``."""
    constants = [each.value for each in arguments if isinstance(each, Known)]
    match name:
        case "default" | "d":
            return _with_default(target, constants[0] if constants else "")
        case "length" | "count":
            is_known = isinstance(target, Known) and isinstance(target.value, str | list | Mapping)
            return (
                Known(len(target.value))
                if is_known and isinstance(target, Known)
                else Applied("length", target)
            )
        case "first" | "last" if isinstance(target, Ref):
            return target.child(0 if name == "first" else -1)
        case _ if name in _SAME:
            return _convert(target, name)
        case _ if isinstance(target, Known) and len(constants) == len(arguments):
            return _known_filter(target.value, name, constants)
        case _ if name in _TEXT_FUNCTIONS and len(constants) == len(arguments):
            return Applied(name, target, tuple(constants))
        case _ if isinstance(target, Ref | Applied):
            return Applied(name, target)
        case _:
            return Opaque(f"… | {name}")


def _with_default(target: Value, default: Json) -> Value:
    if isinstance(target, Known):
        return Known(default) if target.value is None else target
    return Ref(target.root, target.steps, default) if isinstance(target, Ref) else target


def _convert(target: Value, name: str) -> Value:
    """Conversions: of a known value now; of others nothing, since requests are texts anyway."""
    if not isinstance(target, Known):
        return target
    value = target.value
    try:
        match name:
            case "int":
                return Known(int(float(value)) if isinstance(value, str | int | float) else 0)
            case "float":
                return Known(float(value) if isinstance(value, str | int | float) else 0.0)
            case "string" | "str":
                return Known(str(value))
            case _:
                return target
    except ValueError:
        return Known(0)


def _known_filter(value: Json, name: str, arguments: Sequence[Json]) -> Value:
    match name, value:
        case "lower" | "upper" | "replace", str():
            return _known_method(value, name, arguments)
        case "join", list():
            separator = str(arguments[0]) if arguments else ""
            return Known(separator.join(map(str, value)))
        case "base64encode", str():
            return Known(base64.b64encode(value.encode()).decode())
        case "urlencode", str():
            return Known(quote_plus(value))
        case "first", list() if value:
            return Known(value[0])
        case "last", list() if value:
            return Known(value[-1])
        case _:
            return Opaque(f"… | {name}")


def is_text(value: Value) -> bool:
    """Whether a value is a text for sure."""
    return isinstance(value, Joined) or (isinstance(value, Known) and isinstance(value.value, str))
