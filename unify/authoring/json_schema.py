"""The JSON Schema of the spec language for editors, and the key tables of rest_specs/README.md.

``python -m unify.authoring.json_schema`` writes both to rest_specs/; tests check that they are current.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from unify.adapters.spec.loader import bundled_specs_folder
from unify.adapters.spec.model import AdapterSpec, ErrorRule, TableSpec
from unify.adapters.spec.paging import Paging
from unify.adapters.spec.parse import describe_schema
from unify.adapters.spec.schema import (
    AnySchema,
    BooleanSchema,
    Key,
    ListSchema,
    MapSchema,
    NumberSchema,
    ObjectSchema,
    Schema,
    TextSchema,
    UnionSchema,
    keys_of,
)
from unify.adapters.spec.table_keys import ForEach
from unify.adapters.spec.write import WRITE_OPERATIONS, WriteRequest, WriteSpec
from unify.authoring.cases import Case

Json = dict[str, Any]

REFERENCE_MARKER = "<!-- the tables below are written by python -m unify.authoring.json_schema -->"
_SCALAR = ["string", "number", "boolean"]
_IS_GET = {
    "properties": {"request": {"type": "string", "pattern": "^GET "}},
    "not": {"required": ["body_of_get"]},
}
# What JSON Schema can check of the rules between keys.
KEY_CONSTRAINTS: Mapping[type[Struct], Json] = {
    ErrorRule: {"anyOf": [{"required": ["status"]}, {"required": ["body"]}, {"required": ["where"]}]},
    WriteSpec: {"anyOf": [{"required": [operation]} for operation in WRITE_OPERATIONS]},
    WriteRequest: {"not": {"required": ["body", "form"]}},
    ForEach: {
        "anyOf": [{"required": ["query"]}, {"required": ["rows"]}, {"required": ["option"]}],
        "not": {"required": ["query", "rows"]},
    },
    TableSpec: {
        "not": {"required": ["body", "form"]},
        "if": _IS_GET,
        "then": {"not": {"anyOf": [{"required": ["body"]}, {"required": ["form"]}]}},
    },
}
_CURSOR_SOURCES = ("cursor_path", "cursor_column", "cursor_header")
_PAGING_CONSTRAINTS: Mapping[str, Json] = {  # of the types that have the key
    "size_param": {"dependencies": {"size_param": ["size"]}},
    "cursor_path": {"oneOf": [{"required": [name]} for name in _CURSOR_SOURCES]},
    "path": {"oneOf": [{"required": ["path"]}, {"required": ["header"]}]},
}


def spec_json_schema(struct: type[Struct] = AdapterSpec) -> Json:
    """The JSON Schema (draft 7) of a spec file."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Unify adapter spec",
        **_json_schema(ObjectSchema(struct)),
    }


def render_schema() -> str:
    return json.dumps(spec_json_schema(), indent=1, ensure_ascii=False) + "\n"


def render_reference(roots: Mapping[str, type[Struct]] | None = None) -> str:
    """A Markdown table of the keys of each mapping, from the top of each file downwards.

    ``roots``  what the files hold, by heading; by default the spec.
    """
    roots = {"spec": AdapterSpec} if roots is None else roots
    headings = _headings(roots)
    return "\n".join(
        f"### {heading}\n\n{_render_table(keys_of(struct), headings)}" for struct, heading in headings.items()
    )


def render_readme_reference() -> str:
    """The tables of README.md: the keys of specs and of cases."""
    return render_reference({"spec": AdapterSpec, "case": Case})


def write_files(folder: Path) -> None:
    """Write schema.json and the tables of README.md in ``folder``."""
    (folder / "schema.json").write_text(render_schema(), encoding="utf-8")
    readme = folder / "README.md"
    guide, _, _ = readme.read_text(encoding="utf-8").partition(REFERENCE_MARKER)
    readme.write_text(f"{guide}{REFERENCE_MARKER}\n\n{render_readme_reference()}", encoding="utf-8")


# -- JSON Schema -------------------------------------------------------------------------------------


def _json_schema(schema: Schema) -> Json:
    match schema:
        case TextSchema():
            return _text_json_schema(schema)
        case NumberSchema(minimum, maximum, is_integer):
            return {"type": "integer" if is_integer else "number", "minimum": minimum, "maximum": maximum}
        case BooleanSchema():
            return {"type": "boolean"}
        case AnySchema():
            return {}
        case ListSchema(items, one_or_more):
            item = _json_schema(items)
            array = {"type": "array", "items": item, "minItems": 1}
            return {"anyOf": [item, array]} if one_or_more else array
        case MapSchema():
            return _map_json_schema(schema)
        case UnionSchema(alternatives):
            return {"anyOf": [_json_schema(each) for each in alternatives]}
        case ObjectSchema():
            short = [_json_schema(key.schema) for key in schema.shorthands]
            whole = _object_json_schema(schema)
            return {"anyOf": [*short, whole]} if short else whole


def _text_json_schema(schema: TextSchema) -> Json:
    if schema.choices:
        booleans = [each == "true" for each in schema.choices if each in ("true", "false")]
        return {"enum": [*schema.choices, *booleans]}
    if schema.format is None or schema.format.pattern is None:
        return {"type": _SCALAR}
    # A number is read as its text: the type admits numbers if the pattern does.
    pattern = schema.format.pattern
    return {"type": _SCALAR if re.search(pattern, "1") else "string", "pattern": pattern}


def _map_json_schema(schema: MapSchema) -> Json:
    value = _json_schema(schema.values)
    if isinstance(schema.values, ObjectSchema) and not any(
        key.required or key.is_shorthand for key in schema.values.keys
    ):
        value = {"anyOf": [value, {"type": "null"}]}
    name = _text_json_schema(schema.keys)
    return {
        "type": "object",
        "additionalProperties": value,
        **({"propertyNames": name} if "type" not in name or "pattern" in name else {}),
    }


def _object_json_schema(schema: ObjectSchema) -> Json:
    keys = schema.keys
    if not any(key.types for key in keys):
        return _keys_json_schema(keys) | KEY_CONSTRAINTS.get(schema.struct, {})
    variants = []
    type_key = next(key for key in keys if key.name == "type")
    for type_ in type_key.schema.choices if isinstance(type_key.schema, TextSchema) else ():
        variant = _keys_json_schema([key for key in keys if not key.types or type_ in key.types])
        properties = variant["properties"]
        properties["type"] = {"description": type_key.description, "const": type_}
        if type_ != type_key.default:
            variant["required"] = list(dict.fromkeys(["type", *variant.get("required", ())]))
        if schema.struct is Paging:
            for name, constraint in _PAGING_CONSTRAINTS.items():
                variant |= constraint if name in properties else {}
        variants.append(variant)
    return {"oneOf": variants}


def _keys_json_schema(keys: Sequence[Key]) -> Json:
    required = [key.name for key in keys if key.required and not key.unless]
    alternatives = [
        {"required": [name]} for key in keys if key.required and key.unless for name in (key.name, key.unless)
    ]
    return {
        "type": "object",
        "properties": {
            key.name: {"description": _describe_key(key), **_json_schema(key.schema)} for key in keys
        },
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **({"anyOf": alternatives} if alternatives else {}),
    }


def _describe_key(key: Key) -> str:
    return key.description + (f" Default: {key.default}." if key.default else "")


# -- reference ---------------------------------------------------------------------------------------


def _headings(roots: Mapping[str, type[Struct]]) -> Mapping[type[Struct], str]:
    """The heading of each object: ``tables[]``, ``columns.NAME``, ``insert, update, delete, upsert``.

    An object below several keys has the names of all; a second one of the same name has that of its parent
    before it: ``write.columns.NAME``.
    """
    names: dict[type[Struct], list[str]] = {}
    parents: dict[type[Struct], type[Struct] | None] = {}
    for root, struct in roots.items():
        for name, found, parent in _iter_objects(ObjectSchema(struct), root, None):
            names.setdefault(found, []).append(name)
            parents.setdefault(found, parent)
    headings: dict[type[Struct], str] = {}
    for struct, found_names in names.items():
        heading = ", ".join(dict.fromkeys(found_names))
        if _anchor(heading) in map(_anchor, headings.values()):
            parent = parents[struct]
            heading = f"{headings[parent]}.{heading}" if parent is not None else heading
        headings[struct] = heading
    return headings


def _iter_objects(
    schema: Schema, name: str, parent: type[Struct] | None
) -> Iterator[tuple[str, type[Struct], type[Struct] | None]]:
    """Each object below ``schema`` with the name of its key, and the object that has the key."""
    match schema:
        case ObjectSchema(struct):
            yield name, struct, parent
            for key in schema.keys:
                yield from _iter_objects(key.schema, key.name, struct)
        case ListSchema(items):
            yield from _iter_objects(items, f"{name}[]", parent)
        case MapSchema(values=values):
            yield from _iter_objects(values, f"{name}.NAME", parent)
        case UnionSchema(alternatives):
            for each in alternatives:
                yield from _iter_objects(each, name, parent)


def _anchor(heading: str) -> str:
    """The anchor of a heading, as Markdown renderers make it."""
    return re.sub(r"[^a-z_ -]", "", heading.lower()).replace(" ", "-")


def _render_table(keys: Sequence[Key], headings: Mapping[type[Struct], str]) -> str:
    rows = ["| key | type | default | meaning | example |", "|---|---|---|---|---|"]
    rows += [_render_row(key, headings) for key in keys]
    return "\n".join(rows) + "\n"


def _render_row(key: Key, headings: Mapping[type[Struct], str]) -> str:
    name = f"`{key.name}`" + (f" ({', '.join(key.types)})" if key.types else "")
    default = "**required**" if key.required else key.default or "none"
    example = f"`{key.example}`" if key.example else ""
    cells = (name, _type_label(key.schema, headings), default, key.description, example)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type_label(schema: Schema, headings: Mapping[type[Struct], str]) -> str:
    """The type of a key in the reference: objects by their heading."""
    match schema:
        case ObjectSchema(struct):
            link = f"[{headings[struct]}](#{_anchor(headings[struct])})"
            return " or ".join([*(_type_label(key.schema, headings) for key in schema.shorthands), link])
        case ListSchema(items, one_or_more):
            item = _type_label(items, headings)
            return f"{item} or list of {item}" if one_or_more else f"list of {item}"
        case MapSchema(values=values):
            return f"mapping of {_type_label(values, headings)}"
        case UnionSchema(alternatives):
            return " or ".join(dict.fromkeys(_type_label(each, headings) for each in alternatives))
        case AnySchema():
            return "any JSON"
        case TextSchema(choices=choices) if choices:
            return " ".join(f"`{choice}`" for choice in choices)
        case TextSchema(format):
            return "string" if format is None else format.label
        case _:
            return describe_schema(schema).removeprefix("a ")


if __name__ == "__main__":
    write_files(Path(sys.argv[1]) if len(sys.argv) > 1 else bundled_specs_folder())
