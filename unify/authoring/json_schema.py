"""The spec language for editors and for people: its JSON Schema, and the tables of the reference.

``python -m unify.authoring.json_schema`` writes both into rest_specs/; a test checks that they are current.

What a JSON Schema can say of single texts, and of keys that go together or do not.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unify.adapters.spec import formats
from unify.adapters.spec.formats import NUMBER_FORMATS
from unify.adapters.spec.keys import SPEC
from unify.adapters.spec.loader import bundled_specs_folder
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
    VariantSchema,
)

REFERENCE_MARKER = "<!-- the tables below are written by python -m unify.authoring.json_schema -->"


def spec_json_schema() -> Json:
    """The JSON Schema (draft 7) of a spec file."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Unify adapter spec",
        **_schema_of(SPEC),
    }


def render_reference() -> str:
    """A table in Markdown for each record of the language, in the order a spec is read."""
    parts = [f"### {record.name}\n\n{_render_table(record)}" for record in _iter_objects(SPEC, set())]
    return "\n".join(parts)


def write_files(folder: Path) -> None:
    """Bring schema.json and the tables of README.md in ``folder`` up to date."""
    (folder / "schema.json").write_text(render_schema(), encoding="utf-8")
    readme = folder / "README.md"
    guide, _, _ = readme.read_text(encoding="utf-8").partition(REFERENCE_MARKER)
    readme.write_text(f"{guide}{REFERENCE_MARKER}\n\n{render_reference()}", encoding="utf-8")


def render_schema() -> str:
    return json.dumps(spec_json_schema(), indent=1, ensure_ascii=False) + "\n"


def _schema_of(schema: Schema) -> Json:
    match schema:
        case TextSchema():
            return _text_schema(schema)
        case NumberSchema(least, most, whole):
            return {"type": "integer" if whole else "number", "minimum": least, "maximum": most}
        case BooleanSchema():
            return {"type": "boolean"}
        case AnySchema():
            return {}
        case ListSchema(of):
            return {"type": "array", "items": _schema_of(of), "minItems": 1}
        case MapSchema(of, names):
            return _map_schema(of, names)
        case ObjectSchema(name=name, keys=keys):
            return _object_schema(keys) | KEY_CONSTRAINTS.get(name, {})
        case VariantSchema():
            return _variant_schema(schema)
        case UnionSchema(kinds):
            return {"anyOf": [_schema_of(each) for each in kinds]}


def _text_schema(schema: TextSchema) -> Json:
    if schema.choices:
        return {"enum": list(schema.choices)}
    pattern = PATTERNS.get(schema.format)
    if pattern is not None:
        return {"type": "string", "pattern": pattern}
    loose = LOOSE_PATTERNS.get(schema.format)
    return {"type": ["string", "number", "boolean"]} | ({"pattern": loose} if loose is not None else {})


def _map_schema(values: Schema, key_format: str) -> Json:
    value = _schema_of(values)
    if isinstance(values, ObjectSchema) and not any(key.required for key in values.keys):
        value = {"anyOf": [value, {"type": "null"}]}
    pattern = KEY_PATTERNS.get(key_format)
    named = {"propertyNames": {"pattern": pattern}} if pattern is not None else {}
    return {"type": "object", "additionalProperties": value, **named}


def _object_schema(keys: tuple[Key, ...]) -> Json:
    required = [key.name for key in keys if key.required]
    return {
        "type": "object",
        "properties": {
            key.name: {"description": _key_description(key), **_schema_of(key.schema)} for key in keys
        },
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _variant_schema(schema: VariantSchema) -> Json:
    choices = []
    for name, keys in schema.types.items():
        choice = _object_schema((*keys, *schema.common))
        choice["properties"] = {
            "type": {"description": schema.description, "const": name},
            **choice["properties"],
        }
        if name != schema.default:
            choice["required"] = ["type", *choice.get("required", ())]
        if "size_param" in choice["properties"]:
            choice["dependencies"] = {"size_param": ["size"]}
        if "cursor_path" in choice["properties"]:
            choice["oneOf"] = [{"required": [each]} for each in CURSOR_SOURCE_KEYS]
        choices.append(choice)
    return {"oneOf": choices}


def _key_description(key: Key) -> str:
    return key.description + (f" Default: {key.default}." if key.default else "")


def _iter_objects(schema: Schema, seen: set[str]) -> Iterator[ObjectSchema | VariantSchema]:
    """Every record below ``kind``, each before those inside it."""
    match schema:
        case ObjectSchema(name=name, keys=keys):
            if name not in seen:
                seen.add(name)
                yield schema
                for key in keys:
                    yield from _iter_objects(key.schema, seen)
        case VariantSchema(name=name):
            if name not in seen:
                seen.add(name)
                yield schema
        case ListSchema(of) | MapSchema(of, _):
            yield from _iter_objects(of, seen)
        case UnionSchema(kinds):
            for each in kinds:
                yield from _iter_objects(each, seen)
        case _:
            return


def _render_table(record: ObjectSchema | VariantSchema) -> str:
    rows: list[tuple[str, Key]]
    if isinstance(record, ObjectSchema):
        head = ""
        rows = [(f"`{key.name}`", key) for key in record.keys]
    else:
        default = f" `{record.default}` where it is left out." if record.default else ""
        types = ", ".join(f"`{name}`" for name in record.types)
        head = f"{record.description} `type` is one of {types}.{default}\n\n"
        rows = [*_variant_rows(record), *((f"`{key.name}`", key) for key in record.common)]
    lines = [_render_row(name, key) for name, key in rows]
    return (
        head
        + "\n".join(["| key | type | default | meaning | example |", "|---|---|---|---|---|", *lines])
        + "\n"
    )


def _variant_rows(record: VariantSchema) -> list[tuple[str, Key]]:
    """Each key once, with the types it belongs to."""
    owners: dict[int, tuple[Key, list[str]]] = {}
    for name, keys in record.types.items():
        for key in keys:
            owners.setdefault(id(key), (key, []))[1].append(name)
    return [(f"`{key.name}` ({', '.join(names)})", key) for key, names in owners.values()]


def _render_row(name: str, key: Key) -> str:
    default = "**required**" if key.required else key.default or "none"
    example = f"`{key.example}`" if key.example else ""
    cells = (name, _type_label(key.schema), default, key.description, example)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type_label(schema: Schema) -> str:
    """The kind of a value as the reference calls it: records by their name."""
    match schema:
        case ObjectSchema(name=name) | VariantSchema(name=name):
            return f"[{name}](#{name.lower().replace('.', '').replace('[]', '')})"
        case ListSchema(of):
            return f"list of {_type_label(of)}"
        case MapSchema(of, _):
            return f"mapping of {_type_label(of)}"
        case UnionSchema(kinds):
            return " or ".join(dict.fromkeys(_type_label(each) for each in kinds))
        case AnySchema():
            return "any JSON"
        case TextSchema(choices=choices) if choices:
            return " ".join(f"`{choice}`" for choice in choices)
        case TextSchema(format="duration"):
            return "duration"
        case TextSchema(format="text"):
            return "text"
        case TextSchema(format=form):
            return _FORMAT_LABELS[form]
        case _:
            return describe_schema(schema).removeprefix("a ")


_FORMAT_LABELS = {
    "name": "name",
    "column": "column",
    "glob": "glob",
    "header": "header",
    "request": "request",
    "web": "web address",
    "address": "web address",
    "origin": "origin",
    "path": "dotted path",
    "port": "port or `{variable}`",
    "source": "dotted path or `{variable}`",
    "type": "DuckDB type",
    "times": "`iso8601`, `date`, `unix`, `unix_ms` or strftime text",
    "writing": "`iso8601`, `date`, `unix`, `unix_ms`, strftime text, or a number such as `1.234,5`",
    "select": "SELECT",
}

if __name__ == "__main__":
    write_files(Path(sys.argv[1]) if len(sys.argv) > 1 else bundled_specs_folder())


Json = dict[str, Any]

_NAME = "^[A-Za-z_][A-Za-z0-9_]{0,62}$"
_DOTTED_PATH = r"[^\s.{}]+(\.[^\s.{}]+)*"
_VARIABLE = r"\{[A-Za-z_][A-Za-z0-9_]*\}"
_UNIT = "(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)?"
_TYPES = "|".join(sorted({*formats.COLUMN_TYPES, *(each.upper() for each in formats.COLUMN_TYPES)}))
PATTERNS = {
    "name": _NAME,
    "request": "^(GET|POST) (/|https?://)",
    "origin": "^https?://[^/]+/?$",
    "address": r"^(https?://|\{)",
    "web": "^https?://",
}
# Of what may also be written as a number, or as true or false: those are what the text says.
LOOSE_PATTERNS = {
    "path": f"^{_DOTTED_PATH}$",
    "source": f"^({_VARIABLE}|{_DOTTED_PATH})$",
    "duration": rf"^\s*([0-9]+(\.[0-9]+)?\s*{_UNIT}[\s,]*)+$",
    "type": rf"^\s*({_TYPES})(\s*\([0-9, ]+\))?(\[\])*\s*$",
    "times": f"^({'|'.join(formats.TIME_FORMATS)})$|%",
    "writing": f"^({'|'.join((*formats.TIME_FORMATS, *map(re.escape, NUMBER_FORMATS)))})$|%",
}
_IS_GET = {"properties": {"request": {"type": "string", "pattern": "^GET "}}}
# What keys of one record have to do with each other, as far as a schema can say it.
KEY_CONSTRAINTS: Mapping[str, Json] = {
    "errors[]": {"anyOf": [{"required": ["status"]}, {"required": ["body"]}]},
    "for_each": {"oneOf": [{"required": ["query"]}, {"required": ["rows"]}]},
    "tables[]": {
        "not": {"required": ["body", "form"]},
        "if": _IS_GET,
        "then": {"not": {"anyOf": [{"required": ["body"]}, {"required": ["form"]}]}},
    },
}
KEY_PATTERNS = {"name": _NAME, "header": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"}
CURSOR_SOURCE_KEYS = ("cursor_path", "cursor_column", "cursor_header")
