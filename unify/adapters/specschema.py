"""The spec language for editors and for people: its JSON Schema, and the tables of the reference.

``python -m unify.adapters.specschema`` writes both into rest_specs/; a test checks that they are current.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unify.adapters.specfile import bundled_specs
from unify.adapters.speckeys import SPEC
from unify.adapters.specpatterns import CURSORS, KEYS, LOOSE_PATTERNS, PATTERNS, TOGETHER, Json
from unify.adapters.specreader import expected
from unify.adapters.specshape import (
    Anything,
    Either,
    Entries,
    Flag,
    Items,
    Key,
    Kind,
    Number,
    Record,
    Text,
    Variants,
)

BEGIN = "<!-- the tables below are written by python -m unify.adapters.specschema -->"


def schema() -> Json:
    """The JSON Schema (draft 7) of a spec file."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Unify adapter spec",
        **_of(SPEC),
    }


def reference() -> str:
    """A table in Markdown for each record of the language, in the order a spec is read."""
    parts = [f"### {record.name}\n\n{_table(record)}" for record in _records(SPEC, set())]
    return "\n".join(parts)


def write(folder: Path) -> None:
    """Bring schema.json and the tables of README.md in ``folder`` up to date."""
    (folder / "schema.json").write_text(schema_text(), encoding="utf-8")
    readme = folder / "README.md"
    guide, _, _ = readme.read_text(encoding="utf-8").partition(BEGIN)
    readme.write_text(f"{guide}{BEGIN}\n\n{reference()}", encoding="utf-8")


def schema_text() -> str:
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _of(kind: Kind) -> Json:
    match kind:
        case Text():
            return _text(kind)
        case Number(least, most, whole):
            return {"type": "integer" if whole else "number", "minimum": least, "maximum": most}
        case Flag():
            return {"type": "boolean"}
        case Anything():
            return {}
        case Items(of):
            return {"type": "array", "items": _of(of), "minItems": 1}
        case Entries(of, names):
            return _entries(of, names)
        case Record(name=name, keys=keys):
            return _object(keys) | TOGETHER.get(name, {})
        case Variants():
            return _variants(kind)
        case Either(kinds):
            return {"anyOf": [_of(each) for each in kinds]}


def _text(kind: Text) -> Json:
    if kind.choices:
        return {"enum": list(kind.choices)}
    pattern = PATTERNS.get(kind.form)
    if pattern is not None:
        return {"type": "string", "pattern": pattern}
    loose = LOOSE_PATTERNS.get(kind.form)
    return {"type": ["string", "number", "boolean"]} | ({"pattern": loose} if loose is not None else {})


def _entries(of: Kind, names: str) -> Json:
    value = _of(of)
    if isinstance(of, Record) and not any(key.required for key in of.keys):
        value = {"anyOf": [value, {"type": "null"}]}
    pattern = KEYS.get(names)
    named = {"propertyNames": {"pattern": pattern}} if pattern is not None else {}
    return {"type": "object", "additionalProperties": value, **named}


def _object(keys: tuple[Key, ...]) -> Json:
    required = [key.name for key in keys if key.required]
    return {
        "type": "object",
        "properties": {key.name: {"description": _described(key), **_of(key.kind)} for key in keys},
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _variants(kind: Variants) -> Json:
    choices = []
    for name, keys in kind.types.items():
        choice = _object((*keys, *kind.common))
        choice["properties"] = {"type": {"description": kind.meaning, "const": name}, **choice["properties"]}
        if name != kind.default:
            choice["required"] = ["type", *choice.get("required", ())]
        if "size_param" in choice["properties"]:
            choice["dependencies"] = {"size_param": ["size"]}
        if "cursor_path" in choice["properties"]:
            choice["oneOf"] = [{"required": [each]} for each in CURSORS]
        choices.append(choice)
    return {"oneOf": choices}


def _described(key: Key) -> str:
    return key.meaning + (f" Default: {key.default}." if key.default else "")


def _records(kind: Kind, seen: set[str]) -> Iterator[Record | Variants]:
    """Every record below ``kind``, each before those inside it."""
    match kind:
        case Record(name=name, keys=keys):
            if name not in seen:
                seen.add(name)
                yield kind
                for key in keys:
                    yield from _records(key.kind, seen)
        case Variants(name=name):
            if name not in seen:
                seen.add(name)
                yield kind
        case Items(of) | Entries(of, _):
            yield from _records(of, seen)
        case Either(kinds):
            for each in kinds:
                yield from _records(each, seen)
        case _:
            return


def _table(record: Record | Variants) -> str:
    rows: list[tuple[str, Key]]
    if isinstance(record, Record):
        head = ""
        rows = [(f"`{key.name}`", key) for key in record.keys]
    else:
        default = f" `{record.default}` where it is left out." if record.default else ""
        types = ", ".join(f"`{name}`" for name in record.types)
        head = f"{record.meaning} `type` is one of {types}.{default}\n\n"
        rows = [*_variant_rows(record), *((f"`{key.name}`", key) for key in record.common)]
    lines = [_line(name, key) for name, key in rows]
    return (
        head
        + "\n".join(["| key | type | default | meaning | example |", "|---|---|---|---|---|", *lines])
        + "\n"
    )


def _variant_rows(record: Variants) -> list[tuple[str, Key]]:
    """Each key once, with the types it belongs to."""
    owners: dict[int, tuple[Key, list[str]]] = {}
    for name, keys in record.types.items():
        for key in keys:
            owners.setdefault(id(key), (key, []))[1].append(name)
    return [(f"`{key.name}` ({', '.join(names)})", key) for key, names in owners.values()]


def _line(name: str, key: Key) -> str:
    default = "**required**" if key.required else key.default or "none"
    example = f"`{key.example}`" if key.example else ""
    cells = (name, _type(key.kind), default, key.meaning, example)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(kind: Kind) -> str:
    """The kind of a value as the reference calls it: records by their name."""
    match kind:
        case Record(name=name) | Variants(name=name):
            return f"[{name}](#{name.lower().replace('.', '').replace('[]', '')})"
        case Items(of):
            return f"list of {_type(of)}"
        case Entries(of, _):
            return f"mapping of {_type(of)}"
        case Either(kinds):
            return " or ".join(dict.fromkeys(_type(each) for each in kinds))
        case Anything():
            return "any JSON"
        case Text(choices=choices) if choices:
            return " ".join(f"`{choice}`" for choice in choices)
        case Text(form="duration"):
            return "duration"
        case Text(form="text"):
            return "text"
        case Text(form=form):
            return _FORMS[form]
        case _:
            return expected(kind).removeprefix("a ")


_FORMS = {
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
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else bundled_specs())
