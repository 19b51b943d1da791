"""Matches the ``errors`` rules of a spec with a response, looking outside the rows of a success."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from unify.adapters.http.messages import Response
from unify.adapters.spec.model import ErrorRule

_MAX_DEPTH = 4  # levels of objects around the rows
_ERROR_NAME = re.compile(r".*(error|warning|message|fault|exception|status).*", re.IGNORECASE)

_object_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])


def matching_rule(response: Response, rules: Sequence[ErrorRule]) -> ErrorRule | None:
    """The first rule for the response. A success is matched by rules with ``body`` or ``where`` only."""
    for rule in rules:
        if rule.status is not None and rule.status != response.status:
            continue
        if rule.body is None and not rule.where:
            if rule.status is not None or response.status >= 400:
                return rule
        elif _matches_body(rule, response):
            return rule
    return None


def _matches_body(rule: ErrorRule, response: Response) -> bool:
    body = response.body
    if rule.body is not None:
        text = rule.body.encode()
        if text not in body:
            return False
        if 200 <= response.status < 300 and text not in _outside_rows(body):
            return False
    return all(_equals(_value(body, path.split(".")), wanted) for path, wanted in rule.where.items())


def _outside_rows(body: bytes) -> bytes:
    """Return a JSON body with empty lists in place of its lists of rows; other text unchanged."""
    for rows in _row_lists(body, 0):
        body = body.replace(bytes(rows), b"[]", 1)
    return body


def _row_lists(raw: msgspec.Raw | bytes, depth: int, name: str = "") -> Iterator[bytes]:
    """Yield the lists of objects or lists in a JSON value, except lists of errors."""
    text = bytes(raw).strip()
    try:
        if text[:1] == b"{" and depth < _MAX_DEPTH:
            for key, value in _object_decoder.decode(text).items():
                yield from _row_lists(value, depth + 1, key)
        elif text[:1] == b"[" and not _ERROR_NAME.fullmatch(name):
            items = _list_decoder.decode(text)
            if depth == 0 or (items and bytes(items[0]).lstrip()[:1] in (b"{", b"[")):
                yield text
    except msgspec.DecodeError:
        return  # not JSON


def _value(body: bytes, steps: Sequence[str]) -> object:
    """The scalar at a path whose steps are members and indexes; None if there is none."""
    current: msgspec.Raw | bytes = body
    try:
        for step in steps:
            text = bytes(current).strip()
            if text[:1] == b"{":
                members: Mapping[str, msgspec.Raw] = _object_decoder.decode(text)
                if step not in members:
                    return None
                current = members[step]
            elif text[:1] == b"[" and step.isdigit():
                items = _list_decoder.decode(text)
                if int(step) >= len(items):
                    return None
                current = items[int(step)]
            else:
                return None
        value: object = msgspec.json.decode(current)
        return value
    except msgspec.DecodeError:
        return None


def _equals(value: object, wanted: str) -> bool:
    if value is None or isinstance(value, dict | list):
        return False
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text.casefold() == wanted.casefold()
