"""Variables in the texts of a spec: ``{name}``, ``{name:date}`` for a time in another format, or
``{name:odata}`` inside the quotes of a query language.

All other braces are ordinary characters, as in JSON and GraphQL bodies; ``{{name}}`` is the text
``{name}``. Values are encoded for the part of the request that they are in, and are not templates
themselves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from unify.adapters.spec.moments import TIME_FORMATS, format_moment, parse_timestamp
from unify.config.secrets import Secret
from unify.errors import SpecError
from unify.text import did_you_mean

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
ValueEncoding = Literal["path", "query", "header", "body", "plain"]
Variables = Mapping[str, Any]  # by name: a JSON value, Secret or NULL; None: the variable has no value


class Null:
    """The JSON value null of a variable; None stands for a variable without a value."""


NULL = Null()


_BACKSLASH = str.maketrans({each: f"\\{each}" for each in "\\'\""})
_LINES = str.maketrans({"\n": r"\n", "\r": r"\r", "\t": r"\t"})


def _escape_text(value: str) -> str:
    """Escape a text for SOQL and JQL, in either kind of quotes."""
    return value.translate(_BACKSLASH | _LINES)


QUOTE_ENCODERS: Mapping[str, Callable[[str], str]] = {
    "odata": lambda value: value.replace("'", "''"),
    "soql": _escape_text,
    "jql": _escape_text,
    "influx": lambda value: value.translate(_BACKSLASH).replace("\n", r"\n"),  # InfluxQL has no other escapes
    "json": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
}
NOW_VARIABLE = "now"  # the time of a load
_SUFFIXES = "|".join((*QUOTE_ENCODERS, *TIME_FORMATS))
_NAME = rf"[A-Za-z_][A-Za-z0-9_]*(?::(?:{_SUFFIXES}|%[^{{}}]*))?"
_TOKEN = re.compile(rf"\{{\{{({_NAME})\}}\}}|\{{({_NAME})\}}")
_UNKNOWN_ENCODER = re.compile(r"(?<!\{)\{([A-Za-z_][A-Za-z0-9_]*):([A-Za-z_][A-Za-z0-9_]*)\}")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


def variable_names(text: str) -> tuple[str, ...]:
    """The variables of ``text`` in order of appearance, each once."""
    return tuple(dict.fromkeys(match[2].partition(":")[0] for match in _TOKEN.finditer(text) if match[2]))


def unknown_encoders(text: str) -> tuple[tuple[str, str], ...]:
    """The name and encoder of each ``{name:encoder}`` whose encoder is unknown; GraphQL has such texts."""
    pairs = (match.groups() for match in _UNKNOWN_ENCODER.finditer(text))
    known = (*QUOTE_ENCODERS, *TIME_FORMATS)
    return tuple((name, encoder) for name, encoder in pairs if encoder not in known)


def time_formats(text: str) -> tuple[str, ...]:
    """The formats of the variables that are times in another format."""
    suffixes = (match[2].partition(":")[2] for match in _TOKEN.finditer(text) if match[2])
    return tuple(each for each in suffixes if each and each not in QUOTE_ENCODERS)


def variable_names_in(value: Json) -> tuple[str, ...]:
    """The variables of every text in a JSON value."""
    match value:
        case str():
            return variable_names(value)
        case dict():
            return variable_names_in(list(value.values()))
        case list() | tuple():
            return tuple(dict.fromkeys(name for item in value for name in variable_names_in(item)))
        case _:
            return ()


def render_text(text: str, variables: Variables, encoding: ValueEncoding) -> str:
    """Replace the variables of ``text``.

    In a path values are percent-encoded, including ``/``; in a header control characters are refused. In
    query, body and plain text values are unchanged: the HTTP client or the JSON encoder encodes them.

    Raises: SpecError for a variable that is unknown or has no value, and for a value that is not allowed.
    """
    encode = _ENCODERS.get(encoding)

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return "{" + match[1] + "}"
        name, _, quotes = match[2].partition(":")
        found = _variable_value(name, variables, text)
        if quotes and quotes not in QUOTE_ENCODERS:
            found, quotes = _formatted_time(name, found, quotes, variables), ""
        if isinstance(found, Null | list | dict):
            kind = "null" if isinstance(found, Null) else "a list or object"
            raise SpecError(f"{text!r}: {{{name}}} is {kind}, which cannot be part of a text")
        value = _value_text(found)
        value = QUOTE_ENCODERS[quotes](value) if quotes else value
        return encode(name, value) if encode is not None else value

    return _TOKEN.sub(replace, text)


def substitute(text: str, replacement: Callable[[str], str]) -> str:
    """Replace each variable by a text of its name; ``{{name}}`` is ``{name}``."""
    return _TOKEN.sub(
        lambda match: f"{{{match[1]}}}" if match[1] else replacement(match[2].partition(":")[0]), text
    )


def render_value(value: Json, variables: Variables, *, drops_empty: bool = False) -> Json:
    """Replace the variables of a JSON value; a text that is exactly one ``{name}`` becomes its value.

    Members and items with a variable without value are left out.

    ``drops_empty``  so are members whose object has lost all of its members by that.
    """
    match value:
        case str():
            whole = _TOKEN.fullmatch(value)
            if whole and whole[2] and ":" not in whole[2]:
                return _reveal(_variable_value(whole[2], variables, value))
            if whole and whole[2] and time_formats(value):
                name, _, form = whole[2].partition(":")
                return _formatted_time(name, _variable_value(name, variables, value), form, variables)
            return render_text(value, variables, "body")
        case list():
            return [
                render_value(item, variables, drops_empty=drops_empty)
                for item in value
                if has_values(item, variables)
            ]
        case dict():
            members = {
                key: render_value(item, variables, drops_empty=drops_empty)
                for key, item in value.items()
                if has_values(item, variables)
            }
            return {
                key: member
                for key, member in members.items()
                if not drops_empty or member != {} or not isinstance(value[key], dict) or not value[key]
            }
        case _:
            return value


def render_fields(
    fields: Mapping[str, Json], variables: Variables, encoding: ValueEncoding
) -> dict[str, str | list[str]]:
    """Replace the variables of parameters, headers or form fields.

    Fields that are null, or have a variable without value, are left out; a list becomes a repeated field.
    """
    rendered: dict[str, str | list[str]] = {}
    for key, value in fields.items():
        if isinstance(value, list):
            items = [item for item in value if item is not None and has_values(item, variables)]
            if items:
                rendered[key] = [_render_field(item, variables, encoding) for item in items]
        elif value is not None and has_values(value, variables):
            rendered[key] = _render_field(value, variables, encoding)
    return rendered


def has_values(value: Json, variables: Variables) -> bool:
    """Whether every variable of a text has a value; True for lists and mappings."""
    if not isinstance(value, str):
        return True
    return all(
        _variable_value(name, variables, value, allow_unset=True) is not None
        for name in variable_names(value)
    )


def _render_field(value: Json, variables: Variables, encoding: ValueEncoding) -> str:
    return render_text(value if isinstance(value, str) else _value_text(value), variables, encoding)


def _variable_value(name: str, variables: Variables, text: str, *, allow_unset: bool = False) -> Any:
    if name not in variables:
        raise SpecError(f"{text!r}: unknown variable {{{name}}}{did_you_mean(name, variables)}")
    value = variables[name]
    if value is None and not allow_unset:
        raise SpecError(f"{text!r}: {{{name}}} has no value; set the option {name} of the connection")
    return value


def _formatted_time(name: str, value: Any, time_format: str, variables: Variables) -> str | int:
    """A time in another format. Raises SpecError for a value that is no time."""
    given = variables.get(NOW_VARIABLE)
    now = parse_timestamp(str(given)) if given is not None else None
    found = format_moment(_value_text(value), time_format, now or datetime.now(UTC))
    if found is None:
        raise SpecError(
            f"{{{name}:{time_format}}}: the value is not a time, such as 2026-01-31 or 30 days ago"
        )
    return found


def _reveal(value: Any) -> Json:
    if isinstance(value, Null):
        return None
    return value.reveal() if isinstance(value, Secret) else value


def _value_text(value: Any) -> str:
    bare = _reveal(value)
    if isinstance(bare, bool):
        return "true" if bare else "false"
    if isinstance(bare, float) and bare.is_integer():
        return f"{bare:.0f}"  # ids that an API writes as 42.0 are 42 in its addresses
    return str(bare)


def _encode_path_value(name: str, value: str) -> str:
    if _CONTROL.search(value):
        raise SpecError(f"{{{name}}} contains a control character; a URL must not contain one")
    if value in ("", ".", ".."):
        raise SpecError(f"{{{name}}} is {value!r}, which is not allowed in a path")
    return quote(value, safe="")


def _check_header_value(name: str, value: str) -> str:
    if _CONTROL.search(value):
        raise SpecError(f"{{{name}}} contains a control character; a header must not contain one")
    return value


_ENCODERS: Mapping[ValueEncoding, Callable[[str, str], str]] = {
    "path": _encode_path_value,
    "header": _check_header_value,
}
