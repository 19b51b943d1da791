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

from unify.connections import Secret
from unify.errors import SpecError
from unify.text import did_you_mean

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
Place = Literal["path", "query", "header", "body", "plain"]
Variables = Mapping[str, Any]  # str, int, float, bool, None or Secret by name; None: the variable is not set

_TOKEN = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


def names(text: str) -> tuple[str, ...]:
    """The variables of ``text`` in order of appearance, each once."""
    return tuple(dict.fromkeys(found[2] for found in _TOKEN.finditer(text) if found[2]))


def names_in(value: Json) -> tuple[str, ...]:
    """The variables of every text in a JSON value."""
    match value:
        case str():
            return names(value)
        case list():
            return tuple(dict.fromkeys(name for item in value for name in names_in(item)))
        case dict():
            return tuple(dict.fromkeys(name for item in value.values() for name in names_in(item)))
        case _:
            return ()


def fill(text: str, variables: Variables, place: Place) -> str:
    """``text`` with its variables replaced.

    ``place``  path: percent-encoded, ``/`` and ``..`` included; header: CR, LF and other controls refused;
               query, body and plain: as it is, for the HTTP library or the JSON writer to encode.
    Raises  SpecError for a variable that is unknown or has no value, and for a value its place cannot hold.
    """
    encode = _ENCODERS[place]

    def replace(found: re.Match[str]) -> str:
        if found[1]:
            return "{" + found[1] + "}"
        return encode(found[2], _text(_look_up(found[2], variables, text)))

    return _TOKEN.sub(replace, text)


def fill_value(value: Json, variables: Variables) -> Json:
    """A JSON body with its variables replaced; a text that is one ``{name}`` becomes the value itself.

    A member or item with a variable that has no value is left out.
    """
    match value:
        case str():
            whole = _TOKEN.fullmatch(value)
            if whole and whole[2]:
                return _bare(_look_up(whole[2], variables, value))
            return fill(value, variables, "body")
        case list():
            return [fill_value(item, variables) for item in value if has_values(item, variables)]
        case dict():
            return {
                key: fill_value(item, variables) for key, item in value.items() if has_values(item, variables)
            }
        case _:
            return value


def fill_fields(fields: Mapping[str, Json], variables: Variables, place: Place) -> dict[str, str | list[str]]:
    """Parameters, headers or form fields with their variables replaced.

    One with a variable that has no value is left out, as is a null; a list becomes a repeated field.
    """
    filled: dict[str, str | list[str]] = {}
    for key, value in fields.items():
        if isinstance(value, list):
            items = [item for item in value if item is not None and has_values(item, variables)]
            if items:
                filled[key] = [_field(item, variables, place) for item in items]
        elif value is not None and has_values(value, variables):
            filled[key] = _field(value, variables, place)
    return filled


def has_values(value: Json, variables: Variables) -> bool:
    """Has every variable of a text a value? (Of a list or mapping the members are asked one by one.)"""
    if not isinstance(value, str):
        return True
    return all(_look_up(name, variables, value, unset=True) is not None for name in names(value))


def _field(value: Json, variables: Variables, place: Place) -> str:
    return fill(value if isinstance(value, str) else _text(value), variables, place)


def _look_up(name: str, variables: Variables, text: str, *, unset: bool = False) -> Any:
    if name not in variables:
        raise SpecError(f"{text!r}: unknown variable {{{name}}}{did_you_mean(name, variables)}")
    value = variables[name]
    if value is None and not unset:
        raise SpecError(f"{text!r}: {{{name}}} has no value; set the option {name} of the connection")
    return value


def _bare(value: Any) -> Json:
    return value.reveal() if isinstance(value, Secret) else value


def _text(value: Any) -> str:
    bare = _bare(value)
    if isinstance(bare, bool):
        return "true" if bare else "false"
    return str(bare)


def _for_path(name: str, value: str) -> str:
    if _CONTROL.search(value):
        raise SpecError(f"{{{name}}} holds a control character, which has no place in an address")
    if value in ("", ".", ".."):
        raise SpecError(f"{{{name}}} is {value!r}, which would lead to another address")
    return quote(value, safe="")


def _for_header(name: str, value: str) -> str:
    if _CONTROL.search(value):
        raise SpecError(f"{{{name}}} holds a line break or control character, which has no place in a header")
    return value


def _as_it_is(_name: str, value: str) -> str:
    return value


_ENCODERS: Mapping[Place, Callable[[str, str], str]] = {
    "path": _for_path,
    "header": _for_header,
    "query": _as_it_is,
    "body": _as_it_is,
    "plain": _as_it_is,
}
