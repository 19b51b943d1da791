"""The shape of a response from its JSON schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from unify.importers.common.documents import items_of, members_of, text_of
from unify.importers.common.shapes import SCALAR, Shape
from unify.importers.openapi.document import OpenAPIDocument

Json = Any  # a JSON value: dict, list, str, int, float, bool or None
_MAX_DEPTH = 6  # levels that matter for rows, keys and paging
_COMBINED = ("allOf", "oneOf", "anyOf")


def shape_of_schema(document: OpenAPIDocument, schema: Json, depth: int = 0) -> Shape:
    """The shape that a schema describes; of alternatives, all members."""
    resolved = document.resolve(schema)
    if depth > _MAX_DEPTH:
        return SCALAR
    if _is_list(resolved):
        return Shape("list", item=shape_of_schema(document, resolved.get("items"), depth + 1))
    members: dict[str, Shape] = {}
    for part in _parts(document, resolved, 0):
        if _is_list(part) and not members:
            return shape_of_schema(document, part, depth)
        for name, value in members_of(part.get("properties")).items():
            members.setdefault(name, shape_of_schema(document, value, depth + 1))
    is_object = members or "object" in _types(resolved) or "additionalProperties" in resolved
    return Shape("object", members) if is_object else SCALAR


def _parts(document: OpenAPIDocument, schema: Mapping[str, Json], level: int) -> Iterator[Mapping[str, Json]]:
    """The schema and those that it combines."""
    yield schema
    if level > _MAX_DEPTH:
        return
    for key in _COMBINED:
        for each in items_of(schema.get(key)):
            yield from _parts(document, document.resolve(each), level + 1)


def _types(schema: Mapping[str, Json]) -> list[str]:
    kind = schema.get("type")
    return [text_of(each) for each in kind] if isinstance(kind, list) else [text_of(kind)]


def _is_list(schema: Mapping[str, Json]) -> bool:
    return "array" in _types(schema) or ("items" in schema and "properties" not in schema)


def descriptions_of(document: OpenAPIDocument, schema: Json, path: str) -> dict[str, str]:
    """The descriptions of the members of the rows at ``path``, by name."""
    parts = list(_parts(document, document.resolve(schema), 0))
    for step in path.split(".") if path else ():
        parts = [
            part
            for each in parts
            for part in _parts(document, document.resolve(members_of(each.get("properties")).get(step)), 0)
        ]
    rows = [part for each in parts for part in _parts(document, document.resolve(each.get("items")), 0)]
    found: dict[str, str] = {}
    for each in rows:
        for name, value in members_of(each.get("properties")).items():
            text = members_of(value).get("description") or document.resolve(value).get("description")
            if isinstance(text, str) and text.strip():
                found.setdefault(name, text)
    return found
