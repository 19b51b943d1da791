"""``{name}`` in a text is a variable; nothing else is a template.

A brace that is not ``{name}`` is an ordinary character, so JSON and GraphQL bodies need no care;
``{{name}}`` writes the text ``{name}``. Values are encoded for the place they land in, and a value is
never read as a template again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote

from unify.config.secrets import Secret
from unify.errors import SpecError
from unify.text import did_you_mean

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
ValueEncoding = Literal["path", "query", "header", "body", "plain"]
Variables = Mapping[str, Any]  # str, int, float, bool, None or Secret by name; None: the variable is not set

_TOKEN = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


def variable_names(text: str) -> tuple[str, ...]:
    """The variables of ``text`` in order of appearance, each once."""
    return tuple(dict.fromkeys(found[2] for found in _TOKEN.finditer(text) if found[2]))


def variable_names_in(value: Json) -> tuple[str, ...]:
    """The variables of every text in a JSON value."""
    match value:
        case str():
            return variable_names(value)
        case list():
            return tuple(dict.fromkeys(name for item in value for name in variable_names_in(item)))
        case dict():
            return tuple(dict.fromkeys(name for item in value.values() for name in variable_names_in(item)))
        case _:
            return ()


def render_text(text: str, variables: Variables, encoding: ValueEncoding) -> str:
    """``text`` with its variables replaced.

    ``place``  path: percent-encoded, ``/`` and ``..`` included; header: CR, LF and other controls refused;
               query, body and plain: as it is, for the HTTP library or the JSON writer to encode.
    Raises  SpecError for a variable that is unknown or has no value, and for a value its place cannot hold.
    """
    encode = _ENCODERS[encoding]

    def replace(found: re.Match[str]) -> str:
        if found[1]:
            return "{" + found[1] + "}"
        return encode(found[2], _value_text(_variable_value(found[2], variables, text)))

    return _TOKEN.sub(replace, text)


def render_value(value: Json, variables: Variables) -> Json:
    """A JSON body with its variables replaced; a text that is one ``{name}`` becomes the value itself.

    A member or item with a variable that has no value is left out.
    """
    match value:
        case str():
            whole = _TOKEN.fullmatch(value)
            if whole and whole[2]:
                return _reveal(_variable_value(whole[2], variables, value))
            return render_text(value, variables, "body")
        case list():
            return [render_value(item, variables) for item in value if has_values(item, variables)]
        case dict():
            return {
                key: render_value(item, variables)
                for key, item in value.items()
                if has_values(item, variables)
            }
        case _:
            return value


def render_fields(
    fields: Mapping[str, Json], variables: Variables, encoding: ValueEncoding
) -> dict[str, str | list[str]]:
    """Parameters, headers or form fields with their variables replaced.

    One with a variable that has no value is left out, as is a null; a list becomes a repeated field.
    """
    filled: dict[str, str | list[str]] = {}
    for key, value in fields.items():
        if isinstance(value, list):
            items = [item for item in value if item is not None and has_values(item, variables)]
            if items:
                filled[key] = [_render_field(item, variables, encoding) for item in items]
        elif value is not None and has_values(value, variables):
            filled[key] = _render_field(value, variables, encoding)
    return filled


def has_values(value: Json, variables: Variables) -> bool:
    """Has every variable of a text a value? (Of a list or mapping the members are asked one by one.)"""
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


def _reveal(value: Any) -> Json:
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
        raise SpecError(f"{{{name}}} holds a control character, which has no place in an address")
    if value in ("", ".", ".."):
        raise SpecError(f"{{{name}}} is {value!r}, which would lead to another address")
    return quote(value, safe="")


def _check_header_value(name: str, value: str) -> str:
    if _CONTROL.search(value):
        raise SpecError(f"{{{name}}} holds a line break or control character, which has no place in a header")
    return value


def _keep_value(_name: str, value: str) -> str:
    return value


_ENCODERS: Mapping[ValueEncoding, Callable[[str, str], str]] = {
    "path": _encode_path_value,
    "header": _check_header_value,
    "query": _keep_value,
    "body": _keep_value,
    "plain": _keep_value,
}
