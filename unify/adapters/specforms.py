"""What single texts in a spec have to look like. Each check returns the value or raises ValueError with a
sentence that says what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from unify.adapters import template
from unify.adapters.specshape import Form
from unify.durations import parse_duration
from unify.numberforms import NUMBER_FORMS
from unify.text import did_you_mean

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADERS_NOT_OURS = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
_REQUEST = re.compile(r"(\S+)\s+(\S.*)")
_METHODS = ("GET", "POST")  # reading changes nothing: there is no reason for another
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")
_PORT = re.compile(r"[0-9]{1,5}")
_PATH = re.compile(r"[^\s.{}]+(?:\.[^\s.{}]+)*")
_VARIABLE_LIKE = re.compile(r"\{\s*[A-Za-z_][\w.\[\]!:()-]*\s*\}")
_VARIABLE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_DECIMAL = re.compile(r"(?:decimal|numeric)\((\d{1,2})(?:,\s*(\d{1,2}))?\)")
TIMES = ("iso8601", "date", "unix", "unix_ms")
TYPES = frozenset(
    [
        *("boolean", "bool", "tinyint", "smallint", "integer", "int", "bigint"),
        *("utinyint", "usmallint", "uinteger", "ubigint", "float", "real", "double"),
        *("varchar", "text", "string", "json", "uuid", "blob", "decimal", "numeric", "interval"),
        *("date", "time", "timestamp", "timestamptz", "timestamp with time zone"),
    ]
)


def text(value: str) -> str:
    return value


def name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name; use letters, digits and _, no digit first")
    return value


def column(value: str) -> str:
    if not value.strip() or _CONTROL.search(value):
        raise ValueError(f"{value!r} is no name of a column or parameter")
    return value


def header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a header")
    if value.lower() in _HEADERS_NOT_OURS:
        raise ValueError(f"the header {value} is set by the HTTP library alone")
    return value


def duration(value: str) -> float:
    return parse_duration(value)


def request(value: str) -> str:
    """``METHOD /path`` or ``METHOD https://…``, with one space between."""
    found = _REQUEST.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no request; write METHOD and path, such as GET /items")
    method, target = found.groups()
    if method not in _METHODS:
        hint = did_you_mean(method, _METHODS) or f"; use {' or '.join(_METHODS)}"
        raise ValueError(f"{method!r} is no method to read with{hint}")
    if urlsplit(target).scheme in ("http", "https"):
        _web_address(target)
    elif not target.startswith("/") or target.startswith("//"):
        raise ValueError(f"{target!r} is no path; it starts with one /, such as GET /items")
    _clean(target)
    return f"{method} {target}"


def web(value: str) -> str:
    _web_address(value)
    return value


def address(value: str) -> str:
    """http or https, or a text that begins with a variable (its value is checked when it is known)."""
    _clean(value)
    if not _VARIABLE.match(value):
        _web_address(value)
    return value


def origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError(f"{value!r} is no origin; write https://HOST or https://HOST:PORT")
    return value.rstrip("/")


def port(value: str) -> str:
    """A port, or one variable (its value is checked when it is known)."""
    if not _VARIABLE.fullmatch(value) and not (_PORT.fullmatch(value) and 0 < int(value) < 65536):
        raise ValueError(f"{value!r} is no port; use a number from 1024 to 65535, or one {{variable}}")
    return value


def path(value: str) -> str:
    if not _PATH.fullmatch(value):
        raise ValueError(f"{value!r} is no dotted path, such as data.items")
    return value


def source(value: str) -> str:
    if _VARIABLE.fullmatch(value):
        return value
    if "{" in value:
        raise ValueError(f"{value!r} is neither one {{variable}} nor a dotted path")
    return path(value)


def column_type(value: str) -> str:
    """A type as DuckDB writes it, of those that Parquet keeps exactly."""
    base = re.sub(r"(?:\[\])+$", "", value.strip().lower())
    decimal = _DECIMAL.fullmatch(base)
    if decimal is not None:
        width, scale = int(decimal[1]), int(decimal[2] or 0)
        if not (1 <= width <= 38 and scale <= width):
            raise ValueError(f"{value!r}: decimal has up to 38 digits, and no more of them behind the point")
    elif base in ("hugeint", "uhugeint"):
        raise ValueError(f"{value!r} cannot be stored exactly; use decimal(38,0)")
    elif base not in TYPES:
        hint = did_you_mean(base, TYPES) or "; nested values are declared json, or found out"
        raise ValueError(f"{value!r} is no column type{hint}")
    return value.strip()


def times(value: str) -> str:
    if value not in TIMES and "%" not in value:
        hint = did_you_mean(value, TIMES)
        raise ValueError(
            f"{value!r} is no format of moments; use {', '.join(TIMES)} or a strftime text{hint}"
        )
    return value


def writing(value: str) -> str:
    """Of moments, or of numbers."""
    if value in NUMBER_FORMS or value in TIMES or "%" in value:
        return value
    if any(char.isdigit() for char in value) and value not in TIMES:
        raise ValueError(
            f"{value!r} is no format of numbers; use one of {', '.join(map(repr, NUMBER_FORMS))}"
        )
    return times(value)


def select(value: str) -> str:
    """Only that there is something: ``specsql`` looks into it."""
    if not value.strip():
        raise ValueError("expected a SELECT")
    return value


def stray_braces(value: str) -> str | None:
    """What looks like a variable and is none, such as ``{ org }`` or ``{a.b}``."""
    for found in _VARIABLE_LIKE.finditer(value):
        if not template.names(found.group()) and not _VARIABLE.search(found.group()):
            return found.group()
    return None


def _web_address(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{value!r} is no web address; it starts with https://")
    if "@" in parts.netloc:
        raise ValueError("credentials do not belong into an address; use auth")
    _clean(value)


def _clean(target: str) -> None:
    if _CONTROL.search(target) or " " in target or "\\" in target or "#" in target:
        raise ValueError(f"{target!r}: an address has no spaces, backslashes, # or control characters")
    steps = re.split(r"[/?]|%2f", target.lower())
    if any(step.replace("%2e", ".") in (".", "..") for step in steps):
        raise ValueError(f"{target!r}: an address has no . or .. steps")


CHECKS: Mapping[Form, Callable[[str], str | float]] = {
    "text": text,
    "name": name,
    "column": column,
    "glob": column,
    "header": header,
    "duration": duration,
    "request": request,
    "web": web,
    "address": address,
    "origin": origin,
    "path": path,
    "port": port,
    "source": source,
    "type": column_type,
    "times": times,
    "writing": writing,
    "select": select,
}
