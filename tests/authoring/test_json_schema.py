"""The JSON schema agrees with the parser of specs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.paths import SPECS_README
from tests.support.spec_text import SPEC_HEAD
from unify.adapters.spec.loader import bundled_specs_folder
from unify.authoring.json_schema import render_schema, spec_json_schema
from unify.config import yaml as config_yaml
from unify.config.yaml import to_python_value


def test_the_json_schema_file_is_current() -> None:
    current = (bundled_specs_folder() / "schema.json").read_text(encoding="utf-8")

    assert current == render_schema(), "run python -m unify.authoring.json_schema"


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Return whether a value fits the schema; supports the keywords that the schema uses."""
    types = {"string": str, "number": (int, float), "integer": int, "boolean": bool, "null": type(None)}
    types |= {"array": list, "object": dict}
    wanted = schema.get("type", [])
    kinds = [wanted] if isinstance(wanted, str) else wanted
    known = {"type", "enum", "const", "pattern", "minimum", "maximum", "items", "minItems", "anyOf", "oneOf"}
    known |= {
        "properties",
        "additionalProperties",
        "propertyNames",
        "required",
        "description",
        "title",
        "$schema",
        "not",
        "if",
        "then",
        "dependencies",
    }
    assert schema.keys() <= known
    if kinds and not any(isinstance(value, types[kind]) for kind in kinds):  # type: ignore[arg-type]
        return False
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", {})
    members = value.items() if isinstance(value, dict) else ()
    return all(
        [
            "enum" not in schema or value in schema["enum"],
            "const" not in schema or value == schema["const"],
            "pattern" not in schema
            or not isinstance(value, str)
            or bool(re.search(schema["pattern"], value)),
            "minimum" not in schema or schema["minimum"] <= value <= schema["maximum"],
            "items" not in schema or (bool(value) and all(fits(item, schema["items"]) for item in value)),
            "anyOf" not in schema or any(fits(value, each) for each in schema["anyOf"]),
            "oneOf" not in schema or sum(fits(value, each) for each in schema["oneOf"]) == 1,
            "not" not in schema or not fits(value, schema["not"]),
            "if" not in schema or not fits(value, schema["if"]) or fits(value, schema["then"]),
            all(name in value for name in schema.get("required", ())),
            all(
                name not in value or all(each in value for each in needed)
                for name, needed in schema.get("dependencies", {}).items()
            ),
            all(fits(name, schema.get("propertyNames", {})) for name, _ in members),
            all(name in properties or others is not False for name, _ in members),
            all(fits(item, properties.get(name, others or {})) for name, item in members),
        ]
    )


@pytest.mark.parametrize(
    ("added", "fitting"),
    [
        ("", True),
        ("    refresh: {every: 1 hour}\n    key: [a, b]\n    paging: {size: 5}\n", True),
        ("    for_each: {query: select 1 as x, batch: 5}\n    paging: {type: none}\n", True),
        ("    requets: x\n", False),
        ("    paging: {type: page, path: x}\n", False),
        ("    paging: {type: next_url}\n", False),
        ("    flatten: deep\n", False),
        ("    errors: [{status: 404}]\n", False),
        ("    key: []\n", False),
        ("  - {name: x, request: FETCH /x}\n", False),
        ("    paging: {type: page, cursor_path: a}\n", False),
        ("    paging: {type: page, size_param: n}\n", False),
        ("    paging: {type: cursor}\n", False),
        ("    paging: {type: cursor, cursor_path: a, cursor_column: b}\n", False),
        ("    body: {a: 1}\n", False),
        ("    form: {a: b}\n", False),
        ("    rows: a..b\n", False),
        ("    columns: {a: bigit}\n", False),
        ('    columns: {a: {from: "x{y}"}}\n', False),
        ('    columns: {a: {format: "1.000"}}\n', False),
        ("    refresh: {every: 5 parsecs}\n", False),
        ("    errors: [{action: skip}]\n", False),
        ("    for_each: {query: select 1 as a, rows: [{a: b}]}\n", False),
        ("    headers: {a b: c}\n", False),
        ("    write: {columns: {a: }, insert: {request: POST /x}, limits: {requests_per_hour: 5}}\n", True),
        ("    write: {columns: {a: {only: [insert]}}, delete: {request: PATCH /x, undo: {a: b}}}\n", True),
        ("    write: {columns: {a: }}\n", False),
        ("    write: {columns: {a: }, insert: {request: GET /x}}\n", False),
        ("    write: {columns: {a: }, insert: {request: POST /x, body: {a: 1}, form: {a: b}}}\n", False),
        ("    write: {columns: {a: {required: delete}}, insert: {request: POST /x}}\n", False),
        ("    incremental: {cursor: a, param: b, format: sometimes}\n", False),
    ],
)
def test_the_json_schema_accepts_what_the_parser_accepts(added: str, fitting: bool) -> None:
    assert (
        fits(
            to_python_value(config_yaml.parse_yaml((SPEC_HEAD + added).encode(), "x").root),
            spec_json_schema(),
        )
        is fitting
    )


def test_the_examples_of_the_reference_fit_the_json_schema() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", SPECS_README.read_text(encoding="utf-8"), re.DOTALL)
    specs = [block for block in blocks if "\ntables:" in block and "\nname:" in block]
    assert len(specs) == 2
    assert all(
        fits(to_python_value(config_yaml.parse_yaml(spec.encode(), "x").root), spec_json_schema())
        for spec in specs
    )


def test_the_bundled_specs_fit_the_json_schema() -> None:
    for file in bundled_specs_folder().glob("*.yaml"):
        assert fits(to_python_value(config_yaml.read_yaml(file).root), spec_json_schema()), file
