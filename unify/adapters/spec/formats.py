"""The formats of the texts in a spec, declared as types: ``Name``, ``Duration``, ``RequestLine`` …

A check returns the value of the text, or raises ValueError with a sentence that says what is expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from unify.adapters.spec import template
from unify.adapters.spec.schema import TextFormat
from unify.durations import parse_duration
from unify.text import did_you_mean

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
_REQUEST = re.compile(r"(\S+)\s+(\S.*)")
_METHODS = ("GET", "POST")  # reading changes nothing: there is no reason for another
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")
_PORT = re.compile(r"[0-9]{1,5}")
_PATH = re.compile(r"[^\s.{}]+(?:\.[^\s.{}]+)*")
_VARIABLE_LIKE = re.compile(r"\{\s*[A-Za-z_][\w.\[\]!:()-]*\s*\}")
_VARIABLE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_DECIMAL = re.compile(r"(?:decimal|numeric)\((\d{1,2})(?:,\s*(\d{1,2}))?\)")
TIME_FORMATS = ("iso8601", "date", "unix", "unix_ms", "unix_us", "unix_ns", "ms_date")
COLUMN_TYPES = frozenset(
    [
        *("boolean", "bool", "tinyint", "smallint", "integer", "int", "bigint"),
        *("utinyint", "usmallint", "uinteger", "ubigint", "float", "real", "double"),
        *("varchar", "text", "string", "json", "uuid", "blob", "decimal", "numeric", "interval"),
        *("date", "time", "timestamp", "timestamptz", "timestamp with time zone"),
    ]
)


@dataclass(frozen=True, slots=True)
class NumberFormat:
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


def check_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name; use letters, digits and _, no digit first")
    return value


def check_column_name(value: str) -> str:
    if not value.strip() or _CONTROL.search(value):
        raise ValueError(f"{value!r} is no name of a column or parameter")
    return value


def check_header_name(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a header")
    if value.lower() in _RESERVED_HEADERS:
        raise ValueError(f"the header {value} is set by the HTTP library alone")
    return value


def check_request(value: str) -> str:
    """``METHOD /place`` or ``METHOD https://…``, with one space between."""
    found = _REQUEST.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no request; write METHOD and path, such as GET /items")
    method, target = found.groups()
    if method not in _METHODS:
        hint = did_you_mean(method, _METHODS) or f"; use {' or '.join(_METHODS)}"
        raise ValueError(f"{method!r} is no method to read with{hint}")
    if urlsplit(target).scheme in ("http", "https"):
        _require_web_url(target)
    elif not target.startswith("/") or target.startswith("//"):
        raise ValueError(f"{target!r} is no path; it starts with one /, such as GET /items")
    _require_clean_url(target)
    return f"{method} {target}"


def check_web_url(value: str) -> str:
    _require_web_url(value)
    return value


def check_address(value: str) -> str:
    """http or https, or a text that begins with a variable (its value is checked when it is known)."""
    _require_clean_url(value)
    if not _VARIABLE.match(value):
        _require_web_url(value)
    return value


def check_origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError(f"{value!r} is no origin; write https://HOST or https://HOST:PORT")
    return value.rstrip("/")


def check_port(value: str) -> str:
    """A port, or one variable (its value is checked when it is known)."""
    if not _VARIABLE.fullmatch(value) and not (_PORT.fullmatch(value) and 0 < int(value) < 65536):
        raise ValueError(f"{value!r} is no port; use a number from 1024 to 65535, or one {{variable}}")
    return value


def check_dotted_path(value: str) -> str:
    if not _PATH.fullmatch(value):
        raise ValueError(f"{value!r} is no dotted path, such as data.items")
    return value


def check_column_source(value: str) -> str:
    if _VARIABLE.fullmatch(value):
        return value
    if "{" in value:
        raise ValueError(f"{value!r} is neither one {{variable}} nor a dotted path")
    return check_dotted_path(value)


def check_column_type(value: str) -> str:
    """A type as DuckDB writes it, of those that Parquet keeps exactly."""
    base = re.sub(r"(?:\[\])+$", "", value.strip().lower())
    decimal = _DECIMAL.fullmatch(base)
    if decimal is not None:
        width, scale = int(decimal[1]), int(decimal[2] or 0)
        if not (1 <= width <= 38 and scale <= width):
            raise ValueError(f"{value!r}: decimal has up to 38 digits, and no more of them behind the point")
    elif base in ("hugeint", "uhugeint"):
        raise ValueError(f"{value!r} cannot be stored exactly; use decimal(38,0)")
    elif base not in COLUMN_TYPES:
        hint = did_you_mean(base, COLUMN_TYPES) or "; nested values are declared json, or found out"
        raise ValueError(f"{value!r} is no column type{hint}")
    return value.strip()


def check_time_format(value: str) -> str:
    if value not in TIME_FORMATS and "%" not in value:
        hint = did_you_mean(value, TIME_FORMATS)
        raise ValueError(
            f"{value!r} is no format of moments; use {', '.join(TIME_FORMATS)} or a strftime text{hint}"
        )
    return value


def check_column_format(value: str) -> str:
    """Of moments, or of numbers."""
    if value in NUMBER_FORMATS or value in TIME_FORMATS or "%" in value:
        return value
    if any(char.isdigit() for char in value) and value not in TIME_FORMATS:
        raise ValueError(
            f"{value!r} is no format of numbers; use one of {', '.join(map(repr, NUMBER_FORMATS))}"
        )
    return check_time_format(value)


def check_select(value: str) -> str:
    """Only that there is something: ``specsql`` looks into it."""
    if not value.strip():
        raise ValueError("expected a SELECT")
    return value


def find_stray_braces(value: str) -> str | None:
    """What looks like a variable and is none, such as ``{ org }`` or ``{a.b}``."""
    for found in _VARIABLE_LIKE.finditer(value):
        if not template.variable_names(found.group()) and not _VARIABLE.search(found.group()):
            return found.group()
    return None


def _require_web_url(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{value!r} is no web address; it starts with https://")
    if "@" in parts.netloc:
        raise ValueError("credentials do not belong into an address; use auth")
    _require_clean_url(value)


def _require_clean_url(target: str) -> None:
    if _CONTROL.search(target) or " " in target or "\\" in target or "#" in target:
        raise ValueError(f"{target!r}: an address has no spaces, backslashes, # or control characters")
    steps = re.split(r"[/?]|%2f", target.lower())
    if any(step.replace("%2e", ".") in (".", "..") for step in steps):
        raise ValueError(f"{target!r}: an address has no . or .. steps")


_UNIT_PATTERN = "(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)?"
_TYPE_PATTERN = "|".join(sorted({*COLUMN_TYPES, *map(str.upper, COLUMN_TYPES)}))
_TIME_PATTERN = "|".join(TIME_FORMATS)

Name = Annotated[str, TextFormat("name", check_name, f"^{_NAME.pattern}$")]
ColumnName = Annotated[str, TextFormat("column", check_column_name)]
ColumnGlob = Annotated[str, TextFormat("glob", check_column_name)]
HeaderName = Annotated[str, TextFormat("header", check_header_name, f"^{_HEADER.pattern}$")]
Duration = Annotated[
    float,
    TextFormat(
        "duration",
        parse_duration,
        rf"^\s*([0-9]+(\.[0-9]+)?\s*{_UNIT_PATTERN}[\s,]*)+$",
        "a duration such as 15 minutes",
    ),
]
RequestLine = Annotated[
    str, TextFormat("request", check_request, "^(GET|POST) (/|https?://)", "a request such as GET /items")
]
WebURL = Annotated[str, TextFormat("URL", check_web_url, "^https?://")]
URLTemplate = Annotated[str, TextFormat("URL", check_address, r"^(https?://|\{)")]
OriginURL = Annotated[str, TextFormat("origin", check_origin, "^https?://[^/]+/?$")]
DottedPath = Annotated[str, TextFormat("dotted path", check_dotted_path, f"^{_PATH.pattern}$")]
PortText = Annotated[str, TextFormat("port or `{variable}`", check_port)]
ColumnSource = Annotated[
    str,
    TextFormat(
        "dotted path or `{variable}`", check_column_source, f"^({_VARIABLE.pattern}|{_PATH.pattern})$"
    ),
]
ColumnType = Annotated[
    str,
    TextFormat("DuckDB type", check_column_type, rf"^\s*({_TYPE_PATTERN})(\s*\([0-9, ]+\))?(\[\])*\s*$"),
]
TimeFormat = Annotated[
    str,
    TextFormat(
        "`iso8601`, `date`, `unix`, `unix_ms`, `unix_us`, `unix_ns`, `ms_date` or strftime format",
        check_time_format,
        f"^({_TIME_PATTERN})$|%",
    ),
]
ColumnFormat = Annotated[
    str,
    TextFormat(
        "`iso8601`, `date`, `unix`, `unix_ms`, `unix_us`, `unix_ns`, `ms_date`, strftime format, or number format such as `1.234,5`",
        check_column_format,
        f"^({_TIME_PATTERN}|{'|'.join(map(re.escape, NUMBER_FORMATS))})$|%",
    ),
]
SelectSQL = Annotated[str, TextFormat("SELECT", check_select, expected="a SELECT")]
