"""A field with ``doc`` is a key everywhere: for the parser, in the JSON Schema and in the reference."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct, field

from tests.support.spec_text import SPEC_HEAD
from unify.adapters.spec.formats import ColumnName, Duration
from unify.adapters.spec.model import AdapterSpec
from unify.adapters.spec.parse import parse_file
from unify.adapters.spec.schema import Named, OneOrMore, doc
from unify.authoring.json_schema import render_reference, spec_json_schema


class Mirror(Struct, frozen=True):
    name: ColumnName
    max_age_s: Annotated[Duration, doc("Maximum age of the copy.", "1 hour")] = field(name="age", default=0.0)


class Proxy(Struct, frozen=True):
    type: Annotated[Literal["http", "socks"], doc("Protocol of the proxy.", "socks")]
    user: Annotated[str | None, doc("User name.", "ada", types=("socks",))] = None


class ExtendedSpec(AdapterSpec, frozen=True):
    region: Annotated[Literal["eu", "us"], doc("Region of the API.", "eu")] = "us"
    shards: Annotated[Annotated[int, Meta(ge=1, le=16)] | None, doc("Number of shards.", "4")] = None
    tags: Annotated[OneOrMore[str], doc("Tags of the adapter.", "[crm]")] = ()
    labels: Annotated[Mapping[ColumnName, str], doc("Labels.", "{team: data}")] = {}
    mirrors: Annotated[Named[Mirror], doc("Copies of the API.", "{b: {age: 1 hour}}")] = ()
    proxy: Annotated[Proxy | None, doc("Proxy.", "{type: socks}")] = None
    internal: str = "not a key"


def parse(tmp_path: Path, added: str) -> tuple[ExtendedSpec, list[str]]:
    file = tmp_path / "shop.yaml"
    file.write_text(SPEC_HEAD + added, encoding="utf-8")
    spec, report = parse_file(ExtendedSpec, file, path=str(file))
    assert spec is not None
    return spec, [str(problem).removeprefix(str(file))[1:] for problem in report.problems]


def test_an_added_key_is_parsed(tmp_path: Path) -> None:
    added = "region: eu\nshards: 4\ntags: crm\nlabels: {team: data}\nmirrors: {b: {age: 1 hour}, c: }\n"
    added += "proxy: {type: socks, user: ada}\n"

    spec, problems = parse(tmp_path, added)

    assert not problems
    assert (spec.region, spec.shards, spec.tags, spec.labels) == ("eu", 4, ("crm",), {"team": "data"})
    assert spec.mirrors == (Mirror("b", 3600.0), Mirror("c"))
    assert spec.proxy == Proxy("socks", "ada")
    assert parse(tmp_path, "")[0].region == "us"


@pytest.mark.parametrize(
    ("added", "problem"),
    [
        ("region: euu\n", "9:9: region: expected one of eu, us, found 'euu'; did you mean eu?"),
        ("regoin: eu\n", "9:1: regoin: unknown key; did you mean region?"),
        ("shards: 17\n", "9:9: shards: expected a whole number from 1 to 16, found '17'"),
        ("tags: {a: b}\n", "9:7: tags: expected a string or a list, each item a string, found a mapping"),
        ("labels: [a]\n", "9:9: labels: expected a mapping (KEY: VALUE), found a list"),
        ("mirrors: {b: {age: soon}}\n", "9:20: mirrors.b.age: 'soon' is not a duration"),
        ("mirrors: {b: {aeg: 1 hour}}\n", "9:15: mirrors.b.aeg: unknown key; did you mean age?"),
        ("proxy: {user: ada}\n", "9:8: proxy: type is missing; one of http, socks"),
        ("proxy: {type: http, user: ada}\n", "9:21: proxy.user: not allowed with type http"),
        ("age: 1 hour\n", "9:1: age: unknown key; it belongs in mirrors"),
        ("internal: x\n", "9:1: internal: unknown key"),
    ],
)
def test_a_mistake_in_an_added_key_is_explained(tmp_path: Path, added: str, problem: str) -> None:
    [found] = parse(tmp_path, added)[1]

    assert found.startswith(problem)


def test_an_added_key_is_in_the_json_schema() -> None:
    properties = spec_json_schema(ExtendedSpec)["properties"]

    assert properties["region"] == {"description": "Region of the API. Default: us.", "enum": ["eu", "us"]}
    assert properties["shards"] == {
        "description": "Number of shards.",
        "type": "integer",
        "minimum": 1,
        "maximum": 16,
    }
    text = {"type": ["string", "number", "boolean"]}
    assert properties["tags"]["anyOf"] == [text, {"type": "array", "items": text, "minItems": 1}]
    assert properties["labels"]["additionalProperties"] == text
    mirror, _null = properties["mirrors"]["additionalProperties"]["anyOf"]
    assert mirror["properties"]["age"]["description"] == "Maximum age of the copy. Default: 0.0."
    http, socks = properties["proxy"]["oneOf"]
    assert [sorted(each["properties"]) for each in (http, socks)] == [["type"], ["type", "user"]]
    assert "internal" not in properties


def test_an_added_key_is_in_the_reference() -> None:
    reference = render_reference({"spec": ExtendedSpec})

    assert "| `region` | `eu` `us` | us | Region of the API. | `eu` |" in reference
    assert "| `shards` | whole number from 1 to 16 | none | Number of shards. | `4` |" in reference
    assert "| `tags` | string or list of string | none | Tags of the adapter. | `[crm]` |" in reference
    assert "| `labels` | mapping of string | none | Labels. | `{team: data}` |" in reference
    assert "| `mirrors` | mapping of [mirrors.NAME](#mirrorsname) | none | Copies of the API. |" in reference
    assert "### mirrors.NAME\n\n" in reference
    assert "| `age` | duration | 0.0 | Maximum age of the copy. | `1 hour` |" in reference
    assert "| `user` (socks) | string | none | User name. | `ada` |" in reference
    assert "internal" not in reference
