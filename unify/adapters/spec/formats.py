"""The formats of the texts in a spec, declared as types: ``ColumnName``, ``Duration``, ``RequestLine`` …

A check returns the value of the text, or raises ValueError with a sentence that says what is expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Struct

from unify.adapters.spec import template
from unify.adapters.spec.moments import TIME_FORMATS
from unify.adapters.spec.schema import TextFormat
from unify.durations import parse_duration
from unify.sizes import SIZE_PATTERN, parse_size
from unify.text import did_you_mean

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
_METHODS = ("GET", "POST")  # methods of requests that read
_WRITE_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_ORIGIN = re.compile(
    r"https?://(?:\*\.[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?"
)
_PORT = re.compile(r"[0-9]{1,5}")
_STEP = r"[^\s.{}](?:[^.{}\t\r\n]*[^\s.{}])?"  # names may contain spaces
_PATH = re.compile(rf"{_STEP}(?:\.{_STEP})*")
_VARIABLE_LIKE = re.compile(r"\{\s*[A-Za-z_][\w.\[\]!:()-]*\s*\}")
_VARIABLE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_DECIMAL = re.compile(r"(?:decimal|numeric)\((\d{1,2})(?:,\s*(\d{1,2}))?\)")
_DIRECTIVE = re.compile(r"%-?.?", re.DOTALL)
_KNOWN_DIRECTIVE = re.compile("%-?[aAwdbBmyYHIpMSfzZjUWcxXuVGgnsTDF]|%%")
COLUMN_TYPES = frozenset(
    [
        *("boolean", "bool", "tinyint", "smallint", "integer", "int", "bigint"),
        *("utinyint", "usmallint", "uinteger", "ubigint", "float", "real", "double"),
        *("varchar", "text", "string", "json", "uuid", "blob", "decimal", "numeric", "interval"),
        *("date", "time", "timestamp", "timestamptz", "timestamp with time zone"),
    ]
)


class NumberFormat(Struct, frozen=True):
    """``group_marks`` are the characters allowed between thousands."""

    group_marks: str
    decimal_point: str


SPACE_MARKS = " \u00a0\u202f"  # space, no-break space, narrow no-break space
# Each format is named by the number 1234.5 as it writes it.
NUMBER_FORMATS: Mapping[str, NumberFormat] = {
    "1,234.5": NumberFormat(",", "."),
    "1.234,5": NumberFormat(".", ","),
    "1 234.5": NumberFormat(SPACE_MARKS, "."),
    "1 234,5": NumberFormat(SPACE_MARKS, ","),
    "1'234.5": NumberFormat("'\u2019", "."),
    "1234,5": NumberFormat("", ","),
}


def _require(value: str, is_valid: object, problem: str) -> str:
    if not is_valid:
        raise ValueError(f"{value!r} {problem}")
    return value


def check_column_name(value: str) -> str:
    is_valid = value.strip() and not _CONTROL.search(value)
    return _require(value, is_valid, "is not a name of a column or parameter")


def check_header_name(value: str) -> str:
    if value.lower() in _RESERVED_HEADERS:
        raise ValueError(f"the HTTP client sets the header {value}; remove it")
    return _require(value, _HEADER.fullmatch(value), "is not a header name")


def check_request(value: str) -> str:
    """``METHOD /path`` or ``METHOD https://…``, with one space between."""
    return _check_request_line(value, _METHODS)


def check_write_request(value: str) -> str:
    """The same for a request that writes."""
    return _check_request_line(value, _WRITE_METHODS)


def check_any_request(value: str) -> str:
    """The same for a request that reads or writes."""
    return _check_request_line(value, (*_METHODS[:1], *_WRITE_METHODS))


def _check_request_line(value: str, methods: Sequence[str]) -> str:
    words = value.split(maxsplit=1)
    example = f"{methods[0]} /items"
    _require(value, len(words) == 2, f"is not a request; write METHOD and path, such as {example}")
    method, target = words
    if method not in methods:
        hint = did_you_mean(method, methods) or f"; use {' or '.join(methods)}"
        raise ValueError(f"method {method!r} is not supported{hint}")
    if urlsplit(target).scheme in ("http", "https"):
        _check_absolute_url(target)
    elif not target.startswith(("/", "{")) or target.startswith("//"):
        raise ValueError(f"{target!r} is not a path; a path starts with a single /, such as GET /items")
    _check_url_characters(target)
    return f"{method} {target}"


def check_load_time(value: str) -> float:
    """Return seconds; a load needs some time."""
    seconds = parse_duration(value)
    _require(value, seconds > 0, "is no time for a load; write a duration such as 6 hours")
    return seconds


def check_web_url(value: str) -> str:
    _check_absolute_url(value)
    return value


def check_url_template(value: str) -> str:
    """A URL, or a text that starts with a variable: its value is checked when a connection opens."""
    _check_url_characters(value)
    if not _VARIABLE.match(value):
        _check_absolute_url(value)
    return value


def check_origin(value: str) -> str:
    """An origin, or the origins of all hosts below one: ``https://*.example.com``."""
    problem = "is not an origin; write https://HOST, https://HOST:PORT or https://*.DOMAIN"
    return _require(value, _ORIGIN.fullmatch(value), problem).rstrip("/")


def check_port(value: str) -> str:
    """A port, or one variable: its value is checked when a connection opens."""
    is_valid = _VARIABLE.fullmatch(value) or (_PORT.fullmatch(value) and 0 < int(value) < 65536)
    return _require(value, is_valid, "is not a port; use a number from 1024 to 65535, or one {variable}")


def check_dotted_path(value: str) -> str:
    return _require(value, _PATH.fullmatch(value), "is not a dotted path, such as data.items")


def check_column_source(value: str) -> str:
    if _VARIABLE.fullmatch(value):
        return value
    return check_dotted_path(_require(value, "{" not in value, "is neither a {variable} nor a dotted path"))


def check_column_type(value: str) -> str:
    """A DuckDB type that Parquet stores exactly."""
    base = re.sub(r"(?:\[\])+$", "", value.strip().lower())
    decimal = _DECIMAL.fullmatch(base)
    if decimal is not None:
        width, scale = int(decimal[1]), int(decimal[2] or 0)
        if not (1 <= width <= 38 and scale <= width):
            raise ValueError(f"{value!r}: decimal has at most 38 digits, and a scale of at most its width")
    elif base in ("hugeint", "uhugeint"):
        raise ValueError(f"{value!r} cannot be stored exactly; use decimal(38,0)")
    elif base not in COLUMN_TYPES:
        hint = did_you_mean(base, COLUMN_TYPES) or "; use json for nested values, or leave the type out"
        raise ValueError(f"{value!r} is not a column type{hint}")
    return value.strip()


def check_time_format(value: str) -> str:
    hint = did_you_mean(value, TIME_FORMATS)
    problem = f"is not a timestamp format; use {', '.join(TIME_FORMATS)} or a strftime format{hint}"
    _require(value, value in TIME_FORMATS or "%" in value, problem)
    return value if value in TIME_FORMATS else _check_strftime(value)


def _check_strftime(value: str) -> str:
    for directive in _DIRECTIVE.findall(value):
        if not _KNOWN_DIRECTIVE.fullmatch(directive):
            raise ValueError(
                f"{value!r}: {directive} is not a strftime directive; a percent sign is written %%"
            )
    parts = {each.lstrip("%-") for each in _DIRECTIVE.findall(value)}
    if not parts & set("YyGcxs") and not parts & set("HIXTMSp"):
        raise ValueError(f"{value!r} has no year; write it like %d/%m/%Y")
    return value


def check_column_format(value: str) -> str:
    """A format of timestamps or of numbers."""
    if value in NUMBER_FORMATS:
        return value
    if "%" not in value and value not in TIME_FORMATS and any(char.isdigit() for char in value):
        formats = ", ".join(map(repr, NUMBER_FORMATS))
        raise ValueError(f"{value!r} is not a number format; use one of {formats}")
    return check_time_format(value)


def check_interval(value: str) -> float:
    """Return the seconds of ``every 1 day``."""
    return parse_duration(value.strip().removeprefix("every "))


def check_duration_text(value: str) -> float | str:
    """Return the seconds of a duration; a text with variables as it is: ``{days} days``."""
    return value if template.variable_names(value) else parse_duration(value)


def check_parent_refresh(value: str) -> float | None:
    """Return the age in seconds at which parents are refreshed; None for never, 0 for always."""
    if value in ("before", "never"):
        return 0.0 if value == "before" else None
    if not value.strip().startswith("every "):
        raise ValueError(f"{value!r} is not before, never or every DURATION, such as every 1 day")
    return check_interval(value)


def find_stray_braces(value: str) -> str | None:
    """The first text in braces that is similar to a variable, such as ``{ org }`` or ``{a.b}``."""
    for match in _VARIABLE_LIKE.finditer(value):
        if not template.variable_names(match.group()) and not _VARIABLE.search(match.group()):
            return match.group()
    return None


def _check_absolute_url(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{value!r} is not a URL; a URL starts with https://")
    if "@" in parts.netloc:
        raise ValueError("a URL must not contain credentials; use auth")
    _check_url_characters(value)


def _check_url_characters(target: str) -> None:
    if _CONTROL.search(target) or " " in target or "\\" in target or "#" in target:
        raise ValueError(f"{target!r}: a URL must not contain spaces, backslashes, # or control characters")
    segments = re.split(r"[/?]|%2f", target.lower())
    if any(segment.replace("%2e", ".") in (".", "..") for segment in segments):
        raise ValueError(f"{target!r}: a URL must not contain . or .. segments")


_UNIT = "(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)?"
_DURATION = rf"^\s*([0-9]+(\.[0-9]+)?\s*{_UNIT}[\s,]*)+$"
_TYPES = "|".join(sorted({*COLUMN_TYPES, *map(str.upper, COLUMN_TYPES)}))
_TYPE = rf"^\s*({_TYPES})(\s*\([0-9, ]+\))?(\[\])*\s*$"
_TIMES = "|".join(TIME_FORMATS)
_NUMBERS = "|".join(map(re.escape, NUMBER_FORMATS))
_TIME_LABEL = ", ".join(f"`{each}`" for each in TIME_FORMATS) + " or strftime format"

ColumnName = Annotated[str, TextFormat("column", check_column_name)]
ColumnGlob = Annotated[str, TextFormat("glob", check_column_name)]
HeaderName = Annotated[str, TextFormat("header", check_header_name, f"^{_HEADER.pattern}$")]
Duration = Annotated[
    float, TextFormat("duration", parse_duration, _DURATION, expected="a duration such as 15 minutes")
]
DurationText = Annotated[
    float,  # a text with variables is resolved when a connection opens
    TextFormat("duration", check_duration_text, rf"{_DURATION}|\{{", "a duration such as 15 minutes"),
]
LoadTime = Annotated[
    float, TextFormat("duration", check_load_time, _DURATION, expected="a duration such as 6 hours")
]
Size = Annotated[int, TextFormat("size", parse_size, rf"^\s*{SIZE_PATTERN}\s*$", "a size such as 20 GB")]
Interval = Annotated[
    float,
    TextFormat("`every` duration", check_interval, "^(every )?[0-9]", "an interval such as every 1 day"),
]
ParentRefresh = Annotated[
    float | None,
    TextFormat(
        "`before`, `never` or `every` duration",
        check_parent_refresh,
        "^(before|never|every .+)$",
        "before, never or every DURATION",
    ),
]
RequestLine = Annotated[
    str, TextFormat("request", check_request, r"^(GET|POST) (/|\{|https?://)", "a request such as GET /items")
]
WriteRequestLine = Annotated[
    str,
    TextFormat(
        "request",
        check_write_request,
        "^(POST|PUT|PATCH|DELETE) (/|https?://)",
        "a request such as POST /items",
    ),
]
AnyRequestLine = Annotated[
    str,
    TextFormat(
        "request",
        check_any_request,
        "^(GET|POST|PUT|PATCH|DELETE) (/|https?://)",
        "a request such as GET /items",
    ),
]
WebURL = Annotated[str, TextFormat("URL", check_web_url, "^https?://")]
URLTemplate = Annotated[str, TextFormat("URL", check_url_template, r"^(https?://|\{)")]
OriginURL = Annotated[str, TextFormat("origin", check_origin, "^https?://[^/]+/?$")]
DottedPath = Annotated[str, TextFormat("dotted path", check_dotted_path, f"^{_PATH.pattern}$")]
PortText = Annotated[str, TextFormat("port or `{variable}`", check_port)]
_SOURCE = f"^({_VARIABLE.pattern}|{_PATH.pattern})$"
ColumnSource = Annotated[str, TextFormat("dotted path or `{variable}`", check_column_source, _SOURCE)]
ColumnType = Annotated[str, TextFormat("DuckDB type", check_column_type, _TYPE)]
TimeFormat = Annotated[str, TextFormat(_TIME_LABEL, check_time_format, f"^({_TIMES})$|%")]
ColumnFormat = Annotated[
    str,
    TextFormat(f"{_TIME_LABEL}, or number format", check_column_format, f"^({_TIMES}|{_NUMBERS})$|%"),
]
